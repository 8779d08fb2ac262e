/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching a child: both outputs and its end (by pidfd) in one poll loop under the deadline. How the child
 * is made stands in spawn.c.
 */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/strbuf.h"
#include "spawn.h"

#define LINE_MAX_BYTES 4096u
/* After SIGKILL only a program stuck in the kernel is still there. */
#define KILL_WAIT_MS 5000

struct run {
    const struct process_spec *spec;
    pid_t pid;
    int pid_fd;
    int out_fd;
    int err_fd;
    int64_t deadline_ns;
    struct strbuf out;
    struct strbuf err;
    struct strbuf line; /* of standard error, not yet ended */
    struct strbuf last; /* its last line that said something */
    void (*on_line)(void *self, str line);
    void *self;
};

static void run_release(struct run *r)
{
    fs_closep(&r->pid_fd);
    fs_closep(&r->out_fd);
    fs_closep(&r->err_fd);
    strbuf_release(&r->out);
    strbuf_release(&r->err);
    strbuf_release(&r->line);
    strbuf_release(&r->last);
}

/* As much of s as fits: an output is cut, not dropped. */
static void add_cut(struct strbuf *b, str s)
{
    strbuf_add(b, str_first(s, b->max - b->len));
}

static void end_line(struct run *r)
{
    str line = strbuf_str(&r->line);
    if (!str_is_empty(str_trim(line))) {
        strbuf_reset(&r->last);
        add_cut(&r->last, str_trim(line));
    }
    if (r->on_line)
        r->on_line(r->self, line);
    strbuf_reset(&r->line);
}

static void take_err(struct run *r, str data)
{
    add_cut(&r->err, data);
    for (str head, tail; data.len; data = tail) {
        bool is_ended = str_cut(data, '\n', &head, &tail);
        add_cut(&r->line, head);
        if (is_ended)
            end_line(r);
    }
}

/* Reads what is there; closes the descriptor at its end. */
static void drain(struct run *r, int *fd)
{
    char buffer[16384];
    while (*fd >= 0) {
        ssize_t n = read(*fd, buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            fs_closep(fd);
            return;
        }
        if (fd == &r->err_fd)
            take_err(r, str_of(buffer, (size_t)n));
        else
            add_cut(&r->out, str_of(buffer, (size_t)n));
        /* A writer that never pauses must not keep us from the deadline. */
        if (deadline_has_passed(r->deadline_ns))
            return;
    }
}

/* Until the program ended (true) or the deadline passed. A negative descriptor is ignored by poll. */
static bool watch(struct run *r)
{
    for (;;) {
        struct pollfd fds[] = {
            { .fd = r->pid_fd, .events = POLLIN },
            { .fd = r->out_fd, .events = POLLIN },
            { .fd = r->err_fd, .events = POLLIN },
        };
        int n = poll(fds, ARRAY_LEN(fds), deadline_left_ms(r->deadline_ns));
        bool is_over = n > 0 && fds[0].revents != 0;
        /* Also when it ended: what it wrote before is in the pipes by now. */
        drain(r, &r->out_fd);
        drain(r, &r->err_fd);
        if (is_over)
            return true;
        if (deadline_has_passed(r->deadline_ns))
            return false;
    }
}

static int make_pipe(int *ret_read, int *ret_write, struct error *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return error_set_sys(err, errno, "making a pipe");
    *ret_read = fds[0];
    *ret_write = fds[1];
    /* Only our end: the program expects a blocking one. */
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0)
        return error_set_sys(err, errno, "making a pipe");
    return 0;
}

static void kill_group(pid_t pid)
{
    (void)kill(-pid, SIGKILL);
}

static int start(struct run *r, struct error *err)
{
    FD_AUTO in = -1;
    FD_AUTO out = -1;
    FD_AUTO errors = -1;
    int result = process__open_input(r->spec, &in, err);
    if (result == 0)
        result = make_pipe(&r->out_fd, &out, err);
    if (result == 0)
        result = make_pipe(&r->err_fd, &errors, err);
    if (result == 0)
        result = process__spawn(r->spec, &(struct spawn_io) { in, out, errors }, true, &r->pid, err);
    if (result != 0)
        return result;
    r->pid_fd = pidfd_open(r->pid, 0);
    if (r->pid_fd < 0) {
        result = error_set_sys(err, errno, "watching \"%s\"", r->spec->argv[0]);
        kill_group(r->pid);
        (void)waitpid(r->pid, NULL, 0);
    }
    return result;
}

/* False when it is still there after KILL_WAIT_MS. */
static bool reap(struct run *r, bool is_over, struct process_result *ret)
{
    if (!is_over) {
        ret->timed_out = true;
        kill_group(r->pid);
        struct pollfd fd = { .fd = r->pid_fd, .events = POLLIN };
        int64_t deadline_ns = deadline_in_ms(KILL_WAIT_MS);
        while (poll(&fd, 1, deadline_left_ms(deadline_ns)) < 0 && errno == EINTR)
            continue;
        if (fd.revents == 0)
            return false;
    }
    int status = 0;
    pid_t pid;
    do
        pid = waitpid(r->pid, &status, 0);
    while (pid < 0 && errno == EINTR);
    if (pid < 0)
        return false;
    if (WIFSIGNALED(status))
        ret->signal = WTERMSIG(status);
    else
        ret->exit_code = WEXITSTATUS(status);
    return true;
}

static int judge(const struct run *r, const struct process_result *result, struct error *err)
{
    const char *name = r->spec->argv[0];
    str last = strbuf_str(&r->last);
    const char *colon = last.len ? ": " : "";
    if (result->timed_out)
        return error_set(err, ERRC_TIMEOUT, "\"%s\" ran out of time%s%.*s", name, colon, STR_ARG(last));
    if (result->signal)
        return error_set(err, ERRC_INTERNAL, "\"%s\" was ended by signal %d%s%.*s", name, result->signal, colon,
                         STR_ARG(last));
    if (result->exit_code != 0)
        return error_set(err, ERRC_INTERNAL, "\"%s\" exited with %d%s%.*s", name, result->exit_code, colon,
                         STR_ARG(last));
    return 0;
}

int process_run(struct arena *a, const struct process_spec *spec, int64_t deadline_ns, size_t output_max,
                void (*on_line)(void *self, str line), void *self, struct process_result *ret_result, struct error *err)
{
    CLEANUP(run_release)
    struct run r = {
        .spec = spec,
        .pid_fd = -1,
        .out_fd = -1,
        .err_fd = -1,
        .deadline_ns = deadline_ns,
        .out = STRBUF_INIT(output_max),
        .err = STRBUF_INIT(output_max),
        .line = STRBUF_INIT(LINE_MAX_BYTES),
        .last = STRBUF_INIT(ERROR_TEXT_MAX / 2),
        .on_line = on_line,
        .self = self,
    };
    struct process_result result = { .exit_code = -1 };
    *ret_result = result;
    int failed = start(&r, err);
    if (failed != 0)
        return failed;
    bool is_over = watch(&r);
    bool is_reaped = reap(&r, is_over, &result);
    if (r.line.len)
        end_line(&r);
    result.out = strbuf_to_arena(&r.out, a);
    result.err = strbuf_to_arena(&r.err, a);
    *ret_result = result;
    if (!is_reaped)
        return error_set(err, result.timed_out ? ERRC_TIMEOUT : ERRC_INTERNAL, "\"%s\" cannot be waited for",
                         spec->argv[0]);
    return judge(&r, &result, err);
}

int process_start(const struct process_spec *spec, pid_t *ret_pid, struct error *err)
{
    FD_AUTO in = -1;
    FD_AUTO null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null_fd < 0)
        return error_set_sys(err, errno, "opening /dev/null");
    int r = process__open_input(spec, &in, err);
    if (r != 0)
        return r;
    const struct spawn_io io = {
        .in = in,
        .out = spec->stdout_fd < 0 ? null_fd : spec->stdout_fd,
        .err = spec->stderr_fd < 0 ? null_fd : spec->stderr_fd,
    };
    return process__spawn(spec, &io, false, ret_pid, err);
}
