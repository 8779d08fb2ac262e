/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery and OpenAPI: negotiation, caching, what kubectl relies on, and the whole of it as golden files. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/strbuf.h"
#include "ops_test.h"

#define V2 "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

/* Pretty down to `depth` levels, then one line per value: small files with readable differences. */
static void write_readable(struct strbuf *out, const struct json *v, int depth, int indent)
{
    bool is_object = json_is(v, JSON_OBJECT);
    if (depth == 0 || v->count == 0 || !(is_object || json_is(v, JSON_ARRAY))) {
        json_write(out, v);
        return;
    }
    strbuf_add_char(out, is_object ? '{' : '[');
    for (size_t i = 0; i < v->count; i++) {
        strbuf_addf(out, "%s\n%*s", i ? "," : "", indent + 2, "");
        if (is_object) {
            json_write_string(out, v->members[i].key);
            strbuf_add(out, S(": "));
        }
        write_readable(out, is_object ? v->members[i].value : v->items[i], depth - 1, indent + 2);
    }
    strbuf_addf(out, "\n%*s%c", indent, "", is_object ? '}' : ']');
}

/* UPDATE=1 writes the files anew. */
static void assert_golden(struct arena *a, const struct json *v, int depth, const char *name)
{
    STRBUF_AUTO text = STRBUF_INIT(4u << 20);
    write_readable(&text, v, depth, 0);
    strbuf_add_char(&text, '\n');
    const char *folder = getenv("GOLDEN_DIR");
    cr_assert_not_null(folder, "run by meson, or with GOLDEN_DIR=test/golden");
    str path = arena_printf(a, "%s/%s", folder, name);
    struct error err = { .code = ERRC_OK };
    if (getenv("UPDATE")) {
        cr_assert_eq(fs_write_atomic(path.ptr, strbuf_str(&text), 0644, &err), 0, "%s", err.text);
        return;
    }
    str expected;
    cr_assert_eq(fs_read(a, path.ptr, 4u << 20, &expected, &err), 0, "%s", err.text);
    cr_expect(str_eq(strbuf_str(&text), expected), "%s differs; UPDATE=1 and look at the difference", name);
}

Test(golden, discovery)
{
    SITE_AUTO s = site_open();
    assert_golden(s.arena, document(&s, "/apis", V2), 12, "discovery-apis-v2.json");
    assert_golden(s.arena, document(&s, "/api", V2), 12, "discovery-api-v2.json");
    assert_golden(s.arena, document(&s, "/apis", ""), 6, "discovery-apis.json");
    assert_golden(s.arena, document(&s, "/apis/postgres.example.io", ""), 6, "discovery-group.json");
    assert_golden(s.arena, document(&s, "/apis/postgres.example.io/v1", ""), 3, "discovery-postgres-v1.json");
    assert_golden(s.arena, document(&s, "/api/v1", ""), 3, "discovery-core-v1.json");
}

Test(golden, openapi)
{
    SITE_AUTO s = site_open();
    assert_golden(s.arena, document(&s, "/openapi/v3/apis/postgres.example.io/v1", ""), 4, "openapi-v3-postgres.json");
    assert_golden(s.arena, document(&s, "/openapi/v3/api/v1", ""), 4, "openapi-v3-core.json");
    assert_golden(s.arena, document(&s, "/openapi/v2", ""), 3, "openapi-v2.json");
}

Test(documents, are_built_quickly)
{
    SITE_AUTO s = site_open();
    struct pages_options options = { .registry = &s.registry };
    int64_t before = clock_process_cpu_ns();
    struct pages *p = pages_new(&options);
    struct page_request req = { .path = S("/openapi/v3") };
    struct page_answer answer;
    cr_assert(pages_serve(p, s.arena, &req, &answer));
    int64_t took = clock_process_cpu_ns() - before;
    pages_free(p);
    cr_log_info("%lld us", (long long)took / 1000);
    cr_assert_lt(took, 500 * NS_PER_MS, "also under sanitizers");
}

Test(documents, of_openapi_are_built_when_somebody_asks)
{
    SITE_AUTO s = site_open();
    cr_assert_not(pages_is_slow(s.pages, S("/apis")));
    cr_assert_not(pages_is_slow(s.pages, S("/readyz")));
    cr_assert(pages_is_slow(s.pages, S("/openapi/v2")));
    (void)ask(&s, "/apis", "", "");
    const struct json *paths = json_get(document(&s, "/", ""), S("paths"));
    cr_assert(pages_is_slow(s.pages, S("/openapi/v3")), "not for the list of paths");
    for (size_t i = 0; i < json_count(paths); i++)
        (void)ask(&s, arena_z(s.arena, json_str(paths->items[i])), "", "");
    cr_assert_not(pages_is_slow(s.pages, S("/openapi/v2")));
}

struct asker {
    const struct site *site;
    pthread_t thread;
    str body;
};

static void *ask_openapi(void *arg)
{
    struct asker *asker = arg;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct page_request req = { .path = S("/openapi/v2") };
    struct page_answer answer;
    if (pages_serve(asker->site->pages, a, &req, &answer))
        asker->body = answer.body;
    return NULL;
}

Test(documents, asked_for_by_many_at_once_are_the_same)
{
    SITE_AUTO s = site_open();
    struct asker askers[8];
    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        askers[i] = (struct asker) { .site = &s };
        cr_assert_eq(pthread_create(&askers[i].thread, NULL, ask_openapi, &askers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(askers); i++)
        cr_assert_eq(pthread_join(askers[i].thread, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(askers); i++)
        cr_assert(askers[i].body.len > 1000 && askers[i].body.ptr == askers[0].body.ptr, "built once");
}

Test(documents, answer_304_to_who_has_them)
{
    SITE_AUTO s = site_open();
    struct page_answer first = ask(&s, "/apis", "", V2);
    cr_assert_eq(first.code, 200);
    cr_assert(str_eq_z(first.content_type, V2));
    str etag = header(&first, "etag");
    cr_assert(etag.len > 10 && etag.ptr[0] == '"');
    struct page_request req = { .path = S("/apis"), .accept = S(V2), .if_none_match = etag };
    struct page_answer again;
    cr_assert(pages_serve(s.pages, s.arena, &req, &again));
    cr_assert_eq(again.code, 304);
    cr_assert(str_is_empty(again.body));
    cr_assert(str_eq(header(&again, "etag"), etag), "an aggregator wants it repeated");
    req.accept = S("application/json");
    cr_assert(pages_serve(s.pages, s.arena, &req, &again));
    cr_assert_eq(again.code, 200, "the plain form is another document");
    req.if_none_match = S("W/\"x\", \"y\"");
    cr_assert(pages_serve(s.pages, s.arena, &req, &again));
    cr_assert_eq(again.code, 200);
}

Test(documents, have_the_same_hash_in_every_process)
{
    SITE_AUTO s = site_open();
    SITE_AUTO t = site_open();
    struct page_answer x = ask(&s, "/openapi/v2", "", "");
    struct page_answer y = ask(&t, "/openapi/v2", "", "");
    cr_assert(str_eq(header(&x, "etag"), header(&y, "etag")));
}

/* What stands behind a tag of wire type 2 at the begin of a message; *rest is what follows. */
static str field(str message, unsigned wanted, str *rest)
{
    size_t at = 0, len = 0;
    cr_assert_gt(message.len, 2);
    cr_assert_eq((unsigned char)message.ptr[at++], wanted << 3 | 2);
    for (unsigned shift = 0;; shift += 7) {
        cr_assert_lt(at, message.len);
        unsigned char byte = (unsigned char)message.ptr[at++];
        len |= (size_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    cr_assert_leq(len, message.len - at);
    *rest = str_from_offset(message, at + len);
    return str_of(message.ptr + at, len);
}

Test(documents, of_swagger_come_as_protobuf_too)
{
    SITE_AUTO s = site_open();
    const struct json *definitions = json_get(document(&s, "/openapi/v2", "application/json"), S("definitions"));
    struct page_answer answer =
        ask(&s, "/openapi/v2", "", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf");
    cr_assert_eq(answer.code, 200);
    cr_assert(str_eq_z(answer.content_type, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"));
    str rest;
    str name_rest;
    cr_assert(str_eq_z(field(answer.body, 1, &rest), "2.0"));
    (void)field(rest, 2, &rest);
    str map = field(rest, 9, &rest);
    cr_assert_eq(rest.len, 0);
    size_t count = 0;
    for (; map.len > 0; count++) {
        str name = field(field(map, 1, &map), 1, &name_rest);
        cr_expect(str_eq(name, definitions->members[count].key));
        str schema = field(name_rest, 2, &name_rest);
        cr_expect(schema.len > 0 && name_rest.len == 0);
    }
    cr_assert_eq(count, json_count(definitions));
}

Test(documents, answer_406_to_who_only_takes_protobuf)
{
    SITE_AUTO s = site_open();
    static const char *const paths[] = { "/apis", "/openapi/v3", "/openapi/v3/apis/postgres.example.io/v1" };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct page_answer answer = ask(&s, paths[i], "", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf");
        cr_assert_eq(answer.code, 406);
        cr_assert(str_find(answer.body, S("\"reason\":\"NotAcceptable\"")) > 0);
        cr_assert(str_eq_z(answer.content_type, "application/json"));
    }
}

Test(documents, of_openapi_v3_may_be_kept_under_their_hash)
{
    SITE_AUTO s = site_open();
    const struct json *paths = json_get(document(&s, "/openapi/v3", ""), S("paths"));
    cr_assert_eq(json_count(paths), 2);
    for (size_t i = 0; i < paths->count; i++) {
        str url = json_str_at(paths->members[i].value, "serverRelativeURL");
        str path;
        str query;
        cr_assert(str_cut(url, '?', &path, &query));
        struct page_answer answer = ask(&s, arena_z(s.arena, path), arena_z(s.arena, query), "application/json");
        cr_assert_eq(answer.code, 200);
        cr_assert(str_eq_z(header(&answer, "cache-control"), "public, immutable"));
        struct tm t;
        const char *end = strptime(header(&answer, "expires").ptr, "%a, %d %b %Y %H:%M:%S GMT", &t);
        cr_assert(end && !*end, "%.*s", STR_ARG(header(&answer, "expires")));
        answer = ask(&s, arena_z(s.arena, path), "hash=OLD", "application/json");
        cr_assert_eq(answer.code, 200, "a redirect would be a 502 behind an aggregator");
        cr_assert(str_eq_z(header(&answer, "cache-control"), "public"));
    }
}

Test(documents, behind_an_aggregator_show_the_own_group_alone)
{
    SITE_AUTO s = site_with(false, NULL, 0);
    struct page_request req = { .path = S("/api") };
    struct page_answer answer;
    cr_assert_not(pages_serve(s.pages, s.arena, &req, &answer));
    const struct json *paths = json_get(document(&s, "/openapi/v3", ""), S("paths"));
    cr_assert_eq(json_count(paths), 1);
    cr_assert(str_eq_z(paths->members[0].key, "apis/postgres.example.io/v1"));
    const struct json *v2 = json_get(document(&s, "/openapi/v2", ""), S("paths"));
    for (size_t i = 0; i < v2->count; i++)
        cr_assert(str_has_prefix(v2->members[i].key, S("/apis/postgres.example.io/v1/")));
}

Test(documents, never_show_what_is_internal)
{
    SITE_AUTO s = site_open();
    static const char *const paths[] = { "/apis", "/openapi/v2", "/openapi/v3", "/" };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        cr_assert_lt(str_find(ask(&s, paths[i], "", "").body, S("nternal.postgres")), 0, "%s", paths[i]);
}

Test(discovery, names_a_response_kind_everywhere)
{
    SITE_AUTO s = site_open();
    const struct json *groups = json_get(document(&s, "/apis", V2), S("items"));
    const struct json *versions = json_get(json_item(groups, 0), S("versions"));
    const struct json *resources = json_get(json_item(versions, 0), S("resources"));
    cr_assert_eq(json_count(resources), 3);
    size_t subresources = 0;
    for (size_t i = 0; i < resources->count; i++) {
        cr_assert(json_str_at(resources->items[i], "responseKind.kind").len > 0);
        const struct json *list = json_get(resources->items[i], S("subresources"));
        for (size_t k = 0; k < json_count(list); k++, subresources++)
            cr_assert(json_str_at(list->items[k], "responseKind.kind").len > 0);
    }
    cr_assert_eq(subresources, 7);
}

/* All $ref of a document, checked against its definitions. */
static size_t check_refs(const struct json *root, const struct json *v, const struct json *definitions)
{
    size_t count = 0;
    for (size_t i = 0; (json_is(v, JSON_OBJECT) || json_is(v, JSON_ARRAY)) && i < v->count; i++) {
        const struct json *child = v->type == JSON_OBJECT ? v->members[i].value : v->items[i];
        count += check_refs(root, child, definitions);
        if (v->type != JSON_OBJECT || !str_eq(v->members[i].key, S("$ref")))
            continue;
        str target = json_str(child);
        str name = str_from_offset(target, (size_t)str_rindex(target, '/') + 1);
        cr_expect(json_get(definitions, name) != NULL, "%.*s", STR_ARG(target));
        count++;
    }
    return count;
}

static void check_definitions(const struct json *document, const struct json *definitions)
{
    cr_assert_gt(check_refs(document, document, definitions), 50);
    for (size_t i = 0; i < definitions->count; i++)
        cr_expect(str_index(definitions->members[i].key, '/') < 0);
}

Test(openapi, refers_only_to_what_it_defines)
{
    SITE_AUTO s = site_open();
    const struct json *v2 = document(&s, "/openapi/v2", "");
    check_definitions(v2, json_get(v2, S("definitions")));
    static const char *const paths[] = { "/openapi/v3/apis/postgres.example.io/v1", "/openapi/v3/api/v1" };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const struct json *v3 = document(&s, paths[i], "");
        check_definitions(v3, json_at(v3, "components.schemas"));
    }
}

static bool has_query_parameter(const struct json *operation, str name)
{
    const struct json *list = json_get(operation, S("parameters"));
    for (size_t i = 0; i < json_count(list); i++)
        if (str_eq(json_str_at(list->items[i], "name"), name) && str_eq(json_str_at(list->items[i], "in"), S("query")))
            return true;
    return false;
}

Test(openapi, tells_kubectl_which_patches_it_may_send)
{
    SITE_AUTO s = site_open();
    const struct json *v3 = document(&s, "/openapi/v3/apis/postgres.example.io/v1", "");
    const struct json *paths = json_get(v3, S("paths"));
    size_t patches = 0;
    for (size_t i = 0; i < paths->count; i++) {
        const struct json *item = paths->members[i].value;
        const struct json *patch = json_get(item, S("patch"));
        if (!patch)
            continue;
        patches++;
        cr_expect(has_query_parameter(patch, S("fieldValidation")));
        const struct json *types = json_at(patch, "requestBody.content");
        cr_expect_eq(json_count(types), 2);
        cr_expect(json_get(types, S("application/json-patch+json")) &&
                  json_get(types, S("application/merge-patch+json")));
        cr_expect(json_get(patch, S("x-kubernetes-group-version-kind")) != NULL);
        cr_expect(str_eq_z(json_str(json_get(patch, S("x-kubernetes-action"))), "patch"));
    }
    cr_assert_eq(patches, 5);
}

Test(openapi, gives_each_operation_its_own_id)
{
    SITE_AUTO s = site_open();
    const struct json *paths = json_get(document(&s, "/openapi/v2", ""), S("paths"));
    struct json_builder seen;
    json_builder_init(&seen, s.arena);
    size_t count = 0;
    for (size_t i = 0; i < paths->count; i++) {
        const struct json *item = paths->members[i].value;
        for (size_t k = 0; k < item->count; k++) {
            str id = json_str_at(item->members[k].value, "operationId");
            if (!id.len)
                continue;
            json_builder_add(&seen, id, &json_true_value);
            count++;
        }
    }
    cr_assert_gt(count, 40);
    cr_assert_eq(json_count(json_builder_object(&seen)), count);
}
