/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work queue: ready keys in order, delayed keys by time, and for each key whether it is dirty (wants work) and
 * processing (is being worked on). An idle key without failures is forgotten, so memory follows the work.
 */
#include "reconcile/workqueue.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/rand.h"

#define BACKOFF_FIRST_MS 5
#define BACKOFF_MAX_MS 30000

struct item {
    struct list link; /* in ready while dirty and not processing */
    str key;
    bool dirty;
    bool processing;
    unsigned failures;
    int64_t due_ns; /* 0: not delayed */
    int64_t added_ns;
    char bytes[];
};

struct workqueue {
    pthread_mutex_t lock; /* protects everything below; nothing is called under it */
    pthread_cond_t changed;
    struct map *items;
    struct list ready;
    size_t depth;
    bool is_shut_down;
    struct metric_cell *adds, *retries, *depth_cell;
};

static struct metric adds_metric = {
    .name = "workqueue_adds_total", .help = "Keys added to the queue.", .type = METRIC_COUNTER, .labels = { "name" }
};
static struct metric retries_metric = { .name = "workqueue_retries_total",
                                        .help = "Keys added again after a failure.",
                                        .type = METRIC_COUNTER,
                                        .labels = { "name" } };
static struct metric depth_metric = {
    .name = "workqueue_depth", .help = "Keys that wait.", .type = METRIC_GAUGE, .labels = { "name" }
};

struct workqueue *workqueue_new(const char *name)
{
    struct workqueue *q = mem_new_of(struct workqueue);
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->changed, &attr);
    pthread_condattr_destroy(&attr);
    q->items = map_new();
    list_init(&q->ready);
    q->adds = METRIC_CELL(&adds_metric, str_from(name));
    q->retries = METRIC_CELL(&retries_metric, str_from(name));
    q->depth_cell = METRIC_CELL(&depth_metric, str_from(name));
    return q;
}

void workqueue_free(struct workqueue *q)
{
    if (!q)
        return;
    map_free(q->items, mem_free);
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    mem_free(q);
}

static struct item *item_of(struct workqueue *q, str key)
{
    struct item *it = map_get(q->items, key);
    if (it)
        return it;
    it = mem_alloc(sizeof(*it) + key.len + 1);
    memcpy(it->bytes, key.ptr, key.len);
    it->key = str_of(it->bytes, key.len);
    list_init(&it->link);
    map_put(q->items, key, it);
    return it;
}

static void drop_if_idle(struct workqueue *q, struct item *it)
{
    if (it->dirty || it->processing || it->failures || it->due_ns)
        return;
    map_remove(q->items, it->key);
    mem_free(it);
}

static void make_ready(struct workqueue *q, struct item *it)
{
    it->due_ns = 0;
    if (it->dirty)
        return;
    it->dirty = true;
    metric_add(q->adds, 1);
    if (it->processing)
        return;
    list_add_tail(&q->ready, &it->link);
    q->depth++;
    metric_set(q->depth_cell, (int64_t)q->depth);
    pthread_cond_signal(&q->changed);
}

void workqueue_add(struct workqueue *q, str key)
{
    pthread_mutex_lock(&q->lock);
    if (!q->is_shut_down)
        make_ready(q, item_of(q, key));
    pthread_mutex_unlock(&q->lock);
}

static void delay_locked(struct workqueue *q, struct item *it, int64_t ms)
{
    int64_t due = deadline_in_ms(ms);
    if (it->due_ns == 0 || due < it->due_ns) {
        it->due_ns = due;
        pthread_cond_broadcast(&q->changed);
    }
}

void workqueue_add_after(struct workqueue *q, str key, int64_t ms)
{
    if (ms <= 0) {
        workqueue_add(q, key);
        return;
    }
    pthread_mutex_lock(&q->lock);
    if (!q->is_shut_down)
        delay_locked(q, item_of(q, key), ms);
    pthread_mutex_unlock(&q->lock);
}

/* Moves what is due to ready; returns when the next one is due, or INT64_MAX. */
static int64_t wake_delayed(struct workqueue *q)
{
    int64_t now = clock_monotonic_ns(), next = INT64_MAX;
    size_t i = 0;
    str key;
    void *value;
    while (map_next(q->items, &i, &key, &value)) {
        struct item *it = value;
        if (it->due_ns == 0)
            continue;
        if (it->due_ns <= now)
            make_ready(q, it);
        else if (it->due_ns < next)
            next = it->due_ns;
    }
    return next;
}

bool workqueue_get(struct workqueue *q, struct arena *a, str *ret_key)
{
    bool got = false;
    pthread_mutex_lock(&q->lock);
    while (!q->is_shut_down) {
        int64_t next = wake_delayed(q);
        if (!list_is_empty(&q->ready)) {
            struct item *it = LIST_ENTRY(q->ready.next, struct item, link);
            list_remove(&it->link);
            q->depth--;
            metric_set(q->depth_cell, (int64_t)q->depth);
            it->dirty = false;
            it->processing = true;
            *ret_key = arena_str(a, it->key);
            got = true;
            break;
        }
        if (next == INT64_MAX) {
            pthread_cond_wait(&q->changed, &q->lock);
        } else {
            struct timespec until = clock_to_timespec(next);
            pthread_cond_timedwait(&q->changed, &q->lock, &until);
        }
    }
    pthread_mutex_unlock(&q->lock);
    return got;
}

void workqueue_done(struct workqueue *q, str key)
{
    pthread_mutex_lock(&q->lock);
    struct item *it = map_get(q->items, key);
    if (it) {
        it->processing = false;
        if (it->dirty) {
            list_add_tail(&q->ready, &it->link);
            q->depth++;
            metric_set(q->depth_cell, (int64_t)q->depth);
            pthread_cond_signal(&q->changed);
        }
        drop_if_idle(q, it);
    }
    pthread_mutex_unlock(&q->lock);
}

void workqueue_retry(struct workqueue *q, str key)
{
    pthread_mutex_lock(&q->lock);
    if (!q->is_shut_down) {
        struct item *it = item_of(q, key);
        int64_t ms = BACKOFF_MAX_MS;
        if (it->failures < 13)
            ms = (int64_t)BACKOFF_FIRST_MS << it->failures;
        if (ms > BACKOFF_MAX_MS)
            ms = BACKOFF_MAX_MS;
        it->failures++;
        metric_add(q->retries, 1);
        delay_locked(q, it, ms + (int64_t)rand_below((uint64_t)ms / 4 + 1));
    }
    pthread_mutex_unlock(&q->lock);
}

void workqueue_forget(struct workqueue *q, str key)
{
    pthread_mutex_lock(&q->lock);
    struct item *it = map_get(q->items, key);
    if (it) {
        it->failures = 0;
        drop_if_idle(q, it);
    }
    pthread_mutex_unlock(&q->lock);
}

void workqueue_shutdown(struct workqueue *q)
{
    pthread_mutex_lock(&q->lock);
    q->is_shut_down = true;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

size_t workqueue_depth(struct workqueue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->depth;
    pthread_mutex_unlock(&q->lock);
    return n;
}
