/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A standby: gets a copy if it has none, a rewind if its WAL has left the primary's, starts, follows a new primary by
 * reload, and becomes usable when it has caught up with what it may have lost (rule 33).
 */
#include "standby.h"

#include "base/clock.h"
#include "base/log.h"

#define START_MS INT64_C(3600000)
#define STOP_PATIENCE_MS 10000
#define LOOK_MS 200
#define CALM_LOOK_MS 1000
#define FOLLOW_RETRY_MS 50
#define RECHECK_MS 3000
#define HOUSEKEEPING_MS 10000
#define LIMITS_MS 10000

static int start(struct agent *ag, enum conf_role role, struct error *err)
{
    bool changed;
    int r = control_refresh(ag, err);
    if (r != 0)
        return r;
    board_say(ag, AGENT_STARTING, "starting as standby");
    r = history_prune(ag, control_wal_timeline(ag, ag->control.timeline), err);
    if (r == 0)
        r = conf_write(ag, role, &changed, err);
    if (r == 0)
        r = postgres_start(ag, true, err);
    if (r != 0)
        return r;
    ag->is_frozen = role == CONF_FROZEN;
    return postgres_wait_ready(ag, deadline_in_ms(START_MS), err);
}

int standby_start_frozen(struct agent *ag, struct error *err)
{
    return start(ag, CONF_FROZEN, err);
}

static int note_followed(struct agent *ag, struct error *err)
{
    ag->followed_term = ag->durable.term;
    struct durable next = ag->durable;
    state_note_timeline(&next, ag->config.timeline, ag->config.term);
    if (next.wal_term_count == ag->durable.wal_term_count)
        return 0;
    int r = state_write(ag, &next, err);
    if (r == 0)
        ag->durable = next;
    return r;
}

/* Down: decides between copy, rewind and start. */
static int bring_up(struct agent *ag, const struct json *source, struct error *err)
{
    /* A rewind that was interrupted has overwritten WAL that a second one would need to find all changed pages. */
    if (!ag->durable.has_data || ag->must_copy || ag->durable.rewinding)
        return join_copy(ag, source, err);
    struct error why = { 0 };
    /* Also "no rewind required" leaves a primary's pg_control behind, which would be looked at again. */
    enum follow_verdict verdict = ag->is_rewound ? FOLLOW_OK : follow_check(ag, source, &why);
    switch (verdict) {
    case FOLLOW_COPY: return join_copy(ag, source, err);
    case FOLLOW_REWIND: return rewind_run(ag, source, err);
    case FOLLOW_WAIT:
        if (ag->has_control && control_was_primary(&ag->control))
            return error_set(err, ERRC_UNAVAILABLE, "waiting for primary \"%.*s\": %s", STR_ARG(ag->config.primary),
                             why.text);
        return standby_start_frozen(ag, err); /* reads are served meanwhile */
    case FOLLOW_OK: break;
    }
    ag->is_rewound = false;
    int r = start(ag, CONF_STANDBY, err);
    return r == 0 ? note_followed(ag, err) : r;
}

/* Running without this term's primary as its source: looks whether it may follow, then points there. */
static int follow(struct agent *ag, const struct json *source, int64_t *ret_wait_ms, struct error *err)
{
    struct error why = { 0 };
    enum follow_verdict verdict = follow_check(ag, source, &why);
    if (verdict == FOLLOW_WAIT) {
        board_say(ag, AGENT_RUNNING, "waiting for primary \"%.*s\": %s", STR_ARG(ag->config.primary), why.text);
        *ret_wait_ms = FOLLOW_RETRY_MS;
        return 0;
    }
    if (verdict != FOLLOW_OK) {
        log_info("the WAL here has left the primary's", LOG_BOOL("copy", verdict == FOLLOW_COPY));
        ag->must_copy = ag->must_copy || verdict == FOLLOW_COPY;
        *ret_wait_ms = 0;
        int r = postgres_stop(ag, STOP_FAST, STOP_PATIENCE_MS, err);
        return r == 0 && !ag->must_copy ? rewind_run(ag, source, err) : r;
    }
    bool changed;
    int r = conf_write(ag, CONF_STANDBY, &changed, err);
    if (r != 0)
        return r;
    postgres_reload(ag);
    ag->is_frozen = false;
    *ret_wait_ms = LOOK_MS;
    return note_followed(ag, err);
}

/* Rule 33: usable again once its own flushed position on the primary's timeline has passed `need`. */
static int note_usable(struct agent *ag, const struct board *b, struct error *err)
{
    if (ag->durable.usable || !b->streaming || b->flush_lsn < ag->durable.need ||
        (ag->config.timeline > 0 && b->timeline != ag->config.timeline))
        return 0;
    struct durable next = ag->durable;
    next.usable = true;
    next.need = 0;
    int r = state_write(ag, &next, err);
    if (r != 0)
        return r;
    ag->durable = next;
    log_info("caught up: usable");
    return 0;
}

static void housekeeping(struct agent *ag)
{
    if (!deadline_has_passed(ag->housekeeping_ns))
        return;
    ag->housekeeping_ns = deadline_in_ms(HOUSEKEEPING_MS);
    struct error err;
    if (slots_ensure(ag, &err) != 0 || slots_advance(ag, &err) != 0)
        log_debug("slots not advanced", LOG_ERROR(&err));
    backup_push_leftovers(ag);
}

/* The limits that the WAL demands change when the primary has restarted with others and that was replayed here. */
static void look_at_limits(struct agent *ag)
{
    if (ag->is_held || deadline_has_passed(ag->limits_ns)) {
        ag->has_control = false;
        ag->limits_ns = deadline_in_ms(LIMITS_MS);
    }
    struct error err;
    if (control_refresh(ag, &err) != 0)
        log_debug("the limits are not known", LOG_ERROR(&err));
}

static int maintain(struct agent *ag, const struct json *source, int64_t *ret_wait_ms, struct error *err)
{
    bool changed;
    look_at_limits(ag);
    int r = conf_write(ag, CONF_STANDBY, &changed, err);
    if (r != 0)
        return r;
    if (changed)
        postgres_reload(ag);
    if (ag->ready_term != ag->durable.term || ag->ready_config_version != ag->config.version) {
        r = slots_ensure(ag, err);
        if (r != 0)
            return r;
        ag->ready_term = ag->durable.term;
        ag->ready_config_version = ag->config.version;
        agent_probe_now(ag);
    }
    pthread_mutex_lock(&ag->lock);
    struct board b = ag->board;
    pthread_mutex_unlock(&ag->lock);
    r = note_usable(ag, &b, err);
    if (b.streaming) {
        ag->lost_ns = 0;
        ag->gap_text[0] = '\0';
        housekeeping(ag);
    } else if (ag->lost_ns == 0) {
        ag->lost_ns = deadline_in_ms(RECHECK_MS);
    } else if (deadline_has_passed(ag->lost_ns)) {
        ag->lost_ns = 0;
        ag->followed_term = 0; /* looks at the primary's history again */
        if (r == 0 && gap_look(ag, source))
            return postgres_stop(ag, STOP_FAST, STOP_PATIENCE_MS, err);
    }
    board_say(ag, AGENT_RUNNING, "%s", b.streaming ? "" : ag->gap_text[0] ? ag->gap_text : "not streaming");
    *ret_wait_ms = b.streaming && ag->durable.usable && !ag->is_held ? CALM_LOOK_MS : LOOK_MS;
    return r;
}

int standby_step(struct agent *ag, int64_t *ret_wait_ms, struct error *err)
{
    const struct json *source = config_peer(&ag->config, ag->config.primary);
    int r = 0;
    if (!source)
        return error_set(err, ERRC_UNAVAILABLE, "primary \"%.*s\" has no address", STR_ARG(ag->config.primary));
    if (ag->pm.pid != 0 && !ag->pm.as_standby)
        r = postgres_stop(ag, STOP_FAST, STOP_PATIENCE_MS, err);
    if (r == 0)
        r = supervisor_restart(ag, err);
    if (r == 0 && gap_lost_folder(ag) && ag->pm.pid != 0)
        r = postgres_stop(ag, STOP_IMMEDIATE, 0, err);
    if (r != 0)
        return r;
    *ret_wait_ms = 0;
    if (ag->pm.pid == 0)
        return bring_up(ag, source, err);
    /* What it has is replayed, and what it needs does not come. One without a source begins anew with one. */
    if (!ag->pm.is_ready && postgres_is_stuck(ag) && (ag->is_frozen || gap_look_starting(ag, source)))
        return postgres_stop(ag, STOP_IMMEDIATE, 0, err);
    if (!ag->pm.is_ready)
        return postgres_wait_ready(ag, deadline_in_ms(START_MS), err);
    if (ag->is_frozen || ag->followed_term != ag->durable.term)
        return follow(ag, source, ret_wait_ms, err);
    return maintain(ag, source, ret_wait_ms, err);
}
