/* SPDX-License-Identifier: Apache-2.0 */
/* One agent with a real PostgreSQL: from nothing to running, crashes of either, the lock, and who may command. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "bed.h"
#include "harness/check.h"

static void bring_up(struct bed *b)
{
    bed_open(b, 1);
    instance_launch(&b->instances[0]);
    instance_connect(&b->instances[0]);
    instance_configure(&b->instances[0]);
    instance_wait(&b->instances[0], "a running primary", is_running_primary);
    b->is_initialized = true;
}

Test(agent_one, initializes_and_serves_its_application_over_tls, .timeout = BED_TEST_S)
{
    struct bed b;
    bring_up(&b);
    struct instance *i = &b.instances[0];
    CHECK_STR(instance_app_sql(i, "CREATE TABLE t AS SELECT 1 AS x; SELECT count(*) FROM t"), "1");
    CHECK_STR(instance_sql(i, "postgres", "SHOW data_checksums"), "on");
    CHECK_STR(
        instance_sql(i, "postgres", "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'app'"),
        "t");
    struct agent_status s = instance_status(i);
    cr_expect(s.term == 1 && s.timeline == 1 && s.wal_term == 1 && s.usable && s.system_identifier.len > 10);
    cr_expect(str_has_prefix(s.postgres_version, S("15.")));
    bed_close(&b);
}

static size_t heard(struct instance *i)
{
    pthread_mutex_lock(&i->lock);
    size_t count = i->heard_count;
    pthread_mutex_unlock(&i->lock);
    return count;
}

static bool never(const struct agent_status *s)
{
    (void)s;
    return false;
}

/* The answer to a status is no reason for the next one: else leader and agent keep each other busy for ever. */
Test(agent_one, says_no_more_than_its_heartbeats_while_nothing_changes, .timeout = BED_TEST_S)
{
    struct bed b;
    bring_up(&b);
    struct instance *i = &b.instances[0];
    size_t before = heard(i);
    int64_t began_ns = clock_monotonic_ns();
    cr_expect(!instance_becomes(i, never, 3000));
    size_t count = heard(i) - before;
    double seconds = (double)(clock_monotonic_ns() - began_ns) / NS_PER_S;
    /* Two a second, and a few changes of what it measures. */
    cr_expect(count > 0 && (double)count <= 4 * seconds, "%zu statuses in %.1f seconds", count, seconds);
    bed_close(&b);
}

Test(agent_one, keeps_secrets_out_of_logs_arguments_and_open_files, .timeout = BED_TEST_S)
{
    struct bed b;
    bring_up(&b);
    struct instance *i = &b.instances[0];
    static const char *const files[] = { "agent.json", "config.json", "pki/server.key", "state.json" };
    for (size_t n = 0; n < ARRAY_LEN(files); n++) {
        struct stat st;
        cr_assert(stat(arena_printf(b.arena, "%s/%s", i->dir, files[n]).ptr, &st) == 0, "%s", files[n]);
        cr_expect((st.st_mode & 0777) == 0600, "%s is %o", files[n], st.st_mode & 0777u);
    }
    static const char *const logs[] = { "agent.log", "postgres.log" };
    for (size_t n = 0; n < ARRAY_LEN(logs); n++) {
        str text;
        struct error err = { 0 };
        CHECK_OK(fs_read(b.arena, arena_printf(b.arena, "%s/%s", i->dir, logs[n]).ptr, 1u << 22, &text, &err), err);
        CHECK_HAS_NOT(text, "secret");
        CHECK_HAS_NOT(text, "PRIVATE KEY");
    }
    bed_close(&b);
}

Test(agent_one, says_that_postgres_crashed_within_300_ms_and_restarts_it_on_the_leaders_word, .timeout = BED_TEST_S)
{
    struct bed b;
    bring_up(&b);
    struct instance *i = &b.instances[0];
    (void)instance_app_sql(i, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS x");
    int64_t best_ms = INT64_MAX;
    /* Again where the machine was busy with something else. */
    for (int n = 0; n < 10 && best_ms >= 300; n++) {
        pid_t first = instance_postmaster(i);
        int64_t ms = instance_crash(i);
        best_ms = ms < best_ms ? ms : best_ms;
        instance_wait(i, "running again", is_running_primary);
        cr_expect(instance_postmaster(i) != first);
    }
    cr_expect(best_ms < 300, "said after %lld ms at best", (long long)best_ms);
    CHECK_STR(instance_app_sql(i, "SELECT count(*) FROM t"), "1000");
    cr_expect(instance_status(i).term == 1 && instance_status(i).timeline == 1);
    bed_close(&b);
}

Test(agent_one, restarts_in_place_by_itself_when_no_leader_speaks, .timeout = BED_TEST_S)
{
    struct bed b;
    bring_up(&b);
    struct instance *i = &b.instances[0];
    b.is_silent = true;
    b.crash_grace_ms = 1500;
    instance_configure(i);
    int64_t began_ns = clock_monotonic_ns();
    (void)instance_crash(i);
    instance_wait(i, "running again", is_running_primary);
    cr_expect(clock_monotonic_ns() - began_ns > 1400 * NS_PER_MS, "it waited for a word");
    bed_close(&b);
}

Test(agent_one, a_new_agent_ends_the_orphaned_postgres_and_starts_anew_in_the_same_term, .timeout = BED_TEST_S)
{
    struct bed b;
    bring_up(&b);
    struct instance *i = &b.instances[0];
    (void)instance_app_sql(i, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS x");
    struct agent_status before = instance_status(i);
    pid_t orphan = instance_postmaster(i);
    instance_kill_agent(i);
    cr_expect(process_lives(orphan), "PostgreSQL outlives its agent");
    cr_expect(!instance_is_free(i), "and holds the lock");
    i->heard_ns = 0;
    instance_launch(i);
    instance_connect(i);
    instance_wait(i, "running again", is_running_primary);
    struct agent_status after = instance_status(i);
    cr_expect(str_eq(after.previous_incarnation, before.incarnation));
    cr_expect(!str_eq(after.incarnation, before.incarnation));
    cr_expect(after.term == 1 && after.timeline == 1);
    cr_expect(instance_postmaster(i) != orphan && !process_lives(orphan));
    CHECK_STR(instance_app_sql(i, "SELECT count(*) FROM t"), "1000");
    bed_close(&b);
}

static bool waits_for_word(const struct agent_status *s)
{
    return !s->postgres_running && str_find(s->message, S("leader's word")) >= 0;
}

Test(agent_one, a_new_incarnation_does_not_write_without_the_leaders_word, .timeout = BED_TEST_S)
{
    struct bed b;
    bring_up(&b);
    struct instance *i = &b.instances[0];
    instance_kill_agent(i);
    i->heard_ns = 0;
    b.may_start = false;
    instance_launch(i);
    instance_connect(i);
    instance_wait(i, "waiting for a word", waits_for_word);
    b.may_start = true;
    i->is_answered = false;
    instance_wait(i, "running", is_running_primary);
    bed_close(&b);
}

Test(agent_one, sigterm_stops_postgres_cleanly_and_frees_the_lock, .timeout = BED_TEST_S)
{
    struct bed b;
    bring_up(&b);
    struct instance *i = &b.instances[0];
    pid_t postmaster = instance_postmaster(i);
    cr_assert(kill(i->pid, SIGTERM) == 0);
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (!instance_is_free(i) && !deadline_has_passed(deadline_ns))
        (void)sched_yield();
    cr_expect(instance_is_free(i));
    cr_expect(!process_lives(postmaster));
    const char *argv[] = { "/usr/lib/postgresql/15/bin/pg_controldata", "-D",
                           arena_printf(b.arena, "%s/pgdata", i->dir).ptr, NULL };
    const char *env[] = { "LC_ALL=C", NULL };
    CHECK_HAS(bed_run(&b, argv, env), "shut down\n");
    i->pid = 0;
    bed_close(&b);
}

Test(agent_one, only_the_leader_commands_and_lower_terms_are_refused, .timeout = BED_TEST_S)
{
    struct bed b;
    bring_up(&b);
    struct instance *i = &b.instances[0];
    const struct json *answer = NULL;
    struct arena *a = b.arena;
    const struct json *old = JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, 0)));
    cr_expect(instance_command(
                  i, "/v1/restart",
                  JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, 9)), JSON_MEMBER("id", json_string(a, S("x")))),
                  &answer) == 409);
    cr_expect(instance_command(i, "/v1/exchange", old, &answer) == 409);
    cr_expect(json_int_at(answer, "term", 0) == 1);
    cr_expect(instance_command(i, "/v1/nothing", old, &answer) == 404);
    /* The same CA, another name. */
    struct pki_pair leader = b.leader;
    struct error err = { 0 };
    const struct pki_request request = { .common_name = S("pg-2"), .is_client = true };
    CHECK_OK(pki_issue(a, &b.ca, &request, &b.leader, &err), err);
    int code = instance_command(i, "/v1/shutdown", JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, 1))), &answer);
    cr_expect(code == 403, "answered with %d", code);
    /* Another CA with the right name. */
    struct pki_pair rogue;
    CHECK_OK(pki_make_ca(a, S("rogue"), 0, &rogue, &err), err);
    const struct pki_request named = { .common_name = S(AGENT_LEADER_CN), .is_client = true };
    CHECK_OK(pki_issue(a, &rogue, &named, &b.leader, &err), err);
    cr_expect(instance_command(i, "/v1/shutdown", JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, 1))), &answer) ==
              0);
    b.leader = leader;
    instance_wait(i, "still running", is_running_primary);
    bed_close(&b);
}
