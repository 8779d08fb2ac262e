/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's port: routes, who may do what, the status streams. Commands are queued for the worker, which answers
 * them; only the heartbeat's answer is taken in here, since it needs no disk.
 */
#include "http.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "json/json_parse.h"
#include "json/json_write.h"

#define STREAMS_MAX 32
#define STREAM_BACKLOG_MAX (1u << 20)

struct status_stream {
    struct list link;
    struct agent *ag;
    struct http_stream *stream;
};

struct broadcast {
    struct agent *ag;
    struct blob *line;
};

static const struct http_header json_type[] = { { S_INIT("content-type"), S_INIT("application/json") } };

static void respond(struct http_request *req, int status, const struct json *body)
{
    const struct http_response res = { .status = status,
                                       .headers = json_type,
                                       .header_count = ARRAY_LEN(json_type),
                                       .body = json_text(req->arena, body),
                                       .body_is_stable = true };
    http_respond(req, &res);
}

static void refuse(struct http_request *req, int status, const char *why)
{
    struct arena *a = req->arena;
    respond(req, status, JSON_OBJECT_OF(a, JSON_MEMBER("message", json_string(a, str_from(why)))));
}

/* ---- streams ------------------------------------------------------------------------------------------------- */

static void on_stream_close(void *self)
{
    struct status_stream *s = self;
    list_remove(&s->link);
    s->ag->stream_count--;
    mem_free(s);
}

static void open_stream(struct agent *ag, struct http_request *req)
{
    static const struct http_stream_ops ops = { .on_close = on_stream_close };
    const struct http_response head = { .status = 200, .headers = json_type, .header_count = ARRAY_LEN(json_type) };
    if (ag->stream_count >= STREAMS_MAX) {
        refuse(req, 429, "too many streams");
        return;
    }
    struct status_stream *s = mem_new_of(struct status_stream);
    s->ag = ag;
    list_add_tail(&ag->streams, &s->link);
    ag->stream_count++;
    s->stream = http_stream_begin(req, &head, &ops, s);
    board_publish(ag); /* the new one must not wait for the next heartbeat */
}

static void send_to_all(void *arg)
{
    struct broadcast *b = arg;
    LIST_FOREACH (&b->ag->streams, it) {
        struct status_stream *s = LIST_ENTRY(it, struct status_stream, link);
        if (!s->stream)
            continue;
        /* A leader that does not read gets no more lines; the server ends it as stalled. */
        if (http_stream_backlog(s->stream) < STREAM_BACKLOG_MAX)
            (void)http_stream_send(s->stream, b->line);
    }
    (void)blob_unref(b->line);
    mem_free(b);
}

void agent_http_broadcast(struct agent *ag, struct blob *line)
{
    struct http_server *server = atomic_load(&ag->server);
    struct broadcast *b = mem_new_of(struct broadcast);
    *b = (struct broadcast) { ag, line };
    if (server && http_loop_post(http_server_loop(server, 0), send_to_all, b))
        return;
    (void)blob_unref(line);
    mem_free(b);
}

/* ---- the leader's word --------------------------------------------------------------------------------------- */

static void exchange(struct agent *ag, struct http_request *req)
{
    struct arena *a = req->arena;
    const struct json *body = NULL;
    struct error err;
    if (json_parse(a, req->body, NULL, &body, &err) != 0) {
        refuse(req, 400, err.text);
        return;
    }
    int64_t term = json_int_at(body, "term", 0);
    pthread_mutex_lock(&ag->lock);
    int64_t own = ag->board.term;
    if (term >= own) {
        ag->board.word_term = term;
        ag->board.word_ns = clock_monotonic_ns();
        ag->board.word_grant = json_bool_at(body, "grant", false);
        ag->board.word_may_start = json_bool_at(body, "mayStart", false);
    }
    pthread_mutex_unlock(&ag->lock);
    agent_wake(ag);
    if (term < own)
        respond(req, 409,
                JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, own)),
                               JSON_MEMBER("message", json_string(a, S("a higher term was promised")))));
    else
        respond(req, 200, JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, own))));
}

/* ---- routes -------------------------------------------------------------------------------------------------- */

static bool is_leader(const struct http_request *req)
{
    const struct http_peer *p = req->peer;
    return p && p->has_certificate && (p->verified_by & 1u) && p->not_after_s > clock_realtime_ns() / NS_PER_S &&
           str_eq(p->common_name, S(AGENT_LEADER_CN));
}

static void queue_command(struct agent *ag, struct http_request *req)
{
    struct command *c = mem_new_of(struct command);
    c->deferred = http_defer(req);
    if (queue_push(ag->commands, c)) {
        agent_wake(ag);
        return;
    }
    struct arena *a = req->arena;
    const struct http_response res = { .status = 503,
                                       .headers = json_type,
                                       .header_count = ARRAY_LEN(json_type),
                                       .body = json_text(
                                           a, JSON_OBJECT_OF(a, JSON_MEMBER("message", json_string(a, S("busy"))))) };
    http_deferred_respond(c->deferred, &res);
    mem_free(c);
}

static void handle(void *self, struct http_request *req)
{
    struct agent *ag = self;
    bool is_get = str_eq(req->method, S("GET"));
    if (is_get && str_eq(req->path, S("/v1/health"))) {
        respond(req, 200, JSON_OBJECT_OF(req->arena, JSON_MEMBER("alive", &json_true_value)));
        return;
    }
    if (!is_leader(req)) {
        refuse(req, 403, "only the leader of the cluster may say that");
        return;
    }
    if (req->body_too_large)
        refuse(req, 413, "the message is too long");
    else if (is_get && str_eq(req->path, S("/v1/stream")))
        open_stream(ag, req);
    else if (is_get || !str_eq(req->method, S("POST")))
        refuse(req, 405, "no such page or method");
    else if (str_eq(req->path, S("/v1/exchange")))
        exchange(ag, req);
    else
        queue_command(ag, req);
}

static struct http_tls_config tls_of(const struct agent *ag, str certificate_pem, str private_key_pem)
{
    return (struct http_tls_config) { .certificate_pem = certificate_pem,
                                      .private_key_pem = private_key_pem,
                                      .client_cas_pem = { ag->boot.ca_pem },
                                      .client_ca_count = 1,
                                      .require_client_certificate = true };
}

void agent_http_renew(struct agent *ag)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct http_server *server = atomic_load(&ag->server);
    str certificate = ag->config.certificate_pem, fingerprint = hash_sha256_hex(a, certificate);
    if (!server || str_eq_z(fingerprint, ag->served_fingerprint))
        return;
    const struct http_tls_config tls = tls_of(ag, certificate, ag->config.private_key_pem);
    struct error err;
    if (http_server_set_tls(server, &tls, &err) < 0) {
        log_error("certificate not renewed", LOG_ERROR(&err));
        return;
    }
    (void)snprintf(ag->served_fingerprint, sizeof(ag->served_fingerprint), "%.*s", STR_ARG(fingerprint));
    log_info("certificate renewed");
}

int agent_http_start(struct agent *ag, struct error *err)
{
    const struct http_server_options options = {
        .bind_address = ag->boot.host,
        .port = (uint16_t)ag->boot.agent_port,
        .loops = 1,
        .max_connections = 256,
        .max_requests_per_connection = 64,
        .tls = tls_of(ag, ag->boot.certificate_pem, ag->boot.private_key_pem),
        .handler = handle,
        .self = ag,
    };
    struct http_server *server = NULL;
    int r = http_server_start(&options, &server, err);
    if (r == 0)
        atomic_store(&ag->server, server);
    return r;
}
