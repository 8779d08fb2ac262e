/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A primary: starts writable only when it may (rule 6), promotes, restarts once for each order, and keeps what must
 * exist in the server.
 */
#include "primary.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "standby.h"

#define START_MS INT64_C(3600000) /* crash recovery takes its time; commands are served meanwhile */
#define STOP_PATIENCE_MS 10000
#define LOOK_MS 500
#define HOUSEKEEPING_MS 10000

/* Whether PostgreSQL may be started writable now; *ret_wait_ms: when to look again (-1: at the next word). */
static bool may_start_writable(struct agent *ag, int64_t *ret_wait_ms)
{
    pthread_mutex_lock(&ag->lock);
    struct board b = ag->board;
    pthread_mutex_unlock(&ag->lock);
    bool has_word = b.word_term == ag->durable.term && b.word_grant && b.word_may_start;
    *ret_wait_ms = -1;
    if (ag->restart_id[0] != '\0')
        return true;
    if (ag->may_write_term != ag->durable.term) {
        /* A new incarnation: only by the leader's word in this term (rule 6). */
        if (has_word)
            ag->may_write_term = ag->durable.term;
        return has_word;
    }
    if (ag->crashed_ns == 0 || (has_word && b.word_ns > ag->crashed_ns))
        return true;
    int64_t grace_ms = ag->config.crash_grace_ms > 0 ? ag->config.crash_grace_ms : AGENT_CRASH_GRACE_MS;
    int64_t since_ns = b.word_ns > ag->crashed_ns ? b.word_ns : ag->crashed_ns;
    *ret_wait_ms = deadline_left_ms(since_ns + grace_ms * NS_PER_MS);
    return *ret_wait_ms == 0;
}

static int start_primary(struct agent *ag, struct error *err)
{
    bool changed;
    int r = ag->durable.has_data ? control_refresh(ag, err)
                                 : error_set(err, ERRC_INVALID, "the data of the primary is missing");
    if (r != 0)
        return r;
    /* Granted, but not promoted yet: pg_control does not know the timeline. */
    if (ag->durable.granted_timeline > ag->control.timeline)
        return promote_run(ag, err);
    board_say(ag, AGENT_STARTING, "starting as primary of term %lld", (long long)ag->durable.term);
    r = conf_write(ag, CONF_PRIMARY, &changed, err);
    if (r == 0)
        r = postgres_start(ag, false, err);
    if (r == 0)
        r = postgres_wait_ready(ag, deadline_in_ms(START_MS), err);
    return r;
}

static int note_restart(struct agent *ag, struct error *err)
{
    struct durable next = ag->durable;
    (void)snprintf(next.last_restart_id, sizeof(next.last_restart_id), "%s", ag->restart_id);
    int r = state_write(ag, &next, err);
    if (r == 0)
        ag->durable = next;
    ag->restart_id[0] = '\0';
    return r;
}

int supervisor_restart(struct agent *ag, struct error *err)
{
    if (ag->restart_id[0] == '\0')
        return 0;
    log_info("restarting PostgreSQL", LOG_Z("id", ag->restart_id));
    bool was_running = ag->pm.pid != 0;
    if (was_running)
        board_say(ag, AGENT_STARTING, "restarting");
    int r = postgres_stop(ag, STOP_FAST, STOP_PATIENCE_MS, err);
    ag->crashed_ns = 0;
    return r == 0 ? note_restart(ag, err) : r;
}

/* Both, whatever becomes of the other: a lock on a role is no reason to keep an instance from joining. */
static int ensure_contents(struct agent *ag, bool all, struct error *err)
{
    CLEANUP(pg_closep) struct pg *c = NULL;
    int r = roles_open(ag, &c, err);
    if (r != 0)
        return r;
    int slots = slots_ensure_in(ag, c, err);
    int roles = roles_ensure(ag, c, all, slots == 0 ? err : NULL);
    return slots != 0 ? slots : roles;
}

/* What the server must contain, again for each new configuration. */
static int maintain_primary(struct agent *ag, struct error *err)
{
    bool changed;
    int r = conf_write(ag, CONF_PRIMARY, &changed, err);
    if (r != 0)
        return r;
    if (changed)
        postgres_reload(ag);
    backup_retry_repositories(ag);
    if (ag->ready_term == ag->durable.term && ag->ready_config_version == ag->config.version) {
        if (!deadline_has_passed(ag->housekeeping_ns))
            return 0;
        /* A slot that somebody dropped, or that lost its WAL, would keep its instance away for ever; so would the role.
         */
        ag->housekeeping_ns = deadline_in_ms(HOUSEKEEPING_MS);
        return ensure_contents(ag, false, err);
    }
    r = ensure_contents(ag, true, err);
    if (r != 0)
        return r;
    backup_prepare_repositories(ag);
    ag->ready_term = ag->durable.term;
    ag->ready_config_version = ag->config.version;
    agent_probe_now(ag);
    return 0;
}

int primary_step(struct agent *ag, int64_t *ret_wait_ms, struct error *err)
{
    int r = supervisor_restart(ag, err);
    if (r != 0)
        return r;
    if (ag->pm.pid == 0) {
        if (!may_start_writable(ag, ret_wait_ms)) {
            if (ag->crashed_ns == 0)
                board_say(ag, AGENT_STARTING, "waiting for the leader's word to start as primary of term %lld",
                          (long long)ag->durable.term);
            return 0;
        }
        r = start_primary(ag, err);
    } else if (ag->pm.as_standby) {
        r = promote_run(ag, err);
    }
    if (r != 0)
        return r;
    if (ag->pm.pid == 0)
        return 0;
    if (!ag->pm.is_ready)
        r = postgres_wait_ready(ag, deadline_in_ms(START_MS), err);
    if (r == 0) {
        ag->crashed_ns = 0;
        /* A promoted standby has its roles; what initdb made is of no use before it has them. */
        if (ag->durable.granted_timeline > 0)
            board_say(ag, AGENT_RUNNING, "%s", "");
        r = maintain_primary(ag, err);
    }
    if (r == 0)
        board_say(ag, AGENT_RUNNING, "%s", "");
    *ret_wait_ms = LOOK_MS;
    return r;
}
