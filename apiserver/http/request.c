/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request from h2o's callback to the end of its memory.
 *
 * h2o tells that a request is over only by clearing its memory pool (before an answer was begun it calls no stop), so
 * each pool gets a small tripwire.
 */
#include <assert.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "internal.h"

#define SPARES_MAX 256

/* ---- life -------------------------------------------------------------------------------------------------- */

static struct request *take(struct http_loop *loop)
{
    struct request *r = loop->spare;
    if (r) {
        loop->spare = r->next_spare;
        loop->spare_count--;
        return r;
    }
    r = mem_new_of(struct request);
    list_init(&r->inflight);
    list_init(&r->unread);
    list_init(&r->deferred.bounded);
    r->pub.arena = arena_new();
    return r;
}

static void release(struct request *r)
{
    struct http_loop *loop = r->pub.loop;
    for (size_t i = 0; i < r->blob_count; i++)
        (void)blob_unref(r->blobs[i]);
    if (r->blobs != r->blobs_inline)
        mem_free(r->blobs);
    if (r->stream)
        http__stream_free(r->stream);
    if (!r->is_orphan && !loop->is_ended && loop->spare_count < SPARES_MAX) {
        if (r->pub.arena)
            arena_clear(r->pub.arena);
        else
            r->pub.arena = arena_new();
        r->blobs = NULL;
        r->blob_count = 0;
        r->stream = NULL;
        r->next_spare = loop->spare;
        loop->spare = r;
        loop->spare_count++;
        return;
    }
    arena_free(r->pub.arena);
    mem_free(r);
}

void http__request_unref(struct request *r)
{
    if (--r->refs == 0)
        release(r);
}

void http__request_handled(struct request *r)
{
    /* A stream lasts for hours and there are thousands: what its request needed is given back. */
    if (r->state == REQUEST_STREAMING)
        arena_free(TAKE(r->pub.arena));
}

/* Over HTTP/2 an answer that was not sent in full was reset by the client. */
static bool was_reset(const struct request *r)
{
    if (!r->pub.is_http2)
        return false;
    if (r->stream)
        return !r->stream->is_finished;
    return r->state == REQUEST_DEFERRED || r->h2o->bytes_sent < r->body_bytes;
}

/* The pool of h2o's request is being cleared: the client is gone, or has its answer. */
static void on_pool_clear(void *tripwire)
{
    struct request *r = *(struct request **)tripwire;
    if (was_reset(r))
        http__conn_count_reset(r->conn);
    if (!r->pub.is_http2)
        http__head_again(r->conn);
    if (--r->conn->open_requests == 0)
        r->conn->idle_since_ns = clock_monotonic_ns();
    list_remove(&r->inflight);
    list_remove(&r->unread);
    list_remove(&r->deferred.bounded);
    r->h2o = NULL;
    if (r->state == REQUEST_DEFERRED)
        http__deferred_cancel(r);
    if (r->stream)
        http__stream_gone(r);
    http__request_unref(r);
}

/* ---- from h2o ---------------------------------------------------------------------------------------------- */

static str view(h2o_iovec_t v)
{
    return (str) { v.base, v.len };
}

/* False when there are too many of them, or too long. */
static bool read_headers(struct request *r)
{
    const h2o_headers_t *from = &r->h2o->headers;
    size_t bytes = 0;
    if (from->size > LIMIT_HEADER_COUNT)
        return false;
    struct http_header *to = r->headers_inline;
    if (from->size > REQUEST_HEADERS_INLINE)
        to = h2o_mem_alloc_pool(&r->h2o->pool, from->size * sizeof(*to));
    for (size_t i = 0; i < from->size; i++) {
        to[i] = (struct http_header) { view(*from->entries[i].name), view(from->entries[i].value) };
        bytes += to[i].name.len + to[i].value.len;
    }
    r->pub.headers = to;
    r->pub.header_count = from->size;
    r->conn->credited_bytes += bytes;
    return bytes <= LIMIT_HEADER_BYTES;
}

/* Lines of a request of HTTP/1.1, which stays in the input until it is answered, that say how long its body is. */
static size_t count_lengths(str input)
{
    size_t count = 0;
    for (str line; str_next_field(&input, '\n', &line) && !str_is_empty(str_trim(line));) {
        str name, value;
        if (str_cut(line, ':', &name, &value))
            count += str_eq_nocase(name, S("content-length")) || str_eq_nocase(name, S("transfer-encoding"));
    }
    return count;
}

/* h2o takes the first of several lengths, and a transfer coding before all. A proxy before us that takes another would
 * find the begin of the next request elsewhere: such a request is an attack (RFC 9112 §6.3, §11.2). */
static bool has_ambiguous_length(const struct request *r)
{
    const h2o_req_t *h2o = r->h2o;
    if (r->pub.is_http2)
        return false;
    const h2o_buffer_t *input = h2o->conn->callbacks->get_socket(h2o->conn)->input;
    return count_lengths(str_of(input->bytes, input->size)) > 1;
}

static void read_target(struct request *r)
{
    const h2o_req_t *h2o = r->h2o;
    r->pub.target = view(h2o->input.path);
    size_t query_at = h2o->input.query_at;
    if (query_at < r->pub.target.len) {
        r->pub.path = str_first(r->pub.target, query_at);
        r->pub.query = str_from_offset(r->pub.target, query_at + 1);
    } else {
        r->pub.path = r->pub.target;
        r->pub.query = (str) { "", 0 };
    }
}

static struct request *receive(h2o_req_t *h2o)
{
    struct conn *c = http__conn_of(h2o->conn->callbacks->get_socket(h2o->conn));
    struct request *r = take(c->loop);
    struct request **tripwire = h2o_mem_alloc_shared(&h2o->pool, sizeof(struct request *), on_pool_clear);
    *tripwire = r;
    c->open_requests++;
    c->credited_bytes += h2o->entity.len;
    r->h2o = h2o;
    r->conn = c;
    r->state = REQUEST_NEW;
    r->refs = 1;
    r->is_overdue = false;
    r->generator = (h2o_generator_t) { NULL, NULL };
    r->body_bytes = 0;
    r->buffer_count = r->buffer_next = 0;
    struct http_request *pub = &r->pub;
    pub->method = view(h2o->input.method);
    read_target(r);
    pub->body_too_large = h2o->entity.len > LIMIT_BODY_BYTES;
    pub->body = pub->body_too_large ? (str) { "", 0 } : view(h2o->entity);
    pub->peer = &c->peer;
    pub->is_http2 = h2o->version >= 0x200;
    pub->is_head = str_eq(pub->method, S("HEAD"));
    pub->received_ns = r->progress_ns = clock_monotonic_ns();
    pub->loop = c->loop;
    return r;
}

static void handle(const struct http_server_options *options, struct request *r)
{
    r->refs++;
    options->handler(options->self, &r->pub);
    http__request_handled(r);
    http__request_unref(r);
}

int http__on_request(h2o_handler_t *handler, h2o_req_t *h2o)
{
    const struct http_server_options *options = &((struct handler *)handler)->server->options;
    struct request *r = receive(h2o);
    if (r->conn->refused_status) {
        http__refuse_and_close(r, r->conn->refused_status, r->conn->refused_text);
        return 0;
    }
    if (!r->pub.is_http2)
        http__head_next(r->conn, h2o);
    if (has_ambiguous_length(r))
        http__refuse_and_close(r, 400, S("more than one length of the body"));
    else if (!read_headers(r))
        http__response_refuse(r, 431, S("request header fields too large"));
    else if (r->pub.target.len > LIMIT_PATH_BYTES + LIMIT_QUERY_BYTES)
        http__response_refuse(r, 414, S("request target too long"));
    else if (r->conn->deferred >= options->max_requests_per_connection)
        http__response_refuse(r, 429, S("too many requests of this connection are being worked on"));
    else
        handle(options, r);
    return 0;
}

str http_request_header(const struct http_request *req, str name)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (str_eq(req->headers[i].name, name))
            return req->headers[i].value;
    return (str) { "", 0 };
}

/* ---- clients that are gone ----------------------------------------------------------------------------------- */

void http__request_abandon(struct request *r)
{
    if (r->state == REQUEST_STREAMING) {
        http__stream_abandon(r);
        return;
    }
    if (r->state != REQUEST_DEFERRED || !r->h2o) {
        http__conn_doom(r->conn);
        return;
    }
    /* h2o has no other way to close a connection of HTTP/1.1 whose answer was not begun. */
    h2o_req_t *h2o = r->h2o;
    r->h2o = NULL;
    list_remove(&r->unread);
    list_remove(&r->deferred.bounded);
    http__deferred_cancel(r);
    h2o->http1_is_persistent = 0;
    h2o->res.status = 503;
    h2o->res.reason = "Service Unavailable";
    h2o->res.content_length = 0;
    h2o_start_response(h2o, &r->generator);
    h2o_send(h2o, NULL, 0, H2O_SEND_STATE_FINAL);
}

void http__request_watch_progress(struct request *r, int64_t now_ns)
{
    r->progress_ns = now_ns;
    list_remove(&r->inflight);
    list_add_tail(&r->pub.loop->inflight, &r->inflight);
}

void http__request_watch_disconnect(struct request *r)
{
    if (r->pub.is_http2 || !list_is_empty(&r->unread))
        return;
    list_add_tail(&r->pub.loop->unread, &r->unread);
}
