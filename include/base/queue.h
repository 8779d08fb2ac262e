/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue of pointers between threads (mutex and condition). What is pushed belongs to the
 * receiver. A full queue refuses instead of blocking: the sender answers 429 or backs off.
 */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

struct queue *queue_new(size_t capacity);
/* Only when no thread uses it any more; items left inside are the caller's to drain before. */
void queue_free(struct queue *q);

/* False when full or closed. */
bool queue_push(struct queue *q, void *item);

/*
 * Waits for an item until the deadline (INT64_MAX: for ever). NULL when the deadline passed, or when the
 * queue is closed and empty.
 */
void *queue_pop(struct queue *q, int64_t deadline_ns);
/* The first item as queue_pop, then as many more as are there, up to max. Returns how many. */
size_t queue_pop_many(struct queue *q, void **ret_items, size_t max, int64_t deadline_ns);

/* No more pushes; poppers drain what is there and then get NULL. */
void queue_close(struct queue *q);
bool queue_is_closed(struct queue *q);
size_t queue_count(struct queue *q);

#endif
