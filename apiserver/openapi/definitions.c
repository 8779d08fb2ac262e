/* SPDX-License-Identifier: Apache-2.0 */
/* The schemas of a document: one per kind, list, action and type of Kubernetes. */
#include "internal.h"

const struct json *openapi__text(struct openapi *o, str s)
{
    return json_string(o->arena, s);
}

const struct json *openapi__ref(struct openapi *o, str definition)
{
    const char *prefix = o->is_v3 ? "#/components/schemas/" : "#/definitions/";
    str target = arena_printf(o->arena, "%s%.*s", prefix, STR_ARG(definition));
    return JSON_OBJECT_OF(o->arena, JSON_MEMBER("$ref", openapi__text(o, target)));
}

const struct json *openapi__gvk(struct openapi *o, str group, str version, str kind)
{
    return JSON_OBJECT_OF(o->arena, JSON_MEMBER("group", openapi__text(o, group)),
                          JSON_MEMBER("kind", openapi__text(o, kind)),
                          JSON_MEMBER("version", openapi__text(o, version)));
}

/* "postgres.example.io" → "io.example.postgres" */
static str reversed(struct arena *a, str group)
{
    str out = S("");
    str rest = group;
    for (str part; str_next_field(&rest, '.', &part);)
        out = arena_printf(a, "%.*s%s%.*s", STR_ARG(part), out.len ? "." : "", STR_ARG(out));
    return out;
}

str openapi__definition_name(struct arena *a, const struct resource *r, str kind)
{
    str prefix = r->group.len ? reversed(a, r->group) : S("io.k8s.api.core");
    return arena_printf(a, "%.*s.%.*s.%.*s", STR_ARG(prefix), STR_ARG(r->version), STR_ARG(kind));
}

/* A reference with a description of its own: in 3.0 nothing may stand beside $ref. */
static const struct json *described_ref(struct openapi *o, str definition, const struct json *description)
{
    const struct json *ref = openapi__ref(o, definition);
    if (!description)
        return ref;
    if (!o->is_v3)
        return json_with(o->arena, ref, S("description"), description);
    return JSON_OBJECT_OF(o->arena, JSON_MEMBER("description", description),
                          JSON_MEMBER("allOf", JSON_ARRAY_OF(o->arena, ref)));
}

static const struct json *convert(struct openapi *o, const struct json *node);

/* The values of an object of schemas. */
static const struct json *convert_each(struct openapi *o, const struct json *schemas)
{
    struct json_builder b;
    json_builder_init(&b, o->arena);
    for (size_t i = 0; i < json_count(schemas); i++)
        json_builder_add(&b, schemas->members[i].key, convert(o, schemas->members[i].value));
    return json_builder_object(&b);
}

/* A schema of ours in the words of the document's version: references are completed, and 2.0 knows no null. */
static const struct json *convert(struct openapi *o, const struct json *node)
{
    const struct json *ref = json_get(node, S("$ref"));
    if (ref)
        return described_ref(o, json_str(ref), json_get(node, S("description")));
    struct json_builder b;
    json_builder_init(&b, o->arena);
    for (size_t i = 0; i < json_count(node); i++) {
        str key = node->members[i].key;
        const struct json *value = node->members[i].value;
        if (str_eq(key, S("properties")))
            json_builder_add(&b, key, convert_each(o, value));
        else if (str_eq(key, S("items")) || str_eq(key, S("additionalProperties")))
            json_builder_add(&b, key, convert(o, value));
        else if (o->is_v3 || !str_eq(key, S("nullable")))
            json_builder_add(&b, key, value);
    }
    return json_builder_object(&b);
}

/* Puts apiVersion, kind and metadata before the properties of a schema and names its GVK. */
static const struct json *typed(struct openapi *o, const struct resource *r, str kind, const struct json *document)
{
    struct arena *a = o->arena;
    struct json_builder b;
    json_builder_init(&b, a);
    const struct json *string = openapi__text(o, S("string"));
    json_builder_add(
        &b, S("apiVersion"),
        JSON_OBJECT_OF(a, JSON_MEMBER("type", string),
                       JSON_MEMBER("description", openapi__text(o, S("Group and version of this document.")))));
    json_builder_add(&b, S("kind"),
                     JSON_OBJECT_OF(a, JSON_MEMBER("type", string),
                                    JSON_MEMBER("description", openapi__text(o, S("Kind of this document.")))));
    json_builder_add(&b, S("metadata"),
                     described_ref(o, S(META_TYPES "ObjectMeta"), openapi__text(o, S("Name, labels and the like."))));
    const struct json *converted = convert(o, document);
    const struct json *properties = json_get(converted, S("properties"));
    for (size_t i = 0; i < json_count(properties); i++)
        json_builder_add(&b, properties->members[i].key, properties->members[i].value);
    converted = json_with(a, converted, S("properties"), json_builder_object(&b));
    return json_with(a, converted, S("x-kubernetes-group-version-kind"),
                     JSON_ARRAY_OF(a, openapi__gvk(o, r->group, r->version, kind)));
}

static void define(struct openapi *o, const struct resource *r, str kind, const struct json *document)
{
    str name = openapi__definition_name(o->arena, r, kind);
    json_builder_add(&o->definitions, name, typed(o, r, kind, document));
}

static void define_list(struct openapi *o, const struct resource *r)
{
    struct arena *a = o->arena;
    const struct json *string = JSON_OBJECT_OF(a, JSON_MEMBER("type", openapi__text(o, S("string"))));
    const struct json *items =
        JSON_OBJECT_OF(a, JSON_MEMBER("description", openapi__text(o, S("The objects."))),
                       JSON_MEMBER("type", openapi__text(o, S("array"))),
                       JSON_MEMBER("items", openapi__ref(o, openapi__definition_name(a, r, r->kind))));
    const struct json *properties = JSON_OBJECT_OF(
        a, JSON_MEMBER("apiVersion", string), JSON_MEMBER("items", items), JSON_MEMBER("kind", string),
        JSON_MEMBER("metadata", described_ref(o, S(META_TYPES "ListMeta"), openapi__text(o, S("About the list.")))));
    const struct json *list = JSON_OBJECT_OF(
        a, JSON_MEMBER("description", openapi__text(o, arena_printf(a, "A list of %.*s.", STR_ARG(r->kind)))),
        JSON_MEMBER("type", openapi__text(o, S("object"))),
        JSON_MEMBER("required", JSON_ARRAY_OF(a, openapi__text(o, S("items")))), JSON_MEMBER("properties", properties),
        JSON_MEMBER("x-kubernetes-group-version-kind",
                    JSON_ARRAY_OF(a, openapi__gvk(o, r->group, r->version, r->list_kind))));
    json_builder_add(&o->definitions, openapi__definition_name(a, r, r->list_kind), list);
}

void openapi__define_resource(struct openapi *o, const struct resource *r)
{
    define(o, r, r->kind, schema_document(r->schema));
    define_list(o, r);
    for (size_t i = 0; i < r->action_count; i++) {
        const struct resource_action *action = &r->actions[i];
        define(o, r, action->request_kind, schema_document(action->request_schema));
        if (action->response_document)
            define(o, r, action->response_kind, action->response_document);
    }
}

void openapi__define_meta(struct openapi *o)
{
    for (size_t i = 0; i < json_count(o->meta); i++)
        json_builder_add(&o->definitions, o->meta->members[i].key, convert(o, o->meta->members[i].value));
}
