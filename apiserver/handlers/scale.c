/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scale subresource, autoscaling/v1 Scale: a view of the object's number of instances. Writes become updates of the
 * object, so that every rule of the kind holds for them as well.
 */
#include "handlers/internal.h"

const struct json *scale_tree(struct arena *a, const struct resource *r, const struct json *object)
{
    static const str kept[] = { S_INIT("name"), S_INIT("namespace"), S_INIT("uid"), S_INIT("resourceVersion"),
                                S_INIT("creationTimestamp") };
    const struct json *metadata = json_get(object, S("metadata"));
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        json_builder_add(&b, kept[i], json_get(metadata, kept[i]));
    int64_t wanted = json_int_at(object, r->scale_spec_path, 0);
    int64_t seen = r->scale_status_path ? json_int_at(object, r->scale_status_path, 0) : 0;
    str selector = r->scale_selector_path ? json_str_at(object, r->scale_selector_path) : (str) { 0 };
    const struct json *selector_tree = str_is_empty(selector) ? NULL : json_string(a, selector);
    return JSON_OBJECT_OF(a, JSON_MEMBER("kind", json_string(a, S("Scale"))),
                          JSON_MEMBER("apiVersion", json_string(a, S("autoscaling/v1"))),
                          JSON_MEMBER("metadata", json_builder_object(&b)),
                          JSON_MEMBER("spec", JSON_OBJECT_OF(a, JSON_MEMBER("replicas", json_int(a, wanted)))),
                          JSON_MEMBER("status", JSON_OBJECT_OF(a, JSON_MEMBER("replicas", json_int(a, seen)),
                                                               JSON_MEMBER("selector", selector_tree))));
}

static struct status *check_scale(struct arena *a, const struct json *scale, str name)
{
    str kind = json_str_at(scale, "kind"), version = json_str_at(scale, "apiVersion");
    if (!json_is(scale, JSON_OBJECT) || (!str_is_empty(kind) && !str_eq(kind, S("Scale"))) ||
        (!str_is_empty(version) && !str_eq(version, S("autoscaling/v1"))))
        return status_new(a, STATUS_BAD_REQUEST, "the body of the request must be an autoscaling/v1 Scale");
    const struct json *metadata = json_get(scale, S("metadata")), *replicas = json_at(scale, "spec.replicas");
    if (metadata && metadata->type != JSON_OBJECT)
        return status_new(a, STATUS_BAD_REQUEST, "the object provided is unrecognized: metadata: must be an object");
    int64_t number = 0;
    bool is_number = !replicas || replicas->type == JSON_NULL || json_to_int(replicas, &number);
    if (!is_number)
        return status_new(a, STATUS_BAD_REQUEST,
                          "the object provided is unrecognized: spec.replicas: must be an "
                          "integer");
    str sent_name = json_str_at(scale, "metadata.name");
    if (!str_is_empty(sent_name) && !str_eq(sent_name, name))
        return status_new(a, STATUS_BAD_REQUEST,
                          "the name of the object (%.*s) does not match the name on the URL (%.*s)",
                          STR_ARG(str_first(sent_name, 253)), STR_ARG(name));
    if (number >= 0 && number <= INT32_MAX)
        return NULL;
    struct field_errors errors;
    field_errors_init(&errors, a);
    field_error_add(&errors, FIELD_INVALID, S("spec.replicas"), replicas,
                    number < 0 ? "must be greater than or equal to 0" : "must be less than or equal to 2147483647");
    return field_errors_to_status(&errors, S("autoscaling"), S("Scale"), name);
}

static void note_others(struct arena *a, const struct json *object, const char *path, str known,
                        struct json_notes *notes)
{
    for (size_t i = 0; json_is(object, JSON_OBJECT) && i < object->count; i++) {
        str key = object->members[i].key;
        bool is_known = false;
        for (str rest = known, field; !is_known && str_next_field(&rest, ' ', &field);)
            is_known = str_eq(field, key);
        if (!is_known)
            json_notes_add(a, notes, arena_printf(a, "unknown field \"%s%.*s\"", path, STR_ARG(str_first(key, 253))));
    }
}

/* A Scale is no kind of ours, so that no schema prunes it. Its metadata says nothing but what it is about. */
static struct status *check_fields(struct update *u, const struct json *scale)
{
    struct call *c = u->call;
    struct json_notes notes = u->notes;
    note_others(c->arena, scale, "", S("apiVersion kind metadata spec status"), &notes);
    note_others(c->arena, json_get(scale, S("spec")), "spec.", S("replicas"), &notes);
    note_others(c->arena, json_get(scale, S("status")), "status.", S("replicas selector"), &notes);
    return notes_judge(c, S("Scale"), S("v1"), &notes, u->options.field_validation);
}

/* The object with what the Scale says: replicas, and uid and resourceVersion as conditions. */
static const struct json *merge(struct update *u, const struct json *current, const struct json *scale,
                                struct status **fail)
{
    struct call *c = u->call;
    *fail = check_scale(c->arena, scale, c->info.name);
    if (!*fail)
        *fail = check_fields(u, scale);
    if (*fail)
        return NULL;
    const struct json *replicas = json_at(scale, "spec.replicas");
    const struct json *wanted = json_is(replicas, JSON_NUMBER) ? replicas : json_int(c->arena, 0);
    const struct json *tree = json_with_at(c->arena, current, c->resource->scale_spec_path, wanted);
    const struct json *version = json_at(scale, "metadata.resourceVersion"), *uid = json_at(scale, "metadata.uid");
    if (!str_is_empty(json_str(uid)))
        tree = json_with_at(c->arena, tree, "metadata.uid", uid);
    u->is_versioned = !u->may_be_unversioned;
    return str_is_empty(json_str(version)) ? tree : json_with_at(c->arena, tree, "metadata.resourceVersion", version);
}

static const struct json *make_from_body(struct update *u, const struct json *current, struct status **fail)
{
    return merge(u, current, u->sent, fail);
}

static const struct json *make_from_patch(struct update *u, const struct json *current, struct status **fail)
{
    const struct json *scale = scale_tree(u->call->arena, u->call->resource, current);
    const struct json *patched = patch_apply(u, scale, fail);
    return patched ? merge(u, current, patched, fail) : NULL;
}

static void put(struct call *c)
{
    struct update *u = update_new(c, S("UpdateOptions"));
    if (!u)
        return;
    struct body_source body = call_body(c);
    struct status *fail = body_decode(c->arena, &body, &u->notes, &u->sent);
    if (!fail)
        fail = check_scale(c->arena, u->sent, c->info.name);
    if (fail) {
        call_fail(c, fail);
        return;
    }
    u->is_scale = true;
    u->may_be_unversioned = str_is_empty(json_str_at(u->sent, "metadata.resourceVersion"));
    u->make = make_from_body;
    update_run(u);
}

static void patch(struct call *c)
{
    struct update *u = patch_new(c);
    if (!u)
        return;
    u->is_scale = u->may_be_unversioned = true;
    u->make = make_from_patch;
    update_run(u);
}

static void get(struct call *c)
{
    CLEANUP(object_unrefp) struct object *o = store_get(c->resource->store, call_key(c));
    if (o)
        answer_object_tree(c, 200, scale_tree(c->arena, c->resource, object_parse(c->arena, o)));
    else
        call_fail(c, call_not_found(c));
}

void handle_scale_get(struct call *c)
{
    call_on_worker(c, get);
}

void handle_scale_update(struct call *c)
{
    call_on_worker(c, put);
}

void handle_scale_patch(struct call *c)
{
    call_on_worker(c, patch);
}
