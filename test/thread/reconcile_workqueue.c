/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many workers and many who add: no key is worked on twice at once, and whatever was added is worked on after it was
 * added.
 */
#include <stdatomic.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "harness/race.h"
#include "harness/wait.h"
#include "reconcile/workqueue.h"

enum { KEYS = 7, ADDERS = 3, WORKERS = 4, ROUNDS = 3000 };

static struct workqueue *queue;
static atomic_int next_role;
static atomic_int adders_left = ADDERS;
static struct {
    atomic_int inside;
    atomic_int wanted; /* raised before each add */
    atomic_int seen;   /* what the newest pass saw of it */
    int passes;        /* plain: the queue's promise alone protects it */
} state[KEYS];

static void add_all(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        int k = i % KEYS;
        char name = (char)('a' + k);
        atomic_fetch_add(&state[k].wanted, 1);
        if (i % 5 == 0)
            workqueue_add_after(queue, str_of(&name, 1), 1);
        else
            workqueue_add(queue, str_of(&name, 1));
    }
    atomic_fetch_sub(&adders_left, 1);
}

static bool all_seen(void)
{
    bool done = atomic_load(&adders_left) == 0;
    for (int k = 0; k < KEYS; k++)
        done = done && atomic_load(&state[k].seen) == atomic_load(&state[k].wanted);
    return done;
}

static void work(void)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str key;
    while (workqueue_get(queue, a, &key)) {
        int k = key.ptr[0] - 'a';
        CHECK(atomic_fetch_add(&state[k].inside, 1) == 0);
        atomic_store(&state[k].seen, atomic_load(&state[k].wanted));
        state[k].passes++;
        CHECK(atomic_fetch_sub(&state[k].inside, 1) == 1);
        if (state[k].passes % 3 == 0)
            workqueue_retry(queue, key);
        else
            workqueue_forget(queue, key);
        workqueue_done(queue, key);
    }
}

static void *take_part(void *arg UNUSED)
{
    int role = atomic_fetch_add(&next_role, 1);
    if (role < ADDERS)
        add_all();
    else if (role < ADDERS + WORKERS)
        work();
    else {
        CHECK(BECOMES(all_seen()));
        workqueue_shutdown(queue);
    }
    return NULL;
}

int main(void)
{
    queue = workqueue_new("race");
    race(ADDERS + WORKERS + 1, take_part, NULL);
    for (int k = 0; k < KEYS; k++)
        CHECK(state[k].passes > 0);
    workqueue_free(queue);
    return 0;
}
