/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PostgreSQL's files say while it is down: pg_control by way of pg_controldata, the end of the last checkpoint
 * record from the WAL itself, the newest timeline from the names of the WAL segments.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/process.h"

#define CONTROLDATA_DEADLINE_MS 10000
#define CONTROLDATA_MAX_BYTES 65536
#define WAL_PAGE_BYTES 8192u
#define WAL_PAGE_HEADER_BYTES 24u
#define WAL_LONG_HEADER_BYTES 40u
#define WAL_ALIGN(n) (((n) + 7u) & ~(uint64_t)7)

/* In the order of conf_limit_names, which has the names of the parameters. */
static const char *const limit_lines[5] = { "max_connections setting", "max_worker_processes setting",
                                            "max_wal_senders setting", "max_prepared_xacts setting",
                                            "max_locks_per_xact setting" };

static void take_text(char *to, size_t size, str value)
{
    (void)snprintf(to, size, "%.*s", STR_ARG(value));
}

static void take_timeline(struct control *c, str value)
{
    int64_t n;
    if (str_to_i64(value, &n) && n > c->timeline)
        c->timeline = n;
}

static void take_line(struct control *c, str name, str value)
{
    if (str_eq(name, S("Database cluster state")))
        take_text(c->state, sizeof(c->state), value);
    else if (str_eq(name, S("Database system identifier")))
        take_text(c->system_identifier, sizeof(c->system_identifier), value);
    else if (str_eq(name, S("Latest checkpoint location")))
        (void)lsn_parse(value, &c->checkpoint);
    else if (str_eq(name, S("Latest checkpoint's REDO location")))
        (void)lsn_parse(value, &c->redo);
    else if (str_eq(name, S("Minimum recovery ending location")))
        (void)lsn_parse(value, &c->min_recovery);
    else if (str_eq(name, S("Latest checkpoint's TimeLineID")) || str_eq(name, S("Min recovery ending loc's timeline")))
        take_timeline(c, value);
    else if (str_eq(name, S("Bytes per WAL segment")))
        (void)str_to_i64(value, &c->wal_segment_bytes);
    for (size_t i = 0; i < ARRAY_LEN(limit_lines); i++)
        if (str_eq_z(name, limit_lines[i]))
            (void)str_to_i64(value, &c->limits[i]);
}

int control_read(struct agent *ag, struct control *ret, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    *ret = (struct control) { 0 };
    const char *argv[] = { agent_bin(ag, a, "pg_controldata"), "-D", ag->path.pgdata, NULL };
    const char *env[] = { "LC_ALL=C", NULL };
    struct process_spec spec = { .argv = argv, .env = env, .stdout_fd = -1, .stderr_fd = -1 };
    struct process_result result;
    int r =
        process_run(a, &spec, deadline_in_ms(CONTROLDATA_DEADLINE_MS), CONTROLDATA_MAX_BYTES, NULL, NULL, &result, err);
    if (result.exit_code > 0) /* it ran, and could make nothing of the file */
        return error_set(err, ERRC_INVALID, "pg_control cannot be read: %.*s", STR_ARG(str_trim(result.err)));
    if (r != 0)
        return error_wrap(err, r == ERRC_INVALID ? ERRC_INTERNAL : r, "reading pg_control");
    for (str rest = result.out, line; str_next_field(&rest, '\n', &line);) {
        str name, value;
        if (str_cut(line, ':', &name, &value))
            take_line(ret, str_trim(name), str_trim(value));
    }
    if (ret->state[0] == '\0' || ret->system_identifier[0] == '\0' || ret->timeline == 0 || ret->wal_segment_bytes <= 0)
        return error_set(err, ERRC_INVALID, "pg_control cannot be read: pg_controldata said nothing useful");
    return 0;
}

bool control_was_primary(const struct control *c)
{
    return strcmp(c->state, "shut down in recovery") != 0 && strcmp(c->state, "in archive recovery") != 0;
}

bool control_is_clean_primary(const struct control *c)
{
    return strcmp(c->state, "shut down") == 0;
}

/* Each page that the record runs into has a header of its own. */
static uint64_t record_end(const struct control *c, uint64_t start, uint64_t len)
{
    uint64_t at = start, left = len;
    for (;;) {
        uint64_t room = WAL_PAGE_BYTES - at % WAL_PAGE_BYTES;
        if (left <= room)
            return WAL_ALIGN(at + left);
        left -= room;
        at += room;
        at += at % (uint64_t)c->wal_segment_bytes == 0 ? WAL_LONG_HEADER_BYTES : WAL_PAGE_HEADER_BYTES;
    }
}

int control_checkpoint_end(struct agent *ag, const struct control *c, uint64_t *ret, struct error *err)
{
    char path[4096];
    uint64_t segment = (uint64_t)c->wal_segment_bytes, per_id = (UINT64_C(1) << 32) / segment;
    uint64_t number = c->checkpoint / segment;
    (void)snprintf(path, sizeof(path), "%s/pg_wal/%08X%08X%08X", ag->path.pgdata, (unsigned)c->timeline,
                   (unsigned)(number / per_id), (unsigned)(number % per_id));
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_sys(err, errno, "opening \"%s\"", path);
    uint32_t total = 0; /* xl_tot_len, the record's first field */
    if (pread(fd, &total, sizeof(total), (off_t)(c->checkpoint % segment)) != (ssize_t)sizeof(total))
        return error_set(err, ERRC_INTERNAL, "\"%s\" is too short for the last checkpoint", path);
    if (total < 24 || total > WAL_PAGE_BYTES)
        return error_set(err, ERRC_INTERNAL, "\"%s\" has no checkpoint record where pg_control says", path);
    *ret = record_end(c, c->checkpoint, total);
    return 0;
}

static bool is_segment_name(const char *name)
{
    return strlen(name) == 24 && strspn(name, "0123456789ABCDEF") == 24;
}

int64_t control_wal_timeline(struct agent *ag, int64_t least)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/pg_wal", ag->path.pgdata);
    DIR *dir = opendir(path);
    if (!dir)
        return least;
    for (struct dirent *e; (e = readdir(dir));) {
        unsigned timeline = 0;
        if (is_segment_name(e->d_name) && sscanf(e->d_name, "%8X", &timeline) == 1 && timeline > least)
            least = timeline;
    }
    (void)closedir(dir);
    return least;
}
