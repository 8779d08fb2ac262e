/* SPDX-License-Identifier: Apache-2.0 */
/* A primary's PostgreSQL crashed: restart in place or a change of primary, whichever is faster and loses nothing. */
#include "base/clock.h"
#include "plan_bed.h"

#include <criterion/criterion.h>

/* pg-1 crashed so long ago; with a set, synchronously replicated to both others. */
static void bed_crash(struct bed *b, bool is_synchronous, int64_t ms_ago)
{
    static const str set[] = { S_INIT("pg-2"), S_INIT("pg-3") };
    static const struct record_sync sync[] = {
        { .term = 3, .primary = S_INIT("pg-1"), .set = set, .set_count = 2, .wait = 1 },
        { .term = 3, .primary = S_INIT("pg-1") },
    };
    bed_make(b, 3);
    set_phase(b, 0, AGENT_CRASHED);
    b->views[0].crashes = 1;
    b->views[0].crash_ns = b->v.down_ns = NOW - ms_ago * NS_PER_MS;
    b->v.record.sync = sync;
    b->v.record.sync_count = is_synchronous ? 1 : 0;
}

static bool is_replaced(struct bed *b)
{
    plan_make(b->a, &b->v, &b->p);
    return find(b, STEP_BEGIN_CHANGE) != NULL;
}

Test(plan_crashes, first_crash_restarts_in_place_and_the_third_in_a_minute_replaces)
{
    struct bed b;
    bed_crash(&b, true, 0);
    cr_assert_not(is_replaced(&b));
    b.views[0].crashes = 3;
    cr_assert(is_replaced(&b));
    /* Before its set is in the record, or when it is being given up, something may be on the primary alone. */
    b.v.record.sync_count = 2;
    cr_assert_not(is_replaced(&b));
    bed_end(&b);
}

Test(plan_crashes, synchronous_primary_is_replaced_when_a_standby_takes_over_sooner)
{
    struct bed b;
    bed_crash(&b, true, 100);
    cr_assert_not(is_replaced(&b));
    cr_assert(b.p.look_again_ms > 0 && b.p.look_again_ms <= 900, "looks again in time: %lld",
              (long long)b.p.look_again_ms);
    bed_end(&b);
    bed_crash(&b, true, 1000);
    set_phase(&b, 0, AGENT_STARTING);
    cr_assert(is_replaced(&b), "also while it recovers");
    bed_end(&b);
    bed_crash(&b, false, 1000);
    cr_assert_not(is_replaced(&b), "asynchronous, it has what nobody else has");
    bed_end(&b);
}

Test(plan_crashes, much_wal_to_replay_is_not_waited_for)
{
    struct bed b;
    bed_crash(&b, true, 0);
    b.views[0].link.status.recovery_bytes = INT64_C(900) << 20;
    cr_assert(is_replaced(&b));
    cr_assert_geq(str_find(b.p.message, S("900 MiB")), 0);
    b.v.record.sync_count = 0;
    cr_assert_not(is_replaced(&b), "asynchronous, it has what nobody else has");
    bed_end(&b);
}

Test(plan_crashes, standbys_that_could_not_take_over_at_once_are_no_reason_to_hurry)
{
    struct bed b;
    bed_crash(&b, true, 2000);
    b.views[0].crashes = 5;
    b.views[0].link.status.recovery_bytes = INT64_C(900) << 20;
    b.views[2].link.is_connected = false;
    b.views[2].link.lost_ns = NOW - NS_PER_S;
    cr_assert_not(is_replaced(&b), "a commit may be on the one that is not there: the old primary is needed (25)");
    bed_end(&b);

    bed_crash(&b, true, 2000);
    b.views[1].link.status.flush_lsn = S("1/0");
    b.views[1].link.status.replay_lsn = S("0/3000000");
    cr_assert_not(is_replaced(&b), "it would replay for longer");
    cr_assert(b.p.look_again_ms > 0 && b.p.look_again_ms <= 4000);
    b.v.down_ns = b.views[0].crash_ns = NOW - 7 * NS_PER_S;
    cr_assert(is_replaced(&b), "but for good it is not waited for either");
    bed_end(&b);
}

Test(plan_crashes, primary_that_is_told_to_restart_has_its_time)
{
    struct bed b;
    bed_crash(&b, true, 3000);
    set_phase(&b, 0, AGENT_STARTING);
    b.views[0].crash_ns = NOW - 30 * NS_PER_S; /* another time */
    cr_assert_not(is_replaced(&b));
    bed_end(&b);
}

Test(plan_crashes, primary_that_dies_whenever_it_is_started_is_replaced_soon)
{
    struct bed b;
    bed_crash(&b, false, 700);
    b.views[0].link.status.failed_starts = 2;
    cr_assert_not(is_replaced(&b));
    b.views[0].link.status.failed_starts = 3;
    cr_assert(is_replaced(&b));
    bed_end(&b);
}
