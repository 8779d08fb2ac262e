/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load side of the bench: HTTP/2 over TLS 1.3 with a client certificate, many streams on few connections, one
 * thread. Written on nghttp2 and not on the server's own library, so that both do not share a mistake. Whatever fails
 * ends the program: a figure with failed requests in it is none.
 */
#ifndef BENCH_H2_H
#define BENCH_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct h2;
struct h2_conn;

struct h2_stream {
    /* By the caller; must stay until on_end. NULL: not sent. */
    const char *method, *path, *content_type, *accept, *accept_encoding;
    const char *body;
    size_t body_len;
    int wanted_status;                    /* any other ends the program */
    void (*on_head)(struct h2_stream *s); /* the answer begins */
    void (*on_data)(struct h2_stream *s, const uint8_t *bytes, size_t len);
    void (*on_end)(struct h2_stream *s);
    void *self;
    /* By the client. */
    struct h2_conn *conn;
    int64_t sent_ns;
    size_t body_sent, received;
    int status;
};

struct h2_options {
    const char *address; /* numeric IPv4 */
    uint16_t port;
    const char *ca, *certificate, *key; /* PEM files; certificate NULL: none */
};

struct h2 *h2_new(const struct h2_options *options);
void h2_free(struct h2 *h);
/* Connects and waits for the handshake. Closed by h2_free. */
struct h2_conn *h2_connect(struct h2 *h);
/* Begins a request; also from on_end of another one of the same connection. */
void h2_send(struct h2_conn *c, struct h2_stream *s);
/* Serves all connections until *is_done, or ends the program after `seconds`. */
void h2_run(struct h2 *h, const bool *is_done, int seconds);

#endif
