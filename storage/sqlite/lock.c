/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file beside the store file, "<path>-lock".
 *
 * One server per store file. SQLite's own locks allow several processes on purpose, and its exclusive mode would shut
 * out our own readers, so the side file is locked. It is never removed: whoever waited for the removed one would
 * hold a lock on nothing.
 *
 * It also has the newest revision that may have been acknowledged. SQLite takes a store whose WAL is gone or damaged,
 * or which is an empty or an older file, for what it finds, and would say nothing: then it is behind this number.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fs.h"
#include "storage/sqlite/sqlite.h"

/* A line each: the process, the revision. Of one length, so that each is written over in place. */
#define PID_LINE "%-22ld\n"
#define MARK_LINE "%-22" PRIu64 "\n"
#define LINE_BYTES 23

static str read_line(int fd, off_t at, char line[LINE_BYTES])
{
    ssize_t len = pread(fd, line, LINE_BYTES, at);
    return str_trim(str_of(line, len > 0 ? (size_t)len : 0));
}

static int refuse(const char *path, const char *lock_path, int fd, struct error *err)
{
    char line[LINE_BYTES];
    str owner = read_line(fd, 0, line);
    if (str_is_empty(owner))
        owner = S("(unknown)");
    return error_set(
        err, ERRC_UNAVAILABLE,
        "store file \"%s\" is in use by process %.*s (lock file \"%s\"): stop it first, or use another file", path,
        STR_ARG(owner), lock_path);
}

int sqlite__lock(const char *path, int *ret_fd, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const char *lock_path = arena_printf(a, "%s-lock", path).ptr;
    FD_AUTO fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_sys(err, errno, "opening \"%s\"", lock_path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? refuse(path, lock_path, fd, err)
                                    : error_set_sys(err, errno, "locking \"%s\"", lock_path);
    /* The pid is for the error text of others; the lock itself is the kernel's. On a full disk it is missing. */
    char line[LINE_BYTES + 1];
    (void)snprintf(line, sizeof(line), PID_LINE, (long)getpid());
    (void)!pwrite(fd, line, LINE_BYTES, 0);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

/* Not synced: it may lag behind what is durable, never be ahead of it. On a full disk it lags. */
void sqlite__mark(int lock_fd, rv revision)
{
    char line[LINE_BYTES + 1];
    (void)snprintf(line, sizeof(line), MARK_LINE, (uint64_t)revision);
    (void)!pwrite(lock_fd, line, LINE_BYTES, LINE_BYTES);
}

int sqlite__check_mark(const char *path, int lock_fd, rv revision, struct error *err)
{
    char line[LINE_BYTES];
    uint64_t mark = 0;
    if (!str_to_u64(read_line(lock_fd, LINE_BYTES, line), &mark) || mark <= revision)
        return 0;
    return error_set(err, ERRC_INTERNAL,
                     "store file \"%s\" has lost writes: it ends at revision %" PRIu64 ", and %" PRIu64
                     " was acknowledged; its WAL is gone or damaged, or it is another file: restore it from a"
                     " snapshot (--force), or remove \"%s-lock\" to go on with what there is",
                     path, (uint64_t)revision, mark, path);
}

int sqlite__sync_folder_of(const char *path, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str whole = str_from(path);
    ptrdiff_t slash = str_rindex(whole, '/');
    if (slash < 0)
        return fs_sync_dir(".", err);
    return fs_sync_dir(slash == 0 ? "/" : arena_z(a, str_first(whole, (size_t)slash)), err);
}
