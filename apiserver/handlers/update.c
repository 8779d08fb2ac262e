/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PUT, and the loop that PUT, PATCH, status and scale share: read the object, make the wanted one, compare, write with
 * the revision that was read as the condition; on a conflict once more, unless the client named the revision.
 */
#include "handlers/internal.h"

#define TRIES_MAX 5

static void release_object(void *object)
{
    (void)object_unref(object);
}

static str name_of(const struct update *u)
{
    return u->call->info.name;
}

static struct status *conflict(const struct update *u, str cause)
{
    const struct resource *r = u->call->resource;
    return status_conflict(u->call->arena, r->group, r->plural, name_of(u), cause);
}

static struct status *modified(const struct update *u)
{
    return storage_status(u->call->arena, ERRC_CONFLICT, NULL, u->call->resource, name_of(u));
}

static struct status *check_identity(const struct update *u, const struct metadata *sent)
{
    struct call *c = u->call;
    str name = json_str(sent->fields[META_NAME]), ns = json_str(sent->fields[META_NAMESPACE]);
    if (str_is_empty(name))
        return status_new(c->arena, STATUS_BAD_REQUEST,
                          "the name of the object (%.*s based on URL) was undeterminable: name must be provided",
                          STR_ARG(c->info.name));
    if (!str_eq(name, c->info.name))
        return status_new(c->arena, STATUS_BAD_REQUEST,
                          "the name of the object (%.*s) does not match the name on the URL (%.*s)",
                          STR_ARG(str_first(name, 253)), STR_ARG(c->info.name));
    if (!str_is_empty(ns) && !str_eq(ns, call_namespace(c)))
        return status_new(c->arena, STATUS_BAD_REQUEST,
                          "the namespace of the object (%.*s) does not match the namespace on the request (%.*s)",
                          STR_ARG(str_first(ns, 253)), STR_ARG(call_namespace(c)));
    str uid = json_str(sent->fields[META_UID]);
    if (!str_is_empty(uid) && !str_eq(uid, u->current->uid))
        return conflict(u, arena_printf(c->arena,
                                        "Precondition failed: UID in precondition: %.*s, UID in object meta: %.*s",
                                        STR_ARG(str_first(uid, 64)), STR_ARG(u->current->uid)));
    return NULL;
}

static struct status *check_version(struct update *u, const struct metadata *sent)
{
    struct call *c = u->call;
    str text = json_str(sent->fields[META_RESOURCE_VERSION]);
    if (str_is_empty(text)) {
        if (u->may_be_unversioned)
            return NULL;
        struct field_errors errors;
        field_errors_init(&errors, c->arena);
        field_error_add(&errors, FIELD_INVALID, S("metadata.resourceVersion"), json_int(c->arena, 0),
                        "must be specified for an update");
        return field_errors_to_status(&errors, c->resource->group, c->resource->kind, name_of(u));
    }
    rv version;
    struct status *fail = resource_version_parse(c->arena, text, &version);
    if (fail)
        return fail;
    return version == u->current->resource_version ? NULL : modified(u);
}

static struct status *check_finalizers(const struct update *u, const struct metadata *old, const struct metadata *sent)
{
    struct call *c = u->call;
    if (!u->current->is_deleting)
        return NULL;
    const struct json *finalizers = sent->fields[META_FINALIZERS];
    struct field_errors errors;
    field_errors_init(&errors, c->arena);
    for (size_t i = 0; i < json_count(finalizers); i++) {
        str name = json_str(finalizers->items[i]);
        if (!metadata_has_finalizer(old, name))
            field_error_add(&errors, FIELD_FORBIDDEN, S("metadata.finalizers"), NULL,
                            "no new finalizers can be added if the object is being deleted, found new finalizers "
                            "[]string{\"%.*s\"}",
                            STR_ARG(str_first(name, 253)));
    }
    return field_errors_to_status(&errors, c->resource->group, c->resource->kind, name_of(u));
}

/* What the client may not change comes from the stored object. */
static void preserve(const struct update *u, const struct metadata *old, const struct json *current, struct draft *d)
{
    static const enum metadata_field kept[] = {
        META_NAME,       META_GENERATE_NAME,      META_NAMESPACE,          META_UID,
        META_GENERATION, META_CREATION_TIMESTAMP, META_DELETION_TIMESTAMP, META_DELETION_GRACE,
    };
    struct arena *a = u->call->arena;
    if (u->is_status) {
        d->metadata = *old;
        d->body = json_with(a, current, S("status"), json_get(d->body, S("status")));
    } else {
        for (size_t i = 0; i < ARRAY_LEN(kept); i++)
            d->metadata.fields[kept[i]] = old->fields[kept[i]];
        if (u->call->resource->has_status)
            d->body = json_with(a, d->body, S("status"), json_get(current, S("status")));
    }
    d->metadata.fields[META_RESOURCE_VERSION] = NULL;
}

static bool is_outside_generation(str key)
{
    return str_eq(key, S("metadata")) || str_eq(key, S("status"));
}

/* The members that count for metadata.generation, alone. */
static const struct json *generation_part(struct arena *a, const struct json *tree)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < json_count(tree); i++)
        if (!is_outside_generation(tree->members[i].key))
            json_builder_add(&b, tree->members[i].key, tree->members[i].value);
    return json_builder_object(&b);
}

static const struct json *bump_generation(const struct update *u, const struct json *tree, const struct json *old)
{
    struct arena *a = u->call->arena;
    if (u->is_status || str_is_empty(u->call->resource->group) ||
        json_equal(generation_part(a, tree), generation_part(a, old)))
        return tree;
    return json_with_at(a, tree, "metadata.generation", json_int(a, u->current->generation + 1));
}

static const struct json *without_version(struct arena *a, const struct json *tree)
{
    return json_with_at(a, tree, "metadata.resourceVersion", NULL);
}

/* From the stored tree to the one to write, without resourceVersion. */
static struct status *prepare(struct update *u, const struct json *current, const struct json **ret)
{
    struct call *c = u->call;
    struct status *fail = NULL;
    c->warnings.count = 0; /* of an earlier try */
    const struct json *wanted = u->make(u, current, &fail);
    if (!wanted)
        return fail;
    struct json_notes none = { 0 }, notes = u->is_scale ? none : u->notes; /* a Scale's are judged */
    struct metadata old;
    struct draft d;
    fail = metadata_read(c->arena, current, &none, &old);
    if (!fail)
        fail = draft_read(c, wanted, &u->options, &notes, &d);
    if (!fail)
        fail = check_identity(u, &d.metadata);
    if (!fail)
        fail = check_version(u, &d.metadata);
    if (!fail && !u->is_status)
        fail = check_finalizers(u, &old, &d.metadata);
    if (fail)
        return fail;
    u->is_versioned |= !u->may_be_unversioned;
    preserve(u, &old, current, &d);
    const struct json *tree;
    fail = draft_finish(c, &d, current, u->is_status, &tree);
    if (!fail)
        *ret = bump_generation(u, tree, current);
    return fail;
}

/* ---- the answer ------------------------------------------------------------------------------------------------- */

static void answer_tree(struct update *u, const struct json *tree)
{
    answer_object_tree(u->call, 200, u->is_scale ? scale_tree(u->call->arena, u->call->resource, tree) : tree);
}

static const struct json *with_version(const struct update *u, const struct json *tree, rv version)
{
    struct arena *a = u->call->arena;
    str text = arena_printf(a, "%llu", (unsigned long long)version);
    return json_with_at(a, tree, "metadata.resourceVersion", json_string(a, text));
}

/* What took the last finalizer away was not stored, but is what the client asked for. */
static void answer_on_worker(struct call *c)
{
    struct update *u = c->next_self;
    const struct object *o = u->commit.object;
    bool is_gone = u->commit.write.kind == STORAGE_DELETE;
    answer_tree(u, is_gone ? with_version(u, u->commit.tree, o->resource_version) : object_parse(c->arena, o));
}

static void answer_stored(struct update *u, struct object *o)
{
    if (!u->is_scale && u->commit.write.kind != STORAGE_DELETE) {
        commit_answer(&u->commit, 200, o);
        return;
    }
    u->commit.object = object_ref(o);
    arena_on_release(u->call->arena, release_object, o);
    u->call->next_self = u;
    call_on_worker(u->call, answer_on_worker);
}

static void again(struct call *c)
{
    update_run(c->next_self);
}

static void on_done(struct commit *m, int result, struct object *object, const struct error *err)
{
    struct update *u = CONTAINER_OF(m, struct update, commit);
    struct call *c = u->call;
    if (result == 0) {
        answer_stored(u, object);
    } else if (result == ERRC_CONFLICT && !u->is_versioned && ++u->tries < TRIES_MAX) {
        c->next_self = u;
        call_on_worker(c, again);
    } else {
        call_fail(c, storage_status(c->arena, result, err, c->resource, name_of(u)));
    }
}

static bool is_gone_after(const struct update *u, const struct json *tree)
{
    return u->current->is_deleting && json_count(json_at(tree, "metadata.finalizers")) == 0 &&
           !namespaces_is_kind(u->call->api, u->call->resource);
}

static void write(struct update *u, const struct json *tree)
{
    struct call *c = u->call;
    u->commit.tree = tree;
    u->commit.write = (struct storage_write) {
        .kind = is_gone_after(u, tree) ? STORAGE_DELETE : STORAGE_PUT,
        .expect = STORAGE_EXPECT_REVISION,
        .revision = u->current->resource_version,
        .key = call_key(c),
    };
    commit_start(&u->commit);
}

void update_run(struct update *u)
{
    struct call *c = u->call;
    u->current = store_get(c->resource->store, call_key(c));
    if (!u->current) {
        call_fail(c, call_not_found(c));
        return;
    }
    arena_on_release(c->arena, release_object, u->current);
    const struct json *current = object_parse(c->arena, u->current), *tree = NULL;
    struct status *fail = prepare(u, current, &tree);
    if (fail)
        call_fail(c, fail);
    else if (json_equal(tree, without_version(c->arena, current)))
        answer_stored(u, u->current);
    else if (c->is_dry_run)
        answer_tree(u, with_version(u, tree, u->current->resource_version));
    else
        write(u, tree);
}

struct update *update_new(struct call *c, str options_kind)
{
    struct update *u = arena_new_of(c->arena, struct update);
    u->call = u->commit.call = c;
    u->commit.on_done = on_done;
    struct status *fail = write_options_parse(c->arena, &c->query, options_kind, &u->options);
    if (fail) {
        call_fail(c, fail);
        return NULL;
    }
    c->is_dry_run = u->options.is_dry_run;
    return u;
}

/* ---- PUT ------------------------------------------------------------------------------------------------------------
 */

static const struct json *make_from_body(struct update *u, const struct json *current UNUSED, struct status **fail)
{
    if (!u->sent)
        *fail = status_new(u->call->arena, STATUS_BAD_REQUEST, "the body of the request is empty");
    return u->sent;
}

static void put(struct call *c, bool is_status)
{
    struct update *u = update_new(c, S("UpdateOptions"));
    if (!u)
        return;
    struct body_source body = call_body(c);
    struct status *fail = body_decode(c->arena, &body, &u->notes, &u->sent);
    if (fail) {
        call_fail(c, fail);
        return;
    }
    u->make = make_from_body;
    u->is_status = is_status;
    /* As upstream: the kinds of v1 take an update without a resourceVersion, declared kinds do not. */
    u->may_be_unversioned =
        str_is_empty(c->resource->group) && str_is_empty(json_str_at(u->sent, "metadata.resourceVersion"));
    update_run(u);
}

static void run(struct call *c)
{
    put(c, false);
}

static void run_status(struct call *c)
{
    put(c, true);
}

void handle_update(struct call *c)
{
    call_on_worker(c, run);
}

void handle_status_update(struct call *c)
{
    call_on_worker(c, run_status);
}
