/* SPDX-License-Identifier: Apache-2.0 */
/* What this layer refuses itself, and how it says so: in the words of whoever serves, or as plain text. */
#include "internal.h"

static const struct http_header plain = { S_INIT("content-type"), S_INIT("text/plain; charset=utf-8") };

static void word(const struct http_server *server, struct arena *a, struct http_refusal *refusal)
{
    refusal->content_type = plain.value;
    refusal->body = refusal->text;
    if (server->options.word_refusal)
        server->options.word_refusal(server->options.self, a, refusal);
}

void http__response_refuse(struct request *r, int status, str text)
{
    struct http_refusal refusal = { .status = status, .text = text };
    word(r->pub.loop->server, r->pub.arena, &refusal);
    const struct http_header headers[] = { { plain.name, refusal.content_type },
                                           { S_INIT("retry-after"), S_INIT("1") } };
    http__response_send(r, &(struct http_response) { .status = status,
                                                     .headers = headers,
                                                     .header_count = status == 429 ? 2 : 1,
                                                     .body = refusal.body,
                                                     .body_is_stable = true });
}

void http__refuse_and_close(struct request *r, int status, str text)
{
    http__linger_prepare(r->conn);
    r->h2o->http1_is_persistent = 0;
    http__response_refuse(r, status, text);
}

/* ---- what the library refuses --------------------------------------------------------------------------------- */

struct refuser {
    h2o_filter_t super;
    struct http_server *server;
};

struct refusal_stream {
    h2o_ostream_t super;
    h2o_iovec_t body;
};

static void send_words(h2o_ostream_t *super, h2o_req_t *req, h2o_iovec_t *theirs, size_t count, h2o_send_state_t state)
{
    struct refusal_stream *s = (struct refusal_stream *)super;
    (void)theirs;
    (void)count;
    h2o_ostream_send_next(super, req, &s->body, 1, state); /* it sends all at once */
}

/* Over HTTP/1.1 a body above LIMIT_BODY_LIBRARY_BYTES, a length or a coding that can't be read and an unknown
 * expectation are answered before the handler is called. */
static bool is_of_library(const h2o_req_t *req, const struct conn *c)
{
    return req->version < 0x200 && c->open_requests == 0;
}

static str text_of(int status)
{
    switch (status) {
    case 413: return S("request entity is too large");
    case 417: return S("unknown expectation");
    default: return S("malformed request body");
    }
}

static void on_setup(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
    struct conn *c = http__conn_of(req->conn->callbacks->get_socket(req->conn));
    if (is_of_library(req, c)) {
        http__linger_prepare(c);
        CLEANUP(arena_freep) struct arena *a = arena_new();
        struct http_refusal refusal = { .status = req->res.status, .text = text_of(req->res.status) };
        word(((struct refuser *)self)->server, a, &refusal);
        h2o_iovec_t type = h2o_strdup(&req->pool, refusal.content_type.ptr, refusal.content_type.len);
        (void)h2o_set_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, type.base, type.len, 1);
        req->res.content_length = refusal.body.len;
        struct refusal_stream *s = (struct refusal_stream *)h2o_add_ostream(req, sizeof(*s), slot);
        s->super.do_send = send_words;
        s->body = h2o_strdup(&req->pool, refusal.body.ptr, refusal.body.len);
        slot = &s->super.next;
    }
    h2o_setup_next_ostream(req, slot);
}

void http__refuse_for_library(struct http_server *s, h2o_pathconf_t *path)
{
    struct refuser *filter = (struct refuser *)h2o_create_filter(path, sizeof(*filter));
    filter->super.on_setup_ostream = on_setup;
    filter->server = s;
}
