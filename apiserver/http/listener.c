/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets: one per loop, paused while the server is full. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "internal.h"

#define BACKLOG 1024
#define ACCEPTS_PER_TURN 16
/* A full table of descriptors makes accept fail at once, and the loop spin: it waits instead. */
#define PAUSE_MS 50

static int parse_address(str text, uint16_t port, struct sockaddr_storage *ret, socklen_t *ret_len, struct error *err)
{
    char z[INET6_ADDRSTRLEN] = "";
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    memset(ret, 0, sizeof(*ret));
    if (text.len > 0 && text.len < sizeof(z))
        memcpy(z, text.ptr, text.len);
    if (inet_pton(AF_INET, z, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *ret_len = sizeof(*v4);
    } else if (inet_pton(AF_INET6, z, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        *ret_len = sizeof(*v6);
    } else {
        return error_set(err, ERRC_INVALID, "bind address \"%.*s\": not an IP address", STR_ARG(text));
    }
    return 0;
}

int http__listen(const struct http_server_options *options, uint16_t port, int *ret_fd, struct error *err)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    int on = 1;
    FD_AUTO fd = -1;
    if (options->listen_fd > 0) {
        fd = fcntl(options->listen_fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return error_set_sys(err, errno, "listening socket");
        *ret_fd = fd;
        fd = -1;
        return 0;
    }
    int r = parse_address(options->bind_address, port, &address, &len, err);
    if (r < 0)
        return r;
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set_sys(err, errno, "listening socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (options->loops > 1 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
        bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, BACKLOG) != 0)
        return error_set_sys(err, errno, "listening on %.*s port %u", STR_ARG(options->bind_address), port);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

uint16_t http__listen_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return 0;
    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                                         : ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static void on_accept(h2o_socket_t *listener, const char *err);

static bool is_full(const struct http_loop *loop)
{
    return atomic_load_explicit(&loop->server->connections, memory_order_relaxed) >=
           loop->server->options.max_connections;
}

/* Somebody has connected and was not accepted yet. */
static bool is_awaited(const struct http_loop *loop)
{
    struct pollfd listener = { .fd = h2o_socket_get_fd(loop->listener), .events = POLLIN };
    return poll(&listener, 1, 0) > 0;
}

static void on_pause_over(void *arg)
{
    struct http_loop *loop = arg;
    loop->listener_pause = NULL;
    if (is_full(loop) && is_awaited(loop))
        http__conn_shed(loop);
    if (is_full(loop))
        loop->listener_pause = http_timer_start(loop, PAUSE_MS, on_pause_over, loop);
    else
        h2o_socket_read_start(loop->listener, on_accept);
}

static void pause_listener(struct http_loop *loop)
{
    h2o_socket_read_stop(loop->listener);
    loop->listener_pause = http_timer_start(loop, PAUSE_MS, on_pause_over, loop);
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    struct http_loop *loop = listener->data;
    (void)err;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (is_full(loop)) {
            pause_listener(loop);
            return;
        }
        h2o_socket_t *socket = h2o_evloop_socket_accept(listener);
        if (!socket) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_listener(loop);
            return;
        }
        http__conn_open(loop, socket);
    }
}

void http__listener_start(struct http_loop *loop, int fd)
{
    loop->listener = h2o_evloop_socket_create(loop->evloop, fd, H2O_SOCKET_FLAG_DONT_READ);
    loop->listener->data = loop;
    h2o_socket_read_start(loop->listener, on_accept);
}

void http__listener_close(struct http_loop *loop)
{
    if (!loop->listener)
        return;
    if (loop->listener_pause)
        http_timer_cancel(loop->listener_pause);
    loop->listener_pause = NULL;
    h2o_socket_read_stop(loop->listener);
    h2o_socket_close(loop->listener);
    loop->listener = NULL;
}
