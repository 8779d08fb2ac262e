/* SPDX-License-Identifier: Apache-2.0 */
/* A standby whose slot or WAL is gone on the primary: back by itself, by a fresh copy only if nothing else helps. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "bed.h"
#include "harness/check.h"

/* The primary writes on, and has no WAL of before any more. */
static void write_segments(struct instance *p, int count)
{
    for (int n = 0; n < count; n++)
        (void)instance_sql(p, "app", "INSERT INTO t SELECT generate_series(1, 10); SELECT pg_switch_wal()");
    (void)instance_sql(p, "app", "CHECKPOINT");
    (void)instance_sql(p, "app", "CHECKPOINT");
}

/* The sender of a standby that was killed holds it for a moment. */
static void drop_slot(struct instance *p)
{
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (!str_eq(instance_sql(p, "app", "SELECT count(*) FROM pg_replication_slots WHERE active"), S("0"))) {
        cr_assert(!deadline_has_passed(deadline_ns), "the slot stays in use");
        (void)poll(NULL, 0, 10);
    }
    (void)instance_sql(p, "app", "SELECT pg_drop_replication_slot('pgi_pg_2')");
}

static const struct json *parameters(struct arena *a, const char *keep)
{
    return JSON_OBJECT_OF(a, JSON_MEMBER("min_wal_size", json_string(a, S("32MB"))),
                          JSON_MEMBER("max_slot_wal_keep_size", json_string(a, str_from(keep))));
}

/* The second is down, and what it needs next is gone from the first, which runs. */
static void open_gap(struct bed *b)
{
    bed_open(b, 2);
    b->parameters = parameters(b->arena, "-1");
    bed_start(b);
    struct instance *p = &b->instances[0], *s = &b->instances[1];
    (void)instance_app_sql(p, "CREATE TABLE t AS SELECT 1 AS x");
    instance_wait_rows(s, "1");
    instance_kill_all(s);
    drop_slot(p);
    write_segments(p, 4);
}

static size_t count_of(str text, const char *what)
{
    size_t n = 0;
    for (ptrdiff_t at; (at = str_find(text, str_from(what))) >= 0; n++)
        text = str_from_offset(text, (size_t)at + 1);
    return n;
}

static bool lacks_wal(const struct agent_status *s)
{
    return str_find(s->message, S("which is needed next")) >= 0;
}

Test(agent_gap, a_standby_whose_slot_was_dropped_and_wal_is_gone_is_copied_anew_and_says_why, .timeout = BED_TEST_S)
{
    struct bed b;
    open_gap(&b);
    struct instance *p = &b.instances[0], *s = &b.instances[1];
    instance_relaunch(s);
    instance_wait(s, "saying what it lacks", lacks_wal);
    instance_wait(s, "a streaming standby", is_streaming_standby);
    instance_wait_rows(s, "41");
    str log = instance_log(s, "agent.log");
    CHECK_HAS(log, "nobody has WAL segment");
    CHECK_HAS(log, "copying from pg-1: nobody has WAL segment");
    cr_expect(count_of(log, "\"msg\":\"copied\"") == 2, "once at first and once more");
    CHECK_STR(instance_sql(p, "postgres", "SELECT slot_name || ' ' || active FROM pg_replication_slots"),
              "pgi_pg_2 true");
    bed_close(&b);
}

Test(agent_gap, a_slot_that_lost_its_wal_is_made_anew, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 2);
    b.parameters = parameters(b.arena, "16MB");
    bed_start(&b);
    struct instance *p = &b.instances[0], *s = &b.instances[1];
    (void)instance_app_sql(p, "CREATE TABLE t AS SELECT 1 AS x");
    instance_wait_rows(s, "1");
    instance_kill_all(s);
    write_segments(p, 6);
    instance_relaunch(s);
    instance_wait(s, "a streaming standby", is_streaming_standby);
    instance_wait_rows(s, "61");
    CHECK_HAS(instance_log(p, "agent.log"), "has lost its WAL");
    cr_expect(count_of(instance_log(s, "agent.log"), "\"msg\":\"copied\"") == 2);
    bed_close(&b);
}

Test(agent_gap, what_the_archive_still_has_is_read_from_there, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 2);
    struct arena *a = b.arena;
    str path = bed_make_folder(&b, "repo");
    const struct json *repo =
        JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, S("main"))), JSON_MEMBER("path", json_string(a, path)));
    b.repositories = JSON_ARRAY_OF(a, repo);
    b.parameters = parameters(a, "-1");
    bed_start(&b);
    struct instance *p = &b.instances[0], *s = &b.instances[1];
    (void)instance_app_sql(p, "CREATE TABLE t AS SELECT 1 AS x");
    instance_wait_rows(s, "1");
    instance_kill_all(s);
    drop_slot(p);
    write_segments(p, 4);
    /* Archived, and only then removed. */
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (!str_eq(instance_sql(p, "app", "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"),
                   S("0")))
        cr_assert(!deadline_has_passed(deadline_ns), "the WAL is not archived");
    (void)instance_sql(p, "app", "CHECKPOINT");
    instance_relaunch(s);
    instance_wait(s, "a streaming standby", is_streaming_standby);
    instance_wait_rows(s, "41");
    cr_expect(count_of(instance_log(s, "agent.log"), "\"msg\":\"copied\"") == 1, "no second copy");
    bed_close(&b);
}

static int64_t waited_from;

static bool waits(const struct agent_status *s)
{
    return str_find(s->message, S("waiting for primary")) >= 0;
}

/* As many heartbeats as would have been enough to decide, had there been anybody to ask. */
static bool waits_on(const struct agent_status *s)
{
    return waits(s) && s->nonce > waited_from + 30;
}

Test(agent_gap, nothing_is_thrown_away_while_no_primary_runs, .timeout = BED_TEST_S)
{
    struct bed b;
    open_gap(&b);
    struct instance *p = &b.instances[0], *s = &b.instances[1];
    instance_kill_all(p);
    instance_relaunch(s);
    instance_wait(s, "waiting for the primary", waits);
    waited_from = instance_status(s).nonce;
    instance_wait(s, "waiting on", waits_on);
    struct agent_status st = instance_status(s);
    cr_expect(st.postgres_running && st.usable, "%.*s", STR_ARG(st.message));
    CHECK_STR(instance_sql(s, "app", "SELECT count(*) FROM t"), "1");
    cr_expect(count_of(instance_log(s, "agent.log"), "\"msg\":\"copied\"") == 1, "not copied again");
    bed_close(&b);
}

static bool waits_for_wal(const struct agent_status *s)
{
    return str_find(s->message, S("cannot serve before it has WAL segment")) >= 0;
}

/* Its data demand WAL that it does not have, so it never becomes ready: nobody can ask it where it stands. */
Test(agent_gap, a_standby_that_can_never_start_for_want_of_wal_says_so_and_is_copied_anew, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 2);
    b.parameters = parameters(b.arena, "-1");
    bed_start(&b);
    struct instance *p = &b.instances[0], *s = &b.instances[1];
    (void)instance_app_sql(p, "CREATE TABLE t AS SELECT 1 AS x");
    (void)instance_sql(p, "app", "CHECKPOINT");
    instance_wait_rows(s, "1");
    (void)instance_sql(s, "postgres", "CHECKPOINT");
    (void)instance_sql(p, "app", "INSERT INTO t VALUES (2); SELECT pg_switch_wal()");
    (void)instance_sql(p, "app", "INSERT INTO t SELECT generate_series(1, 10)");
    instance_wait_rows(s, "12");
    str needed = instance_sql(p, "postgres", "SELECT pg_walfile_name(pg_current_wal_lsn())");
    /* Stopped cleanly it notes how far it must get before it is whole again. */
    cr_assert(kill(s->pid, SIGTERM) == 0);
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (!instance_is_free(s))
        cr_assert(!deadline_has_passed(deadline_ns), "it does not stop");
    s->pid = 0;
    cr_assert(unlink(arena_printf(b.arena, "%s/pgdata/pg_wal/%.*s", s->dir, STR_ARG(str_trim(needed))).ptr) == 0);
    drop_slot(p);
    write_segments(p, 4);
    instance_relaunch(s);
    instance_wait(s, "saying what it waits for", waits_for_wal);
    instance_wait(s, "a streaming standby", is_streaming_standby);
    instance_wait_rows(s, "52");
    CHECK_HAS(instance_log(s, "agent.log"), "copying from pg-1: nobody has WAL segment");
    bed_close(&b);
}

/* As one: PostgreSQL at work would put a file into a folder that is being emptied. */
static void lose_wal_folder(struct bed *b, struct instance *s)
{
    cr_assert(rename(arena_printf(b->arena, "%s/pgdata/pg_wal", s->dir).ptr,
                     arena_printf(b->arena, "%s/pg_wal.away", s->dir).ptr) == 0);
}

/* The first copy was that of its beginning. What its status said before the copy ended does not count. */
static void expect_copied(struct instance *s, size_t times)
{
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (count_of(instance_log(s, "agent.log"), "\"msg\":\"copied\"") < times + 1) {
        cr_assert(!deadline_has_passed(deadline_ns), "%s", instance_log(s, "agent.log").ptr);
        (void)poll(NULL, 0, 100);
    }
    cr_expect(count_of(instance_log(s, "agent.log"), "copying from pg-1: the folder pg_wal is gone") == times);
    instance_wait(s, "a streaming standby", is_streaming_standby);
}

/* It streams on into files without a name, and would only find out at the end of a segment. */
Test(agent_gap, a_standby_without_its_wal_folder_is_copied_anew_while_it_streams_and_when_it_is_down,
     .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 2);
    bed_start(&b);
    struct instance *p = &b.instances[0], *s = &b.instances[1];
    (void)instance_app_sql(p, "CREATE TABLE t AS SELECT 1 AS x");
    instance_wait_rows(s, "1");
    lose_wal_folder(&b, s);
    expect_copied(s, 1);
    (void)instance_app_sql(p, "INSERT INTO t VALUES (2)");
    instance_wait_rows(s, "2");
    instance_kill_all(s);
    cr_assert(fs_remove_all(arena_printf(b.arena, "%s/pg_wal.away", s->dir).ptr, NULL) == 0);
    lose_wal_folder(&b, s);
    instance_relaunch(s);
    expect_copied(s, 2);
    (void)instance_app_sql(p, "INSERT INTO t VALUES (3)");
    instance_wait_rows(s, "3");
    bed_close(&b);
}
