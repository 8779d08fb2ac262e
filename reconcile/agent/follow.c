/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May this standby follow that primary with the WAL it has? Compares its own position with the primary's timeline
 * history (rules 29, 32), before any setting points there.
 */
#include <stdio.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"

#define ASK_MS 2500

struct source_view {
    bool in_recovery;
    int64_t timeline;
    uint64_t flushed;
    str system_identifier;
    str history; /* of its timeline; empty for the first */
};

static int ask_source(struct agent *ag, struct arena *a, const struct json *source, struct source_view *ret,
                      struct error *err)
{
    CLEANUP(pg_closep) struct pg *c = NULL;
    struct pg_rows rows;
    int64_t deadline_ns = deadline_in_ms(ASK_MS);
    int r = pg_connect_peer(ag, source, deadline_ns, &c, err);
    if (r == 0)
        r = pg_query(c, a,
                     "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN 0 ELSE "
                     "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END, "
                     "CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END, "
                     "(SELECT system_identifier FROM pg_control_system())",
                     NULL, deadline_ns, &rows, err);
    if (r != 0)
        return r;
    *ret = (struct source_view) { .in_recovery = pg_is_true(&rows, 0, 0), .system_identifier = pg_cell(&rows, 0, 3) };
    (void)str_to_i64(pg_cell(&rows, 0, 1), &ret->timeline);
    (void)lsn_parse(pg_cell(&rows, 0, 2), &ret->flushed);
    if (ret->in_recovery || ret->timeline <= 1)
        return 0;
    const char *params[] = { arena_printf(a, "pg_wal/%08X.history", (unsigned)ret->timeline).ptr, NULL };
    r = pg_query(c, a, "SELECT convert_from(pg_read_binary_file($1), 'UTF8')", params, deadline_ns, &rows, err);
    ret->history = pg_cell(&rows, 0, 0);
    return r;
}

int source_flushed(struct agent *ag, const struct json *source, uint64_t *ret, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct source_view v;
    int r = ask_source(ag, a, source, &v, err);
    if (r == 0 && v.in_recovery)
        r = error_set(err, ERRC_UNAVAILABLE, "it is not the primary yet");
    if (r == 0)
        *ret = v.flushed;
    return r;
}

/* The greatest position of this standby that may already be on disk. */
static uint64_t own_position(struct agent *ag)
{
    uint64_t lsn = 0;
    bool is_all;
    if (ag->pm.pid != 0 && position_ask(ag, &lsn, &is_all))
        return lsn;
    return ag->control.min_recovery > ag->control.checkpoint ? ag->control.min_recovery : ag->control.checkpoint;
}

static bool is_fresh_copy(struct agent *ag)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/backup_label", ag->path.pgdata);
    return ag->pm.pid == 0 && access(path, F_OK) == 0;
}

static enum follow_verdict compare(struct agent *ag, const struct source_view *v, uint64_t own_lsn)
{
    int64_t own = control_wal_timeline(ag, ag->control.timeline);
    if (own == v->timeline) {
        int64_t own_term = state_term_of(&ag->durable, own);
        bool is_other_term = own_term != 0 && ag->config.timeline == own && own_term != ag->config.term;
        /* Same number, other WAL: pg_rewind would see no difference (rule 29). */
        return is_other_term || own_lsn > v->flushed ? FOLLOW_COPY : FOLLOW_OK;
    }
    uint64_t fork;
    if (!history_fork(v->history, own, &fork) || own_lsn > fork)
        return FOLLOW_REWIND;
    return FOLLOW_OK;
}

enum follow_verdict follow_check(struct agent *ag, const struct json *source, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    if (is_fresh_copy(ag))
        return FOLLOW_OK;
    /* Only a file that is broken for sure is a reason to throw data away; missing programs are none. */
    int r = control_refresh(ag, err);
    if (r != 0)
        return r == ERRC_INVALID ? FOLLOW_COPY : FOLLOW_WAIT;
    uint64_t own_lsn = own_position(ag);
    struct source_view v;
    if (ask_source(ag, a, source, &v, err) != 0)
        return FOLLOW_WAIT;
    if (v.in_recovery || (ag->config.timeline > 0 && v.timeline != ag->config.timeline)) {
        (void)error_set(err, ERRC_UNAVAILABLE, "it is not promoted yet");
        return FOLLOW_WAIT;
    }
    if (!str_eq_z(v.system_identifier, ag->control.system_identifier)) {
        (void)error_set(err, ERRC_INVALID, "the data here belongs to another cluster (%s)",
                        ag->control.system_identifier);
        return FOLLOW_WAIT;
    }
    if (ag->pm.pid == 0 && control_was_primary(&ag->control)) {
        /* Its own end of WAL is not known without reading it: pg_rewind finds out. */
        int64_t own = control_wal_timeline(ag, ag->control.timeline);
        return own == v.timeline ? FOLLOW_COPY : FOLLOW_REWIND;
    }
    return compare(ag, &v, own_lsn);
}
