/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot and restore: a copy is made under a temporary name by SQLite's backup (which reads one state of the source
 * while others write), finished, checked, made durable, and only then gets its name.
 */
#include "storage/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/rand.h"
#include "storage/sqlite/sqlite.h"

#define RESTORE_BUMP UINT64_C(1000000000)

typedef int (*finish_fn)(struct sqlite_connection *copy, struct error *err);

static int backup(struct sqlite_connection *from, struct sqlite_connection *to, struct error *err)
{
    sqlite3_backup *b = sqlite3_backup_init(to->db, "main", from->db, "main");
    if (!b)
        return sqlite__error(to, sqlite3_errcode(to->db), err);
    int rc = sqlite3_backup_step(b, -1);
    int finished = sqlite3_backup_finish(b);
    if (rc == SQLITE_DONE && finished == SQLITE_OK)
        return 0;
    /* The result is set on the destination, whichever side failed. */
    return sqlite__error(to, rc == SQLITE_DONE ? finished : rc, err);
}

/* Fills the file tmp, which exists and is empty. */
static int fill(struct sqlite_connection *from, const char *tmp, finish_fn finish, struct error *err)
{
    struct sqlite_connection copy;
    int r = sqlite__connect(&copy, tmp, SQLITE_OPEN_READWRITE, err);
    if (r != 0)
        return r;
    r = backup(from, &copy, err);
    /* A copy that is not in WAL mode is one file, and can be read from a read-only disk. */
    if (r == 0)
        r = sqlite__exec(&copy, "PRAGMA journal_mode = DELETE", err);
    if (r == 0 && finish)
        r = finish(&copy, err);
    if (r == 0)
        r = sqlite__check_file(&copy, "PRAGMA quick_check(1)", err);
    sqlite__disconnect(&copy);
    return r;
}

static int make_durable(int fd, const char *tmp, const char *to, struct error *err)
{
    if (fsync(fd) != 0)
        return error_set_sys(err, errno, "syncing \"%s\"", tmp);
    if (renameat2(AT_FDCWD, tmp, AT_FDCWD, to, RENAME_NOREPLACE) != 0)
        return error_set_sys(err, errno, "naming the copy \"%s\"", to);
    return sqlite__sync_folder_of(to, err);
}

static int copy_file(struct sqlite_connection *from, const char *to, finish_fn finish, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    if (fs_exists(to))
        return error_set(err, ERRC_EXISTS, "\"%s\" exists already", to);
    const char *tmp = arena_printf(a, "%s.%016" PRIx64 ".tmp", to, rand_u64()).ptr;
    FD_AUTO fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set_sys(err, errno, "creating \"%s\"", tmp);
    int r = fill(from, tmp, finish, err);
    if (r == 0)
        r = make_durable(fd, tmp, to, err);
    if (r != 0) {
        (void)unlink(tmp);
        (void)unlink(arena_printf(a, "%s-journal", tmp).ptr);
        (void)unlink(arena_printf(a, "%s-wal", tmp).ptr);
        (void)unlink(arena_printf(a, "%s-shm", tmp).ptr);
    }
    return r;
}

int sqlite__snapshot(struct storage *super, const char *path, struct error *err)
{
    struct sqlite_store *s = (struct sqlite_store *)super;
    return storage_snapshot(s->path, path, err);
}

/* For reading only, and surely a store. */
static int open_source(struct sqlite_connection *c, const char *path, struct error *err)
{
    if (!fs_exists(path))
        return error_set(err, ERRC_NOT_FOUND, "store file \"%s\" does not exist", path);
    int r = sqlite__connect(c, path, SQLITE_OPEN_READONLY, err);
    if (r != 0)
        return r;
    r = sqlite__check_schema(c, err);
    if (r != 0)
        sqlite__disconnect(c);
    return r;
}

int storage_snapshot(const char *from, const char *to, struct error *err)
{
    struct sqlite_connection source;
    int r = open_source(&source, from, err);
    if (r != 0)
        return error_wrap(err, r, "taking a snapshot");
    r = copy_file(&source, to, NULL, err);
    sqlite__disconnect(&source);
    return r == 0 ? 0 : error_wrap(err, r, "taking a snapshot");
}

static int mark_restored(struct sqlite_connection *copy, struct error *err)
{
    rv current = 0;
    rv oldest = 0;
    int r = sqlite__bounds(copy, &current, &oldest, err);
    while (r == 0 && oldest < current)
        r = sqlite__compact_step(copy, current, &oldest, err);
    if (r != 0)
        return r;
    char sql[256];
    (void)snprintf(sql, sizeof(sql),
                   "BEGIN IMMEDIATE;"
                   "UPDATE meta SET value = '%" PRIu64 "' WHERE name = 'oldest';"
                   "UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE name = 'restored';"
                   "COMMIT;",
                   current + RESTORE_BUMP);
    return sqlite__exec(copy, sql, err);
}

static int restore_locked(const char *from, const char *to, struct error *err)
{
    struct sqlite_connection source;
    int r = open_source(&source, from, err);
    if (r != 0)
        return r;
    r = sqlite__check_file(&source, "PRAGMA integrity_check(1)", err);
    if (r == 0)
        r = copy_file(&source, to, mark_restored, err);
    sqlite__disconnect(&source);
    return r;
}

int storage_restore(const char *from, const char *to, struct error *err)
{
    FD_AUTO lock_fd = -1;
    int r = sqlite__lock(to, &lock_fd, err);
    if (r == 0)
        r = restore_locked(from, to, err);
    if (r == 0)
        sqlite__mark(lock_fd, 0);
    return r == 0 ? 0 : error_wrap(err, r, "restoring the store");
}
