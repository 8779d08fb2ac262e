/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way back of a former primary: pg_rewind onto the new one's history. When it cannot, a fresh copy does (join.c).
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#define CHECKPOINT_MS 120000
#define REWIND_MS (INT64_C(4) * 3600 * 1000)
#define STOP_MS 10000
#define START_MS 60000

/* Up to 15, pg_rewind reads the source's timeline from its last checkpoint: that must be one of the new timeline, else
 * it succeeds without doing anything (rule 29). */
static int checkpoint_source(struct agent *ag, const struct json *source, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    CLEANUP(pg_closep) struct pg *c = NULL;
    struct pg_rows rows;
    int64_t deadline_ns = deadline_in_ms(CHECKPOINT_MS);
    int r = pg_connect_peer(ag, source, deadline_ns, &c, err);
    if (r == 0)
        r = pg_query(c, a, "CHECKPOINT", NULL, deadline_ns, NULL, err);
    if (r == 0)
        r = pg_query(c, a,
                     "SELECT timeline_id = ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int "
                     "FROM pg_control_checkpoint()",
                     NULL, deadline_ns, &rows, err);
    if (r == 0 && !pg_is_true(&rows, 0, 0))
        r = error_set(err, ERRC_UNAVAILABLE, "the primary has no checkpoint of its timeline yet");
    return r;
}

static void want_copy(struct agent *ag, const char *why)
{
    ag->must_copy = true;
    (void)snprintf(ag->copy_why, sizeof(ag->copy_why), "%s", why);
}

/* A standby that crashed is brought to a clean end first: single-user recovery cannot do that. */
static int settle_standby(struct agent *ag, struct error *err)
{
    int r = control_refresh(ag, err);
    if (r != 0 || strcmp(ag->control.state, "in archive recovery") != 0)
        return r;
    r = history_prune(ag, control_wal_timeline(ag, ag->control.timeline), err);
    if (r == 0)
        r = postgres_start(ag, true, err);
    if (r == 0)
        r = postgres_wait_ready(ag, deadline_in_ms(START_MS), err);
    bool has_ended = r == ERRC_CANCELLED && ag->pm.pid != 0; /* by itself: nobody ordered it */
    int stopped = postgres_stop(ag, STOP_FAST, STOP_MS, r == 0 ? err : NULL);
    if (has_ended) {
        want_copy(ag, "the standby cannot be brought to a clean end for pg_rewind");
        return error_set(err, ERRC_UNAVAILABLE, "PostgreSQL does not start for it");
    }
    return r != 0 ? r : stopped;
}

/* pg_rewind ends a crash recovery in single-user mode, which refuses to be a standby. */
static int remove_signals(struct agent *ag, struct error *err)
{
    static const char *const names[] = { "standby.signal", "recovery.signal" };
    char path[4096];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", ag->path.pgdata, names[i]);
        if (unlink(path) != 0 && errno != ENOENT)
            return error_set_sys(err, errno, "removing \"%s\"", path);
    }
    return 0;
}

static int rewind_child(struct agent *ag, const struct json *source, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct conf_input in = { .path = &ag->path, .config = &ag->config };
    const char *argv[] = {
        agent_bin(ag, a, "pg_rewind"),
        "-D",
        ag->path.pgdata,
        arena_printf(a, "--config-file=%s", ag->path.conf_file).ptr,
        arena_printf(a, "--source-server=%.*s", STR_ARG(conf_conninfo(a, &in, source, "postgres"))).ptr,
        NULL
    };
    const struct child_options options = { .argv = argv, .deadline_ns = deadline_in_ms(REWIND_MS) };
    (void)snprintf(ag->source, sizeof(ag->source), "%.*s", STR_ARG(json_str_at(source, "name")));
    return child_run(ag, &options, err);
}

int rewind_run(struct agent *ag, const struct json *source, struct error *err)
{
    int64_t began_ns = clock_monotonic_ns();
    bool changed;
    board_say(ag, AGENT_REWINDING, "rewinding onto %.*s", STR_ARG(json_str_at(source, "name")));
    (void)control_refresh(ag, NULL); /* its limits, should it have to start once more; without them it tries as it is */
    int r = conf_write(ag, CONF_FROZEN, &changed, err);
    if (r == 0)
        r = checkpoint_source(ag, source, err);
    if (r == 0)
        r = settle_standby(ag, err);
    if (r == 0)
        r = unusable_until_caught_up(ag, source, err);
    if (r == 0)
        r = remove_signals(ag, err);
    if (r != 0)
        return error_wrap(err, r, "rewinding");
    r = rewind_child(ag, source, err);
    ag->has_control = false;
    /* Half rewound, it has lost what a second attempt would have to read: only a copy helps, whatever ended it. */
    if (r != 0) {
        want_copy(ag, "pg_rewind failed");
        return r == ERRC_CANCELLED ? r : error_wrap(err, r, "rewinding");
    }
    struct durable next = ag->durable;
    next.rewinding = false;
    r = state_write(ag, &next, err);
    if (r != 0)
        return r;
    ag->durable = next;
    ag->is_rewound = true;
    log_info("rewound", LOG_STR("onto", json_str_at(source, "name")),
             LOG_INT("took_ms", (clock_monotonic_ns() - began_ns) / NS_PER_MS));
    return 0;
}
