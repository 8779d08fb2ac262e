/* SPDX-License-Identifier: Apache-2.0 */
/* The four clocks in nanoseconds. */
#include "base/clock.h"

#include <stdlib.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec ts;
    /* Fails only for an unknown clock; deciding anything on a made-up time would be worse than to stop. */
    if (clock_gettime(id, &ts) != 0)
        abort();
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_monotonic_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_boottime_ns(void)
{
    return read_ns(CLOCK_BOOTTIME);
}

int64_t clock_realtime_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

int64_t clock_process_cpu_ns(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int deadline_left_ms(int64_t deadline_ns)
{
    int64_t now = clock_monotonic_ns();
    if (deadline_ns <= now)
        return 0;
    int64_t left = deadline_ns - now;
    int64_t ms = left / NS_PER_MS + (left % NS_PER_MS != 0);
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

bool deadline_has_passed(int64_t deadline_ns)
{
    return clock_monotonic_ns() >= deadline_ns;
}

struct timespec clock_to_timespec(int64_t ns)
{
    struct timespec ts = { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
    if (ts.tv_nsec < 0) {
        ts.tv_sec--;
        ts.tv_nsec += NS_PER_S;
    }
    return ts;
}
