/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A standby that does not stream: can anybody still give it the WAL that it needs next? Decided on facts, not on error
 * texts: the running primary of this term has written past that segment and does not have it any more (it never comes
 * back), the archive does not have it either, and the standby has not moved while this was looked at several times.
 * Then only a fresh copy helps.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#define ASK_MS 2500
#define ARCHIVE_MS 60000
#define LOOKS 3           /* in a row, without any progress */
#define ARCHIVE_HAS_NOT 1 /* pgBackRest's exit code */

struct source_wal {
    bool has_segment, has_slot, slot_is_lost;
    uint64_t flushed;
};

static void say(struct agent *ag, const char *fmt, ...) PRINTF(2, 3);
static void say(struct agent *ag, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(ag->gap_text, sizeof(ag->gap_text), fmt, args);
    va_end(args);
}

/* What a segment's name ends with, whatever its timeline: segments are removed by their number alone. */
static str segment_suffix(struct arena *a, uint64_t number, uint64_t segment_bytes)
{
    uint64_t per_id = (UINT64_C(1) << 32) / segment_bytes;
    return arena_printf(a, "%08X%08X", (unsigned)(number / per_id), (unsigned)(number % per_id));
}

static int ask_source(struct agent *ag, struct arena *a, const struct json *source, str suffix, struct source_wal *ret,
                      struct error *err)
{
    CLEANUP(pg_closep) struct pg *c = NULL;
    struct pg_rows rows;
    const char *params[] = { suffix.ptr, conf_slot_name(a, ag->boot.instance).ptr, NULL };
    int64_t deadline_ns = deadline_in_ms(ASK_MS);
    int r = pg_connect_peer(ag, source, deadline_ns, &c, err);
    /* Fails where recovery is still running: that is no primary. */
    if (r == 0)
        r = pg_query(c, a,
                     "SELECT pg_current_wal_flush_lsn(), (SELECT system_identifier FROM pg_control_system()), "
                     "EXISTS (SELECT 1 FROM pg_ls_dir('pg_wal', true, false) AS f "
                     "WHERE length(f) = 24 AND substr(f, 9) = $1), "
                     "(SELECT coalesce(wal_status, 'none') FROM pg_replication_slots WHERE slot_name = $2)",
                     params, deadline_ns, &rows, err);
    if (r != 0)
        return r;
    if (!str_eq_z(pg_cell(&rows, 0, 1), ag->control.system_identifier))
        return error_set(err, ERRC_CONFLICT, "it belongs to another cluster");
    *ret = (struct source_wal) { .has_segment = pg_is_true(&rows, 0, 2),
                                 .has_slot = pg_cell(&rows, 0, 3).len > 0,
                                 .slot_is_lost = str_eq(pg_cell(&rows, 0, 3), S("lost")) };
    return lsn_parse(pg_cell(&rows, 0, 0), &ret->flushed)
               ? 0
               : error_set(err, ERRC_INTERNAL, "the primary does not tell its position");
}

/* 0: *ret_has tells; else it cannot be asked. */
static int ask_archive(struct agent *ag, struct arena *a, int64_t timeline, str suffix, bool *ret_has,
                       struct error *err)
{
    const char *to = arena_printf(a, "%s/wanted-segment", ag->path.run).ptr;
    const char *argv[] = { "pgbackrest",
                           arena_printf(a, "--config=%s", ag->path.pgbackrest_file).ptr,
                           arena_printf(a, "--stanza=%.*s", STR_ARG(ag->config.cluster_name)).ptr,
                           "archive-get",
                           arena_printf(a, "%08X%.*s", (unsigned)timeline, STR_ARG(suffix)).ptr,
                           to,
                           NULL };
    int code = -1;
    const struct child_options options = {
        .argv = argv, .deadline_ns = deadline_in_ms(ARCHIVE_MS), .is_reading = true, .ret_exit_code = &code
    };
    int r = child_run(ag, &options, err);
    (void)unlink(to);
    if (r != 0 && code != ARCHIVE_HAS_NOT)
        return r;
    *ret_has = r == 0;
    return 0;
}

/* On its own timeline, or on the primary's, where that one began in this very segment. */
static int archive_has(struct agent *ag, struct arena *a, str suffix, bool *ret_has, struct error *err)
{
    int64_t own = control_wal_timeline(ag, ag->control.timeline);
    *ret_has = false;
    if (json_count(ag->config.repositories) == 0)
        return 0;
    int r = ask_archive(ag, a, own, suffix, ret_has, err);
    if (r == 0 && !*ret_has && ag->config.timeline > own)
        r = ask_archive(ag, a, ag->config.timeline, suffix, ret_has, err);
    return r;
}

static bool has_moved(struct agent *ag)
{
    uint64_t lsn = 0;
    bool is_all, moved = !position_ask(ag, &lsn, &is_all) || !is_all || lsn != ag->gap_lsn;
    ag->gap_lsn = lsn;
    return moved;
}

static bool is_gone_from(struct agent *ag, struct arena *a, const struct json *source, uint64_t number, str suffix)
{
    struct source_wal w;
    struct error err;
    if (ask_source(ag, a, source, suffix, &w, &err) != 0) {
        say(ag, "not streaming: the primary cannot be asked: %s", err.text);
        return false;
    }
    if (w.has_segment || w.flushed / (uint64_t)ag->control.wal_segment_bytes <= number) {
        say(ag, "not streaming%s",
            w.slot_is_lost ? ": the primary's slot for it has lost its WAL"
            : w.has_slot   ? ""
                           : ": the primary has no slot for it yet");
        return false;
    }
    say(ag, "not streaming: the primary no longer has WAL segment %.*s, which is needed next", STR_ARG(suffix));
    return true;
}

/* What the archive says has the last word; from then on the data here are given up. */
static bool give_up(struct agent *ag, struct arena *a, str suffix)
{
    bool has;
    struct error err;
    int64_t term = ag->durable.term;
    if (archive_has(ag, a, suffix, &has, &err) != 0) {
        say(ag, "not streaming: the primary no longer has WAL segment %.*s, and the archive cannot be asked: %s",
            STR_ARG(suffix), err.text);
        return false;
    }
    /* Commands were served meanwhile. */
    return !has && ag->pm.pid != 0 && ag->durable.term == term;
}

static void copy_anew(struct agent *ag, str why)
{
    ag->must_copy = true;
    (void)snprintf(ag->copy_why, sizeof(ag->copy_why), "%.*s", STR_ARG(why));
    log_warn("a fresh copy is needed", LOG_Z("why", ag->copy_why));
}

static void copy_for_want_of(struct agent *ag, struct arena *a, str suffix)
{
    copy_anew(ag, arena_printf(a, "nobody has WAL segment %.*s any more, which is needed next", STR_ARG(suffix)));
}

/* PostgreSQL goes on in files that have no name any more, until it needs a new one; without it, it cannot start. */
bool gap_lost_folder(struct agent *ag)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    if (!ag->durable.has_data || ag->must_copy ||
        access(arena_printf(a, "%s/pg_wal", ag->path.pgdata).ptr, F_OK) == 0 || errno != ENOENT)
        return false;
    copy_anew(ag, S("the folder pg_wal is gone"));
    return true;
}

bool gap_look(struct agent *ag, const struct json *source)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct error err;
    ag->gap_text[0] = '\0';
    if (has_moved(ag) || control_refresh(ag, &err) != 0) {
        ag->gap_looks = 0;
        return false;
    }
    uint64_t segment_bytes = (uint64_t)ag->control.wal_segment_bytes, number = ag->gap_lsn / segment_bytes;
    str suffix = segment_suffix(a, number, segment_bytes);
    if (!is_gone_from(ag, a, source, number, suffix)) {
        ag->gap_looks = 0;
        return false;
    }
    if (++ag->gap_looks < LOOKS)
        return false;
    ag->gap_looks = 0;
    if (!give_up(ag, a, suffix) || has_moved(ag))
        return false;
    copy_for_want_of(ag, a, suffix);
    return true;
}

bool gap_look_starting(struct agent *ag, const struct json *source)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    unsigned timeline, id, number;
    if (sscanf(ag->pm.wanted, "%8X%8X%8X", &timeline, &id, &number) != 3 || control_refresh(ag, NULL) != 0)
        return false;
    uint64_t segment_bytes = (uint64_t)ag->control.wal_segment_bytes;
    uint64_t wanted = id * ((UINT64_C(1) << 32) / segment_bytes) + number;
    str suffix = segment_suffix(a, wanted, segment_bytes);
    bool is_gone = is_gone_from(ag, a, source, wanted, suffix) && give_up(ag, a, suffix);
    ag->pm.wanted[0] = '\0'; /* the next look after as long again */
    if (is_gone)
        copy_for_want_of(ag, a, suffix);
    return is_gone;
}
