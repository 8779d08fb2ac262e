/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at PostgreSQL every half second and when asked to, on a thread and a connection of its own: one query under a
 * deadline, and a bounded write with fsync by a forked child (a thread that hangs in the disk could not be left
 * behind). Each look ends with a heartbeat.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "json/json_parse.h"

#define QUERY_MS 1500
#define WRITE_PROBE_MS 1000
#define WRITE_PROBE_EVERY 4 /* looks */
#define CONNECT_EVERY 20    /* looks: an open session says nothing about whether a new one is let in */
#define AGAIN_MS 100
#define LOAD_FIRST_MS 10 /* a reload takes so long at least */
#define ARCHIVE_PATIENCE_MS 20000

static const char probe_sql[] =
    "WITH p AS (SELECT pg_is_in_recovery() AS r), "
    /* A leading "-": nothing but our file has spoken of it. */
    "s AS (SELECT string_agg(CASE WHEN sourcefile LIKE '%/postgresql.auto.conf' OR EXISTS (SELECT 1 FROM "
    "pg_file_settings f WHERE lower(f.name) = lower(s.name) AND f.sourcefile LIKE '%/postgresql.auto.conf') "
    "THEN '' ELSE '-' END || name || '=' || CASE WHEN vartype = 'integer' THEN setting ELSE '' END, E'\n' ORDER BY "
    "name) "
    "FILTER (WHERE pending_restart) AS waiting, string_agg(name, E'\n') "
    "FILTER (WHERE sourcefile LIKE '%/postgresql.auto.conf') AS altered FROM pg_settings s) "
    "SELECT r, "
    "CASE WHEN r THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, "
    "CASE WHEN r THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) ELSE pg_current_wal_flush_lsn() "
    "END, "
    "CASE WHEN r THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, "
    "CASE WHEN r THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), "
    "(SELECT timeline_id FROM pg_control_checkpoint())) "
    "ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END, "
    "(SELECT pid FROM pg_stat_wal_receiver WHERE status = 'streaming'), "
    "CASE WHEN r AND pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn() "
    "THEN extract(epoch FROM now() - pg_last_xact_replay_timestamp()) ELSE 0 END, "
    "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()), "
    "current_setting('server_version'), "
    "(SELECT system_identifier FROM pg_control_system()), "
    "waiting, "
    "(SELECT json_agg(json_build_object('name', application_name, 'sent_lsn', sent_lsn, 'flush_lsn', flush_lsn, "
    "'replay_lsn', replay_lsn, 'state', state, 'sync_state', sync_state) ORDER BY application_name) "
    "FROM pg_stat_replication WHERE usename = '" AGENT_REPLICA_ROLE "' AND state <> 'backup'), "
    "(SELECT last_failed_wal || ' ' || (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') "
    "FROM pg_stat_archiver WHERE NOT r AND last_failed_time > coalesce(last_archived_time, '-infinity')), "
    "current_setting('" LOADED_MARK_NAME "', true), altered, "
    "(SELECT left(string_agg(quote_ident(spcname), ', ' ORDER BY spcname), 80) FROM pg_tablespace "
    "WHERE NOT r AND pg_tablespace_location(oid) <> ''), "
    "(SELECT left(string_agg(slot_name, ', ' ORDER BY slot_name), 200) FROM pg_replication_slots "
    "WHERE NOT r AND slot_type = 'logical' AND NOT temporary), "
    "(SELECT count(*) FROM pg_prepared_xacts) "
    "FROM p, s";

/* What a reload could not take over, besides what waits for a restart. */
static const char refused_sql[] =
    "SELECT string_agg(coalesce(f.name || ': ', '') || f.error, '; ' ORDER BY f.seqno) FROM pg_file_settings f "
    "LEFT JOIN pg_settings s ON lower(s.name) = lower(f.name) "
    "WHERE f.error IS NOT NULL AND NOT coalesce(s.pending_restart, false)";

struct prober {
    struct agent *ag;
    struct pg *c;
    int64_t connected_ns; /* start of the postmaster that the connection belongs to */
    int unloaded_looks;
    int64_t load_wait_ms; /* what was written is not loaded yet: look again so soon; 0: it is */
    unsigned look;
    /* Streams when seen twice: one whose WAL the primary lacks says so for a moment, too, before it is turned away. */
    int64_t receiver; /* pid of the WAL receiver */
    bool looks_soon;
    int64_t archive_ns; /* the archiver fails: when that is worth telling; 0: it does not */
    pid_t writer;       /* outstanding write probe */
    int writer_fd;
    int64_t writer_deadline_ns;
};

/* ---- the query ----------------------------------------------------------------------------------------------- */

static int64_t int_cell(const struct pg_rows *rows, size_t column)
{
    int64_t n = 0;
    (void)str_to_i64(pg_cell(rows, 0, column), &n);
    return n;
}

static void take_lsn(const struct pg_rows *rows, size_t column, uint64_t *ret)
{
    uint64_t lsn;
    if (lsn_parse(pg_cell(rows, 0, column), &lsn))
        *ret = lsn;
}

static double seconds_cell(struct arena *a, const struct pg_rows *rows, size_t column)
{
    str text = pg_cell(rows, 0, column);
    double n = 0;
    if (text.len > 0)
        (void)json_to_double(json_number_text(a, text), &n);
    return n;
}

static void take_replication(struct board *b, str text)
{
    struct arena *a = arena_new();
    const struct json *v = NULL;
    if (text.len == 0 || json_parse(a, text, NULL, &v, NULL) != 0)
        v = NULL;
    arena_free(b->replication_arena);
    b->replication_arena = a;
    b->replication = v;
}

/* "000000010000000000000007 12": what fails, and how many files wait. The archiver tries again by itself, and at first
 * the stanza may not be there yet. */
static void take_archive(struct prober *p, struct board *b, str text)
{
    str file, count;
    if (text.len == 0)
        p->archive_ns = 0;
    else if (p->archive_ns == 0)
        p->archive_ns = deadline_in_ms(ARCHIVE_PATIENCE_MS);
    if (text.len > 0 && !deadline_has_passed(p->archive_ns))
        text = S("");
    (void)str_cut(text, ' ', &file, &count);
    b->archive_waiting = 0;
    (void)str_to_i64(count, &b->archive_waiting);
    (void)snprintf(b->archive_failing, sizeof(b->archive_failing), "%.*s", STR_ARG(file));
}

static void take_not_replicated(struct board *b, str tablespaces, str slots)
{
    static const char of_tablespaces[] =
        "tablespaces (%.*s) lie outside of the data folder: instances of one machine "
        "write over each other's files there, and nobody can be copied anew; move what "
        "is in them to pg_default and drop them";
    static const char of_slots[] = "logical replication slots (%.*s) are not taken over when the primary changes";
    char *at = b->not_replicated;
    size_t size = sizeof(b->not_replicated);
    at[0] = '\0';
    if (tablespaces.len > 0)
        (void)snprintf(at, size, of_tablespaces, STR_ARG(tablespaces));
    size_t len = strlen(at);
    if (slots.len > 0 && len > 0)
        len += (size_t)snprintf(at + len, size - len, "; ");
    if (slots.len > 0)
        (void)snprintf(at + len, size - len, of_slots, STR_ARG(slots));
}

static void take_result(struct prober *p, struct arena *a, const struct pg_rows *rows)
{
    struct agent *ag = p->ag;
    int64_t receiver = int_cell(rows, 5);
    bool is_steady = receiver != 0 && receiver == p->receiver;
    p->looks_soon = receiver != p->receiver;
    p->receiver = receiver;
    pthread_mutex_lock(&ag->lock);
    struct board *b = &ag->board;
    /* A server that was stopped or promoted meanwhile: the worker knows better. */
    if (b->is_ready && b->start_ns == p->connected_ns) {
        b->in_recovery = pg_is_true(rows, 0, 0);
        take_lsn(rows, 1, &b->lsn);
        take_lsn(rows, 2, &b->flush_lsn);
        take_lsn(rows, 3, &b->replay_lsn);
        b->timeline = int_cell(rows, 4);
        b->streaming = is_steady;
        b->lag_seconds = seconds_cell(a, rows, 6);
        b->sessions = int_cell(rows, 7);
        str version, packager;
        (void)str_cut(pg_cell(rows, 0, 8), ' ', &version, &packager);
        (void)snprintf(b->version, sizeof(b->version), "%.*s", STR_ARG(version));
        (void)snprintf(b->system_identifier, sizeof(b->system_identifier), "%.*s", STR_ARG(pg_cell(rows, 0, 9)));
        take_replication(b, pg_cell(rows, 0, 11));
        take_archive(p, b, pg_cell(rows, 0, 12));
        b->prepared = int_cell(rows, 17);
        take_not_replicated(b, pg_cell(rows, 0, 15), pg_cell(rows, 0, 16));
        loaded_take(b, pg_cell(rows, 0, 13), pg_cell(rows, 0, 10));
        b->health_ok = true;
        b->health_error[0] = '\0';
    }
    pthread_mutex_unlock(&ag->lock);
}

static void take_failure(struct prober *p, const struct error *err)
{
    struct agent *ag = p->ag;
    pthread_mutex_lock(&ag->lock);
    if (ag->board.is_ready) {
        ag->board.health_ok = false;
        ag->board.streaming = false;
        (void)snprintf(ag->board.health_error, sizeof(ag->board.health_error), "%.*s",
                       (int)sizeof(ag->board.health_error) - 1, err->text);
    }
    pthread_mutex_unlock(&ag->lock);
}

static void drop(struct prober *p)
{
    if (p->c)
        pg_close(p->c);
    p->c = NULL;
}

/* After a look that found something written and not loaded: is it now, and was anything of it refused? */
static void look_at_load(struct prober *p, struct arena *a, int64_t deadline_ns)
{
    struct agent *ag = p->ag;
    struct pg_rows rows;
    str refused = S("");
    if (pg_query(p->c, a, refused_sql, NULL, deadline_ns, &rows, NULL) == 0)
        refused = pg_cell(&rows, 0, 0);
    pthread_mutex_lock(&ag->lock);
    (void)snprintf(ag->board.config_error, sizeof(ag->board.config_error), "%.*s", STR_ARG(refused));
    bool is_loaded = loaded_is_all(&ag->board);
    pthread_mutex_unlock(&ag->lock);
    p->unloaded_looks = is_loaded ? 0 : p->unloaded_looks + 1;
    p->load_wait_ms = is_loaded ? 0 : LOAD_FIRST_MS << (p->unloaded_looks < 6 ? p->unloaded_looks : 6);
}

static void look(struct prober *p)
{
    struct agent *ag = p->ag;
    pthread_mutex_lock(&ag->lock);
    bool is_ready = ag->board.is_ready, is_loaded = loaded_is_all(&ag->board);
    int64_t start_ns = ag->board.start_ns;
    pthread_mutex_unlock(&ag->lock);
    /* A new connection has what the postmaster has loaded; an old one may be ahead of it, or behind. */
    if (!is_ready || start_ns != p->connected_ns || !is_loaded || p->look % CONNECT_EVERY == 0)
        drop(p);
    p->looks_soon = false;
    p->load_wait_ms = 0;
    if (!is_ready)
        return;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct pg_rows rows;
    struct error err;
    int64_t deadline_ns = deadline_in_ms(QUERY_MS);
    int r = 0;
    if (start_ns != p->connected_ns) /* the data may be new: how much room they take is told now */
        ag->volume_ns = 0;
    p->connected_ns = start_ns;
    if (!p->c)
        r = pg_connect_local(ag, "postgres", deadline_ns, &p->c, &err);
    if (r == 0)
        r = pg_query(p->c, a, probe_sql, NULL, deadline_ns, &rows, &err);
    if (r == 0) {
        take_result(p, a, &rows);
        altered_reset(ag, p->c, pg_cell(&rows, 0, 10), pg_cell(&rows, 0, 14), deadline_ns);
        if (!is_loaded)
            look_at_load(p, a, deadline_ns);
        return;
    }
    take_failure(p, &err);
    drop(p);
}

/* ---- the disk ------------------------------------------------------------------------------------------------ */

/*
 * Between fork and _exit only system calls: other threads may hold any lock. It keeps nothing of ours open, the lock of
 * the folder least of all: one that hangs in the disk would hold it long after us.
 */
static NORETURN void write_and_tell(const char *path, int tell)
{
    static const char bytes[512];
    if (dup2(tell, 0) == 0)
        (void)close_range(1, ~0u, 0);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && pwrite(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) && fdatasync(fd) == 0)
        (void)!write(0, "k", 1);
    _exit(0);
}

static void start_writer(struct prober *p, const char *path)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return;
    pid_t pid = fork();
    if (pid == 0)
        write_and_tell(path, fds[1]);
    (void)close(fds[1]);
    if (pid < 0) {
        (void)close(fds[0]);
        return;
    }
    p->writer = pid;
    p->writer_fd = fds[0];
    p->writer_deadline_ns = deadline_in_ms(WRITE_PROBE_MS);
}

static void note_write(struct prober *p, bool ok)
{
    pthread_mutex_lock(&p->ag->lock);
    p->ag->board.write_probe_ok = ok;
    p->ag->board.write_probe_failed = !ok;
    pthread_mutex_unlock(&p->ag->lock);
}

/* The child writes one byte when the disk has it. One that hangs is left alone: SIGKILL would not remove it. */
static void check_writer(struct prober *p)
{
    if (p->writer == 0)
        return;
    struct pollfd fd = { .fd = p->writer_fd, .events = POLLIN };
    if (poll(&fd, 1, 0) > 0) {
        char c;
        note_write(p, read(p->writer_fd, &c, 1) == 1);
        fs_closep(&p->writer_fd);
        (void)waitpid(p->writer, NULL, 0); /* its end of the pipe is closed: it is at its end */
        p->writer = 0;
    } else if (deadline_has_passed(p->writer_deadline_ns)) {
        note_write(p, false);
    }
}

static void probe_disk(struct prober *p)
{
    struct agent *ag = p->ag;
    check_writer(p);
    if (p->writer == 0 && p->look % WRITE_PROBE_EVERY == 0) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/probe", ag->path.run);
        start_writer(p, path);
    }
    volume_look(ag);
    logs_look(ag);
}

/* ---- the loop ------------------------------------------------------------------------------------------------ */

static void wait_next(struct prober *p)
{
    struct agent *ag = p->ag;
    struct pollfd fds[] = { { .fd = ag->probe_fd, .events = POLLIN },
                            { .fd = p->writer ? p->writer_fd : -1, .events = POLLIN } };
    int64_t soon_ms = p->looks_soon ? AGAIN_MS : AGENT_HEARTBEAT_MS;
    if (p->load_wait_ms > 0 && p->load_wait_ms < soon_ms)
        soon_ms = p->load_wait_ms;
    int64_t deadline_ns = deadline_in_ms(soon_ms);
    while (!deadline_has_passed(deadline_ns) && !atomic_load(&ag->is_ending)) {
        fds[1].fd = p->writer ? p->writer_fd : -1;
        (void)poll(fds, ARRAY_LEN(fds), deadline_left_ms(deadline_ns));
        check_writer(p);
        if (fds[0].revents) {
            uint64_t count;
            (void)!read(ag->probe_fd, &count, sizeof(count));
            return;
        }
    }
}

void *probes_main(void *arg)
{
    struct prober p = { .ag = arg, .writer_fd = -1 };
    while (!atomic_load(&p.ag->is_ending)) {
        look(&p);
        probe_disk(&p);
        board_publish(p.ag);
        agent_wake(p.ag);
        p.look++;
        wait_next(&p);
    }
    drop(&p);
    fs_closep(&p.writer_fd);
    return NULL;
}
