/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. Deadlines are nanoseconds of CLOCK_MONOTONIC (`int64_t deadline_ns`); leases are measured on
 * CLOCK_BOOTTIME; CLOCK_REALTIME is for people (timestamps in objects and logs) and decides nothing.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

int64_t clock_monotonic_ns(void);
int64_t clock_boottime_ns(void);
/* Nanoseconds since 1970 UTC. */
int64_t clock_realtime_ns(void);
/* CPU time of this process. */
int64_t clock_process_cpu_ns(void);

static inline int64_t deadline_in_ms(int64_t ms)
{
    return clock_monotonic_ns() + ms * NS_PER_MS;
}

/* Milliseconds left for poll(): 0 when passed, rounded up, capped at INT32_MAX. */
int deadline_left_ms(int64_t deadline_ns);
bool deadline_has_passed(int64_t deadline_ns);
struct timespec clock_to_timespec(int64_t ns);

#endif
