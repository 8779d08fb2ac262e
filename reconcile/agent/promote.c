/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From standby to primary: freeze (rule 19), the report (rule 19d, 20) and the promotion to exactly the timeline that
 * the record gave out (rule 28).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#define QUERY_MS 2000
#define START_MS 60000
#define PROMOTE_MS 60000
#define PROMOTE_POLL_MS 2
#define FREEZE_POLL_MS 5
/* Seen without a receiver so often in a row: one that the startup process was about to launch has shown itself. */
#define FREEZE_QUIET_LOOKS 3

/* Until `ms` passed or PostgreSQL died (then false). */
static bool pause_ms(struct agent *ag, int ms)
{
    struct pollfd fd = { .fd = ag->pm.pid_fd, .events = POLLIN };
    return poll(&fd, 1, ms) <= 0;
}

static int wait_no_receiver(struct agent *ag, struct pg *c, int64_t deadline_ns, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    for (int quiet = 0; quiet < FREEZE_QUIET_LOOKS;) {
        struct pg_rows rows;
        int r = pg_query(c, a, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'walreceiver'", NULL,
                         deadline_ns, &rows, err);
        if (r != 0)
            return r;
        quiet = pg_is_true(&rows, 0, 0) ? quiet + 1 : 0;
        if (deadline_has_passed(deadline_ns))
            return error_set(err, ERRC_TIMEOUT, "the WAL receiver does not end");
        if (!pause_ms(ag, FREEZE_POLL_MS))
            return error_set(err, ERRC_UNAVAILABLE, "PostgreSQL died");
    }
    return 0;
}

static int freeze_running(struct agent *ag, int64_t deadline_ns, struct error *err)
{
    CLEANUP(pg_closep) struct pg *c = NULL;
    int r = pg_connect_local(ag, "postgres", deadline_ns, &c, err);
    if (r != 0)
        return r;
    postgres_reload(ag);
    return wait_no_receiver(ag, c, deadline_ns, err);
}

int freeze_run(struct agent *ag, int64_t deadline_ns, struct error *err)
{
    if (ag->is_frozen)
        return 0;
    /* First the settings on disk, so that a restart does not open the receiver again (rule 19). */
    bool changed;
    int r = conf_write(ag, CONF_FROZEN, &changed, err);
    if (r != 0)
        return r;
    struct error why;
    r = freeze_running(ag, deadline_ns, &why);
    if (r != 0) {
        /* It does not answer: one that is down receives nothing either. */
        log_warn("freezing by stopping", LOG_ERROR(&why));
        return postgres_stop(ag, STOP_FAST, QUERY_MS, err);
    }
    ag->is_frozen = true;
    return 0;
}

/* ---- the report ---------------------------------------------------------------------------------------------- */

/*
 * A server that was started anew knows the end of its own WAL when it has replayed all of it: it asked for more by
 * streaming, which makes the receive position known, or has nobody to ask and waits to try again.
 */
bool position_ask(struct agent *ag, uint64_t *ret, bool *ret_is_all)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    CLEANUP(pg_closep) struct pg *c = NULL;
    struct pg_rows rows;
    int64_t deadline_ns = deadline_in_ms(QUERY_MS);
    /* The look at the process first: what it replays later is more than it had said. */
    if (pg_connect_local(ag, "postgres", deadline_ns, &c, NULL) != 0 ||
        pg_query(c, a,
                 "WITH look AS MATERIALIZED (SELECT pg_last_wal_receive_lsn() IS NOT NULL OR EXISTS (SELECT FROM "
                 "pg_stat_activity WHERE backend_type = 'startup' AND wait_event = 'RecoveryRetrieveRetryInterval') "
                 "AS is_all) SELECT is_all, greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) FROM look",
                 NULL, deadline_ns, &rows, NULL) != 0)
        return false;
    *ret_is_all = pg_is_true(&rows, 0, 0);
    return lsn_parse(pg_cell(&rows, 0, 1), ret);
}

int control_refresh(struct agent *ag, struct error *err)
{
    if (ag->has_control)
        return 0;
    int r = ag->durable.has_data ? control_read(ag, &ag->control, err)
                                 : error_set(err, ERRC_NOT_FOUND, "there are no data here");
    if (r != 0)
        return r;
    ag->has_control = true;
    pthread_mutex_lock(&ag->lock);
    (void)snprintf(ag->board.system_identifier, sizeof(ag->board.system_identifier), "%s",
                   ag->control.system_identifier);
    if (ag->pm.pid == 0)
        ag->board.timeline = control_wal_timeline(ag, ag->control.timeline);
    pthread_mutex_unlock(&ag->lock);
    return 0;
}

/* Of a server that is down: what its files say; of one that crashed, at least what it said last. */
static uint64_t stopped_position(struct agent *ag, uint64_t last_word, bool *ret_clean)
{
    *ret_clean = false;
    if (control_refresh(ag, NULL) != 0)
        return last_word;
    uint64_t lsn = ag->control.checkpoint;
    *ret_clean = control_is_clean_primary(&ag->control) && control_checkpoint_end(ag, &ag->control, &lsn, NULL) == 0;
    if (ag->control.min_recovery > lsn)
        lsn = ag->control.min_recovery;
    return last_word > lsn && !*ret_clean ? last_word : lsn;
}

void report_fill(struct agent *ag, struct arena *a, struct agent_report *ret)
{
    pthread_mutex_lock(&ag->lock);
    uint64_t lsn = ag->board.flush_lsn;
    int64_t timeline = ag->board.timeline;
    pthread_mutex_unlock(&ag->lock);
    *ret = (struct agent_report) {
        .term = ag->durable.term,
        .stopped = ag->pm.pid == 0 || (ag->pm.as_standby && ag->is_frozen),
        .frozen = ag->pm.pid == 0 || ag->is_frozen,
        .usable = ag->durable.usable && ag->durable.has_data && !ag->durable.rewinding && !ag->is_busy,
        .incarnation = str_from(ag->incarnation),
    };
    if (!ag->durable.has_data)
        return;
    bool is_all = false;
    if (ag->pm.pid == 0 && control_refresh(ag, NULL) != 0)
        ret->usable = false; /* what cannot be read cannot be started either */
    if (ag->pm.pid == 0) {
        lsn = stopped_position(ag, lsn, &ret->clean_shutdown);
        is_all = ret->clean_shutdown;
    } else if (!position_ask(ag, &lsn, &is_all)) {
        is_all = false;
    }
    /* Less than what it confirmed would let another one be chosen that lacks a commit (25): it counts once it has
     * replayed what it has, see `hold`. */
    ret->usable = ret->usable && is_all;
    ret->timeline = control_wal_timeline(ag, control_refresh(ag, NULL) == 0 ? ag->control.timeline : timeline);
    ret->wal_term = state_term_of(&ag->durable, ret->timeline);
    ret->flush_lsn = lsn_format(a, lsn);
    ret->system_identifier = ag->has_control ? arena_str(a, str_from(ag->control.system_identifier)) : S("");
}

/* ---- promotion ----------------------------------------------------------------------------------------------- */

static int start_frozen(struct agent *ag, struct error *err)
{
    bool changed;
    int r = control_refresh(ag, err);
    if (r == 0)
        r = history_prune(ag, control_wal_timeline(ag, ag->control.timeline), err);
    if (r == 0)
        r = conf_write(ag, CONF_FROZEN, &changed, err);
    if (r == 0)
        r = postgres_start(ag, true, err);
    if (r == 0)
        r = postgres_wait_ready(ag, deadline_in_ms(START_MS), err);
    if (r == 0)
        ag->is_frozen = true; /* it was started without a source */
    return r;
}

static int request_promotion(struct agent *ag, struct error *err)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/promote", ag->path.pgdata);
    int r = fs_write_atomic(path, S(""), 0600, err);
    if (r == 0 && pidfd_send_signal(ag->pm.pid_fd, SIGUSR1, NULL, 0) != 0)
        r = error_set_sys(err, errno, "signalling PostgreSQL");
    return r;
}

static int wait_promoted(struct agent *ag, struct pg *c, int64_t *ret_timeline, struct error *err)
{
    int64_t deadline_ns = deadline_in_ms(PROMOTE_MS);
    for (;;) {
        CLEANUP(arena_freep) struct arena *a = arena_new();
        struct pg_rows rows;
        /* The file's name is only there to ask for once recovery has ended. */
        int r = pg_query(c, a,
                         "SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE "
                         "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END",
                         NULL, deadline_ns, &rows, err);
        if (r != 0)
            return r;
        if (str_to_i64(pg_cell(&rows, 0, 0), ret_timeline) && *ret_timeline > 0)
            return 0;
        if (deadline_has_passed(deadline_ns))
            return error_set(err, ERRC_TIMEOUT, "the promotion does not end");
        struct pollfd fds[] = { { .fd = ag->pm.pid_fd, .events = POLLIN }, { .fd = ag->wake_fd, .events = POLLIN } };
        (void)poll(fds, ARRAY_LEN(fds), PROMOTE_POLL_MS);
        if (fds[0].revents)
            return error_set(err, ERRC_UNAVAILABLE, "PostgreSQL died in the promotion");
        if (fds[1].revents)
            commands_run(ag);
        if (!ag->pm.is_promoting)
            return error_set(err, ERRC_CANCELLED, "a higher term ended the promotion");
    }
}

static int promote_running(struct agent *ag, struct error *err)
{
    CLEANUP(pg_closep) struct pg *c = NULL;
    bool changed;
    int r = control_refresh(ag, err);
    if (r == 0)
        r = history_skip(ag, control_wal_timeline(ag, ag->control.timeline), ag->durable.granted_timeline, err);
    /* Also the names of the synchronous standbys: no commit of this term without them. */
    if (r == 0)
        r = conf_write(ag, CONF_PRIMARY, &changed, err);
    if (r == 0)
        r = pg_connect_local(ag, "postgres", deadline_in_ms(QUERY_MS), &c, err);
    if (r != 0)
        return r;
    postgres_reload(ag);
    ag->is_frozen = false; /* from here on it may begin to take writes */
    int64_t timeline = 0;
    ag->pm.is_promoting = true;
    r = request_promotion(ag, err);
    if (r == 0)
        r = wait_promoted(ag, c, &timeline, err);
    if (r == 0 && timeline != ag->durable.granted_timeline)
        r = error_set(err, ERRC_INVALID, "the promotion made timeline %lld instead of %lld", (long long)timeline,
                      (long long)ag->durable.granted_timeline);
    return r;
}

int promote_undo(struct agent *ag, struct error *err)
{
    int64_t timeline = ag->durable.granted_timeline;
    if (!ag->durable.granted || timeline == 0)
        return 0;
    if (ag->pm.is_promoting) {
        int r = postgres_stop(ag, STOP_IMMEDIATE, 0, err);
        if (r != 0)
            return r;
    }
    if (ag->pm.pid != 0)
        return 0;
    struct error why;
    int r = control_refresh(ag, &why);
    if (r == ERRC_INVALID) { /* the data are gone or broken: nothing here will ever be promoted or followed */
        log_warn("nothing is left of the promotion", LOG_ERROR(&why));
        return 0;
    }
    if (r != 0)
        return error_set(err, (enum err)r, "%s", why.text);
    /* From the end-of-recovery record on pg_control knows the timeline, and only then anything is written on it. */
    return ag->control.timeline >= timeline ? 0 : history_forget(ag, timeline, err);
}

int promote_run(struct agent *ag, struct error *err)
{
    int64_t began_ns = clock_monotonic_ns();
    int r = promote_undo(ag, err);
    if (r == 0 && ag->pm.pid == 0)
        r = start_frozen(ag, err);
    else if (r == 0 && !ag->pm.is_ready)
        r = postgres_wait_ready(ag, deadline_in_ms(START_MS), err);
    else if (r == 0)
        r = freeze_run(ag, deadline_in_ms(QUERY_MS), err);
    if (r == 0 && ag->pm.pid == 0) /* freezing meant stopping */
        r = start_frozen(ag, err);
    if (r == 0)
        r = promote_running(ag, err);
    /* It must not become writable later, when nobody looks. */
    struct error why;
    if (r != 0 && ag->pm.is_promoting && postgres_stop(ag, STOP_IMMEDIATE, 0, &why) != 0)
        log_error("PostgreSQL is not stopped after its promotion failed", LOG_ERROR(&why));
    if (r != 0)
        return r;
    ag->pm.is_promoting = false;
    ag->pm.as_standby = false;
    ag->is_frozen = false;
    pthread_mutex_lock(&ag->lock);
    ag->board.timeline = ag->durable.granted_timeline;
    ag->board.in_recovery = false;
    pthread_mutex_unlock(&ag->lock);
    log_info("promoted", LOG_INT("term", ag->durable.term), LOG_INT("timeline", ag->durable.granted_timeline),
             LOG_INT("took_ms", (clock_monotonic_ns() - began_ns) / NS_PER_MS));
    checkpoint_in_background(ag);
    agent_probe_now(ag);
    return 0;
}
