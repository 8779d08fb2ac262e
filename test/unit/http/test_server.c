/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers over HTTP/1.1 and HTTP/2, by libcurl. */
#include <curl/curl.h>

#include "base/limits.h"
#include "base/strbuf.h"
#include "rig.h"

static struct rig *rig;

static void setup(void)
{
    rig = rig_new();
    rig_start(rig, (struct http_server_options) { .loops = 0 });
}

static void teardown(void)
{
    rig_free(rig);
}

TestSuite(http_server, .init = setup, .fini = teardown);

static const bool versions[] = { true, false };

Test(http_server, a_get_is_answered_over_both_protocols)
{
    for (size_t i = 0; i < 2; i++) {
        struct rig_answer a = rig_get(rig, "/hello", versions[i]);
        cr_assert_eq(a.curl_code, 0);
        cr_assert_eq(a.status, 200);
        cr_assert_eq(a.http_version, versions[i] ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2_0);
        CHECK_STR(a.body, "hello\n");
        CHECK_HAS(a.headers, "content-type: application/json");
        CHECK_HAS(a.headers, "x-made-by: rig");
        cr_assert(str_find(a.headers, S("ontent-length: 6\r\n")) > 0 ||
                  str_find(a.headers, S("ontent-Length: 6\r\n")) > 0);
        cr_assert(str_find(a.headers, S("ate: ")) > 0);
        CHECK_HAS_NOT(a.headers, "erver:");
    }
}

Test(http_server, head_tells_the_length_and_sends_no_body)
{
    for (size_t i = 0; i < 2; i++) {
        struct rig_answer a =
            rig_call(rig, &(struct rig_call) { .path = "/hello", .method = "HEAD", .is_http1 = versions[i] });
        cr_assert_eq(a.curl_code, 0);
        cr_assert_eq(a.status, 200);
        cr_assert_eq(a.body.len, 0);
        cr_assert(str_find(a.headers, S("ength: 6\r\n")) > 0);
    }
}

Test(http_server, an_answer_204_has_neither_body_nor_length)
{
    for (size_t i = 0; i < 2; i++) {
        struct rig_answer a = rig_get(rig, "/empty", versions[i]);
        cr_assert_eq(a.curl_code, 0);
        cr_assert_eq(a.status, 204);
        cr_assert(str_find(a.headers, S("ength:")) < 0);
    }
}

Test(http_server, the_target_arrives_as_it_was_sent)
{
    for (size_t i = 0; i < 2; i++) {
        struct rig_answer a = rig_get(rig, "/a%2Fb/../c%00%zz?x=%20&y=/?z", versions[i]);
        cr_assert_eq(a.status, 200);
        CHECK_STR(a.body, "GET\n/a%2Fb/../c%00%zz?x=%20&y=/?z\n/a%2Fb/../c%00%zz\nx=%20&y=/?z\n0 \n");
        a = rig_get(rig, "/echo?", versions[i]);
        CHECK_STR(a.body, "GET\n/echo?\n/echo\n\n0 \n");
    }
}

Test(http_server, a_target_that_is_no_path_reaches_the_handler_too)
{
    struct client *c = client_open(rig, false, NULL);
    client_write_z(c, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(client_read_until(c, "OPTIONS\n*\n*\n\n0 \n"));
    client_write_z(c, "GET https://evil/echo HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(client_read_until(c, "GET\nhttps://evil/echo\n"));
    client_free(c);
}

Test(http_server, bodies_arrive_whole_and_too_large_ones_as_a_flag)
{
    static char data[LIMIT_BODY_BYTES + (512u << 10)];
    const struct {
        size_t len;
        long status;
    } cases[] = { { 0, 200 }, { 1, 200 }, { 100000, 200 }, { LIMIT_BODY_BYTES, 200 }, { sizeof(data), 413 } };
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
            struct rig_answer a = rig_call(
                rig, &(struct rig_call) { .path = "/echo", .is_http1 = versions[i], .body = { data, cases[k].len } });
            cr_assert_eq(a.curl_code, 0);
            cr_assert_eq(a.status, cases[k].status);
            str wanted =
                arena_printf(rig->arena, "POST\n/echo\n/echo\n\n%zu %s\n", cases[k].status == 200 ? cases[k].len : 0,
                             cases[k].status == 200 ? "" : "too large");
            cr_assert(str_eq(a.body, wanted));
        }
    }
}

Test(http_server, too_long_targets_and_headers_are_refused)
{
    char *path = arena_alloc(rig->arena, 30000);
    memset(path, 'a', 29999);
    path[0] = '/';
    char *header = arena_alloc(rig->arena, 70000);
    memset(header, 'h', 69999);
    memcpy(header, "x-long: ", 8);
    for (size_t i = 0; i < 2; i++)
        cr_assert_eq(rig_get(rig, path, versions[i]).status, 414);
    cr_assert_eq(rig_call(rig, &(struct rig_call) { .path = "/hello", .is_http1 = true, .header = header }).status,
                 431);
    cr_assert_eq(rig->handled, 0);
}

/* libcurl sends no more than 64 KiB of headers. */
static void h2_get_with_headers(struct client *c, uint32_t stream, size_t count, size_t value_len)
{
    static char block[256 * 1024];
    size_t len = h2_block(block, sizeof(block), "GET", "/hello");
    for (size_t i = 0; i < count; i++)
        len += h2_header(block + len, "x-many", value_len);
    size_t first = len < 16384 ? len : 16384;
    h2_frame(c, FRAME_HEADERS, FLAG_END_STREAM | (first == len ? FLAG_END_HEADERS : 0), stream, block, first);
    for (size_t at = first; at < len; at += first) {
        first = len - at < 16384 ? len - at : 16384;
        h2_frame(c, FRAME_CONTINUATION, at + first == len ? FLAG_END_HEADERS : 0, stream, block + at, first);
    }
}

Test(http_server, over_http2_too_many_and_too_large_headers_are_refused_and_others_are_served)
{
    struct client *c = client_open(rig, true, NULL);
    struct frame frame;
    h2_start(c, 0);
    const struct {
        size_t count, value_len;
        int handled;
    } cases[] = {
        { LIMIT_HEADER_COUNT, 1, 1 }, { LIMIT_HEADER_COUNT + 1, 1, 1 }, { 4, 16000, 2 }, { 5, 16000, 2 }, { 0, 0, 3 }
    };
    for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
        h2_get_with_headers(c, 2 * i + 1, cases[i].count, cases[i].value_len);
        cr_assert(h2_read_until(c, FRAME_DATA, 2 * i + 1, &frame), "case %u", i);
        cr_assert_eq(rig->handled, cases[i].handled, "case %u", i);
    }
    client_free(c);
}

Test(http_server, headers_are_found_by_lower_case_name)
{
    struct http_header headers[] = { { S("accept"), S("x") }, { S("x-a"), S("1") }, { S("x-a"), S("2") } };
    struct http_request req = { .headers = headers, .header_count = 3 };
    CHECK_STR(http_request_header(&req, S("x-a")), "1");
    CHECK_STR(http_request_header(&req, S("missing")), "");
}

static void fill_blobs(size_t count, size_t size)
{
    rig->blobs = arena_array_of(rig->arena, struct blob *, count);
    rig->blob_count = count;
    for (size_t i = 0; i < count; i++) {
        rig->blobs[i] = blob_new_size(size);
        for (size_t k = 0; k < size; k++)
            rig->blobs[i]->bytes[k] = (char)('a' + (i + k) % 26);
    }
}

static void check_blobs(const struct rig_answer *a)
{
    size_t at = rig->body.len;
    cr_assert_eq(a->curl_code, 0);
    cr_assert(str_has_prefix(a->body, rig->body));
    for (size_t i = 0; i < rig->blob_count; i++) {
        cr_assert(str_eq(str_first(str_from_offset(a->body, at), rig->blobs[i]->len), blob_str(rig->blobs[i])));
        at += rig->blobs[i]->len;
    }
    cr_assert_eq(a->body.len, at);
}

static void release_blobs(void)
{
    for (size_t i = 0; i < rig->blob_count; i++) {
        cr_assert(BECOMES(atomic_load(&rig->blobs[i]->refs) == 1), "blob %zu is still referenced", i);
        (void)blob_unref(rig->blobs[i]);
    }
    rig->blob_count = 0;
}

Test(http_server, a_body_of_many_pieces_arrives_in_order_and_is_released)
{
    const struct {
        size_t count, size;
    } cases[] = {
        { 1, 10 }, { 3, 1400 }, { 5, 0 }, { 300, 7 }, { 2001, 1400 }, { 3, 5u << 20 }, { 1, (128u << 10) + 1 }
    };
    rig->body = S("begin:");
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        fill_blobs(cases[k].count, cases[k].size);
        for (size_t i = 0; i < 2; i++) {
            struct rig_answer a = rig_get(rig, "/blobs", versions[i]);
            check_blobs(&a);
        }
        release_blobs();
    }
}

static size_t resident_kib(void)
{
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*u %zu", &pages) != 1)
        abort();
    (void)fclose(f);
    return pages * 4;
}

Test(http_server, a_large_body_is_not_encrypted_at_once)
{
    fill_blobs(1, 64u << 20);
    for (size_t i = 0; i < 2; i++) {
        struct client *c = client_open(rig, !versions[i], NULL);
        size_t before = resident_kib();
        if (versions[i]) {
            client_write_z(c, "GET /blobs HTTP/1.1\r\nHost: x\r\n\r\n");
            cr_assert(client_read_until(c, "abcdef"));
        } else {
            struct frame frame;
            h2_start(c, 1u << 30);
            h2_frame(c, FRAME_WINDOW_UPDATE, 0, 0, "\77\0\0\0", 4);
            h2_get(c, 1, "/blobs");
            cr_assert(h2_read_until(c, FRAME_DATA, 1, &frame));
        }
        /* Nothing more is read; a request of somebody else proves that the loop is free, and has done what it would. */
        cr_assert_eq(rig_get(rig, "/hello", true).status, 200);
        cr_assert_lt(resident_kib(), before + (16u << 10));
        client_free(c);
    }
    release_blobs();
}

Test(http_server, connections_are_counted)
{
    struct client *one = client_open(rig, false, NULL), *two = client_open(rig, true, NULL);
    cr_assert(BECOMES(http_server_connections(rig->server) == 2));
    client_free(one);
    client_free(two);
    cr_assert(BECOMES(http_server_connections(rig->server) == 0));
}

Test(http_server, several_loops_share_one_port)
{
    struct rig *many = rig_new();
    rig_start(many, (struct http_server_options) { .loops = 3 });
    cr_assert_eq(http_server_loop_count(many->server), 3);
    cr_assert_eq(http_loop_index(http_server_loop(many->server, 2)), 2);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(rig_get(many, "/hello", i % 2).status, 200);
    rig_free(many);
}

Test(http_server, wrong_options_are_errors)
{
    struct http_server *s = NULL;
    struct error e;
    struct http_server_options o = { .bind_address = S("localhost"), .tls = rig_tls(rig) };
    CHECK_FAILS(http_server_start(&o, &s, &e), ERRC_INVALID);
    CHECK_HAS(str_from(e.text), "bind address \"localhost\"");
    o.bind_address = S("127.0.0.1");
    o.port = rig->port;
    cr_assert_lt(http_server_start(&o, &s, &e), 0);
    CHECK_HAS(str_from(e.text), "in use");
    o.port = 0;
    o.tls.private_key_pem = rig->client.private_key_pem;
    CHECK_FAILS(http_server_start(&o, &s, &e), ERRC_INVALID);
    CHECK_HAS(str_from(e.text), "serving key");
    o.tls = (struct http_tls_config) { .certificate_pem = S("x") };
    CHECK_FAILS(http_server_start(&o, &s, &e), ERRC_INVALID);
    CHECK_HAS(str_from(e.text), "serving certificate");
    o.tls = rig_tls(rig);
    o.tls.client_ca_count = 1;
    o.tls.client_cas_pem[0] = S("no CA");
    CHECK_FAILS(http_server_start(&o, &s, &e), ERRC_INVALID);
    CHECK_HAS(str_from(e.text), "client CA");
}
