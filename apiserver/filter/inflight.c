/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds on requests that run at once, reads and writes apart (kube-apiserver's --max-requests-inflight and
 * --max-mutating-requests-inflight). Watches, system:masters and the server itself are exempt.
 */
#include "base/metrics.h"
#include "filter/filter.h"

static struct metric inflight_metric = {
    .name = "apiserver_current_inflight_requests",
    .help = "Requests that run at the moment, by kind.",
    .type = METRIC_GAUGE,
    .labels = { "request_kind" },
};

static atomic_size_t *counter_of(struct call *c)
{
    return c->inflight == INFLIGHT_READ ? &c->api->inflight_reads : &c->api->inflight_writes;
}

static void publish(struct call *c, size_t now)
{
    static _Atomic(struct metric_cell *) cells[2];
    bool is_write = c->inflight == INFLIGHT_WRITE;
    struct metric_cell *cell = atomic_load_explicit(&cells[is_write], memory_order_acquire);
    if (!cell) {
        cell = METRIC_CELL(&inflight_metric, is_write ? S("mutating") : S("readOnly"));
        atomic_store_explicit(&cells[is_write], cell, memory_order_release);
    }
    metric_set(cell, (int64_t)now);
}

bool filter_inflight_enter(struct call *c)
{
    const struct api_user *user = c->req->user;
    bool is_read = c->info.verb == REQUEST_GET || c->info.verb == REQUEST_LIST;
    if (c->info.verb == REQUEST_WATCH || user->is_internal || user_is_in(user, S("system:masters")))
        return true;
    c->inflight = is_read ? INFLIGHT_READ : INFLIGHT_WRITE;
    size_t max = is_read ? c->api->options.max_requests_inflight : c->api->options.max_mutating_requests_inflight;
    atomic_size_t *counter = counter_of(c);
    size_t now = atomic_fetch_add(counter, 1) + 1;
    if (now <= max) {
        publish(c, now);
        return true;
    }
    atomic_fetch_sub(counter, 1);
    struct status *busy = status_new(c->arena, STATUS_TOO_MANY_REQUESTS, "Too many requests, please try again later.");
    busy->retry_after_seconds = 1;
    call_fail(c, busy);
    return false;
}

void filter_inflight_leave(struct call *c, int code UNUSED, size_t bytes UNUSED)
{
    if (c->inflight == INFLIGHT_EXEMPT)
        return;
    publish(c, atomic_fetch_sub(counter_of(c), 1) - 1);
}
