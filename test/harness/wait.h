/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for a condition instead of for time to pass: looks again each millisecond, until a deadline. For tests only. */
#ifndef HARNESS_WAIT_H
#define HARNESS_WAIT_H

#include <stdbool.h>
#include <time.h>

#include "base/clock.h"

/* For what must come true, however slow the machine is: only a real failure waits for so long. */
#define PATIENCE_MS 120000

static inline void wait_a_little(void)
{
    (void)nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
}

/* True as soon as the expression is true; false when it never was within so many milliseconds. */
#define WAIT_FOR(condition, ms)                                                                                        \
    ({                                                                                                                 \
        int64_t deadline_ = deadline_in_ms(ms);                                                                        \
        bool is_true_ = false;                                                                                         \
        while (!(is_true_ = (condition)) && !deadline_has_passed(deadline_))                                           \
            wait_a_little();                                                                                           \
        is_true_;                                                                                                      \
    })

/* For what comes true soon: `cr_assert(BECOMES(count == 3))`. A fixed time is only for what must not come true. */
#define BECOMES(condition) WAIT_FOR(condition, PATIENCE_MS)

#endif
