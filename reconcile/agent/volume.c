/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much room the instance takes and how much is left, and whether its folder is there at all. The data folder is
 * walked beside the prober: on a disk that hangs the walk hangs, not the heartbeat.
 */
#include <errno.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <fts.h> /* needs the types above */

#include "agent.h"
#include "base/clock.h"
#include "base/log.h"

#define EVERY_MS 10000
#define ENTRIES_MAX 2000000 /* a walk beyond that is cut: the figure is for people */

/* Bytes that the files of a folder occupy. */
static int64_t occupied(const char *folder)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    char *roots[] = { arena_z(a, str_from(folder)), NULL };
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!walk)
        return 0;
    int64_t bytes = 0, entries = 0;
    for (FTSENT *e; entries < ENTRIES_MAX && (e = fts_read(walk)); entries++)
        if (e->fts_info != FTS_DP && e->fts_info != FTS_NS && e->fts_info != FTS_ERR && e->fts_info != FTS_DNR)
            bytes += (int64_t)e->fts_statp->st_blocks * 512;
    (void)fts_close(walk);
    return bytes;
}

int64_t volume_free_bytes(struct agent *ag)
{
    struct statvfs v;
    return statvfs(ag->path.dir, &v) == 0 ? (int64_t)v.f_bavail * (int64_t)v.f_frsize : -1;
}

/* Deleted, moved away or unmounted: nothing can be written or read any more, and nobody could stop us later. */
static void end_without_folder(struct agent *ag)
{
    struct stat st;
    if (stat(ag->path.dir, &st) == 0 || (errno != ENOENT && errno != ENOTDIR))
        return;
    log_error("the folder of the instance is gone: ending", LOG_Z("folder", ag->path.dir));
    (void)kill(getpid(), SIGTERM);
}

static void measure(void *self)
{
    struct agent *ag = self;
    end_without_folder(ag);
    int64_t used = occupied(ag->path.pgdata);
    int64_t free_bytes = volume_free_bytes(ag);
    pthread_mutex_lock(&ag->lock);
    ag->board.data_used_bytes = used;
    if (free_bytes >= 0)
        ag->board.data_free_bytes = free_bytes;
    pthread_mutex_unlock(&ag->lock);
    atomic_store(&ag->is_measuring, false);
}

void volume_look(struct agent *ag)
{
    if (!deadline_has_passed(ag->volume_ns) || atomic_exchange(&ag->is_measuring, true))
        return;
    ag->volume_ns = deadline_in_ms(EVERY_MS);
    if (!pool_run(ag->tasks, measure, ag))
        atomic_store(&ag->is_measuring, false); /* busy: the next look tries again */
}
