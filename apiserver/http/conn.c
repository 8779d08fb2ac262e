/* SPDX-License-Identifier: Apache-2.0 */
/* One TCP connection: who it is, how much it may ask for, how it is cut. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "internal.h"

/* h2o sends no PING: the kernel finds out about dead peers. */
#define KEEPALIVE_IDLE_S 30
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES 3
/* Resets before an answer: a burst of so many is normal (a client that cancels all it has), more is an attack of the
 * kind of CVE-2023-44487, against which this h2o has nothing. */
#define RESETS_BURST 1000
#define RESETS_PER_S 100

/* When the server is full, connections that were idle for so long make room, so many at a time: otherwise whoever opens
 * enough of them would keep everybody else out until they time out. So do those that have been sending their request,
 * or have not been reading their answer, for longer: slow on purpose, they would hold their places as well. */
#define SHED_IDLE_NS (2 * NS_PER_S)
#define SHED_SLOW_NS (5 * NS_PER_S)
#define SHED_COUNT 64

static void set_option(int fd, int level, int name, int value)
{
    /* Only tuning: a socket that is already closed refuses it, and is noticed at the first read. */
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_options(const struct http_loop *loop, int fd)
{
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)loop->server->options.write_stall_timeout_ms);
}

static void read_address(struct conn *c)
{
    struct sockaddr_storage address;
    if (h2o_socket_getpeername(c->socket, (struct sockaddr *)&address) == 0)
        return;
    if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
        bool is_v4 = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        inet_ntop(is_v4 ? AF_INET : AF_INET6, v6->sin6_addr.s6_addr + (is_v4 ? 12 : 0), c->address, sizeof(c->address));
        c->peer.port = ntohs(v6->sin6_port);
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
        inet_ntop(AF_INET, &v4->sin_addr, c->address, sizeof(c->address));
        c->peer.port = ntohs(v4->sin_port);
    }
    c->peer.address = str_from(c->address);
}

static void on_close(void *arg)
{
    struct conn *c = arg;
    struct http_loop *loop = c->loop;
    c->socket = NULL;
    c->in = NULL;
    http__handshake_end(c);
    list_remove(&c->node);
    list_remove(&c->unhooked);
    http__linger_begin(c);
    atomic_fetch_sub_explicit(&loop->connections, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&loop->server->connections, 1, memory_order_relaxed);
    http__tls_unref(c->tls);
    c->tls = NULL;
    http__conn_unref(c);
}

void http__conn_open(struct http_loop *loop, h2o_socket_t *socket)
{
    struct conn *c = mem_new_of(struct conn);
    c->loop = loop;
    c->socket = socket;
    c->tls = http__tls_ref(loop->tls);
    atomic_init(&c->refs, 1);
    c->idle_since_ns = clock_monotonic_ns();
    list_add_tail(&loop->conns, &c->node);
    list_init(&c->unhooked);
    c->linger_fd = -1;
    atomic_fetch_add_explicit(&loop->connections, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&loop->server->connections, 1, memory_order_relaxed);
    set_options(loop, h2o_socket_get_fd(socket));
    read_address(c);
    socket->on_close.cb = on_close;
    socket->on_close.data = c;
    http__sweep_start(loop);
    http__handshake_begin(c);
}

struct conn *http__conn_ref(struct conn *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void http__conn_unref(struct conn *c)
{
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_free(c->arena);
    mem_free(c);
}

void http__conn_doom(struct conn *c)
{
    if (c->is_doomed || !c->socket)
        return;
    c->is_doomed = true;
    /* Not h2o_socket_close: requests of it may be on the stack. What is polled wakes up with an error. */
    (void)shutdown(h2o_socket_get_fd(c->socket), SHUT_RDWR);
}

/* Nothing of it is being worked on, and it was idle or busy with half a request for too long. */
static bool is_to_spare(const struct conn *c, int64_t now)
{
    if (c->is_doomed || c->open_requests > 0 || c->deferred > 0)
        return false;
    if (c->outstanding_bytes > 0)
        return c->arriving_since_ns <= now - SHED_SLOW_NS;
    return c->idle_since_ns <= now - SHED_IDLE_NS;
}

void http__conn_shed(struct http_loop *loop)
{
    int64_t now = clock_monotonic_ns();
    size_t left = SHED_COUNT;
    LIST_FOREACH (&loop->conns, it) {
        struct conn *c = LIST_ENTRY(it, struct conn, node);
        if (!is_to_spare(c, now))
            continue;
        http__conn_doom(c);
        if (--left == 0)
            return;
    }
    LIST_FOREACH (&loop->inflight, it) { /* the longest waiting first */
        struct request *r = LIST_ENTRY(it, struct request, inflight);
        if (r->progress_ns > now - SHED_SLOW_NS || left-- == 0)
            return;
        http__conn_doom(r->conn);
    }
}

bool http__conn_is_gone(const struct conn *c)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    if (!c->socket || getsockopt(h2o_socket_get_fd(c->socket), IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return true;
    return info.tcpi_state != TCP_ESTABLISHED;
}

void http__conn_count_reset(struct conn *c)
{
    int64_t now = clock_monotonic_ns();
    if (c->abuse_ns < now)
        c->abuse_ns = now;
    c->abuse_ns += NS_PER_S / RESETS_PER_S;
    if (c->abuse_ns - now > RESETS_BURST * (NS_PER_S / RESETS_PER_S))
        http__conn_doom(c);
}
