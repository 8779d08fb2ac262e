/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One exchange per request, in the request's arena. What the API may look at after the client has gone is copied: path
 * and query at once (they are cut into views), headers and body by http_defer.
 */
#include "serve.h"

#include <assert.h>

#include "base/limits.h"
#include "base/mem.h"
#include "json/json_write.h"

#define LOOPS_MAX 64
#define HEADERS_MAX 64

struct serve {
    struct serve_options options;
    struct api_home *homes[LOOPS_MAX]; /* by index of the loop; each touched by its loop alone */
};

struct exchange {
    struct api_request api;
    struct api_user user;
    struct http_request *http;
    struct http_deferred *deferred; /* while it is away from the loop */
    void (*resumed)(void *arg);
    void *resumed_arg;
    bool is_gone; /* the client went away while it was deferred */
};

struct serve *serve_new(const struct serve_options *options)
{
    struct serve *s = mem_new_of(struct serve);
    s->options = *options;
    if (s->options.client_ca_mask == 0)
        s->options.client_ca_mask = 1;
    return s;
}

void serve_free(struct serve *s)
{
    mem_free(s);
}

/* struct http_header and struct api_header are the same two views under two names. */
_Static_assert(sizeof(struct http_header) == sizeof(struct api_header) &&
                   offsetof(struct http_header, value) == offsetof(struct api_header, value),
               "headers are passed on without copying");

static void take_request(struct exchange *x)
{
    x->api.method = x->http->method;
    x->api.headers = (const struct api_header *)x->http->headers;
    x->api.header_count = x->http->header_count;
    x->api.body = x->http->body;
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static struct exchange *exchange_of(struct api_request *req)
{
    return req->transport;
}

static struct http_response response_of(const struct api_answer *answer, struct api_header headers[HEADERS_MAX])
{
    size_t n = 0;
    if (!str_is_empty(answer->content_type))
        headers[n++] = (struct api_header) { S("content-type"), answer->content_type };
    for (size_t i = 0; i < answer->header_count && n < HEADERS_MAX; i++)
        headers[n++] = answer->headers[i];
    return (struct http_response) {
        .status = answer->code,
        .headers = (const struct http_header *)headers,
        .header_count = n,
        .body = answer->body,
        .body_is_stable = answer->body_is_stable,
        .blobs = answer->blobs,
        .blob_count = answer->blob_count,
    };
}

static void on_answer(struct api_request *req, const struct api_answer *answer)
{
    struct exchange *x = exchange_of(req);
    struct api_header headers[HEADERS_MAX];
    const struct http_response response = response_of(answer, headers);
    if (x->deferred) {
        http_deferred_respond(TAKE(x->deferred), &response);
        return;
    }
    if (!x->is_gone) {
        http_respond(x->http, &response);
        return;
    }
    for (size_t i = 0; i < answer->blob_count; i++)
        (void)blob_unref(answer->blobs[i]);
}

static void on_overdue(void *self, struct arena *a, struct http_response *ret)
{
    const struct exchange *x = self;
    struct api_answer answer = { .code = 0 };
    api_overdue(&x->api, a, &answer);
    *ret = response_of(&answer, arena_array_of(a, struct api_header, HEADERS_MAX));
}

static void on_defer(struct api_request *req)
{
    struct exchange *x = exchange_of(req);
    x->deferred = http_defer(x->http);
    if (req->deadline_ns > 0)
        http_deferred_bound(x->deferred, req->deadline_ns, on_overdue, x);
    take_request(x); /* now they are copies */
}

static void on_resumed(void *self, struct http_request *req_or_null)
{
    struct exchange *x = self;
    x->is_gone = req_or_null == NULL;
    x->resumed(x->resumed_arg);
}

static void post_home(struct api_request *req, void (*fn)(void *arg), void *arg)
{
    struct exchange *x = exchange_of(req);
    x->resumed = fn;
    x->resumed_arg = arg;
    http_deferred_resume(TAKE(x->deferred), on_resumed, x);
}

/* ---- watches ------------------------------------------------------------------------------------------------------
 */

struct stream {
    struct api_watch *watch;
    struct http_stream *http;
    bool is_beginning, is_closed;
};

static void on_drained(void *self)
{
    struct stream *s = self;
    if (s->http)
        api_watch_drained(s->watch);
}

static void on_close(void *self)
{
    struct stream *s = self;
    if (s->is_beginning) { /* whoever begins it tells the API */
        s->is_closed = true;
        return;
    }
    api_watch_closed(s->watch);
    mem_free(s);
}

static size_t stream_send(void *self, struct blob *frame)
{
    return http_stream_send(((struct stream *)self)->http, frame);
}

static void stream_end(void *self, bool is_error)
{
    http_stream_end(((struct stream *)self)->http, is_error);
}

static const struct http_stream_ops stream_ops = { .on_drained = on_drained, .on_close = on_close };
static const struct api_stream_ops api_ops = { .send = stream_send, .end = stream_end };

static void *on_stream(struct api_request *req, const struct api_answer *head, struct api_watch *watch,
                       const struct api_stream_ops **ret_ops)
{
    struct exchange *x = exchange_of(req);
    if (x->is_gone)
        return NULL;
    if (x->http->is_head) { /* headers are all that is asked for */
        on_answer(req, head);
        return NULL;
    }
    struct api_header headers[HEADERS_MAX] = { { S("content-type"), head->content_type } };
    size_t n = 1;
    for (size_t i = 0; i < head->header_count && n < HEADERS_MAX; i++)
        headers[n++] = head->headers[i];
    const struct http_response response = { .status = head->code,
                                            .headers = (const struct http_header *)headers,
                                            .header_count = n };
    struct stream *s = mem_new_of(struct stream);
    s->watch = watch;
    s->is_beginning = true;
    s->http = http_stream_begin(x->http, &response, &stream_ops, s);
    s->is_beginning = false;
    if (s->is_closed) {
        mem_free(s);
        return NULL;
    }
    *ret_ops = &api_ops;
    return s;
}

/* ---- homes ----------------------------------------------------------------------------------------------------------
 */

static bool home_post(void *self, void (*fn)(void *arg), void *arg)
{
    return http_loop_post(self, fn, arg);
}

static void *home_timer_start(void *self, int64_t ms, void (*fn)(void *arg), void *arg)
{
    return http_timer_start(self, ms, fn, arg);
}

static void home_timer_cancel(void *self UNUSED, void *timer)
{
    http_timer_cancel(timer);
}

static const struct api_home_ops home_ops = { .post = home_post,
                                              .timer_start = home_timer_start,
                                              .timer_cancel = home_timer_cancel };

static struct api_home *home_of(struct serve *s, struct http_loop *loop)
{
    size_t i = http_loop_index(loop);
    assert(i < LOOPS_MAX);
    if (!s->homes[i])
        s->homes[i] = api_home_new(s->options.api, &home_ops, loop);
    return s->homes[i];
}

/* ---- requests
 * --------------------------------------------------------------------------------------------------------- */

static void fail_unauthorized(struct exchange *x, const struct status *status)
{
    static const struct api_header headers[] = { { S_INIT("cache-control"), S_INIT("no-cache, private") } };
    struct arena *a = x->http->arena;
    on_answer(&x->api, &(struct api_answer) {
                           .code = status->code,
                           .content_type = S("application/json"),
                           .headers = headers,
                           .header_count = ARRAY_LEN(headers),
                           .body = json_text(a, status_to_json(a, status)),
                       });
}

void serve_word_refusal(void *self UNUSED, struct arena *a, struct http_refusal *refusal)
{
    struct status *s = status_new(a, STATUS_BAD_REQUEST, "%.*s", STR_ARG(refusal->text));
    if (refusal->status == 413)
        s = status_new(a, STATUS_REQUEST_ENTITY_TOO_LARGE, "Request entity too large: limit is %u", LIMIT_BODY_BYTES);
    if (refusal->status == 429)
        s = status_new(a, STATUS_TOO_MANY_REQUESTS, "%.*s", STR_ARG(refusal->text));
    s->code = refusal->status;
    refusal->content_type = S("application/json");
    refusal->body = json_text(a, status_to_json(a, s));
}

static struct status *authenticate(struct serve *s, struct exchange *x)
{
    const struct http_peer *peer = x->http->peer;
    const struct auth_certificate certificate = {
        .is_verified = (peer->verified_by & s->options.client_ca_mask) != 0,
        .not_after_s = peer->not_after_s,
        .common_name = peer->common_name,
        .organizations = peer->organizations,
        .organization_count = peer->organization_count,
    };
    return auth_user(s->options.auth, x->http->arena, peer->has_certificate ? &certificate : NULL,
                     http_request_header(x->http, S("authorization")), &x->user);
}

void serve_handle(void *self, struct http_request *req)
{
    struct serve *s = self;
    struct exchange *x = arena_new_of(req->arena, struct exchange);
    x->http = req;
    x->api = (struct api_request) {
        .path = arena_str(req->arena, req->path),
        .query = str_is_empty(req->query) ? req->query : arena_str(req->arena, req->query),
        .body_too_large = req->body_too_large,
        .user = &x->user,
        .remote_address = req->peer->address,
        .arena = req->arena,
        .received_ns = req->received_ns,
        .home = home_of(s, req->loop),
        .on_defer = on_defer,
        .on_answer = on_answer,
        .on_stream = on_stream,
        .post_home = post_home,
        .transport = x,
    };
    take_request(x);
    struct status *refused = authenticate(s, x);
    if (refused)
        fail_unauthorized(x, refused);
    else
        api_serve(s->options.api, &x->api);
}
