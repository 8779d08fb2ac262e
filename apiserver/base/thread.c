/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that take no signals, and workers on one queue. */
#include "base/thread.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/queue.h"

#define THREAD_NAME_MAX 15 /* the kernel's TASK_COMM_LEN without the NUL */

int thread_start(pthread_t *ret_thread, const char *name, void *(*fn)(void *), void *arg, struct error *err)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    /* A thread inherits its mask, so there is no moment in which it could take a signal. */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int sys = pthread_create(ret_thread, NULL, fn, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (sys != 0)
        return error_set_sys(err, sys, "starting thread \"%s\"", name);
    char short_name[THREAD_NAME_MAX + 1];
    (void)snprintf(short_name, sizeof(short_name), "%.*s", THREAD_NAME_MAX, name);
    /* Only for people: it may already have ended. */
    (void)pthread_setname_np(*ret_thread, short_name);
    return 0;
}

struct job {
    void (*fn)(void *);
    void *arg;
};

struct pool {
    struct queue *queue;
    size_t count;
    pthread_t threads[];
};

static void *work(void *self)
{
    struct pool *p = self;
    for (struct job *job; (job = queue_pop(p->queue, INT64_MAX)) != NULL;) {
        struct job copy = *job;
        mem_free(job);
        copy.fn(copy.arg);
    }
    return NULL;
}

struct pool *pool_new(const char *name, size_t threads, size_t capacity, struct error *err)
{
    struct pool *p = mem_alloc(sizeof(*p) + threads * sizeof(p->threads[0]));
    p->queue = queue_new(capacity);
    for (; p->count < threads; p->count++) {
        if (thread_start(&p->threads[p->count], name, work, p, err) != 0) {
            pool_free(p);
            return NULL;
        }
    }
    return p;
}

bool pool_run(struct pool *p, void (*fn)(void *), void *arg)
{
    struct job *job = mem_new_of(struct job);
    *job = (struct job) { .fn = fn, .arg = arg };
    if (queue_push(p->queue, job))
        return true;
    mem_free(job);
    return false;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    queue_close(p->queue);
    for (size_t i = 0; i < p->count; i++)
        (void)pthread_join(p->threads[i], NULL);
    queue_free(p->queue);
    mem_free(p);
}
