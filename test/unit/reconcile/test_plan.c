/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions of the cluster controller over hand-made views: no store, no agent, no clock. */
#include <criterion/criterion.h>

#include "plan_bed.h"

Test(plan, healthy_cluster_is_only_configured)
{
    struct bed b;
    bed_make(&b, 3);
    plan_make(b.a, &b.v, &b.p);
    cr_assert_eq(b.p.count, 1);
    cr_assert_eq(b.p.steps[0].kind, STEP_CONFIGURE);
    cr_assert_str_eq(b.p.phase, "Running");
    bed_end(&b);
}

Test(plan, new_cluster_gets_a_record_first)
{
    struct bed b;
    bed_make(&b, 3);
    b.v.has_record = false;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_eq(b.p.count, 1);
    cr_assert_eq(b.p.steps[0].kind, STEP_CREATE_RECORD);
    bed_end(&b);
}

Test(plan, paused_cluster_is_left_alone_even_without_primary)
{
    struct bed b;
    bed_make(&b, 3);
    b.v.spec.is_paused = true;
    set_phase(&b, 0, AGENT_FAILED);
    plan_make(b.a, &b.v, &b.p);
    cr_assert_eq(b.p.count, 0);
    cr_assert_str_eq(b.p.phase, "Paused");
    bed_end(&b);
}

Test(plan, silent_primary_is_not_replaced_without_proof)
{
    struct bed b;
    bed_make(&b, 3);
    lose(&b, 0, PLATFORM_LIVE, 60000);
    plan_make(b.a, &b.v, &b.p);
    cr_assert_null(find(&b, STEP_BEGIN_CHANGE));
    cr_assert_str_eq(b.p.phase, "WaitingForPrimary");
    bed_end(&b);
}

Test(plan, dead_primary_is_launched_first_and_replaced_when_it_stays_away)
{
    struct bed b;
    bed_make(&b, 3);
    lose(&b, 0, PLATFORM_DEAD, 500);
    plan_make(b.a, &b.v, &b.p);
    cr_assert_not_null(find(&b, STEP_LAUNCH));
    cr_assert_null(find(&b, STEP_BEGIN_CHANGE));
    cr_assert_gt(b.p.look_again_ms, 0);

    lose(&b, 0, PLATFORM_DEAD, 10000);
    b.views[0].launched_ns = NOW - 1;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_not_null(find(&b, STEP_BEGIN_CHANGE));
    bed_end(&b);
}

Test(plan, automatic_failover_can_be_switched_off)
{
    struct bed b;
    bed_make(&b, 3);
    set_phase(&b, 0, AGENT_FAILED);
    b.v.spec.is_failover_automatic = false;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_null(find(&b, STEP_BEGIN_CHANGE));
    cr_assert(str_find(b.p.message, S("automatic is false")) >= 0);
    bed_end(&b);
}

Test(plan, asynchronous_primary_that_comes_back_after_each_crash_is_kept)
{
    struct bed b;
    bed_make(&b, 3);
    set_phase(&b, 0, AGENT_CRASHED);
    b.views[0].crashes = 7;
    b.v.down_ns = NOW - 1000 * NS_PER_MS;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_null(find(&b, STEP_BEGIN_CHANGE), "it has what nobody else has");
    cr_assert_gt(b.p.look_again_ms, 0);
    b.v.down_ns = NOW - 7000 * NS_PER_MS;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_not_null(find(&b, STEP_BEGIN_CHANGE), "it does not come back");
    bed_end(&b);
}

Test(plan, primary_that_recovers_for_too_long_is_replaced)
{
    struct bed b;
    bed_make(&b, 3);
    set_phase(&b, 0, AGENT_STARTING);
    b.v.down_ns = NOW - 2000 * NS_PER_MS;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_null(find(&b, STEP_BEGIN_CHANGE));
    cr_assert_leq(b.p.look_again_ms, 4000);
    b.v.down_ns = NOW - 7000 * NS_PER_MS;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_not_null(find(&b, STEP_BEGIN_CHANGE));
    /* Nobody could take over: it gets all the time it needs. */
    for (size_t i = 1; i < 3; i++)
        b.views[i].link.status.usable = false;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_null(find(&b, STEP_BEGIN_CHANGE));
    bed_end(&b);
}

Test(plan, change_under_way_is_continued_and_nothing_else_happens)
{
    struct bed b;
    bed_make(&b, 3);
    b.v.record.primary = S("");
    b.v.record.term = 4;
    b.v.spec.instances = 2;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_eq(b.p.count, 1);
    cr_assert_eq(b.p.steps[0].kind, STEP_CONTINUE_CHANGE);
    bed_end(&b);
}

Test(plan, chosen_primary_that_forgot_is_told_again)
{
    struct bed b;
    bed_make(&b, 3);
    b.views[0].link.status.granted_to = S("");
    b.views[0].link.status.in_recovery = true;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_not_null(find(&b, STEP_PROMOTE));
    bed_end(&b);
}

Test(plan, scale_down_takes_the_highest_standby_never_the_primary)
{
    struct bed b;
    bed_make(&b, 3);
    b.v.spec.instances = 2;
    b.v.record.primary = S("pg-3");
    b.views[2].link.status.granted_to = S("pg-3");
    b.views[0].link.status.granted_to = S("");
    b.views[2].link.status.in_recovery = false;
    b.views[0].link.status.in_recovery = b.views[0].link.status.streaming = true;
    plan_make(b.a, &b.v, &b.p);
    const struct step *s = find(&b, STEP_MARK_REMOVING);
    cr_assert_not_null(s);
    cr_assert(str_eq(s->instance, S("pg-2")));
    bed_end(&b);
}

Test(plan, scale_down_takes_the_dead_one_though_another_does_not_stream_yet)
{
    struct bed b;
    bed_make(&b, 3);
    b.v.spec.instances = 2;
    lose(&b, 1, PLATFORM_DEAD, 10000);
    b.views[2].link.status.streaming = false;
    plan_make(b.a, &b.v, &b.p);
    const struct step *s = find(&b, STEP_MARK_REMOVING);
    cr_assert_not_null(s);
    cr_assert(str_eq(s->instance, S("pg-2")));
    bed_end(&b);
}

/* pg-3 is to go. */
static void mark_last(struct bed *b)
{
    b->v.spec.instances = 2;
    b->ins[2].is_removing = true;
}

Test(plan, instance_that_is_to_go_stays_a_member_while_a_synchronous_entry_names_it)
{
    struct bed b;
    bed_make(&b, 3);
    mark_last(&b);
    static const str both[] = { S_INIT("pg-2"), S_INIT("pg-3") };
    const struct record_sync old = { .term = 3, .primary = S("pg-1"), .set = both, .set_count = 2, .wait = 1 };
    b.v.record.sync = &old;
    b.v.record.sync_count = 1;
    b.v.spec.sync_number = 1;
    b.v.spec.is_sync_required = true;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_null(find(&b, STEP_DROP_MEMBER));
    cr_assert_null(find(&b, STEP_REMOVE));
    const struct step *s = find(&b, STEP_SET_SYNC);
    cr_assert_not_null(s);
    cr_assert_eq(s->sync.set_count, 1, "it is out of the wanted set");

    static const str rest[] = { S_INIT("pg-2") };
    const struct record_sync next = { .term = 3, .primary = S("pg-1"), .set = rest, .set_count = 1, .wait = 1 };
    b.v.record.sync = &next;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_not_null(find(&b, STEP_DROP_MEMBER));
    cr_assert_null(find(&b, STEP_REMOVE), "first it leaves the members (41)");

    b.v.record.member_count = 2;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_null(find(&b, STEP_DROP_MEMBER));
    cr_assert_not_null(find(&b, STEP_REMOVE));
    bed_end(&b);
}

Test(plan, instance_that_is_to_go_stays_while_nobody_serves)
{
    struct bed b;
    bed_make(&b, 3);
    mark_last(&b);
    set_phase(&b, 0, AGENT_CRASHED);
    b.v.down_ns = NOW - 100;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_null(find(&b, STEP_DROP_MEMBER));
    cr_assert_null(find(&b, STEP_REMOVE));
    lose(&b, 2, PLATFORM_DEAD, 10000);
    plan_make(b.a, &b.v, &b.p);
    cr_assert_not_null(find(&b, STEP_LAUNCH), "what it has may be needed");
    bed_end(&b);
}

Test(plan, record_that_is_older_than_the_agents_is_raised_above_them)
{
    struct bed b;
    bed_make(&b, 3);
    for (size_t i = 0; i < 3; i++)
        b.views[i].link.status.term = 7;
    b.views[0].link.status.granted_to = S("");
    b.views[0].link.status.in_recovery = true;
    b.views[1].link.status.granted_to = S("pg-2");
    b.views[1].link.status.in_recovery = false;
    plan_make(b.a, &b.v, &b.p);
    cr_assert_eq(b.p.count, 1, "nobody is commanded in the old term");
    const struct step *s = find(&b, STEP_BEGIN_CHANGE);
    cr_assert_not_null(s);
    cr_assert_eq(s->term, 8);
    cr_assert(str_eq(s->old, S("pg-2")));
    cr_assert(str_eq(s->instance, S("pg-2")));
    cr_assert(s->is_switchover);
    cr_assert_not(s->is_in_doubt);
    cr_assert(str_find(b.p.message, S("older than the cluster")) > 0);

    b.views[1].link.status.granted_to = S("");
    plan_make(b.a, &b.v, &b.p);
    s = find(&b, STEP_BEGIN_CHANGE);
    cr_assert_not_null(s);
    cr_assert(s->is_in_doubt, "one who is not reached may be primary");
    bed_end(&b);
}

Test(plan, primary_that_the_record_does_not_know_is_a_sign_of_an_older_store)
{
    struct bed b;
    bed_make(&b, 3);
    b.v.record.primary = S("");
    plan_make(b.a, &b.v, &b.p);
    const struct step *s = find(&b, STEP_BEGIN_CHANGE);
    cr_assert_not_null(s);
    cr_assert_eq(s->term, 4);
    cr_assert(str_eq(s->old, S("pg-1")));
    bed_end(&b);
}

Test(plan, doubt_ends_when_the_last_primary_comes_back)
{
    struct bed b;
    bed_make(&b, 3);
    b.v.record.primary = S("");
    b.v.record.term = 4;
    b.v.record.is_in_doubt = true;
    b.views[0].link.status.granted_to = S("");
    plan_make(b.a, &b.v, &b.p);
    cr_assert_not_null(find(&b, STEP_CONTINUE_CHANGE), "it waits");
    b.views[2].link.status.granted_to = S("pg-3");
    plan_make(b.a, &b.v, &b.p);
    const struct step *s = find(&b, STEP_BEGIN_CHANGE);
    cr_assert_not_null(s);
    cr_assert_eq(s->term, 0, "in the same term");
    cr_assert(str_eq(s->old, S("pg-3")));
    bed_end(&b);
}

Test(plan, scale_up_adds_exactly_what_is_missing)
{
    struct bed b;
    bed_make(&b, 2);
    b.v.spec.instances = 4;
    plan_make(b.a, &b.v, &b.p);
    size_t adds = 0;
    for (size_t i = 0; i < b.p.count; i++)
        adds += b.p.steps[i].kind == STEP_ADD_INSTANCE;
    cr_assert_eq(adds, 2);
    bed_end(&b);
}

Test(plan, streaming_newcomer_becomes_a_member)
{
    struct bed b;
    bed_make(&b, 3);
    b.v.record.member_count = 2;
    plan_make(b.a, &b.v, &b.p);
    const struct step *s = find(&b, STEP_ADMIT_MEMBER);
    cr_assert_not_null(s);
    cr_assert(str_eq(s->instance, S("pg-3")));
    bed_end(&b);
}

/* ---- synchronous sets ---------------------------------------------------------------------------------------- */

Test(plan, synchronous_set_is_recorded_before_it_is_used)
{
    struct bed b;
    bed_make(&b, 3);
    b.v.spec.sync_number = 1;
    b.v.spec.is_sync_required = true;
    plan_make(b.a, &b.v, &b.p);
    const struct step *s = find(&b, STEP_SET_SYNC);
    cr_assert_not_null(s);
    cr_assert_eq(s->sync.set_count, 2);
    cr_assert(str_eq(plan_sync_names(b.a, &s->sync), S("ANY 1 (\"pg-2\",\"pg-3\")")));
    bed_end(&b);
}

Test(plan, required_with_too_few_members_waits_for_a_name_that_nobody_has)
{
    struct bed b;
    bed_make(&b, 2);
    b.v.spec.sync_number = 2;
    b.v.spec.is_sync_required = true;
    struct record_sync s = plan_wanted_sync(b.a, &b.v);
    cr_assert(str_eq(plan_sync_names(b.a, &s), S("ANY 2 (\"pg-2\",\"missing 1\")")));
    bed_end(&b);
}

Test(plan, preferred_follows_the_standbys_that_stream)
{
    struct bed b;
    bed_make(&b, 3);
    b.v.spec.sync_number = 2;
    b.views[2].link.status.streaming = false;
    struct record_sync s = plan_wanted_sync(b.a, &b.v);
    cr_assert_eq(s.wait, 1);
    b.views[1].link.status.streaming = false;
    s = plan_wanted_sync(b.a, &b.v);
    cr_assert_eq(s.wait, 0);
    cr_assert(str_is_empty(plan_sync_names(b.a, &s)));
    bed_end(&b);
}

/* ---- the candidate (rules 23–25) ----------------------------------------------------------------------------- */

static struct candidate answer(const char *name, int64_t wal_term, const char *lsn)
{
    return (struct candidate) {
        .name = str_from(name),
        .answered = true,
        .report = { .term = 3, .frozen = true, .usable = true, .wal_term = wal_term, .flush_lsn = str_from(lsn) }
    };
}

Test(choose, takes_the_greatest_wal_term_before_the_greatest_position)
{
    struct bed b;
    bed_make(&b, 3);
    const struct candidate c[] = { { .name = S("pg-1") },
                                   answer("pg-2", 1, "0/9000000"),
                                   answer("pg-3", 2, "0/3000000") };
    size_t chosen;
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 3, &chosen, NULL), 0);
    cr_assert_eq(chosen, 2);
    bed_end(&b);
}

Test(choose, follows_a_target_only_when_it_has_everything)
{
    struct bed b;
    bed_make(&b, 3);
    b.v.record.target = S("pg-3");
    struct candidate c[] = { { .name = S("pg-1") }, answer("pg-2", 2, "0/3000001"), answer("pg-3", 2, "0/3000000") };
    size_t chosen;
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 3, &chosen, NULL), 0);
    cr_assert_eq(chosen, 1);
    c[2].report.flush_lsn = S("0/3000001");
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 3, &chosen, NULL), 0);
    cr_assert_eq(chosen, 2);
    bed_end(&b);
}

Test(choose, passes_over_unusable_unfrozen_foreign_and_silent_members)
{
    struct bed b;
    bed_make(&b, 3);
    struct candidate c[] = { answer("pg-1", 2, "0/9000000"), answer("pg-2", 2, "0/9000000"),
                             answer("pg-9", 2, "0/9000000"), answer("pg-3", 2, "0/1000000") };
    c[0].report.usable = false;
    c[1].report.frozen = false;
    size_t chosen;
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 4, &chosen, NULL), 0);
    cr_assert_eq(chosen, 3);
    c[3].answered = false;
    struct error err;
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 4, &chosen, &err), ERRC_UNAVAILABLE);
    bed_end(&b);
}

Test(choose, prefers_a_standby_to_the_old_primary_at_the_same_position)
{
    struct bed b;
    bed_make(&b, 2);
    struct candidate c[] = { answer("pg-1", 2, "0/3000000"), answer("pg-2", 2, "0/3000000") };
    c[0].report.stopped = true;
    b.v.record.is_switchover = true;
    size_t chosen;
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 2, &chosen, NULL), 0);
    cr_assert_eq(chosen, 1);
    c[0].report.flush_lsn = S("0/3000060");
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 2, &chosen, NULL), 0);
    cr_assert_eq(chosen, 0, "the old primary goes on when nobody has everything (rule 46)");
    bed_end(&b);
}

Test(choose, instance_that_is_to_go_is_chosen_only_for_what_nobody_else_has)
{
    struct bed b;
    bed_make(&b, 3);
    b.ins[1].is_removing = true;
    struct candidate c[] = { { .name = S("pg-1") }, answer("pg-2", 2, "0/3000000"), answer("pg-3", 2, "0/3000000") };
    size_t chosen;
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 3, &chosen, NULL), 0);
    cr_assert_eq(chosen, 2);
    c[1].report.flush_lsn = S("0/3000060");
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 3, &chosen, NULL), 0);
    cr_assert_eq(chosen, 1);
    bed_end(&b);
}

Test(choose, broken_primary_is_the_last_choice_however_much_it_has_written)
{
    struct bed b;
    bed_make(&b, 3);
    struct candidate c[] = { answer("pg-1", 2, "0/9000000"), answer("pg-2", 2, "0/3000000"), { .name = S("pg-3") } };
    c[0].report.stopped = true;
    size_t chosen;
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 3, &chosen, NULL), 0);
    cr_assert_eq(chosen, 1);
    /* Only it and the silent one may have a commit that one of both had to confirm. */
    const str set[] = { S_INIT("pg-2"), S_INIT("pg-3") };
    const struct record_sync sync = { .term = 2, .primary = S("pg-1"), .set = set, .set_count = 2, .wait = 1 };
    b.v.record.sync = &sync;
    b.v.record.sync_count = 1;
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 3, &chosen, NULL), 0);
    cr_assert_eq(chosen, 0);
    c[1].answered = false;
    b.v.record.sync_count = 0;
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 3, &chosen, NULL), 0);
    cr_assert_eq(chosen, 0, "better than nobody");
    bed_end(&b);
}

Test(choose, switchover_goes_to_its_target_or_nowhere)
{
    struct bed b;
    bed_make(&b, 3);
    b.v.record.is_switchover = true;
    b.v.record.target = S("pg-3");
    struct candidate c[] = { answer("pg-1", 2, "0/3000001"), answer("pg-2", 2, "0/3000001"),
                             answer("pg-3", 2, "0/3000000") };
    c[0].report.stopped = true;
    size_t chosen;
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 3, &chosen, NULL), 0);
    cr_assert_eq(chosen, 0);
    c[0].answered = false;
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 3, &chosen, NULL), 0);
    cr_assert_eq(chosen, 1, "it died meanwhile: anybody who has everything");
    bed_end(&b);
}

Test(choose, waits_when_a_synchronous_commit_may_be_missing)
{
    struct bed b;
    bed_make(&b, 3);
    const str set[] = { S_INIT("pg-2"), S_INIT("pg-3") };
    const struct record_sync sync = { .term = 2, .primary = S("pg-1"), .set = set, .set_count = 2, .wait = 1 };
    b.v.record.sync = &sync;
    b.v.record.sync_count = 1;
    struct candidate c[] = { { .name = S("pg-1") }, answer("pg-2", 2, "0/3000000"), { .name = S("pg-3") } };
    size_t chosen;
    struct error err;
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 3, &chosen, &err), ERRC_UNAVAILABLE, "1 of 2 needed");
    c[2] = answer("pg-3", 2, "0/2000000");
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 3, &chosen, &err), 0);
    cr_assert_eq(chosen, 1);
    c[2].answered = false;
    b.v.record.is_forced = true;
    cr_assert_eq(plan_choose(b.a, &b.v.record, c, 3, &chosen, &err), 0, "an operator accepted the loss by name");
    bed_end(&b);
}

/* ---- what people ask for ------------------------------------------------------------------------------------- */

static int admit(struct bed *b, bool is_switchover, str target, bool force, struct error *err)
{
    struct step s;
    const struct change_wish wish = { .is_switchover = is_switchover, .is_forced = force, .target = target };
    return plan_admit_change(b->a, &b->v, &wish, &s, err);
}

Test(admit, switchover_needs_a_serving_primary_and_a_streaming_standby)
{
    struct bed b;
    struct error err;
    bed_make(&b, 2);
    cr_assert_eq(admit(&b, true, S(""), false, &err), 0);
    cr_assert_eq(admit(&b, true, S("pg-2"), false, &err), 0);
    cr_assert_eq(admit(&b, true, S("pg-1"), false, &err), ERRC_CONFLICT);
    cr_assert_eq(admit(&b, true, S("pg-9"), false, &err), ERRC_CONFLICT);
    b.views[1].link.status.streaming = false;
    cr_assert_eq(admit(&b, true, S(""), false, &err), ERRC_CONFLICT);
    bed_end(&b);
}

Test(admit, failover_of_a_silent_primary_needs_proof_or_force)
{
    struct bed b;
    struct error err;
    bed_make(&b, 2);
    lose(&b, 0, PLATFORM_LIVE, 5000);
    cr_assert_eq(admit(&b, false, S(""), false, &err), ERRC_CONFLICT);
    cr_assert(str_find(str_from(err.text), S("force")) >= 0);
    cr_assert_eq(admit(&b, false, S(""), true, &err), 0);
    b.views[0].platform = PLATFORM_DEAD;
    cr_assert_eq(admit(&b, false, S(""), false, &err), 0);
    bed_end(&b);
}

Test(admit, second_change_while_one_runs_is_refused)
{
    struct bed b;
    struct error err;
    bed_make(&b, 3);
    b.v.record.primary = S("");
    cr_assert_eq(admit(&b, false, S(""), false, &err), ERRC_CONFLICT);
    cr_assert_eq(admit(&b, true, S(""), false, &err), ERRC_CONFLICT);
    cr_assert_eq(admit(&b, false, S(""), true, &err), 0, "one that waits for a proof can be forced");
    bed_end(&b);
}

Test(admit, nothing_else_begins_until_the_chosen_one_serves)
{
    struct bed b;
    struct error err;
    bed_make(&b, 3);
    b.v.is_changing = true;
    b.v.record.last_reason = S("the primary is dead");
    b.views[0].link.status.in_recovery = true; /* it is being promoted */
    cr_assert_eq(admit(&b, false, S(""), false, &err), ERRC_CONFLICT);
    cr_assert(str_find(str_from(err.text), S("under way (term 3: the primary is dead)")) > 0, "%s", err.text);
    cr_assert_eq(admit(&b, true, S(""), false, &err), ERRC_CONFLICT);
    cr_assert(str_find(str_from(err.text), S("under way")) > 0, "%s", err.text);
    bed_end(&b);
}

Test(record, reads_back_what_it_wrote)
{
    struct bed b;
    bed_make(&b, 3);
    struct record *r = &b.v.record;
    r->namespace_ = S("default");
    r->cluster = S("pg");
    r->mode = S(RECORD_MODE_LEADER);
    r->is_switchover = true;
    const str set[] = { S_INIT("pg-2") };
    record_push_sync(b.a, r,
                     (struct record_sync) { .term = 3, .primary = S("pg-1"), .set = set, .set_count = 1, .wait = 1 });
    record_set_removing(b.a, r, S("pg-3"), true);
    record_remove_member(b.a, r, S("pg-3"));
    struct record back;
    struct error err;
    cr_assert_eq(record_from_json(b.a, record_to_json(b.a, r), &back, &err), 0);
    cr_assert(json_equal(record_to_json(b.a, r), record_to_json(b.a, &back)));
    cr_assert_eq(back.version, 1);
    cr_assert_eq(back.member_count, 2);
    cr_assert(record_instance_of(&back, S("pg-3"))->is_removing);
    bed_end(&b);
}

/* ---- one change of a synchronous set at a time (rule 26) ------------------------------------------------------- */

static struct record_sync sync_of(const str *set, size_t count, int64_t wait)
{
    return (struct record_sync) { .term = 3, .primary = S("pg-1"), .set = set, .set_count = count, .wait = wait };
}

/* What is written next, when `entries` stand there and number instances of the bed are wanted. NULL: nothing. */
static const struct record_sync *next_of(struct bed *b, const struct record_sync *entries, size_t count, int64_t number,
                                         bool is_confirmed)
{
    b->v.spec.sync_number = number;
    b->v.record.sync = entries;
    b->v.record.sync_count = count;
    b->views[0].has_sent = b->views[0].is_in_force = is_confirmed;
    b->views[0].sent_sync_names = plan_sync_names(b->a, &entries[count - 1]);
    plan_make(b->a, &b->v, &b->p);
    const struct step *s = find(b, STEP_SET_SYNC);
    return s ? &s->sync : NULL;
}

Test(sync, names_come_before_the_number_changes_and_go_after_it)
{
    struct bed b;
    bed_make(&b, 4);
    static const str two[] = { S_INIT("pg-2") }, nine[] = { S_INIT("pg-9"), S_INIT("pg-2") },
                     all[] = { S_INIT("pg-2"), S_INIT("pg-3"), S_INIT("pg-4") },
                     more[] = { S_INIT("pg-9"), S_INIT("pg-2"), S_INIT("pg-3"), S_INIT("pg-4") };
    b.v.spec.is_sync_required = true;
    struct record_sync entry = sync_of(two, 1, 1);
    const struct record_sync *next = next_of(&b, &entry, 1, 2, true);
    cr_assert_not_null(next);
    cr_assert_eq(next->wait, 1, "only names first");
    cr_assert_eq(next->set_count, 3);
    entry = sync_of(all, 3, 1);
    next = next_of(&b, &entry, 1, 2, true);
    cr_assert_eq(next->wait, 2);
    cr_assert_eq(next->set_count, 3);
    entry = sync_of(nine, 2, 1);
    next = next_of(&b, &entry, 1, 2, true);
    cr_assert_eq(next->set_count, 4, "pg-9 goes at the end");
    cr_assert_eq(next->wait, 1);
    entry = sync_of(more, 4, 2);
    next = next_of(&b, &entry, 1, 2, true);
    cr_assert_eq(next->set_count, 3);
    cr_assert_eq(next->wait, 2);
    bed_end(&b);
}

Test(sync, the_first_set_covers_nothing_until_it_has_what_was_acknowledged_before)
{
    struct bed b;
    bed_make(&b, 3);
    static const str two[] = { S_INIT("pg-2") };
    record_push_sync(b.a, &b.v.record, sync_of(two, 1, 1));
    cr_assert_eq(b.v.record.sync_count, 2);
    cr_assert_eq(b.v.record.sync[0].wait, 0, "commits from before may be on the primary alone");
    /* Its only standby is gone before it confirmed: another one may come, since nothing counts on the set yet. */
    b.v.spec.is_sync_required = true;
    const struct record_sync *next = next_of(&b, b.v.record.sync, 2, 1, false);
    cr_assert_not_null(next);
    cr_assert_eq(next->set_count, 2);
    b.v.record.sync_count = 0;
    record_push_sync(b.a, &b.v.record, (struct record_sync) { .term = 3, .primary = S("pg-1") });
    cr_assert_eq(b.v.record.sync_count, 1, "asynchronous stays so");
    bed_end(&b);
}

/* `required` with the primary alone: nothing is acknowledged, and the first standby is taken in. */
Test(sync, a_set_that_nobody_can_fulfil_is_no_change_to_wait_for)
{
    struct bed b;
    bed_make(&b, 2);
    b.v.spec.is_sync_required = true;
    struct record_sync entries[] = { sync_of(NULL, 0, 0), sync_of(NULL, 0, 1) };
    const struct record_sync *next = next_of(&b, entries, 2, 1, true);
    cr_assert_not_null(next, "it will never be confirmed");
    cr_assert_eq(next->set_count, 1);
    cr_assert_eq(next->wait, 1);
    bed_end(&b);
}

Test(sync, change_waits_for_the_one_before_but_relief_does_not)
{
    struct bed b;
    bed_make(&b, 4);
    static const str two[] = { S_INIT("pg-2") }, three[] = { S_INIT("pg-2"), S_INIT("pg-3") };
    b.v.spec.is_sync_required = true;
    struct record_sync entries[] = { sync_of(two, 1, 1), sync_of(three, 2, 1) };
    cr_assert_null(next_of(&b, entries, 2, 2, false));
    cr_assert_gt(b.p.look_again_ms, 0);
    /* Preferred: only pg-4 is left, and nobody of the newest set will ever confirm it. */
    b.v.spec.is_sync_required = false;
    b.views[1].link.status.streaming = b.views[2].link.status.streaming = false;
    struct record_sync strict[] = { sync_of(two, 1, 2), sync_of(three, 2, 2) };
    const struct record_sync *next = next_of(&b, strict, 2, 2, false);
    cr_assert_not_null(next);
    cr_assert_eq(next->wait, 1);
    cr_assert_eq(next->set_count, 3, "covers whatever the entries before let through");
    b.views[3].link.status.streaming = false;
    next = next_of(&b, entries, 2, 2, false);
    cr_assert_not_null(next);
    cr_assert_eq(next->wait, 0, "nobody is waited for");
    bed_end(&b);
}

Test(sync, the_same_set_is_kept_once_however_often_the_primary_changes)
{
    struct bed b;
    bed_make(&b, 3);
    static const str a_set[] = { S_INIT("pg-2"), S_INIT("pg-3") }, b_set[] = { S_INIT("pg-1"), S_INIT("pg-3") };
    for (int64_t term = 1; term < 200; term++) {
        struct record_sync s = sync_of(term % 2 ? a_set : b_set, 2, 1);
        s.term = term;
        s.primary = term % 2 ? S("pg-1") : S("pg-2");
        record_push_sync(b.a, &b.v.record, s);
    }
    cr_assert_eq(b.v.record.sync_count, 3, "both, behind the one of before the first");
    cr_assert_eq(b.v.record.sync[2].term, 199);
    bed_end(&b);
}
