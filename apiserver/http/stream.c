/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers without an end. What is queued during a turn of the loop goes to h2o in one piece at the end of the turn;
 * h2o takes one piece at a time and asks for the next by `proceed`. Nothing here calls h2o while the user's code is on
 * the stack, so a user may do anything in his callbacks.
 */
#include <assert.h>

#include "base/clock.h"
#include "base/mem.h"
#include "internal.h"

#define RING_FIRST 8
/* Over HTTP/1.1 each stream costs 25-40 us per piece: so many per turn, so that requests are not kept waiting. */
#define FLUSHES_PER_TURN 256

static void flush_soon(struct http_loop *loop)
{
    if (!h2o_timeout_is_linked(&loop->flush))
        h2o_timeout_link(loop->evloop, &loop->context.zero_timeout, &loop->flush);
}

static void on_next_turn(void *arg)
{
    flush_soon(arg);
}

static void mark_dirty(struct request *r)
{
    struct http_loop *loop = r->pub.loop;
    if (!list_is_empty(&r->stream->dirty))
        return;
    bool is_first = list_is_empty(&loop->dirty);
    list_add_tail(&loop->dirty, &r->stream->dirty);
    if (is_first)
        flush_soon(loop);
}

/* ---- queue ------------------------------------------------------------------------------------------------- */

static struct blob **slot(struct http_stream *s, size_t i)
{
    return &s->ring[(s->head + i) & (s->capacity - 1)];
}

static void push(struct http_stream *s, struct blob *data)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : RING_FIRST;
        struct blob **ring = mem_array_of(struct blob *, capacity);
        for (size_t i = 0; i < s->count; i++)
            ring[i] = *slot(s, i);
        mem_free(s->ring);
        s->ring = ring;
        s->capacity = capacity;
        s->head = 0;
    }
    s->count++;
    *slot(s, s->count - 1) = blob_ref(data);
    s->backlog_bytes += data->len;
}

static void pop(struct http_stream *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s->backlog_bytes -= (*slot(s, i))->len;
        (void)blob_unref(*slot(s, i));
    }
    s->head = (s->head + n) & (s->capacity - 1);
    s->count -= n;
}

/* Forgets what h2o has not taken yet. */
static void drop_queue(struct http_stream *s)
{
    for (; s->count > s->in_flight; s->count--) {
        struct blob **last = slot(s, s->count - 1);
        s->backlog_bytes -= (*last)->len;
        *last = blob_unref(*last);
    }
}

/* ---- towards h2o ------------------------------------------------------------------------------------------- */

static void send_pieces(struct request *r, h2o_iovec_t *buffers, size_t count)
{
    r->stream->is_sending = true;
    http__request_watch_progress(r, clock_monotonic_ns());
    h2o_send(r->h2o, buffers, count, H2O_SEND_STATE_IN_PROGRESS);
}

static void finish(struct request *r)
{
    r->stream->is_finished = true;
    http__request_watch_progress(r, clock_monotonic_ns());
    /* Over HTTP/1.1 the request may be gone when this returns. */
    h2o_send(r->h2o, NULL, 0, r->stream->is_error ? H2O_SEND_STATE_ERROR : H2O_SEND_STATE_FINAL);
}

static void flush(struct request *r)
{
    struct http_stream *s = r->stream;
    h2o_iovec_t buffers[HTTP_SLICE_BUFFERS];
    size_t bytes = 0;
    if (s->is_sending || s->is_finished || !r->h2o)
        return;
    assert(s->in_flight == 0);
    while (s->in_flight < s->count && s->in_flight < HTTP_SLICE_BUFFERS && bytes < HTTP_SLICE_BYTES) {
        struct blob *data = *slot(s, s->in_flight);
        buffers[s->in_flight++] = h2o_iovec_init(data->bytes, data->len);
        bytes += data->len;
    }
    if (s->in_flight > 0) {
        size_t count = s->in_flight;
        http__gather(r, buffers, &count);
        send_pieces(r, buffers, count);
    } else if (s->is_ended)
        finish(r);
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *h2o)
{
    struct request *r = CONTAINER_OF(generator, struct request, generator);
    struct http_stream *s = r->stream;
    (void)h2o;
    list_remove(&r->inflight);
    s->is_sending = false;
    pop(s, s->in_flight);
    s->in_flight = 0;
    if (s->count > 0 || s->is_ended)
        flush(r);
    else if (s->ops->on_drained)
        s->ops->on_drained(s->self);
}

/* ---- the end ----------------------------------------------------------------------------------------------- */

static void close_once(struct http_stream *s)
{
    if (s->is_closed)
        return;
    s->is_closed = true;
    s->is_ended = true;
    s->ops->on_close(s->self);
}

void http__stream_flush_all(struct http_loop *loop)
{
    size_t left = FLUSHES_PER_TURN;
    while (!list_is_empty(&loop->dirty) && left-- > 0) {
        struct request *r = LIST_ENTRY(loop->dirty.next, struct http_stream, dirty)->request;
        list_remove(&r->stream->dirty);
        r->refs++;
        if (r->stream->is_ended)
            close_once(r->stream);
        flush(r);
        http__request_unref(r);
    }
    /* The rest after what the sockets have for us. */
    if (!list_is_empty(&loop->dirty))
        (void)http_timer_start(loop, 0, on_next_turn, loop);
}

void http__stream_gone(struct request *r)
{
    struct http_stream *s = r->stream;
    list_remove(&s->dirty);
    atomic_fetch_sub_explicit(&r->pub.loop->active_streams, 1, memory_order_relaxed);
    close_once(s);
}

void http__stream_abandon(struct request *r)
{
    struct http_stream *s = r->stream;
    if (s->is_sending || s->is_finished) {
        http__conn_doom(r->conn);
        return;
    }
    list_remove(&r->unread);
    s->is_ended = s->is_error = true;
    drop_queue(s);
    finish(r);
}

void http__stream_free(struct http_stream *s)
{
    pop(s, s->count);
    mem_free(s->ring);
    mem_free(s);
}

/* ---- for users --------------------------------------------------------------------------------------------- */

static void start_response(struct request *r, const struct http_response *head)
{
    h2o_iovec_t first[1 + REQUEST_BUFFERS_INLINE];
    size_t count = 0;
    http__response_head(r, head);
    r->generator.proceed = on_proceed;
    /* Neither chunks nor a length tell an HTTP/1.0 client where the end is. */
    if (!r->pub.is_http2 && r->h2o->version < 0x101)
        r->h2o->http1_is_persistent = 0;
    h2o_start_response(r->h2o, &r->generator);
    if (r->pub.is_head) {
        r->stream->is_ended = true;
        finish(r);
        return;
    }
    /* Over HTTP/1.1 h2o keeps the headers back until there is a byte of the body. */
    if (!r->pub.is_http2)
        first[count++] = h2o_iovec_init("\n", 1);
    send_pieces(r, first, count);
}

struct http_stream *http_stream_begin(struct http_request *req, const struct http_response *head,
                                      const struct http_stream_ops *ops, void *self)
{
    struct request *r = http__request_of(req);
    assert(r->state == REQUEST_NEW && head->blob_count == 0);
    struct http_stream *s = mem_new_of(struct http_stream);
    s->request = r;
    s->ops = ops;
    s->self = self;
    list_init(&s->dirty);
    r->stream = s;
    r->state = REQUEST_STREAMING;
    atomic_fetch_add_explicit(&req->loop->active_streams, 1, memory_order_relaxed);
    if (!req->is_head)
        http__request_watch_disconnect(r);
    if (head->body.len > 0 && !req->is_head) {
        struct blob *body = blob_new(head->body);
        (void)http_stream_send(s, body);
        (void)blob_unref(body);
    }
    r->refs++;
    start_response(r, head);
    if (s->is_ended && r->h2o)
        mark_dirty(r);
    http__request_unref(r);
    return s;
}

size_t http_stream_send(struct http_stream *s, struct blob *data)
{
    if (s->is_ended || data->len == 0)
        return s->backlog_bytes;
    push(s, data);
    if (!s->is_sending)
        mark_dirty(s->request);
    return s->backlog_bytes;
}

void http_stream_end(struct http_stream *s, bool is_error)
{
    if (s->is_ended)
        return;
    s->is_ended = true;
    s->is_error = is_error;
    if (is_error)
        drop_queue(s);
    mark_dirty(s->request);
}

size_t http_stream_backlog(const struct http_stream *s)
{
    return s->backlog_bytes;
}
