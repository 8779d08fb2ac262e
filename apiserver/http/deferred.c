/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that are answered later, by any thread. Whoever took one along owns its memory until he gives it back by a
 * message to the loop; the loop meanwhile only sets a flag. So nothing is shared but the flag and the mailbox.
 */
#include <assert.h>

#include "base/clock.h"
#include "base/mem.h"
#include "internal.h"

static struct request *request_of(struct http_deferred *d)
{
    return CONTAINER_OF(d, struct request, deferred);
}

static str keep(struct arena *a, str s)
{
    return s.len ? arena_str(a, s) : (str) { "", 0 };
}

/* h2o frees headers and body as soon as the client goes away, so they are copied. */
static void keep_request(struct http_request *pub)
{
    struct arena *a = pub->arena;
    struct http_header *headers = arena_array_of(a, struct http_header, pub->header_count);
    for (size_t i = 0; i < pub->header_count; i++)
        headers[i] = (struct http_header) { keep(a, pub->headers[i].name), keep(a, pub->headers[i].value) };
    pub->headers = headers;
    pub->method = keep(a, pub->method);
    size_t path_len = pub->path.len;
    pub->target = keep(a, pub->target);
    pub->path = str_first(pub->target, path_len);
    pub->query = str_from_offset(pub->target, path_len + 1);
    pub->body = keep(a, pub->body);
}

struct http_deferred *http_defer(struct http_request *req)
{
    struct request *r = http__request_of(req);
    assert(r->state == REQUEST_NEW);
    r->state = REQUEST_DEFERRED;
    r->refs++;
    r->conn->deferred++;
    (void)http__conn_ref(r->conn);
    atomic_fetch_add_explicit(&req->loop->refs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&req->loop->active_requests, 1, memory_order_relaxed);
    keep_request(req);
    r->deferred.message = (struct message) { .fn = NULL };
    atomic_init(&r->deferred.is_cancelled, false);
    http__request_watch_disconnect(r);
    return &r->deferred;
}

struct http_request *http_deferred_request(struct http_deferred *d)
{
    return &request_of(d)->pub;
}

bool http_deferred_is_cancelled(const struct http_deferred *d)
{
    return atomic_load_explicit(&d->is_cancelled, memory_order_relaxed);
}

void http__deferred_cancel(struct request *r)
{
    atomic_store_explicit(&r->deferred.is_cancelled, true, memory_order_relaxed);
}

/* The loop has the request back, or ended and left it to the caller, who then keeps off what the loop's thread, still
 * tidying up, and other callers use. */
static void give_back(struct request *r)
{
    struct http_loop *loop = r->pub.loop;
    struct conn *c = r->conn;
    if (!r->is_orphan)
        c->deferred--;
    atomic_fetch_sub_explicit(&loop->active_requests, 1, memory_order_relaxed);
    http__request_unref(r);
    http__conn_unref(c);
    http__loop_unref(loop);
}

static void on_respond(void *arg)
{
    struct request *r = arg;
    if (r->h2o) {
        list_remove(&r->unread);
        http__response_send(r, &r->deferred.response);
    } else {
        http__response_drop(&r->deferred.response);
    }
    give_back(r);
}

static void keep_response(struct request *r, const struct http_response *res)
{
    struct arena *a = r->pub.arena;
    struct http_response *kept = &r->deferred.response;
    *kept = *res;
    struct http_header *headers = arena_array_of(a, struct http_header, res->header_count);
    for (size_t i = 0; i < res->header_count; i++)
        headers[i] = (struct http_header) { keep(a, res->headers[i].name), keep(a, res->headers[i].value) };
    kept->headers = headers;
    if (!res->body_is_stable)
        kept->body = keep(a, res->body);
    kept->body_is_stable = true;
    struct blob **blobs = arena_array_of(a, struct blob *, res->blob_count);
    for (size_t i = 0; i < res->blob_count; i++)
        blobs[i] = res->blobs[i];
    kept->blobs = blobs;
}

static void post(struct request *r, void (*fn)(void *arg))
{
    r->deferred.message.fn = fn;
    r->deferred.message.arg = r;
    if (http__post(r->pub.loop, &r->deferred.message))
        return;
    r->is_orphan = true;
    fn(r);
}

void http_deferred_respond(struct http_deferred *d, const struct http_response *res)
{
    struct request *r = request_of(d);
    keep_response(r, res);
    r->progress_ns = clock_monotonic_ns();
    post(r, on_respond);
}

static void on_resume(void *arg)
{
    struct request *r = arg;
    void (*fn)(void *, struct http_request *) = r->deferred.resume;
    void *self = r->deferred.self;
    if (r->h2o) {
        list_remove(&r->unread);
        r->state = REQUEST_NEW;
        r->progress_ns = clock_monotonic_ns();
        fn(self, &r->pub);
        http__request_handled(r);
    } else {
        fn(self, NULL);
    }
    give_back(r);
}

void http_deferred_resume(struct http_deferred *d, void (*fn)(void *self, struct http_request *req_or_null), void *self)
{
    d->resume = fn;
    d->self = self;
    post(request_of(d), on_resume);
}
