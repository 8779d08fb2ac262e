/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS handshake and the start of the protocol that ALPN chose. h2o_accept does the same, but does not tell when a
 * connection begins to speak HTTP/2, and sieve.c must know.
 */
#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>

#include "internal.h"

static void on_timeout(h2o_timeout_entry_t *entry)
{
    struct conn *c = CONTAINER_OF(entry, struct conn, handshake);
    h2o_socket_close(c->socket);
}

static void on_done(h2o_socket_t *socket, const char *err)
{
    struct conn *c = http__conn_of(socket);
    h2o_timeout_unlink(&c->handshake);
    if (err) {
        h2o_socket_close(socket);
        return;
    }
    http__conn_ref(c); /* what came with the handshake may end the connection at once */
    if (!c->is_http2) {
        http__head_first(c);
        h2o_http1_accept(&c->loop->accept, socket, c->connected_at);
        if (c->socket)
            http__head_begin(c);
        http__conn_unref(c);
        return;
    }
    http__sieve_first(c);
    h2o_http2_accept(&c->loop->accept, socket, c->connected_at);
    if (c->socket)
        http__sieve_begin(c);
    http__conn_unref(c);
}

void http__handshake_begin(struct conn *c)
{
    struct http_loop *loop = c->loop;
    c->connected_at = *h2o_get_timestamp(&loop->context, NULL, NULL);
    c->handshake.cb = on_timeout;
    h2o_timeout_link(loop->evloop, &loop->context.handshake_timeout, &c->handshake);
    h2o_socket_ssl_handshake(c->socket, c->tls->ctx, NULL, on_done);
}

void http__handshake_end(struct conn *c)
{
    if (h2o_timeout_is_linked(&c->handshake))
        h2o_timeout_unlink(&c->handshake);
}
