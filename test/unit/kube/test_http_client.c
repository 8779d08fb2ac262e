/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client against a scripted plain-text server on a port of its own: each connection gets the next script, so that
 * every way an answer can go wrong is exact. TLS and HTTP/2 are tested where the real server is.
 */
#include "kube/http_client.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/strbuf.h"

struct script {
    const char *answer; /* sent once the request's header ended */
    bool hold;          /* keep the connection open until the test ends */
};

static struct server {
    int fd;
    int port;
    const struct script *scripts;
    size_t count;
    pthread_t thread;
    int open_fds[8];
    char request[4096];
} server;

static void serve_one(size_t i)
{
    int fd = accept(server.fd, NULL, NULL);
    if (fd < 0)
        return;
    server.open_fds[i] = fd;
    size_t len = 0;
    while (len < sizeof(server.request) - 1) {
        ssize_t n = recv(fd, server.request + len, sizeof(server.request) - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
        server.request[len] = '\0';
        if (strstr(server.request, "\r\n\r\n"))
            break;
    }
    if (server.scripts[i].answer)
        (void)send(fd, server.scripts[i].answer, strlen(server.scripts[i].answer), MSG_NOSIGNAL);
    if (!server.scripts[i].hold) {
        (void)close(fd);
        server.open_fds[i] = -1;
    }
}

static void *serve(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < server.count; i++)
        serve_one(i);
    return NULL;
}

static void start(const struct script *scripts, size_t count)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(at);
    for (size_t i = 0; i < ARRAY_LEN(server.open_fds); i++)
        server.open_fds[i] = -1;
    server.scripts = scripts;
    server.count = count;
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(server.fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    cr_assert(listen(server.fd, 8) == 0);
    cr_assert(getsockname(server.fd, (struct sockaddr *)&at, &len) == 0);
    server.port = ntohs(at.sin_port);
    cr_assert(pthread_create(&server.thread, NULL, serve, NULL) == 0);
}

static void stop(void)
{
    (void)shutdown(server.fd, SHUT_RDWR); /* an accept that nobody comes to any more ends */
    (void)pthread_join(server.thread, NULL);
    for (size_t i = 0; i < ARRAY_LEN(server.open_fds); i++)
        fs_closep(&server.open_fds[i]);
    fs_closep(&server.fd);
}

static struct http_client_request request_of(struct arena *a, const char *method, int64_t ms)
{
    return (struct http_client_request) {
        .method = method,
        .url = arena_printf(a, "http://127.0.0.1:%d/x?y=1", server.port),
        .deadline_ns = deadline_in_ms(ms),
    };
}

static int call_once(struct arena *a, const struct http_client_request *q, struct http_client_response *res,
                     struct error *err)
{
    struct http_client *c = NULL;
    cr_assert(http_client_new(&c, err) == 0, "%s", err->text);
    int r = http_client_call(c, a, q, res, err);
    http_client_free(c);
    return r;
}

Test(http_client, gives_code_type_and_body_of_any_answer)
{
    static const struct script scripts[] = { { "HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\n"
                                               "Content-Length: 10\r\n\r\n{\"term\":7}",
                                               false } };
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct error err = { 0 };
    start(scripts, 1);
    struct http_client_request q = request_of(a, "POST", 120000);
    q.body = S("{}");
    q.content_type = S("application/json");
    struct http_client_response res = { 0 };
    cr_assert(call_once(a, &q, &res, &err) == 0, "%s", err.text);
    stop();
    cr_expect(res.code == 409);
    cr_expect(str_eq(res.content_type, S("application/json")));
    cr_expect(str_eq(res.body, S("{\"term\":7}")));
    cr_expect(strncmp(server.request, "POST /x?y=1 HTTP/1.1\r\n", 22) == 0);
    cr_expect(strstr(server.request, "Content-Type: application/json") != NULL);
    cr_expect(strstr(server.request, "Expect:") == NULL);
}

Test(http_client, tells_a_refused_connection_from_a_silent_server)
{
    static const struct script scripts[] = { { NULL, true } };
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct error err = { 0 };
    struct http_client_response res = { 0 };
    start(scripts, 1);
    struct http_client_request silent = request_of(a, "GET", 150);
    int64_t began = clock_monotonic_ns();
    cr_expect(call_once(a, &silent, &res, &err) == ERRC_TIMEOUT, "%s", err.text);
    cr_expect(clock_monotonic_ns() - began < 60 * NS_PER_S);
    stop();
    struct http_client_request refused = request_of(a, "GET", 120000);
    cr_expect(call_once(a, &refused, &res, &err) == ERRC_UNAVAILABLE, "%s", err.text);
}

Test(http_client, refuses_an_answer_above_the_limit_and_a_cut_one)
{
    static const struct script scripts[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789", false },
        { "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123456789", false },
    };
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct error err = { 0 };
    struct http_client_response res = { 0 };
    start(scripts, 2);
    struct http_client_request q = request_of(a, "GET", 120000);
    q.max_response_bytes = 19;
    cr_expect(call_once(a, &q, &res, &err) == ERRC_TOO_LARGE, "%s", err.text);
    q.max_response_bytes = 0;
    cr_expect(call_once(a, &q, &res, &err) == ERRC_UNAVAILABLE, "%s", err.text);
    stop();
}

struct lines {
    struct strbuf text;
    atomic_int ended;
    int code;
    enum err why;
};

static void on_line(void *self, str line)
{
    struct lines *l = self;
    strbuf_addf(&l->text, "[%.*s]", STR_ARG(line));
}

static void on_end(void *self, int code, const struct error *err)
{
    struct lines *l = self;
    l->code = code;
    l->why = err ? err->code : ERRC_OK;
    atomic_fetch_add(&l->ended, 1);
}

static const struct http_client_stream_ops line_ops = { .on_line = on_line, .on_end = on_end };

static void wait_end(struct lines *l)
{
    int64_t deadline = deadline_in_ms(120000);
    while (atomic_load(&l->ended) == 0 && !deadline_has_passed(deadline))
        (void)sched_yield();
    cr_assert(atomic_load(&l->ended) == 1);
}

static void stream_once(struct arena *a, struct lines *l, int64_t idle_ms, size_t max)
{
    struct http_client *c = NULL;
    struct http_client_stream *s = NULL;
    struct error err = { 0 };
    cr_assert(http_client_new(&c, &err) == 0);
    struct http_client_request q = request_of(a, "GET", 0);
    q.max_response_bytes = max;
    cr_assert(http_client_stream_open(c, &q, idle_ms, &line_ops, l, &s, &err) == 0, "%s", err.text);
    wait_end(l);
    http_client_stream_close(s);
    http_client_free(c);
}

Test(http_client, streams_whole_lines_however_they_are_cut)
{
    static const struct script scripts[] = {
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          "1\r\n\n\r\n5\r\na\nbcd\r\n3\r\ne\n\n\r\n4\r\nf\ngh\r\n0\r\n\r\n",
          false },
    };
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct lines l = { .text = STRBUF_INIT(1000) };
    start(scripts, 1);
    stream_once(a, &l, 5000, 0);
    stop();
    cr_expect(strcmp(l.text.ptr, "[a][bcde][f]") == 0, "%s", l.text.ptr);
    cr_expect(l.code == 200 && l.why == ERRC_OK);
    strbuf_release(&l.text);
}

Test(http_client, ends_a_stream_that_is_silent_refused_or_has_too_long_a_line)
{
    static const struct script scripts[] = {
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n", true },
        { "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno\n\n", false },
        { "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n12345678", false },
    };
    static const struct {
        int code;
        enum err why;
        const char *text;
    } wanted[] = { { 200, ERRC_TIMEOUT, "[a]" }, { 403, ERRC_UNAVAILABLE, NULL }, { 200, ERRC_TOO_LARGE, NULL } };
    CLEANUP(arena_freep) struct arena *a = arena_new();
    start(scripts, ARRAY_LEN(scripts));
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        struct lines l = { .text = STRBUF_INIT(1000) };
        stream_once(a, &l, i == 0 ? 200 : 5000, 6);
        cr_expect(l.code == wanted[i].code && l.why == wanted[i].why, "%zu: %d %d", i, l.code, (int)l.why);
        cr_expect(wanted[i].text ? strcmp(l.text.ptr, wanted[i].text) == 0 : l.text.len == 0);
        strbuf_release(&l.text);
    }
    stop();
}

Test(http_client, closing_and_freeing_end_what_runs)
{
    static const struct script scripts[] = { { "HTTP/1.1 200 OK\r\n\r\n", true }, { "HTTP/1.1 200 OK\r\n\r\n", true } };
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct lines closed = { .text = STRBUF_INIT(10) }, freed = { .text = STRBUF_INIT(10) };
    struct http_client *c = NULL;
    struct http_client_stream *s[2] = { NULL, NULL };
    struct error err = { 0 };
    start(scripts, 2);
    cr_assert(http_client_new(&c, &err) == 0);
    struct http_client_request q = request_of(a, "GET", 0);
    cr_assert(http_client_stream_open(c, &q, 60000, &line_ops, &closed, &s[0], &err) == 0);
    cr_assert(http_client_stream_open(c, &q, 60000, &line_ops, &freed, &s[1], &err) == 0);
    http_client_stream_close(s[0]);
    cr_expect(atomic_load(&closed.ended) == 1);
    http_client_free(c);
    cr_expect(atomic_load(&freed.ended) == 1);
    http_client_stream_close(s[1]);
    stop();
}
