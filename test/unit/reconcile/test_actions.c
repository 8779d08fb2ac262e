/* SPDX-License-Identifier: Apache-2.0 */
/* POST …/<action>: what is refused and how, dry runs, and that each is answered once whatever happens. */
#include "manager_bed.h"

static bool is_serving(struct bed *b)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    return json_str_at(fake_kube_get(b->kube, a, BED_CLUSTER), "status.currentPrimary").len > 0;
}

Test(actions, without_a_controller_or_a_cluster_they_are_refused_with_503)
{
    struct bed b;
    bed_make(&b);
    bed_start(&b);
    struct bed_answer r = bed_post(&b, "switchover", "{}");
    cr_assert_eq(r.code, 503);
    bed_stop(&b);
    const struct manager_options options = { .client = fake_kube_client(b.kube),
                                             .platform = fake_fleet_platform(b.fleet) };
    struct error e;
    CHECK_OK(manager_start(&options, &b.manager, &e), e);
    r = bed_post(&b, "switchover", "{}");
    cr_assert_eq(r.code, 503);
    CHECK_HAS(r.message, "--controllers");
    bed_end(&b);
}

Test(actions, dry_runs_say_what_would_happen_and_change_nothing)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2,\"backup\":{\"repositories\":[{\"name\":\"main\"}]}}");
    uint64_t before = 0;
    BED_WAIT(&b, fake_kube_count(b.kube, BED_INSTANCES) == 2);
    struct record rec = bed_record(&b);
    before = fake_kube_calls(b.kube, "PUT", "clusterrecords");
    struct bed_answer r = bed_post_end(&b, bed_post_begin(&b, "switchover", "{\"target\":\"pg-2\"}", true));
    cr_assert_eq(r.code, 200, "%.*s", STR_ARG(r.message));
    CHECK_STR(json_str_at(r.body, "to"), "pg-2");
    cr_assert_eq(json_int_at(r.body, "term", 0), rec.term + 1);
    r = bed_post_end(&b, bed_post_begin(&b, "restart", "{}", true));
    cr_assert_eq(r.code, 200);
    cr_assert_eq(json_count(json_get(r.body, S("instances"))), 2);
    CHECK_STR(json_str(json_item(json_get(r.body, S("instances")), 1)), "pg-1");
    r = bed_post_end(&b, bed_post_begin(&b, "backup", "{}", true));
    cr_assert_eq(r.code, 201);
    cr_assert_eq(fake_kube_count(b.kube, BED_BACKUPS), 0);
    cr_assert_eq(fake_kube_calls(b.kube, "PUT", "clusterrecords"), before);
    r = bed_post_end(&b, bed_post_begin(&b, "switchover", "{\"target\":\"pg-9\"}", true));
    cr_assert_eq(r.code, 409, "a dry run refuses what would be refused");
    bed_end(&b);
}

Test(actions, second_change_is_refused_while_one_runs)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    fake_agent_fault(b.fleet, &(struct fake_agent_fault) { .path = "/v1/promote", .times = 1, .delay_ms = 5000 });
    struct bed_post *first = bed_post_begin(&b, "switchover", "{\"target\":\"pg-2\"}", false);
    struct bed_post *second = bed_post_begin(&b, "failover", "{}", false);
    struct bed_post *third = bed_post_begin(&b, "restart", "{}", false);
    struct bed_answer r = bed_post_end(&b, first);
    cr_assert_eq(r.code, 200, "%.*s", STR_ARG(r.message));
    r = bed_post_end(&b, second);
    cr_assert_eq(r.code, 409, "%.*s", STR_ARG(r.message));
    CHECK_HAS(r.message, "under way");
    r = bed_post_end(&b, third);
    cr_assert(r.code == 409 || r.code == 200);
    cr_assert_eq(bed_record(&b).term, 2);
    bed_end(&b);
}

static bool is_term(struct bed *b, int64_t term)
{
    return bed_record(b).term == term;
}

Test(actions, automatic_failover_refuses_what_comes_at_once_and_with_its_reason)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3,\"backup\":{\"repositories\":[{\"name\":\"main\"}]}}");
    fake_agent_fault(b.fleet, &(struct fake_agent_fault) { .path = "/v1/promote", .times = 1, .delay_ms = 9000 });
    fake_agent_fail(b.fleet, "pg-1", "disk is broken");
    BED_WAIT(&b, is_term(&b, 2));
    static const char *const actions[] = { "switchover", "failover", "restart", "backup" };
    /* Who waited for the worker, which waits for the promotion, would find the change at its end. */
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        struct bed_answer r = bed_post(&b, actions[i], "{}");
        cr_assert_eq(r.code, 409, "%s: %d %.*s", actions[i], r.code, STR_ARG(r.message));
        CHECK_HAS(r.message, "a change of primary is under way (term 2: the primary cannot go on: disk is broken)");
    }
    BED_WAIT(&b, fake_fleet_write(b.fleet));
    BED_WAIT(&b, is_serving(&b));
    cr_assert_eq(bed_record(&b).term, 2, "nothing else was begun");
    cr_assert_eq(fake_kube_count(b.kube, BED_BACKUPS), 0);
    bed_end(&b);
}

Test(actions, second_restart_and_second_backup_are_refused)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2,\"backup\":{\"repositories\":[{\"name\":\"main\"}]}}");
    struct bed_post *first = bed_post_begin(&b, "backup", "{}", false);
    struct bed_post *second = bed_post_begin(&b, "backup", "{}", false);
    struct bed_answer r = bed_post_end(&b, first);
    cr_assert_eq(r.code, 201, "%.*s", STR_ARG(r.message));
    r = bed_post_end(&b, second);
    cr_assert_eq(r.code, 409, "%d %.*s", r.code, STR_ARG(r.message));
    CHECK_HAS(r.message, "a backup of this cluster is running");
    cr_assert_eq(fake_kube_count(b.kube, BED_BACKUPS), 1);
    fake_agent_cut(b.fleet, "pg-2", true); /* holds the restart up */
    cr_assert_eq(bed_post(&b, "restart", "{}").code, 200);
    r = bed_post(&b, "restart", "{}");
    cr_assert_eq(r.code, 409);
    CHECK_HAS(r.message, "a restart is under way");
    fake_agent_cut(b.fleet, "pg-2", false);
    bed_end(&b);
}

Test(actions, restart_that_lost_the_race_for_the_record_is_tried_again)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    fake_kube_fail(b.kube,
                   &(struct fake_kube_fault) { .method = "PUT", .path = "clusterrecords", .times = 1, .code = 409 });
    struct bed_answer r = bed_post(&b, "restart", "{}");
    cr_assert_eq(r.code, 200, "%.*s", STR_ARG(r.message));
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-1").restarts == 1);
    bed_end(&b);
}

Test(actions, answer_comes_in_time_though_the_worker_waits_for_an_agent)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    int64_t began = clock_monotonic_ns();
    /* Each prepare takes the whole deadline of its call. */
    fake_agent_fault(b.fleet, &(struct fake_agent_fault) { .path = "/v1/prepare", .times = 1000 });
    struct bed_answer r = bed_post(&b, "switchover", "{}");
    int64_t took_ms = (clock_monotonic_ns() - began) / NS_PER_MS;
    cr_assert_eq(r.code, 504, "%d %.*s", r.code, STR_ARG(r.message));
    CHECK_HAS(r.message, "it goes on");
    cr_assert_lt(took_ms, 60000);
    bed_end(&b);
}

Test(actions, change_that_lost_the_race_for_the_record_is_admitted_again)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    fake_kube_fail(b.kube,
                   &(struct fake_kube_fault) { .method = "PUT", .path = "clusterrecords", .times = 1, .code = 409 });
    struct bed_answer r = bed_post(&b, "switchover", "{}");
    cr_assert_eq(r.code, 200, "%.*s", STR_ARG(r.message));
    CHECK_STR(json_str_at(r.body, "to"), "pg-2");
    bed_end(&b);
}

Test(actions, who_is_answered_finds_the_new_primary_in_the_status)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    fake_kube_fail(b.kube, &(struct fake_kube_fault) {
                               .method = "PUT", .path = "postgresclusters/pg/status", .times = 6, .delay_ms = 300 });
    struct bed_answer r = bed_post(&b, "switchover", "{}");
    cr_assert_eq(r.code, 200, "%.*s", STR_ARG(r.message));
    CHECK_STR(bed_status(&b, "currentPrimary"), "pg-2");
    CHECK_STR(bed_status(&b, "lastFailover.to"), "pg-2");
    bed_end(&b);
}

Test(actions, stopping_server_answers_what_waits)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    fake_agent_fault(b.fleet, &(struct fake_agent_fault) { .path = "/v1/prepare", .times = 1000, .code = 503 });
    struct bed_post *p = bed_post_begin(&b, "switchover", "{}", false);
    BED_WAIT(&b, fake_agent_commands(b.fleet, NULL, "/v1/prepare") > 0);
    int64_t began = clock_monotonic_ns();
    bed_stop(&b);
    cr_assert_lt(clock_monotonic_ns() - began, 12 * NS_PER_S);
    struct bed_answer r = bed_post_end(&b, p);
    cr_assert_eq(r.code, 503);
    bed_end(&b);
}

Test(actions, server_stops_in_time_though_an_agent_does_not_answer)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    fake_agent_fault(b.fleet, &(struct fake_agent_fault) { .name = "pg-1", .path = "/v1/prepare", .times = 1 });
    struct bed_post *p = bed_post_begin(&b, "switchover", "{}", false);
    BED_WAIT(&b, fake_agent_commands(b.fleet, NULL, "/v1/prepare") > 0);
    int64_t began = clock_monotonic_ns();
    bed_stop(&b);
    cr_assert_lt(clock_monotonic_ns() - began, 12 * NS_PER_S, "the call alone has 15 s");
    cr_assert_eq(bed_post_end(&b, p).code, 503);
    bed_end(&b);
}

Test(actions, deleted_cluster_refuses_what_waits_and_what_comes)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    fake_agent_fault(b.fleet, &(struct fake_agent_fault) { .path = "/v1/prepare", .times = 3, .code = 503 });
    struct bed_post *p = bed_post_begin(&b, "switchover", "{}", false);
    BED_WAIT(&b, fake_agent_commands(b.fleet, NULL, "/v1/prepare") > 0);
    fake_kube_delete(b.kube, BED_CLUSTER);
    struct bed_answer r = bed_post_end(&b, p);
    cr_assert(r.code == 409 || r.code == 503, "%d", r.code);
    BED_WAIT(&b, bed_is_gone(&b));
    /* 409: the manager has not yet heard that it is gone. */
    r = bed_post(&b, "switchover", "{}");
    cr_assert(r.code == 409 || r.code == 503, "%d", r.code);
    bed_end(&b);
}

Test(actions, change_that_takes_too_long_is_answered_with_504_and_goes_on)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    fake_agent_fault(b.fleet, &(struct fake_agent_fault) { .path = "/v1/prepare", .times = 100000, .code = 503 });
    struct bed_answer r = bed_post(&b, "switchover", "{}");
    cr_assert_eq(r.code, 504, "%d %.*s", r.code, STR_ARG(r.message));
    fake_agent_heal(b.fleet);
    BED_WAIT(&b, fake_fleet_write(b.fleet));
    cr_assert_eq(fake_fleet_violations(b.fleet), 0);
    bed_end(&b);
}

Test(actions, restart_restarts_each_once_standbys_first)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    struct bed_answer r = bed_post(&b, "restart", "{}");
    cr_assert_eq(r.code, 200, "%.*s", STR_ARG(r.message));
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-1").restarts == 1);
    cr_assert_eq(fake_agent_look(b.fleet, "pg-2").restarts, 1, "the primary is last");
    cr_assert_eq(fake_agent_look(b.fleet, "pg-3").restarts, 1);
    BED_WAIT(&b, bed_record(&b).restart_id.len == 0);
    BED_RUNS(&b);
    cr_assert_eq(bed_record(&b).term, 1);
    bed_end(&b);
}

Test(actions, restart_of_one_instance_leaves_the_others)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    cr_assert_eq(bed_post(&b, "restart", "{\"instance\":\"pg-9\"}").code, 409);
    cr_assert_eq(bed_post(&b, "restart", "{\"instance\":\"pg-2\"}").code, 200);
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-2").restarts == 1);
    BED_WAIT(&b, bed_record(&b).restart_id.len == 0);
    BED_RUNS(&b);
    cr_assert_eq(fake_agent_look(b.fleet, "pg-1").restarts + fake_agent_look(b.fleet, "pg-3").restarts, 0);
    bed_end(&b);
}

Test(actions, instance_that_joins_during_a_restart_is_not_restarted)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    fake_agent_cut(b.fleet, "pg-2", true); /* holds the restart up */
    cr_assert_eq(bed_post(&b, "restart", "{}").code, 200);
    bed_spec(&b, "{\"instances\":3}");
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-3").is_streaming);
    fake_agent_cut(b.fleet, "pg-2", false);
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-1").restarts == 1);
    BED_WAIT(&b, bed_record(&b).restart_id.len == 0);
    BED_RUNS(&b);
    cr_assert_eq(fake_agent_look(b.fleet, "pg-2").restarts, 1);
    cr_assert_eq(fake_agent_look(b.fleet, "pg-3").restarts, 0);
    bed_end(&b);
}

Test(actions, changed_parameters_restart_each_instance_once)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    fake_agent_want_restart(b.fleet, "pg-2", false);
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-2").restarts == 1);
    BED_RUNS(&b);
    cr_assert_eq(fake_agent_look(b.fleet, "pg-1").restarts, 0);
    bed_end(&b);
}

Test(actions, restart_that_does_not_help_is_not_repeated_for_ever)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    fake_agent_want_restart(b.fleet, "pg-2", true);
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-2").restarts == 1);
    BED_RUNS(&b);
    cr_assert_eq(bed_post(&b, "restart", "{}").code, 200);
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-1").restarts == 1);
    BED_WAIT(&b, bed_record(&b).restart_id.len == 0);
    BED_RUNS(&b);
    cr_assert_not(WAIT_FOR(fake_agent_look(b.fleet, "pg-2").restarts > 3, 1500));
    bed_stop(&b); /* a new server knows what was restarted already */
    int before = fake_agent_look(b.fleet, "pg-2").restarts;
    bed_start(&b);
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-2").config_version > 1);
    cr_assert_not(WAIT_FOR(fake_agent_look(b.fleet, "pg-2").restarts > before, 1500));
    bed_end(&b);
}
