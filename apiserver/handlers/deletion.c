/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What deleting means (k8s.io/apiserver registry BeforeDelete, deletionFinalizersForGarbageCollection): an object with
 * finalizers is marked and stays until they are gone; the propagation policy adds or removes the garbage collector's.
 */
#include <pthread.h>

#include "handlers/internal.h"

#define FINALIZER_ORPHAN S("orphan")
#define FINALIZER_FOREGROUND S("foregroundDeletion")
#define TRIES_MAX 5
/* Writes of one collection that wait in the store's queue together. */
#define WAVE 256

struct status *deletion_options(struct call *c, struct delete_options *ret)
{
    struct json_notes ignored = { 0 }; /* options of a newer client are ignored, as upstream does without Strict */
    const struct json *body;
    struct body_source source = call_body(c);
    struct status *fail = body_decode(c->arena, &source, &ignored, &body);
    if (!fail)
        fail = delete_options_parse(c->arena, &c->query, body, ret);
    c->is_dry_run = !fail && ret->is_dry_run;
    return fail;
}

static struct status *check_preconditions(struct arena *a, const struct resource *r, const struct object *o,
                                          const struct delete_options *options)
{
    str cause = { 0 };
    if (!str_is_empty(options->uid) && !str_eq(options->uid, o->uid))
        cause = arena_printf(a, "Precondition failed: UID in precondition: %.*s, UID in object meta: %.*s",
                             STR_ARG(str_first(options->uid, 64)), STR_ARG(o->uid));
    else if (options->has_version && options->version != o->resource_version)
        cause = arena_printf(a,
                             "Precondition failed: ResourceVersion in precondition: %llu, ResourceVersion in object "
                             "meta: %llu",
                             (unsigned long long)options->version, (unsigned long long)o->resource_version);
    return str_is_empty(cause) ? NULL : status_conflict(a, r->group, r->plural, o->name, cause);
}

static void apply_policy(struct arena *a, struct metadata *m, enum propagation policy)
{
    if (policy == PROPAGATION_UNSET)
        return;
    metadata_set_finalizer(a, m, FINALIZER_ORPHAN, policy == PROPAGATION_ORPHAN);
    metadata_set_finalizer(a, m, FINALIZER_FOREGROUND, policy == PROPAGATION_FOREGROUND);
}

/* Namespaces stay until they are empty, whatever their finalizers say. */
static bool is_namespace(const struct resource *r)
{
    return str_is_empty(r->group) && str_eq(r->plural, S("namespaces"));
}

struct status *deletion_plan(struct arena *a, const struct resource *r, const struct object *o,
                             const struct delete_options *options, enum deletion_step *ret,
                             const struct json **ret_tree)
{
    *ret = DELETION_NONE;
    struct status *fail = check_preconditions(a, r, o, options);
    if (fail)
        return fail;
    const struct json *tree = object_parse(a, o);
    if (!o->is_deleting && r->strategy && r->strategy->check_delete && (fail = r->strategy->check_delete(a, r, tree)))
        return fail;
    struct metadata m;
    struct json_notes ignored = { 0 };
    fail = metadata_read(a, tree, &ignored, &m);
    if (fail)
        return fail;
    m.fields[META_RESOURCE_VERSION] = NULL;
    const struct json *before = metadata_tree(a, &m);
    apply_policy(a, &m, options->propagation);
    if (metadata_finalizers(&m) == 0 && !is_namespace(r)) {
        *ret = DELETION_REMOVE;
        return NULL;
    }
    if (!o->is_deleting)
        metadata_mark_deleting(a, &m);
    const struct json *after = metadata_tree(a, &m);
    if (json_equal(before, after))
        return NULL;
    *ret = DELETION_MARK;
    *ret_tree = json_with(a, tree, S("metadata"), after);
    if (is_namespace(r))
        *ret_tree = json_with_at(a, *ret_tree, "status.phase", json_string(a, S("Terminating")));
    return NULL;
}

/* ---- many at once -------------------------------------------------------------------------------------------------
 */

struct wave {
    pthread_mutex_t lock;
    pthread_cond_t all_done;
    size_t left;
};

struct removal {
    struct wave *wave;
    const struct object *object;
    int result;
    struct error err;
};

static void on_removed(void *self, int result, struct object *object UNUSED, const struct error *err)
{
    struct removal *r = self;
    r->result = result;
    if (err)
        r->err = *err;
    struct wave *w = r->wave;
    pthread_mutex_lock(&w->lock);
    if (--w->left == 0)
        pthread_cond_signal(&w->all_done);
    pthread_mutex_unlock(&w->lock);
}

static struct status *start_removal(struct arena *a, const struct resource *r, struct removal *m,
                                    const struct delete_options *options)
{
    enum deletion_step step;
    const struct json *tree = NULL;
    struct status *fail = deletion_plan(a, r, m->object, options, &step, &tree);
    if (fail || step == DELETION_NONE || options->is_dry_run) {
        on_removed(m, 0, NULL, NULL);
        return fail;
    }
    CLEANUP(object_unrefp) struct object *marked = step == DELETION_MARK ? object_from_tree(tree, 0) : NULL;
    struct storage_write write = {
        .kind = marked ? STORAGE_PUT : STORAGE_DELETE,
        .expect = STORAGE_EXPECT_REVISION,
        .revision = m->object->resource_version,
        .key = resource_key(a, r, m->object->namespace_, m->object->name),
        .object = marked,
    };
    struct error err;
    int result = store_write(r->store, &write, on_removed, m, &err);
    if (result < 0)
        on_removed(m, result, NULL, &err);
    return NULL;
}

/* Waits for all of the wave; the store bounds each write. */
static struct status *run_wave(struct arena *a, const struct resource *r, struct removal *items, size_t count,
                               const struct delete_options *options)
{
    struct wave wave = { .lock = PTHREAD_MUTEX_INITIALIZER, .all_done = PTHREAD_COND_INITIALIZER, .left = count };
    struct status *fail = NULL;
    for (size_t i = 0; i < count; i++) {
        items[i].wave = &wave;
        struct status *own = start_removal(a, r, &items[i], options);
        fail = fail ? fail : own;
    }
    pthread_mutex_lock(&wave.lock);
    while (wave.left > 0)
        pthread_cond_wait(&wave.all_done, &wave.lock);
    pthread_mutex_unlock(&wave.lock);
    pthread_cond_destroy(&wave.all_done);
    pthread_mutex_destroy(&wave.lock);
    return fail;
}

static void release_object(void *object)
{
    (void)object_unref(object);
}

/* Keeps those that changed meanwhile, as they are now; those that are gone are done. */
static size_t keep_conflicts(struct arena *a, const struct resource *r, struct removal *items, size_t count,
                             struct status **fail)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        const struct removal m = items[i];
        if (m.result == 0 || m.result == ERRC_NOT_FOUND)
            continue;
        if (m.result != ERRC_CONFLICT) {
            *fail = *fail ? *fail : storage_status(a, m.result, &m.err, r, m.object->name);
            continue;
        }
        struct object *now = store_get(r->store, resource_key(a, r, m.object->namespace_, m.object->name));
        if (!now)
            continue;
        arena_on_release(a, release_object, now);
        items[left++] = (struct removal) { .object = now };
    }
    return left;
}

struct status *deletion_run_many(struct arena *a, const struct resource *r, struct object *const *objects, size_t count,
                                 const struct delete_options *options)
{
    struct status *fail = NULL;
    struct removal *items = arena_array_of(a, struct removal, count < WAVE ? count + 1 : WAVE);
    for (size_t at = 0; at < count;) {
        size_t n = 0;
        for (; n < WAVE && at < count; at++)
            items[n++] = (struct removal) { .object = objects[at] };
        for (unsigned tries = 0; n > 0 && tries < TRIES_MAX; tries++) {
            struct status *own = run_wave(a, r, items, n, options);
            fail = fail ? fail : own;
            n = keep_conflicts(a, r, items, n, &fail);
        }
        if (n > 0 && !fail)
            fail = storage_status(a, ERRC_CONFLICT, NULL, r, items[0].object->name);
    }
    return fail;
}
