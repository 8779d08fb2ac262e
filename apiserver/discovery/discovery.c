/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discovery documents from the registry. Every subresource names a responseKind: client-go 0.26.0 to 0.26.3 crashes
 * without it. What users may not do is not listed, since controllers act on the verbs they find.
 */
#include "discovery/discovery.h"

#include "meta/gvk.h"

static const struct json *text(struct arena *a, str s)
{
    return json_string(a, s);
}

static const struct json *text_list(struct arena *a, const str *list, size_t count)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < count; i++)
        json_builder_add(&b, S(""), text(a, list[i]));
    return json_builder_array(&b);
}

/* Sorted by name, as upstream lists them. */
static const struct json *verb_list(struct arena *a, unsigned verbs)
{
    static const struct {
        unsigned verb;
        str name;
    } names[] = {
        { VERB_CREATE, S_INIT("create") },
        { VERB_DELETE, S_INIT("delete") },
        { VERB_DELETE_COLLECTION, S_INIT("deletecollection") },
        { VERB_GET, S_INIT("get") },
        { VERB_LIST, S_INIT("list") },
        { VERB_PATCH, S_INIT("patch") },
        { VERB_UPDATE, S_INIT("update") },
        { VERB_WATCH, S_INIT("watch") },
    };
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (verbs & names[i].verb)
            json_builder_add(&b, S(""), text(a, names[i].name));
    return json_builder_array(&b);
}

/* One subresource, in terms that both forms of discovery are made from. */
struct subresource {
    str name;
    str group, version, kind; /* of its answer */
    str accepted;             /* kind of the request body, when it is another than the answer's */
    unsigned verbs;
};

#define VERBS_SUBRESOURCE (VERB_GET | VERB_PATCH | VERB_UPDATE)

static size_t subresource_count(const struct resource *r)
{
    return (size_t)r->has_status + (size_t)(r->scale_spec_path != NULL) + r->action_count;
}

static struct subresource subresource_at(const struct resource *r, size_t i)
{
    if (r->has_status && i-- == 0)
        return (struct subresource) { S("status"), r->group, r->version, r->kind, S(""), VERBS_SUBRESOURCE };
    if (r->scale_spec_path && i-- == 0)
        return (struct subresource) { S("scale"), S("autoscaling"), S("v1"), S("Scale"), S(""), VERBS_SUBRESOURCE };
    const struct resource_action *action = &r->actions[i];
    return (struct subresource) { action->name,         r->group,   r->version, action->response_kind,
                                  action->request_kind, VERB_CREATE };
}

static bool is_shown(const struct resource *r)
{
    return !r->is_internal && r->verbs != 0;
}

size_t discovery_groups(const struct resource_registry *reg, struct discovery_group *ret, size_t max)
{
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < reg->count; i++) {
            const struct resource *r = reg->resources[i];
            bool is_core = str_is_empty(r->group);
            bool is_known = false;
            for (size_t k = 0; k < count; k++)
                is_known = is_known || str_eq(ret[k].group, r->group);
            if (is_shown(r) && is_core == (pass == 0) && !is_known && count < max)
                ret[count++] = (struct discovery_group) { r->group, r->version };
        }
    }
    return count;
}

static const struct json *gvk(struct arena *a, str group, str version, str kind)
{
    return JSON_OBJECT_OF(a, JSON_MEMBER("group", text(a, group)), JSON_MEMBER("version", text(a, version)),
                          JSON_MEMBER("kind", text(a, kind)));
}

static const struct json *aggregated_subresources(struct arena *a, const struct resource *r)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < subresource_count(r); i++) {
        struct subresource s = subresource_at(r, i);
        const struct json *accepted = NULL;
        if (s.accepted.len)
            accepted = JSON_ARRAY_OF(a, gvk(a, s.group, s.version, s.accepted));
        json_builder_add(&b, S(""),
                         JSON_OBJECT_OF(a, JSON_MEMBER("subresource", text(a, s.name)),
                                        JSON_MEMBER("responseKind", gvk(a, s.group, s.version, s.kind)),
                                        JSON_MEMBER("acceptedTypes", accepted),
                                        JSON_MEMBER("verbs", verb_list(a, s.verbs))));
    }
    return b.count ? json_builder_array(&b) : NULL;
}

static const struct json *list_or_null(struct arena *a, const str *list, size_t count)
{
    return count ? text_list(a, list, count) : NULL;
}

static const struct json *aggregated_resources(struct arena *a, const struct resource_registry *reg,
                                               const struct discovery_group *g)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < reg->count; i++) {
        const struct resource *r = reg->resources[i];
        if (!is_shown(r) || !str_eq(r->group, g->group))
            continue;
        const struct json *entry = JSON_OBJECT_OF(
            a, JSON_MEMBER("resource", text(a, r->plural)),
            JSON_MEMBER("responseKind", gvk(a, r->group, r->version, r->kind)),
            JSON_MEMBER("scope", text(a, r->is_namespaced ? S("Namespaced") : S("Cluster"))),
            JSON_MEMBER("singularResource", text(a, r->singular)), JSON_MEMBER("verbs", verb_list(a, r->verbs)),
            JSON_MEMBER("shortNames", list_or_null(a, r->short_names, r->short_name_count)),
            JSON_MEMBER("categories", list_or_null(a, r->categories, r->category_count)),
            JSON_MEMBER("subresources", aggregated_subresources(a, r)));
        json_builder_add(&b, S(""), entry);
    }
    return json_builder_array(&b);
}

#define GROUPS_MAX 8

const struct json *discovery_aggregated(struct arena *a, const struct resource_registry *reg, bool is_core,
                                        str api_version)
{
    struct discovery_group groups[GROUPS_MAX];
    size_t count = discovery_groups(reg, groups, GROUPS_MAX);
    struct json_builder items;
    json_builder_init(&items, a);
    for (size_t i = 0; i < count; i++) {
        if (str_is_empty(groups[i].group) != is_core)
            continue;
        const struct json *name = groups[i].group.len ? text(a, groups[i].group) : NULL;
        const struct json *version = JSON_OBJECT_OF(a, JSON_MEMBER("version", text(a, groups[i].version)),
                                                    JSON_MEMBER("resources", aggregated_resources(a, reg, &groups[i])),
                                                    JSON_MEMBER("freshness", text(a, S("Current"))));
        const struct json *metadata =
            JSON_OBJECT_OF(a, JSON_MEMBER("name", name), JSON_MEMBER("creationTimestamp", &json_null_value));
        json_builder_add(
            &items, S(""),
            JSON_OBJECT_OF(a, JSON_MEMBER("metadata", metadata), JSON_MEMBER("versions", JSON_ARRAY_OF(a, version))));
    }
    return JSON_OBJECT_OF(a, JSON_MEMBER("kind", text(a, S("APIGroupDiscoveryList"))),
                          JSON_MEMBER("apiVersion", text(a, api_version)), JSON_MEMBER("metadata", &json_empty_object),
                          JSON_MEMBER("items", json_builder_array(&items)));
}

static const struct json *group_object(struct arena *a, const struct discovery_group *g, bool has_type)
{
    const struct json *version =
        JSON_OBJECT_OF(a, JSON_MEMBER("groupVersion", text(a, gvk_api_version(a, g->group, g->version))),
                       JSON_MEMBER("version", text(a, g->version)));
    return JSON_OBJECT_OF(a, JSON_MEMBER("kind", has_type ? text(a, S("APIGroup")) : NULL),
                          JSON_MEMBER("apiVersion", has_type ? text(a, S("v1")) : NULL),
                          JSON_MEMBER("name", text(a, g->group)), JSON_MEMBER("versions", JSON_ARRAY_OF(a, version)),
                          JSON_MEMBER("preferredVersion", version));
}

const struct json *discovery_group_document(struct arena *a, const struct discovery_group *g)
{
    return group_object(a, g, true);
}

const struct json *discovery_group_list(struct arena *a, const struct resource_registry *reg)
{
    struct discovery_group groups[GROUPS_MAX];
    size_t count = discovery_groups(reg, groups, GROUPS_MAX);
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < count; i++)
        if (groups[i].group.len)
            json_builder_add(&b, S(""), group_object(a, &groups[i], false));
    return JSON_OBJECT_OF(a, JSON_MEMBER("kind", text(a, S("APIGroupList"))),
                          JSON_MEMBER("apiVersion", text(a, S("v1"))), JSON_MEMBER("groups", json_builder_array(&b)));
}

static const struct json *resource_entry(struct arena *a, const struct resource *r)
{
    return JSON_OBJECT_OF(a, JSON_MEMBER("name", text(a, r->plural)), JSON_MEMBER("singularName", text(a, r->singular)),
                          JSON_MEMBER("namespaced", json_bool(r->is_namespaced)), JSON_MEMBER("kind", text(a, r->kind)),
                          JSON_MEMBER("verbs", verb_list(a, r->verbs)),
                          JSON_MEMBER("shortNames", list_or_null(a, r->short_names, r->short_name_count)),
                          JSON_MEMBER("categories", list_or_null(a, r->categories, r->category_count)));
}

/* group and version stand only where they differ from the list's own; kind is what is sent. */
static const struct json *subresource_entry(struct arena *a, const struct resource *r, const struct subresource *s)
{
    bool is_foreign = !str_eq(s->group, r->group) || !str_eq(s->version, r->version);
    str name = arena_printf(a, "%.*s/%.*s", STR_ARG(r->plural), STR_ARG(s->name));
    return JSON_OBJECT_OF(a, JSON_MEMBER("name", text(a, name)), JSON_MEMBER("singularName", text(a, S(""))),
                          JSON_MEMBER("namespaced", json_bool(r->is_namespaced)),
                          JSON_MEMBER("group", is_foreign ? text(a, s->group) : NULL),
                          JSON_MEMBER("version", is_foreign ? text(a, s->version) : NULL),
                          JSON_MEMBER("kind", text(a, s->accepted.len ? s->accepted : s->kind)),
                          JSON_MEMBER("verbs", verb_list(a, s->verbs)));
}

const struct json *discovery_resource_list(struct arena *a, const struct resource_registry *reg,
                                           const struct discovery_group *g)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < reg->count; i++) {
        const struct resource *r = reg->resources[i];
        if (!is_shown(r) || !str_eq(r->group, g->group))
            continue;
        json_builder_add(&b, S(""), resource_entry(a, r));
        for (size_t k = 0; k < subresource_count(r); k++) {
            struct subresource s = subresource_at(r, k);
            json_builder_add(&b, S(""), subresource_entry(a, r, &s));
        }
    }
    return JSON_OBJECT_OF(a, JSON_MEMBER("kind", text(a, S("APIResourceList"))),
                          JSON_MEMBER("apiVersion", text(a, S("v1"))),
                          JSON_MEMBER("groupVersion", text(a, gvk_api_version(a, g->group, g->version))),
                          JSON_MEMBER("resources", json_builder_array(&b)));
}

const struct json *discovery_core_versions(struct arena *a)
{
    return JSON_OBJECT_OF(a, JSON_MEMBER("kind", text(a, S("APIVersions"))),
                          JSON_MEMBER("versions", JSON_ARRAY_OF(a, text(a, S("v1")))),
                          JSON_MEMBER("serverAddressByClientCIDRs", &json_empty_array));
}
