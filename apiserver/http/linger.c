/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are closed behind a refusal while their client still sends: what stands unread in a socket when it
 * is closed becomes a reset, which takes the refusal away from a client that has not read it yet. So what still comes
 * is thrown away for a moment (RFC 9112 §9.6). h2o closes its descriptor itself; this is another one of the same
 * socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "internal.h"

#define LINGER_MS 2000
#define LINGER_BYTES (16u << 20)
/* Above so many a connection is closed as it is: each costs a descriptor. */
#define LINGERING_MAX 100
#define READ_BYTES (64u << 10)

struct leaving {
    struct list node; /* in loop->lingering */
    struct http_loop *loop;
    h2o_socket_t *socket;
    struct http_timer *timer;
    size_t left;
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
    static _Thread_local char scratch[READ_BYTES];
    struct leaving *l = socket->data;
    ssize_t n = err ? 0 : read(h2o_socket_get_fd(socket), scratch, sizeof(scratch));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || (size_t)n >= l->left)
        end(l);
    else
        l->left -= (size_t)n;
}

static void on_timeout(void *arg)
{
    struct leaving *l = arg;
    l->timer = NULL;
    end(l);
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
    l->left = LINGER_BYTES;
    l->socket = h2o_evloop_socket_create(loop->evloop, fd, H2O_SOCKET_FLAG_DONT_READ);
    l->socket->data = l;
    l->timer = http_timer_start(loop, LINGER_MS, on_timeout, l);
    list_add_tail(&loop->lingering, &l->node);
    h2o_socket_read_start(l->socket, on_readable);
}

void http__linger_end_all(struct http_loop *loop)
{
    LIST_FOREACH (&loop->lingering, it)
        end(LIST_ENTRY(it, struct leaving, node));
}
