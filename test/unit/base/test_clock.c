/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines at their ends. */
#include "base/clock.h"

#include "harness/check.h"

Test(clock, clocks_run_forward)
{
    int64_t monotonic = clock_monotonic_ns();
    int64_t boottime = clock_boottime_ns();
    int64_t cpu = clock_process_cpu_ns();
    cr_assert_geq(clock_monotonic_ns(), monotonic);
    cr_assert_geq(clock_boottime_ns(), boottime);
    cr_assert_geq(clock_process_cpu_ns(), cpu);
    cr_assert_geq(boottime, monotonic, "boot time counts suspension too");
    cr_assert_gt(clock_realtime_ns(), INT64_C(1700000000) * NS_PER_S);
}

Test(clock, what_is_left_is_rounded_up_and_capped)
{
    cr_assert_eq(deadline_left_ms(0), 0);
    cr_assert_eq(deadline_left_ms(INT64_MIN), 0);
    cr_assert_eq(deadline_left_ms(INT64_MAX), INT32_MAX);
    cr_assert_eq(deadline_left_ms(clock_monotonic_ns() - 1), 0);
    int left = deadline_left_ms(deadline_in_ms(60000));
    cr_assert(left > 59000 && left <= 60000, "%d", left);
    /* A part of a millisecond must not become a busy loop of poll(0). */
    int64_t soon = clock_monotonic_ns() + NS_PER_S;
    while (clock_monotonic_ns() < soon - NS_PER_MS / 2)
        continue;
    left = deadline_left_ms(soon);
    cr_assert(left == 1 || deadline_has_passed(soon), "%d", left);
}

Test(clock, a_deadline_passes)
{
    cr_assert(deadline_has_passed(clock_monotonic_ns()));
    cr_assert_not(deadline_has_passed(deadline_in_ms(60000)));
    cr_assert_not(deadline_has_passed(INT64_MAX));
}

Test(clock, timespecs_have_their_nanoseconds_in_range)
{
    struct timespec ts = clock_to_timespec(INT64_C(1500000000));
    cr_assert(ts.tv_sec == 1 && ts.tv_nsec == 500000000);
    ts = clock_to_timespec(-1);
    cr_assert(ts.tv_sec == -1 && ts.tv_nsec == 999999999);
    ts = clock_to_timespec(INT64_MAX);
    cr_assert(ts.tv_nsec >= 0 && ts.tv_nsec < NS_PER_S);
}
