/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 of PostgreSQL, the agent, or both, at each step of what they do: a promotion ends as primary all the same, a
 * first start, a copy and a rewind are begun anew, and no process of a dead agent goes on behind its successor's back.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/process.h"
#include "bed.h"
#include "harness/check.h"

static bool is_traced(struct arena *a, pid_t pid)
{
    str text;
    return fs_read(a, arena_printf(a, "/proc/%d/status", (int)pid).ptr, 16384, &text, NULL) == 0 &&
           str_find(text, S("TracerPid:\t0\n")) < 0;
}

/* strace, attached to a process, that kills it when it makes this system call on this path. */
static pid_t kill_at(struct bed *b, pid_t pid, const char *path, const char *call, int when)
{
    struct arena *a = b->arena;
    struct error err = { 0 };
    pid_t tracer;
    const char *argv[] = { "strace", "-qq",
                           "-o",     "/dev/null",
                           "-p",     arena_printf(a, "%d", (int)pid).ptr,
                           "-P",     path,
                           "-e",     arena_printf(a, "trace=%s", call).ptr,
                           "-e",     arena_printf(a, "inject=%s:signal=KILL:when=%d", call, when).ptr,
                           NULL };
    const struct process_spec spec = { .argv = argv, .stdout_fd = -1, .stderr_fd = -1 };
    CHECK_OK(process_start(&spec, &tracer, &err), err);
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (!is_traced(a, pid))
        cr_assert(!deadline_has_passed(deadline_ns), "strace does not attach to %d", (int)pid);
    return tracer;
}

static void wait_pid(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static void wait_dead(pid_t pid, const char *what)
{
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (process_lives(pid)) {
        cr_assert(!deadline_has_passed(deadline_ns), "%s does not end", what);
        (void)poll(NULL, 0, 2);
    }
}

static pid_t startup_process(struct instance *i)
{
    str text = instance_sql(i, "postgres", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'");
    int64_t pid = 0;
    cr_assert(str_to_i64(text, &pid) && pid > 1, "no startup process: %.*s", STR_ARG(text));
    return (pid_t)pid;
}

static bool has_tables(const struct agent_status *s)
{
    return is_running_primary(s) && s->write_probe_ok;
}

/* The old one stops, the new one is frozen and about to be promoted. */
static void prepare_both(struct bed *b, struct instance *from, struct instance *to)
{
    b->term++;
    b->primary = "";
    cr_expect(instance_prepare(from, "stop").stopped);
    struct agent_report r = instance_prepare(to, "freeze");
    cr_assert(r.frozen && r.usable);
}

static void check_primary(struct bed *b, struct instance *to, int64_t timeline, const char *rows)
{
    instance_wait(to, "the primary", has_tables);
    struct agent_status s = instance_status(to);
    cr_expect(s.timeline == timeline, "timeline %lld instead of %lld", (long long)s.timeline, (long long)timeline);
    CHECK_STR(instance_app_sql(to, "INSERT INTO t VALUES (1); SELECT count(*) FROM t"), rows);
    bed_configure_all(b);
}

enum file { FILE_PROMOTE, FILE_SIGNAL, FILE_HISTORY, FILE_CONTROL };

/* As PostgreSQL names it in its calls. */
static const char *path_of(struct instance *i, enum file file, int64_t timeline)
{
    struct arena *a = i->bed->arena;
    switch (file) {
    case FILE_PROMOTE: return "promote";
    case FILE_SIGNAL: return "standby.signal";
    case FILE_HISTORY: return arena_printf(a, "pg_wal/%08X.history", (unsigned)timeline).ptr;
    case FILE_CONTROL: return arena_printf(a, "%s/pgdata/global/pg_control", i->dir).ptr;
    }
    return "";
}

static const struct step {
    const char *what;
    enum file file;
    const char *call;
    int when;
    bool kills_agent;
} steps[] = {
    { "before the new timeline's first segment", FILE_PROMOTE, "unlink", 1, false },
    { "before it is no standby any more", FILE_SIGNAL, "unlink", 1, true },
    { "before the history is in place", FILE_HISTORY, "openat", 2, false },
    { "after the history, before pg_control", FILE_CONTROL, "openat", 1, true },
    { "with the new timeline in pg_control", FILE_CONTROL, "openat", 2, false },
};

Test(agent_interrupted, a_promotion_killed_at_any_step_ends_as_primary, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 2);
    struct instance *from = &b.instances[0], *to = &b.instances[1];
    (void)instance_app_sql(from, "CREATE TABLE t AS SELECT 1 AS x");
    instance_wait_rows(to, "1");
    int64_t timeline = 1;
    for (size_t n = 0; n < ARRAY_LEN(steps); n++) {
        timeline += 2;
        prepare_both(&b, from, to);
        pid_t postmaster = instance_postmaster(to);
        const char *path = path_of(to, steps[n].file, timeline);
        pid_t tracer = kill_at(&b, startup_process(to), path, steps[n].call, steps[n].when);
        instance_promote(to, timeline);
        wait_dead(postmaster, steps[n].what);
        wait_pid(tracer);
        if (steps[n].kills_agent) {
            instance_kill_agent(to);
            instance_relaunch(to);
        }
        check_primary(&b, to, timeline, arena_printf(b.arena, "%zu", n + 2).ptr);
        instance_wait(from, "a streaming standby", is_streaming_standby);
        struct instance *old = from;
        from = to;
        to = old;
    }
    bed_close(&b);
}

Test(agent_interrupted, a_promotion_begun_but_not_started_goes_on_with_the_next_agent, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 2);
    struct instance *one = &b.instances[0], *two = &b.instances[1];
    (void)instance_app_sql(one, "CREATE TABLE t AS SELECT 1 AS x");
    instance_wait_rows(two, "1");
    prepare_both(&b, one, two);
    instance_promote(two, 4);
    instance_kill_all(two); /* as soon as it is durable */
    instance_relaunch(two);
    check_primary(&b, two, 4, "2");
    bed_close(&b);
}

/* It forks, and is killed before the child runs its own program. */
static pid_t hold_for_a_moment(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0 && flock(fd, LOCK_EX) == 0, "%s can be locked", path);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        (void)poll(NULL, 0, 500);
        _exit(0);
    }
    close(fd);
    return pid;
}

Test(agent_interrupted, a_child_that_outlives_the_agent_by_a_moment_is_no_agent, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 1);
    struct instance *one = &b.instances[0];
    instance_kill_all(one);
    pid_t child = hold_for_a_moment(arena_printf(b.arena, "%s/agent.pid", one->dir).ptr);
    instance_relaunch(one);
    instance_wait(one, "a running primary", is_running_primary);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    bed_close(&b);
}

Test(agent_interrupted, what_a_promotion_left_counts_for_nothing_in_the_next_term, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 2);
    struct instance *one = &b.instances[0], *two = &b.instances[1];
    (void)instance_app_sql(one, "CREATE TABLE t AS SELECT 1 AS x");
    instance_wait_rows(two, "1");
    prepare_both(&b, one, two);
    pid_t postmaster = instance_postmaster(two);
    pid_t tracer = kill_at(&b, startup_process(two), path_of(two, FILE_CONTROL, 3), "openat", 1);
    b.may_start = false;
    instance_promote(two, 3);
    wait_dead(postmaster, "the server in its promotion");
    wait_pid(tracer);
    instance_kill_agent(two);
    instance_relaunch(two);
    b.term++;
    b.primary = "";
    /* It counts once it has replayed what it has. */
    struct agent_report r = instance_prepare(two, "freeze");
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    for (; !r.usable && !deadline_has_passed(deadline_ns); r = instance_prepare(two, "freeze"))
        (void)poll(NULL, 0, 50);
    cr_expect(r.usable && r.timeline == 1 && r.wal_term == 1, "it says timeline %lld of term %lld",
              (long long)r.timeline, (long long)r.wal_term);
    b.may_start = true;
    instance_promote(two, 6);
    check_primary(&b, two, 6, "2");
    instance_wait(one, "a streaming standby", is_streaming_standby);
    bed_close(&b);
}
