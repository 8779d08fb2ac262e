/* SPDX-License-Identifier: Apache-2.0 */
/* The API behind real TLS, over both protocols: who the caller is, watches, clients that go away. */
#include <stdatomic.h>

#include <criterion/criterion.h>

#include "apiserver/serve.h"
#include "base/clock.h"
#include "rig.h"
#include "test/harness/api_env.h"
#include "test/harness/check.h"
#include "test/harness/temp_dir.h"
#include "json/json_parse.h"

#define C ENV_CLUSTERS

static struct env *env;
static struct rig *rig;
static struct auth *auth;
static struct serve *serve;
static struct temp_dir folder;
static struct storage_faulty_plan plan; /* each test is a process */

static void set_up(void)
{
    struct error err;
    folder = temp_dir_make();
    env = env_new(&(struct env_options) { .faults = &plan });
    const char *tokens = TEMP_PATH(env->arena, folder, "tokens.csv");
    CHECK_OK(fs_write_atomic(tokens, S("view-token,vera,7,\"postgres.example.io:viewers\"\n"), 0600, &err), err);
    CHECK_OK(auth_new(tokens, &auth, &err), err);
    const struct serve_options options = { .api = env->api, .auth = auth };
    serve = serve_new(&options);
    rig = rig_new();
    struct http_tls_config tls = rig_tls(rig);
    tls.client_cas_pem[0] = rig->ca.certificate_pem;
    tls.client_ca_count = 1;
    rig_start(rig, (struct http_server_options) {
                       .handler = serve_handle, .word_refusal = serve_word_refusal, .self = serve, .tls = tls });
}

static void tear_down(void)
{
    rig_free(rig);
    env_free(env);
    serve_free(serve);
    auth_free(auth);
    temp_dir_release(&folder);
}

TestSuite(serve, .init = set_up, .fini = tear_down, .timeout = 60);

static struct rig_answer call(const char *method, const char *path, const char *body, const char *header)
{
    return rig_call(rig,
                    &(struct rig_call) { .method = method, .path = path, .body = str_from(body), .header = header });
}

Test(serve, nobody_sees_health_and_nothing_else)
{
    cr_assert_eq(call("GET", "/readyz", NULL, NULL).status, 200);
    struct rig_answer a = call("GET", C, NULL, NULL);
    cr_assert_eq(a.status, 403);
    CHECK_HAS(a.body, "User \\\"system:anonymous\\\" cannot list resource");
}

Test(serve, tokens_name_users_and_wrong_ones_are_refused)
{
    struct rig_answer a = call("GET", C, NULL, "Authorization: Bearer view-token");
    cr_assert_eq(a.status, 200);
    CHECK_HAS(a.body, "PostgresClusterList");
    a = call("POST", C, "{}", "Authorization: Bearer view-token");
    cr_assert_eq(a.status, 403);
    CHECK_HAS(a.body, "User \\\"vera\\\" cannot create");
    a = call("GET", C, NULL, "Authorization: Bearer guess");
    cr_assert_eq(a.status, 401);
    CHECK_HAS(a.body, "\"reason\":\"Unauthorized\"");
}

Test(serve, a_changed_token_file_counts_without_a_restart)
{
    struct error err;
    const char *tokens = TEMP_PATH(env->arena, folder, "tokens.csv");
    CHECK_OK(fs_write_atomic(tokens, S("new-token,root,1,system:masters\n"), 0600, &err), err);
    int64_t deadline = deadline_in_ms(PATIENCE_MS);
    while (call("GET", C, NULL, "Authorization: Bearer new-token").status != 200)
        cr_assert_not(deadline_has_passed(deadline));
    cr_assert_eq(call("GET", C, NULL, "Authorization: Bearer view-token").status, 401);
    CHECK_OK(fs_write_atomic(tokens, S("broken\n"), 0600, &err), err);
    cr_assert_eq(call("GET", C, NULL, "Authorization: Bearer new-token").status, 200, "a broken file changes nothing");
}

Test(serve, certificates_name_users)
{
    struct rig_answer a = rig_call(rig, &(struct rig_call) { .path = C, .certificate = &rig->client });
    cr_assert_eq(a.status, 200, "alice is of system:masters");
    a = rig_call(rig, &(struct rig_call) { .path = C, .certificate = &rig->stranger });
    cr_assert_eq(a.status, 401, "not nobody: a certificate that ended must be told from a right that is missing");
    CHECK_HAS(a.body, "Unauthorized");
}

/* An administrator's token, put into the file first. */
#define ROOT "Authorization: Bearer root-token"

static void be_root(void)
{
    struct error err;
    const char *tokens = TEMP_PATH(env->arena, folder, "tokens.csv");
    CHECK_OK(fs_write_atomic(tokens, S("root-token,root,1,system:masters\n"), 0600, &err), err);
    int64_t deadline = deadline_in_ms(PATIENCE_MS);
    while (call("GET", "/metrics", NULL, ROOT).status != 200)
        cr_assert_not(deadline_has_passed(deadline));
}

Test(serve, objects_are_written_and_read_over_both_protocols)
{
    for (int i = 0; i < 2; i++) {
        str body =
            arena_printf(env->arena, "{\"metadata\":{\"name\":\"pg%d\"},\"spec\":{\"storage\":{\"size\":\"1Gi\"}}}", i);
        struct rig_answer a = rig_call(rig, &(struct rig_call) { .method = "POST",
                                                                 .header = "Content-Type: application/json",
                                                                 .path = C,
                                                                 .body = body,
                                                                 .is_http1 = i == 1,
                                                                 .certificate = &rig->client });
        cr_assert_eq(a.status, 201, "%ld %.*s", a.status, STR_ARG(a.body));
        CHECK_HAS(a.headers, "audit-id: ");
        a = rig_call(rig, &(struct rig_call) { .path = arena_printf(env->arena, C "/pg%d", i).ptr,
                                               .is_http1 = i == 1,
                                               .certificate = &rig->client });
        cr_assert_eq(a.status, 200);
        a = rig_call(rig, &(struct rig_call) { .method = "HEAD",
                                               .path = arena_printf(env->arena, C "/pg%d", i).ptr,
                                               .is_http1 = i == 1,
                                               .certificate = &rig->client });
        cr_assert_eq(a.status, 200);
        cr_assert_eq(a.body.len, 0);
    }
}

Test(serve, a_body_above_the_limit_is_413_in_words)
{
    be_root();
    size_t n = (3u << 20) + 100;
    char *big = arena_alloc(env->arena, n);
    memset(big, ' ', n);
    struct rig_answer a =
        rig_call(rig, &(struct rig_call) { .method = "POST", .path = C, .body = str_of(big, n), .header = ROOT });
    cr_assert_eq(a.status, 413);
    CHECK_HAS(a.body, "RequestEntityTooLarge");
}

Test(serve, what_the_server_refuses_by_itself_is_a_status_too)
{
    static const char *const requests[] = {
        "POST " C " HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n",
        "POST " C " HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    };
    static const char *const answers[] = {
        "\"message\":\"Request entity too large: limit is 3145728\",\"reason\":\"RequestEntityTooLarge\",\"code\":413}",
        "\"message\":\"more than one length of the body\",\"reason\":\"BadRequest\",\"code\":400}",
    };
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct client *c = client_open(rig, false, NULL);
        client_write_z(c, requests[i]);
        cr_assert(client_read_until(c, answers[i]), "%s", c->buffer);
        CHECK_HAS(str_from(c->buffer), "content-type: application/json");
        client_free(c);
    }
    char *header = arena_alloc(rig->arena, 70000);
    memset(header, 'h', 69999);
    memcpy(header, "x-long: ", 8);
    header[69999] = 0;
    struct rig_answer a = rig_call(rig, &(struct rig_call) { .path = "/livez", .is_http1 = true, .header = header });
    cr_assert_eq(a.status, 431);
    CHECK_HAS(a.body, "\"reason\":\"BadRequest\",\"code\":431");
}

Test(serve, a_watch_over_http1_gets_headers_at_once_events_and_an_end)
{
    be_root();
    struct client *c = client_open(rig, false, NULL);
    client_write_z(c, "GET " C "?watch=1&timeoutSeconds=2 HTTP/1.1\r\nhost: x\r\n" ROOT "\r\n\r\n");
    cr_assert(client_read_until(c, "\r\n\r\n"));
    (void)env_cluster(env, "pg1");
    cr_assert(client_read_until(c, "\"type\":\"ADDED\""));
    cr_assert(client_read_until(c, "\r\n0\r\n\r\n"), "the last chunk: a clean end");
    client_free(c);
}

static size_t open_watches(void)
{
    return http_server_active_streams(rig->server);
}

static void wait_watches(size_t wanted)
{
    int64_t deadline = deadline_in_ms(PATIENCE_MS);
    while (open_watches() != wanted)
        cr_assert_not(deadline_has_passed(deadline), "%zu watches instead of %zu", open_watches(), wanted);
}

Test(serve, watches_of_clients_that_went_away_are_forgotten)
{
    be_root();
    struct client *c[4];
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i] = client_open(rig, false, NULL);
        client_write_z(c[i], "GET " C "?watch=1 HTTP/1.1\r\nhost: x\r\n" ROOT "\r\n\r\n");
        cr_assert(client_read_until(c[i], "\r\n\r\n"));
    }
    wait_watches(ARRAY_LEN(c));
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        client_free(c[i]);
    wait_watches(0);
    (void)env_cluster(env, "pg1");
}

Test(serve, a_client_that_goes_away_while_it_waits_does_no_harm)
{
    be_root();
    static const char *targets[] = {
        C "?resourceVersion=999999&resourceVersionMatch=NotOlderThan",
        C "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=999999",
    };
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct client *c = client_open(rig, false, NULL);
        client_write_z(c, arena_printf(env->arena, "GET %s HTTP/1.1\r\nhost: x\r\n" ROOT "\r\n\r\n", targets[i]).ptr);
        int64_t deadline = deadline_in_ms(PATIENCE_MS);
        while (http_server_active_requests(rig->server) == 0)
            cr_assert_not(deadline_has_passed(deadline));
        client_free(c);
        deadline = deadline_in_ms(PATIENCE_MS);
        while (http_server_active_requests(rig->server) > 0)
            cr_assert_not(deadline_has_passed(deadline));
    }
    cr_assert_eq(call("GET", C, NULL, ROOT).status, 200);
}

Test(serve, watches_end_when_the_server_stops)
{
    be_root();
    struct client *c = client_open(rig, false, NULL);
    client_write_z(c, "GET " C "?watch=1 HTTP/1.1\r\nhost: x\r\n" ROOT "\r\n\r\n");
    cr_assert(client_read_until(c, "\r\n\r\n"));
    api_end_watches(env->api);
    cr_assert(client_read_until(c, "0\r\n\r\n"));
    client_free(c);
    wait_watches(0);
}

/* ---- a disk that hangs ------------------------------------------------------------------------------------------- */

static struct rig_answer as_root(const char *method, const char *path, const char *body)
{
    return rig_call(rig, &(struct rig_call) { .method = method,
                                              .path = path,
                                              .body = body ? str_from(body) : (str) { 0 },
                                              .header = "Content-Type: application/json",
                                              .certificate = &rig->client });
}

static struct rig_answer create(const char *name, const char *query)
{
    return as_root(
        "POST", arena_printf(env->arena, C "%s", query).ptr,
        arena_printf(env->arena, "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"storage\":{\"size\":\"1Gi\"}}}", name)
            .ptr);
}

static void check_in_doubt(const struct rig_answer *a)
{
    cr_assert_eq(a->status, 504, "%ld %.*s", a->status, STR_ARG(a->body));
    CHECK_HAS(a->body, "\"reason\":\"Timeout\"");
    CHECK_HAS(a->body, "may or may not have been made");
    cr_assert_lt(str_find(a->body, S("retryAfterSeconds")), 0, "a client would try again unseen");
    CHECK_HAS(a->headers, "audit-id: ");
}

Test(serve, a_write_that_hangs_ends_with_504_while_reads_go_on)
{
    (void)env_cluster(env, "there");
    atomic_store(&plan.holds_writes, true);
    int64_t begin = clock_monotonic_ns();
    struct rig_answer a = create("hung", "?timeout=200ms");
    cr_assert_lt(clock_monotonic_ns() - begin, 60 * NS_PER_S);
    check_in_doubt(&a);
    a = create("queued", "?timeout=200ms");
    check_in_doubt(&a);
    /* More of those that make a thread wait than there are workers. */
    for (int i = 0; i < 3; i++) {
        a = as_root("DELETE", C "?timeout=200ms&labelSelector=app!%3Dx", NULL);
        check_in_doubt(&a);
    }
    cr_assert_eq(as_root("GET", C "/there", NULL).status, 200);
    cr_assert_eq(as_root("GET", C "/hung", NULL).status, 404, "not before it is durable");
    a = as_root("GET", C "?labelSelector=app", NULL);
    cr_assert_eq(a.status, 200, "%.*s", STR_ARG(a.body));
    a = as_root("POST", C "?dryRun=All", "{\"metadata\":{\"name\":\"dry\"},\"spec\":{\"storage\":{\"size\":\"1Gi\"}}}");
    cr_assert_eq(a.status, 201, "what needs no disk works");

    storage_faulty_release(&plan);
    a = create("last", "");
    cr_assert_eq(a.status, 201, "%.*s", STR_ARG(a.body));
    cr_assert_eq(as_root("GET", C "/hung", NULL).status, 200, "it was begun, and so it was made");
    cr_assert_eq(as_root("GET", C "/queued", NULL).status, 404, "nobody waited for it any more");
    a = as_root("GET", "/metrics", NULL);
    CHECK_HAS(a.body, "apiserver_request_terminations_total{verb=\"POST\",group=\"postgres.example.io\",version=\"v1\","
                      "resource=\"postgresclusters\",subresource=\"\",scope=\"namespace\",component=\"apiserver\","
                      "code=\"504\"} 2");
    CHECK_HAS(a.body, "scope=\"namespace\",component=\"apiserver\",code=\"504\"} 2");
}
