/* SPDX-License-Identifier: Apache-2.0 */
/* GET and LIST through the whole chain: which state, which form, which page. */
#include <zlib.h>

#include "base/clock.h"
#include "test/harness/api_env.h"
#include "test/harness/check.h"

#define C ENV_CLUSTERS
#define TABLE "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

static struct env *env;

static void set_up(void)
{
    env = env_new(NULL);
}

static void tear_down(void)
{
    env_free(env);
}

TestSuite(read, .init = set_up, .fini = tear_down, .timeout = 60);
/* With environments of their own. */
TestSuite(read_special, .timeout = 60);

static const char *format(const char *fmt, str s)
{
    STRBUF_AUTO b = STRBUF_INIT(4096);
    for (const char *p = fmt; *p; p++) {
        if (*p == '@')
            strbuf_add(&b, s);
        else
            strbuf_add_char(&b, *p);
    }
    return strbuf_to_arena(&b, env->arena).ptr;
}

static struct env_answer get_as(const char *target, const char *accept)
{
    return env_call(env, &(struct env_request) { .target = target, .accept = accept });
}

static void clusters(size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)env_cluster(env, arena_printf(env->arena, "c%02zu", i).ptr);
}

static size_t items(const struct env_answer *a)
{
    return json_count(json_get(a->json, S("items")));
}

static str item_name(const struct env_answer *a, size_t i)
{
    return json_str_at(json_item(json_get(a->json, S("items")), i), "metadata.name");
}

/* ---- get ----------------------------------------------------------------------------------------------------------
 */

Test(read, get_gives_the_stored_object)
{
    str version = env_cluster(env, "pg1");
    struct env_answer a = env_get(env, C "/pg1");
    cr_assert_eq(a.code, 200);
    CHECK_STR(a.content_type, "application/json");
    CHECK_STR(env_text(&a, "kind"), "PostgresCluster");
    CHECK_STR(env_text(&a, "apiVersion"), "postgres.example.io/v1");
    cr_assert(str_eq(env_text(&a, "metadata.resourceVersion"), version));
    CHECK_STR(env_header(&a, "cache-control"), "no-cache, private");
    cr_assert_eq(env_header(&a, "audit-id").len, 36);
}

Test(read, the_clients_audit_id_comes_back)
{
    struct env_answer a =
        env_call(env, &(struct env_request) { .target = "/version", .headers = { { "audit-id", "abc-1" } } });
    CHECK_STR(env_header(&a, "audit-id"), "abc-1");
    a = env_call(env, &(struct env_request) { .target = "/version", .headers = { { "audit-id", "a\nb" } } });
    cr_assert_eq(env_header(&a, "audit-id").len, 36, "but not one that could split a line");
}

Test(read, get_waits_for_a_revision_and_gives_up)
{
    str version = env_cluster(env, "x");
    cr_assert_eq(env_get(env, format(C "/x?resourceVersion=@", version)).code, 200);
    cr_assert_eq(env_get(env, C "/x?resourceVersion=0").code, 200);
    struct env_answer a = env_get(env, C "/x?resourceVersion=999999");
    cr_assert_eq(a.code, 504);
    CHECK_HAS(env_text(&a, "message"), "Timeout: Too large resource version: 999999");
    cr_assert_eq(json_int_at(a.json, "details.retryAfterSeconds", 0), 1);
}

Test(read, pretty_and_yaml_are_other_forms_of_the_same)
{
    (void)env_cluster(env, "x");
    struct env_answer plain = env_get(env, C "/x"), pretty = env_get(env, C "/x?pretty=true");
    CHECK_HAS(pretty.body, "\n  \"kind\": \"PostgresCluster\"");
    cr_assert(json_equal(plain.json, pretty.json));
    struct env_answer curl =
        env_call(env, &(struct env_request) { .target = C "/x", .headers = { { "user-agent", "curl/8" } } });
    cr_assert(str_eq(curl.body, pretty.body));
    struct env_answer yaml = get_as(C "/x", "application/yaml");
    CHECK_STR(yaml.content_type, "application/yaml");
    CHECK_HAS(yaml.body, "\nkind: PostgresCluster\n");
    struct env_answer fail = get_as(C "/none", "application/yaml");
    CHECK_STR(fail.content_type, "application/yaml");
    CHECK_HAS(fail.body, "reason: NotFound");
}

Test(read, head_is_taken_where_get_is)
{
    (void)env_cluster(env, "x");
    cr_assert_eq(env_call(env, &(struct env_request) { .method = "HEAD", .target = C "/x" }).code, 200);
    cr_assert_eq(env_call(env, &(struct env_request) { .method = "HEAD", .target = "/readyz" }).code, 200);
}

Test(read, accept_takes_the_first_clause_that_can_be_served)
{
    (void)env_cluster(env, "x");
    cr_assert_eq(get_as(C "/x", "application/vnd.kubernetes.protobuf, */*").code, 200);
    cr_assert_eq(get_as(C "/x", "application/json;q=0.9,application/cbor;q=1").code, 200);
    struct env_answer a = get_as(C "/x", "application/json;q=0.1, application/yaml;q=0.9");
    CHECK_STR(a.content_type, "application/yaml");
    a = get_as(C "/x",
               "application/json;as=Table;v=v2;g=meta.k8s.io, application/json;as=Table;v=v1beta1;g=meta.k8s.io");
    CHECK_STR(env_text(&a, "apiVersion"), "meta.k8s.io/v1beta1");
}

/* ---- forms of lists
 * -------------------------------------------------------------------------------------------------- */

Test(read, a_list_has_its_kind_its_revision_and_an_array)
{
    struct env_answer a = env_get(env, C);
    cr_assert_eq(a.code, 200);
    CHECK_STR(env_text(&a, "kind"), "PostgresClusterList");
    cr_assert(json_is(json_get(a.json, S("items")), JSON_ARRAY));
    uint64_t version;
    cr_assert(str_to_u64(env_text(&a, "metadata.resourceVersion"), &version));
    cr_assert_eq(version, env_revision(env));
    clusters(3);
    a = env_get(env, ENV_GROUP "/postgresclusters");
    cr_assert_eq(items(&a), 3);
    CHECK_STR(item_name(&a, 1), "c01");
    CHECK_STR(json_str_at(json_item(json_get(a.json, S("items")), 0), "kind"), "PostgresCluster");
    cr_assert_null(json_at(a.json, "metadata.continue"));
    a = env_get(env, ENV_GROUP "/namespaces/kube-system/postgresclusters");
    cr_assert_eq(items(&a), 0);
}

Test(read, tables_have_columns_and_a_row_per_object)
{
    clusters(2);
    struct env_answer a = get_as(C, TABLE);
    CHECK_STR(env_text(&a, "kind"), "Table");
    const struct json *columns = json_get(a.json, S("columnDefinitions")), *rows = json_get(a.json, S("rows"));
    cr_assert_eq(json_count(rows), 2);
    CHECK_STR(json_str_at(json_item(columns, 0), "format"), "name");
    cr_assert_eq(json_count(json_get(json_item(rows, 0), S("cells"))), json_count(columns));
    CHECK_STR(json_str_at(json_item(rows, 1), "object.metadata.name"), "c01");
    cr_assert_null(json_at(json_item(rows, 1), "object.spec"));
    a = get_as(C "/c00", TABLE);
    cr_assert_eq(json_count(json_get(a.json, S("rows"))), 1);
    a = get_as(C "?includeObject=None", TABLE);
    cr_assert_null(json_get(json_item(json_get(a.json, S("rows")), 0), S("object")));
    a = get_as(C "?includeObject=Object", TABLE);
    cr_assert_not_null(json_at(json_item(json_get(a.json, S("rows")), 0), "object.spec"));
}

Test(read, partial_metadata_for_one_and_for_many)
{
    clusters(2);
    struct env_answer a = get_as(C, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
    CHECK_STR(env_text(&a, "kind"), "PartialObjectMetadataList");
    cr_assert_eq(items(&a), 2);
    cr_assert_null(json_at(json_item(json_get(a.json, S("items")), 0), "spec"));
    a = get_as(C "/c00", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
    CHECK_STR(env_text(&a, "kind"), "PartialObjectMetadata");
    CHECK_STR(env_text(&a, "metadata.name"), "c00");
}

static str gunzip(str packed)
{
    size_t cap = 8u << 20;
    unsigned char *out = arena_alloc(env->arena, cap);
    z_stream z = { .next_in = (unsigned char *)(uintptr_t)packed.ptr,
                   .avail_in = (unsigned)packed.len,
                   .next_out = out,
                   .avail_out = (unsigned)cap };
    cr_assert_eq(inflateInit2(&z, 15 + 16), Z_OK);
    cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    size_t len = z.total_out;
    (void)inflateEnd(&z);
    return str_of((char *)out, len);
}

Test(read, large_answers_are_compressed_for_those_who_take_it)
{
    for (int i = 0; i < 3; i++) {
        char *big = arena_alloc(env->arena, 200001);
        memset(big, 'x', 200000);
        str body = arena_printf(env->arena,
                                "{\"metadata\":{\"name\":\"e%d\"},\"involvedObject\":{},\"message\":\"%s\"}", i, big);
        cr_assert_eq(env_send(env, "POST", "/api/v1/namespaces/default/events", body.ptr).code, 201);
    }
    const char *targets[] = { "/api/v1/events", "/api/v1/namespaces/default/events/e1" };
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct env_answer plain = env_get(env, targets[i]);
        struct env_answer packed = env_call(
            env, &(struct env_request) { .target = targets[i], .headers = { { "accept-encoding", "br, gzip" } } });
        CHECK_STR(env_header(&packed, "content-encoding"), "gzip");
        CHECK_STR(env_header(&packed, "vary"), "Accept-Encoding");
        cr_assert_lt(packed.body.len, plain.body.len / 10);
        cr_assert(str_eq(gunzip(packed.body), plain.body));
        cr_assert_eq(env_header(&plain, "content-encoding").len, 0);
    }
    struct env_answer small =
        env_call(env, &(struct env_request) { .target = C, .headers = { { "accept-encoding", "gzip" } } });
    cr_assert_eq(env_header(&small, "content-encoding").len, 0);
}

/* ---- selectors
 * --------------------------------------------------------------------------------------------------------- */

Test(read, selectors_choose)
{
    clusters(3);
    (void)env_send(env, "PATCH", C "/c01", "{\"metadata\":{\"labels\":{\"app\":\"x\"}}}");
    struct env_answer a = env_get(env, C "?labelSelector=app%3Dx");
    cr_assert_eq(items(&a), 1);
    CHECK_STR(item_name(&a, 0), "c01");
    a = env_get(env, C "?labelSelector=%21app");
    cr_assert_eq(items(&a), 2);
    a = env_get(env, C "?fieldSelector=metadata.name%21%3Dc01,metadata.namespace%3Ddefault");
    cr_assert_eq(items(&a), 2);
    a = env_get(env, C "?fieldSelector=metadata.name%3Dnone");
    cr_assert_eq(items(&a), 0);
}

/* ---- pages
 * -------------------------------------------------------------------------------------------------------------- */

Test(read, pages_show_one_state_whatever_happens_between_them)
{
    clusters(5);
    struct env_answer first = env_get(env, C "?limit=2");
    cr_assert_eq(items(&first), 2);
    cr_assert_eq(json_int_at(first.json, "metadata.remainingItemCount", 0), 3);
    str version = env_text(&first, "metadata.resourceVersion");

    (void)env_send(env, "DELETE", C "/c02", "");
    (void)env_cluster(env, "c02b");
    struct env_answer second = env_get(env, format(C "?limit=2&continue=@", env_text(&first, "metadata.continue")));
    cr_assert_eq(second.code, 200, "%.*s", STR_ARG(second.body));
    cr_assert_eq(items(&second), 2);
    CHECK_STR(item_name(&second, 0), "c02");
    CHECK_STR(item_name(&second, 1), "c03");
    cr_assert(str_eq(env_text(&second, "metadata.resourceVersion"), version));
    struct env_answer third = env_get(env, format(C "?limit=2&continue=@", env_text(&second, "metadata.continue")));
    cr_assert_eq(items(&third), 1);
    CHECK_STR(item_name(&third, 0), "c04");
    cr_assert_null(json_at(third.json, "metadata.continue"));
    cr_assert_null(json_at(third.json, "metadata.remainingItemCount"));
    cr_assert(str_eq(env_text(&third, "metadata.resourceVersion"), version));
}

Test(read, pages_with_selectors_are_full_and_do_not_guess_what_remains)
{
    clusters(6);
    for (int i = 1; i < 6; i += 2)
        (void)env_send(env, "PATCH", arena_printf(env->arena, C "/c%02d", i).ptr,
                       "{\"metadata\":{\"labels\":{\"odd\":\"yes\"}}}");
    struct env_answer first = env_get(env, C "?limit=2&labelSelector=odd");
    cr_assert_eq(items(&first), 2);
    CHECK_STR(item_name(&first, 1), "c03");
    cr_assert_null(json_at(first.json, "metadata.remainingItemCount"));
    (void)env_cluster(env, "zz");
    struct env_answer second =
        env_get(env, format(C "?limit=2&labelSelector=odd&continue=@", env_text(&first, "metadata.continue")));
    cr_assert_eq(items(&second), 1);
    CHECK_STR(item_name(&second, 0), "c05");
}

Test(read, an_exact_revision_is_that_state)
{
    clusters(2);
    struct env_answer now = env_get(env, C);
    str version = env_text(&now, "metadata.resourceVersion");
    (void)env_cluster(env, "later");
    struct env_answer a = env_get(env, format(C "?resourceVersion=@&resourceVersionMatch=Exact", version));
    cr_assert_eq(items(&a), 2);
    cr_assert(str_eq(env_text(&a, "metadata.resourceVersion"), version));
    a = env_get(env, format(C "?limit=10&resourceVersion=@", version));
    cr_assert_eq(items(&a), 2, "a limit without a match means exactly");
    a = env_get(env, format(C "?limit=10&resourceVersion=@&resourceVersionMatch=NotOlderThan", version));
    cr_assert_eq(items(&a), 3);
    a = env_get(env, format(C "?resourceVersion=@", version));
    cr_assert_eq(items(&a), 3);
    a = env_get(env, C "?resourceVersion=0&limit=1");
    cr_assert_eq(items(&a), 3, "any state: all of the cache");
}

Test(read, a_future_revision_times_out)
{
    struct env_answer a = env_get(env, C "?resourceVersion=999999&resourceVersionMatch=NotOlderThan");
    cr_assert_eq(a.code, 504);
    CHECK_HAS(env_text(&a, "message"), "Timeout: Too large resource version: 999999, current: ");
}

Test(read_special, pages_of_a_forgotten_state_are_refused_with_a_way_on)
{
    env = env_new(&(struct env_options) { .event_window = 2, .compact_keep = 1, .compact_interval_ms = 20 });
    clusters(4);
    struct env_answer first = env_get(env, C "?limit=2"), second = { 0 };
    str token = env_text(&first, "metadata.continue");
    int64_t deadline = deadline_in_ms(120000);
    for (int i = 0; second.code != 410 && !deadline_has_passed(deadline); i++) { /* until the store has compacted */
        (void)env_send(env, "PATCH", C "/c00",
                       format("{\"metadata\":{\"labels\":{\"n\":\"@\"}}}", arena_printf(env->arena, "%d", i)));
        env_pump(env, 10);
        second = env_get(env, format(C "?limit=2&continue=@", token));
    }
    cr_assert_eq(second.code, 410);
    CHECK_STR(env_text(&second, "reason"), "Expired");
    CHECK_HAS(env_text(&second, "message"), "The provided continue parameter is too old");
    str way_on = env_text(&second, "metadata.continue");
    cr_assert_gt(way_on.len, 0);
    struct env_answer rest = env_get(env, format(C "?limit=2&continue=@", way_on));
    cr_assert_eq(rest.code, 200);
    CHECK_STR(item_name(&rest, 0), "c02");
    struct env_answer exact = env_get(
        env, format(C "?resourceVersion=@&resourceVersionMatch=Exact", env_text(&first, "metadata.resourceVersion")));
    cr_assert_eq(exact.code, 410);
    CHECK_STR(env_text(&exact, "message"), "The resourceVersion for the provided list is too old.");
    env_free(env);
}

/* ---- who and how many
 * ------------------------------------------------------------------------------------------------------ */

Test(read, viewers_read_and_anybody_sees_health)
{
    (void)env_cluster(env, "x");
    cr_assert_eq(env_call(env, &(struct env_request) { .target = C, .user = &env_viewer }).code, 200);
    cr_assert_eq(env_call(env, &(struct env_request) { .target = "/metrics", .user = &env_viewer }).code, 200);
    const char *open[] = { "/healthz", "/livez", "/readyz", "/readyz/ping", "/version" };
    for (size_t i = 0; i < ARRAY_LEN(open); i++)
        cr_assert_eq(env_call(env, &(struct env_request) { .target = open[i], .user = &env_anonymous }).code, 200, "%s",
                     open[i]);
    cr_assert_eq(env_call(env, &(struct env_request) { .target = "/apis", .user = &env_nobody }).code, 200);
}

static const str plain_groups[] = { S_INIT("postgres.example.io:viewers") };
static const struct api_user plain_user = { .name = S_INIT("u"), .groups = plain_groups, .group_count = 1 };

Test(read_special, too_many_requests_at_once_get_429)
{
    env = env_new(&(struct env_options) { .max_requests_inflight = 1 });
    /* One read waits for a revision of the future. */
    struct env_watch *waiting =
        env_watch(env, &(struct env_request) { .target = C "?resourceVersion=99999&resourceVersionMatch=NotOlderThan",
                                               .user = &plain_user });
    struct env_answer a = env_call(env, &(struct env_request) { .target = C, .user = &plain_user });
    cr_assert_eq(a.code, 429);
    CHECK_STR(env_text(&a, "reason"), "TooManyRequests");
    CHECK_STR(env_header(&a, "retry-after"), "1");
    cr_assert_eq(env_get(env, C).code, 200, "administrators are not held up");
    cr_assert_null(env_watch_next(waiting));
    cr_assert_eq(waiting->refusal.code, 504);
    a = env_call(env, &(struct env_request) { .target = C, .user = &plain_user });
    cr_assert_eq(a.code, 200);
    env_watch_close(waiting);
    env_free(env);
}

Test(read, requests_are_counted_under_kubernetes_names)
{
    (void)env_cluster(env, "x");
    (void)env_get(env, C "/x");
    (void)env_get(env, C "/none");
    struct env_answer a = env_get(env, "/metrics");
    CHECK_HAS(a.body, "apiserver_request_total{verb=\"GET\",dry_run=\"\",group=\"postgres.example.io\",version=\"v1\","
                      "resource=\"postgresclusters\",subresource=\"\",scope=\"resource\",component=\"apiserver\","
                      "code=\"404\"} 1");
    CHECK_HAS(a.body, "apiserver_request_duration_seconds_bucket{verb=\"POST\"");
}
