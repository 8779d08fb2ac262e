/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers that answer, resume and give up deferred requests while clients come, stay or hang up, material is reloaded,
 * streams are fed from other threads, deadlines pass at the moment of an answer, and the server drains and is freed
 * under all of it: each request taken along is given back, each stream closed, exactly once.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/queue.h"
#include "base/rand.h"
#include "harness/race.h"
#include "rig.h"

#define ROUNDS 4
#define CLIENTS 3
#define WORKERS 2
#define REQUESTS 60

static struct queue *jobs;
static struct http_server *server;
static struct rig *rig;
static atomic_int taken, given_back, begun, closed, overdue;

struct feed {
    struct http_stream *stream;
    int sent;
};

#define LOOPS 2
#define FEEDS_MAX 8192

/* Each loop's own, touched by its thread only. */
static struct feed feeds[LOOPS][FEEDS_MAX];
static size_t feed_counts[LOOPS];

static void on_close(void *self)
{
    struct feed *f = self;
    atomic_fetch_add(&closed, 1);
    f->stream = NULL;
}

static void on_drained(void *self)
{
    struct feed *f = self;
    struct blob *b = blob_new(S("drained\n"));
    (void)http_stream_send(f->stream, b);
    (void)blob_unref(b);
    if (++f->sent == 5)
        http_stream_end(f->stream, false);
}

static const struct http_stream_ops ops = { on_drained, on_close };

static void on_resume(void *self, struct http_request *req)
{
    (void)self;
    atomic_fetch_add(&given_back, 1);
    if (!req)
        return;
    size_t loop = http_loop_index(req->loop);
    CHECK(feed_counts[loop] < FEEDS_MAX);
    struct feed *f = &feeds[loop][feed_counts[loop]++];
    *f = (struct feed) { .sent = 0 };
    atomic_fetch_add(&begun, 1);
    f->stream = http_stream_begin(req, &(struct http_response) { .status = 200, .body = S("begin\n") }, &ops, f);
}

static void *work(void *arg)
{
    struct blob *b = arg;
    for (struct http_deferred *d; (d = queue_pop(jobs, INT64_MAX)) != NULL;) {
        const struct http_request *req = http_deferred_request(d);
        CHECK(str_has_prefix(req->path, S("/job/")));
        CHECK(str_eq(http_request_header(req, S("x-check")), S("yes")) || req->is_http2);
        if (http_deferred_is_cancelled(d) && req->is_head)
            CHECK(false);
        /* The answer then meets the one that the loop gives at the deadline. */
        while (str_has_suffix(req->path, S("late")) && !http_deferred_is_cancelled(d))
            wait_a_little();
        if (str_has_suffix(req->path, S("stream"))) {
            http_deferred_resume(d, on_resume, NULL);
            continue;
        }
        struct blob *blobs[] = { blob_ref(b), blob_ref(b) };
        atomic_fetch_add(&given_back, 1);
        http_deferred_respond(d, &(struct http_response) { .status = 200, .blobs = blobs, .blob_count = 2 });
    }
    return NULL;
}

static void make_overdue(void *self, struct arena *a, struct http_response *ret)
{
    (void)self;
    atomic_fetch_add(&overdue, 1);
    *ret = (struct http_response) { .status = 504, .body = arena_str(a, S("overdue")) };
}

static void handle(void *self, struct http_request *req)
{
    (void)self;
    struct http_deferred *d = http_defer(req);
    atomic_fetch_add(&taken, 1);
    if (str_has_suffix(req->path, S("late")))
        http_deferred_bound(d, clock_monotonic_ns(), make_overdue, NULL);
    if (!queue_push(jobs, d)) {
        atomic_fetch_add(&given_back, 1);
        http_deferred_respond(d, &(struct http_response) { .status = 429 });
    }
}

static void run_http1(unsigned seed)
{
    struct client *c = client_open(rig, false, NULL);
    if (!c)
        return;
    bool is_stream = seed % 4 == 0;
    if (seed % 16 == 1) {
        client_write_z(c, "GET /job/late HTTP/1.1\r\nHost: x\r\nX-Check: yes\r\n\r\n");
        (void)client_read_until(c, "overdue");
    }
    client_write_z(c, is_stream ? "GET /job/stream HTTP/1.1\r\nHost: x\r\nX-Check: yes\r\n\r\n"
                                : "POST /job/x HTTP/1.1\r\nHost: x\r\nX-Check: yes\r\nContent-Length: 4\r\n\r\nbody");
    if (seed % 3 != 0)
        (void)client_read_until(c, is_stream ? "drained\n" : "blobblob");
    client_free(c);
}

static void run_http2(unsigned seed)
{
    struct client *c = client_open(rig, true, NULL);
    struct frame frame;
    if (!c)
        return;
    h2_start(c, 0);
    for (uint32_t i = 0; i < 20; i++) {
        h2_get(c, 2 * i + 1, i % 4 == 0 ? "/job/stream" : i == 10 && seed % 8 == 0 ? "/job/late" : "/job/x");
        if (i % 3 == 0)
            h2_reset(c, 2 * i + 1);
    }
    if (seed % 3 != 0)
        (void)h2_read_until(c, FRAME_DATA, 39, &frame);
    client_free(c);
}

static void *run_client(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < REQUESTS; i++) {
        unsigned seed = (unsigned)rand_below(1000);
        if (i % 4)
            run_http1(seed);
        else
            run_http2(seed);
    }
    return NULL;
}

static void send_from_afar(void *arg)
{
    size_t loop = http_loop_index(arg);
    struct blob *b = blob_new(S("posted\n"));
    for (size_t i = 0; i < feed_counts[loop]; i++)
        if (feeds[loop][i].stream)
            (void)http_stream_send(feeds[loop][i].stream, b);
    (void)blob_unref(b);
}

static atomic_bool is_over;

static void *disturb(void *arg)
{
    struct http_tls_config tls = rig_tls(rig);
    (void)arg;
    while (!is_over) {
        struct error e;
        CHECK(http_server_set_tls(server, &tls, &e) == 0);
        for (size_t i = 0; i < http_server_loop_count(server); i++)
            (void)http_loop_post(http_server_loop(server, i), send_from_afar, http_server_loop(server, i));
        (void)http_server_active_streams(server);
        wait_a_little();
    }
    return NULL;
}

static void run_round(int round, struct blob *b)
{
    struct error e;
    pthread_t clients[CLIENTS], workers[WORKERS], disturber;
    taken = given_back = begun = closed = 0;
    feed_counts[0] = feed_counts[1] = 0;
    is_over = false;
    jobs = queue_new(64);
    struct http_server_options options = { .bind_address = S("127.0.0.1"), .loops = LOOPS, .handler = handle };
    options.tls = rig_tls(rig);
    CHECK(http_server_start(&options, &server, &e) == 0);
    rig->port = http_server_port(server);
    for (int i = 0; i < WORKERS; i++)
        CHECK(pthread_create(&workers[i], NULL, work, b) == 0);
    for (int i = 0; i < CLIENTS; i++)
        CHECK(pthread_create(&clients[i], NULL, run_client, NULL) == 0);
    CHECK(pthread_create(&disturber, NULL, disturb, NULL) == 0);
    if (round % 2) /* the server goes away under its clients and workers */
        CHECK(BECOMES(taken > 100));
    else
        for (int i = 0; i < CLIENTS; i++)
            CHECK(pthread_join(clients[i], NULL) == 0);
    is_over = true;
    CHECK(pthread_join(disturber, NULL) == 0);
    http_server_drain(server);
    http_server_free(server);
    if (round % 2)
        for (int i = 0; i < CLIENTS; i++)
            CHECK(pthread_join(clients[i], NULL) == 0);
    queue_close(jobs);
    for (int i = 0; i < WORKERS; i++)
        CHECK(pthread_join(workers[i], NULL) == 0);
    queue_free(jobs);
    CHECK(taken > 100 && taken == given_back);
    CHECK(begun == closed);
    CHECK(atomic_load(&b->refs) == 1);
}

int main(void)
{
    struct blob *b = blob_new(S("blob"));
    rig = rig_new();
    for (int round = 0; round < ROUNDS; round++)
        run_round(round, b);
    CHECK(overdue > 0);
    (void)blob_unref(b);
    rig_free(rig);
    return 0;
}
