/* SPDX-License-Identifier: Apache-2.0 */
/* POST on a collection. */
#include "base/clock.h"
#include "base/rand.h"
#include "handlers/internal.h"
#include "meta/names.h"
#include "meta/rfc3339.h"

#define GENERATE_TRIES 8 /* k8s.io/apiserver registry maxNameGenerationCreateAttempts */

struct creation {
    struct call *call;
    struct write_options options;
    struct draft draft;
    str prefix; /* generateName, when the name is ours to make */
    unsigned tries;
    struct commit commit;
};

static void name_it(struct creation *n)
{
    if (!str_is_empty(n->prefix))
        n->draft.metadata.fields[META_NAME] = json_string(n->call->arena, names_generate(n->call->arena, n->prefix));
}

/* What a client must not set, or only we can. */
static void fill_metadata(struct creation *n)
{
    struct call *c = n->call;
    struct metadata *m = &n->draft.metadata;
    char uuid[37];
    rand_uuid(uuid);
    m->fields[META_UID] = json_string(c->arena, arena_str(c->arena, str_from(uuid)));
    m->fields[META_CREATION_TIMESTAMP] = json_string(c->arena, rfc3339_seconds(c->arena, clock_realtime_ns()));
    m->fields[META_DELETION_TIMESTAMP] = NULL;
    m->fields[META_DELETION_GRACE] = NULL;
    m->fields[META_GENERATION] = NULL;
    if (!str_is_empty(c->resource->group)) /* kinds of v1 have no generation */
        m->fields[META_GENERATION] = json_int(c->arena, 1);
    str ns = call_namespace(c);
    m->fields[META_NAMESPACE] = str_is_empty(ns) ? NULL : json_string(c->arena, ns);
    if (!m->fields[META_NAME] && m->fields[META_GENERATE_NAME])
        n->prefix = m->fields[META_GENERATE_NAME]->text;
    name_it(n);
}

static struct status *check_identity(const struct creation *n)
{
    struct call *c = n->call;
    const struct metadata *m = &n->draft.metadata;
    if (m->fields[META_RESOURCE_VERSION] && !str_eq(m->fields[META_RESOURCE_VERSION]->text, S("0")))
        return status_new(c->arena, STATUS_BAD_REQUEST, "resourceVersion should not be set on objects to be created");
    str ns = json_str(m->fields[META_NAMESPACE]);
    if (!str_is_empty(ns) && !str_eq(ns, call_namespace(c)))
        return status_new(c->arena, STATUS_BAD_REQUEST,
                          "the namespace of the provided object does not match the namespace sent on the request");
    return NULL;
}

static struct status *draft_new(struct creation *n)
{
    struct call *c = n->call;
    struct json_notes notes = { 0 };
    const struct json *sent;
    struct body_source body = call_body(c);
    struct status *fail = body_decode(c->arena, &body, &notes, &sent);
    if (!fail)
        fail = draft_read(c, sent, &n->options, &notes, &n->draft);
    if (!fail)
        fail = check_identity(n);
    if (fail)
        return fail;
    n->draft.metadata.fields[META_RESOURCE_VERSION] = NULL;
    if (c->resource->has_status)
        n->draft.body = json_with(c->arena, n->draft.body, S("status"), NULL);
    if (namespaces_is_kind(c->api, c->resource))
        n->draft.body = json_with_at(c->arena, n->draft.body, "status.phase", json_string(c->arena, S("Active")));
    fill_metadata(n);
    return namespaces_check_create(c);
}

static struct status *exists(const struct creation *n, bool is_generated)
{
    struct call *c = n->call;
    str name = json_str(n->draft.metadata.fields[META_NAME]);
    struct status *s = status_already_exists(c->arena, c->resource->group, c->resource->plural, name);
    CLEANUP(object_unrefp)
    struct object *o = store_get(c->resource->store, resource_key(c->arena, c->resource, call_namespace(c), name));
    if (is_generated) {
        s->retry_after_seconds = 1;
        s->message = arena_printf(c->arena, "%.*s, the server was not able to generate a unique name for the object",
                                  STR_ARG(s->message));
    } else if (o && o->is_deleting) {
        s->message = arena_printf(c->arena, "object is being deleted: %.*s", STR_ARG(s->message));
    }
    return s;
}

static void write(struct creation *n);

static void on_done(struct commit *m, int result, struct object *object, const struct error *err)
{
    struct creation *n = CONTAINER_OF(m, struct creation, commit);
    struct call *c = n->call;
    bool is_generated = !str_is_empty(n->prefix);
    if (result == 0) {
        commit_answer(m, 201, object);
    } else if (result == ERRC_EXISTS && is_generated && ++n->tries < GENERATE_TRIES) {
        name_it(n);
        m->tree = json_with_at(c->arena, m->tree, "metadata.name", n->draft.metadata.fields[META_NAME]);
        write(n);
    } else if (result == ERRC_EXISTS) {
        call_fail(c, exists(n, is_generated));
    } else {
        str name = json_str(n->draft.metadata.fields[META_NAME]);
        call_fail(c, storage_status(c->arena, result, err, c->resource, name));
    }
}

static void write(struct creation *n)
{
    struct call *c = n->call;
    n->commit.write = (struct storage_write) {
        .kind = STORAGE_PUT,
        .expect = STORAGE_EXPECT_ABSENT,
        .key = resource_key(c->arena, c->resource, call_namespace(c), json_str(n->draft.metadata.fields[META_NAME])),
    };
    commit_start(&n->commit);
}

static void dry_run(struct creation *n)
{
    struct call *c = n->call;
    str key = resource_key(c->arena, c->resource, call_namespace(c), json_str(n->draft.metadata.fields[META_NAME]));
    CLEANUP(object_unrefp) struct object *o = store_get(c->resource->store, key);
    if (o)
        call_fail(c, exists(n, false));
    else
        answer_object_tree(c, 201, n->commit.tree);
}

static void run(struct call *c)
{
    struct creation *n = arena_new_of(c->arena, struct creation);
    n->call = n->commit.call = c;
    n->commit.on_done = on_done;
    struct status *fail = write_options_parse(c->arena, &c->query, S("CreateOptions"), &n->options);
    c->is_dry_run = n->options.is_dry_run;
    if (!fail)
        fail = draft_new(n);
    if (!fail)
        fail = draft_finish(c, &n->draft, NULL, false, &n->commit.tree);
    if (fail)
        call_fail(c, fail);
    else if (c->is_dry_run)
        dry_run(n);
    else
        write(n);
}

void handle_create(struct call *c)
{
    call_on_worker(c, run);
}
