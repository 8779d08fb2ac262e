/* SPDX-License-Identifier: Apache-2.0 */
/* Who is restarted next, and who not yet: each rule of the order over hand-made views. */
#include <criterion/criterion.h>

#include "plan_bed.h"

/* The plan anew; whom it restarts, or empty. */
static str restarted(struct bed *b)
{
    plan_make(b->a, &b->v, &b->p);
    const struct step *s = find(b, STEP_RESTART);
    return s ? s->instance : S("");
}

static struct agent_status *status(struct bed *b, size_t i)
{
    return &b->views[i].link.status;
}

static void all_pending(struct bed *b)
{
    for (size_t i = 0; i < b->v.instance_count; i++)
        status(b, i)->pending_restart = true;
}

/* It restarted, and all that waited is in force. */
static void note_restarted(struct bed *b, size_t i)
{
    struct agent_status *s = status(b, i);
    s->pending_restart = s->restart_primary_first = s->restart_standbys_first = false;
    s->postmaster = arena_printf(b->a, "%.*s-again", STR_ARG(s->postmaster));
}

Test(restarts, restart_takes_standbys_first_and_one_at_a_time)
{
    struct bed b;
    bed_make(&b, 3);
    b.v.record.restart_id = S("r1");
    b.v.record.restart_serial = 4;
    plan_make(b.a, &b.v, &b.p);
    const struct step *s = find(&b, STEP_RESTART);
    cr_assert_not_null(s);
    cr_assert(!str_eq(s->instance, S("pg-1")));
    /* While that standby is away nothing else restarts. */
    b.views[1].link.status.last_restart_id = S("r1");
    set_phase(&b, 1, AGENT_STARTING);
    plan_make(b.a, &b.v, &b.p);
    cr_assert_null(find(&b, STEP_RESTART));
    bed_end(&b);
}

Test(restarts, finished_restart_is_forgotten)
{
    struct bed b;
    bed_make(&b, 2);
    b.v.record.restart_id = S("r1");
    b.v.record.restart_serial = 3;
    b.views[0].link.status.last_restart_id = b.views[1].link.status.last_restart_id = S("r1");
    plan_make(b.a, &b.v, &b.p);
    cr_assert_null(find(&b, STEP_RESTART));
    cr_assert_not_null(find(&b, STEP_FORGET_RESTART));
    bed_end(&b);
}

Test(restarts, parameters_restart_the_standbys_and_then_the_primary)
{
    struct bed b;
    bed_make(&b, 3);
    all_pending(&b);
    cr_assert(str_eq(restarted(&b), S("pg-2")));
    note_restarted(&b, 1);
    cr_assert(str_eq(restarted(&b), S("pg-3")));
    note_restarted(&b, 2);
    cr_assert(str_eq(restarted(&b), S("pg-1")));
    note_restarted(&b, 0);
    cr_assert(str_is_empty(restarted(&b)));
    cr_assert_str_eq(b.p.phase, "Running");
    bed_end(&b);
}

Test(restarts, falling_limit_takes_the_primary_first_and_standbys_once_their_wal_allows_it)
{
    struct bed b;
    bed_make(&b, 3);
    all_pending(&b);
    for (size_t i = 0; i < 3; i++)
        status(&b, i)->restart_primary_first = true;
    cr_assert(str_eq(restarted(&b), S("pg-1")));
    note_restarted(&b, 0);
    /* They have not replayed it yet: a restart now would keep the old limit, and would have to be repeated. */
    cr_assert(str_is_empty(restarted(&b)));
    status(&b, 2)->restart_primary_first = false;
    cr_assert(str_eq(restarted(&b), S("pg-3")));
    note_restarted(&b, 2);
    cr_assert(str_is_empty(restarted(&b)));
    status(&b, 1)->restart_primary_first = false;
    cr_assert(str_eq(restarted(&b), S("pg-2")));
    bed_end(&b);
}

Test(restarts, limit_that_rises_beside_one_that_falls_takes_the_standbys_first_and_once_more)
{
    struct bed b;
    bed_make(&b, 2);
    all_pending(&b);
    for (size_t i = 0; i < 2; i++)
        status(&b, i)->restart_primary_first = status(&b, i)->restart_standbys_first = true;
    cr_assert(str_eq(restarted(&b), S("pg-2")));
    status(&b, 1)->restart_standbys_first = false; /* it has the higher one, and keeps the other as long as it must */
    cr_assert(str_eq(restarted(&b), S("pg-1")));
    note_restarted(&b, 0);
    cr_assert(str_is_empty(restarted(&b)));
    status(&b, 1)->restart_primary_first = false;
    cr_assert(str_eq(restarted(&b), S("pg-2")));
    bed_end(&b);
}

Test(restarts, nobody_is_restarted_before_everybody_has_loaded_the_newest_configuration)
{
    struct bed b;
    bed_make(&b, 3);
    all_pending(&b);
    status(&b, 0)->restart_primary_first = true;
    b.views[2].is_in_force = false;
    status(&b, 2)->config_error = S("work_mam: unrecognized");
    cr_assert(str_is_empty(restarted(&b)));
    cr_assert(str_find(b.p.message, S("until pg-3 has loaded")) >= 0);
    cr_assert(str_find(b.p.message, S("work_mam")) >= 0);
    b.views[2].is_in_force = true;
    cr_assert(str_eq(restarted(&b), S("pg-1")));
    /* One that does not run, is being copied or goes anyway keeps nobody waiting for what it will start with. */
    b.views[2].is_in_force = false;
    b.v.record.member_count = 2;
    set_phase(&b, 2, AGENT_COPYING);
    cr_assert(str_eq(restarted(&b), S("pg-1")));
    set_phase(&b, 2, AGENT_RUNNING);
    status(&b, 2)->postgres_running = b.ins[2].is_removing = true;
    cr_assert(str_eq(restarted(&b), S("pg-1")));
    bed_end(&b);
}

Test(restarts, asked_restart_needs_no_news_about_parameters)
{
    struct bed b;
    bed_make(&b, 2);
    b.v.record.restart_id = S("r1");
    b.v.record.restart_serial = 3;
    b.views[1].is_in_force = false;
    cr_assert(str_eq(restarted(&b), S("pg-2")));
    cr_assert(str_eq(find(&b, STEP_RESTART)->restart_id, S("r1")));
    cr_assert(str_is_empty(find(&b, STEP_RESTART)->postmaster), "whichever runs");
    /* A limit falls as well: then the order is that of the limit. */
    all_pending(&b);
    status(&b, 0)->restart_primary_first = true;
    cr_assert(str_eq(restarted(&b), S("pg-1")));
    bed_end(&b);
}

Test(restarts, asked_restart_of_one_standby_does_not_wait_for_its_wal)
{
    struct bed b;
    bed_make(&b, 2);
    b.v.record.restart_id = S("r1");
    b.v.record.restart_instance = S("pg-2");
    b.v.record.restart_serial = 3;
    status(&b, 1)->pending_restart = status(&b, 1)->restart_primary_first = true; /* and its replay is paused */
    cr_assert(str_eq(restarted(&b), S("pg-2")));
    bed_end(&b);
}

Test(restarts, restart_for_parameters_is_meant_for_one_start_of_postgresql)
{
    struct bed b;
    bed_make(&b, 2);
    status(&b, 1)->pending_restart = true;
    cr_assert(str_eq(restarted(&b), S("pg-2")));
    const struct step first = *find(&b, STEP_RESTART);
    cr_assert(str_eq(first.postmaster, S("start-2")));
    /* It restarted by itself with what was on disk then, and newer parameters need a restart again. */
    status(&b, 1)->last_restart_id = first.restart_id;
    status(&b, 1)->postmaster = S("start-3");
    cr_assert(str_eq(restarted(&b), S("pg-2")));
    cr_assert(!str_eq(find(&b, STEP_RESTART)->restart_id, first.restart_id));
    bed_end(&b);
}

Test(restarts, what_waits_elsewhere_restarts_nothing_and_is_told)
{
    struct bed b;
    bed_make(&b, 2);
    status(&b, 1)->pending_elsewhere_names = S("shared_buffers");
    cr_assert(str_is_empty(restarted(&b)));
    cr_assert_str_eq(b.p.phase, "Running");
    cr_assert(str_find(b.p.message, S("pg-2: shared_buffers waits")) >= 0);
    status(&b, 1)->config_error = S("x.y: invalid value");
    (void)restarted(&b);
    cr_assert(str_find(b.p.message, S("pg-2 does not take all of its configuration: x.y")) >= 0);
    bed_end(&b);
}

Test(restarts, nobody_is_restarted_while_a_member_is_down)
{
    struct bed b;
    bed_make(&b, 3);
    status(&b, 1)->pending_restart = true;
    set_phase(&b, 2, AGENT_STARTING);
    cr_assert(str_is_empty(restarted(&b)));
    cr_assert_gt(b.p.look_again_ms, 0);
    bed_end(&b);
}
