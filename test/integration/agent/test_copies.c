/* SPDX-License-Identifier: Apache-2.0 */
/* Copies and rewinds that fail or whose agent is killed; what is durable when; slots that move on standbys; commits
 * that wait for a synchronous standby. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/process.h"
#include "bed.h"
#include "harness/check.h"

/* ---- programs that fail or hang ------------------------------------------------------------------------------- */

static void put_program(struct bed *b, const char *name, const char *script)
{
    const char *path = arena_printf(b->arena, "%s/%s", b->postgres_bin, name).ptr;
    const char *real = arena_printf(b->arena, "/usr/lib/postgresql/15/bin/%s", name).ptr;
    struct error err = { 0 };
    (void)unlink(path);
    if (!script) {
        cr_assert(symlink(real, path) == 0);
        return;
    }
    CHECK_OK(fs_write_atomic(path, arena_printf(b->arena, "#!/bin/sh\n%s\n", script), 0755, &err), err);
}

/* PostgreSQL's programs in a folder of the bed's, one of them replaced. */
static void replace_program(struct bed *b, const char *name, const char *script)
{
    static const char *const names[] = { "postgres",  "initdb",     "pg_controldata", "pg_basebackup",
                                         "pg_rewind", "pg_waldump", "pg_ctl" };
    b->postgres_bin = bed_make_folder(b, "bin").ptr;
    cr_assert(chmod(b->postgres_bin, 0755) == 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        put_program(b, names[i], strcmp(names[i], name) == 0 ? script : NULL);
}

/* Says its pid in a file of the instance's folder, and goes on for ever. */
static const char hanging[] = "echo $$ >hanging.tmp; mv hanging.tmp hanging; exec sleep 3600";

static pid_t wait_hanging(struct instance *i)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const char *path = arena_printf(a, "%s/hanging", i->dir).ptr;
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS), pid = 0;
    str text;
    while (fs_read(a, path, 100, &text, NULL) != 0) {
        cr_assert(!deadline_has_passed(deadline_ns), "it is never begun");
        (void)poll(NULL, 0, 10);
    }
    cr_assert(str_to_i64(str_trim(text), &pid) && unlink(path) == 0);
    return (pid_t)pid;
}

/* The agent is killed while a program of it works; the next one ends that and begins anew with the real one. */
static void kill_while(struct instance *i, const char *program)
{
    pid_t orphan = wait_hanging(i);
    instance_kill_agent(i);
    cr_expect(process_lives(orphan) && !instance_is_free(i), "what still works on the data holds the lock");
    put_program(i->bed, program, NULL);
    instance_relaunch(i);
    cr_expect(!process_lives(orphan), "%s goes on behind the back of the next agent", program);
}

Test(agent_copies, an_agent_killed_in_initdb_begins_anew, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 1);
    struct instance *i = &b.instances[0];
    replace_program(&b, "initdb", hanging);
    instance_launch(i);
    instance_connect(i);
    instance_configure(i);
    kill_while(i, "initdb");
    /* Also when the folder was in place, but nothing noted that it is whole. */
    const char *pgdata = arena_printf(b.arena, "%s/pgdata", i->dir).ptr;
    if (!fs_exists(pgdata))
        (void)mkdir(pgdata, 0755);
    if (b.has_user)
        (void)!chown(pgdata, b.uid, b.gid);
    instance_wait(i, "a running primary", is_running_primary);
    (void)instance_app_sql(i, "CREATE TABLE t AS SELECT 1 AS x");
    bed_close(&b);
}

Test(agent_copies, an_agent_killed_in_a_copy_begins_anew, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 2);
    struct instance *p = &b.instances[0], *s = &b.instances[1];
    replace_program(&b, "pg_basebackup", hanging);
    for (size_t n = 0; n < 2; n++) {
        instance_launch(&b.instances[n]);
        instance_connect(&b.instances[n]);
    }
    bed_configure_all(&b);
    instance_wait(p, "a running primary", is_running_primary);
    b.is_initialized = true;
    kill_while(s, "pg_basebackup");
    instance_wait(s, "a streaming standby", is_streaming_standby);
    bed_close(&b);
}

/* The first one has WAL that the second, now primary, never got. */
static void diverge(struct bed *b)
{
    struct instance *one = &b->instances[0], *two = &b->instances[1];
    (void)instance_app_sql(one, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS x");
    instance_wait_rows(two, "1000");
    b->term++;
    b->primary = "";
    cr_expect(instance_prepare(two, "freeze").frozen);
    (void)instance_app_sql(one, "INSERT INTO t SELECT generate_series(1, 5000)");
    b->is_silent = true;
    (void)instance_crash(one);
    cr_expect(instance_prepare(one, "stop").stopped);
    b->is_silent = false;
    instance_promote(two, 2);
    instance_wait(two, "the primary", is_running_primary);
    (void)instance_app_sql(two, "INSERT INTO t VALUES (1)");
    bed_configure_all(b);
}

Test(agent_copies, a_failed_rewind_is_followed_by_a_fresh_copy, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 2);
    replace_program(&b, "pg_rewind", "rm -rf pgdata/base; echo 'pg_rewind: error: it broke' >&2; exit 1");
    bed_start(&b);
    diverge(&b);
    struct instance *one = &b.instances[0];
    instance_wait(one, "a streaming standby", is_streaming_standby);
    instance_wait_rows(one, "1001");
    str log = instance_log(one, "agent.log");
    CHECK_HAS(log, "it broke");
    CHECK_HAS(log, "copying from pg-2: pg_rewind failed");
    bed_close(&b);
}

Test(agent_copies, a_rewind_whose_agent_was_killed_is_not_repeated_on_half_rewound_data, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 2);
    replace_program(&b, "pg_rewind", hanging);
    bed_start(&b);
    diverge(&b);
    struct instance *one = &b.instances[0];
    kill_while(one, "pg_rewind");
    instance_wait(one, "a streaming standby", is_streaming_standby);
    instance_wait_rows(one, "1001");
    str log = instance_log(one, "agent.log");
    CHECK_HAS_NOT(log, "\"rewound\"");
    CHECK_HAS(log, "\"copied\"");
    bed_close(&b);
}

/* ---- durability ---------------------------------------------------------------------------------------------- */

static pid_t launch_traced(struct instance *i, const char *out)
{
    struct bed *b = i->bed;
    const char *argv[] = { "strace",
                           "-f",
                           "--seccomp-bpf",
                           "-qq",
                           "-s",
                           "1000",
                           "-o",
                           out,
                           "-e",
                           "trace=syncfs,fsync,rename,write",
                           getenv("POSTGRES_AGENT"),
                           "--data-dir",
                           i->dir,
                           "--foreground",
                           NULL };
    const struct process_spec spec = bed_spec(b, argv);
    struct error err = { 0 };
    pid_t tracer;
    CHECK_OK(process_start(&spec, &tracer, &err), err);
    return tracer;
}

static bool is_up(const struct agent_status *s)
{
    return is_running_primary(s) || is_streaming_standby(s);
}

/* What stands first after `from`, as its position. */
static ptrdiff_t after(str text, ptrdiff_t from, const char *what)
{
    ptrdiff_t at = from < 0 ? -1 : str_find(str_from_offset(text, (size_t)from), str_from(what));
    return at < 0 ? -1 : from + at;
}

/* Everything on disk, then into place, then the folder synced, and only then it counts. */
static void check_order(struct instance *i, const char *out)
{
    str text;
    struct error err = { 0 };
    CHECK_OK(fs_read(i->bed->arena, out, 1u << 28, &text, &err), err);
    /* Under strace a call that another thread's interrupts stands on two lines; the second has the result. */
    const char *renamed = arena_printf(i->bed->arena, "rename(\"%s/pgdata.new\", \"%s/pgdata\"", i->dir, i->dir).ptr;
    ptrdiff_t counts = after(text, 0, "\\\"hasData\\\":true"), moved = after(text, 0, renamed);
    ptrdiff_t synced = after(text, 0, "syncfs("), folder = after(text, moved, "fsync(");
    cr_assert(synced >= 0 && moved >= 0 && counts >= 0 && folder >= 0, "%s: %td %td %td %td", i->name, synced, moved,
              folder, counts);
    cr_expect(synced < moved && moved < folder && folder < counts, "%s: %td %td %td %td", i->name, synced, moved,
              folder, counts);
    str line = str_from_offset(text, (size_t)synced), rest;
    (void)str_cut(line, '\n', &line, &rest);
    ptrdiff_t resumed = after(text, synced, "syncfs resumed>");
    if (str_has_suffix(line, S("<unfinished ...>")) && resumed >= 0)
        (void)str_cut(str_from_offset(text, (size_t)resumed), '\n', &line, &rest);
    cr_expect(str_has_suffix(line, S("= 0")) && resumed < moved, "%.*s", STR_ARG(line));
}

static void launch_and_check(struct instance *i)
{
    struct bed *b = i->bed;
    const char *out = arena_printf(b->arena, "%s/trace-%s", bed_make_folder(b, i->name + 3).ptr, i->name).ptr;
    pid_t tracer = launch_traced(i, out);
    const char *pid_file = arena_printf(b->arena, "%s/agent.pid", i->dir).ptr;
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS), pid = 0;
    str text;
    while (fs_read(b->arena, pid_file, 100, &text, NULL) != 0 || !str_to_i64(str_trim(text), &pid)) {
        cr_assert(!deadline_has_passed(deadline_ns), "it does not start under strace");
        (void)poll(NULL, 0, 20);
    }
    i->pid = (pid_t)pid;
    do {
        instance_connect(i);
        (void)poll(NULL, 0, 200);
        cr_assert(!deadline_has_passed(deadline_ns), "it does not listen");
    } while (i->heard_ns == 0);
    instance_configure(i);
    instance_wait(i, "up", is_up);
    check_order(i, out);
    if (strcmp(i->name, "pg-1") == 0)
        return;
    (void)kill(i->pid, SIGTERM);
    while (waitpid(tracer, NULL, 0) < 0 && errno == EINTR)
        continue;
    i->pid = 0;
}

Test(agent_copies, data_count_only_after_they_are_on_the_disk, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 2);
    launch_and_check(&b.instances[0]);
    b.is_initialized = true;
    launch_and_check(&b.instances[1]);
    bed_close(&b);
}

/* ---- slots and synchronous commits ----------------------------------------------------------------------------- */

static str slot_of(struct instance *i, const char *slot)
{
    return instance_sql(
        i, "postgres",
        arena_printf(i->bed->arena, "SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = '%s'", slot).ptr);
}

Test(agent_copies, slots_on_standbys_follow_the_primarys_and_hold_what_a_new_primary_needs, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 3);
    b.parameters = JSON_OBJECT_OF(b.arena, JSON_MEMBER("min_wal_size", json_string(b.arena, S("32MB"))));
    bed_start(&b);
    struct instance *one = &b.instances[0], *two = &b.instances[1], *three = &b.instances[2];
    (void)instance_app_sql(one, "CREATE TABLE t AS SELECT 1 AS x");
    uint64_t before = 0, now = 0, primarys = 0;
    cr_assert(lsn_parse(slot_of(two, "pgi_pg_3"), &before));
    static const char segment[] = "INSERT INTO t SELECT generate_series(1, 10); SELECT pg_switch_wal()";
    (void)instance_sql(one, "app", segment);
    (void)instance_sql(one, "app", segment);
    instance_wait_rows(three, "21");
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    do {
        cr_assert(!deadline_has_passed(deadline_ns), "the copied slot never moves: it keeps WAL for ever");
        (void)poll(NULL, 0, 100);
        cr_assert(lsn_parse(slot_of(two, "pgi_pg_3"), &now));
    } while (now < before + (16u << 20));
    /* The third is away: what it needs stays on the second, too. */
    instance_kill_all(three);
    cr_assert(lsn_parse(slot_of(one, "pgi_pg_3"), &primarys));
    for (int n = 0; n < 4; n++)
        (void)instance_sql(one, "app", segment);
    instance_wait_rows(two, "61");
    (void)instance_sql(one, "app", "CHECKPOINT");
    (void)instance_sql(two, "app", "CHECKPOINT");
    b.term++;
    b.primary = "";
    cr_expect(instance_prepare(one, "stop").stopped && instance_prepare(two, "freeze").usable);
    instance_promote(two, 2);
    instance_wait(two, "the primary", is_running_primary);
    cr_assert(lsn_parse(slot_of(two, "pgi_pg_3"), &now));
    cr_expect(now <= primarys, "it holds no less than the primary's did");
    instance_relaunch(three);
    bed_configure_all(&b);
    instance_wait(three, "a streaming standby", is_streaming_standby);
    instance_wait_rows(three, "61");
    ptrdiff_t copied = str_find(instance_log(three, "agent.log"), S("\"msg\":\"copied\""));
    str rest = str_from_offset(instance_log(three, "agent.log"), (size_t)copied + 5);
    cr_expect(str_find(rest, S("\"msg\":\"copied\"")) < 0, "without another copy");
    bed_close(&b);
}

Test(agent_copies, commits_wait_for_the_synchronous_standby, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 2);
    bed_start(&b);
    struct instance *p = &b.instances[0], *s = &b.instances[1];
    (void)instance_app_sql(p, "CREATE TABLE t AS SELECT 1 AS x");
    b.sync_names = "ANY 1 (\"pg-2\")";
    bed_configure_all(&b);
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (!str_eq(instance_sql(p, "postgres", "SELECT sync_state FROM pg_stat_replication"), S("quorum")))
        cr_assert(!deadline_has_passed(deadline_ns), "it never becomes synchronous");
    instance_kill_all(s);
    const char *conninfo = arena_printf(b.arena, "host=%s/sock port=%d user=postgres dbname=app", p->dir, p->port).ptr;
    const char *argv[] = { "/usr/lib/postgresql/15/bin/psql", "-XAtqc", "INSERT INTO t VALUES (2)", conninfo, NULL };
    const struct process_spec spec = {
        .argv = argv, .cwd = "/", .uid = b.uid, .gid = b.gid, .has_user = b.has_user, .stdout_fd = -1, .stderr_fd = -1
    };
    struct error err = { 0 };
    pid_t client;
    CHECK_OK(process_start(&spec, &client, &err), err);
    while (!str_eq(instance_sql(p, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"),
                   S("1")))
        cr_assert(!deadline_has_passed(deadline_ns), "it does not wait");
    cr_expect(waitpid(client, NULL, WNOHANG) == 0, "not acknowledged");
    instance_relaunch(s);
    int status = -1;
    while (waitpid(client, &status, 0) < 0 && errno == EINTR)
        continue;
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "acknowledged when the standby has it");
    CHECK_STR(instance_sql(s, "app", "SELECT count(*) FROM t"), "2");
    bed_close(&b);
}
