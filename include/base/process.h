/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes: run one to its end under a deadline with its output captured, or start one and keep
 * its pid. Never through a shell. Blocking: workers and the agent only.
 *
 * Secrets go through `env` or `input`, never through argv (visible in /proc to every user).
 *
 * A child starts with standard input, output and error, nothing blocked and every signal at its default.
 * Any thread. Nobody else may wait for the pid of a process_run: no waitpid(-1).
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"

struct arena;

struct process_spec {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
    const char *const *env;  /* "K=V" added to (or replacing in) our environment; NULL-terminated or NULL */
    const char *cwd;         /* NULL: ours */
    str input;               /* standard input; empty: /dev/null */
    uid_t uid;               /* with has_user: setgroups, setgid, setuid before exec */
    gid_t gid;
    bool has_user;
    bool own_session; /* setsid: signals to our terminal do not reach it */
    int stdout_fd;    /* process_start: -1 for /dev/null */
    int stderr_fd;
    const int *keep_fds; /* inherited under their own numbers (>= 3); nothing else above 2 is */
    size_t keep_fd_count;
};

struct process_result {
    int exit_code;  /* 0–255, or -1 when ended by a signal */
    int signal;     /* or 0 */
    str out;        /* standard output, cut at output_max */
    str err;        /* standard error, cut at output_max */
    bool timed_out; /* the deadline passed: the whole process group got SIGKILL */
};

/*
 * Runs to the end, in a process group of its own. The end is that of the program itself: what a daemon left
 * behind by it writes later is not waited for. Returns 0 when it exited with 0; ERRC_TIMEOUT, ERRC_NOT_FOUND (no such
 * program) or ERRC_INTERNAL (other exit; err carries the last line of standard error). *ret_result is filled whenever
 * the program ran. on_line, when not NULL, gets each line of standard error as it comes (progress).
 */
int process_run(struct arena *a, const struct process_spec *spec, int64_t deadline_ns, size_t output_max,
                void (*on_line)(void *self, str line), void *self, struct process_result *ret_result, struct error *err)
    MUST_USE;

/* Starts it and returns; the caller reaps. */
int process_start(const struct process_spec *spec, pid_t *ret_pid, struct error *err) MUST_USE;

#endif
