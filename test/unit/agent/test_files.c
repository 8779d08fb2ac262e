/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent writes: PostgreSQL's configuration word by word, its own state, the files of skipped timelines. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/strbuf.h"
#include "harness/check.h"
#include "harness/temp_dir.h"
#include "reconcile/agent/agent.h"
#include "json/json_parse.h"

static const struct json *parse(struct arena *a, const char *text)
{
    const struct json *v = NULL;
    struct error err = { 0 };
    CHECK_OK(json_parse(a, str_from(text), NULL, &v, &err), err);
    return v;
}

static const struct paths paths = { .dir = "/d",
                                    .pgdata = "/d/pgdata",
                                    .sock = "/d/sock",
                                    .pki = "/d/pki",
                                    .run = "/d/run",
                                    .hba_file = "/d/conf/pg_hba.conf",
                                    .ident_file = "/d/conf/pg_ident.conf",
                                    .pgbackrest_file = "/d/conf/pgbackrest.conf" };

static struct agent_config config_of(struct arena *a)
{
    return (struct agent_config) {
        .instance = S("pg-1"),
        .cluster_name = S("pg"),
        .host = S("127.0.0.5"),
        .port = 5432,
        .peers = parse(a, "[{\"name\":\"pg-1\",\"host\":\"127.0.0.5\",\"port\":5432},"
                          "{\"name\":\"pg-2\",\"host\":\"127.0.0.6\",\"port\":5433}]"),
        .parameters =
            parse(a, "{\"work_mem\":\"7MB\",\"log_line_prefix\":\"it's \\\\ a\\nline\",\"max_connections\":\"50\"}"),
        .hba = parse(a, "[\"host all all 10.0.0.0/8 scram-sha-256\",\"two\\nlines\"]"),
        .synchronous_standby_names = S("ANY 1 (\"pg-2\")"),
        .repositories = &json_empty_array,
    };
}

static const char primary_golden[] = "# What follows is the agent's and wins.\n"
                                     "cluster_name = 'pg-1'\n"
                                     "listen_addresses = '127.0.0.5'\n"
                                     "port = 5432\n"
                                     "unix_socket_directories = '/d/sock'\n"
                                     "unix_socket_permissions = '0700'\n"
                                     "data_directory = '/d/pgdata'\n"
                                     "hba_file = '/d/conf/pg_hba.conf'\n"
                                     "ident_file = '/d/conf/pg_ident.conf'\n"
                                     "ssl = 'on'\n"
                                     "ssl_cert_file = '/d/pki/server.crt'\n"
                                     "ssl_key_file = '/d/pki/server.key'\n"
                                     "ssl_ca_file = '/d/pki/ca.crt'\n"
                                     "password_encryption = 'scram-sha-256'\n"
                                     "hot_standby = 'on'\n"
                                     "fsync = 'on'\n"
                                     "full_page_writes = 'on'\n"
                                     "logging_collector = 'off'\n"
                                     "log_destination = 'stderr'\n"
                                     "restart_after_crash = 'off'\n"
                                     "wal_level = 'replica'\n"
                                     "archive_mode = 'on'\n"
                                     "archive_command = '/bin/true'\n"
                                     "restore_command = ''\n"
                                     "primary_conninfo = ''\n"
                                     "primary_slot_name = ''\n"
                                     "recovery_target_timeline = 'latest'\n"
                                     "synchronous_standby_names = 'ANY 1 (\"pg-2\")'\n";

Test(agent_files, the_primarys_configuration_is_word_by_word_what_it_was)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct agent_config c = config_of(a);
    const struct conf_input in = { .path = &paths, .config = &c, .role = CONF_PRIMARY };
    struct error err = { 0 };
    str text;
    CHECK_OK(conf_text(a, &in, &text, &err), err);
    CHECK_HAS(text, "work_mem = '7MB'\nlog_line_prefix = 'it''s \\\\ a\\nline'\nmax_connections = '50'\n");
    ptrdiff_t ours = str_find(text, S("# What follows"));
    cr_assert(ours > 0);
    CHECK_STR(str_from_offset(text, (size_t)ours), primary_golden);
}

Test(agent_files, a_standby_streams_from_the_primary_and_keeps_its_limits)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct agent_config c = config_of(a);
    struct control control = { .limits = { 200, 8, 32, 0, 64 } };
    struct conf_input in = {
        .path = &paths, .config = &c, .role = CONF_STANDBY, .source = config_peer(&c, S("pg-2")), .control = &control
    };
    c.repositories = parse(a, "[{\"name\":\"main\",\"path\":\"/r\",\"retention_full\":3}]");
    struct error err = { 0 };
    str text;
    CHECK_OK(conf_text(a, &in, &text, &err), err);
    CHECK_HAS(text, "\nmax_connections = 200\n"); /* what pg_control says, above the 50 that is wanted */
    CHECK_HAS_NOT(text, "\nmax_worker_processes =");
    CHECK_HAS(text, "primary_conninfo = 'host=''127.0.0.6'' port=5433 user=''streaming_replica'' "
                    "application_name=''pg-1'' sslmode=verify-ca ");
    CHECK_HAS(text, "sslkey=''/d/pki/server.key'''\n");
    CHECK_HAS(text, "primary_slot_name = 'pgi_pg_1'\n");
    CHECK_HAS(text,
              "restore_command = 'pgbackrest --config=/d/conf/pgbackrest.conf --stanza=pg archive-get %f \"%p\"'\n");
    CHECK_HAS(text,
              "archive_command = 'pgbackrest --config=/d/conf/pgbackrest.conf --stanza=pg archive-push \"%p\"'\n");
    CHECK_HAS(text, "synchronous_standby_names = ''\n");
    in.role = CONF_STOPPING;
    CHECK_OK(conf_text(a, &in, &text, &err), err);
    CHECK_HAS(text, "archive_command = ''\n");
    CHECK_HAS(text, "synchronous_standby_names = 'ANY 1 (\"pg-2\")'\n"); /* nothing is acknowledged too early */
    in.role = CONF_FROZEN;
    CHECK_OK(conf_text(a, &in, &text, &err), err);
    CHECK_HAS(text, "primary_conninfo = ''\n");
    CHECK_HAS(text, "restore_command = ''\n");
}

Test(agent_files, a_parameter_stays_where_the_data_demand_it)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct agent_config c = config_of(a);
    struct conf_input in = {
        .path = &paths, .config = &c, .role = CONF_PRIMARY, .demands = { .slots = 4, .logical_slots = 1, .prepared = 2 }
    };
    struct error err = { 0 };
    str text;
    c.parameters = parse(a, "{\"max_replication_slots\":\"3\",\"wal_level\":\"replica\"}");
    CHECK_OK(conf_text(a, &in, &text, &err), err);
    CHECK_HAS(text, "\nmax_replication_slots = 4\nmax_prepared_transactions = 2\n");
    CHECK_HAS(text, "\nwal_level = 'logical'\n");
    CHECK_STR(conf_demanded(a, &in), "wal_level stays at logical while there is a logical replication slot; "
                                     "max_replication_slots stays at 4, the number of slots; "
                                     "max_prepared_transactions stays at 2 while transactions are prepared");
    in.role = CONF_STANDBY; /* its floor is the primary's limit */
    CHECK_OK(conf_text(a, &in, &text, &err), err);
    CHECK_HAS_NOT(text, "\nmax_prepared_transactions =");
    in.role = CONF_PRIMARY;
    c.parameters = parse(a, "{\"max_prepared_transactions\":\"2\",\"wal_level\":\"logical\"}");
    CHECK_OK(conf_text(a, &in, &text, &err), err);
    CHECK_HAS_NOT(text, "\nmax_replication_slots = 4");
    CHECK_HAS_NOT(text, "\nmax_prepared_transactions = 2");
    CHECK_STR(conf_demanded(a, &in), "");
}

static void put(const char *dir, const char *name, const void *bytes, size_t len)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct error err = { 0 };
    CHECK_OK(fs_mkdir_all(dir, 0700, &err), err);
    CHECK_OK(fs_write_atomic(arena_printf(a, "%s/%s", dir, name).ptr, str_of(bytes, len), 0600, &err), err);
}

Test(agent_files, what_the_data_demand_is_read_from_their_folder)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct data_demands none = demands_read(d.path);
    cr_assert(none.slots == 0 && none.logical_slots == 0 && none.prepared == 0);
    char state[200] = { 0 };
    put(TEMP_PATH(a, d, "pg_replslot/physical"), "state", state, sizeof(state));
    put(TEMP_PATH(a, d, "pg_replslot/cut"), "state", state, 80);
    put(TEMP_PATH(a, d, "pg_replslot/empty"), "other", state, 1);
    state[80] = 5; /* the database of a logical one */
    put(TEMP_PATH(a, d, "pg_replslot/logical"), "state", state, sizeof(state));
    put(TEMP_PATH(a, d, "pg_twophase"), "000002D9", state, 1);
    struct data_demands found = demands_read(d.path);
    cr_assert(found.slots == 4 && found.logical_slots == 1 && found.prepared == 1, "%lld %lld %lld",
              (long long)found.slots, (long long)found.logical_slots, (long long)found.prepared);
}

Test(agent_files, a_parameter_that_is_no_name_or_no_text_is_refused)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    static const char *const bad[] = { "{\"a b\":\"1\"}", "{\"a'\":\"1\"}",       "{\"\":\"1\"}",
                                       "{\"a\":1}",       "{\"a\\nport\":\"1\"}", "{\"a\":\"x\\u0000y\"}" };
    struct agent_config c = config_of(a);
    const struct conf_input in = { .path = &paths, .config = &c, .role = CONF_PRIMARY };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        str text;
        c.parameters = parse(a, bad[i]);
        CHECK_FAILS(conf_text(a, &in, &text, NULL), ERRC_INVALID);
    }
}

Test(agent_files, hba_ident_and_pgbackrest_are_word_by_word_what_they_were)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct agent_config c = config_of(a);
    struct conf_input in = { .path = &paths, .config = &c, .has_os_user = true, .os_user = S("postgres") };
    static const char first[] = "# Written by postgres-agent: changes made here are overwritten.\n";
    CHECK_STR(hba_text(a, &in), arena_printf(a,
                                             "%slocal all postgres peer map=agent\n"
                                             "hostssl replication,postgres streaming_replica all cert map=instances\n"
                                             "host all streaming_replica all reject\n"
                                             "host all postgres all reject\n"
                                             "host all all 10.0.0.0/8 scram-sha-256\n"
                                             "hostssl all all all scram-sha-256\n",
                                             first)
                                    .ptr);
    CHECK_STR(ident_text(a, &in), arena_printf(a,
                                               "%sagent \"postgres\" postgres\n"
                                               "instances \"pg-1\" streaming_replica\n"
                                               "instances \"pg-2\" streaming_replica\n",
                                               first)
                                      .ptr);
    c.repositories = parse(a, "[{\"name\":\"main\",\"path\":\"/r\",\"retention_full\":3}]");
    CHECK_HAS(pgbackrest_text(a, &in), "repo1-path=/r\nrepo1-retention-full=3\n[pg]\npg1-path=/d/pgdata\n"
                                       "pg1-socket-path=/d/sock\npg1-port=5432\npg1-user=postgres\n");
}

/* ---- state --------------------------------------------------------------------------------------------------- */

static struct agent *agent_in(struct arena *a, const char *dir)
{
    struct agent *ag = arena_new_of(a, struct agent);
    ag->path.dir = dir;
    ag->path.pgdata = arena_printf(a, "%s/pgdata", dir).ptr;
    ag->path.state = arena_printf(a, "%s/state.json", dir).ptr;
    ag->boot.instance = S("pg-1");
    ag->boot.cluster_uid = S("uid");
    (void)snprintf(ag->incarnation, sizeof(ag->incarnation), "one");
    return ag;
}

Test(agent_files, the_state_comes_back_as_it_was_and_only_to_its_own_instance)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct agent *ag = agent_in(a, d.path);
    struct durable s, back;
    struct error err = { 0 };
    bool found;
    CHECK_OK(state_read(ag, &s, &found, &err), err);
    cr_expect(!found && s.usable && s.term == 0);
    s.term = 9;
    s.granted = s.has_data = s.rewinding = true;
    s.granted_timeline = 5;
    s.usable = false;
    s.need = UINT64_C(0x1A0000028);
    (void)snprintf(s.last_restart_id, sizeof(s.last_restart_id), "r-1");
    state_note_timeline(&s, 4, 7);
    state_note_timeline(&s, 5, 9);
    state_note_timeline(&s, 4, 8);
    CHECK_OK(state_write(ag, &s, &err), err);
    struct stat st;
    cr_assert(stat(ag->path.state, &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK_OK(state_read(ag, &back, &found, &err), err);
    cr_expect(found && back.term == 9 && back.granted && back.granted_timeline == 5 && back.has_data && back.rewinding);
    cr_expect(!back.usable && back.need == s.need && back.wal_term_count == 2);
    cr_expect(state_term_of(&back, 4) == 8 && state_term_of(&back, 5) == 9 && state_term_of(&back, 6) == 0);
    CHECK_STR(str_from(back.incarnation), "one");
    CHECK_STR(str_from(back.last_restart_id), "r-1");
    ag->boot.cluster_uid = S("other");
    CHECK_FAILS(state_read(ag, &back, &found, &err), ERRC_INVALID);
}

Test(agent_files, the_oldest_timelines_are_forgotten_first)
{
    struct durable s = { 0 };
    for (int64_t n = 1; n <= AGENT_WAL_TERMS_MAX + 3; n++)
        state_note_timeline(&s, n, n + 100);
    cr_expect(s.wal_term_count == AGENT_WAL_TERMS_MAX);
    cr_expect(state_term_of(&s, 3) == 0 && state_term_of(&s, 4) == 104);
    cr_expect(state_term_of(&s, AGENT_WAL_TERMS_MAX + 3) == AGENT_WAL_TERMS_MAX + 103);
}

/* ---- timelines ----------------------------------------------------------------------------------------------- */

static bool has(struct arena *a, struct agent *ag, const char *name)
{
    return fs_exists(arena_printf(a, "%s/pg_wal/%s", ag->path.pgdata, name).ptr);
}

Test(agent_files, skipped_timelines_get_comments_and_lose_them_before_a_recovery)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct agent *ag = agent_in(a, d.path);
    struct error err = { 0 };
    CHECK_OK(fs_mkdir_all(arena_printf(a, "%s/pg_wal", ag->path.pgdata).ptr, 0700, &err), err);
    CHECK_OK(history_skip(ag, 1, 4, &err), err);
    cr_expect(has(a, ag, "00000002.history") && has(a, ag, "00000003.history") && !has(a, ag, "00000004.history"));
    CHECK_FAILS(history_skip(ag, 4, 4, &err), ERRC_INVALID);
    CHECK_FAILS(history_skip(ag, 1, 100000, &err), ERRC_INVALID);
    /* A real, higher file with timeline 1 as an ancestor needs them. */
    const char *real = arena_printf(a, "%s/pg_wal/00000004.history", ag->path.pgdata).ptr;
    CHECK_OK(fs_write_atomic(real, S("1\t0/3000100\tno recovery target specified\n"), 0600, &err), err);
    CHECK_OK(history_prune(ag, 1, &err), err);
    cr_expect(has(a, ag, "00000002.history"));
    cr_assert(remove(real) == 0);
    CHECK_OK(history_prune(ag, 2, &err), err);
    cr_expect(has(a, ag, "00000002.history"), "its own and those below stay");
    cr_expect(!has(a, ag, "00000003.history"));
}

Test(agent_files, a_history_tells_where_an_ancestor_ended)
{
    str text = S("1\t0/3000100\tno recovery target specified\n# comment\n\n7\t1/A0\tx\n");
    uint64_t lsn = 0;
    cr_expect(history_fork(text, 1, &lsn) && lsn == 0x3000100);
    cr_expect(history_fork(text, 7, &lsn) && lsn == 0x1000000A0);
    cr_expect(!history_fork(text, 2, &lsn));
    cr_expect(!history_is_comment(text) && history_is_comment(S("# skipped\n\n")) && history_is_comment(S("")));
}

Test(agent_files, a_timeline_on_which_nothing_was_written_is_forgotten_whole)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct agent *ag = agent_in(a, d.path);
    struct error err = { 0 };
    static const char *const names[] = { "0000000A.history", "0000000A0000000000000003",
                                         "archive_status/0000000A.history.ready", "000000010000000000000003",
                                         "00000001.history" };
    CHECK_OK(fs_mkdir_all(arena_printf(a, "%s/pg_wal/archive_status", ag->path.pgdata).ptr, 0700, &err), err);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        CHECK_OK(fs_write_atomic(arena_printf(a, "%s/pg_wal/%s", ag->path.pgdata, names[i]).ptr, S("x"), 0600, &err),
                 err);
    CHECK_OK(history_forget(ag, 10, &err), err);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        cr_expect(has(a, ag, names[i]) == (i >= 3), "%s", names[i]);
}

/* ---- logs and lines ------------------------------------------------------------------------------------------ */

static str whole(struct arena *a, const char *path)
{
    str text;
    struct error err = { 0 };
    CHECK_OK(fs_read(a, path, 1u << 24, &text, &err), err);
    return text;
}

/* Appends numbered lines as PostgreSQL does, rotating after each hundred; what is kept is the end of all, in order. */
static void rotate_while_written(const char *dir)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct error err = { 0 };
    const char *path = arena_printf(a, "%s/test.log", dir).ptr;
    FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    cr_assert(fd >= 0);
    STRBUF_AUTO all = STRBUF_INIT(1u << 24);
    int64_t cut = 0, sum = 0;
    for (int i = 0; i < 4000; i++) {
        str line = arena_printf(a, "line %d of a log that is rotated again and again\n", i);
        strbuf_add(&all, line);
        CHECK_OK(fs_write_all(fd, line, &err), err);
        if (i % 100 == 99) {
            CHECK_OK(logs_rotate(path, 16384, &cut, &err), err);
            sum += cut;
        }
    }
    cr_assert(sum > 0);
    struct stat st;
    cr_assert(stat(path, &st) == 0 && st.st_size < 16384 + 8192, "%lld", (long long)st.st_size);
    cr_expect(!fs_exists(arena_printf(a, "%s.4", path).ptr));
    str kept = arena_printf(a, "%.*s%.*s%.*s%.*s", STR_ARG(whole(a, arena_printf(a, "%s.3", path).ptr)),
                            STR_ARG(whole(a, arena_printf(a, "%s.2", path).ptr)),
                            STR_ARG(whole(a, arena_printf(a, "%s.1", path).ptr)), STR_ARG(whole(a, path)));
    cr_expect(str_has_suffix(strbuf_str(&all), kept), "the parts follow on each other");
    cr_assert(stat(arena_printf(a, "%s.1", path).ptr, &st) == 0 && (st.st_mode & 0777) == 0600);
}

Test(agent_files, a_log_is_cut_where_it_lies_and_nothing_between_its_parts_is_lost)
{
    TEMP_DIR(d);
    rotate_while_written(d.path);
}

Test(agent_files, a_log_is_cut_also_where_the_file_system_takes_no_head_away)
{
    char dir[] = "/dev/shm/logs.XXXXXX"; /* tmpfs has no FALLOC_FL_COLLAPSE_RANGE */
    if (!mkdtemp(dir))
        cr_skip_test("no /dev/shm");
    rotate_while_written(dir);
    struct error err = { 0 };
    CHECK_OK(fs_remove_all(dir, &err), err);
}

Test(agent_files, a_backups_progress_is_read_from_pgbackrests_lines)
{
    cr_expect(
        backup_percent(S("2026-11-23 17:00:00.000 P01 DETAIL: backup file /d/base/5/1255 (768KB, 41.07%) checksum "
                         "0a")) == 41);
    cr_expect(backup_percent(S("P01 DETAIL: backup file /d/x (8KB, 100.00%) checksum 0a")) == 100);
    cr_expect(backup_percent(S("P00   INFO: backup start archive = 000000010000000000000002")) == -1);
    cr_expect(backup_percent(S("P01 DETAIL: backup file /d/x (0B, 7.00%)")) == -1);
    cr_expect(backup_percent(S("")) == -1);
}
