/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is proved about an instance, and its end. The lock in its folder is held by the agent and inherited by the
 * postmaster: whoever gets it has the proof that no process of the instance is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/bootstrap.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "internal.h"

int local__state(void *self, const struct platform_instance *instance, enum platform_state *ret, struct error *err)
{
    const struct local *l = self;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str path = arena_printf(a, "%s/" AGENT_LOCK_FILE, local__folder(l, a, instance));
    FD_AUTO fd = open(path.ptr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        *ret = PLATFORM_ABSENT;
        return 0;
    }
    if (fd < 0)
        return error_set_sys(err, errno, "opening %s", path.ptr);
    /* Shared is enough for the proof, and two that look at once do not disturb each other. */
    if (flock(fd, LOCK_SH | LOCK_NB) == 0)
        *ret = PLATFORM_DEAD;
    else if (errno == EWOULDBLOCK)
        *ret = PLATFORM_LIVE;
    else
        return error_set_sys(err, errno, "locking %s", path.ptr);
    return 0;
}

/* The pid in a file, when the process belongs to the instance: its working or root folder tells, pids are given again.
 */
static pid_t pid_of(struct arena *a, const char *folder, const char *file)
{
    str text, line, rest;
    uint64_t pid;
    if (fs_read(a, arena_printf(a, "%s/%s", folder, file).ptr, 4096, &text, NULL) < 0)
        return 0;
    (void)str_cut(text, '\n', &line, &rest);
    if (!str_to_u64(str_trim(line), &pid) || pid < 2 || pid > INT32_MAX)
        return 0;
    char cwd[4096];
    ssize_t n = readlink(arena_printf(a, "/proc/%d/cwd", (int)pid).ptr, cwd, sizeof(cwd));
    return n > 0 && str_has_prefix(str_of(cwd, (size_t)n), str_from(folder)) ? (pid_t)pid : 0;
}

/* The agent was told to stop and did not: its processes are ended by force. What holds the lock proves when it is over.
 */
static void end_by_force(struct arena *a, const char *folder, str name)
{
    static const char *const files[] = { AGENT_PID_FILE, "pgdata/postmaster.pid" };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        pid_t pid = pid_of(a, folder, files[i]);
        if (pid == 0)
            continue;
        log_warn("instance does not stop, it is killed", LOG_STR("instance", name), LOG_INT("pid", pid));
        /* The postmaster's children notice its death and end; SIGQUIT first would need a postmaster that answers. */
        (void)kill(pid, SIGKILL);
    }
}

int local__remove(void *self, const struct platform_instance *instance, bool remove_data, struct error *err)
{
    const struct local *l = self;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    char *folder = local__folder(l, a, instance);
    enum platform_state state;
    int r = local__state(self, instance, &state, err);
    if (r < 0)
        return r;
    if (state == PLATFORM_LIVE) {
        end_by_force(a, folder, instance->name);
        return error_set(err, ERRC_UNAVAILABLE, "processes of \"%.*s\" are still ending", STR_ARG(instance->name));
    }
    if (!remove_data)
        return 0;
    r = fs_remove_all(folder, err);
    if (r < 0)
        return r;
    return 0;
}
