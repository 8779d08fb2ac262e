/* SPDX-License-Identifier: Apache-2.0 */
/* Queue, pool and threads as one caller sees them; races are for test/thread. */
#include "base/queue.h"

#include <signal.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/thread.h"
#include "harness/check.h"

Test(queue, items_come_out_in_order_and_a_full_queue_refuses)
{
    struct queue *q = queue_new(3);
    int items[4];
    for (int round = 0; round < 5; round++) {
        cr_assert(queue_push(q, &items[0]));
        cr_assert(queue_push(q, &items[1]));
        cr_assert(queue_push(q, &items[2]));
        cr_assert_not(queue_push(q, &items[3]));
        cr_assert_eq(queue_count(q), 3);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(queue_pop(q, INT64_MAX), &items[i]);
        cr_assert_eq(queue_count(q), 0);
        cr_assert(queue_push(q, &items[3]));
        cr_assert_eq(queue_pop(q, 0), &items[3], "an item that is there is given even after the deadline");
    }
    queue_free(q);
    queue_free(NULL);
}

Test(queue, pop_waits_until_the_deadline_and_no_longer)
{
    struct queue *q = queue_new(1);
    int64_t start = clock_monotonic_ns();
    cr_assert_null(queue_pop(q, deadline_in_ms(50)));
    int64_t waited = clock_monotonic_ns() - start;
    cr_assert(waited >= 50 * NS_PER_MS && waited < 60 * NS_PER_S, "%lld", (long long)waited);
    cr_assert_null(queue_pop(q, 0));
    cr_assert_null(queue_pop(q, -1));
    queue_free(q);
}

Test(queue, pop_many_takes_what_is_there_up_to_the_maximum)
{
    struct queue *q = queue_new(10);
    int items[5];
    void *out[10];
    for (int i = 0; i < 5; i++)
        cr_assert(queue_push(q, &items[i]));
    cr_assert_eq(queue_pop_many(q, out, 3, INT64_MAX), 3);
    cr_assert_eq(out[2], &items[2]);
    cr_assert_eq(queue_pop_many(q, out, 10, INT64_MAX), 2);
    cr_assert_eq(out[1], &items[4]);
    cr_assert_eq(queue_pop_many(q, out, 10, 0), 0);
    queue_free(q);
}

Test(queue, a_closed_queue_gives_what_is_left_and_takes_nothing)
{
    struct queue *q = queue_new(2);
    int item;
    cr_assert(queue_push(q, &item));
    cr_assert_not(queue_is_closed(q));
    queue_close(q);
    cr_assert(queue_is_closed(q));
    cr_assert_not(queue_push(q, &item));
    cr_assert_eq(queue_pop(q, INT64_MAX), &item);
    cr_assert_null(queue_pop(q, INT64_MAX));
    queue_close(q);
    queue_free(q);
}

static void *thread_facts(void *arg)
{
    sigset_t *mask = arg;
    (void)pthread_sigmask(SIG_SETMASK, NULL, mask);
    return NULL;
}

Test(thread, a_thread_has_every_signal_blocked_and_the_starter_keeps_its_mask)
{
    struct error e;
    sigset_t inside, outside;
    pthread_t thread;
    CHECK_OK(thread_start(&thread, "a-name-longer-than-15", thread_facts, &inside, &e), e);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert(sigismember(&inside, SIGTERM) && sigismember(&inside, SIGINT) && sigismember(&inside, SIGCHLD));
    cr_assert_eq(pthread_sigmask(SIG_SETMASK, NULL, &outside), 0);
    cr_assert_not(sigismember(&outside, SIGTERM));
}

static void count_up(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

Test(pool, everything_accepted_runs_before_free_returns)
{
    struct error e;
    static atomic_int count;
    struct pool *p = pool_new("worker", 3, 1000, &e);
    cr_assert_not_null(p);
    for (int i = 0; i < 1000; i++)
        cr_assert(pool_run(p, count_up, &count));
    pool_free(p);
    cr_assert_eq(count, 1000);
    pool_free(NULL);
}

static void wait_for_item(void *arg)
{
    (void)queue_pop(arg, INT64_MAX);
}

Test(pool, a_full_queue_refuses_and_the_refused_job_never_runs)
{
    struct error e;
    static atomic_int count;
    struct queue *gate = queue_new(1);
    struct pool *p = pool_new("worker", 1, 1, &e);
    cr_assert(pool_run(p, wait_for_item, gate));
    /* The worker takes the first job at some moment; then the queue has one place. */
    while (!pool_run(p, count_up, &count))
        continue;
    cr_assert_not(pool_run(p, count_up, &count));
    queue_close(gate);
    pool_free(p);
    cr_assert_eq(count, 1);
    queue_free(gate);
}
