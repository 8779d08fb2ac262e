/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks after what h2o does not, four times a second while there are connections: clients that hung up over HTTP/1.1
 * while nobody reads, clients that stopped reading, requests that nobody answers in time, bodies that pile up before
 * any handler sees them, and a wall clock that was set back.
 */
#include "base/clock.h"
#include "internal.h"

#define SWEEP_MS 250
#define DRAIN_SWEEP_MS 20
#define CLOCK_STEP_MS 200

/* Oldest first: the first that is in time ends the walk. */
static void end_stalled(struct http_loop *loop)
{
    int64_t stalled_ns = clock_monotonic_ns() - loop->server->options.write_stall_timeout_ms * NS_PER_MS;
    LIST_FOREACH (&loop->inflight, it) {
        struct request *r = LIST_ENTRY(it, struct request, inflight);
        if (r->progress_ns > stalled_ns)
            break;
        http__conn_doom(r->conn);
    }
}

static void end_gone(struct http_loop *loop)
{
    LIST_FOREACH (&loop->unread, it) {
        struct request *r = LIST_ENTRY(it, struct request, unread);
        if (http__conn_is_gone(r->conn))
            http__request_abandon(r);
    }
}

/* ---- bodies that are still arriving -------------------------------------------------------------------------- */

/* h2o has bound no configuration to it, so it is not complete. */
static int count_partial(h2o_req_t *h2o, void *unused)
{
    (void)unused;
    if (!h2o->pathconf)
        http__conn_of(h2o->conn->callbacks->get_socket(h2o->conn))->partial_requests++;
    return 0;
}

/*
 * Bytes that a client sent and that belong to no request a handler has seen. HTTP/1.1 keeps them in the input. Over
 * HTTP/2 they are what the connection received less what arrived as requests: a little too much, because of frames
 * without requests, until nothing is arriving and the count starts anew.
 */
static uint64_t outstanding(struct conn *c)
{
    if (!c->in || c->is_doomed)
        return 0;
    if (!c->is_http2)
        return c->open_requests == 0 ? c->socket->input->size : 0;
    uint64_t received = BIO_number_read(c->in);
    if (c->partial_requests == 0 || c->credited_bytes > received)
        c->credited_bytes = received;
    c->partial_requests = 0;
    return received - c->credited_bytes;
}

/* The one that holds most goes first. */
static void bound_intake(struct http_loop *loop)
{
    const struct http_server *server = loop->server;
    size_t limit = server->options.max_intake_bytes / server->loop_count;
    uint64_t total = 0;
    size_t arriving = 0;
    int64_t now = clock_monotonic_ns();
    (void)server->config.http2.callbacks.foreach_request(&loop->context, count_partial, NULL);
    LIST_FOREACH (&loop->conns, it) {
        struct conn *c = LIST_ENTRY(it, struct conn, node);
        uint64_t bytes = outstanding(c);
        if (c->outstanding_bytes == 0)
            c->arriving_since_ns = now;
        c->outstanding_bytes = bytes;
        total += c->outstanding_bytes;
        arriving += c->outstanding_bytes > 0;
    }
    /* After those that became active were counted there: who reads this first misses none. */
    atomic_store_explicit(&loop->arriving, loop->is_draining ? arriving : 0, memory_order_release);
    while (total > limit) {
        struct conn *most = LIST_ENTRY(loop->conns.next, struct conn, node);
        LIST_FOREACH (&loop->conns, it) {
            struct conn *c = LIST_ENTRY(it, struct conn, node);
            if (c->outstanding_bytes > most->outstanding_bytes)
                most = c;
        }
        total -= most->outstanding_bytes;
        most->outstanding_bytes = 0;
        http__conn_doom(most);
    }
}

/* ---- the clock ------------------------------------------------------------------------------------------------- */

/*
 * h2o's timeouts run by the wall clock, in lists ordered by when they were registered. Set back by an hour, it would
 * let them stand still for that hour, and with them every answer that waits behind one: what was registered in the
 * future is registered now.
 */
static void mend_timeouts(struct http_loop *loop)
{
    uint64_t now = h2o_now(loop->evloop);
    h2o_linklist_t *lists = &loop->evloop->_timeouts;
    for (h2o_linklist_t *l = lists->next; l != lists; l = l->next) {
        h2o_linklist_t *entries = &CONTAINER_OF(l, h2o_timeout_t, _link)->_entries;
        for (h2o_linklist_t *e = entries->next; e != entries; e = e->next) {
            h2o_timeout_entry_t *entry = CONTAINER_OF(e, h2o_timeout_entry_t, _link);
            if (entry->registered_at > now)
                entry->registered_at = now;
        }
    }
}

int64_t http__clock_offset_ms(const struct http_loop *loop)
{
    return (int64_t)h2o_now(loop->evloop) - clock_monotonic_ns() / NS_PER_MS;
}

static void watch_clock(struct http_loop *loop)
{
    int64_t offset_ms = http__clock_offset_ms(loop);
    if (offset_ms < loop->clock_offset_ms - CLOCK_STEP_MS)
        mend_timeouts(loop);
    loop->clock_offset_ms = offset_ms;
}

/* ---- the sweep ------------------------------------------------------------------------------------------------- */

static void on_sweep(void *arg)
{
    struct http_loop *loop = arg;
    loop->sweep = NULL;
    http__sweep(loop);
}

void http__sweep(struct http_loop *loop)
{
    watch_clock(loop);
    end_stalled(loop);
    end_gone(loop);
    http__deferred_end_overdue(loop);
    bound_intake(loop);
    if (!list_is_empty(&loop->conns))
        http__sweep_start(loop);
}

void http__sweep_start(struct http_loop *loop)
{
    if (!loop->sweep)
        loop->sweep = http_timer_start(loop, loop->is_draining ? DRAIN_SWEEP_MS : SWEEP_MS, on_sweep, loop);
}
