/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first data folder of a cluster: checksums, SCRAM, the wanted encoding and locale. Made beside and renamed, so
 * that a half one never looks whole.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#define INITDB_MS 300000
#define ARGS_MAX 16

static str text_at(const struct agent *ag, const char *key, str fallback)
{
    str s = json_str_at(ag->config.initdb, key);
    return s.len > 0 ? s : fallback;
}

static int run(struct agent *ag, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const char *argv[ARGS_MAX] = {
        agent_bin(ag, a, "initdb"),
        "-D",
        ag->path.pgdata_new,
        "-U",
        AGENT_SUPERUSER,
        "--auth=scram-sha-256",
        "--auth-local=peer", /* replaced by our own file before the first start */
        "--data-checksums",
        "--no-instructions",
        "--no-sync", /* data_sync syncs the whole at once */
        arena_printf(a, "--encoding=%.*s", STR_ARG(text_at(ag, "encoding", S("UTF8")))).ptr,
        arena_printf(a, "--locale=%.*s", STR_ARG(text_at(ag, "locale", S("C.UTF-8")))).ptr,
    };
    const struct child_options options = { .argv = argv, .deadline_ns = deadline_in_ms(INITDB_MS) };
    ag->source[0] = '\0';
    return child_run(ag, &options, err);
}

int initdb_run(struct agent *ag, struct error *err)
{
    board_say(ag, AGENT_INITIALIZING, "making the database");
    int r = data_remove(ag, ag->path.pgdata_new, err);
    if (r == 0)
        r = run(ag, err);
    if (r == 0)
        r = data_sync(ag, err);
    if (r == 0)
        r = data_replace(ag, err);
    if (r != 0)
        return error_wrap(err, r, "initdb");
    /* The creator is the primary of the record's term without a promotion; its timeline is the first. */
    struct durable next = ag->durable;
    next.granted = true;
    next.granted_timeline = 0;
    next.has_data = next.usable = true;
    next.rewinding = false;
    next.need = 0;
    state_note_timeline(&next, 1, next.term);
    r = state_write(ag, &next, err);
    if (r != 0)
        return r;
    ag->durable = next;
    ag->may_write_term = next.term;
    ag->has_control = false;
    return 0;
}
