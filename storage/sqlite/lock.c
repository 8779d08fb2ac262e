/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One server per store file. SQLite's own locks allow several processes on purpose, and its exclusive mode would shut
 * out our own readers, so a side file "<path>-lock" is locked. It is never removed: whoever waited for the removed one
 * would hold a lock on nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fs.h"
#include "storage/sqlite/sqlite.h"

static int refuse(const char *path, const char *lock_path, int fd, struct error *err)
{
    char owner[24] = "";
    ssize_t len = pread(fd, owner, sizeof(owner) - 1, 0);
    owner[len > 0 ? len : 0] = '\0';
    owner[strcspn(owner, "\n")] = '\0';
    return error_set(err, ERRC_UNAVAILABLE,
                     "store file \"%s\" is in use by process %s (lock file \"%s\"): stop it first, or use another file",
                     path, owner[0] ? owner : "(unknown)", lock_path);
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
    char pid[24];
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0)
        (void)!pwrite(fd, pid, (size_t)len, 0);
    *ret_fd = fd;
    fd = -1;
    return 0;
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
