/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fresh copy from the primary by pg_basebackup, with progress. From its first byte until its own position has passed
 * what the primary had flushed then, this instance counts for nothing (rule 33).
 */
#include <stdio.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#define COPY_MS (INT64_C(7) * 24 * 3600 * 1000)
#define SLOT_MS 3000

int unusable_until_caught_up(struct agent *ag, const struct json *source, bool rewinding, struct error *err)
{
    struct durable next = ag->durable;
    next.usable = false;
    next.granted = false;
    next.rewinding = rewinding;
    next.has_data = rewinding;
    int r = state_write(ag, &next, err);
    if (r != 0)
        return r;
    ag->durable = next;
    r = source_flushed(ag, source, &next.need, err);
    if (r == 0)
        r = state_write(ag, &next, err);
    if (r == 0)
        ag->durable = next;
    return r;
}

static int check_slot(struct agent *ag, struct arena *a, const struct json *source, str slot, struct error *err)
{
    CLEANUP(pg_closep) struct pg *c = NULL;
    struct pg_rows rows;
    const char *params[] = { slot.ptr, NULL };
    int64_t deadline_ns = deadline_in_ms(SLOT_MS);
    int r = pg_connect_peer(ag, source, deadline_ns, &c, err);
    if (r == 0)
        r = pg_query(c, a, "SELECT 1 FROM pg_replication_slots WHERE slot_name = $1", params, deadline_ns, &rows, err);
    if (r == 0 && rows.rows == 0)
        r = error_set(err, ERRC_UNAVAILABLE, "the primary has no slot for this instance yet");
    return r;
}

/* "  40960/61440 kB (66%), 0/1 tablespace" */
static void on_progress(struct agent *ag, str line)
{
    str done_text, rest, total_text;
    int64_t done, total;
    if (str_cut(line, '/', &done_text, &rest) && str_cut(rest, ' ', &total_text, &rest) &&
        str_to_i64(str_trim(done_text), &done) && str_to_i64(str_trim(total_text), &total))
        board_progress(ag, "copied %lld MiB of %lld MiB", (long long)(done / 1024), (long long)(total / 1024));
}

static int copy(struct agent *ag, struct arena *a, const struct json *source, str slot, struct error *err)
{
    const struct conf_input in = { .path = &ag->path, .config = &ag->config };
    const char *argv[] = { agent_bin(ag, a, "pg_basebackup"),
                           "-D",
                           ag->path.pgdata_new,
                           "-d",
                           conf_conninfo(a, &in, source, NULL).ptr,
                           "-X",
                           "stream",
                           "-S",
                           slot.ptr,
                           "-c",
                           "fast",
                           "--progress",
                           "--no-password",
                           "--no-sync", /* data_replace syncs the whole at once */
                           "--label=postgres-agent",
                           NULL };
    const struct child_options options = { .argv = argv,
                                           .deadline_ns = deadline_in_ms(COPY_MS),
                                           .on_line = on_progress };
    (void)snprintf(ag->source, sizeof(ag->source), "%.*s", STR_ARG(json_str_at(source, "name")));
    return child_run(ag, &options, err);
}

int join_copy(struct agent *ag, const struct json *source, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str slot = conf_slot_name(a, ag->boot.instance);
    bool changed;
    board_say(ag, AGENT_COPYING, "copying from %.*s", STR_ARG(json_str_at(source, "name")));
    int r = conf_write(ag, CONF_FROZEN, &changed, err); /* also the certificates to connect with */
    if (r == 0)
        r = check_slot(ag, a, source, slot, err);
    if (r == 0)
        r = unusable_until_caught_up(ag, source, false, err);
    /* What is here is of no use any more, and there may be no room for both. */
    if (r == 0)
        r = fs_remove_all(ag->path.pgdata, err);
    if (r == 0)
        r = fs_remove_all(ag->path.pgdata_new, err);
    if (r == 0)
        r = copy(ag, a, source, slot, err);
    if (r == 0)
        r = data_replace(ag, err);
    if (r != 0)
        return error_wrap(err, r, "copying from \"%.*s\"", STR_ARG(json_str_at(source, "name")));
    struct durable next = ag->durable;
    next.has_data = true;
    next.rewinding = false;
    r = state_write(ag, &next, err);
    if (r != 0)
        return r;
    ag->durable = next;
    ag->has_control = false;
    ag->must_copy = false;
    log_info("copied", LOG_STR("from", json_str_at(source, "name")));
    return 0;
}
