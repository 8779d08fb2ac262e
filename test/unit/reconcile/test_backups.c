/* SPDX-License-Identifier: Apache-2.0 */
/* Backups as the manager leads them: begun once, followed to their end, failed when nobody can end them any more. */
#include "manager_bed.h"

#define SPEC "{\"instances\":2,\"backup\":{\"repositories\":[{\"name\":\"main\"}]}}"

#define SPEC_OF(work_mem)                                                                                              \
    "{\"instances\":2,\"postgresql\":{\"parameters\":{\"work_mem\":\"" work_mem "\"}},"                                \
    "\"backup\":{\"repositories\":[{\"name\":\"main\"}]}}"

static const struct json *the_backup(struct bed *b)
{
    const struct json **list;
    cr_assert_eq(fake_kube_list(b->kube, b->a, BED_BACKUPS, &list), 1);
    return list[0];
}

static bool is_phase(struct bed *b, const char *phase)
{
    return str_eq_z(json_str_at(the_backup(b), "status.phase"), phase);
}

static void begin(struct bed *b)
{
    bed_run(b, SPEC);
    struct bed_answer r = bed_post(b, "backup", "{\"type\":\"full\"}");
    cr_assert_eq(r.code, 201, "%.*s", STR_ARG(r.message));
    BED_WAIT(b, is_phase(b, "Running"));
}

Test(backups, one_is_taken_from_the_primary_and_told_to_its_end)
{
    struct bed b;
    begin(&b);
    CHECK_STR(json_str_at(the_backup(&b), "status.instance"), "pg-1");
    cr_assert_eq(bed_post(&b, "backup", "{}").code, 409, "one at a time");
    fake_agent_end_backup(b.fleet, "pg-1", true);
    BED_WAIT(&b, is_phase(&b, "Succeeded"));
    CHECK_STR(json_str_at(the_backup(&b), "status.label"), "20260101-000000F");
    CHECK_STR(bed_status(&b, "lastBackup.label"), "20260101-000000F");
    cr_assert_eq(fake_agent_commands(b.fleet, NULL, "/v1/backup"), 1);
    BED_WAIT(&b, bed_has_event(&b, "BackupSucceeded", "20260101-000000F"));
    bed_end(&b);
}

Test(backups, the_cluster_tells_of_it_though_the_first_try_to_write_it_fails)
{
    struct bed b;
    begin(&b);
    fake_kube_fail(
        b.kube, &(struct fake_kube_fault) { .method = "PATCH", .path = "postgresclusters", .times = 1, .code = 503 });
    fake_agent_end_backup(b.fleet, "pg-1", true);
    BED_WAIT(&b, is_phase(&b, "Succeeded"));
    CHECK_STR(bed_status(&b, "lastBackup.label"), "20260101-000000F");
    bed_end(&b);
}

Test(backups, lost_answer_is_asked_for_again)
{
    struct bed b;
    bed_run(&b, SPEC);
    fake_agent_fault(b.fleet,
                     &(struct fake_agent_fault) { .path = "/v1/backup", .times = 1, .code = 503, .is_late = true });
    cr_assert_eq(bed_post(&b, "backup", "{\"type\":\"full\"}").code, 201);
    BED_WAIT(&b, is_phase(&b, "Running"));
    fake_agent_end_backup(b.fleet, "pg-1", true);
    BED_WAIT(&b, is_phase(&b, "Succeeded"));
    cr_assert_eq(fake_agent_commands(b.fleet, NULL, "/v1/backup"), 2);
    bed_end(&b);
}

Test(backups, agents_error_reaches_people)
{
    struct bed b;
    begin(&b);
    fake_agent_end_backup(b.fleet, "pg-1", false);
    BED_WAIT(&b, is_phase(&b, "Failed"));
    CHECK_STR(json_str_at(the_backup(&b), "status.error"), "the disk is full");
    bed_end(&b);
}

Test(backups, status_from_before_the_agent_accepted_is_no_proof_that_it_forgot)
{
    struct bed b;
    bed_run(&b, SPEC);
    fake_agent_lag(b.fleet, "pg-1", true);
    cr_assert_eq(bed_post(&b, "backup", "{\"type\":\"full\"}").code, 201);
    BED_WAIT(&b, is_phase(&b, "Running"));
    /* The second one is sent by a pass after one that saw the backup run. */
    for (const char *const *spec = (const char *const[]) { SPEC_OF("5MB"), SPEC_OF("6MB"), NULL }; *spec; spec++) {
        int64_t version = fake_agent_look(b.fleet, "pg-2").config_version;
        bed_spec(&b, *spec);
        BED_WAIT(&b, fake_agent_look(b.fleet, "pg-2").config_version > version);
    }
    cr_assert(is_phase(&b, "Running"), "%.*s", STR_ARG(json_str_at(the_backup(&b), "status.error")));
    fake_agent_lag(b.fleet, "pg-1", false);
    fake_agent_end_backup(b.fleet, "pg-1", true);
    BED_WAIT(&b, is_phase(&b, "Succeeded"));
    bed_end(&b);
}

Test(backups, dead_instance_fails_its_backup_and_the_next_one_can_run)
{
    struct bed b;
    begin(&b);
    fake_agent_kill(b.fleet, "pg-1", true);
    BED_WAIT(&b, is_phase(&b, "Failed"));
    BED_WAIT(&b, fake_fleet_writable(b.fleet)[0] != '\0');
    struct bed_answer r = { 0 };
    BED_WAIT(&b, (r = bed_post(&b, "backup", "{}")).code == 201);
    BED_WAIT(&b, fake_agent_commands(b.fleet, "pg-2", "/v1/backup") == 1);
    bed_end(&b);
}

Test(backups, restarted_agent_fails_the_backup_that_it_forgot)
{
    struct bed b;
    begin(&b);
    fake_agent_kill(b.fleet, "pg-1", false);
    BED_WAIT(&b, is_phase(&b, "Failed"));
    bed_end(&b);
}

Test(backups, new_server_goes_on_with_what_runs)
{
    struct bed b;
    begin(&b);
    bed_stop(&b);
    bed_start(&b);
    fake_agent_end_backup(b.fleet, "pg-1", true);
    BED_WAIT(&b, is_phase(&b, "Succeeded"));
    cr_assert_eq(fake_agent_commands(b.fleet, NULL, "/v1/backup"), 1);
    bed_end(&b);
}

Test(backups, cluster_without_repository_refuses)
{
    struct bed b;
    bed_run(&b, "{\"instances\":1}");
    struct bed_answer r = bed_post(&b, "backup", "{}");
    cr_assert_eq(r.code, 409);
    CHECK_HAS(r.message, "no repository");
    bed_end(&b);
}
