/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP as a client: one thread with one curl_multi (the only user of libcurl). Requests block their caller (a worker)
 * under a deadline; streams deliver lines to callbacks on the client's thread, which must only pass on.
 */
#ifndef KUBE_HTTP_CLIENT_H
#define KUBE_HTTP_CLIENT_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

struct http_client;

/* Identity and trust of a connection. PEM texts; copied. */
struct http_client_tls {
    str ca_pem;
    str certificate_pem, private_key_pem; /* empty: no client certificate */
    str server_name;                      /* verified name when it differs from the host in the URL; empty: that host */
};

struct http_client_request {
    const char *method;
    str url;
    str content_type; /* of body */
    str body;
    const struct http_client_tls *tls;
    int64_t connect_timeout_ms; /* 0: 2 s */
    int64_t deadline_ns;
    size_t max_response_bytes; /* 0: 4 MiB */
};

struct http_client_response {
    int code;
    str content_type;
    str body;
};

int http_client_new(struct http_client **ret, struct error *err) MUST_USE;
/* Streams end and calls fail with ERRC_CANCELLED, those that run and those that come: for who wants to stop soon. Any
 * thread. */
void http_client_cancel(struct http_client *c);
/* Ends streams (on_end runs) and running requests (ERRC_CANCELLED). NULL is allowed. */
void http_client_free(struct http_client *c);

/* 0 when any answer came, whatever its code. ERRC_UNAVAILABLE: not connected (refused, reset); ERRC_TIMEOUT;
 * ERRC_DENIED: TLS. */
int http_client_call(struct http_client *c, struct arena *a, const struct http_client_request *request,
                     struct http_client_response *ret, struct error *err) MUST_USE;

struct http_client_stream;
struct http_client_stream_ops {
    void (*on_line)(void *self, str line); /* without '\n'; at most max_response_bytes long */
    /* Last call, made once: code is the HTTP code (0: none came). */
    void (*on_end)(void *self, int code, const struct error *err);
};
/* idle_timeout_ms without a byte ends the stream with ERRC_TIMEOUT. request->deadline_ns is not used. */
int http_client_stream_open(struct http_client *c, const struct http_client_request *request, int64_t idle_timeout_ms,
                            const struct http_client_stream_ops *ops, void *self, struct http_client_stream **ret,
                            struct error *err) MUST_USE;
/* Returns when no callback runs any more; frees. Not from a callback. Call it also after on_end. */
void http_client_stream_close(struct http_client_stream *s);

#endif
