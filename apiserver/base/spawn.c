/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a child in a process with many threads. The child shares our memory until it execs (vfork), so
 * everything that allocates or looks something up happens before, and between vfork and exec stand only
 * system calls that are safe there. The child writes why it failed into a close-on-exec pipe; its end of
 * file means that exec succeeded.
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/close_range.h>

#include "base/arena.h"
#include "base/fs.h"

/* All that the child reads; made before it exists. */
struct plan {
    const struct process_spec *spec;
    struct spawn_io io;
    const char *program;
    char *const *argv;
    char *const *env;
    int status_fd;
    bool own_group;
};

/* Tells the parent and ends. _exit, because exit handlers are the parent's. */
static NORETURN void fail(int status_fd)
{
    int sys = errno;
    /* If even this fails, the parent sees an exit code of 127. */
    (void)!write(status_fd, &sys, sizeof(sys));
    _exit(127);
}

/* Raw system calls: glibc's wrappers would signal every thread of the parent, whose memory this is. */
static bool become_user(uid_t uid, gid_t gid)
{
    return syscall(SYS_setgroups, (size_t)1, &gid) == 0 && syscall(SYS_setgid, gid) == 0 &&
           syscall(SYS_setuid, uid) == 0;
}

static void mark_all_close_on_exec(void)
{
    if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    /* A kernel or a seccomp filter without it. */
    struct rlimit limit = { .rlim_cur = 65536 };
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    int end = limit.rlim_cur > 65536 ? 65536 : (int)limit.rlim_cur;
    for (int fd = 3; fd < end; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static bool set_descriptors(const struct plan *p, int *status_fd)
{
    /* First all out of the way of 0–2, where any of them may stand; dup2 then drops close-on-exec. */
    int in = fcntl(p->io.in, F_DUPFD_CLOEXEC, 3);
    int out = fcntl(p->io.out, F_DUPFD_CLOEXEC, 3);
    int err = fcntl(p->io.err, F_DUPFD_CLOEXEC, 3);
    int status = fcntl(p->status_fd, F_DUPFD_CLOEXEC, 3);
    if (in < 0 || out < 0 || err < 0 || status < 0)
        return false;
    *status_fd = status;
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        return false;
    mark_all_close_on_exec();
    for (size_t i = 0; i < p->spec->keep_fd_count; i++) {
        if (fcntl(p->spec->keep_fds[i], F_SETFD, 0) != 0)
            return false;
    }
    return true;
}

static void reset_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_DFL;
    /* KILL, STOP and libc's own are refused, which is right. */
    for (int sig = 1; sig < NSIG; sig++)
        (void)sigaction(sig, &action, NULL);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static NORETURN void run_child(const struct plan *p)
{
    const struct process_spec *spec = p->spec;
    int status_fd = p->status_fd;
    if (!set_descriptors(p, &status_fd))
        fail(status_fd);
    if (spec->own_session ? setsid() < 0 : (p->own_group && setpgid(0, 0) != 0))
        fail(status_fd);
    if (spec->has_user && !become_user(spec->uid, spec->gid))
        fail(status_fd);
    if (spec->cwd && chdir(spec->cwd) != 0)
        fail(status_fd);
    reset_signals();
    (void)execve(p->program, p->argv, p->env);
    fail(status_fd);
}

/* A function of its own, so that the child changes no local of anybody else. */
static __attribute__((noinline)) pid_t make_child(const struct plan *p)
{
    pid_t pid = vfork();
    if (pid == 0)
        run_child(p);
    return pid;
}

static bool is_same_name(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");
    return strncmp(a, b, len) == 0 && b[len] == '=';
}

static char *const *merge_env(struct arena *a, const char *const *added)
{
    size_t count = 0;
    size_t added_count = 0;
    while (environ && environ[count])
        count++;
    while (added && added[added_count])
        added_count++;
    char **env = arena_array_of(a, char *, count + added_count + 1);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_replaced = false;
        for (size_t k = 0; k < added_count && !is_replaced; k++)
            is_replaced = is_same_name(added[k], environ[i]);
        if (!is_replaced)
            env[n++] = environ[i];
    }
    for (size_t k = 0; k < added_count; k++)
        env[n++] = arena_z(a, str_from(added[k]));
    return env;
}

static char *const *copy_argv(struct arena *a, const char *const *argv)
{
    size_t count = 0;
    while (argv[count])
        count++;
    char **copy = arena_array_of(a, char *, count + 1);
    for (size_t i = 0; i < count; i++)
        copy[i] = arena_z(a, str_from(argv[i]));
    return copy;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* NULL when nothing of that name is in PATH. */
static const char *find_program(struct arena *a, const char *name)
{
    if (strchr(name, '/'))
        return name;
    const char *path = getenv("PATH");
    str rest = str_from(path ? path : "/usr/local/bin:/usr/bin:/bin");
    for (str folder; str_next_field(&rest, ':', &folder);) {
        /* POSIX reads an empty field as the current folder; nobody wants to run programs from there. */
        if (str_is_empty(folder))
            continue;
        str full = arena_printf(a, "%.*s/%s", STR_ARG(folder), name);
        if (is_program(full.ptr))
            return full.ptr;
    }
    return NULL;
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* The errno the child sent, or 0 when it runs. */
static int read_status(int fd)
{
    int sys = 0;
    ssize_t n;
    do
        n = read(fd, &sys, sizeof(sys));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(sys) ? sys : 0;
}

int process__spawn(const struct process_spec *spec, const struct spawn_io *io, bool own_group, pid_t *ret_pid,
                   struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct plan plan = { .spec = spec, .io = *io, .own_group = own_group };
    plan.program = find_program(a, spec->argv[0]);
    if (!plan.program)
        return error_set_sys(err, ENOENT, "starting \"%s\"", spec->argv[0]);
    plan.argv = copy_argv(a, spec->argv);
    plan.env = merge_env(a, spec->env);
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return error_set_sys(err, errno, "starting \"%s\"", spec->argv[0]);
    FD_AUTO status_fd = fds[0];
    plan.status_fd = fds[1];

    /* None of our handlers may run in the child while it shares our memory. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = make_child(&plan);
    int sys = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)close(fds[1]);
    if (pid > 0) {
        sys = read_status(status_fd);
        if (sys != 0)
            reap(pid);
    }
    if (sys != 0 || pid < 0)
        return error_set_sys(err, sys, "starting \"%s\"", spec->argv[0]);
    *ret_pid = pid;
    return 0;
}

int process__open_input(const struct process_spec *spec, int *ret_fd, struct error *err)
{
    if (str_is_empty(spec->input)) {
        *ret_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return *ret_fd < 0 ? error_set_sys(err, errno, "opening /dev/null") : 0;
    }
    /* In memory instead of a pipe: nobody has to feed it, and a child that does not read it hurts nobody. */
    FD_AUTO fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0)
        return error_set_sys(err, errno, "making room for the input of \"%s\"", spec->argv[0]);
    int r = fs_write_all(fd, spec->input, err);
    if (r == 0 && lseek(fd, 0, SEEK_SET) != 0)
        r = error_set_sys(err, errno, "rewinding the input of \"%s\"", spec->argv[0]);
    if (r != 0)
        return r;
    *ret_fd = fd;
    fd = -1;
    return 0;
}
