/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster's life as the whole manager leads it: creation, scaling, pause, deletion, restart of the server. */
#include "manager_bed.h"

Test(manager, creates_a_cluster_of_three_and_admits_its_members)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3,\"postgresVersion\":15}");
    struct record r = bed_record(&b);
    cr_assert_eq(r.term, 1);
    cr_assert_eq(r.member_count, 3);
    cr_assert_eq(r.instance_count, 3);
    cr_assert(r.is_initialized);
    CHECK_STR(r.primary, "pg-1");
    CHECK_STR(r.system_identifier, "7000000000000000001");
    CHECK_STR(bed_status(&b, "currentPrimary"), "pg-1");
    cr_assert_eq(json_int_at(bed_cluster(&b), "status.readyInstances", 0), 3);
    cr_assert_str_eq(fake_fleet_writable(b.fleet), "pg-1");
    cr_assert_eq(json_count(json_at(bed_cluster(&b), "metadata.finalizers")), 1);
    BED_WAIT(&b, fake_kube_count(b.kube, BED_INSTANCES) == 3);
    BED_WAIT(&b, bed_has_event(&b, "Running", "3 of 3"));
    cr_assert(fake_fleet_write(b.fleet));
    cr_assert_eq(fake_fleet_violations(b.fleet), 0);
    bed_end(&b);
}

Test(manager, scales_up_and_down_again)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    for (int i = 0; i < 5; i++)
        cr_assert(fake_fleet_write(b.fleet));
    bed_spec(&b, "{\"instances\":4}");
    BED_RUNS(&b);
    BED_WAIT(&b, bed_record(&b).member_count == 4);
    cr_assert(fake_agent_look(b.fleet, "pg-4").is_streaming);
    cr_assert_eq(fake_agent_look(b.fleet, "pg-4").commits, 5);
    bed_spec(&b, "{\"instances\":1,\"storage\":{\"reclaimPolicy\":\"Delete\"}}");
    BED_RUNS(&b);
    struct record r = bed_record(&b);
    cr_assert_eq(r.instance_count, 1);
    cr_assert_eq(r.member_count, 1);
    CHECK_STR(r.primary, "pg-1");
    cr_assert_eq(r.next_serial, 5, "serials are never used again");
    cr_assert_eq(fake_fleet_alive(b.fleet), 1);
    cr_assert_not(fake_agent_look(b.fleet, "pg-4").has_data);
    BED_WAIT(&b, fake_kube_count(b.kube, BED_INSTANCES) == 1);
    cr_assert_eq(fake_fleet_lost(b.fleet), 0);
    bed_end(&b);
}

static bool bed_is_removing(struct bed *b, const char *name)
{
    struct record r = bed_record(b);
    const struct record_instance *in = record_instance_of(&r, str_from(name));
    return in && in->is_removing;
}

/* pg-3 is to go, but the primary cannot take a new set. */
static void hold_removal(struct bed *b)
{
    bed_run(b, "{\"instances\":3,\"postgresql\":{\"synchronous\":{\"number\":1}}}");
    BED_WAIT(b, strstr(fake_agent_look(b->fleet, "pg-1").sync_names, "pg-2") &&
                    strstr(fake_agent_look(b->fleet, "pg-1").sync_names, "pg-3"));
    BED_WAIT(b, bed_record(b).sync_count == 1);
    fake_agent_fault(
        b->fleet, &(struct fake_agent_fault) { .name = "pg-1", .path = "/v1/configure", .times = 100000, .code = 503 });
    bed_spec(b, "{\"instances\":2,\"postgresql\":{\"synchronous\":{\"number\":1}}}");
    BED_WAIT(b, bed_is_removing(b, "pg-3") && bed_record(b).sync_count == 2);
}

Test(manager, synchronous_member_is_removed_only_when_no_entry_names_it)
{
    struct bed b;
    hold_removal(&b);
    wait_a_little();
    struct record r = bed_record(&b);
    cr_assert(record_instance_of(&r, S("pg-3"))->is_removing);
    cr_assert(record_has_member(&r, S("pg-3")), "rules 26, 40");
    cr_assert(fake_agent_look(b.fleet, "pg-3").is_streaming, "its confirmations count still");
    cr_assert(fake_fleet_write(b.fleet));
    fake_agent_heal(b.fleet);
    BED_WAIT(&b, bed_record(&b).instance_count == 2);
    BED_RUNS(&b);
    r = bed_record(&b);
    cr_assert_eq(r.member_count, 2);
    cr_assert_eq(fake_fleet_alive(b.fleet), 2);
    cr_assert_lt(str_find(str_from(fake_agent_look(b.fleet, "pg-1").sync_names), S("pg-3")), 0);
    BED_WAIT(&b, str_find(str_from(fake_agent_look(b.fleet, "pg-1").config), S("pg-3")) < 0);
    cr_assert(fake_fleet_write(b.fleet));
    cr_assert_eq(fake_fleet_lost(b.fleet), 0);
    bed_end(&b);
}

Test(manager, failover_during_a_removal_finds_the_commit_that_only_the_one_to_go_has)
{
    struct bed b;
    hold_removal(&b);
    fake_agent_hold(b.fleet, "pg-2", true);
    for (int i = 0; i < 5; i++)
        cr_assert(fake_fleet_write(b.fleet), "pg-3 confirms it");
    fake_agent_heal(b.fleet);
    fake_agent_kill(b.fleet, "pg-1", true);
    BED_WAIT(&b, fake_fleet_writable(b.fleet)[0] != '\0');
    cr_assert_str_eq(fake_fleet_writable(b.fleet), "pg-3");
    cr_assert_eq(fake_fleet_lost(b.fleet), 0);
    cr_assert_eq(fake_fleet_violations(b.fleet), 0);
    fake_agent_hold(b.fleet, "pg-2", false);
    BED_WAIT(&b, bed_record(&b).instance_count == 2);
    struct record r = bed_record(&b);
    cr_assert_not(record_instance_of(&r, S("pg-3"))->is_removing, "another one goes");
    bed_end(&b);
}

Test(manager, failover_during_a_removal_lets_the_dead_one_go_though_the_other_does_not_stream_yet)
{
    struct bed b;
    hold_removal(&b);
    fake_agent_heal(b.fleet);
    const struct fake_agent_fault deaf = { .name = "pg-2", .path = "/v1/configure", .times = 100000, .code = 503 };
    fake_agent_fault(b.fleet, &deaf);
    fake_agent_hold(b.fleet, "pg-2", true);
    cr_assert(fake_fleet_write(b.fleet), "pg-3 confirms it");
    fake_agent_kill(b.fleet, "pg-1", true);
    BED_WAIT(&b, bed_is_removing(&b, "pg-1") || bed_is_removing(&b, "pg-2"));
    cr_assert(bed_is_removing(&b, "pg-1"));
    fake_agent_hold(b.fleet, "pg-2", false);
    fake_agent_heal(b.fleet);
    BED_WAIT(&b, bed_record(&b).instance_count == 2);
    BED_RUNS(&b);
    cr_assert_eq(fake_fleet_lost(b.fleet), 0);
    bed_end(&b);
}

Test(manager, instance_that_does_not_stop_is_not_asked_in_a_hot_loop)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    fake_agent_fault(b.fleet, &(struct fake_agent_fault) { .path = "/v1/shutdown", .times = 100000, .code = 503 });
    bed_spec(&b, "{\"instances\":1}");
    BED_WAIT(&b, fake_agent_commands(b.fleet, "pg-2", "/v1/shutdown") > 0);
    cr_assert_not(WAIT_FOR(fake_agent_commands(b.fleet, "pg-2", "/v1/shutdown") > 30, 1500));
    fake_agent_heal(b.fleet);
    BED_WAIT(&b, bed_record(&b).instance_count == 1);
    bed_end(&b);
}

Test(manager, dead_standby_is_removed_before_a_healthy_one)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    fake_agent_kill(b.fleet, "pg-2", true);
    BED_WAIT(&b, bed_is_phase(&b, "Degraded"));
    bed_spec(&b, "{\"instances\":2}");
    BED_RUNS(&b);
    struct record r = bed_record(&b);
    cr_assert_null(record_instance_of(&r, S("pg-2")));
    cr_assert_not_null(record_instance_of(&r, S("pg-3")));
    bed_end(&b);
}

Test(manager, paused_cluster_is_left_alone_and_goes_on_afterwards)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    bed_spec(&b, "{\"instances\":3,\"paused\":true}");
    BED_WAIT(&b, bed_is_phase(&b, "Paused"));
    fake_agent_kill(b.fleet, "pg-2", false);
    cr_assert_eq(bed_post(&b, "switchover", "{}").code, 409);
    cr_assert_eq(bed_post(&b, "restart", "{}").code, 409);
    cr_assert_not(WAIT_FOR(fake_fleet_alive(b.fleet) > 1, 700), "nothing is launched");
    cr_assert_eq(bed_record(&b).instance_count, 2);
    cr_assert(fake_fleet_write(b.fleet));
    bed_spec(&b, "{\"instances\":3}");
    BED_RUNS(&b);
    cr_assert_eq(bed_record(&b).member_count, 3);
    bed_end(&b);
}

Test(manager, deleting_a_cluster_stops_all_and_leaves_nothing_behind)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3,\"storage\":{\"reclaimPolicy\":\"Delete\"}}");
    BED_WAIT(&b, fake_kube_count(b.kube, BED_INSTANCES) == 3);
    fake_kube_delete(b.kube, BED_CLUSTER);
    BED_WAIT(&b, bed_is_gone(&b));
    cr_assert_eq(fake_fleet_alive(b.fleet), 0);
    cr_assert_eq(fake_kube_count(b.kube, BED_RECORDS), 0);
    cr_assert_eq(fake_kube_count(b.kube, BED_SECRETS), 0);
    cr_assert_not(fake_agent_look(b.fleet, "pg-1").has_data);
    BED_WAIT(&b, fake_kube_count(b.kube, BED_INSTANCES) == 0);
    cr_assert_not(WAIT_FOR(fake_kube_count(b.kube, BED_INSTANCES) > 0, 300), "shown again");
    bed_end(&b);
}

Test(manager, deletion_during_a_change_of_primary_ends)
{
    struct bed b;
    bed_run(&b, "{\"instances\":3}");
    fake_agent_fault(b.fleet, &(struct fake_agent_fault) { .path = "/v1/promote", .times = 100000, .code = 503 });
    struct bed_post *p = bed_post_begin(&b, "switchover", "{}", false);
    BED_WAIT(&b, fake_agent_commands(b.fleet, NULL, "/v1/promote") > 1);
    fake_kube_delete(b.kube, BED_CLUSTER);
    (void)bed_post_end(&b, p);
    BED_WAIT(&b, bed_is_gone(&b));
    cr_assert_eq(fake_fleet_alive(b.fleet), 0);
    cr_assert(fake_agent_look(b.fleet, "pg-1").has_data, "reclaimPolicy Retain");
    bed_end(&b);
}

Test(manager, deletion_goes_on_after_a_restart_and_in_a_namespace_that_is_emptied)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    bed_stop(&b);
    fake_kube_delete(b.kube, BED_CLUSTER);
    fake_kube_delete(b.kube, BED_SECRETS "/pg-app");
    fake_kube_fail(b.kube, &(struct fake_kube_fault) { .method = "POST", .path = "/secrets", .code = 403 });
    bed_start(&b);
    BED_WAIT(&b, bed_is_gone(&b));
    cr_assert_eq(fake_fleet_alive(b.fleet), 0);
    bed_end(&b);
}

Test(manager, instance_that_is_silent_when_it_is_removed_is_ended_by_the_platform)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    fake_agent_cut(b.fleet, "pg-2", true);
    BED_WAIT(&b, bed_is_phase(&b, "Degraded"));
    bed_spec(&b, "{\"instances\":1}");
    cr_assert(BECOMES(bed_record(&b).instance_count == 1), "%.*s", STR_ARG(bed_status_text(&b)));
    cr_assert_eq(fake_fleet_alive(b.fleet), 1);
    bed_end(&b);
}

Test(manager, cluster_made_anew_under_the_same_name_has_nothing_of_the_old_one)
{
    struct bed b;
    bed_run(&b, "{\"instances\":1}");
    fake_kube_delete(b.kube, BED_CLUSTER);
    BED_WAIT(&b, bed_is_gone(&b));
    fake_kube_put(b.kube, BED_CLUSTER,
                  "{\"apiVersion\":\"postgres.example.io/v1\",\"kind\":\"PostgresCluster\",\"metadata\":{\"uid\":"
                  "\"99999999-2222-3333-4444-555555555555\"},\"spec\":{\"instances\":1}}");
    BED_RUNS(&b);
    CHECK_STR(bed_record(&b).uid, "99999999-2222-3333-4444-555555555555");
    bed_end(&b);
}

Test(manager, two_clusters_made_at_once_get_different_places)
{
    struct bed b;
    bed_make(&b);
    for (int i = 0; i < 6; i++)
        fake_kube_put(b.kube,
                      arena_printf(b.a, "/apis/postgres.example.io/v1/namespaces/default/postgresclusters/c%d", i).ptr,
                      "{\"apiVersion\":\"postgres.example.io/v1\",\"kind\":\"PostgresCluster\",\"spec\":{"
                      "\"instances\":2}}");
    fake_fleet_use_few_places(b.fleet);
    fake_kube_fail(
        b.kube, &(struct fake_kube_fault) { .method = "POST", .path = "clusterrecords", .times = 6, .delay_ms = 50 });
    bed_start(&b);
    BED_WAIT(&b, fake_kube_count(b.kube, BED_RECORDS) == 6);
    const struct json **list;
    size_t count = fake_kube_list(b.kube, b.a, BED_RECORDS, &list), seen = 0;
    int64_t ports[12];
    for (size_t i = 0; i < count; i++) {
        struct record r;
        cr_assert_eq(record_from_json(b.a, list[i], &r, NULL), 0);
        for (size_t k = 0; k < r.instance_count; k++) {
            for (size_t n = 0; n < seen; n++)
                cr_assert_neq(ports[n], r.instances[k].at.agent_port);
            ports[seen++] = r.instances[k].at.agent_port;
        }
    }
    cr_assert_eq(seen, 12);
    bed_end(&b);
}

Test(manager, progress_is_shown_and_a_quiet_cluster_writes_nothing)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    BED_WAIT(&b, bed_has_event(&b, "Running", ""));
    for (int i = 1; i <= 2; i++) /* the last word that there is to say */
        BED_WAIT(&b, str_find(str_from(fake_agent_look(b.fleet, i == 1 ? "pg-1" : "pg-2").config),
                              S("\"members\":[\"pg-1\",\"pg-2\"]")) > 0);
    size_t puts = fake_kube_calls(b.kube, "PUT", BED_CLUSTER), records = fake_kube_calls(b.kube, "PUT", "clusterrec");
    int configures = fake_agent_commands(b.fleet, NULL, "/v1/configure");
    cr_assert_not(WAIT_FOR(fake_kube_calls(b.kube, "PUT", BED_CLUSTER) > puts, 1500), "%.*s",
                  STR_ARG(bed_status_text(&b)));
    cr_assert_eq(fake_kube_calls(b.kube, "PUT", "clusterrec"), records);
    cr_assert_eq(fake_agent_commands(b.fleet, NULL, "/v1/configure"), configures);
    bed_end(&b);
}

Test(manager, refused_configuration_is_told_to_people)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    fake_agent_fault(
        b.fleet, &(struct fake_agent_fault) { .name = "pg-2", .path = "/v1/configure", .times = 100000, .code = 409 });
    bed_spec(&b, "{\"instances\":2,\"postgresql\":{\"parameters\":{\"work_mem\":\"8MB\"}}}");
    BED_WAIT(&b, str_find(bed_status(&b, "message"), S("refused /v1/configure")) >= 0);
    fake_agent_heal(b.fleet);
    BED_RUNS(&b);
    BED_WAIT(&b, str_find(str_from(fake_agent_look(b.fleet, "pg-2").config), S("work_mem")) >= 0);
    bed_end(&b);
}
