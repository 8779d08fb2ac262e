/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_http [REQUESTS]: what the HTTP layer costs, without anything behind it. Each server is a process of its own
 * whose CPU time is read before and after a load of 4 HTTP/2 connections with 25 streams each (TLS 1.3, a body of 1.4
 * KB):
 *
 *   bare      an h2o handler that sends a constant
 *   loop      http_respond with a counted buffer, on the loop
 *   worker    http_defer, a pool of two threads, http_deferred_respond
 *
 * in turns in one run, so that the ratio counts and the machine does not. Then one event to 1,000 streams on 10
 * connections: until the last has it, CPU per delivery, memory per stream.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <h2o.h>

#include "base/fs.h"
#include "base/thread.h"
#include "harness/race.h"
#include "rig.h"

enum { ROUNDS = 5, CONNECTIONS = 4, STREAMS = 25, BODY_BYTES = 1400, WATCH_CONNECTIONS = 10, WATCH_STREAMS = 100 };

enum kind { BARE, LOOP, WORKER, KINDS };
static const char *const names[KINDS] = { "bare h2o handler", "http_respond", "http_defer and two workers" };

struct server {
    pid_t pid;
    clockid_t cpu;
    int orders; /* a byte: send an event to all streams; closed: exit */
    struct rig rig;
};

static struct blob *body;
static uint64_t requests = 100000;

static int64_t cpu_ns(const struct server *s)
{
    struct timespec t;
    CHECK(clock_gettime(s->cpu, &t) == 0);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* ---- the bare server ----------------------------------------------------------------------------------------- */

static int on_bare_request(h2o_handler_t *self, h2o_req_t *req)
{
    static h2o_generator_t generator = { NULL, NULL };
    h2o_iovec_t data = { body->bytes, body->len };
    (void)self;
    req->res.status = 200;
    req->res.content_length = body->len;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, H2O_STRLIT("application/json"));
    h2o_start_response(req, &generator);
    h2o_send(req, &data, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

static h2o_accept_ctx_t accept_ctx;

static void on_bare_accept(h2o_socket_t *listener, const char *err)
{
    h2o_socket_t *socket = err ? NULL : h2o_evloop_socket_accept(listener);
    if (socket)
        h2o_accept(&accept_ctx, socket);
}

static SSL_CTX *bare_tls(const struct rig *rig)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    BIO *leaf_bio = BIO_new_mem_buf(rig->serving.certificate_pem.ptr, (int)rig->serving.certificate_pem.len);
    BIO *key_bio = BIO_new_mem_buf(rig->serving.private_key_pem.ptr, (int)rig->serving.private_key_pem.len);
    X509 *leaf = PEM_read_bio_X509(leaf_bio, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
    CHECK(SSL_CTX_use_certificate(ctx, leaf) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1);
    h2o_ssl_register_alpn_protocols(ctx, h2o_http2_alpn_protocols);
    return ctx;
}

static NORETURN void run_bare(const struct rig *rig, int listener)
{
    h2o_globalconf_t config;
    h2o_context_t ctx;
    h2o_config_init(&config);
    h2o_hostconf_t *host = h2o_config_register_host(&config, h2o_iovec_init("default", 7), 65535);
    h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof(h2o_handler_t))->on_req = on_bare_request;
    h2o_context_init(&ctx, h2o_evloop_create(), &config);
    accept_ctx = (h2o_accept_ctx_t) { .ctx = &ctx, .hosts = config.hosts, .ssl_ctx = bare_tls(rig) };
    h2o_socket_t *socket = h2o_evloop_socket_create(ctx.loop, listener, H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(socket, on_bare_accept);
    for (;;)
        (void)h2o_evloop_run(ctx.loop, INT32_MAX);
}

/* ---- ours ---------------------------------------------------------------------------------------------------- */

static struct pool *pool;
static struct http_stream *streams[WATCH_CONNECTIONS * WATCH_STREAMS];
static size_t stream_count;

static void on_closed(void *self)
{
    *(struct http_stream **)self = NULL;
}

static const struct http_header json[] = { { S_INIT("content-type"), S_INIT("application/json") } };

static void work(void *arg)
{
    struct blob *blobs[] = { blob_ref(body) };
    http_deferred_respond(
        arg,
        &(struct http_response) { .status = 200, .headers = json, .header_count = 1, .blobs = blobs, .blob_count = 1 });
}

static void handle(void *self, struct http_request *req)
{
    static const struct http_stream_ops ops = { NULL, on_closed };
    const enum kind *kind = self;
    struct http_response res = { .status = 200, .headers = json, .header_count = 1 };
    if (str_eq(req->path, S("/stream"))) {
        struct http_stream **slot = &streams[stream_count++];
        *slot = http_stream_begin(req, &res, &ops, slot);
    } else if (*kind == WORKER) {
        CHECK(pool_run(pool, work, http_defer(req)));
    } else {
        struct blob *blobs[] = { blob_ref(body) };
        res.blobs = blobs;
        res.blob_count = 1;
        http_respond(req, &res);
    }
}

static void send_to_all(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < stream_count; i++)
        if (streams[i])
            (void)http_stream_send(streams[i], body);
}

static NORETURN void run_ours(const struct rig *rig, int listener, int orders, enum kind kind)
{
    struct http_server *server = NULL;
    struct error e;
    char order;
    pool = pool_new("worker", 2, 4096, &e);
    struct http_server_options options = {
        .listen_fd = listener, .tls = rig_tls(rig), .handler = handle, .self = &kind
    };
    CHECK(pool && http_server_start(&options, &server, &e) == 0);
    while (read(orders, &order, 1) == 1)
        CHECK(http_loop_post(http_server_loop(server, 0), send_to_all, NULL));
    _exit(0);
}

static int listen_any(struct rig *rig)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 128) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    rig->port = ntohs(address.sin_port);
    return fd;
}

static void server_start(struct server *s, const struct rig *rig, enum kind kind)
{
    int pipe_fds[2];
    s->rig.serving = rig->serving;
    int listener = listen_any(&s->rig);
    CHECK(pipe(pipe_fds) == 0);
    s->pid = fork();
    CHECK(s->pid >= 0);
    if (s->pid == 0) {
        close(pipe_fds[1]);
        if (kind == BARE)
            run_bare(&s->rig, listener);
        run_ours(&s->rig, listener, pipe_fds[0], kind);
    }
    close(listener);
    close(pipe_fds[0]);
    s->orders = pipe_fds[1];
    CHECK(clock_getcpuclockid(s->pid, &s->cpu) == 0);
}

static void server_stop(struct server *s)
{
    close(s->orders);
    CHECK(kill(s->pid, SIGKILL) == 0 && waitpid(s->pid, NULL, 0) == s->pid);
}

/* ---- the load ------------------------------------------------------------------------------------------------ */

struct load {
    const struct rig *rig;
    uint64_t requests;
};

/* As client-go asks: a path, an accept header, a name. */
static size_t make_request(char *out, size_t size, uint32_t stream)
{
    char block[256];
    size_t len = h2_block(block, sizeof(block), "GET", "/apis/postgres.example.io/v1/namespaces/default/things/one");
    len += h2_header(block + len, "x-client", 24);
    CHECK(len + 9 <= size && len < 256);
    const char head[9] = { 0,
                           0,
                           (char)len,
                           FRAME_HEADERS,
                           FLAG_END_STREAM | FLAG_END_HEADERS,
                           (char)(stream >> 24),
                           (char)(stream >> 16),
                           (char)(stream >> 8),
                           (char)stream };
    memcpy(out, head, 9);
    memcpy(out + 9, block, len);
    return len + 9;
}

static struct client *load_open(const struct rig *rig)
{
    struct client *c = client_open(rig, true, NULL);
    CHECK(c != NULL);
    h2_start(c, 1u << 30);
    h2_frame(c, FRAME_WINDOW_UPDATE, 0, 0, "\77\377\0\0", 4);
    return c;
}

/* Keeps 25 requests in flight; what is asked next goes out in one write for all answers of one read. */
static void *run_load(void *arg)
{
    const struct load *l = arg;
    struct client *c = load_open(l->rig);
    uint64_t asked = 0, answered = 0, window = 0;
    char out[STREAMS * 300];
    while (answered < l->requests) {
        size_t len = 0;
        for (; asked < l->requests && asked - answered < STREAMS; asked++)
            len += make_request(out + len, sizeof(out) - len, (uint32_t)(2 * asked + 1));
        if (len)
            client_write(c, out, len);
        do {
            struct frame frame;
            CHECK(h2_read(c, &frame));
            answered += frame.type == FRAME_DATA && (frame.flags & FLAG_END_STREAM);
            window += frame.type == FRAME_DATA ? frame.len : 0;
        } while (h2_has_more(c) && answered < l->requests);
        if (window > (1u << 29)) {
            h2_frame(c, FRAME_WINDOW_UPDATE, 0, 0, "\40\0\0\0", 4);
            window -= 1u << 29;
        }
    }
    client_free(c);
    return NULL;
}

static double measure_us(struct server *s, double *ret_rate)
{
    struct load l = { &s->rig, requests / CONNECTIONS };
    int64_t start = clock_monotonic_ns(), cpu = cpu_ns(s);
    race(CONNECTIONS, run_load, &l);
    cpu = cpu_ns(s) - cpu;
    *ret_rate = (double)requests * 1e9 / (double)(clock_monotonic_ns() - start);
    return (double)cpu / 1e3 / (double)requests;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench_get(struct server *servers)
{
    double us[KINDS][ROUNDS], rate[KINDS];
    for (int round = -1; round < ROUNDS; round++)
        for (int k = 0; k < KINDS; k++) {
            double cpu = measure_us(&servers[k], &rate[k]);
            if (round >= 0) /* the first warms up */
                us[k][round] = cpu;
        }
    for (int k = 0; k < KINDS; k++) {
        qsort(us[k], ROUNDS, sizeof(us[k][0]), compare);
        (void)printf(
            "GET, 4 connections x 25 streams, %-27s %5.2f us of CPU (median of %d; %.2f to %.2f), %.0f/s, %.2f "
            "of bare\n",
            names[k], us[k][ROUNDS / 2], ROUNDS, us[k][0], us[k][ROUNDS - 1], rate[k],
            us[k][ROUNDS / 2] / us[BARE][ROUNDS / 2]);
    }
}

/* ---- one event to many ----------------------------------------------------------------------------------------- */

static double resident_kib(pid_t pid)
{
    char path[64];
    long pages = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "r");
    CHECK(f && fscanf(f, "%*d %ld", &pages) == 1);
    (void)fclose(f);
    return (double)(pages * sysconf(_SC_PAGESIZE)) / 1024;
}

static void bench_fan_out(struct server *s)
{
    struct client *clients[WATCH_CONNECTIONS];
    struct frame frame;
    double before = resident_kib(s->pid);
    for (int i = 0; i < WATCH_CONNECTIONS; i++) {
        clients[i] = load_open(&s->rig);
        for (uint32_t k = 0; k < WATCH_STREAMS; k++) {
            h2_get(clients[i], 2 * k + 1, "/stream");
            CHECK(h2_read_until(clients[i], FRAME_HEADERS, 2 * k + 1, &frame));
        }
    }
    double memory = resident_kib(s->pid) - before;
    double worst = 0, cpu = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = clock_monotonic_ns(), cpu_before = cpu_ns(s);
        CHECK(write(s->orders, "", 1) == 1);
        for (int i = 0; i < WATCH_CONNECTIONS; i++)
            for (size_t left = (size_t)WATCH_STREAMS * BODY_BYTES; left > 0; left -= frame.len)
                CHECK(h2_read_until(clients[i], FRAME_DATA, 0, &frame) && frame.len <= left);
        double ms = (double)(clock_monotonic_ns() - start) / 1e6;
        worst = ms > worst ? ms : worst;
        cpu += (double)(cpu_ns(s) - cpu_before) / 1e3;
    }
    int count = WATCH_CONNECTIONS * WATCH_STREAMS;
    (void)printf(
        "one event to %d streams on %d connections: last after %.1f ms (worst of %d), %.2f us of CPU each, %.1f "
        "KiB per stream\n",
        count, WATCH_CONNECTIONS, worst, ROUNDS, cpu / ROUNDS / count, memory / count);
    for (int i = 0; i < WATCH_CONNECTIONS; i++)
        client_free(clients[i]);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        CHECK(str_to_u64(str_from(argv[1]), &requests) && requests >= 1000);
    struct rig *rig = rig_new();
    static struct server servers[KINDS];
    body = blob_new_size(BODY_BYTES);
    memset(body->bytes, 'b', BODY_BYTES);
    for (int k = 0; k < KINDS; k++)
        server_start(&servers[k], rig, (enum kind)k);
    bench_get(servers);
    bench_fan_out(&servers[LOOP]);
    for (int k = 0; k < KINDS; k++)
        server_stop(&servers[k]);
    (void)blob_unref(body);
    rig_free(rig);
    return 0;
}
