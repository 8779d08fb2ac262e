/* SPDX-License-Identifier: Apache-2.0 */
/* The queue's promise to the workers, seen from one thread; test/thread/reconcile_workqueue.c has many. */
#include "reconcile/workqueue.h"

#include "base/attr.h"
#include "base/clock.h"
#include "base/thread.h"
#include "harness/check.h"
#include "harness/wait.h"

struct bed {
    struct arena *a;
    struct workqueue *q;
};

static void bed_make(struct bed *b)
{
    b->a = arena_new();
    b->q = workqueue_new("test");
}

static void bed_end(struct bed *b)
{
    workqueue_free(b->q);
    arena_free(b->a);
}

static void expect(struct bed *b, const char *wanted)
{
    str key;
    cr_assert(workqueue_get(b->q, b->a, &key));
    CHECK_STR(key, wanted);
}

Test(workqueue, gives_keys_in_the_order_in_which_they_came_and_each_once)
{
    struct bed b;
    bed_make(&b);
    workqueue_add(b.q, S("x"));
    workqueue_add(b.q, S("y"));
    workqueue_add(b.q, S("x"));
    cr_assert_eq(workqueue_depth(b.q), 2);
    expect(&b, "x");
    expect(&b, "y");
    cr_assert_eq(workqueue_depth(b.q), 0);
    workqueue_done(b.q, S("x"));
    workqueue_done(b.q, S("y"));
    cr_assert_eq(workqueue_depth(b.q), 0, "nothing comes back by itself");
    bed_end(&b);
}

Test(workqueue, key_added_while_it_is_worked_on_waits_until_that_is_done)
{
    struct bed b;
    bed_make(&b);
    workqueue_add(b.q, S("x"));
    expect(&b, "x");
    workqueue_add(b.q, S("x"));
    workqueue_add(b.q, S("x"));
    workqueue_add(b.q, S("y"));
    cr_assert_eq(workqueue_depth(b.q), 1, "x is not given to a second worker");
    expect(&b, "y");
    workqueue_done(b.q, S("x"));
    cr_assert_eq(workqueue_depth(b.q), 1);
    expect(&b, "x");
    workqueue_done(b.q, S("x"));
    cr_assert_eq(workqueue_depth(b.q), 0);
    bed_end(&b);
}

Test(workqueue, delayed_key_comes_when_its_time_has_come_and_the_earliest_time_counts)
{
    struct bed b;
    bed_make(&b);
    int64_t began = clock_monotonic_ns();
    workqueue_add_after(b.q, S("late"), 60000);
    workqueue_add_after(b.q, S("x"), 60000);
    workqueue_add_after(b.q, S("x"), 40);
    workqueue_add_after(b.q, S("x"), 50000);
    cr_assert_eq(workqueue_depth(b.q), 0);
    expect(&b, "x");
    int64_t took = (clock_monotonic_ns() - began) / NS_PER_MS;
    cr_assert(took >= 40 && took < 45000, "after %lld ms", (long long)took);
    workqueue_done(b.q, S("x"));
    workqueue_add_after(b.q, S("y"), 0);
    expect(&b, "y");
    bed_end(&b);
}

Test(workqueue, delay_that_ends_during_the_work_brings_the_key_again)
{
    struct bed b;
    bed_make(&b);
    workqueue_add(b.q, S("x"));
    expect(&b, "x");
    workqueue_add_after(b.q, S("x"), 1);
    workqueue_done(b.q, S("x"));
    expect(&b, "x");
    bed_end(&b);
}

/* Milliseconds until the key comes back after one more failure. */
static int64_t retry_ms(struct bed *b)
{
    int64_t began = clock_monotonic_ns();
    workqueue_retry(b->q, S("x"));
    workqueue_done(b->q, S("x"));
    expect(b, "x");
    return (clock_monotonic_ns() - began) / NS_PER_MS;
}

Test(workqueue, failures_are_tried_again_later_and_later_until_a_success)
{
    struct bed b;
    bed_make(&b);
    workqueue_add(b.q, S("x"));
    expect(&b, "x");
    for (int64_t least = 5; least <= 80; least *= 2)
        cr_assert_geq(retry_ms(&b), least);
    for (int i = 0; i < 20; i++)
        workqueue_retry(b.q, S("x"));
    workqueue_forget(b.q, S("x"));
    cr_assert_lt(retry_ms(&b), 20000, "a success starts it anew: it would be 30 s");
    bed_end(&b);
}

Test(workqueue, event_during_the_backoff_brings_the_key_at_once)
{
    struct bed b;
    bed_make(&b);
    workqueue_add(b.q, S("x"));
    expect(&b, "x");
    for (int i = 0; i < 20; i++)
        workqueue_retry(b.q, S("x"));
    workqueue_done(b.q, S("x"));
    workqueue_add(b.q, S("x"));
    int64_t began = clock_monotonic_ns();
    expect(&b, "x");
    cr_assert_lt(clock_monotonic_ns() - began, 20 * NS_PER_S, "it would be 30 s");
    bed_end(&b);
}

static void *wait_for_a_key(void *arg)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str key;
    return workqueue_get(arg, a, &key) ? arg : NULL;
}

Test(workqueue, shutdown_wakes_who_waits_and_takes_nothing_more)
{
    struct bed b;
    bed_make(&b);
    pthread_t threads[3];
    struct error e;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        CHECK_OK(thread_start(&threads[i], "getter", wait_for_a_key, b.q, &e), e);
    workqueue_add_after(b.q, S("x"), 3600000);
    workqueue_shutdown(b.q);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *got;
        pthread_join(threads[i], &got);
        cr_assert_null(got);
    }
    workqueue_add(b.q, S("x"));
    workqueue_add_after(b.q, S("y"), 1);
    workqueue_retry(b.q, S("z"));
    cr_assert_eq(workqueue_depth(b.q), 0);
    str key;
    cr_assert_not(workqueue_get(b.q, b.a, &key));
    bed_end(&b);
}
