/* SPDX-License-Identifier: Apache-2.0 */
/* Answers with a body that is known in full. */
#include <assert.h>

#include "base/clock.h"
#include "base/mem.h"
#include "internal.h"

/* HTTP/1.1 only; nobody reads it. */
static const char *reason_of(int status)
{
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 413: return "Request Entity Too Large";
    case 415: return "Unsupported Media Type";
    case 414: return "URI Too Long";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Entity";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Status";
    }
}

void http__response_head(struct request *r, const struct http_response *res)
{
    h2o_req_t *h2o = r->h2o;
    h2o->res.status = res->status;
    h2o->res.reason = reason_of(res->status);
    /* The library asks this when the headers arrive, which may have been before the drain. */
    if (r->pub.loop->is_draining)
        h2o->http1_is_persistent = 0;
    /* Both protocols write the headers while the answer is started: views are enough. */
    for (size_t i = 0; i < res->header_count; i++)
        h2o_add_header_by_str(&h2o->pool, &h2o->res.headers, res->headers[i].name.ptr, res->headers[i].name.len, 1,
                              NULL, res->headers[i].value.ptr, res->headers[i].value.len);
}

void http__response_drop(const struct http_response *res)
{
    for (size_t i = 0; i < res->blob_count; i++)
        (void)blob_unref(res->blobs[i]);
}

static void take_blobs(struct request *r, const struct http_response *res)
{
    r->blobs = r->blobs_inline;
    if (res->blob_count > REQUEST_BUFFERS_INLINE)
        r->blobs = mem_array_of(struct blob *, res->blob_count);
    for (size_t i = 0; i < res->blob_count; i++)
        r->blobs[i] = res->blobs[i];
    r->blob_count = res->blob_count;
}

/* What is to be sent, in order. The body is copied unless it stays where it is as long as the request. */
static void prepare_body(struct request *r, const struct http_response *res)
{
    size_t count = 0;
    r->buffers = r->buffers_inline;
    if (res->blob_count + 1 > REQUEST_BUFFERS_INLINE)
        r->buffers = h2o_mem_alloc_pool(&r->h2o->pool, (res->blob_count + 1) * sizeof(*r->buffers));
    if (res->body.len > 0) {
        const char *bytes = res->body.ptr;
        if (!res->body_is_stable)
            bytes = memcpy(h2o_mem_alloc_pool(&r->h2o->pool, res->body.len), res->body.ptr, res->body.len);
        r->buffers[count++] = h2o_iovec_init(bytes, res->body.len);
    }
    take_blobs(r, res);
    for (size_t i = 0; i < r->blob_count; i++)
        if (r->blobs[i]->len > 0)
            r->buffers[count++] = h2o_iovec_init(r->blobs[i]->bytes, r->blobs[i]->len);
    r->buffer_count = count;
    r->buffer_next = 0;
}

void http__gather(struct request *r, h2o_iovec_t *buffers, size_t *count)
{
    struct http_loop *loop = r->pub.loop;
    size_t total = 0;
    for (size_t i = 0; i < *count; i++)
        total += buffers[i].len;
    if (r->pub.is_http2 || *count < 2 || total > HTTP_SLICE_BYTES)
        return;
    if (!loop->gathered)
        loop->gathered = mem_alloc(HTTP_SLICE_BYTES);
    char *to = loop->gathered;
    for (size_t i = 0; i < *count; i++) {
        memcpy(to, buffers[i].base, buffers[i].len);
        to += buffers[i].len;
    }
    buffers[0] = h2o_iovec_init(loop->gathered, total);
    *count = 1;
}

static size_t body_length(const struct http_response *res)
{
    size_t total = res->body.len;
    for (size_t i = 0; i < res->blob_count; i++)
        total += res->blobs[i]->len;
    return total;
}

/* h2o took the last slice and has room for the next. Large blobs are cut, small ones go together. */
static void send_slice(h2o_generator_t *generator, h2o_req_t *h2o)
{
    struct request *r = CONTAINER_OF(generator, struct request, generator);
    h2o_iovec_t slice[HTTP_SLICE_BUFFERS];
    size_t count = 0, room = HTTP_SLICE_BYTES;
    while (room > 0 && count < HTTP_SLICE_BUFFERS && r->buffer_next < r->buffer_count) {
        h2o_iovec_t *from = &r->buffers[r->buffer_next];
        size_t part = from->len < room ? from->len : room;
        slice[count++] = h2o_iovec_init(from->base, part);
        from->base += part;
        from->len -= part;
        room -= part;
        if (from->len == 0)
            r->buffer_next++;
    }
    bool is_last = r->buffer_next == r->buffer_count;
    http__gather(r, slice, &count);
    http__request_watch_progress(r, clock_monotonic_ns());
    h2o_send(h2o, slice, count, is_last ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

void http__response_send(struct request *r, const struct http_response *res)
{
    h2o_req_t *h2o = r->h2o;
    size_t total = body_length(res);
    bool is_bodiless = res->status == 204 || res->status == 304;
    r->state = REQUEST_ANSWERED;
    http__response_head(r, res);
    if (!is_bodiless)
        h2o->res.content_length = total;
    if (is_bodiless || r->pub.is_head || total == 0) {
        http__response_drop(res);
        h2o_start_response(h2o, &r->generator);
        h2o_send(h2o, NULL, 0, H2O_SEND_STATE_FINAL);
        return;
    }
    prepare_body(r, res);
    r->body_bytes = total;
    if (total > HTTP_SLICE_BYTES || r->buffer_count > HTTP_SLICE_BUFFERS) {
        r->generator.proceed = send_slice;
        h2o_start_response(h2o, &r->generator);
        send_slice(&r->generator, h2o);
        return;
    }
    h2o_start_response(h2o, &r->generator);
    http__request_watch_progress(r, r->progress_ns);
    http__gather(r, r->buffers, &r->buffer_count);
    h2o_send(h2o, r->buffers, r->buffer_count, H2O_SEND_STATE_FINAL);
}

void http_respond(struct http_request *req, const struct http_response *res)
{
    struct request *r = http__request_of(req);
    assert(r->state == REQUEST_NEW);
    http__response_send(r, res);
}
