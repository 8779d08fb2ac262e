/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Care for the file in the background: checkpoints off the writer, a bound for the WAL, and one full integrity check.
 *
 * A WAL that is written anew from its start is much cheaper than one that grows: its fdatasync finds the file's blocks
 * where they were and commits no journal of the file system. SQLite begins it anew when all of it is in the file, which
 * a PASSIVE checkpoint, that never waits for anybody, cannot reach under a writer that never pauses. So the thread here
 * copies the many pages, and the writer, between two batches, the few that came meanwhile. Where that does not help (a
 * reader that needs the WAL, a slow disk) the writer truncates it when it is long.
 */
#include <stdio.h>

#include "base/thread.h"
#include "storage/sqlite/sqlite.h"

/* Of new files (connection.c); where an older one has pages of 4096 bytes, the bounds below are half as many bytes. */
#define PAGE_BYTES 8192
#define CHECKPOINT_EVERY_PAGES ((4u << 20) / PAGE_BYTES)
#define WAL_MAX_PAGES ((64u << 20) / PAGE_BYTES)
/* What came during a checkpoint is copied by the writer when it is not more than this: a few milliseconds. */
#define REST_MAX_PAGES ((2u << 20) / PAGE_BYTES)
/* After a failed truncation (a long reader) the next one is tried when the WAL grew by so much. */
#define TRUNCATE_AGAIN_PAGES ((16u << 20) / PAGE_BYTES)
#define TRUNCATE_WAIT_MS 100
#define BUSY_TIMEOUT_MS 5000
/* Virtual machine steps of SQLite between two looks at is_interrupted. */
#define CHECK_STEPS 20000

static bool wants_checkpoint(const struct sqlite_care *care)
{
    return care->wal_pages >= care->checkpoint_pages + CHECKPOINT_EVERY_PAGES;
}

/* Called by SQLite after each commit of the writer. */
static int on_commit(void *self, sqlite3 *db UNUSED, const char *name UNUSED, int pages)
{
    struct sqlite_care *care = self;
    (void)pthread_mutex_lock(&care->mutex);
    care->wal_pages = (uint64_t)pages;
    /* Shorter than before: it was begun anew. */
    if (care->wal_pages < care->checkpoint_pages) {
        care->checkpoint_pages = 0;
        care->has_rest = false;
    }
    if (wants_checkpoint(care))
        (void)pthread_cond_signal(&care->is_changed);
    (void)pthread_mutex_unlock(&care->mutex);
    return SQLITE_OK;
}

static bool wait_for_work(struct sqlite_care *care)
{
    (void)pthread_mutex_lock(&care->mutex);
    while (!care->is_closing && !wants_checkpoint(care))
        (void)pthread_cond_wait(&care->is_changed, &care->mutex);
    bool is_closing = care->is_closing;
    care->checkpoint_pages = care->wal_pages;
    (void)pthread_mutex_unlock(&care->mutex);
    return !is_closing;
}

static void *run_checkpoints(void *self)
{
    struct sqlite_care *care = self;
    while (wait_for_work(care)) {
        (void)pthread_mutex_lock(&care->checkpoint_mutex);
        /* A failure (disk full) loses nothing: the WAL keeps the pages, and the next one tries them again. */
        int rc = sqlite3_wal_checkpoint_v2(care->checkpoint_connection.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        (void)pthread_mutex_unlock(&care->checkpoint_mutex);
        (void)pthread_mutex_lock(&care->mutex);
        care->has_rest = rc == SQLITE_OK;
        (void)pthread_mutex_unlock(&care->mutex);
    }
    return NULL;
}

/* Whether the writer is to copy what came during the last checkpoint; noted as done, since it is tried once. */
static bool take_rest(struct sqlite_care *care, uint64_t *ret_wal_pages)
{
    (void)pthread_mutex_lock(&care->mutex);
    uint64_t rest = care->wal_pages - care->checkpoint_pages;
    bool is_wanted = care->has_rest && rest > 0 && rest <= REST_MAX_PAGES;
    if (is_wanted)
        care->checkpoint_pages = care->wal_pages;
    care->has_rest = false;
    *ret_wal_pages = care->wal_pages;
    (void)pthread_mutex_unlock(&care->mutex);
    return is_wanted;
}

static void copy_rest(struct sqlite_store *s)
{
    (void)pthread_mutex_lock(&s->care.checkpoint_mutex);
    (void)sqlite3_wal_checkpoint_v2(s->writer.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    (void)pthread_mutex_unlock(&s->care.checkpoint_mutex);
}

static void truncate_wal(struct sqlite_store *s, uint64_t pages)
{
    struct sqlite_care *care = &s->care;
    (void)pthread_mutex_lock(&care->checkpoint_mutex);
    (void)sqlite3_busy_timeout(s->writer.db, TRUNCATE_WAIT_MS);
    int rc = sqlite3_wal_checkpoint_v2(s->writer.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    (void)sqlite3_busy_timeout(s->writer.db, BUSY_TIMEOUT_MS);
    (void)pthread_mutex_unlock(&care->checkpoint_mutex);
    care->truncate_pages = rc == SQLITE_OK ? WAL_MAX_PAGES : pages + TRUNCATE_AGAIN_PAGES;
    if (rc == SQLITE_OK)
        (void)on_commit(care, NULL, NULL, 0);
}

void sqlite__care_bound_wal(struct sqlite_store *s)
{
    uint64_t pages = 0;
    if (take_rest(&s->care, &pages))
        copy_rest(s);
    else if (pages > s->care.truncate_pages)
        truncate_wal(s, pages);
}

static int is_interrupted(void *self)
{
    struct sqlite_care *care = self;
    return atomic_load(&care->is_interrupted);
}

static void *run_check(void *self)
{
    struct sqlite_care *care = self;
    struct error err;
    int r = sqlite__check_file(&care->check_connection, "PRAGMA integrity_check(1)", &err);
    if (r != 0 && !atomic_load(&care->is_interrupted)) {
        (void)pthread_mutex_lock(&care->mutex);
        (void)snprintf(care->damage, sizeof(care->damage), "%.*s", (int)sizeof(care->damage) - 1, err.text);
        (void)pthread_mutex_unlock(&care->mutex);
    }
    sqlite__disconnect(&care->check_connection);
    return NULL;
}

int sqlite__health(struct storage *super, struct error *err)
{
    struct sqlite_store *s = (struct sqlite_store *)super;
    (void)pthread_mutex_lock(&s->care.mutex);
    int r = s->care.damage[0] ? error_set(err, ERRC_INTERNAL, "integrity check: %s", s->care.damage) : 0;
    (void)pthread_mutex_unlock(&s->care.mutex);
    return r;
}

static int start_checkpointer(struct sqlite_store *s, struct error *err)
{
    struct sqlite_care *care = &s->care;
    int r = sqlite__connect(&care->checkpoint_connection, s->path, SQLITE_OPEN_READWRITE, err);
    /* PASSIVE needs a connection that has read the WAL's header once. */
    uint64_t ignored = 0;
    if (r == 0)
        r = sqlite__query_u64(&care->checkpoint_connection, "SELECT count(*) FROM meta", &ignored, err);
    if (r == 0)
        r = thread_start(&care->checkpointer, "store-ckpt", run_checkpoints, care, err);
    care->has_checkpointer = r == 0;
    return r;
}

static int start_checker(struct sqlite_store *s, struct error *err)
{
    struct sqlite_care *care = &s->care;
    int r = sqlite__connect(&care->check_connection, s->path, SQLITE_OPEN_READONLY, err);
    if (r != 0)
        return r;
    sqlite3_progress_handler(care->check_connection.db, CHECK_STEPS, is_interrupted, care);
    r = thread_start(&care->checker, "store-check", run_check, care, err);
    care->has_checker = r == 0;
    return r;
}

int sqlite__care_start(struct sqlite_store *s, struct error *err)
{
    struct sqlite_care *care = &s->care;
    care->truncate_pages = WAL_MAX_PAGES;
    (void)sqlite3_wal_hook(s->writer.db, on_commit, care);
    int r = start_checkpointer(s, err);
    return r == 0 ? start_checker(s, err) : r;
}

void sqlite__care_stop(struct sqlite_store *s)
{
    struct sqlite_care *care = &s->care;
    atomic_store(&care->is_interrupted, true);
    (void)pthread_mutex_lock(&care->mutex);
    care->is_closing = true;
    (void)pthread_cond_signal(&care->is_changed);
    (void)pthread_mutex_unlock(&care->mutex);
    if (care->has_checkpointer)
        (void)pthread_join(care->checkpointer, NULL);
    if (care->has_checker)
        (void)pthread_join(care->checker, NULL);
    sqlite__disconnect(&care->checkpoint_connection);
    sqlite__disconnect(&care->check_connection);
}
