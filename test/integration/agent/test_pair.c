/* SPDX-License-Identifier: Apache-2.0 */
/* Two and three agents: join by copy, streaming, changes of primary in both ways, rewind, restarts, synchronous commit.
 */
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fs.h"
#include "bed.h"
#include "harness/check.h"

/* The change of primary as a leader does it; the old primary may be dead. */
static void change_primary(struct bed *b, struct instance *from, struct instance *to, int64_t timeline)
{
    b->term++;
    b->primary = "";
    struct agent_report old = instance_prepare(from, "stop");
    cr_expect(old.stopped && old.term == b->term);
    struct agent_report r = instance_prepare(to, "freeze");
    cr_expect(r.frozen && r.usable && r.term == b->term);
    uint64_t had = 0, has = 0;
    cr_expect(lsn_parse(old.flush_lsn, &had) && lsn_parse(r.flush_lsn, &has));
    if (old.clean_shutdown)
        cr_expect(has >= had, "a clean stop sends everything: %.*s, %.*s", STR_ARG(r.flush_lsn),
                  STR_ARG(old.flush_lsn));
    instance_promote(to, timeline);
    instance_wait(to, "the primary", is_running_primary);
    struct agent_status s = instance_status(to);
    cr_expect(s.timeline == timeline, "timeline %lld", (long long)s.timeline);
    bed_configure_all(b);
}

Test(agent_pair, a_standby_joins_by_copy_and_streams, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 2);
    struct instance *p = &b.instances[0], *s = &b.instances[1];
    (void)instance_app_sql(p, "CREATE TABLE t AS SELECT generate_series(1, 10000) AS x");
    instance_wait_rows(s, "10000");
    struct agent_status st = instance_status(s);
    cr_expect(st.in_recovery && st.usable && st.timeline == 1 && st.wal_term == 1);
    CHECK_STR(instance_sql(p, "postgres", "SELECT application_name || ' ' || state FROM pg_stat_replication"),
              "pg-2 streaming");
    CHECK_STR(instance_sql(p, "postgres", "SELECT slot_name || ' ' || active FROM pg_replication_slots"),
              "pgi_pg_2 true");
    CHECK_STR(instance_sql(s, "postgres", "SELECT slot_name || ' ' || active FROM pg_replication_slots"),
              "pgi_pg_1 false");
    CHECK_STR(
        instance_sql(p, "postgres",
                     "SELECT ssl AND client_dn LIKE '%pg-2%' FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)"),
        "t");
    bed_close(&b);
}

Test(agent_pair, a_switchover_loses_nothing_and_the_old_primary_comes_back, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 2);
    struct instance *one = &b.instances[0], *two = &b.instances[1];
    (void)instance_app_sql(one, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS x");
    change_primary(&b, one, two, 7); /* 2 to 6 are skipped */
    CHECK_STR(instance_app_sql(two, "INSERT INTO t VALUES (1); SELECT count(*) FROM t"), "1001");
    instance_wait(one, "a streaming standby", is_streaming_standby);
    instance_wait_rows(one, "1001");
    cr_expect(instance_status(one).timeline == 7 && instance_status(one).wal_term == 2);
    change_primary(&b, two, one, 8);
    (void)instance_app_sql(one, "INSERT INTO t VALUES (1)");
    instance_wait(two, "a streaming standby", is_streaming_standby);
    instance_wait_rows(two, "1002");
    bed_close(&b);
}

Test(agent_pair, a_crashed_primary_is_replaced_and_rewound, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 2);
    struct instance *one = &b.instances[0], *two = &b.instances[1];
    (void)instance_app_sql(one, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS x");
    instance_wait_rows(two, "1000");
    /* WAL that the standby never gets: its receiver is stopped while the primary writes on. */
    b.term++;
    b.primary = "";
    struct agent_report frozen = instance_prepare(two, "freeze");
    cr_expect(frozen.frozen);
    (void)instance_app_sql(one, "INSERT INTO t SELECT generate_series(1, 5000)");
    b.is_silent = true;
    (void)instance_crash(one);
    struct agent_report old = instance_prepare(one, "stop");
    cr_expect(old.stopped && !old.clean_shutdown);
    b.is_silent = false;
    instance_promote(two, 2);
    instance_wait(two, "the primary", is_running_primary);
    (void)instance_app_sql(two, "INSERT INTO t VALUES (1)");
    bed_configure_all(&b);
    instance_wait(one, "a streaming standby", is_streaming_standby);
    instance_wait_rows(one, "1001");
    str log;
    struct error err = { 0 };
    CHECK_OK(fs_read(b.arena, arena_printf(b.arena, "%s/agent.log", one->dir).ptr, 1u << 22, &log, &err), err);
    CHECK_HAS(log, "rewound");
    bed_close(&b);
}

Test(agent_pair, the_third_follows_the_new_primary_without_a_restart, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 3);
    struct instance *one = &b.instances[0], *two = &b.instances[1], *three = &b.instances[2];
    (void)instance_app_sql(one, "CREATE TABLE t AS SELECT 1 AS x");
    pid_t before = instance_postmaster(three);
    b.term++;
    b.primary = "";
    cr_expect(instance_prepare(one, "stop").clean_shutdown);
    cr_expect(instance_prepare(two, "freeze").frozen);
    cr_expect(instance_prepare(three, "freeze").frozen);
    /* Asked again, it answers the same (rule 18). */
    cr_expect(instance_prepare(three, "freeze").frozen);
    instance_promote(two, 3);
    bed_configure_all(&b);
    instance_wait(two, "the primary", is_running_primary);
    (void)instance_app_sql(two, "INSERT INTO t VALUES (2)");
    instance_wait(three, "streaming", is_streaming_standby);
    instance_wait_rows(three, "2");
    cr_expect(instance_postmaster(three) == before, "by reload only");
    /* Decided: a late prepare of this term changes nothing. */
    const struct json *answer = NULL;
    cr_expect(instance_command(three, "/v1/prepare",
                               JSON_OBJECT_OF(b.arena, JSON_MEMBER("term", json_int(b.arena, b.term)),
                                              JSON_MEMBER("want", json_string(b.arena, S("freeze")))),
                               &answer) == 409);
    cr_expect(json_bool_at(answer, "decided", false));
    bed_close(&b);
}

static bool is_pending(const struct agent_status *s)
{
    return s->pending_restart && str_eq(s->pending_restart_names, S("max_connections"));
}

static bool is_not_pending(const struct agent_status *s)
{
    return is_running_primary(s) && !s->pending_restart && str_eq(s->last_restart_id, S("r-1"));
}

Test(agent_pair, parameters_apply_by_reload_or_wait_for_one_restart, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 1);
    struct instance *i = &b.instances[0];
    struct arena *a = b.arena;
    b.parameters = JSON_OBJECT_OF(a, JSON_MEMBER("work_mem", json_string(a, S("7MB"))),
                                  JSON_MEMBER("max_connections", json_string(a, S("60"))),
                                  JSON_MEMBER("log_line_prefix", json_string(a, S("it's \\odd %m "))));
    instance_configure(i);
    instance_wait(i, "waiting for a restart", is_pending);
    cr_expect(instance_status(i).restart_primary_first, "a limit falls");
    CHECK_STR(instance_sql(i, "postgres", "SHOW work_mem"), "7MB");
    CHECK_STR(instance_sql(i, "postgres", "SHOW max_connections"), "100");
    pid_t before = instance_postmaster(i);
    const struct json *body =
        JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, 1)), JSON_MEMBER("id", json_string(a, S("r-1"))));
    cr_expect(instance_command(i, "/v1/restart", body, NULL) == 200);
    instance_wait(i, "restarted", is_not_pending);
    pid_t after = instance_postmaster(i);
    cr_expect(after != before);
    CHECK_STR(instance_sql(i, "postgres", "SHOW max_connections"), "60");
    CHECK_STR(instance_sql(i, "postgres", "SHOW log_line_prefix"), "it's \\odd %m");
    cr_expect(instance_command(i, "/v1/restart", body, NULL) == 200, "the same id again is no second restart");
    instance_wait(i, "still running", is_running_primary);
    cr_expect(instance_postmaster(i) == after);
    bed_close(&b);
}

static bool says_why(const struct agent_status *s)
{
    return is_crashed(s) && str_find(s->message, S("configuration file")) >= 0;
}

Test(agent_pair, a_server_that_cannot_start_says_why_and_recovers_with_a_better_configuration, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 1);
    struct instance *i = &b.instances[0];
    b.parameters = JSON_OBJECT_OF(b.arena, JSON_MEMBER("shared_buffers", json_string(b.arena, S("lots"))));
    instance_configure(i);
    const struct json *body = JSON_OBJECT_OF(b.arena, JSON_MEMBER("term", json_int(b.arena, 1)),
                                             JSON_MEMBER("id", json_string(b.arena, S("r-1"))));
    cr_expect(instance_command(i, "/v1/restart", body, NULL) == 200);
    instance_wait(i, "saying why", says_why);
    b.parameters = NULL;
    instance_configure(i);
    instance_wait(i, "running", is_running_primary);
    bed_close(&b);
}

Test(agent_pair, data_without_its_state_file_counts_for_nothing_and_is_copied_anew, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 2);
    struct instance *two = &b.instances[1];
    (void)instance_app_sql(&b.instances[0], "CREATE TABLE t AS SELECT 1 AS x");
    /* Promises lost with the state file: what is there counts for nothing (rule 47). */
    instance_kill_agent(two);
    cr_assert(remove(arena_printf(b.arena, "%s/state.json", two->dir).ptr) == 0);
    two->heard_ns = 0;
    instance_launch(two);
    instance_connect(two);
    instance_wait(two, "a streaming standby", is_streaming_standby);
    instance_wait_rows(two, "1");
    str log;
    struct error err = { 0 };
    CHECK_OK(fs_read(b.arena, arena_printf(b.arena, "%s/agent.log", two->dir).ptr, 1u << 22, &log, &err), err);
    ptrdiff_t first = str_find(log, S("copied"));
    cr_assert(first >= 0);
    cr_expect(str_find(str_from_offset(log, (size_t)first + 6), S("copied")) >= 0, "copied twice");
    bed_close(&b);
}
