/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_peer PKI BYTES: what the libraries alone cost. A handler of h2o that answers each GET with the same BYTES of
 * JSON, one loop, TLS as the server has it; no routing, no authorization, no store. Prints its port.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <h2o.h>
#include <h2o/http2.h>

#include "base/arena.h"
#include "harness/race.h"

static h2o_globalconf_t config;
static h2o_context_t context;
static h2o_accept_ctx_t accept_context;
static h2o_iovec_t body;

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    static h2o_generator_t generator = { NULL, NULL };
    (void)self;
    req->res.status = 200;
    req->res.reason = "OK";
    req->res.content_length = body.len;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, H2O_STRLIT("application/json"));
    h2o_start_response(req, &generator);
    h2o_send(req, &body, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    h2o_socket_t *socket = err ? NULL : h2o_evloop_socket_accept(listener);
    if (socket)
        h2o_accept(&accept_context, socket);
}

static SSL_CTX *make_tls(const char *pki)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    CHECK(ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    CHECK(SSL_CTX_use_certificate_chain_file(ctx, arena_printf(a, "%s/server.crt", pki).ptr) == 1);
    CHECK(SSL_CTX_use_PrivateKey_file(ctx, arena_printf(a, "%s/server.key", pki).ptr, SSL_FILETYPE_PEM) == 1);
    h2o_ssl_register_alpn_protocols(ctx, h2o_http2_alpn_protocols);
    return ctx;
}

static int listen_on(struct sockaddr_in *address)
{
    socklen_t len = sizeof(*address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_in) { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)address, len) == 0 && listen(fd, 128) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)address, &len) == 0);
    return fd;
}

int main(int argc, char **argv)
{
    uint64_t bytes = 0;
    CHECK(argc == 3 && str_to_u64(str_from(argv[2]), &bytes) && bytes > 0 && bytes < 1 << 24);
    CLEANUP(arena_freep) struct arena *a = arena_new();
    body = h2o_iovec_init(memset(arena_alloc(a, bytes), 'x', bytes), bytes);

    h2o_config_init(&config);
    h2o_hostconf_t *host = h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof(h2o_handler_t))->on_req = on_request;
    h2o_context_init(&context, h2o_evloop_create(), &config);
    accept_context = (h2o_accept_ctx_t) { .ctx = &context, .hosts = config.hosts, .ssl_ctx = make_tls(argv[1]) };

    struct sockaddr_in address;
    int fd = listen_on(&address);
    h2o_socket_t *listener = h2o_evloop_socket_create(context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(listener, on_accept);
    (void)printf("%d\n", (int)ntohs(address.sin_port));
    (void)fflush(stdout);
    while (h2o_evloop_run(context.loop, INT32_MAX) == 0 || errno == EINTR)
        ;
    return 1;
}
