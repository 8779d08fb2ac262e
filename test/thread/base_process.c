/* SPDX-License-Identifier: Apache-2.0 */
/* Children run by several threads at once, while others allocate and log: each gets its own output and all its
 * descriptors back. */
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/process.h"
#include "harness/race.h"

enum { RUNNERS = 4, ROUNDS = 15 };

static atomic_int next_number;
static atomic_int runners_left = RUNNERS;

static void run_children(int number)
{
    for (int i = 0; i < ROUNDS; i++) {
        CLEANUP(arena_freep) struct arena *a = arena_new();
        struct process_result r;
        struct error e;
        str text = arena_printf(a, "%d-%d", number, i);
        const char *const argv[] = { "sh", "-c", "cat; exit 4", NULL };
        const struct process_spec spec = { .argv = argv, .input = text };
        CHECK(process_run(a, &spec, deadline_in_ms(60000), 100, NULL, NULL, &r, &e) == ERRC_INTERNAL);
        CHECK(r.exit_code == 4);
        CHECK(str_eq(r.out, text));
    }
    atomic_fetch_sub(&runners_left, 1);
}

static void *take_part(void *arg)
{
    (void)arg;
    int number = atomic_fetch_add(&next_number, 1);
    if (number < RUNNERS)
        run_children(number);
    while (atomic_load(&runners_left) > 0) {
        CLEANUP(arena_freep) struct arena *a = arena_new();
        CHECK(arena_printf(a, "%d", number).len > 0);
    }
    return NULL;
}

int main(void)
{
    int before = dup(0);
    (void)close(before);
    race(RUNNERS + 1, take_part, NULL);
    int after = dup(0);
    (void)close(after);
    CHECK(before == after);
    return 0;
}
