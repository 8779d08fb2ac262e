/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of a resource. kubectl reads two things from PATCH: the query parameter fieldValidation (then it
 * leaves validation to the server) and the content types (a strategic merge patch must not be among them).
 */
#include "internal.h"

#include <ctype.h>

#include "meta/gvk.h"

struct parameter {
    const char *name, *type, *description;
    unsigned groups; /* which operations have it */
};

enum {
    FOR_LIST = 1 << 0,
    FOR_WRITE = 1 << 1,
    FOR_DELETE = 1 << 2,
    FOR_DELETE_COLLECTION = 1 << 3,
    FOR_ACTION = 1 << 4,
    FOR_GET = 1 << 5,
};

#define FOR_SELECTION (FOR_LIST | FOR_DELETE_COLLECTION)
#define FOR_CHANGES (FOR_WRITE | FOR_DELETE | FOR_DELETE_COLLECTION | FOR_ACTION)

static const struct parameter parameters[] = {
    { "allowWatchBookmarks", "boolean", "Send BOOKMARK events in a watch.", FOR_LIST },
    { "continue", "string", "Token of the page before.", FOR_SELECTION },
    { "dryRun", "string", "All: check everything, change nothing.", FOR_CHANGES },
    { "fieldManager", "string", "Name of who writes.", FOR_WRITE },
    { "fieldSelector", "string", "Only objects with these fields.", FOR_SELECTION },
    { "fieldValidation", "string", "What unknown and duplicate fields do: Ignore, Warn or Strict.",
      FOR_WRITE | FOR_ACTION },
    { "gracePeriodSeconds", "integer", "Seconds until it takes effect.", FOR_DELETE | FOR_DELETE_COLLECTION },
    { "labelSelector", "string", "Only objects with these labels.", FOR_SELECTION },
    { "limit", "integer", "At most so many objects.", FOR_SELECTION },
    { "orphanDependents", "boolean", "Use propagationPolicy instead.", FOR_DELETE | FOR_DELETE_COLLECTION },
    { "pretty", "string", "true: indented.",
      FOR_LIST | FOR_WRITE | FOR_DELETE | FOR_DELETE_COLLECTION | FOR_ACTION | FOR_GET },
    { "propagationPolicy", "string", "What happens to dependents: Orphan, Background or Foreground.",
      FOR_DELETE | FOR_DELETE_COLLECTION },
    { "resourceVersion", "string", "State to read from.", FOR_SELECTION },
    { "resourceVersionMatch", "string", "How resourceVersion is meant: Exact or NotOlderThan.", FOR_SELECTION },
    { "sendInitialEvents", "boolean", "Begin a watch with what exists.", FOR_LIST },
    { "timeoutSeconds", "integer", "How long the call may last.", FOR_SELECTION },
    { "watch", "boolean", "Stay and send changes.", FOR_LIST },
};

/* One operation to be. */
struct operation {
    const struct resource *r;
    const char *method; /* "get", also the key in the path item */
    const char *action; /* x-kubernetes-action */
    const char *verb;   /* begins the operationId */
    str suffix;         /* ends the operationId: "Status" */
    bool is_namespaced; /* the path names a namespace */
    unsigned parameters;
    str group, version, kind; /* x-kubernetes-group-version-kind */
    str request;              /* definition of the body; empty: none */
    str response;             /* definition of the answer */
    bool may_create;          /* also answers 201 */
    str description;
};

static const struct json *type_of(struct openapi *o, const char *type, bool is_unique)
{
    return JSON_OBJECT_OF(o->arena, JSON_MEMBER("type", openapi__text(o, str_from(type))),
                          JSON_MEMBER("uniqueItems", is_unique ? &json_true_value : NULL));
}

static const struct json *parameter_object(struct openapi *o, const char *where, const struct parameter *p)
{
    bool is_path = str_eq(str_from(where), S("path"));
    const struct json *type = type_of(o, p->type, true);
    const struct json *head = JSON_OBJECT_OF(o->arena, JSON_MEMBER("name", openapi__text(o, str_from(p->name))),
                                             JSON_MEMBER("in", openapi__text(o, str_from(where))),
                                             JSON_MEMBER("description", openapi__text(o, str_from(p->description))),
                                             JSON_MEMBER("required", is_path ? &json_true_value : NULL),
                                             JSON_MEMBER("schema", o->is_v3 ? type : NULL));
    for (size_t i = 0; !o->is_v3 && i < type->count; i++)
        head = json_with(o->arena, head, type->members[i].key, type->members[i].value);
    return head;
}

/* Content types. */
struct media {
    const char *types[4]; /* NULL ends the list */
};

static const struct media json_media = { { "application/json", "application/yaml" } };
static const struct media list_media = { { "application/json", "application/yaml", "application/json;stream=watch" } };
static const struct media patch_media = { { "application/json-patch+json", "application/merge-patch+json" } };

static const struct json *media_list(struct openapi *o, const struct media *media)
{
    struct json_builder b;
    json_builder_init(&b, o->arena);
    for (size_t i = 0; media->types[i]; i++)
        json_builder_add(&b, S(""), openapi__text(o, str_from(media->types[i])));
    return json_builder_array(&b);
}

/* {"application/json": {"schema": …}, …} */
static const struct json *content(struct openapi *o, const struct media *media, const struct json *schema)
{
    struct json_builder b;
    json_builder_init(&b, o->arena);
    for (size_t i = 0; media->types[i]; i++)
        json_builder_add(&b, str_from(media->types[i]), JSON_OBJECT_OF(o->arena, JSON_MEMBER("schema", schema)));
    return json_builder_object(&b);
}

static const struct media *request_media(const struct operation *op)
{
    return str_eq(str_from(op->method), S("patch")) ? &patch_media : &json_media;
}

static const struct media *response_media(const struct operation *op)
{
    return op->parameters & FOR_LIST ? &list_media : &json_media;
}

static const struct json *response(struct openapi *o, const struct operation *op, const char *description)
{
    const struct json *schema = openapi__ref(o, op->response);
    const struct json *text = openapi__text(o, str_from(description));
    if (!o->is_v3)
        return JSON_OBJECT_OF(o->arena, JSON_MEMBER("description", text), JSON_MEMBER("schema", schema));
    return JSON_OBJECT_OF(o->arena, JSON_MEMBER("description", text),
                          JSON_MEMBER("content", content(o, response_media(op), schema)));
}

static const struct json *responses(struct openapi *o, const struct operation *op)
{
    const struct json *unauthorized =
        JSON_OBJECT_OF(o->arena, JSON_MEMBER("description", openapi__text(o, S("Unauthorized"))));
    return JSON_OBJECT_OF(o->arena, JSON_MEMBER("200", response(o, op, "OK")),
                          JSON_MEMBER("201", op->may_create ? response(o, op, "Created") : NULL),
                          JSON_MEMBER("401", unauthorized));
}

/* A body is required, but for the options of a deletion and the parameters of an action. */
static bool needs_body(const struct operation *op)
{
    return (op->parameters & FOR_WRITE) != 0;
}

static const struct json *v2_body(struct openapi *o, const struct operation *op)
{
    return JSON_OBJECT_OF(o->arena, JSON_MEMBER("name", openapi__text(o, S("body"))),
                          JSON_MEMBER("in", openapi__text(o, S("body"))),
                          JSON_MEMBER("required", needs_body(op) ? &json_true_value : NULL),
                          JSON_MEMBER("schema", openapi__ref(o, op->request)));
}

static const struct json *v3_body(struct openapi *o, const struct operation *op)
{
    const struct json *types = content(o, request_media(op), openapi__ref(o, op->request));
    return JSON_OBJECT_OF(o->arena, JSON_MEMBER("required", needs_body(op) ? &json_true_value : NULL),
                          JSON_MEMBER("content", types));
}

static const struct json *operation_parameters(struct openapi *o, const struct operation *op)
{
    struct json_builder b;
    json_builder_init(&b, o->arena);
    if (!o->is_v3 && op->request.len)
        json_builder_add(&b, S(""), v2_body(o, op));
    for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
        if (parameters[i].groups & op->parameters)
            json_builder_add(&b, S(""), parameter_object(o, "query", &parameters[i]));
    return json_builder_array(&b);
}

/* "postgres.example.io", "v1" → "PostgresExampleIoV1"; the core group is "CoreV1". */
static str camel(struct arena *a, str group, str version)
{
    str text = group.len ? arena_printf(a, "%.*s.%.*s", STR_ARG(group), STR_ARG(version))
                         : arena_printf(a, "core.%.*s", STR_ARG(version));
    char *out = arena_z(a, text);
    size_t len = 0;
    bool is_start = true;
    for (size_t i = 0; i < text.len; i++) {
        bool is_dot = text.ptr[i] == '.' || text.ptr[i] == '-';
        if (!is_dot)
            out[len++] = is_start ? (char)toupper((unsigned char)text.ptr[i]) : text.ptr[i];
        is_start = is_dot;
    }
    return str_of(out, len);
}

static str operation_id(struct arena *a, const struct operation *op)
{
    str group = camel(a, op->r->group, op->r->version);
    return arena_printf(a, "%s%.*s%s%.*s%.*s", op->verb, STR_ARG(group), op->is_namespaced ? "Namespaced" : "",
                        STR_ARG(op->r->kind), STR_ARG(op->suffix));
}

static const struct json *operation(struct openapi *o, const struct operation *op)
{
    struct arena *a = o->arena;
    bool is_v2 = !o->is_v3;
    bool has_body = op->request.len > 0;
    str tag = camel(a, op->r->group, op->r->version);
    return JSON_OBJECT_OF(
        a, JSON_MEMBER("description", openapi__text(o, op->description)),
        JSON_MEMBER("operationId", openapi__text(o, operation_id(a, op))),
        JSON_MEMBER("tags", JSON_ARRAY_OF(a, openapi__text(o, tag))),
        JSON_MEMBER("consumes", is_v2 && has_body ? media_list(o, request_media(op)) : NULL),
        JSON_MEMBER("produces", is_v2 ? media_list(o, response_media(op)) : NULL),
        JSON_MEMBER("parameters", operation_parameters(o, op)),
        JSON_MEMBER("requestBody", o->is_v3 && has_body ? v3_body(o, op) : NULL),
        JSON_MEMBER("responses", responses(o, op)),
        JSON_MEMBER("x-kubernetes-action", openapi__text(o, str_from(op->action))),
        JSON_MEMBER("x-kubernetes-group-version-kind", openapi__gvk(o, op->group, op->version, op->kind)));
}

/* The parameters in the path itself. */
static const struct json *path_parameters(struct openapi *o, bool has_namespace, bool has_name)
{
    static const struct parameter namespace_ = { "namespace", "string", "Namespace of the object.", 0 };
    static const struct parameter name = { "name", "string", "Name of the object.", 0 };
    struct json_builder b;
    json_builder_init(&b, o->arena);
    if (has_name)
        json_builder_add(&b, S(""), parameter_object(o, "path", &name));
    if (has_namespace)
        json_builder_add(&b, S(""), parameter_object(o, "path", &namespace_));
    return b.count ? json_builder_array(&b) : NULL;
}

struct path {
    struct openapi *o;
    const struct resource *r;
    struct json_builder item;
    str text;
    bool has_namespace, has_name;
};

static str root_of(struct arena *a, str group, str version)
{
    return group.len ? arena_printf(a, "/apis/%.*s/%.*s", STR_ARG(group), STR_ARG(version))
                     : arena_printf(a, "/api/%.*s", STR_ARG(version));
}

static void path_begin(struct path *p, struct openapi *o, const struct resource *r, const char *tail)
{
    struct arena *a = o->arena;
    *p = (struct path) { .o = o, .r = r };
    json_builder_init(&p->item, a);
    p->has_namespace = r->is_namespaced;
    p->has_name = tail[0] != '\0';
    str root = root_of(a, r->group, r->version);
    p->text = arena_printf(a, "%.*s%s/%.*s%s", STR_ARG(root), r->is_namespaced ? "/namespaces/{namespace}" : "",
                           STR_ARG(r->plural), tail);
}

static void path_end(struct path *p)
{
    const struct json *shared = path_parameters(p->o, p->has_namespace, p->has_name);
    if (p->item.count == 0)
        return;
    json_builder_add(&p->item, S("parameters"), shared);
    json_builder_add(&p->o->paths, p->text, json_builder_object(&p->item));
}

static void path_add(struct path *p, const struct operation *op)
{
    json_builder_add(&p->item, str_from(op->method), operation(p->o, op));
}

/* What all operations on the kind itself share. */
static struct operation basic(const struct path *p, const char *method, const char *action, const char *verb)
{
    const struct resource *r = p->r;
    struct arena *a = p->o->arena;
    return (struct operation) {
        .r = r,
        .method = method,
        .action = action,
        .verb = verb,
        .is_namespaced = p->has_namespace,
        .group = r->group,
        .version = r->version,
        .kind = r->kind,
        .response = openapi__definition_name(a, r, r->kind),
        .description = arena_printf(a, "%s %.*s", verb, STR_ARG(r->kind)),
    };
}

static void add_list(struct path *p, const char *suffix)
{
    struct operation op = basic(p, "get", "list", "list");
    op.parameters = FOR_LIST;
    op.suffix = str_from(suffix);
    op.response = openapi__definition_name(p->o->arena, p->r, p->r->list_kind);
    path_add(p, &op);
}

static void add_delete(struct path *p, const char *action, unsigned groups)
{
    struct operation op = basic(p, "delete", action, action);
    op.parameters = groups;
    op.request = S(META_TYPES "DeleteOptions");
    op.response = S(META_TYPES "Status");
    path_add(p, &op);
}

static void add_collection(struct openapi *o, const struct resource *r)
{
    struct path p;
    path_begin(&p, o, r, "");
    if (r->verbs & VERB_LIST)
        add_list(&p, "");
    if (r->verbs & VERB_CREATE) {
        struct operation op = basic(&p, "post", "post", "create");
        op.parameters = FOR_WRITE;
        op.request = op.response;
        op.may_create = true;
        path_add(&p, &op);
    }
    if (r->verbs & VERB_DELETE_COLLECTION)
        add_delete(&p, "deletecollection", FOR_DELETE_COLLECTION);
    path_end(&p);
}

/* Over all namespaces. */
static void add_all_namespaces(struct openapi *o, const struct resource *r)
{
    if (!r->is_namespaced || !(r->verbs & VERB_LIST))
        return;
    struct path p;
    path_begin(&p, o, r, "");
    str root = root_of(o->arena, r->group, r->version);
    p.text = arena_printf(o->arena, "%.*s/%.*s", STR_ARG(root), STR_ARG(r->plural));
    p.has_namespace = false;
    add_list(&p, "ForAllNamespaces");
    path_end(&p);
}

/* get, put and patch of the object, its status or its scale: the same with other types. */
static void add_reads_and_writes(struct path *p, unsigned verbs, str suffix, const struct operation *types)
{
    static const struct {
        unsigned verb;
        const char *method, *verb_name;
    } all[] = {
        { VERB_GET, "get", "read" },
        { VERB_UPDATE, "put", "replace" },
        { VERB_PATCH, "patch", "patch" },
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (!(verbs & all[i].verb))
            continue;
        struct operation op = basic(p, all[i].method, all[i].method, all[i].verb_name);
        op.suffix = suffix;
        op.group = types->group;
        op.version = types->version;
        op.kind = types->kind;
        op.response = types->response;
        op.parameters = all[i].verb == VERB_GET ? FOR_GET : FOR_WRITE;
        if (all[i].verb == VERB_UPDATE)
            op.request = op.response;
        if (all[i].verb == VERB_PATCH)
            op.request = S(META_TYPES "Patch");
        path_add(p, &op);
    }
}

static void add_object(struct openapi *o, const struct resource *r)
{
    struct path p;
    path_begin(&p, o, r, "/{name}");
    struct operation types = basic(&p, "", "", "");
    add_reads_and_writes(&p, r->verbs, S(""), &types);
    if (r->verbs & VERB_DELETE)
        add_delete(&p, "delete", FOR_DELETE);
    path_end(&p);
}

static void add_subresources(struct openapi *o, const struct resource *r)
{
    struct path p;
    unsigned verbs = VERB_GET | VERB_UPDATE | VERB_PATCH;
    if (r->has_status) {
        path_begin(&p, o, r, "/{name}/status");
        struct operation types = basic(&p, "", "", "");
        add_reads_and_writes(&p, verbs, S("Status"), &types);
        path_end(&p);
    }
    if (r->scale_spec_path) {
        path_begin(&p, o, r, "/{name}/scale");
        struct operation types = {
            .group = S("autoscaling"), .version = S("v1"), .kind = S("Scale"), .response = S(SCALE_TYPE)
        };
        add_reads_and_writes(&p, verbs, S("Scale"), &types);
        path_end(&p);
    }
}

static void add_action(struct openapi *o, const struct resource *r, const struct resource_action *action)
{
    struct path p;
    struct arena *a = o->arena;
    path_begin(&p, o, r, arena_printf(a, "/{name}/%.*s", STR_ARG(action->name)).ptr);
    struct operation op = basic(&p, "post", "post", "create");
    char *suffix = arena_z(a, action->name);
    suffix[0] = (char)toupper((unsigned char)suffix[0]);
    op.suffix = str_from(suffix);
    op.parameters = FOR_ACTION;
    op.kind = action->request_kind;
    op.request = openapi__definition_name(a, r, action->request_kind);
    op.response = openapi__definition_name(a, r, action->response_kind);
    op.may_create = true;
    op.description = json_str(json_get(schema_document(action->request_schema), S("description")));
    path_add(&p, &op);
    path_end(&p);
}

void openapi__add_paths(struct openapi *o, const struct resource *r)
{
    add_all_namespaces(o, r);
    add_collection(o, r);
    add_object(o, r);
    add_subresources(o, r);
    for (size_t i = 0; i < r->action_count; i++)
        add_action(o, r, &r->actions[i]);
}

void openapi__add_discovery_path(struct openapi *o, str group, str version)
{
    struct arena *a = o->arena;
    struct operation op = { .response = S(META_TYPES "APIResourceList") };
    str name = camel(a, group, version);
    const struct json *get = JSON_OBJECT_OF(
        a, JSON_MEMBER("description", openapi__text(o, S("The resources of this group and version."))),
        JSON_MEMBER("operationId", openapi__text(o, arena_printf(a, "get%.*sAPIResources", STR_ARG(name)))),
        JSON_MEMBER("tags", JSON_ARRAY_OF(a, openapi__text(o, name))),
        JSON_MEMBER("produces", o->is_v3 ? NULL : media_list(o, &json_media)),
        JSON_MEMBER("responses", responses(o, &op)));
    str path = arena_printf(a, "%.*s/", STR_ARG(root_of(a, group, version)));
    json_builder_add(&o->paths, path, JSON_OBJECT_OF(a, JSON_MEMBER("get", get)));
}
