/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the parts together: configuration of h2o, loops, start, reload, drain, end. */
#include "http/server.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/thread.h"
#include "internal.h"

#define DEFAULT_REQUESTS_PER_CONNECTION 200
#define DEFAULT_IDLE_MS (120 * 1000) /* Go keeps connections 90 s: the client should be the one who closes */
#define DEFAULT_STALL_MS (30 * 1000)
#define LOOPS_MAX 64
/* Descriptors that are not connections: store, logs, outbound connections, children. */
#define RESERVED_DESCRIPTORS 256

static size_t default_connections(void)
{
    struct rlimit limit;
    size_t most = LIMIT_CONNECTIONS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return most;
    size_t descriptors = (size_t)limit.rlim_cur;
    size_t room = descriptors > 2 * RESERVED_DESCRIPTORS ? descriptors - RESERVED_DESCRIPTORS : descriptors / 2;
    return room < most ? room : most;
}

static void set_defaults(struct http_server_options *o)
{
    if (o->loops == 0)
        o->loops = 1;
    if (o->max_connections == 0)
        o->max_connections = default_connections();
    if (o->max_requests_per_connection == 0)
        o->max_requests_per_connection = DEFAULT_REQUESTS_PER_CONNECTION;
    if (o->max_intake_bytes == 0)
        o->max_intake_bytes = LIMIT_INTAKE_BYTES;
    if (o->idle_timeout_ms <= 0)
        o->idle_timeout_ms = DEFAULT_IDLE_MS;
    if (o->write_stall_timeout_ms <= 0)
        o->write_stall_timeout_ms = DEFAULT_STALL_MS;
}

static void add_handler(struct http_server *s, h2o_pathconf_t *path)
{
    struct handler *handler = (struct handler *)h2o_create_handler(path, sizeof(*handler));
    handler->super.on_req = http__on_request;
    handler->server = s;
}

static void configure(struct http_server *s)
{
    h2o_globalconf_t *c = &s->config;
    h2o_config_init(c);
    c->server_name = (h2o_iovec_t) { NULL, 0 }; /* no Server header */
    c->max_request_entity_size = LIMIT_BODY_LIBRARY_BYTES;
    c->handshake_timeout = HTTP_HANDSHAKE_TIMEOUT_MS;
    /* This one is never refreshed: it covers the idle time, the headers and the whole body. */
    c->http1.req_timeout = (uint64_t)s->options.idle_timeout_ms;
    c->http1.upgrade_to_http2 = 0; /* ALPN decides */
    c->http2.idle_timeout = (uint64_t)s->options.idle_timeout_ms;
    h2o_hostconf_t *host = h2o_config_register_host(c, h2o_iovec_init("default", 7), 65535);
    /* One handler for everything, also for what is no path, `*` for one. */
    add_handler(s, h2o_config_register_path(host, "/", 0));
    add_handler(s, &host->fallback_path);
    http__refuse_for_library(s, &host->fallback_path);
}

static int add_loop(struct http_server *s, struct tls *tls, struct error *err)
{
    int fd = -1;
    int r = http__listen(&s->options, s->loop_count == 0 ? s->options.port : s->port, &fd, err);
    if (r < 0)
        return r;
    if (s->loop_count == 0)
        s->port = http__listen_port(fd);
    struct http_loop *loop = http__loop_new(s, s->loop_count);
    s->loops[s->loop_count++] = loop;
    loop->tls = http__tls_ref(tls);
    http__listener_start(loop, fd);
    return 0;
}

static int start_threads(struct http_server *s, struct error *err)
{
    for (; s->started < s->loop_count; s->started++) {
        char name[32];
        snprintf(name, sizeof(name), "http-%zu", s->started);
        int r = thread_start(&s->loops[s->started]->thread, name, http__loop_main, s->loops[s->started], err);
        if (r < 0)
            return r;
    }
    return 0;
}

int http_server_start(const struct http_server_options *options, struct http_server **ret, struct error *err)
{
    if (options->loops > LOOPS_MAX)
        return error_set(err, ERRC_INVALID, "loops: more than %d", LOOPS_MAX);
    struct tls *tls = http__tls_new(&options->tls, err);
    if (!tls)
        return ERRC_INVALID;
    struct http_server *s = mem_new_of(struct http_server);
    s->options = *options;
    s->options.tls = (struct http_tls_config) { .min_tls13 = false }; /* the caller's texts */
    set_defaults(&s->options);
    configure(s);
    s->loops = mem_array_of(struct http_loop *, s->options.loops);
    int r = 0;
    while (r == 0 && s->loop_count < s->options.loops)
        r = add_loop(s, tls, err);
    http__tls_unref(tls);
    if (r == 0)
        r = start_threads(s, err);
    if (r < 0) {
        http_server_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

uint16_t http_server_port(const struct http_server *s)
{
    return s->port;
}

size_t http_server_loop_count(const struct http_server *s)
{
    return s->loop_count;
}

struct http_loop *http_server_loop(struct http_server *s, size_t i)
{
    return s->loops[i];
}

/* ---- reload ------------------------------------------------------------------------------------------------ */

struct tls_change {
    struct http_loop *loop;
    struct tls *tls;
};

static void on_tls_change(void *arg)
{
    struct tls_change *change = arg;
    http__tls_unref(change->loop->tls);
    change->loop->tls = change->tls;
    mem_free(change);
}

int http_server_set_tls(struct http_server *s, const struct http_tls_config *config, struct error *err)
{
    struct tls *tls = http__tls_new(config, err);
    if (!tls)
        return ERRC_INVALID;
    for (size_t i = 0; i < s->loop_count; i++) {
        struct tls_change *change = mem_new_of(struct tls_change);
        *change = (struct tls_change) { s->loops[i], http__tls_ref(tls) };
        if (!http_loop_post(s->loops[i], on_tls_change, change)) {
            http__tls_unref(change->tls);
            mem_free(change);
        }
    }
    http__tls_unref(tls);
    return 0;
}

/* ---- drain and end ----------------------------------------------------------------------------------------- */

void http_server_drain(struct http_server *s)
{
    for (size_t i = 0; i < s->loop_count; i++) {
        atomic_store(&s->loops[i]->arriving, 1); /* until the loop has looked */
        if (!http_loop_post(s->loops[i], http__loop_drain, s->loops[i]))
            atomic_store(&s->loops[i]->arriving, 0); /* it ended, so it has drained */
    }
}

static size_t sum(const struct http_server *s, size_t offset)
{
    size_t total = 0;
    for (size_t i = 0; i < s->loop_count; i++) {
        atomic_size_t *counter = (atomic_size_t *)(void *)((char *)s->loops[i] + offset);
        total += atomic_load_explicit(counter, memory_order_acquire);
    }
    return total;
}

size_t http_server_active_requests(struct http_server *s)
{
    size_t arriving = sum(s, offsetof(struct http_loop, arriving));
    return arriving + sum(s, offsetof(struct http_loop, active_requests));
}

size_t http_server_active_streams(struct http_server *s)
{
    return sum(s, offsetof(struct http_loop, active_streams));
}

size_t http_server_connections(struct http_server *s)
{
    return sum(s, offsetof(struct http_loop, connections));
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->loop_count; i++)
        (void)http_loop_post(s->loops[i], http__loop_end, s->loops[i]);
    /* A loop that never got its thread ends on this one. */
    for (size_t i = 0; i < s->loop_count; i++) {
        if (i < s->started)
            pthread_join(s->loops[i]->thread, NULL);
        else
            (void)http__loop_main(s->loops[i]);
    }
    for (size_t i = 0; i < s->loop_count; i++)
        http__loop_unref(s->loops[i]);
    h2o_config_dispose(&s->config);
    mem_free(s->loops);
    mem_free(s);
}
