/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The postmaster as a process: start without a shell, readiness from its own pid file, stops that escalate by our own
 * timers, and proof that nothing of it is left (lock.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/process.h"

#define READY_POLL_MS 3
#define STUCK_MS 20000 /* a source that is there gives the WAL within seconds */
#define STUCK_LOOK_MS 1000
#define WAITING "startup waiting for "
#define WAL_NAME_LEN 24
#define IMMEDIATE_PATIENCE_MS 3000
#define KILL_PATIENCE_MS 10000
#define PID_FILE_STATUS_LINE 8
#define LAST_WORDS_BYTES 65536

/* ---- start --------------------------------------------------------------------------------------------------- */

static int write_signal_file(struct agent *ag, bool as_standby, struct error *err)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/recovery.signal", ag->path.pgdata);
    if (unlink(path) != 0 && errno != ENOENT)
        return error_set_sys(err, errno, "removing \"%s\"", path);
    (void)snprintf(path, sizeof(path), "%s/promote", ag->path.pgdata);
    if (unlink(path) != 0 && errno != ENOENT)
        return error_set_sys(err, errno, "removing \"%s\"", path);
    (void)snprintf(path, sizeof(path), "%s/standby.signal", ag->path.pgdata);
    if (as_standby)
        return fs_exists(path) ? 0 : fs_write_atomic(path, S(""), 0600, err);
    if (unlink(path) != 0 && errno != ENOENT)
        return error_set_sys(err, errno, "removing \"%s\"", path);
    return fs_sync_dir(ag->path.pgdata, err);
}

int postgres_start(struct agent *ag, bool as_standby, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    int r = write_signal_file(ag, as_standby, err);
    if (r == 0)
        r = altered_clean(ag, err);
    if (r != 0)
        return r;
    FD_AUTO log = open(ag->path.postgres_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0)
        return error_set_sys(err, errno, "opening \"%s\"", ag->path.postgres_log);
    const char *argv[] = { agent_bin(ag, a, "postgres"),
                           "-D",
                           ag->path.pgdata,
                           "-c",
                           arena_printf(a, "config_file=%s", ag->path.conf_file).ptr,
                           NULL };
    const char *env[] = { "PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj", "PG_OOM_ADJUST_VALUE=0", NULL };
    const struct process_spec spec = { .argv = argv,
                                       .env = env,
                                       .cwd = ag->path.dir,
                                       .own_session = true,
                                       .stdout_fd = log,
                                       .stderr_fd = log,
                                       .keep_fds = &ag->lock_fd,
                                       .keep_fd_count = 1 };
    struct postmaster pm = { .as_standby = as_standby,
                             .log_offset = lseek(log, 0, SEEK_END) + atomic_load(&ag->log_cut),
                             .started_at_s = clock_realtime_ns() / NS_PER_S,
                             .start_ns = clock_monotonic_ns() };
    loaded_note_start(ag);
    r = process_start(&spec, &pm.pid, err);
    if (r != 0)
        return r;
    pm.pid_fd = pidfd_open(pm.pid, 0);
    if (pm.pid_fd < 0) {
        r = error_set_sys(err, errno, "watching PostgreSQL");
        (void)kill(pm.pid, SIGKILL);
        (void)waitpid(pm.pid, NULL, 0);
        return r;
    }
    ag->pm = pm;
    ag->has_control = false;
    ag->is_frozen = false;
    ag->crashed_ns = 0;
    log_info("PostgreSQL starts", LOG_INT("pid", pm.pid), LOG_BOOL("standby", as_standby));
    return 0;
}

/* The status line of our own postmaster's pid file: "ready", "standby", "starting"; empty when not there yet. */
static str read_status_line(struct agent *ag, struct arena *a)
{
    str text;
    if (fs_read(a, arena_printf(a, "%s/postmaster.pid", ag->path.pgdata).ptr, 8192, &text, NULL) != 0)
        return S("");
    int number = 1;
    for (str rest = text, line; str_next_field(&rest, '\n', &line); number++) {
        int64_t pid;
        if (number == 1 && (!str_to_i64(str_trim(line), &pid) || pid != ag->pm.pid))
            return S("");
        if (number == PID_FILE_STATUS_LINE)
            return str_trim(line);
    }
    return S("");
}

/* "000000010000000000000005" while the startup process waits for it; its title says so. Empty: it does something. */
static str wanted_segment(struct agent *ag, struct arena *a)
{
    str children, title;
    const char *list = arena_printf(a, "/proc/%d/task/%d/children", (int)ag->pm.pid, (int)ag->pm.pid).ptr;
    if (fs_read(a, list, 65536, &children, NULL) != 0)
        return S("");
    for (str rest = children, pid; str_next_field(&rest, ' ', &pid);) {
        if (pid.len == 0 ||
            fs_read(a, arena_printf(a, "/proc/%.*s/cmdline", STR_ARG(pid)).ptr, 4096, &title, NULL) != 0)
            continue;
        ptrdiff_t at = str_find(title, S(WAITING));
        if (at >= 0)
            return str_first(str_from_offset(title, (size_t)at + strlen(WAITING)), WAL_NAME_LEN);
    }
    return S("");
}

bool postgres_is_stuck(struct agent *ag)
{
    return ag->pm.wanted[0] != '\0' && deadline_has_passed(ag->pm.wanted_ns);
}

/* A standby that waits for the same WAL since STUCK_MS. Looks once a second. */
static bool look_for_progress(struct agent *ag)
{
    if (!ag->pm.as_standby || !deadline_has_passed(ag->pm.look_ns))
        return false;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str wanted = wanted_segment(ag, a);
    ag->pm.look_ns = deadline_in_ms(STUCK_LOOK_MS);
    if (wanted.len == 0 || !str_eq_z(wanted, ag->pm.wanted)) {
        (void)snprintf(ag->pm.wanted, sizeof(ag->pm.wanted), "%.*s", STR_ARG(wanted));
        ag->pm.wanted_ns = deadline_in_ms(STUCK_MS);
    }
    return postgres_is_stuck(ag);
}

int postgres_wait_ready(struct agent *ag, int64_t deadline_ns, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    pid_t pid = ag->pm.pid;
    for (;;) {
        if (str_eq(read_status_line(ag, a), S("ready"))) {
            ag->pm.is_ready = true;
            ag->pm.ready_ns = clock_monotonic_ns();
            ag->failed_starts = 0;
            return 0;
        }
        struct pollfd fds[] = { { .fd = ag->pm.pid_fd, .events = POLLIN }, { .fd = ag->wake_fd, .events = POLLIN } };
        (void)poll(fds, ARRAY_LEN(fds), READY_POLL_MS);
        if (fds[0].revents) /* the next look at it says so, with its last words */
            return error_set(err, ERRC_CANCELLED, "PostgreSQL ended while it started");
        if (fds[1].revents)
            commands_run(ag);
        if (ag->pm.pid != pid)
            return error_set(err, ERRC_CANCELLED, "stopped while it started");
        if (look_for_progress(ag))
            return error_set(err, ERRC_UNAVAILABLE,
                             "PostgreSQL cannot serve before it has WAL segment %s, which does not come",
                             ag->pm.wanted);
        if (commands_want_abort(ag) || deadline_has_passed(deadline_ns))
            return error_set(err, ERRC_TIMEOUT, "PostgreSQL is still starting");
    }
}

/* The end of what was logged since its start. */
static str read_log(struct agent *ag, struct arena *a)
{
    char *buffer = arena_alloc(a, LAST_WORDS_BYTES);
    FD_AUTO fd = open(ag->path.postgres_log, O_RDONLY | O_CLOEXEC);
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    off_t from = ag->pm.log_offset - atomic_load(&ag->log_cut);
    if (from < size - LAST_WORDS_BYTES)
        from = size - LAST_WORDS_BYTES;
    if (from < 0)
        from = 0;
    ssize_t n = fd >= 0 && size > from ? pread(fd, buffer, LAST_WORDS_BYTES, from) : 0;
    return str_of(buffer, n > 0 ? (size_t)n : 0);
}

/* ---- end ----------------------------------------------------------------------------------------------------- */

static void forget(struct agent *ag)
{
    fs_closep(&ag->pm.pid_fd);
    ag->pm = (struct postmaster) { .pid_fd = -1 };
    ag->is_frozen = false;
    ag->has_control = false;
}

static bool wait_end(struct agent *ag, int64_t ms)
{
    int64_t deadline_ns = deadline_in_ms(ms);
    struct pollfd fd = { .fd = ag->pm.pid_fd, .events = POLLIN };
    int n;
    do
        n = poll(&fd, 1, deadline_left_ms(deadline_ns));
    while (n < 0 && errno == EINTR);
    return n > 0;
}

static int reap(struct agent *ag, int *ret_status, struct error *err)
{
    int status = 0;
    pid_t pid;
    do
        pid = waitpid(ag->pm.pid, &status, 0);
    while (pid < 0 && errno == EINTR);
    /* Its children look at the death of their parent sooner or later; we don't wait for that. */
    int r = lock_end_holders(ag, err);
    if (r == 0)
        r = lock_remove_files(ag, err);
    if (r != 0)
        return r;
    log_info("PostgreSQL ended", LOG_INT("pid", ag->pm.pid),
             LOG_INT("exit", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
             LOG_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0));
    if (ret_status)
        *ret_status = status;
    forget(ag);
    return 0;
}

bool postgres_has_died(struct agent *ag, struct arena *a, str *ret_why)
{
    if (ag->pm.pid == 0 || !wait_end(ag, 0))
        return false;
    struct error err;
    int status = 0;
    str words = postgres_last_words(a, read_log(ag, a), ag->pm.pid);
    if (reap(ag, &status, &err) != 0) {
        log_error("PostgreSQL died, but not all of it", LOG_ERROR(&err));
        return false;
    }
    str how = WIFSIGNALED(status) ? arena_printf(a, "killed by signal %d", WTERMSIG(status)) : S("");
    *ret_why = arena_printf(a, "%.*s%s%.*s", STR_ARG(how), how.len > 0 && words.len > 0 ? ", " : "", STR_ARG(words));
    return true;
}

int postgres_stop(struct agent *ag, enum stop_mode mode, int64_t patience_ms, struct error *err)
{
    if (ag->pm.pid == 0)
        return 0;
    if (mode == STOP_FAST) {
        (void)pidfd_send_signal(ag->pm.pid_fd, SIGINT, NULL, 0);
        if (wait_end(ag, patience_ms))
            return reap(ag, NULL, err);
        log_warn("fast stop takes too long: stopping at once", LOG_INT("after_ms", patience_ms));
    }
    (void)pidfd_send_signal(ag->pm.pid_fd, SIGQUIT, NULL, 0);
    if (wait_end(ag, IMMEDIATE_PATIENCE_MS))
        return reap(ag, NULL, err);
    log_warn("immediate stop takes too long: killing");
    (void)pidfd_send_signal(ag->pm.pid_fd, SIGKILL, NULL, 0);
    int r = lock_end_holders(ag, err);
    if (r != 0)
        return r;
    if (!wait_end(ag, KILL_PATIENCE_MS))
        return error_set(err, ERRC_TIMEOUT, "PostgreSQL does not end by SIGKILL (a hanging disk?)");
    return reap(ag, NULL, err);
}

void postgres_reload(struct agent *ag)
{
    if (ag->pm.pid == 0)
        return;
    (void)pidfd_send_signal(ag->pm.pid_fd, SIGHUP, NULL, 0);
    agent_probe_now(ag); /* sees when it is in force */
}
