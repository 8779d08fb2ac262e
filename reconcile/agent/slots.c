/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A physical slot for every other instance, on standbys too, so that whoever becomes primary has kept the WAL that the
 * others need. On a standby nobody reads from them: they follow the primary's.
 */
#include "agent.h"
#include "base/clock.h"
#include "base/log.h"

#define SLOTS_MS 5000

static bool is_wanted(struct agent *ag, struct arena *a, str slot)
{
    for (size_t i = 0; i < json_count(ag->config.slots); i++)
        if (str_eq(conf_slot_name(a, json_str(json_item(ag->config.slots, i))), slot))
            return true;
    return false;
}

static bool is_there(const struct pg_rows *rows, str slot)
{
    for (size_t i = 0; i < rows->rows; i++)
        if (str_eq(pg_cell(rows, i, 0), slot))
            return true;
    return false;
}

static int renew(struct pg *c, struct arena *a, str slot, int64_t deadline_ns, struct error *err)
{
    const char *params[] = { slot.ptr, NULL };
    log_warn("a replication slot has lost its WAL and is made anew", LOG_STR("slot", slot));
    int r = pg_query(c, a, "SELECT pg_drop_replication_slot($1)", params, deadline_ns, NULL, err);
    return r == 0
               ? pg_query(c, a, "SELECT pg_create_physical_replication_slot($1, true)", params, deadline_ns, NULL, err)
               : r;
}

/*
 * A former primary's logical slots are of no use any more: the primary removes rows of the catalog that they would
 * need, since nobody tells it of them. They would keep all WAL from then on. From 16 on a standby can have its own.
 */
static int drop_logical(struct pg *c, struct arena *a, int64_t deadline_ns, struct error *err)
{
    struct pg_rows rows;
    int r = pg_query(c, a,
                     "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical' AND NOT active "
                     "AND pg_is_in_recovery() AND current_setting('server_version_num')::int < 160000",
                     NULL, deadline_ns, &rows, err);
    for (size_t i = 0; r == 0 && i < rows.rows; i++) {
        const char *params[] = { pg_cell(&rows, i, 0).ptr, NULL };
        r = pg_query(c, a, "SELECT pg_drop_replication_slot($1)", params, deadline_ns, NULL, err);
        if (r == 0)
            log_warn("a logical replication slot is dropped: this is no primary any more",
                     LOG_STR("slot", pg_cell(&rows, i, 0)));
    }
    return r;
}

int slots_ensure(struct agent *ag, struct error *err)
{
    CLEANUP(pg_closep) struct pg *c = NULL;
    int r = pg_connect_local(ag, "postgres", deadline_in_ms(SLOTS_MS), &c, err);
    return r == 0 ? slots_ensure_in(ag, c, err) : error_wrap(err, r, "replication slots");
}

int slots_ensure_in(struct agent *ag, struct pg *c, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct pg_rows rows = { 0 };
    int64_t deadline_ns = deadline_in_ms(SLOTS_MS);
    int r = pg_query(c, a,
                     "SELECT slot_name, active, coalesce(wal_status = 'lost', false) FROM pg_replication_slots "
                     "WHERE slot_type = 'physical' AND slot_name LIKE 'pgi\\_%'",
                     NULL, deadline_ns, &rows, err);
    /* One that has lost its WAL never serves again: its instance needs a new one, to be copied anew if nothing else. */
    for (size_t i = 0; r == 0 && i < rows.rows; i++)
        if (pg_is_true(&rows, i, 2) && is_wanted(ag, a, pg_cell(&rows, i, 0)))
            r = renew(c, a, pg_cell(&rows, i, 0), deadline_ns, err);
    for (size_t i = 0; r == 0 && i < json_count(ag->config.slots); i++) {
        const char *params[] = { conf_slot_name(a, json_str(json_item(ag->config.slots, i))).ptr, NULL };
        if (!is_there(&rows, str_from(params[0])))
            r = pg_query(c, a, "SELECT pg_create_physical_replication_slot($1, true)", params, deadline_ns, NULL, err);
    }
    for (size_t i = 0; r == 0 && i < rows.rows; i++) {
        const char *params[] = { pg_cell(&rows, i, 0).ptr, NULL };
        /* One in use belongs to an instance that is still there: it goes another time. */
        if (!is_wanted(ag, a, pg_cell(&rows, i, 0)) && !pg_is_true(&rows, i, 1))
            r = pg_query(c, a, "SELECT pg_drop_replication_slot($1)", params, deadline_ns, NULL, err);
    }
    if (r == 0)
        r = drop_logical(c, a, deadline_ns, err);
    return r == 0 ? 0 : error_wrap(err, r, "replication slots");
}

/* The primary's slots by name; the one of the primary itself (it has none there) takes the oldest of the others. */
static uint64_t target_of(const struct pg_rows *primary, str slot)
{
    uint64_t oldest = 0;
    for (size_t i = 0; i < primary->rows; i++) {
        uint64_t lsn;
        if (!lsn_parse(pg_cell(primary, i, 1), &lsn))
            continue;
        if (str_eq(pg_cell(primary, i, 0), slot))
            return lsn;
        if (oldest == 0 || lsn < oldest)
            oldest = lsn;
    }
    return oldest;
}

static int read_primary(struct agent *ag, struct arena *a, struct pg_rows *ret, struct error *err)
{
    CLEANUP(pg_closep) struct pg *c = NULL;
    const struct json *source = config_peer(&ag->config, ag->config.primary);
    int64_t deadline_ns = deadline_in_ms(SLOTS_MS);
    if (!source)
        return error_set(err, ERRC_NOT_FOUND, "no primary to ask");
    int r = pg_connect_peer(ag, source, deadline_ns, &c, err);
    return r == 0 ? pg_query(c, a,
                             "SELECT slot_name, restart_lsn FROM pg_replication_slots "
                             "WHERE slot_type = 'physical' AND restart_lsn IS NOT NULL",
                             NULL, deadline_ns, ret, err)
                  : r;
}

int slots_advance(struct agent *ag, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    CLEANUP(pg_closep) struct pg *c = NULL;
    struct pg_rows primary, own;
    int64_t deadline_ns = deadline_in_ms(SLOTS_MS);
    int r = read_primary(ag, a, &primary, err);
    if (r == 0)
        r = pg_connect_local(ag, "postgres", deadline_ns, &c, err);
    if (r == 0)
        r = pg_query(c, a,
                     "SELECT slot_name, restart_lsn, pg_last_wal_replay_lsn() FROM pg_replication_slots "
                     "WHERE slot_type = 'physical' AND slot_name LIKE 'pgi\\_%' AND NOT active "
                     "AND restart_lsn IS NOT NULL",
                     NULL, deadline_ns, &own, err);
    for (size_t i = 0; r == 0 && i < own.rows; i++) {
        uint64_t target = target_of(&primary, pg_cell(&own, i, 0)), at = 0, replayed = 0;
        (void)lsn_parse(pg_cell(&own, i, 1), &at);
        (void)lsn_parse(pg_cell(&own, i, 2), &replayed);
        if (target > replayed)
            target = replayed;
        if (target <= at)
            continue;
        const char *params[] = { pg_cell(&own, i, 0).ptr, lsn_format(a, target).ptr, NULL };
        r = pg_query(c, a, "SELECT pg_replication_slot_advance($1, $2::pg_lsn)", params, deadline_ns, NULL, err);
    }
    return r == 0 ? 0 : error_wrap(err, r, "advancing slots");
}
