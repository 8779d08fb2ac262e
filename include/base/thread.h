/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named threads with every signal blocked: signals are the main thread's (sigwait). And a pool of workers
 * that run jobs from one bounded queue.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The name is cut to 15 bytes (pthread_setname_np). */
int thread_start(pthread_t *ret_thread, const char *name, void *(*fn)(void *), void *arg, struct error *err) MUST_USE;

struct pool;

/* `threads` workers over a queue of `capacity` jobs. */
struct pool *pool_new(const char *name, size_t threads, size_t capacity, struct error *err) MUST_USE;
/* False when the queue is full or the pool is stopping; then fn will not run. */
bool pool_run(struct pool *p, void (*fn)(void *), void *arg) MUST_USE;
/* Runs what is queued, then joins the workers. NULL is allowed. */
void pool_free(struct pool *p);

#endif
