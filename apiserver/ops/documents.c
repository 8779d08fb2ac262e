/* SPDX-License-Identifier: Apache-2.0 */
/* The documents that are built once: discovery, /version and the list of paths at / with the start, OpenAPI later. */
#include "internal.h"

#include "discovery/discovery.h"
#include "meta/gvk.h"
#include "openapi/openapi.h"
#include "json/json_write.h"

/*
 * kubectl compares this with its own version and warns beyond one minor, so it is the Kubernetes whose rules we follow
 * (1.36); ours stands behind the plus.
 */
#define KUBERNETES_MAJOR "1"
#define KUBERNETES_MINOR "36"
#define GIT_VERSION "v" KUBERNETES_MAJOR "." KUBERNETES_MINOR ".0+postgres-apiserver-" PROJECT_VERSION

#if defined(__aarch64__)
#define PLATFORM "linux/arm64"
#else
#define PLATFORM "linux/amd64"
#endif

#define GROUPS_MAX 8
#define OPENAPI_V2 "/openapi/v2"
#define OPENAPI_V3 "/openapi/v3"
#define DISCOVERY_AS "APIGroupDiscoveryList"
#define DISCOVERY_GROUP "apidiscovery.k8s.io"

static struct page_document *add_text(struct page_documents *p, str path, str type, str body)
{
    if (p->count == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 16;
        struct page_document *bigger = arena_array_of(p->arena, struct page_document, cap);
        if (p->count)
            memcpy(bigger, p->items, p->count * sizeof(*bigger));
        p->items = bigger;
        p->cap = cap;
    }
    struct page_document *d = &p->items[p->count++];
    *d = (struct page_document) { .path = arena_str(p->arena, path), .type = type, .content_type = type };
    d->body = arena_str(p->arena, body);
    d->hash = arena_printf(p->arena, "%016llX%016llX", (unsigned long long)str_hash(d->body, 1),
                           (unsigned long long)str_hash(d->body, 2));
    return d;
}

static struct page_document *add(struct page_documents *p, str path, const struct json *tree)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    return add_text(p, path, S("application/json"), json_text(a, tree));
}

static void add_aggregated(struct page_documents *p, struct arena *a, const struct resource_registry *reg, bool is_core)
{
    static const str versions[] = { S_INIT("v2"), S_INIT("v2beta1") };
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        str api_version = arena_printf(a, DISCOVERY_GROUP "/%.*s", STR_ARG(versions[i]));
        const struct json *tree = discovery_aggregated(a, reg, is_core, api_version);
        struct page_document *d = add(p, is_core ? S("/api") : S("/apis"), tree);
        d->as = S(DISCOVERY_AS);
        d->group = S(DISCOVERY_GROUP);
        d->version = versions[i];
        d->content_type = arena_printf(p->arena, "application/json;g=" DISCOVERY_GROUP ";v=%.*s;as=" DISCOVERY_AS,
                                       STR_ARG(versions[i]));
    }
}

static void add_discovery(struct page_documents *p, struct arena *a, const struct resource_registry *reg,
                          const struct discovery_group *g)
{
    const struct json *list = discovery_resource_list(a, reg, g);
    if (str_is_empty(g->group)) {
        (void)add(p, S("/api"), discovery_core_versions(a));
        add_aggregated(p, a, reg, true);
        (void)add(p, arena_printf(a, "/api/%.*s", STR_ARG(g->version)), list);
        return;
    }
    (void)add(p, arena_printf(a, "/apis/%.*s", STR_ARG(g->group)), discovery_group_document(a, g));
    (void)add(p, arena_printf(a, "/apis/%.*s/%.*s", STR_ARG(g->group), STR_ARG(g->version)), list);
}

/* apis/postgres.example.io/v1 */
static str v3_name(struct arena *a, const struct discovery_group *g)
{
    return arena_printf(a, "%s%.*s", g->group.len ? "apis/" : "api/",
                        STR_ARG(gvk_api_version(a, g->group, g->version)));
}

/* The document of one group version; gives its entry in the index back. */
static void add_v3(struct page_documents *p, struct arena *a, const struct openapi_source *source,
                   struct json_builder *index, const struct discovery_group *g)
{
    str name = v3_name(a, g);
    str path = arena_printf(a, OPENAPI_V3 "/%.*s", STR_ARG(name));
    struct page_document *d = add(p, path, openapi_v3(a, source, g->group, g->version));
    str url = arena_printf(a, "%.*s?hash=%.*s", STR_ARG(path), STR_ARG(d->hash));
    json_builder_add(index, name, JSON_OBJECT_OF(a, JSON_MEMBER("serverRelativeURL", json_string(a, url))));
}

/* kubectl asks by the old name, in which "@" is no token of HTTP; the answer has the new one, as kube-openapi's. */
static void add_v2_protobuf(struct page_documents *p, struct arena *a, const struct json *v2)
{
    static const str names[] = { S_INIT("application/com.github.proto-openapi.spec.v2@v1.0+protobuf"),
                                 S_INIT("application/com.github.proto-openapi.spec.v2.v1.0+protobuf") };
    str body = openapi_v2_protobuf(a, v2);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        add_text(p, S(OPENAPI_V2), names[i], body)->content_type = names[1];
}

void ops__build_openapi(struct page_documents *p, const struct resource_registry *reg)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct discovery_group groups[GROUPS_MAX];
    size_t count = discovery_groups(reg, groups, GROUPS_MAX);
    struct openapi_source source = { reg, openapi_load_meta(a) };
    struct json_builder index;
    json_builder_init(&index, a);
    for (size_t i = 0; i < count; i++)
        add_v3(p, a, &source, &index, &groups[i]);
    const struct json *paths = json_builder_object(&index);
    (void)add(p, S(OPENAPI_V3), JSON_OBJECT_OF(a, JSON_MEMBER("paths", paths)));
    const struct json *v2 = openapi_v2(a, &source);
    (void)add(p, S(OPENAPI_V2), v2);
    add_v2_protobuf(p, a, v2);
}

static const struct json *version(struct arena *a)
{
    return JSON_OBJECT_OF(
        a, JSON_MEMBER("major", json_string(a, S(KUBERNETES_MAJOR))),
        JSON_MEMBER("minor", json_string(a, S(KUBERNETES_MINOR))),
        JSON_MEMBER("gitVersion", json_string(a, S(GIT_VERSION))), JSON_MEMBER("gitCommit", json_string(a, S(""))),
        JSON_MEMBER("gitTreeState", json_string(a, S(""))), JSON_MEMBER("buildDate", json_string(a, S(""))),
        JSON_MEMBER("goVersion", json_string(a, S(""))), JSON_MEMBER("compiler", json_string(a, S("gcc"))),
        JSON_MEMBER("platform", json_string(a, S(PLATFORM))));
}

static void add_path(struct json_builder *b, str path)
{
    json_builder_add(b, S(""), json_string(b->arena, path));
}

static const struct json *path_list(const struct page_documents *p, struct arena *a,
                                    const struct discovery_group *groups, size_t count)
{
    static const str computed[] = { S_INIT(OPENAPI_V3), S_INIT(OPENAPI_V2), S_INIT("/healthz"),
                                    S_INIT("/livez"),   S_INIT("/metrics"), S_INIT("/readyz") };
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < p->count; i++)
        if (!p->items[i].as.len)
            add_path(&b, p->items[i].path);
    for (size_t i = 0; i < count; i++)
        add_path(&b, arena_printf(a, OPENAPI_V3 "/%.*s", STR_ARG(v3_name(a, &groups[i]))));
    for (size_t i = 0; i < ARRAY_LEN(computed); i++)
        add_path(&b, computed[i]);
    return JSON_OBJECT_OF(a, JSON_MEMBER("paths", json_builder_array(&b)));
}

void ops__build_documents(struct page_documents *p, const struct resource_registry *reg)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct discovery_group groups[GROUPS_MAX];
    size_t count = discovery_groups(reg, groups, GROUPS_MAX);
    (void)add(p, S("/apis"), discovery_group_list(a, reg));
    add_aggregated(p, a, reg, false);
    for (size_t i = 0; i < count; i++)
        add_discovery(p, a, reg, &groups[i]);
    (void)add(p, S("/version"), version(a));
    (void)add(p, S("/"), path_list(p, a, groups, count));
}
