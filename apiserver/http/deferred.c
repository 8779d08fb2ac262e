/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that are answered later, by any thread. Whoever took one along owns its memory until he gives it back by a
 * message to the loop; the loop meanwhile only sets a flag, and perhaps answers itself, from memory of its own, when
 * the deadline passes. So nothing is shared but the flag and the mailbox.
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
    if (!r->is_orphan && !r->is_overdue)
        c->deferred--;
    atomic_fetch_sub_explicit(&loop->active_requests, 1, memory_order_relaxed);
    http__request_unref(r);
    http__conn_unref(c);
    http__loop_unref(loop);
}

/* Its client is there, and has no answer. */
static bool is_awaited(const struct request *r)
{
    return r->h2o && !r->is_overdue;
}

/* The loop has it for itself again. */
static void take_back(struct request *r)
{
    list_remove(&r->unread);
    list_remove(&r->deferred.bounded);
    r->progress_ns = clock_monotonic_ns();
}

static void on_respond(void *arg)
{
    struct request *r = arg;
    if (is_awaited(r)) {
        take_back(r);
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
    post(r, on_respond);
}

static void on_resume(void *arg)
{
    struct request *r = arg;
    void (*fn)(void *, struct http_request *) = r->deferred.resume;
    void *self = r->deferred.self;
    if (is_awaited(r)) {
        take_back(r);
        r->state = REQUEST_NEW;
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

/* ---- deadlines --------------------------------------------------------------------------------------------------- */

void http_deferred_bound(struct http_deferred *d, int64_t deadline_ns, http_overdue_fn make, void *self)
{
    d->deadline_ns = deadline_ns;
    d->overdue = make;
    d->overdue_self = self;
    list_add_tail(&request_of(d)->pub.loop->bounded, &d->bounded);
}

/* Whoever has the request still owns its arena and its struct's answer; all the rest is the loop's. */
static void answer_overdue(struct request *r)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct http_response response = { .status = 0 };
    take_back(r);
    r->is_overdue = true;
    r->conn->deferred--; /* a client is not to be refused for what hangs here */
    http__deferred_cancel(r);
    r->deferred.overdue(r->deferred.overdue_self, a, &response);
    http__response_send(r, &response);
}

static struct request *find_overdue(struct http_loop *loop, int64_t now)
{
    LIST_FOREACH (&loop->bounded, it) {
        struct http_deferred *d = LIST_ENTRY(it, struct http_deferred, bounded);
        if (d->deadline_ns <= now)
            return request_of(d);
    }
    return NULL;
}

/* Each from the start: an answer may end other requests of its connection. */
void http__deferred_end_overdue(struct http_loop *loop)
{
    int64_t now = clock_monotonic_ns();
    for (struct request *r; (r = find_overdue(loop, now)) != NULL;)
        answer_overdue(r);
}
