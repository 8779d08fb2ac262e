/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of HTTP/1.1 that the library would refuse in its own words, or that are too large for it. */
#include "http/internal.h"
#include "rig.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/strbuf.h"

static struct rig *rig;

static void teardown(void)
{
    rig_free(rig);
}

TestSuite(http_head, .fini = teardown);

static void word_refusal(void *self, struct arena *a, struct http_refusal *refusal)
{
    (void)self;
    refusal->content_type = S("application/x-refusal");
    refusal->body = arena_printf(a, "<%d %.*s>", refusal->status, STR_ARG(refusal->text));
}

static void start(void)
{
    rig = rig_new();
    rig_start(rig, (struct http_server_options) { .word_refusal = word_refusal });
}

/* ---- the grammar ------------------------------------------------------------------------------------------------ */

/* The library's own parser; its header is not installed. */
struct phr_header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};
int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path,
                      size_t *path_len, int *minor_version, struct phr_header *headers, size_t *num_headers,
                      size_t last_len);

static int library_says(str head)
{
    struct phr_header headers[LIMIT_HEADER_COUNT];
    const char *method, *path;
    size_t method_len, path_len, count = LIMIT_HEADER_COUNT;
    int minor;
    return phr_parse_request(head.ptr, head.len, &method, &method_len, &path, &path_len, &minor, headers, &count, 0);
}

/* Nothing that passes may be refused by the library, or end elsewhere; it may be the more generous one. */
static void compare(str head)
{
    struct head h = { .state = HEAD_START };
    size_t taken = http__head_scan(&h, head);
    int theirs = library_says(head);
    cr_assert_eq(taken, h.bytes);
    if (h.state == HEAD_COMPLETE && h.count <= LIMIT_HEADER_COUNT)
        cr_assert_eq(theirs, (int)taken, "%.*s", STR_ARG(head));
    else if (h.state < HEAD_COMPLETE && h.count < LIMIT_HEADER_COUNT)
        cr_assert_eq(theirs, -2, "%.*s", STR_ARG(head));
}

Test(http_head_grammar, what_passes_is_what_the_library_reads)
{
    static const char pieces[] = "GET /hello HTTP/1.1\r\nHost: x\r\nA-b:\tc \xc3\xa9\r\n\r\n";
    static const char interesting[] = "\r\n :\t\0aH/1.\x7f\x80-_\"(";
    char buffer[sizeof(pieces) + 8];
    size_t len = sizeof(pieces) - 1;
    for (size_t at = 0; at <= len; at++) {
        compare(str_of(pieces, at));
        for (size_t k = 0; k < sizeof(interesting); k++) { /* another byte, one more, or two of them */
            memcpy(buffer, pieces, len);
            buffer[at < len ? at : len - 1] = interesting[k];
            compare(str_of(buffer, len));
            memcpy(buffer, pieces, at);
            buffer[at] = interesting[k];
            memcpy(buffer + at + 1, pieces + at, len - at);
            compare(str_of(buffer, len + 1));
            buffer[at + 1] = interesting[(k + 1) % sizeof(interesting)];
            memcpy(buffer + at + 2, pieces + at, len - at);
            compare(str_of(buffer, len + 2));
        }
    }
}

/* All at once or in pieces, it is the same that is too long. */
Test(http_head_grammar, what_is_too_long_does_not_depend_on_how_it_arrives)
{
    static char text[2 * LIMIT_HEAD_BYTES];
    static const char end[] = " HTTP/1.1\r\n\r\n";
    memset(text, 'x', sizeof(text));
    memcpy(text, "GET /", 5);
    memcpy(text + sizeof(text) - sizeof(end), end, sizeof(end));
    for (size_t piece = 1; piece <= sizeof(text); piece *= 16) {
        for (size_t target = LIMIT_HEAD_BYTES - 2; target < LIMIT_HEAD_BYTES + 3; target++) {
            struct head h = { .state = HEAD_START };
            text[target] = ' '; /* its end, and what follows is no version */
            for (size_t at = 0; at < sizeof(text); at += piece)
                (void)http__head_scan(&h, str_of(text + at, piece < sizeof(text) - at ? piece : sizeof(text) - at));
            cr_assert_eq(h.is_target_too_long, target > LIMIT_HEAD_BYTES, "%zu in %zu", target, piece);
            text[target] = 'x';
        }
    }
}

/* ---- on the wire ------------------------------------------------------------------------------------------------ */

#define MALFORMED "<400 malformed request>"
#define TOO_LARGE "<431 request header fields too large>"

static const struct {
    const char *head, *answer;
} bad[] = {
    { "garbage\r\n\r\n", MALFORMED },
    { "\x16\x03\x01 garbage\r\n\r\n", MALFORMED },
    { "\r\n\r\n", MALFORMED },
    { "GET /\r\n\r\n", MALFORMED },
    { "GET  / HTTP/1.1\r\n\r\n", MALFORMED },
    { "GET / HTTP/2.0\r\n\r\n", MALFORMED },
    { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", MALFORMED },
    { "GET / HTTP/1.x\r\n\r\n", MALFORMED },
    { "GET / HTTP/1.10\r\n\r\n", MALFORMED },
    { "GET /a b HTTP/1.1\r\n\r\n", MALFORMED },
    { "G\x01T / HTTP/1.1\r\n\r\n", MALFORMED },
    { "GET / HTTP/1.1\rHost: x\r\n\r\n", MALFORMED },
    { "GET / HTTP/1.1\r\nnonsense\r\n\r\n", MALFORMED },
    { "GET / HTTP/1.1\r\na b: c\r\n\r\n", MALFORMED },
    { "GET / HTTP/1.1\r\n: c\r\n\r\n", MALFORMED },
    { "GET / HTTP/1.1\r\na: b\x01\r\n\r\n", MALFORMED },
    { "GET / HTTP/1.1\r\na: b\rc\r\n\r\n", MALFORMED },
    { "GET / HTTP/1.1\r\na: b\r\n folded\r\n\r\n", MALFORMED },
    { "POST /echo HTTP/1.1\r\nTransfer-Encoding: magic\r\n\r\n", "<400 malformed request body>" },
    { "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "<400 malformed request body>" },
    { "POST /echo HTTP/1.1\r\nContent-Length: -5\r\n\r\n", "<400 malformed request body>" },
    { "POST /echo HTTP/1.1\r\nContent-Length: 5\r\nExpect: magic\r\n\r\n", "<417 unknown expectation>" },
};

/* Over HTTP/1.1 it closes afterwards. */
static void expect_refusal(struct client *c, const char *answer, const char *what)
{
    cr_assert(client_read_until(c, answer), "%s: %s", what, c->buffer);
    CHECK_HAS(str_from(c->buffer), "content-type: application/x-refusal");
    CHECK_HAS(str_from(c->buffer), "Connection: close");
    cr_assert(client_sees_close(c, PATIENCE_MS), "%s", what);
}

Test(http_head, what_cannot_be_read_is_refused_in_the_words_of_whoever_serves)
{
    start();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct client *c = client_open(rig, false, NULL);
        client_write_z(c, bad[i].head);
        expect_refusal(c, bad[i].answer, bad[i].head);
        client_free(c);
    }
    cr_assert_eq(rig->handled, 0);
}

Test(http_head, so_it_is_behind_another_request_and_byte_by_byte)
{
    start();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct client *c = client_open(rig, false, NULL);
        str both =
            arena_printf(rig->arena, "POST /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /hello HTTP/1.1\r\n\r\n%s",
                         bad[i].head);
        client_write(c, both.ptr, both.len);
        expect_refusal(c, bad[i].answer, bad[i].head);
        CHECK_HAS(str_from(c->buffer), "POST\n/echo");
        CHECK_HAS(str_from(c->buffer), "hello\n");
        client_free(c);
        c = client_open(rig, false, NULL);
        client_write_z(c, "GET /hello HTTP/1.1\r\n\r\n");
        cr_assert(client_read_until(c, "hello\n"));
        for (const char *p = bad[i].head; *p; p++)
            client_write(c, p, 1);
        expect_refusal(c, bad[i].answer, bad[i].head);
        client_free(c);
    }
}

static void add_fields(struct strbuf *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        strbuf_add(b, S("a: b\r\n"));
}

Test(http_head, more_headers_than_the_limit_are_431_and_as_many_are_served)
{
    start();
    for (int before = 0; before < 2; before++) {
        for (size_t count = LIMIT_HEADER_COUNT; count < 5000; count += count < LIMIT_HEADER_COUNT + 5 ? 1 : 3000) {
            STRBUF_AUTO b = STRBUF_INIT(1u << 20);
            if (before)
                strbuf_add(&b, S("GET /empty HTTP/1.1\r\n\r\n"));
            strbuf_add(&b, S("GET /hello HTTP/1.1\r\n"));
            add_fields(&b, count);
            strbuf_add(&b, S("\r\n"));
            struct client *c = client_open(rig, false, NULL);
            client_write(c, b.ptr, b.len);
            if (count <= LIMIT_HEADER_COUNT)
                cr_assert(client_read_until(c, "hello\n"));
            else
                expect_refusal(c, TOO_LARGE, "many headers");
            client_free(c);
        }
    }
}

/* ---- with the handshake ----------------------------------------------------------------------------------------- */

Test(http_head, what_comes_with_the_handshake_is_judged_as_any_other)
{
    start();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct client *c = client_open_with(rig, bad[i].head, strlen(bad[i].head));
        expect_refusal(c, bad[i].answer, bad[i].head);
        client_free(c);
        str both = arena_printf(rig->arena, "GET /empty HTTP/1.1\r\n\r\n%s", bad[i].head);
        c = client_open_with(rig, both.ptr, both.len);
        expect_refusal(c, bad[i].answer, bad[i].head);
        CHECK_HAS(str_from(c->buffer), "HTTP/1.1 204 No Content");
        client_free(c);
    }
    cr_assert_eq(rig->handled, (int)ARRAY_LEN(bad));
}

Test(http_head, a_head_may_begin_with_the_handshake_and_go_on_later)
{
    static const char good[] = "POST /echo HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: keep-alive, Upgrade\r\n"
                               "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    start();
    for (size_t at = 0; at < sizeof(good); at++) {
        struct client *c = client_open_with(rig, good, at);
        cr_assert_eq(rig_get(rig, "/hello", true).status, 200); /* one loop: it has read the first part by now */
        client_write_z(c, good + at);
        cr_assert(client_read_until(c, "\n3 \n"), "%zu: %s", at, c->buffer);
        client_write_z(c, "GET /hello HTTP/1.1\r\n\r\n");
        cr_assert(client_read_until(c, "hello\n"), "%zu: %s", at, c->buffer);
        client_free(c);
    }
}

/* The library would judge a part of a head that it is given. */
Test(http_head, a_head_that_is_too_large_may_begin_with_the_handshake)
{
    static const struct {
        const char *begin, *piece, *rest, *answer;
        size_t pieces;
    } cases[] = {
        { "GET /hello HTTP/1.1\r\n", "a: b\r\n", "c: d\r\n\r\n", TOO_LARGE, LIMIT_HEADER_COUNT + 1 },
        { "GET /hello HTTP/1.1\r\n", "a: b\r\n", "c: d\r\n\r\n", TOO_LARGE, 4000 },
        { "GET /hello HTTP/1.1\r\na: ", "bbbbbbbb", "\r\n\r\n", TOO_LARGE, LIMIT_HEAD_BYTES / 8 },
        { "GET /", "bbbbbbbb", " HTTP/1.1\r\n\r\n", "<414 request target too long>", LIMIT_HEAD_BYTES / 8 },
    };
    start();
    for (size_t i = 0; i < ARRAY_LEN(cases) * 2; i++) {
        STRBUF_AUTO b = STRBUF_INIT(1u << 20);
        strbuf_add(&b, str_from(cases[i / 2].begin));
        for (size_t k = 0; k < cases[i / 2].pieces; k++)
            strbuf_add(&b, str_from(cases[i / 2].piece));
        if (i % 2)
            strbuf_add(&b, str_from(cases[i / 2].rest));
        struct client *c = client_open_with(rig, b.ptr, b.len);
        cr_assert_eq(rig_get(rig, "/empty", true).status, 204);
        if (i % 2 == 0)
            client_write_z(c, cases[i / 2].rest);
        expect_refusal(c, cases[i / 2].answer, cases[i / 2].begin);
        client_free(c);
    }
}

/* All that is sent is read before the answer, so that no reset takes it away. */
Test(http_head, a_head_of_almost_a_mebibyte_is_read_refused_and_not_kept)
{
    static char long_text[LIMIT_HEAD_DISCARD_BYTES - 1024];
    memset(long_text, 'x', sizeof(long_text));
    start();
    for (int i = 0; i < 3; i++) {
        struct client *c = client_open(rig, false, NULL);
        client_write_z(c, i == 0 ? "GET /" : "GET /hello HTTP/1.1\r\na: ");
        if (i == 2)
            for (size_t sent = 0; sent < sizeof(long_text) / 2; sent += 997)
                client_write(c, long_text, 997);
        client_write(c, long_text, i == 2 ? sizeof(long_text) / 3 : sizeof(long_text));
        client_write_z(c, i == 0 ? " HTTP/1.1\r\n\r\n" : "\r\n\r\n");
        expect_refusal(c, i == 0 ? "<414 request target too long>" : TOO_LARGE, "long");
        client_free(c);
    }
    cr_assert_eq(rig->handled, 0);
}

Test(http_head, a_head_without_an_end_ends_the_connection_and_holds_nobody_up)
{
    static char long_text[LIMIT_HEAD_DISCARD_BYTES];
    memset(long_text, 'x', sizeof(long_text));
    start();
    struct client *c = client_open(rig, false, NULL);
    client_write_z(c, "GET /hello HTTP/1.1\r\na: ");
    client_write(c, long_text, sizeof(long_text) / 2);
    cr_assert_eq(rig_get(rig, "/hello", true).status, 200);
    client_write(c, long_text, sizeof(long_text));
    cr_assert(client_sees_close(c, PATIENCE_MS));
    client_free(c);
}

Test(http_head, requests_of_one_piece_are_answered_one_by_one)
{
    start();
    STRBUF_AUTO b = STRBUF_INIT(1u << 20);
    for (int i = 0; i < 300; i++)
        strbuf_add(&b, i % 2 ? S("\r\nGET /hello HTTP/1.1\nHost: x\n\n")
                             : S("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
    strbuf_add(&b, S("GET /peer HTTP/1.1\r\n\r\n"));
    for (size_t piece = 1; piece < 5000; piece = piece * 7 + 1) {
        struct client *c = client_open(rig, false, NULL);
        int before = rig->handled;
        size_t sent = 0;
        for (; sent < b.len; sent += piece)
            client_write(c, b.ptr + sent, piece < b.len - sent ? piece : b.len - sent);
        cr_assert(BECOMES(rig->handled == before + 301), "%zu: %d", piece, rig->handled - before);
        client_free(c);
    }
}

/* Behind answers that nobody reads, so that the refusal may not fit any more. */
Test(http_head, a_refusal_that_nobody_reads_holds_nobody_up)
{
    rig = rig_new();
    struct sockaddr_in address = { .sin_family = AF_INET };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), small = 4096;
    cr_assert_eq(setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    cr_assert_eq(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(listener, 10), 0);
    rig_start(rig, (struct http_server_options) { .listen_fd = listener });
    struct client *clients[16];
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        struct client *c = clients[i] = client_open(rig, false, NULL);
        cr_assert(c != NULL);
        cr_assert_eq(setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        int before = rig->handled;
        for (size_t k = 0; k < 16 * i; k++)
            client_write_z(c, "GET /hello HTTP/1.1\r\n\r\n");
        client_write_z(c, "garbage\r\n");
        cr_assert(BECOMES(rig->handled > before || i == 0));
        for (int k = 0; k < 3; k++) {
            client_write_z(c, "more\r\n");
            cr_assert_eq(rig_get(rig, "/hello", false).status, 200, "after %zu requests", 16 * i);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        client_free(clients[i]);
    close(listener);
}
