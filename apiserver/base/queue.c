/* SPDX-License-Identifier: Apache-2.0 */
/* A ring under one mutex, which protects every field; nothing else is locked while it is held. */
#include "base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t is_changed; /* an item came, or it was closed */
    void **items;
    size_t capacity;
    size_t first;
    size_t count;
    bool is_closed;
};

struct queue *queue_new(size_t capacity)
{
    struct queue *q = mem_new_of(struct queue);
    pthread_condattr_t attr;
    q->items = mem_array_of(void *, capacity);
    q->capacity = capacity;
    (void)pthread_mutex_init(&q->mutex, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&q->is_changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    return q;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    (void)pthread_cond_destroy(&q->is_changed);
    (void)pthread_mutex_destroy(&q->mutex);
    mem_free(q->items);
    mem_free(q);
}

bool queue_push(struct queue *q, void *item)
{
    pthread_mutex_lock(&q->mutex);
    bool fits = !q->is_closed && q->count < q->capacity;
    if (fits) {
        q->items[(q->first + q->count) % q->capacity] = item;
        q->count++;
        pthread_cond_signal(&q->is_changed);
    }
    pthread_mutex_unlock(&q->mutex);
    return fits;
}

/* Under the mutex: until there is an item, the queue is closed or the deadline passed. */
static void wait_for_item(struct queue *q, int64_t deadline_ns)
{
    struct timespec until = clock_to_timespec(deadline_ns);
    int result = 0;
    while (q->count == 0 && !q->is_closed && result != ETIMEDOUT) {
        if (deadline_ns == INT64_MAX)
            result = pthread_cond_wait(&q->is_changed, &q->mutex);
        else
            result = pthread_cond_timedwait(&q->is_changed, &q->mutex, &until);
    }
}

static void *take_first(struct queue *q)
{
    void *item = q->items[q->first];
    q->first = (q->first + 1) % q->capacity;
    q->count--;
    return item;
}

void *queue_pop(struct queue *q, int64_t deadline_ns)
{
    void *item = NULL;
    (void)queue_pop_many(q, &item, 1, deadline_ns);
    return item;
}

size_t queue_pop_many(struct queue *q, void **ret_items, size_t max, int64_t deadline_ns)
{
    size_t taken = 0;
    pthread_mutex_lock(&q->mutex);
    wait_for_item(q, deadline_ns);
    while (taken < max && q->count > 0)
        ret_items[taken++] = take_first(q);
    pthread_mutex_unlock(&q->mutex);
    return taken;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->is_closed = true;
    pthread_cond_broadcast(&q->is_changed);
    pthread_mutex_unlock(&q->mutex);
}

bool queue_is_closed(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    bool is_closed = q->is_closed;
    pthread_mutex_unlock(&q->mutex);
    return is_closed;
}

size_t queue_count(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    size_t count = q->count;
    pthread_mutex_unlock(&q->mutex);
    return count;
}
