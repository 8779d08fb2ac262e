/* SPDX-License-Identifier: Apache-2.0 */
/* How a call moves between threads and how it ends. What the answer says is the handlers' business. */
#include "request/call.h"

#include "base/limits.h"
#include "base/rand.h"
#include "base/strbuf.h"
#include "request/gzip.h"
#include "json/json_write.h"

#define HEADERS_MAX 48
#define WARNING_MAX 256

str api_request_header(const struct api_request *req, str name)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (str_eq(req->headers[i].name, name))
            return req->headers[i].value;
    return (str) { 0 };
}

str call_header(const struct call *c, str name)
{
    return api_request_header(c->req, name);
}

struct body_source call_body(const struct call *c)
{
    return (struct body_source) {
        .bytes = c->req->body,
        .content_type = call_header(c, S("content-type")),
        .content_encoding = call_header(c, S("content-encoding")),
        .is_too_large = c->req->body_too_large,
    };
}

bool user_is_in(const struct api_user *user, str group)
{
    for (size_t i = 0; i < user->group_count; i++)
        if (str_eq(user->groups[i], group))
            return true;
    return false;
}

struct call *call_new(struct api *api, struct api_request *req)
{
    struct call *c = arena_new_of(req->arena, struct call);
    pthread_mutex_lock(&api->lock);
    api->call_count++;
    pthread_mutex_unlock(&api->lock);
    c->api = api;
    c->req = req;
    c->arena = req->arena;
    req->call = c;
    return c;
}

/* The call is over, and nothing touches the API on its behalf any more. */
static void call_ended(struct api *api)
{
    pthread_mutex_lock(&api->lock);
    if (--api->call_count == 0)
        pthread_cond_signal(&api->idle);
    pthread_mutex_unlock(&api->lock);
}

/* ---- threads -------------------------------------------------------------------------------------------------- */

void call_defer(struct call *c)
{
    if (c->is_deferred)
        return;
    c->is_deferred = true;
    if (c->req->on_defer)
        c->req->on_defer(c->req);
}

static void run_next(void *arg)
{
    struct call *c = arg;
    /* Its client has been told that it came to nothing, or may have: what has not been begun is not begun any more. */
    if (atomic_load(&c->is_overdue))
        call_fail(c, status_new(c->arena, STATUS_TIMEOUT, "Timeout: the request was not begun in time"));
    else
        c->next(c);
}

static void run_in(struct call *c, struct pool *pool, void (*fn)(struct call *c))
{
    call_defer(c);
    c->next = fn;
    if (pool_run(pool, run_next, c))
        return;
    struct status *busy = status_new(c->arena, STATUS_TOO_MANY_REQUESTS, "Too many requests, please try again later.");
    busy->retry_after_seconds = 1;
    call_fail(c, busy);
}

void call_on_worker(struct call *c, void (*fn)(struct call *c))
{
    run_in(c, c->api->workers, fn);
}

void call_on_waiter(struct call *c, void (*fn)(struct call *c))
{
    run_in(c, c->api->waiters, fn);
}

void call_on_home(struct call *c, void (*fn)(void *call))
{
    c->is_deferred = false;
    c->req->post_home(c->req, fn, c);
}

/* ---- answers -------------------------------------------------------------------------------------------------- */

void call_warn(struct call *c, str text)
{
    json_notes_add(c->arena, &c->warnings, text);
}

/* RFC 7234 §5.5 warn-text: a quoted string. */
static str warning_value(struct arena *a, str text)
{
    STRBUF_AUTO b = STRBUF_INIT(4 * WARNING_MAX);
    strbuf_add(&b, S("299 - \""));
    for (size_t i = 0; i < text.len && i < WARNING_MAX; i++) {
        char c = text.ptr[i];
        if ((unsigned char)c < 0x20 || c == 0x7f)
            c = ' ';
        if (c == '"' || c == '\\')
            strbuf_add_char(&b, '\\');
        strbuf_add_char(&b, c);
    }
    strbuf_add_char(&b, '"');
    return strbuf_to_arena(&b, a);
}

static size_t add_warnings(const struct call *c, struct api_header *headers, size_t n)
{
    size_t total = 0;
    for (size_t i = 0; i < c->warnings.count && n < HEADERS_MAX; i++) {
        str value = warning_value(c->arena, c->warnings.texts[i]);
        total += value.len;
        if (total > LIMIT_WARNINGS_BYTES)
            break;
        headers[n++] = (struct api_header) { S("warning"), value };
    }
    return n;
}

static size_t add_common(const struct call *c, struct api_header *headers)
{
    headers[0] = (struct api_header) { S("audit-id"), c->audit_id };
    headers[1] = (struct api_header) { S("cache-control"), S("no-cache, private") };
    return 2;
}

static size_t answer_bytes(const struct api_answer *answer)
{
    size_t n = answer->body.len;
    for (size_t i = 0; i < answer->blob_count; i++)
        n += answer->blobs[i]->len;
    return n;
}

void call_answer(struct call *c, const struct api_answer *answer)
{
    struct api_header plain[8], *headers = plain;
    if (c->warnings.count + answer->header_count + 2 > ARRAY_LEN(plain))
        headers = arena_array_of(c->arena, struct api_header, HEADERS_MAX + answer->header_count);
    size_t n = add_common(c, headers);
    for (size_t i = 0; i < answer->header_count; i++) {
        if (str_eq(answer->headers[i].name, S("cache-control")))
            headers[1] = answer->headers[i];
        else
            headers[n++] = answer->headers[i];
    }
    if (c->warnings.count > 0)
        n = add_warnings(c, headers, n);
    struct api_answer full = *answer;
    full.headers = headers;
    full.header_count = n;
    struct api *api = c->api;
    api->on_done(c, atomic_load(&c->is_overdue) ? 504 : answer->code, answer_bytes(answer));
    c->req->on_answer(c->req, &full);
    call_ended(api);
}

void call_answer_json(struct call *c, int code, str bytes)
{
    if (gzip_is_wanted(c, bytes.len)) {
        struct blob *packed = gzip_pack(&bytes, 1);
        static const struct api_header headers[] = {
            { S_INIT("content-encoding"), S_INIT("gzip") },
            { S_INIT("vary"), S_INIT("Accept-Encoding") },
        };
        call_answer(c, &(struct api_answer) { .code = code,
                                              .content_type = representation_content_type(&c->rep),
                                              .headers = headers,
                                              .header_count = ARRAY_LEN(headers),
                                              .blobs = &packed,
                                              .blob_count = 1 });
        return;
    }
    call_answer(
        c, &(struct api_answer) { .code = code, .content_type = representation_content_type(&c->rep), .body = bytes });
}

/* In the format that was asked for, with a newline at the end. */
static void add_tree(struct strbuf *out, const struct call *c, const struct json *tree)
{
    if (c->rep.format == MEDIA_YAML)
        json_write_yaml(out, tree);
    else if (c->rep.is_pretty)
        json_write_pretty(out, tree);
    else
        json_write(out, tree);
    if (out->len > 0 && out->ptr[out->len - 1] != '\n')
        strbuf_add_char(out, '\n');
}

void call_answer_tree(struct call *c, int code, const struct json *tree)
{
    STRBUF_AUTO b = STRBUF_INIT(LIMIT_LIST_BYTES);
    add_tree(&b, c, tree);
    struct error err;
    if (strbuf_check(&b, &err) < 0) {
        call_fail(c, status_new(c->arena, STATUS_INTERNAL_ERROR, "Internal error occurred: %s", err.text));
        return;
    }
    call_answer_json(c, code, strbuf_str(&b));
}

void call_fail(struct call *c, const struct status *status)
{
    const struct json *tree = status_to_json(c->arena, status);
    STRBUF_AUTO b = STRBUF_INIT(LIMIT_BODY_BYTES);
    add_tree(&b, c, tree);
    struct api_header headers[3];
    size_t n = 0;
    if (!str_is_empty(c->allow))
        headers[n++] = (struct api_header) { S("allow"), c->allow };
    if (status->retry_after_seconds > 0)
        headers[n++] =
            (struct api_header) { S("retry-after"), arena_printf(c->arena, "%d", status->retry_after_seconds) };
    if (status->reason == STATUS_FORBIDDEN)
        headers[n++] = (struct api_header) { S("x-content-type-options"), S("nosniff") };
    call_answer(c, &(struct api_answer) { .code = status->code,
                                          .content_type = representation_content_type(&c->rep),
                                          .headers = headers,
                                          .header_count = n,
                                          .body = strbuf_str(&b) });
}

void *call_stream(struct call *c, struct api_watch *watch, const struct api_stream_ops **ret_ops)
{
    struct api_header headers[2];
    struct api_answer head = { .code = 200, .content_type = S("application/json"), .headers = headers };
    head.header_count = add_common(c, headers);
    c->api->on_done(c, 200, 0);
    call_ended(c->api);
    return c->req->on_stream(c->req, &head, watch, ret_ops);
}
