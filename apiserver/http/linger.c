/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are closed behind a refusal while their client still sends: what stands unread in a socket when it
 * is closed becomes a reset, which takes the refusal away from a client that has not read it yet. So what still comes
 * is thrown away (RFC 9112 §9.6) as long as something comes, within limits. h2o closes its descriptor itself; this is
 * another one of the same socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "internal.h"

/* In each round something must come. */
#define LINGER_ROUND_MS 10000
#define LINGER_ROUNDS 6
#define LINGER_BYTES (16u << 20)
/* Above so many a connection is closed as it is: each costs a descriptor. */
#define LINGERING_MAX 100
#define READ_BYTES (64u << 10)

struct leaving {
    struct list node; /* in loop->lingering */
    struct http_loop *loop;
    h2o_socket_t *socket;
    struct http_timer *timer;
    unsigned rounds;
    size_t left, left_at_round; /* bytes */
};

void http__linger_prepare(struct conn *c)
{
    if (c->linger_fd >= 0 || c->loop->lingering_count == LINGERING_MAX)
        return;
    c->linger_fd = fcntl(h2o_socket_get_fd(c->socket), F_DUPFD_CLOEXEC, 0); /* without one it is closed as it is */
    c->loop->lingering_count += c->linger_fd >= 0;
}

static void end(struct leaving *l)
{
    list_remove(&l->node);
    l->loop->lingering_count--;
    if (l->timer)
        http_timer_cancel(l->timer);
    h2o_socket_read_stop(l->socket);
    h2o_socket_close(l->socket);
    mem_free(l);
}

static void on_readable(h2o_socket_t *socket, const char *err)
{
    struct leaving *l = socket->data;
    /* MSG_TRUNC: nothing is copied (tcp(7)). */
    ssize_t n = err ? 0 : recv(h2o_socket_get_fd(socket), NULL, READ_BYTES, MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || (size_t)n >= l->left)
        end(l);
    else
        l->left -= (size_t)n;
}

static void on_round(void *arg)
{
    struct leaving *l = arg;
    l->timer = NULL;
    if (l->left == l->left_at_round || ++l->rounds == LINGER_ROUNDS) {
        end(l);
        return;
    }
    l->left_at_round = l->left;
    l->timer = http_timer_start(l->loop, LINGER_ROUND_MS, on_round, l);
}

void http__linger_begin(struct conn *c)
{
    struct http_loop *loop = c->loop;
    int fd = c->linger_fd;
    c->linger_fd = -1;
    if (fd < 0)
        return;
    if (c->is_doomed || loop->end_deadline_ns || shutdown(fd, SHUT_WR) != 0) {
        loop->lingering_count--;
        close(fd);
        return;
    }
    struct leaving *l = mem_new_of(struct leaving);
    l->loop = loop;
    l->left = l->left_at_round = LINGER_BYTES;
    l->socket = h2o_evloop_socket_create(loop->evloop, fd, H2O_SOCKET_FLAG_DONT_READ);
    l->socket->data = l;
    l->timer = http_timer_start(loop, LINGER_ROUND_MS, on_round, l);
    list_add_tail(&loop->lingering, &l->node);
    h2o_socket_read_start(l->socket, on_readable);
}

void http__linger_end_all(struct http_loop *loop)
{
    LIST_FOREACH (&loop->lingering, it)
        end(LIST_ENTRY(it, struct leaving, node));
}
