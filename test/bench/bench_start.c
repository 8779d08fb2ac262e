/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_start PROGRAM [ARGUMENT…]: how long a server takes from fork to the line that says it is ready, what it holds
 * in memory a moment later, and that it ends when told to.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "harness/race.h"

enum { DEADLINE_MS = 20000, SETTLE_MS = 300, LOG_BYTES = 64 << 10 };

static pid_t start(char **argv, int out)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0)
            (void)execv(argv[0], argv);
        _exit(127);
    }
    return pid;
}

static void wait_until_ready(int fd, pid_t pid)
{
    static char text[LOG_BYTES];
    size_t len = 0;
    int64_t deadline = deadline_in_ms(DEADLINE_MS);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    while (!strstr(text, "\"msg\":\"ready\"")) {
        ssize_t n = 0;
        if (poll(&p, 1, deadline_left_ms(deadline)) == 1)
            n = read(fd, text + len, sizeof(text) - 1 - len);
        if (n <= 0 && errno != EINTR) {
            (void)fprintf(stderr, "bench: not ready: %s\n", text);
            (void)kill(pid, SIGKILL);
            exit(1);
        }
        len += n > 0 ? (size_t)n : 0;
    }
}

static long resident_kib(pid_t pid)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    char line[128];
    long kib = 0;
    FILE *f = fopen(arena_printf(a, "/proc/%d/status", (int)pid).ptr, "r");
    CHECK(f);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "VmRSS: %ld kB", &kib) == 1)
            break;
    (void)fclose(f);
    return kib;
}

int main(int argc, char **argv)
{
    int ends[2], status = 0;
    CHECK(argc > 1 && pipe(ends) == 0);
    int64_t begun = clock_monotonic_ns();
    pid_t pid = start(argv + 1, ends[1]);
    (void)close(ends[1]);
    wait_until_ready(ends[0], pid);
    double ms = (double)(clock_monotonic_ns() - begun) / (double)NS_PER_MS;

    struct timespec cpu;
    clockid_t clock;
    CHECK(clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &cpu) == 0);
    (void)poll(NULL, 0, SETTLE_MS); /* what it does in the background at first counts as resident */
    (void)printf("ready_ms=%.1f cpu_ms=%.1f rss_kib=%ld\n", ms,
                 (double)cpu.tv_sec * 1000 + (double)cpu.tv_nsec / (double)NS_PER_MS, resident_kib(pid));
    CHECK(kill(pid, SIGTERM) == 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}
