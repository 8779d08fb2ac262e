/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that run for seconds to hours (initdb, pg_basebackup, pg_rewind). The worker waits for them, and serves the
 * leader's commands at the same time: a promise must not wait for a copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/process.h"
#include "base/strbuf.h"

#define LINE_MAX_BYTES 2048

struct child {
    const struct child_options *options;
    pid_t pid;
    int pid_fd, out_fd;
    struct strbuf line, last;
};

static void child_release(struct child *c)
{
    fs_closep(&c->pid_fd);
    fs_closep(&c->out_fd);
    strbuf_release(&c->line);
    strbuf_release(&c->last);
}

static void end_line(struct agent *ag, struct child *c)
{
    str line = str_trim(strbuf_str(&c->line));
    if (line.len > 0) {
        strbuf_reset(&c->last);
        strbuf_add(&c->last, line);
        if (!c->options->on_line || !c->options->on_line(ag, line))
            log_info("child says", LOG_Z("program", c->options->argv[0]), LOG_STR("line", line));
    }
    strbuf_reset(&c->line);
}

static void drain(struct agent *ag, struct child *c)
{
    char buffer[4096];
    ssize_t n;
    while (c->out_fd >= 0 && (n = read(c->out_fd, buffer, sizeof(buffer))) != 0) {
        if (n < 0)
            return; /* nothing there for now */
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] == '\n' || buffer[i] == '\r')
                end_line(ag, c);
            else if (c->line.len < LINE_MAX_BYTES)
                strbuf_add_char(&c->line, buffer[i]);
        }
    }
    fs_closep(&c->out_fd);
}

static int start(struct agent *ag, struct child *c, struct error *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return error_set_sys(err, errno, "making a pipe");
    c->out_fd = fds[0];
    FD_AUTO write_end = fds[1];
    (void)fcntl(c->out_fd, F_SETFL, O_NONBLOCK);
    const char *env[] = { "LC_ALL=C", NULL };
    /* With the lock: an agent that comes after ours was killed must not work beside a copy that goes on. */
    const struct process_spec spec = { .argv = c->options->argv,
                                       .env = env,
                                       .cwd = ag->path.dir,
                                       .own_session = true,
                                       .stdout_fd = -1,
                                       .stderr_fd = write_end,
                                       .keep_fds = &ag->lock_fd,
                                       .keep_fd_count = 1 };
    int r = process_start(&spec, &c->pid, err);
    if (r != 0)
        return r;
    c->pid_fd = pidfd_open(c->pid, 0);
    if (c->pid_fd < 0) {
        r = error_set_sys(err, errno, "watching \"%s\"", c->options->argv[0]);
        (void)kill(-c->pid, SIGKILL);
        (void)waitpid(c->pid, NULL, 0);
    }
    return r;
}

/* What comes first of its end, its output and the leader's commands, which are served. True: it has ended. */
static bool wait_some(struct agent *ag, struct child *c, int ms)
{
    struct pollfd fds[] = { { .fd = c->pid_fd, .events = POLLIN },
                            { .fd = c->out_fd, .events = POLLIN },
                            { .fd = ag->wake_fd, .events = POLLIN } };
    (void)poll(fds, ARRAY_LEN(fds), ms);
    bool has_ended = fds[0].revents != 0;
    drain(ag, c);
    if (!has_ended && fds[2].revents)
        commands_run(ag);
    return has_ended;
}

/* 0: it ended; else why it must be ended. */
static int watch(struct agent *ag, struct child *c, struct error *err)
{
    for (;;) {
        if (wait_some(ag, c, deadline_left_ms(c->options->deadline_ns)))
            return 0;
        if (commands_want_abort(ag))
            return error_set(err, ERRC_CANCELLED, "\"%s\" was ended: the leader wants something else",
                             c->options->argv[0]);
        if (deadline_has_passed(c->options->deadline_ns))
            return error_set(err, ERRC_TIMEOUT, "\"%s\" ran out of time", c->options->argv[0]);
    }
}

/* One that hangs in the disk does not end by SIGKILL, and nobody else may touch the data before it has ended. */
static void end_child(struct agent *ag, struct child *c)
{
    (void)kill(-c->pid, SIGKILL);
    while (!wait_some(ag, c, -1))
        continue;
}

static int judge(struct child *c, struct error *err)
{
    int status = 0;
    pid_t pid;
    do
        pid = waitpid(c->pid, &status, 0);
    while (pid < 0 && errno == EINTR);
    if (pid < 0) /* whatever it did, it did not say that it went well */
        return error_set_sys(err, errno, "\"%s\" ended, and nobody knows how", c->options->argv[0]);
    if (WIFEXITED(status) && c->options->ret_exit_code)
        *c->options->ret_exit_code = WEXITSTATUS(status);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return error_set(err, ERRC_INTERNAL, "%s %d: %.*s", WIFSIGNALED(status) ? "ended by signal" : "exited with",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), STR_ARG(strbuf_str(&c->last)));
}

int child_run(struct agent *ag, const struct child_options *o, struct error *err)
{
    CLEANUP(child_release)
    struct child c = { .options = o,
                       .pid_fd = -1,
                       .out_fd = -1,
                       .line = STRBUF_INIT(LINE_MAX_BYTES + 1),
                       .last = STRBUF_INIT(LINE_MAX_BYTES + 1) };
    int r = start(ag, &c, err);
    if (r != 0)
        return r;
    ag->is_busy = !o->is_reading;
    r = watch(ag, &c, err);
    if (r != 0)
        end_child(ag, &c);
    ag->is_busy = false;
    int judged = judge(&c, r == 0 ? err : NULL);
    return r != 0 ? r : judged;
}
