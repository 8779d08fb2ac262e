/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the data demand of the configuration: PostgreSQL does not start with fewer slots or prepared transactions than
 * it finds, nor below wal_level = logical where there is a logical slot. A parameter that falls below waits until they
 * are gone, instead of taking the instance down.
 */
#include <dirent.h>
#include <stdio.h>

#include "agent.h"
#include "base/fs.h"

/* Of a slot's state file (slot.c, ReplicationSlotOnDisk): four words, a name of 64 bytes, the database's oid. */
#define SLOT_DATABASE_AT 80
#define SLOT_FILE_MAX 4096

static bool is_logical(struct arena *a, const char *dir, const char *slot)
{
    static const char none[4];
    str state;
    return fs_read(a, arena_printf(a, "%s/%s/state", dir, slot).ptr, SLOT_FILE_MAX, &state, NULL) == 0 &&
           state.len >= SLOT_DATABASE_AT + sizeof(none) &&
           memcmp(state.ptr + SLOT_DATABASE_AT, none, sizeof(none)) != 0;
}

struct data_demands demands_read(const char *pgdata)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct data_demands found = { 0 };
    const char *slots = arena_printf(a, "%s/pg_replslot", pgdata).ptr;
    DIR *dir = opendir(slots);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        found.slots++;
        found.logical_slots += is_logical(a, slots, e->d_name);
    }
    if (dir)
        (void)closedir(dir);
    dir = opendir(arena_printf(a, "%s/pg_twophase", pgdata).ptr);
    for (struct dirent *e; dir && (e = readdir(dir));)
        found.prepared += e->d_name[0] != '.';
    if (dir)
        (void)closedir(dir);
    return found;
}

/* While PostgreSQL runs, only what it says is known of prepared transactions: they get files at a checkpoint. */
static int64_t prepared_now(struct agent *ag, int64_t of_files)
{
    pthread_mutex_lock(&ag->lock);
    int64_t said = ag->board.prepared;
    pthread_mutex_unlock(&ag->lock);
    if (ag->pm.pid != 0)
        return said >= 0 ? said : ag->demands.prepared;
    if (!ag->has_control || control_is_clean_primary(&ag->control))
        return of_files;
    /* After a crash some are in the WAL alone: there may be as many as it ran with. */
    int64_t most = ag->control.limits[conf_limit_index(S("max_prepared_transactions"))];
    return most > of_files ? most : of_files;
}

/* Of what runs, only for something new, or while it holds a parameter. */
void demands_refresh(struct agent *ag)
{
    if (ag->pm.pid != 0 && ag->demands_text[0] == '\0' && ag->demands_version == ag->config.version)
        return;
    struct data_demands found = demands_read(ag->path.pgdata);
    found.prepared = prepared_now(ag, found.prepared);
    ag->demands = found;
    ag->demands_version = ag->config.version;
}
