/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose processes are the instance's. Each of them has inherited the descriptor of the lock file, which is how they are
 * told from all others, also those that a dead agent left behind.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#define KILL_PATIENCE_MS 10000
#define ORPHAN_PATIENCE_MS 1000
#define LOCK_PATIENCE_MS 2000
#define LOCK_POLL_MS 3

static bool is_same_file(const char *path, const char *other)
{
    struct stat x, y;
    return stat(path, &x) == 0 && stat(other, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Works in our data folder and has the lock file open: the platform that only tries the lock does not work there. */
static bool holds_lock(struct agent *ag, pid_t pid, const struct stat *lock)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/cwd", (int)pid);
    if (!is_same_file(path, ag->path.pgdata) && !is_same_file(path, ag->path.dir))
        return false;
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    bool found = false;
    for (struct dirent *e; !found && (e = readdir(dir));) {
        struct stat st;
        found = fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && st.st_dev == lock->st_dev && st.st_ino == lock->st_ino;
    }
    (void)closedir(dir);
    return found;
}

/* SIGKILLs every process but ours that holds the lock; *ret_fd: one of them to wait for, -1 when there was none. */
static int kill_lock_holders(struct agent *ag, int *ret_fd, struct error *err)
{
    struct stat lock;
    *ret_fd = -1;
    if (fstat(ag->lock_fd, &lock) != 0)
        return error_set_sys(err, errno, "looking at the lock");
    DIR *proc = opendir("/proc");
    if (!proc)
        return error_set_sys(err, errno, "opening /proc");
    for (struct dirent *e; (e = readdir(proc));) {
        int64_t pid;
        if (!str_to_i64(str_from(e->d_name), &pid) || pid == getpid() || !holds_lock(ag, (pid_t)pid, &lock))
            continue;
        int fd = pidfd_open((pid_t)pid, 0);
        if (fd < 0)
            continue;
        (void)pidfd_send_signal(fd, SIGKILL, NULL, 0);
        fs_closep(ret_fd);
        *ret_fd = fd;
    }
    (void)closedir(proc);
    return 0;
}

int lock_end_holders(struct agent *ag, struct error *err)
{
    int64_t deadline_ns = deadline_in_ms(KILL_PATIENCE_MS);
    for (;;) {
        FD_AUTO fd = -1;
        int r = kill_lock_holders(ag, &fd, err);
        if (r != 0 || fd < 0)
            return r;
        struct pollfd p = { .fd = fd, .events = POLLIN };
        (void)poll(&p, 1, deadline_left_ms(deadline_ns));
        if (deadline_has_passed(deadline_ns))
            return error_set(err, ERRC_TIMEOUT, "processes of PostgreSQL do not end by SIGKILL (a hanging disk?)");
    }
}

/* The lock proves that nothing is left better than the numbers in its own lock files can: such a
 * number may be another process's by now, or that of a dead one that nobody reaped yet, and PostgreSQL would refuse to
 * start. */
int lock_remove_files(struct agent *ag, struct error *err)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/postmaster.pid", ag->path.pgdata);
    if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
        return error_set_sys(err, errno, "removing \"%s\"", path);
    DIR *sockets = opendir(ag->path.sock);
    if (!sockets)
        return errno == ENOENT ? 0 : error_set_sys(err, errno, "opening \"%s\"", ag->path.sock);
    int r = 0;
    for (struct dirent *e; r == 0 && (e = readdir(sockets));)
        if (str_has_prefix(str_from(e->d_name), S(".s.PGSQL.")) && unlinkat(dirfd(sockets), e->d_name, 0) != 0 &&
            errno != ENOENT)
            r = error_set_sys(err, errno, "removing \"%s/%s\"", ag->path.sock, e->d_name);
    (void)closedir(sockets);
    return r;
}

/* ---- an earlier agent's PostgreSQL --------------------------------------------------------------------------- */

/* The postmaster that an agent killed by SIGKILL left behind, asked to end at once. */
static void quit_orphan(struct agent *ag)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct stat lock;
    str text, first, rest;
    int64_t pid;
    if (fs_read(a, arena_printf(a, "%s/postmaster.pid", ag->path.pgdata).ptr, 8192, &text, NULL) != 0)
        return;
    (void)str_cut(text, '\n', &first, &rest);
    if (!str_to_i64(str_trim(first), &pid) || pid <= 1 || fstat(ag->lock_fd, &lock) != 0)
        return;
    /* First the descriptor, then the look: the number cannot be another process's any more. */
    FD_AUTO fd = pidfd_open((pid_t)pid, 0);
    if (fd < 0 || !holds_lock(ag, (pid_t)pid, &lock))
        return;
    log_info("stopping the PostgreSQL of an agent that died", LOG_INT("pid", pid));
    (void)pidfd_send_signal(fd, SIGQUIT, NULL, 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    (void)poll(&p, 1, ORPHAN_PATIENCE_MS);
}

bool lock_take_soon(int fd)
{
    int64_t deadline_ns = deadline_in_ms(LOCK_PATIENCE_MS);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || deadline_has_passed(deadline_ns))
            return false;
        (void)poll(NULL, 0, LOCK_POLL_MS);
    }
    return true;
}

int postgres_take_lock(struct agent *ag, struct error *err)
{
    if (flock(ag->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return lock_remove_files(ag, err);
    quit_orphan(ag);
    int r = lock_end_holders(ag, err);
    if (r != 0)
        return r;
    if (!lock_take_soon(ag->lock_fd))
        return error_set_sys(err, errno, "the folder is in use: \"%s\" is locked", ag->path.lock);
    return lock_remove_files(ag, err);
}
