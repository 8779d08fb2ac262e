/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fresh copy from the primary by pg_basebackup, with progress. From the moment in which the old data are given up
 * until its own position has passed what the primary had flushed then, this instance counts for nothing (rule 33).
 * Data that count are kept beside the copy until it is complete and durable, if there is room for both: the primary
 * may die meanwhile.
 */
#include <stdio.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#define COPY_MS (INT64_C(7) * 24 * 3600 * 1000)
#define SLOT_MS 3000
#define ROOM_SPARE_BYTES (INT64_C(256) << 20) /* WAL that comes with the copy */

/* PostgreSQL is down here: nothing is confirmed between the question to the source and this. */
static int persist_unusable(struct agent *ag, uint64_t need, bool rewinding, struct error *err)
{
    struct durable next = ag->durable;
    next.usable = false;
    next.granted = false;
    next.rewinding = rewinding;
    next.has_data = rewinding;
    next.need = need;
    int r = state_write(ag, &next, err);
    if (r == 0)
        ag->durable = next;
    return r;
}

int unusable_until_caught_up(struct agent *ag, const struct json *source, struct error *err)
{
    uint64_t need;
    int r = source_flushed(ag, source, &need, err);
    return r == 0 ? persist_unusable(ag, need, true, err) : r;
}

struct source_facts {
    bool has_slot;
    int64_t bytes; /* of its databases */
};

static int ask_source(struct agent *ag, struct arena *a, const struct json *source, str slot, struct source_facts *ret,
                      struct error *err)
{
    CLEANUP(pg_closep) struct pg *c = NULL;
    struct pg_rows rows;
    const char *params[] = { slot.ptr, NULL };
    int64_t deadline_ns = deadline_in_ms(SLOT_MS);
    int r = pg_connect_peer(ag, source, deadline_ns, &c, err);
    if (r == 0)
        r = pg_query(c, a,
                     "SELECT EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = $1 "
                     "AND wal_status IS DISTINCT FROM 'lost'), "
                     "(SELECT sum(pg_database_size(oid))::bigint FROM pg_database), "
                     "(SELECT left(string_agg(quote_ident(spcname), ', ' ORDER BY spcname), 80) FROM pg_tablespace "
                     "WHERE pg_tablespace_location(oid) <> '')",
                     params, deadline_ns, &rows, err);
    if (r != 0)
        return r;
    if (pg_cell(&rows, 0, 2).len > 0) /* before the old data are given up for it */
        return error_set(
            err, ERRC_UNAVAILABLE,
            "it has tablespaces (%.*s), and instances keep all their data in their own folder: move what is "
            "in them to pg_default and drop them",
            STR_ARG(pg_cell(&rows, 0, 2)));
    ret->has_slot = pg_is_true(&rows, 0, 0);
    (void)str_to_i64(pg_cell(&rows, 0, 1), &ret->bytes);
    return ret->has_slot ? 0 : error_set(err, ERRC_UNAVAILABLE, "the primary has no slot for this instance yet");
}

static bool may_keep_old(struct agent *ag, int64_t bytes)
{
    return ag->durable.has_data && ag->durable.usable && !ag->durable.rewinding && fs_exists(ag->path.pgdata) &&
           volume_free_bytes(ag) > bytes + bytes / 8 + ROOM_SPARE_BYTES;
}

/* "  40960/61440 kB (66%), 0/1 tablespace" */
static bool on_progress(struct agent *ag, str line)
{
    str done_text, rest, total_text;
    int64_t done, total;
    if (!str_cut(line, '/', &done_text, &rest) || !str_cut(rest, ' ', &total_text, &rest) ||
        !str_to_i64(str_trim(done_text), &done) || !str_to_i64(str_trim(total_text), &total) || total <= 0)
        return false;
    if (done > total) /* the total is an estimate */
        done = total;
    board_progress(ag, "copied %lld MiB of %lld MiB (%lld %%)", (long long)(done / 1024), (long long)(total / 1024),
                   (long long)(done * 100 / total));
    return true;
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
                           "--no-sync", /* data_sync syncs the whole at once */
                           "--label=postgres-agent",
                           NULL };
    const struct child_options options = { .argv = argv,
                                           .deadline_ns = deadline_in_ms(COPY_MS),
                                           .on_line = on_progress };
    (void)snprintf(ag->source, sizeof(ag->source), "%.*s", STR_ARG(json_str_at(source, "name")));
    return child_run(ag, &options, err);
}

static void say_copying(struct agent *ag, const struct json *source)
{
    board_say(ag, AGENT_COPYING, "copying from %.*s%s%s", STR_ARG(json_str_at(source, "name")),
              ag->copy_why[0] ? ": " : "", ag->copy_why);
}

/* The steps up to complete and durable data in the place of the old ones. */
static int replace(struct agent *ag, struct arena *a, const struct json *source, struct error *err)
{
    str slot = conf_slot_name(a, ag->boot.instance);
    struct source_facts facts = { 0 };
    uint64_t need = 0;
    bool changed, keeps = false;
    int r = conf_write(ag, CONF_FROZEN, &changed, err); /* also the certificates to connect with */
    if (r == 0)
        r = ask_source(ag, a, source, slot, &facts, err);
    if (r == 0)
        r = source_flushed(ag, source, &need, err); /* and that it is a running primary */
    if (r == 0)
        r = data_remove(ag, ag->path.pgdata_new, err);
    if (r == 0)
        keeps = may_keep_old(ag, facts.bytes);
    if (r == 0 && !keeps)
        r = persist_unusable(ag, need, false, err);
    if (r == 0 && !keeps)
        r = data_remove(ag, ag->path.pgdata, err);
    if (r == 0)
        r = copy(ag, a, source, slot, err);
    if (r == 0)
        r = data_sync(ag, err);
    if (r == 0 && keeps)
        r = persist_unusable(ag, need, false, err);
    return r == 0 ? data_replace(ag, err) : r;
}

int join_copy(struct agent *ag, const struct json *source, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    say_copying(ag, source);
    int r = replace(ag, a, source, err);
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
    ag->copy_why[0] = '\0';
    log_info("copied", LOG_STR("from", json_str_at(source, "name")));
    return 0;
}
