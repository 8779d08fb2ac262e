/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One link: state under a lock, the stream that feeds it, and the reconnecting. The HTTP client's thread delivers
 * lines; the shared threads of `links` answer heartbeats and open the stream again, so that no callback ever blocks.
 */
#include "reconcile/link.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "internal.h"
#include "reconcile/text.h"
#include "json/json_parse.h"
#include "json/json_write.h"

#define CONNECT_TIMEOUT_MS 1000
#define STREAM_IDLE_MS 2400 /* silence S of the protocol's parameters */
#define RECONNECT_FIRST_MS 20
#define RECONNECT_MAX_MS 1000
#define STEADY_NS NS_PER_S
#define EXCHANGE_DEADLINE_MS 1000

struct http_client_tls link__tls(struct link *l, struct arena *a)
{
    pthread_mutex_lock(&l->lock);
    const struct http_client_tls tls = { .ca_pem = str_from(l->ca_pem),
                                         .certificate_pem = arena_str(a, str_from(l->certificate_pem)),
                                         .private_key_pem = arena_str(a, str_from(l->private_key_pem)),
                                         .server_name = str_from(l->instance) };
    pthread_mutex_unlock(&l->lock);
    return tls;
}

void link_set_identity(struct link *l, str certificate_pem, str private_key_pem)
{
    pthread_mutex_lock(&l->lock);
    mem_free(l->certificate_pem);
    mem_free(l->private_key_pem);
    l->certificate_pem = text_copy_z(certificate_pem);
    l->private_key_pem = text_copy_z(private_key_pem);
    pthread_mutex_unlock(&l->lock);
}

str link__url(const struct link *l, struct arena *a, const char *path)
{
    return arena_printf(a, "https://%s:%d%s", l->host, (int)l->agent_port, path);
}

/* A new status replaces the old one; the arena holds exactly one. */
static void on_line(void *self, str line)
{
    struct link *l = self;
    struct arena *a = arena_new();
    const struct json *v;
    struct agent_status status;
    struct error err;
    if (json_parse(a, line, NULL, &v, &err) < 0 || agent_status_from_json(a, v, &status, &err) < 0) {
        log_warn("agent sent no status", LOG_Z("instance", l->instance), LOG_ERROR(&err));
        arena_free(a);
        return;
    }
    status.message = text_one_line(a, status.message);
    status.progress = text_one_line(a, status.progress);
    status.health_error = text_one_line(a, status.health_error);
    pthread_mutex_lock(&l->lock);
    struct arena *old = l->status_arena;
    bool changed = !l->is_connected || !l->has_status || link__differs(&l->status, &status);
    l->status_arena = a;
    l->status = status;
    l->has_status = true;
    if (!l->is_connected)
        l->connected_ns = clock_monotonic_ns();
    l->is_connected = true;
    l->heard_ns = clock_monotonic_ns();
    l->lost_ns = 0;
    l->exchange_due = true;
    pthread_mutex_unlock(&l->lock);
    arena_free(old);
    links__wake(l->links);
    l->on_status(l->self, changed);
}

static void on_end(void *self, int code, const struct error *err)
{
    struct link *l = self;
    pthread_mutex_lock(&l->lock);
    bool was_connected = l->is_connected;
    l->is_connected = false;
    l->stream_ended = true;
    if (was_connected)
        l->lost_ns = clock_monotonic_ns();
    snprintf(l->last_error, sizeof(l->last_error), "%s",
             err           ? err->text
             : code >= 400 ? "the agent refused"
                           : "stream ended");
    /* One that held for a while is opened again at once; an agent that ends each stream is not hammered. */
    bool was_steady = was_connected && clock_monotonic_ns() - l->connected_ns >= STEADY_NS;
    if (was_steady)
        l->backoff_ms = RECONNECT_FIRST_MS;
    l->reconnect_ns = deadline_in_ms(was_steady ? 0 : l->backoff_ms);
    l->backoff_ms = l->backoff_ms * 2 > RECONNECT_MAX_MS ? RECONNECT_MAX_MS : l->backoff_ms * 2;
    pthread_mutex_unlock(&l->lock);
    links__wake(l->links);
    if (was_connected)
        l->on_status(l->self, true);
}

/* On a thread of `links`, which serves one link at a time: closes what ended and opens anew. */
void link__reconnect(struct link *l)
{
    static const struct http_client_stream_ops ops = { .on_line = on_line, .on_end = on_end };
    pthread_mutex_lock(&l->lock);
    struct http_client_stream *ended = TAKE(l->stream);
    l->stream_ended = false;
    pthread_mutex_unlock(&l->lock);
    if (ended)
        http_client_stream_close(ended);

    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct http_client_tls tls = link__tls(l, a);
    const struct http_client_request req = { .method = "GET",
                                             .url = link__url(l, a, "/v1/stream"),
                                             .tls = &tls,
                                             .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                             .max_response_bytes = LIMIT_AGENT_MESSAGE_BYTES };
    struct http_client_stream *stream = NULL;
    struct error err;
    int r = http_client_stream_open(l->links->client, &req, STREAM_IDLE_MS, &ops, l, &stream, &err);
    pthread_mutex_lock(&l->lock);
    l->stream = stream;
    if (r < 0) {
        l->stream_ended = true;
        l->reconnect_ns = deadline_in_ms(RECONNECT_MAX_MS);
        snprintf(l->last_error, sizeof(l->last_error), "%s", err.text);
    }
    pthread_mutex_unlock(&l->lock);
}

/* Answers the newest heartbeat. A lost answer is harmless: the next status brings the next nonce. */
void link__exchange(struct link *l)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    pthread_mutex_lock(&l->lock);
    l->exchange_due = false;
    int64_t nonce = l->status.nonce;
    const struct json *body = JSON_OBJECT_OF(
        a, JSON_MEMBER("protocol", json_int(a, AGENT_PROTOCOL)), JSON_MEMBER("nonce", json_int(a, nonce)),
        JSON_MEMBER("term", json_int(a, l->word_term)), JSON_MEMBER("grant", json_bool(l->word_is_primary)),
        JSON_MEMBER("mayStart", json_bool(l->word_may_start)));
    bool has_word = l->has_word;
    pthread_mutex_unlock(&l->lock);
    if (!has_word)
        return;
    struct error err;
    const struct json *answer;
    if (link_command(l, a, "/v1/exchange", body, deadline_in_ms(EXCHANGE_DEADLINE_MS), &answer, &err) < 0)
        log_debug("heartbeat not answered", LOG_Z("instance", l->instance), LOG_ERROR(&err));
}

int link_open(struct links *ls, const struct link_target *target, link_status_fn on_status, void *self,
              struct link **ret, struct error *err)
{
    struct link *l = mem_new_of(struct link);
    l->links = ls;
    l->instance = text_copy_z(target->instance);
    l->host = text_copy_z(target->host);
    l->agent_port = target->agent_port;
    l->ca_pem = text_copy_z(target->ca_pem);
    l->certificate_pem = text_copy_z(target->certificate_pem);
    l->private_key_pem = text_copy_z(target->private_key_pem);
    l->on_status = on_status;
    l->self = self;
    l->backoff_ms = RECONNECT_FIRST_MS;
    l->stream_ended = true; /* nothing is open yet: the first turn connects */
    pthread_mutex_init(&l->lock, NULL);
    int r = links__add(ls, l, err);
    if (r < 0) {
        link__free(l);
        return r;
    }
    *ret = l;
    return 0;
}

void link__free(struct link *l)
{
    arena_free(l->status_arena);
    pthread_mutex_destroy(&l->lock);
    mem_free(l->instance);
    mem_free(l->host);
    mem_free(l->ca_pem);
    mem_free(l->certificate_pem);
    mem_free(l->private_key_pem);
    mem_free(l);
}

void link_close(struct link *l)
{
    if (!l)
        return;
    links__remove(l->links, l); /* waits until no shared thread is at work on it */
    if (l->stream)
        http_client_stream_close(l->stream);
    link__free(l);
}

void link_view(struct link *l, struct arena *a, struct link_view *ret)
{
    pthread_mutex_lock(&l->lock);
    *ret = (struct link_view) { .is_connected = l->is_connected,
                                .has_status = l->has_status,
                                .heard_ns = l->heard_ns,
                                .lost_ns = l->lost_ns,
                                .last_error = arena_str(a, str_from(l->last_error)) };
    /* The status points into its arena, which the next line frees: a copy by way of its JSON. */
    const struct json *v = l->has_status ? json_copy(a, agent_status_to_json(a, &l->status)) : NULL;
    pthread_mutex_unlock(&l->lock);
    if (v && agent_status_from_json(a, v, &ret->status, NULL) < 0)
        ret->has_status = false;
}

void link_set_word(struct link *l, int64_t term, bool is_primary, bool may_start)
{
    pthread_mutex_lock(&l->lock);
    bool changed =
        !l->has_word || l->word_term != term || l->word_is_primary != is_primary || l->word_may_start != may_start;
    l->has_word = true;
    l->word_term = term;
    l->word_is_primary = is_primary;
    l->word_may_start = may_start;
    if (changed && l->has_status)
        l->exchange_due = true;
    pthread_mutex_unlock(&l->lock);
    if (changed)
        links__wake(l->links);
}

int link_command(struct link *l, struct arena *a, const char *path, const struct json *body, int64_t deadline_ns,
                 const struct json **ret_body, struct error *err)
{
    const struct http_client_tls tls = link__tls(l, a);
    const struct http_client_request req = { .method = "POST",
                                             .url = link__url(l, a, path),
                                             .content_type = S("application/json"),
                                             .body = json_text(a, body),
                                             .tls = &tls,
                                             .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                             .deadline_ns = deadline_ns,
                                             .max_response_bytes = LIMIT_AGENT_MESSAGE_BYTES };
    struct http_client_response res;
    int r = http_client_call(l->links->client, a, &req, &res, err);
    if (r < 0)
        return error_wrap(err, r, "agent of \"%s\": %s", l->instance, path);
    const struct json *answer = &json_null_value;
    if (res.body.len && json_parse(a, res.body, NULL, &answer, err) < 0)
        return error_wrap(err, ERRC_INTERNAL, "agent of \"%s\": %s: answer", l->instance, path);
    if (ret_body)
        *ret_body = answer;
    if (res.code < 300)
        return 0;
    str why = text_one_line(a, json_str_at(answer, "message"));
    return error_set(err,
                     res.code == 409  ? ERRC_CONFLICT
                     : res.code < 500 ? ERRC_INVALID
                                      : ERRC_UNAVAILABLE,
                     "agent of \"%s\" refused %s: %.*s", l->instance, path, STR_ARG(why.len ? why : res.body));
}
