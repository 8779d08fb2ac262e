/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue of keys with client-go's promise: a key is never worked on twice at once, and a key that is added while it is
 * being worked on is worked on again afterwards. Any thread.
 */
#ifndef RECONCILE_WORKQUEUE_H
#define RECONCILE_WORKQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct workqueue;

/* name: label of the workqueue_* metrics. */
struct workqueue *workqueue_new(const char *name);
/* Only when no thread uses it any more. */
void workqueue_free(struct workqueue *q);

void workqueue_add(struct workqueue *q, str key);
/* Adds it when ms have passed; an earlier time that is already set stays. */
void workqueue_add_after(struct workqueue *q, str key, int64_t ms);

/* Waits; false when the queue was shut down. The key lives in the arena. */
bool workqueue_get(struct workqueue *q, struct arena *a, str *ret_key);
/* Must follow each get. */
void workqueue_done(struct workqueue *q, str key);

/* After a failure: adds it again after 5 ms · 2^failures, at most 30 s, with jitter. */
void workqueue_retry(struct workqueue *q, str key);
/* After a success: forgets the failures. */
void workqueue_forget(struct workqueue *q, str key);

void workqueue_shutdown(struct workqueue *q);
/* Keys that wait now. */
size_t workqueue_depth(struct workqueue *q);

#endif
