/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker: looks at what the leader wants and what is, and does the next thing. Every step starts from the facts, so
 * that it does not matter where the last one ended. The primary's part is in primary.c, the standby's in
 * standby.c.
 */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "primary.h"
#include "standby.h"

#define START_MS INT64_C(3600000) /* crash recovery takes its time; commands are served meanwhile */
#define STOP_PATIENCE_MS 10000
#define RETRY_FIRST_MS 200
#define RETRY_MAX_MS 10000
#define RETRY_WAIT_MAX_MS 1000
#define SERVED_MS 1000                        /* one that accepted connections for so long is restarted at once */
#define VOLUME_FULL_BYTES (INT64_C(20) << 20) /* a WAL segment and a little */
#define HOLD_MS 1000                          /* usually somebody was chosen by then */

static void ring(int fd)
{
    uint64_t one = 1;
    (void)!write(fd, &one, sizeof(one));
}

void agent_wake(struct agent *ag)
{
    ring(ag->wake_fd);
}

void agent_probe_now(struct agent *ag)
{
    ring(ag->probe_fd);
}

enum wish { WISH_DOWN, WISH_HOLD, WISH_INITIALIZE, WISH_PRIMARY, WISH_STANDBY };

static enum wish wish_of(const struct agent *ag)
{
    const struct agent_config *c = &ag->config;
    if (c->stopped_reason.len > 0)
        return WISH_DOWN;
    if (ag->durable.granted)
        return WISH_PRIMARY;
    if (c->term != ag->durable.term || c->primary.len == 0)
        return WISH_HOLD;
    if (!str_eq(c->primary, ag->boot.instance))
        return WISH_STANDBY;
    /* A folder without has_data is half of an initdb, or one whose state file was lost: the latter is not usable. */
    bool is_free = !ag->durable.has_data && (ag->durable.usable || !fs_exists(ag->path.pgdata));
    return c->may_initialize && is_free ? WISH_INITIALIZE : WISH_HOLD;
}

/* ---- the others ---------------------------------------------------------------------------------------------- */

static int be_down(struct agent *ag, struct error *err)
{
    int r = postgres_stop(ag, STOP_FAST, STOP_PATIENCE_MS, err);
    if (r == 0)
        board_say(ag, AGENT_STOPPED, "%.*s", STR_ARG(ag->config.stopped_reason));
    return r;
}

/*
 * Down without a clean end: nobody knows the end of the WAL here before it was replayed, and the choice may wait for it
 * (rule 25). Not at once: a choice that can do without is not to be disturbed.
 */
static int find_position(struct agent *ag, int64_t *ret_wait_ms, struct error *err)
{
    if (!ag->durable.has_data || !ag->durable.usable || ag->durable.rewinding || control_refresh(ag, NULL) != 0 ||
        control_is_clean_primary(&ag->control))
        return 0;
    if (ag->hold_term != ag->durable.term) {
        ag->hold_term = ag->durable.term;
        ag->hold_ns = deadline_in_ms(HOLD_MS);
    }
    *ret_wait_ms = deadline_left_ms(ag->hold_ns);
    return *ret_wait_ms > 0 ? 0 : standby_start_frozen(ag, err);
}

/* No primary of this term is known: a standby stands still, anything else takes no writes. */
static int hold(struct agent *ag, int64_t *ret_wait_ms, struct error *err)
{
    int r = 0;
    if (ag->pm.pid != 0 && !ag->pm.as_standby)
        r = postgres_stop(ag, STOP_FAST, STOP_PATIENCE_MS, err);
    else if (ag->pm.pid != 0 && ag->pm.is_ready)
        r = freeze_run(ag, deadline_in_ms(STOP_PATIENCE_MS), err);
    else if (ag->pm.pid != 0)
        r = postgres_wait_ready(ag, deadline_in_ms(START_MS), err);
    if (r == 0 && ag->pm.pid == 0)
        r = find_position(ag, ret_wait_ms, err);
    if (r != 0)
        return r;
    if (ag->pm.pid == 0)
        board_say(ag, AGENT_STOPPED, "waiting for the primary of term %lld", (long long)ag->durable.term);
    else
        board_say(ag, AGENT_RUNNING, "frozen: waiting for the primary of term %lld", (long long)ag->durable.term);
    return 0;
}

static int initialize(struct agent *ag, struct error *err)
{
    int r = initdb_run(ag, err);
    if (r == 0)
        agent_wake(ag);
    return r;
}

/* ---- the loop ------------------------------------------------------------------------------------------------ */

static void retry_later(struct agent *ag, int64_t max_ms)
{
    int64_t ms = ag->retry_ms == 0 ? RETRY_FIRST_MS : ag->retry_ms * 2;
    ag->retry_ms = ms > max_ms ? max_ms : ms;
    ag->retry_ns = deadline_in_ms(ag->retry_ms);
}

/* What a restart of a primary has to replay, by what is known of its end. */
static int64_t recovery_bytes(struct agent *ag)
{
    pthread_mutex_lock(&ag->lock);
    uint64_t end = ag->board.flush_lsn;
    pthread_mutex_unlock(&ag->lock);
    if (control_refresh(ag, NULL) != 0 || ag->control.redo == 0 || end < ag->control.redo)
        return 0;
    return (int64_t)(end - ag->control.redo);
}

static void note_death(struct agent *ag)
{
    struct postmaster pm = ag->pm;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str why = S("");
    if (!postgres_has_died(ag, a, &why))
        return;
    ag->crashed_ns = clock_monotonic_ns();
    ag->ready_term = 0;
    ag->failed_starts += !pm.is_ready;
    int64_t replay = pm.as_standby ? 0 : recovery_bytes(ag);
    pthread_mutex_lock(&ag->lock);
    ag->board.recovery_bytes = replay;
    pthread_mutex_unlock(&ag->lock);
    /* On a full volume not even its last words find room. */
    int64_t free_bytes = volume_free_bytes(ag);
    str full = free_bytes >= 0 && free_bytes < VOLUME_FULL_BYTES
                   ? arena_printf(a, "; the volume is full: %lld KiB are left", (long long)free_bytes / 1024)
                   : S("");
    board_say(ag, AGENT_CRASHED, "PostgreSQL ended unexpectedly, every process of it is gone%s%.*s%.*s",
              why.len > 0 ? ": " : "", STR_ARG(why), STR_ARG(full));
    ag->retry_ns = 0;
    if (pm.is_ready && ag->crashed_ns - pm.ready_ns >= SERVED_MS * NS_PER_MS)
        ag->retry_ms = 0; /* however often that happens: each restart is the first one after it had served */
    else                  /* not again and again at full speed; one that comes up is missed by its clients meanwhile */
        retry_later(ag, pm.is_ready ? RETRY_WAIT_MAX_MS : RETRY_MAX_MS);
}

static void note_failure(struct agent *ag, int r, const struct error *err)
{
    if (r == ERRC_CANCELLED) {
        ag->retry_ns = 0;
        return;
    }
    pthread_mutex_lock(&ag->lock);
    enum agent_phase phase = ag->board.phase;
    pthread_mutex_unlock(&ag->lock);
    /* A promotion to a wrong timeline and a folder of somebody else get no better by trying again. */
    ag->is_failed = r == ERRC_INVALID;
    if (ag->is_failed) {
        struct error why;
        phase = AGENT_FAILED;
        if (postgres_stop(ag, STOP_IMMEDIATE, 0, &why) != 0)
            log_error("PostgreSQL is not stopped", LOG_ERROR(&why));
    } else if (phase == AGENT_RUNNING && ag->pm.pid == 0) {
        phase = AGENT_STARTING;
    }
    board_say(ag, phase, "%s", err->text);
    /* What is missing is somebody else's to do, a primary that is still being promoted for one: asking costs little. */
    retry_later(ag, r == ERRC_UNAVAILABLE ? RETRY_WAIT_MAX_MS : RETRY_MAX_MS);
}

/* Does the next thing; returns when to look again, -1: when something happens. */
static int64_t step(struct agent *ag)
{
    int64_t wait_ms = -1;
    struct error err;
    int r = 0;
    note_death(ag);
    if (!ag->has_config) {
        board_say(ag, AGENT_STARTING, "waiting for the configuration");
        return -1;
    }
    if (ag->is_failed)
        return -1;
    if (!deadline_has_passed(ag->retry_ns))
        return deadline_left_ms(ag->retry_ns);
    switch (wish_of(ag)) {
    case WISH_DOWN: r = be_down(ag, &err); break;
    case WISH_HOLD: r = hold(ag, &wait_ms, &err); break;
    case WISH_INITIALIZE: r = initialize(ag, &err); break;
    case WISH_PRIMARY: r = primary_step(ag, &wait_ms, &err); break;
    case WISH_STANDBY: r = standby_step(ag, &wait_ms, &err); break;
    }
    if (r != 0) {
        note_failure(ag, r, &err);
        return ag->retry_ns ? deadline_left_ms(ag->retry_ns) : 0;
    }
    ag->retry_ns = 0;
    if (ag->pm.is_ready && clock_monotonic_ns() - ag->pm.start_ns > RETRY_MAX_MS * NS_PER_MS)
        ag->retry_ms = 0;
    return wait_ms;
}

static void wait_for_something(struct agent *ag, int64_t ms)
{
    struct pollfd fds[] = { { .fd = ag->wake_fd, .events = POLLIN },
                            { .fd = ag->pm.pid != 0 ? ag->pm.pid_fd : -1, .events = POLLIN } };
    (void)poll(fds, ARRAY_LEN(fds), ms < 0 ? -1 : (int)ms);
}

static void end(struct agent *ag)
{
    struct error err;
    board_say(ag, AGENT_STOPPED, "the agent ends");
    int r = postgres_stop(ag, ag->shutdown_mode, STOP_PATIENCE_MS, &err);
    if (r != 0)
        log_error("PostgreSQL is not stopped", LOG_ERROR(&err));
    else if (ag->remove_data && fs_remove_all(ag->path.pgdata, &err) != 0)
        log_error("the data is not removed", LOG_ERROR(&err));
    board_update(ag);
}

void *supervisor_main(void *arg)
{
    struct agent *ag = arg;
    for (;;) {
        commands_run(ag);
        if (ag->is_stopping)
            break;
        int64_t wait_ms = step(ag);
        if (!ag->is_stopping)
            wait_for_something(ag, wait_ms);
    }
    end(ag);
    return NULL;
}
