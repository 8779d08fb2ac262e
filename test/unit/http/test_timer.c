/* SPDX-License-Identifier: Apache-2.0 */
/* Timers and messages of a loop. */
#include "rig.h"

#define TIMERS 2000

static struct rig *rig;
static struct http_timer *timers[TIMERS];
/* A timer is due between these: the thread may lose the CPU while it starts them. */
static int64_t earliest_ns[TIMERS], latest_ns[TIMERS];
static int order[TIMERS];
static atomic_int ran;
static int cancelled;

static void on_timer(void *arg)
{
    int i = (int)(intptr_t)arg;
    timers[i] = NULL;
    cr_assert_geq(clock_monotonic_ns(), earliest_ns[i]);
    order[ran] = i;
    atomic_fetch_add(&ran, 1);
}

static unsigned seed = 1;

static unsigned next_random(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static void start_many(void *arg)
{
    struct http_loop *loop = arg;
    for (intptr_t i = 0; i < TIMERS; i++) {
        int64_t ms = next_random() % 100;
        earliest_ns[i] = deadline_in_ms(ms);
        timers[i] = http_timer_start(loop, ms, on_timer, (void *)i);
        latest_ns[i] = deadline_in_ms(ms);
    }
    for (int i = 0; i < TIMERS; i++) {
        if (next_random() % 3 == 0) {
            http_timer_cancel(timers[i]);
            timers[i] = NULL;
            cancelled++;
        }
    }
}

Test(http_timer, timers_run_in_order_and_cancelled_ones_do_not)
{
    rig = rig_new();
    rig_start(rig, (struct http_server_options) { .loops = 1 });
    rig_on_loop(rig, start_many, http_server_loop(rig->server, 0));
    cr_assert_gt(cancelled, TIMERS / 4);
    cr_assert(BECOMES(ran == TIMERS - cancelled));
    rig_free(rig);
    cr_assert_eq(ran, TIMERS - cancelled);
    for (int i = 1; i < ran; i++)
        cr_assert_leq(earliest_ns[order[i - 1]], latest_ns[order[i]], "%d", i);
}

static void on_chain(void *arg)
{
    if (atomic_fetch_add(&ran, 1) < 9)
        (void)http_timer_start(arg, 1, on_chain, arg);
}

static void start_chain(void *arg)
{
    (void)http_timer_start(arg, 0, on_chain, arg);
}

Test(http_timer, a_timer_may_start_the_next)
{
    rig = rig_new();
    rig_start(rig, (struct http_server_options) { .loops = 1 });
    rig_on_loop(rig, start_chain, http_server_loop(rig->server, 0));
    cr_assert(BECOMES(ran == 10));
    rig_free(rig);
}

static void start_late(void *arg)
{
    (void)http_timer_start(arg, 3600 * 1000, on_chain, arg);
}

Test(http_timer, timers_that_are_not_due_end_with_the_server)
{
    rig = rig_new();
    rig_start(rig, (struct http_server_options) { .loops = 1 });
    rig_on_loop(rig, start_late, http_server_loop(rig->server, 0));
    rig_free(rig);
    cr_assert_eq(ran, 0);
}

/* An answer from a timer runs between two turns of the loop, when h2o looks at no socket. */
static void answer_late(void *arg)
{
    rig_answer(arg, 200, "by a timer");
}

static void start_answer(void *arg)
{
    struct rig *g = arg;
    (void)http_timer_start(http_server_loop(g->server, 0), 20, answer_late, g->deferred[0]);
}

Test(http_timer, what_a_timer_sends_is_sent_at_once)
{
    rig = rig_new();
    rig_start(rig, (struct http_server_options) { .loops = 1 });
    struct client *c = client_open(rig, false, NULL);
    client_write_z(c, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(BECOMES(rig->deferred_count == 1));
    rig_on_loop(rig, start_answer, rig);
    cr_assert(client_read_until(c, "hello\n"));
    client_free(c);
    rig_free(rig);
}

static void note(void *arg)
{
    order[ran] = (int)(intptr_t)arg;
    atomic_fetch_add(&ran, 1);
}

Test(http_timer, messages_run_in_the_order_of_posting)
{
    rig = rig_new();
    rig_start(rig, (struct http_server_options) { .loops = 2 });
    for (intptr_t i = 0; i < 1000; i++)
        cr_assert(http_loop_post(http_server_loop(rig->server, 1), note, (void *)i));
    cr_assert(BECOMES(ran == 1000));
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(order[i], i);
    rig_free(rig);
}
