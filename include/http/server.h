/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTPS server (HTTP/1.1 and HTTP/2 over TLS 1.2/1.3) that knows nothing of Kubernetes: the API server and the
 * agent both stand on it. The only users of h2o are the files of apiserver/http/.
 *
 * Threads: every connection, request and stream belongs to one loop thread. A handler runs on it and must not block;
 * it either answers at once (http_respond), opens a stream (http_stream_begin), or takes the request along
 * (http_defer) and answers from any thread later (http_deferred_respond). What dies first does not matter: a client
 * that went away turns later answers into nothing.
 *
 * Fixed in the library, so plan with it: 100 streams per HTTP/2 connection (Go opens another connection for more);
 * bodies are complete before a handler sees the request, but for those above LIMIT_BODY_BYTES, of which it is only
 * told; over HTTP/1.1 the library itself answers 413 above LIMIT_BODY_LIBRARY_BYTES (word_refusal); an HTTP/1.1 client
 * is noticed to be gone within 250 ms, an HTTP/2 client at once; a handshake takes at most 10 s.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/blob.h"
#include "base/error.h"
#include "base/str.h"

struct http_server;
struct http_loop;
struct http_request;

struct http_header {
    str name; /* lower case */
    str value;
};

/* Who is at the other end of the TLS connection, established once per connection. */
struct http_peer {
    str address; /* "127.0.0.1" */
    uint16_t port;
    bool has_certificate; /* one was presented, verified or not */
    uint32_t verified_by; /* bit i: it chains to CA set i (http_tls_config.client_cas), purpose clientAuth */
    int64_t not_after_s;  /* of the leaf, unix seconds: re-checked per request by who trusts it */
    str common_name;
    const str *organizations;
    size_t organization_count;
    str fingerprint; /* lower-case hex SHA-256 of the DER leaf */
};

/* Read-only for the handler; lives until the answer was given (its arena until the request is disposed of, that of a
 * stream until the handler that began it returns). */
struct http_request {
    str method;
    str target; /* raw: path and query as sent, `%2F` intact */
    str path;   /* target up to '?' */
    str query;  /* behind '?', undecoded */
    const struct http_header *headers;
    size_t header_count;
    str body;
    const struct http_peer *peer;
    struct arena *arena;
    bool is_http2;
    bool is_head;
    bool body_too_large; /* body is empty then: answer 413 */
    int64_t received_ns; /* CLOCK_MONOTONIC */
    struct http_loop *loop;
};

/* First header with that (lower-case) name, or the empty view. */
str http_request_header(const struct http_request *req, str name);

struct http_response {
    int status;
    const struct http_header *headers; /* content-length and date are ours to add */
    size_t header_count;
    /* The body: bytes, then counted buffers in order, each reference taken over. The bytes are copied unless they are
     * said to be stable: static, or in the request's arena. Large bodies are fed to TLS in slices, so that other
     * requests get their turn. */
    str body;
    bool body_is_stable;
    struct blob *const *blobs;
    size_t blob_count;
};

/* What the server refuses without asking the handler: 400, 413, 414, 417, 429, 431. */
struct http_refusal {
    int status;
    str text;               /* why, in a few words */
    str content_type, body; /* the answer */
};

typedef void (*http_handler_fn)(void *self, struct http_request *req);

/* Loop thread, exactly once per request that was not deferred or streamed. */
void http_respond(struct http_request *req, const struct http_response *res);

/* ---- answers from elsewhere -------------------------------------------------------------------------------- */

struct http_deferred;
/*
 * Takes the request along. The request stays valid (readable by one other thread) until http_deferred_respond or
 * _drop, even when the client goes away meanwhile.
 */
struct http_deferred *http_defer(struct http_request *req);
/*
 * Loop thread, right after http_defer, before another thread knows of d. When nobody has answered at deadline_ns
 * (CLOCK_MONOTONIC) or up to 250 ms later, make(self, a, &response) runs on the loop thread and what it makes, with its
 * memory in `a`, is the answer; what comes by http_deferred_respond afterwards goes nowhere, and the request stays
 * whoever took it along's until then. self lives as long as the request's arena.
 */
typedef void (*http_overdue_fn)(void *self, struct arena *a, struct http_response *ret);
void http_deferred_bound(struct http_deferred *d, int64_t deadline_ns, http_overdue_fn make, void *self);
struct http_request *http_deferred_request(struct http_deferred *d);
/* True once the client went away: long work may stop early. Any thread. */
bool http_deferred_is_cancelled(const struct http_deferred *d);
/* Any thread, once; consumes d. The response's memory is copied or taken over before it returns. */
void http_deferred_respond(struct http_deferred *d, const struct http_response *res);
/* Back on the loop thread of the request: fn(self, req) runs there as if it were a handler; consumes d. When the client
 * went away or has its answer (http_deferred_bound) fn gets NULL; when the loop ended too, on the calling thread. Any
 * thread. For answers that must become a stream. */
void http_deferred_resume(struct http_deferred *d, void (*fn)(void *self, struct http_request *req_or_null),
                          void *self);

/* ---- streams (watches, agent status) ----------------------------------------------------------------------- */

struct http_stream;
struct http_stream_ops {
    /* Everything queued was handed to the connection: a good moment to send more. May be NULL. */
    void (*on_drained)(void *self);
    /* The stream is over (client gone, stalled, server stops, or after http_stream_end): last call, always made, once.
     */
    void (*on_close)(void *self);
};

/* Loop thread. Sends the headers at once, also over HTTP/1.1, where the library needs a first byte for that: a newline,
 * harmless to readers of JSON. The bytes of head->body (no blobs) follow as the first that are queued. The stream may
 * be used until on_close returns. Callbacks come from the loop, never from inside one of these functions. */
struct http_stream *http_stream_begin(struct http_request *req, const struct http_response *head,
                                      const struct http_stream_ops *ops, void *self);
/* Loop thread. Queues a counted buffer (takes its own reference); what is queued in one turn of the loop goes out
 * together. Returns the bytes queued but not yet sent: the caller bounds them. After the end it does nothing. */
size_t http_stream_send(struct http_stream *s, struct blob *data);
/* Loop thread. Ends cleanly at a frame boundary; on_close follows. is_error resets instead. */
void http_stream_end(struct http_stream *s, bool is_error);
size_t http_stream_backlog(const struct http_stream *s);

/* ---- loops ------------------------------------------------------------------------------------------------- */

/* Any thread: fn(arg) runs on the loop thread soon, in order of posting. False when the loop has ended (fn will not
 * run). */
bool http_loop_post(struct http_loop *loop, void (*fn)(void *arg), void *arg);
/* Loop thread only: fn(arg) after `ms`; cancel by http_timer_cancel before it ran. */
struct http_timer;
struct http_timer *http_timer_start(struct http_loop *loop, int64_t ms, void (*fn)(void *arg), void *arg);
void http_timer_cancel(struct http_timer *t);

size_t http_server_loop_count(const struct http_server *s);
struct http_loop *http_server_loop(struct http_server *s, size_t i);
size_t http_loop_index(const struct http_loop *loop);

/* ---- TLS --------------------------------------------------------------------------------------------------- */

struct http_tls_config {
    str certificate_pem; /* chain, leaf first */
    str private_key_pem;
    str client_cas_pem[4]; /* sets of CAs; empty = none. Index = bit in http_peer.verified_by */
    size_t client_ca_count;
    bool min_tls13;
    /* Refuse the handshake of a client without a certificate of any set (the agent's port). Else every client may
     * connect and the handler decides. */
    bool require_client_certificate;
};

/* ---- the server -------------------------------------------------------------------------------------------- */

struct http_server_options {
    str bind_address; /* numeric */
    uint16_t port;    /* 0: any; http_server_port tells */
    size_t loops;     /* 0: 1 */
    size_t max_connections;
    size_t max_intake_bytes;            /* 0: LIMIT_INTAKE_BYTES: bodies still arriving; above, the largest is cut */
    size_t max_requests_per_connection; /* deferred at once on one connection, above: 429; 0: 200 */
    int64_t idle_timeout_ms;            /* 0: 120 s */
    int64_t write_stall_timeout_ms;     /* 0: 30 s without progress ends the connection */
    int listen_fd;                      /* > 0: use this listening socket instead */
    struct http_tls_config tls;
    http_handler_fn handler;
    /* Loop thread: sets content type and body of a refusal, in `a` or static; NULL: the text itself, plain. */
    void (*word_refusal)(void *self, struct arena *a, struct http_refusal *refusal);
    void *self;
};

/* The thread that calls it must outlive the server: libh2o keeps its sockets' buffers in that thread's own memory. */
int http_server_start(const struct http_server_options *options, struct http_server **ret, struct error *err) MUST_USE;
uint16_t http_server_port(const struct http_server *s);
/* New connections use the new material, open ones (and their watches) stay. Any thread. */
int http_server_set_tls(struct http_server *s, const struct http_tls_config *tls, struct error *err) MUST_USE;

/* Stops accepting and sends GOAWAY; requests in flight and streams go on. Any thread, idempotent. */
void http_server_drain(struct http_server *s);
/* Deferred requests (while draining also what is still arriving), and streams that are open. */
size_t http_server_active_requests(struct http_server *s);
size_t http_server_active_streams(struct http_server *s);
size_t http_server_connections(struct http_server *s);
/* Ends what is left (after http_server_drain), joins the loops, frees. Deferred requests may still be answered after
 * it, into nothing. Not from a loop thread. NULL is allowed. */
void http_server_free(struct http_server *s);

#endif
