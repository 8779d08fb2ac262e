/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop: its thread, its mailbox, how it drains and how it ends. Whatever runs here is one turn of the loop; callbacks
 * of timers run between two turns, so the next turn must not wait (h2o runs finished writes only inside a turn).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "internal.h"

/* What h2o still has to close when a loop ends needs a few turns; a socket that takes longer is left behind. */
#define END_TIMEOUT_MS 5000
/* Looks into the mailbox in one turn, so that sockets get theirs. */
#define MAIL_ROUNDS 8

/* ---- mailbox ----------------------------------------------------------------------------------------------- */

bool http__post(struct http_loop *loop, struct message *message)
{
    struct mailbox *box = &loop->mailbox;
    message->next = NULL;
    pthread_mutex_lock(&box->mutex);
    bool is_open = !box->is_closed, was_empty = box->first == NULL;
    if (is_open) {
        *box->last = message;
        box->last = &message->next;
        /* Inside the lock: once the box is closed, the descriptor is gone. An eventfd only refuses at 2^64. */
        if (was_empty && eventfd_write(box->event_fd, 1) != 0)
            abort();
    }
    pthread_mutex_unlock(&box->mutex);
    return is_open;
}

bool http_loop_post(struct http_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct message *message = mem_new_of(struct message);
    *message = (struct message) { .fn = fn, .arg = arg, .is_owned = true };
    bool is_posted = http__post(loop, message);
    if (!is_posted)
        mem_free(message);
    return is_posted;
}

static struct message *take_messages(struct mailbox *box, bool is_last_time)
{
    pthread_mutex_lock(&box->mutex);
    struct message *first = box->first;
    box->first = NULL;
    box->last = &box->first;
    if (is_last_time) {
        box->is_closed = true;
        close(box->event_fd);
    }
    pthread_mutex_unlock(&box->mutex);
    return first;
}

static void run_messages(struct message *first)
{
    for (struct message *m = first, *next; m; m = next) {
        /* A message lives inside what it is about, and fn may free that. */
        next = m->next;
        bool is_owned = m->is_owned;
        m->fn(m->arg);
        if (is_owned)
            mem_free(m);
    }
}

static void on_mail(h2o_socket_t *socket, const char *err)
{
    struct http_loop *loop = socket->data;
    eventfd_t count;
    (void)err;
    /* Non-blocking; a spurious wake-up reads nothing, which is fine. */
    (void)eventfd_read(loop->mailbox.event_fd, &count);
    /* The store's writer answers a batch one by one: what it posts meanwhile goes out in the same turn, in one piece
     * for each connection. */
    struct message *first = take_messages(&loop->mailbox, false);
    for (int round = 0; first && round < MAIL_ROUNDS; round++) {
        run_messages(first);
        first = take_messages(&loop->mailbox, false);
    }
    run_messages(first);
}

/* ---- life -------------------------------------------------------------------------------------------------- */

static void on_flush(h2o_timeout_entry_t *entry)
{
    http__stream_flush_all(CONTAINER_OF(entry, struct http_loop, flush));
}

struct http_loop *http__loop_new(struct http_server *server, size_t index)
{
    struct http_loop *loop = mem_new_of(struct http_loop);
    loop->server = server;
    loop->index = index;
    atomic_init(&loop->refs, 1);
    pthread_mutex_init(&loop->mailbox.mutex, NULL);
    loop->mailbox.last = &loop->mailbox.first;
    list_init(&loop->conns);
    list_init(&loop->unread);
    list_init(&loop->inflight);
    list_init(&loop->bounded);
    list_init(&loop->unhooked);
    list_init(&loop->lingering);
    list_init(&loop->dirty);
    loop->flush.cb = on_flush;
    loop->evloop = h2o_evloop_create();
    loop->clock_offset_ms = http__clock_offset_ms(loop);
    h2o_context_init(&loop->context, loop->evloop, &server->config);
    loop->accept = (h2o_accept_ctx_t) { .ctx = &loop->context, .hosts = server->config.hosts };
    loop->mailbox.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->mailbox.event_fd < 0)
        abort(); /* as h2o does for its own pipe: there is no server without them */
    /* h2o closes the descriptor of a socket, and ours lives as long as the mailbox: a copy for h2o. */
    int copy = fcntl(loop->mailbox.event_fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        abort();
    loop->mailbox.socket = h2o_evloop_socket_create(loop->evloop, copy, H2O_SOCKET_FLAG_DONT_READ);
    loop->mailbox.socket->data = loop;
    h2o_socket_read_start(loop->mailbox.socket, on_mail);
    return loop;
}

void http__loop_unref(struct http_loop *loop)
{
    if (atomic_fetch_sub_explicit(&loop->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&loop->mailbox.mutex);
    mem_free(loop);
}

static void free_spares(struct http_loop *loop)
{
    for (struct request *r = loop->spare, *next; r; r = next) {
        next = r->next_spare;
        arena_free(r->pub.arena);
        mem_free(r);
    }
    loop->spare = NULL;
    loop->spare_count = 0;
}

/* All connections are closed: nothing of h2o is in use any more. */
static void dispose(struct http_loop *loop)
{
    http__listener_close(loop);
    http__linger_end_all(loop);
    run_messages(take_messages(&loop->mailbox, true));
    http__timers_free(loop);
    free_spares(loop);
    mem_free(loop->gathered);
    h2o_timeout_unlink(&loop->flush);
    h2o_socket_read_stop(loop->mailbox.socket);
    h2o_socket_close(loop->mailbox.socket);
    if (list_is_empty(&loop->conns)) {
        /* The library forgets the memory of the queue. */
        h2o_multithread_queue_t *queue = loop->context.queue;
        h2o_context_dispose(&loop->context);
        mem_free(queue);
        h2o_evloop_destroy(loop->evloop);
    }
    http__tls_unref(loop->tls);
}

/* Cuts what is left; called until nothing is. */
static void end_connections(struct http_loop *loop)
{
    LIST_FOREACH (&loop->conns, it)
        http__conn_doom(LIST_ENTRY(it, struct conn, node));
    /* h2o reads no HTTP/1.1 connection while it has a request, so it does not notice. */
    for (struct list *it = loop->unread.next, *next; it != &loop->unread; it = next) {
        next = it->next;
        http__request_abandon(LIST_ENTRY(it, struct request, unread));
    }
}

static void turn(struct http_loop *loop, int32_t wait_ms)
{
    if (http__heads_hook(loop)) /* a timer may have ended an answer */
        wait_ms = 0;
    do {
        if (h2o_evloop_run(loop->evloop, wait_ms) != 0 && errno != EINTR)
            abort();
        wait_ms = 0;
    } while (http__heads_hook(loop));
}

void *http__loop_main(void *arg)
{
    struct http_loop *loop = arg;
    while (!loop->is_ended) {
        turn(loop, http__timers_wait_ms(loop));
        if (http__timers_run(loop))
            turn(loop, 0);
        if (loop->end_deadline_ns)
            loop->is_ended = list_is_empty(&loop->conns) || deadline_has_passed(loop->end_deadline_ns);
    }
    dispose(loop);
    return NULL;
}

/* ---- drain and end ----------------------------------------------------------------------------------------- */

/* Nothing was asked, nothing is being asked. A request of HTTP/1.1 stays in the input until it is answered. */
static bool is_idle(const struct conn *c)
{
    return !c->is_http2 && c->open_requests == 0 && c->socket->input->size == 0;
}

static void begin_drain(struct http_loop *loop)
{
    loop->is_draining = true;
    http__listener_close(loop);
    h2o_context_request_shutdown(&loop->context);
    /* A second later h2o would send a second GOAWAY, after which it drops bodies that are still arriving and spins for
     * ever on a CONTINUATION frame: that one stays unsent. */
    h2o_timeout_unlink(&loop->context.http2._graceful_shutdown_timeout);
    LIST_FOREACH (&loop->conns, it) {
        struct conn *c = LIST_ENTRY(it, struct conn, node);
        if (!c->is_handshaken || is_idle(c))
            http__conn_doom(c);
    }
}

void http__loop_drain(void *arg)
{
    struct http_loop *loop = arg;
    if (!loop->is_draining)
        begin_drain(loop);
    /* From now on it runs more often: somebody waits for what it counts. */
    if (loop->sweep)
        http_timer_cancel(TAKE(loop->sweep));
    http__sweep(loop);
}

static void on_end_again(void *arg)
{
    struct http_loop *loop = arg;
    end_connections(loop);
    (void)http_timer_start(loop, 20, on_end_again, loop); /* freed with the loop */
}

void http__loop_end(void *arg)
{
    struct http_loop *loop = arg;
    http__loop_drain(loop);
    loop->end_deadline_ns = deadline_in_ms(END_TIMEOUT_MS);
    on_end_again(loop);
}

size_t http_loop_index(const struct http_loop *loop)
{
    return loop->index;
}
