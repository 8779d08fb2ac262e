/* SPDX-License-Identifier: Apache-2.0 */
/* DELETE of one object. */
#include "handlers/internal.h"

#define TRIES_MAX 5

struct removal {
    struct call *call;
    struct delete_options options;
    struct object *current; /* released with the arena */
    enum deletion_step step;
    unsigned tries;
    struct commit commit;
};

static void release_object(void *object)
{
    (void)object_unref(object);
}

static void answer_gone(struct call *c, str uid)
{
    c->rep.transform = TRANSFORM_NONE; /* a Status has no other form */
    call_answer_tree(c, 200, status_success(c->arena, c->resource->group, c->resource->plural, c->info.name, uid));
}

static void run_again(struct call *c);

static void on_done(struct commit *m, int result, struct object *object, const struct error *err)
{
    struct removal *d = CONTAINER_OF(m, struct removal, commit);
    struct call *c = d->call;
    if (result == 0 && d->step == DELETION_REMOVE) {
        answer_gone(c, d->current->uid);
    } else if (result == 0) {
        commit_answer(m, 200, object);
    } else if (result == ERRC_CONFLICT && ++d->tries < TRIES_MAX) {
        c->next_self = d;
        call_on_worker(c, run_again); /* preconditions are checked anew */
    } else {
        call_fail(c, storage_status(c->arena, result, err, c->resource, c->info.name));
    }
}

static void answer_dry(struct removal *d, const struct json *tree)
{
    if (d->step == DELETION_REMOVE)
        answer_gone(d->call, d->current->uid);
    else
        answer_object_tree(d->call, 200, tree);
}

static void remove_it(struct removal *d)
{
    struct call *c = d->call;
    d->current = store_get(c->resource->store, call_key(c));
    if (!d->current) {
        call_fail(c, call_not_found(c));
        return;
    }
    arena_on_release(c->arena, release_object, d->current);
    const struct json *tree = NULL;
    struct status *fail = deletion_plan(c->arena, c->resource, d->current, &d->options, &d->step, &tree);
    if (fail) {
        call_fail(c, fail);
    } else if (d->step == DELETION_NONE) {
        commit_answer(&d->commit, 200, d->current);
    } else if (c->is_dry_run) {
        answer_dry(d, tree);
    } else {
        d->commit.tree = tree;
        d->commit.write = (struct storage_write) {
            .kind = d->step == DELETION_MARK ? STORAGE_PUT : STORAGE_DELETE,
            .expect = STORAGE_EXPECT_REVISION,
            .revision = d->current->resource_version,
            .key = call_key(c),
        };
        commit_start(&d->commit);
    }
}

static void run_again(struct call *c)
{
    remove_it(c->next_self);
}

static void run(struct call *c)
{
    struct removal *d = arena_new_of(c->arena, struct removal);
    d->call = d->commit.call = c;
    d->commit.on_done = on_done;
    struct status *fail = deletion_options(c, &d->options);
    if (fail)
        call_fail(c, fail);
    else
        remove_it(d);
}

void handle_delete(struct call *c)
{
    call_on_worker(c, run);
}
