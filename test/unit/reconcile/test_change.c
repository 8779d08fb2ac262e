/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of primary with the whole manager: switchover, failover, proofs of death, and a server that dies between any
 * two steps. After each of them no acknowledged commit may be missing and never were there two primaries.
 */
#include "base/clock.h"
#include "manager_bed.h"
#include "json/json_write.h"

static void write_some(struct bed *b, int count)
{
    for (int i = 0; i < count; i++)
        cr_assert(fake_fleet_write(b->fleet));
}

static void expect_nothing_lost(struct bed *b)
{
    cr_assert_eq(fake_fleet_violations(b->fleet), 0, "two primaries at once");
    cr_assert_eq(fake_fleet_lost(b->fleet), 0, "acknowledged commits are missing");
}

static bool is_serving(struct bed *b, const char *name)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct json *object = fake_kube_get(b->kube, a, BED_CLUSTER);
    return str_eq_z(json_str_at(object, "status.currentPrimary"), name);
}

Test(change, switchover_moves_the_primary_without_losing_a_commit)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    write_some(&b, 20);
    struct bed_answer r = bed_post(&b, "switchover", "{\"target\":\"pg-3\",\"reason\":\"to see it\"}");
    cr_assert_eq(r.code, 200, "%.*s", STR_ARG(r.message));
    CHECK_STR(json_str_at(r.body, "from"), "pg-1");
    CHECK_STR(json_str_at(r.body, "to"), "pg-3");
    cr_assert_eq(json_int_at(r.body, "term", 0), 2);
    cr_assert_eq(json_int_at(r.body, "lostBytesBound", -1), 0);
    write_some(&b, 5);
    expect_nothing_lost(&b);
    BED_RUNS(&b);
    struct record rec = bed_record(&b);
    CHECK_STR(rec.primary, "pg-3");
    CHECK_STR(rec.last_reason, "to see it");
    cr_assert_eq(rec.tli, 2);
    cr_assert_eq(rec.member_count, 3);
    BED_WAIT(&b, bed_has_event(&b, "PrimaryChanged", "pg-3 is primary in term 2, it was pg-1 (to see it)"));
    bed_end(&b);
}

static bool is_shown(struct bed *b, const char *phase)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    return str_eq_z(json_str_at(fake_kube_get(b->kube, a, BED_CLUSTER), "status.phase"), phase);
}

Test(change, its_beginning_is_shown_while_it_goes_on_and_holds_nothing_up)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    fake_agent_fault(b.fleet, &(struct fake_agent_fault) { .path = "/v1/promote", .times = 1, .delay_ms = 5000 });
    struct bed_post *p = bed_post_begin(&b, "switchover", "{\"target\":\"pg-2\"}", false);
    BED_WAIT(&b, is_shown(&b, "SwitchingOver"));
    cr_assert_not(bed_post_is_done(p));
    CHECK_STR(bed_status(&b, "targetPrimary"), "pg-2");
    CHECK_STR(bed_status(&b, "message"), "switchover was asked for");
    cr_assert_eq(bed_post_end(&b, p).code, 200);
    BED_RUNS(&b);
    BED_WAIT(&b, bed_has_event(&b, "SwitchingOver", "from pg-1 to pg-2, term 2: switchover was asked for"));
    /* A store in which status cannot be written holds no change up. */
    fake_kube_fail(b.kube, &(struct fake_kube_fault) { .method = "PUT", .path = "pg/status", .delay_ms = 60000 });
    int64_t began = clock_monotonic_ns();
    p = bed_post_begin(&b, "failover", "{}", false);
    BED_WAIT(&b, fake_fleet_writable(b.fleet)[0] && strcmp(fake_fleet_writable(b.fleet), "pg-2") != 0);
    cr_assert_lt(clock_monotonic_ns() - began, 25 * NS_PER_S, "the call alone has 30 s");
    fake_kube_heal(b.kube);
    cr_assert_eq(bed_post_end(&b, p).code, 200);
    expect_nothing_lost(&b);
    bed_end(&b);
}

Test(change, failover_post_to_a_healthy_primary_loses_nothing)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    write_some(&b, 20);
    struct bed_answer r = bed_post(&b, "failover", "{}");
    cr_assert_eq(r.code, 200, "%.*s", STR_ARG(r.message));
    CHECK_STR(json_str_at(r.body, "to"), "pg-2");
    expect_nothing_lost(&b);
    bed_end(&b);
}

Test(change, switchover_that_nobody_can_complete_leaves_the_primary_and_says_so)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    fake_agent_hold(b.fleet, "pg-2", true);
    write_some(&b, 3);
    struct bed_answer r = bed_post(&b, "switchover", "{\"target\":\"pg-2\"}");
    cr_assert_eq(r.code, 409, "%d %.*s", r.code, STR_ARG(r.message));
    CHECK_HAS(r.message, "pg-2");
    BED_WAIT(&b, is_serving(&b, "pg-1"));
    expect_nothing_lost(&b);
    bed_end(&b);
}

Test(change, crashed_primary_restarts_in_place_when_it_can)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    write_some(&b, 5);
    fake_agent_crash(b.fleet, "pg-1", true);
    BED_WAIT(&b, fake_fleet_write(b.fleet));
    cr_assert_eq(bed_record(&b).term, 1);
    expect_nothing_lost(&b);
    bed_end(&b);
}

Test(change, primary_that_crashed_and_stays_down_is_replaced_by_a_standby)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    write_some(&b, 5);
    /* It has one commit more than anybody else: that must not make it the candidate for ever. */
    fake_agent_hold(b.fleet, "pg-2", true);
    fake_agent_hold(b.fleet, "pg-3", true);
    (void)fake_fleet_write(b.fleet);
    fake_agent_crash(b.fleet, "pg-1", false);
    fake_agent_hold(b.fleet, "pg-2", false);
    fake_agent_hold(b.fleet, "pg-3", false);
    BED_WAIT(&b, fake_fleet_write(b.fleet));
    cr_assert_str_neq(fake_fleet_writable(b.fleet), "pg-1");
    cr_assert_eq(fake_fleet_violations(b.fleet), 0);
    bed_end(&b);
}

Test(change, failed_primary_is_replaced_by_the_most_advanced_standby)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    fake_agent_hold(b.fleet, "pg-2", true);
    write_some(&b, 7);
    fake_agent_fail(b.fleet, "pg-1", "disk is broken");
    BED_WAIT(&b, fake_fleet_write(b.fleet));
    cr_assert_str_eq(fake_fleet_writable(b.fleet), "pg-3");
    expect_nothing_lost(&b);
    bed_end(&b);
}

Test(change, dead_primary_is_replaced_on_the_proof_of_the_platform)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    write_some(&b, 5);
    fake_agent_kill(b.fleet, "pg-1", true);
    BED_WAIT(&b, fake_fleet_write(b.fleet));
    cr_assert_eq(bed_record(&b).term, 2);
    expect_nothing_lost(&b);
    bed_end(&b);
}

Test(change, killed_primary_that_can_be_launched_comes_back_in_its_term)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    write_some(&b, 5);
    fake_agent_kill(b.fleet, "pg-1", false);
    BED_WAIT(&b, fake_fleet_write(b.fleet));
    cr_assert_eq(bed_record(&b).term, 1);
    cr_assert_str_eq(fake_fleet_writable(b.fleet), "pg-1");
    expect_nothing_lost(&b);
    bed_end(&b);
}

Test(change, silent_primary_is_left_alone_until_somebody_forces_it)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    fake_agent_cut(b.fleet, "pg-1", true);
    BED_WAIT(&b, bed_is_phase(&b, "WaitingForPrimary"));
    struct bed_answer r = bed_post(&b, "failover", "{}");
    cr_assert_eq(r.code, 409);
    CHECK_HAS(r.message, "force");
    r = bed_post(&b, "switchover", "{}");
    cr_assert_eq(r.code, 409);
    cr_assert_eq(bed_record(&b).term, 1);
    r = bed_post(&b, "failover", "{\"force\":true,\"target\":\"pg-3\"}");
    cr_assert_eq(r.code, 200, "%.*s", STR_ARG(r.message));
    CHECK_STR(json_str_at(r.body, "to"), "pg-3");
    bed_end(&b);
}

Test(change, silence_gives_a_steady_status)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    fake_agent_cut(b.fleet, "pg-1", true);
    BED_WAIT(&b, bed_is_phase(&b, "WaitingForPrimary"));
    wait_a_little();
    size_t before = fake_kube_calls(b.kube, "PUT", BED_CLUSTER "/status");
    cr_assert_not(WAIT_FOR(fake_kube_calls(b.kube, "PUT", BED_CLUSTER "/status") > before + 2, 4000), "%.*s",
                  STR_ARG(bed_status_text(&b)));
    bed_end(&b);
}

/* ---- the server dies in the middle ---------------------------------------------------------------------------- */

/* Stops the manager once a command of that path was answered badly, and starts a new one.
 */
static void restart_manager_at(struct bed *b, const char *path, bool is_late)
{
    write_some(b, 5);
    fake_agent_fault(b->fleet,
                     &(struct fake_agent_fault) { .path = path, .times = 1000, .code = 503, .is_late = is_late });
    int before = fake_agent_commands(b->fleet, NULL, path);
    struct bed_post *p = bed_post_begin(b, "switchover", "{\"target\":\"pg-2\"}", false);
    BED_WAIT(b, fake_agent_commands(b->fleet, NULL, path) > before);
    bed_stop(b);
    struct bed_answer r = bed_post_end(b, p);
    cr_assert(r.code == 503 || is_late, "%d", r.code);
    struct record rec = bed_record(b);
    cr_assert_eq(rec.term, 2);
    fake_agent_heal(b->fleet);
    bed_start(b);
    BED_WAIT(b, fake_fleet_write(b->fleet));
    BED_RUNS(b);
    cr_assert_eq(bed_record(b).term, 2, "it goes on in the same term (rule 16)");
    expect_nothing_lost(b);
}

Test(change, new_server_goes_on_when_the_old_one_died_before_anybody_stopped)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    restart_manager_at(&b, "/v1/prepare", false);
    bed_end(&b);
}

Test(change, new_server_goes_on_when_the_old_one_died_before_it_heard_the_reports)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    restart_manager_at(&b, "/v1/prepare", true);
    bed_end(&b);
}

Test(change, new_server_goes_on_when_the_old_one_died_between_choice_and_promotion)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    restart_manager_at(&b, "/v1/promote", false);
    cr_assert_str_eq(fake_fleet_writable(b.fleet), "pg-2");
    bed_end(&b);
}

Test(change, new_server_goes_on_when_the_old_one_died_right_after_the_promotion)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    restart_manager_at(&b, "/v1/promote", true);
    cr_assert_str_eq(fake_fleet_writable(b.fleet), "pg-2");
    bed_end(&b);
}

Test(change, new_server_adopts_a_running_cluster_without_touching_it)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    write_some(&b, 5);
    bed_stop(&b);
    write_some(&b, 5);
    int launches = 0, restarts = 0;
    for (int i = 1; i <= 3; i++)
        launches += fake_agent_look(b.fleet, arena_printf(b.a, "pg-%d", i).ptr).launches;
    size_t writes = fake_kube_calls(b.kube, "PUT", BED_CLUSTER "/status");
    bed_start(&b);
    wait_a_little();
    BED_RUNS(&b);
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-3").config_version > 1);
    BED_RUNS(&b);
    cr_assert_leq(fake_kube_calls(b.kube, "PUT", BED_CLUSTER "/status"), writes + 1,
                  "that nobody is reached in the first moment is not shown");
    for (int i = 1; i <= 3; i++) {
        struct fake_agent_look look = fake_agent_look(b.fleet, arena_printf(b.a, "pg-%d", i).ptr);
        launches -= look.launches;
        restarts += look.restarts;
    }
    cr_assert_eq(launches, 0);
    cr_assert_eq(restarts, 0);
    cr_assert_eq(bed_record(&b).term, 1);
    expect_nothing_lost(&b);
    bed_end(&b);
}

Test(change, store_that_refuses_writes_stops_nothing_that_runs)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    fake_kube_fail(b.kube, &(struct fake_kube_fault) { .method = "PUT", .path = "clusterrecords", .code = 503 });
    struct bed_post *p = bed_post_begin(&b, "switchover", "{}", false);
    BED_WAIT(&b, fake_kube_calls(b.kube, "PUT", "clusterrecords") > 3);
    write_some(&b, 5);
    cr_assert_eq(fake_agent_commands(b.fleet, NULL, "/v1/prepare"), 0, "nobody is stopped before the term is written");
    fake_kube_heal(b.kube);
    struct bed_answer r = bed_post_end(&b, p);
    cr_assert_eq(r.code, 200, "%.*s", STR_ARG(r.message));
    write_some(&b, 1);
    expect_nothing_lost(&b);
    bed_end(&b);
}

Test(change, write_of_the_record_whose_answer_was_lost_is_read_back)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    fake_kube_fail(
        b.kube, &(struct fake_kube_fault) { .method = "PUT", .path = "clusterrecords", .times = 2, .is_late = true });
    struct bed_answer r = bed_post(&b, "switchover", "{\"target\":\"pg-2\"}");
    BED_WAIT(&b, is_serving(&b, "pg-2"));
    cr_assert(r.code == 200 || r.code == 409, "%d %.*s", r.code, STR_ARG(r.message));
    write_some(&b, 1);
    expect_nothing_lost(&b);
    bed_end(&b);
}

Test(change, term_that_was_never_written_is_never_shown)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    fake_kube_fail(b.kube, &(struct fake_kube_fault) { .method = "PUT", .path = "clusterrecords", .code = 409 });
    fake_agent_fail(b.fleet, "pg-1", "disk is broken");
    size_t before = fake_kube_calls(b.kube, "PUT", "clusterrecords");
    BED_WAIT(&b, is_shown(&b, "FailingOver"));
    BED_WAIT(&b, fake_kube_calls(b.kube, "PUT", "clusterrecords") > before + 5);
    cr_assert_eq(json_int_at(bed_cluster(&b), "status.term", 0), 1);
    cr_assert_eq(fake_agent_commands(b.fleet, NULL, "/v1/prepare"), 0);
    fake_kube_heal(b.kube);
    BED_WAIT(&b, fake_fleet_write(b.fleet));
    cr_assert_eq(bed_record(&b).term, 2);
    bed_end(&b);
}

Test(change, pause_in_the_middle_of_it_says_that_there_is_no_primary)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    write_some(&b, 5);
    fake_agent_fault(
        b.fleet, &(struct fake_agent_fault) { .name = "pg-1", .path = "/v1/prepare", .times = 100000, .code = 503 });
    struct bed_post *p = bed_post_begin(&b, "switchover", "{}", false);
    BED_WAIT(&b, bed_record(&b).term == 2);
    bed_spec(&b, "{\"instances\":3,\"paused\":true}");
    BED_WAIT(&b, bed_is_phase(&b, "Paused") && str_find(bed_status(&b, "message"), S("there is no primary")) > 0);
    fake_agent_heal(b.fleet);
    int before = fake_agent_commands(b.fleet, NULL, "/v1/prepare");
    cr_assert_not(WAIT_FOR(fake_agent_commands(b.fleet, NULL, "/v1/prepare") > before, 500));
    bed_spec(&b, "{\"instances\":3}");
    cr_assert_eq(bed_post_end(&b, p).code, 200);
    expect_nothing_lost(&b);
    bed_end(&b);
}

/* ---- the store goes back (rule 49) ----------------------------------------------------------------------------- */

/* Only the record, as it stood before a switchover to pg-2. The manager is stopped. */
static void restore_after_switchover(struct bed *b)
{
    bed_run(b, "{\"instances\":3}");
    write_some(b, 5);
    const struct json **list;
    cr_assert_eq(fake_kube_list(b->kube, b->a, BED_RECORDS, &list), 1);
    const char *path = arena_printf(b->a, BED_RECORDS "/%.*s", STR_ARG(json_str_at(list[0], "metadata.name"))).ptr;
    str before = json_text(b->a, json_with_at(b->a, list[0], "metadata.resourceVersion", NULL));
    cr_assert_eq(bed_post(b, "switchover", "{\"target\":\"pg-2\"}").code, 200);
    write_some(b, 5);
    BED_RUNS(b);
    bed_stop(b);
    write_some(b, 5);
    fake_kube_put(b->kube, path, before.ptr);
    cr_assert_eq(bed_record(b).term, 1);
}

Test(change, restored_record_gets_a_term_above_all_and_keeps_the_primary)
{
    struct bed b;
    restore_after_switchover(&b);
    bed_start(&b);
    BED_WAIT(&b, bed_record(&b).last_term == 3);
    BED_WAIT(&b, fake_fleet_write(b.fleet));
    cr_assert_str_eq(fake_fleet_writable(b.fleet), "pg-2");
    BED_RUNS(&b);
    CHECK_STR(bed_record(&b).primary, "pg-2");
    BED_WAIT(&b, bed_has_event(&b, "StoreWentBack", "has promised term 2, the record says 1"));
    expect_nothing_lost(&b);
    bed_end(&b);
}

Test(change, restored_record_waits_for_a_primary_that_is_not_reached)
{
    struct bed b;
    restore_after_switchover(&b);
    fake_agent_cut(b.fleet, "pg-2", true);
    bed_start(&b);
    BED_WAIT(&b, str_find(bed_status(&b, "message"), S("who was primary since")) > 0);
    write_some(&b, 3); /* it goes on where nobody reaches it */
    struct bed_answer r = bed_post(&b, "failover", "{}");
    cr_assert_eq(r.code, 409, "%.*s", STR_ARG(r.message));
    CHECK_HAS(r.message, "under way");
    fake_agent_cut(b.fleet, "pg-2", false);
    BED_WAIT(&b, bed_is_phase(&b, "Running"));
    cr_assert_str_eq(fake_fleet_writable(b.fleet), "pg-2");
    write_some(&b, 1);
    expect_nothing_lost(&b);
    bed_end(&b);
}

Test(change, many_changes_in_a_row_lose_nothing)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3,\"postgresql\":{\"synchronous\":{\"number\":1}}}");
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-1").sync_names[0] != '\0');
    for (int i = 0; i < 6; i++) {
        BED_WAIT(&b, fake_fleet_write(b.fleet));
        if (i % 2) {
            BED_RUNS(&b);
            struct bed_answer r = bed_post(&b, "switchover", "{}");
            cr_assert_eq(r.code, 200, "%.*s", STR_ARG(r.message));
        } else {
            const char *victim = fake_fleet_writable(b.fleet);
            fake_agent_fail(b.fleet, victim, "broken");
            BED_WAIT(&b, fake_fleet_writable(b.fleet)[0] && strcmp(fake_fleet_writable(b.fleet), victim) != 0);
            fake_agent_kill(b.fleet, victim, false);
        }
        expect_nothing_lost(&b);
    }
    BED_RUNS(&b);
    cr_assert_leq(bed_record(&b).sync_count, 2, "old entries are forgotten (rule 26)");
    bed_end(&b);
}

/* It dies while it is asked to stop. Asynchronously that would be waited for: only it knows what it wrote last. */
Test(change, switchover_from_a_primary_that_dies_waits_for_no_last_word_where_the_others_have_everything)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3,\"postgresql\":{\"synchronous\":{\"number\":1}}}");
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-1").sync_names[0] != '\0');
    BED_WAIT(&b, fake_fleet_write(b.fleet));
    BED_RUNS(&b);
    BED_WAIT(&b, bed_record(&b).sync_count == 1);
    const struct fake_agent_fault fault = { .name = "pg-1", .path = "/v1/prepare", .times = 1000, .code = 503 };
    fake_agent_fault(b.fleet, &fault);
    int64_t began_ns = clock_monotonic_ns();
    struct bed_post *post = bed_post_begin(&b, "switchover", "{}", false);
    BED_WAIT(&b, fake_agent_commands(b.fleet, "pg-1", "/v1/prepare") > 0);
    fake_agent_kill(b.fleet, "pg-1", true);
    struct bed_answer r = bed_post_end(&b, post);
    cr_assert_eq(r.code, 200, "%d %.*s", r.code, STR_ARG(r.message));
    cr_assert_eq(json_int_at(r.body, "lostBytesBound", -1), 0);
    cr_expect((clock_monotonic_ns() - began_ns) / NS_PER_MS < 9000, "it was waited for");
    expect_nothing_lost(&b);
    bed_end(&b);
}
