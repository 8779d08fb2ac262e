/* SPDX-License-Identifier: Apache-2.0 */
/* What surrounds an instance fails: disks that hang or are full, logs that grow, files that are garbage, missing
 * programs, ports that are taken. Each says so, nothing is lost, and it comes back by itself when the fault is gone. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/process.h"
#include "bed.h"
#include "harness/check.h"

static bool has_written(const struct agent_status *s)
{
    return is_running_primary(s) && s->write_probe_ok;
}

static int64_t hung_from;

static bool says_that_it_hangs(const struct agent_status *s)
{
    return !s->write_probe_ok && str_find(s->message, S("does not take a write")) >= 0;
}

/* The heartbeat goes on while the disk hangs. */
static bool goes_on_hanging(const struct agent_status *s)
{
    return says_that_it_hangs(s) && s->health_ok && s->nonce > hung_from + 6;
}

Test(agent_faults, a_disk_that_hangs_is_told_and_holds_up_neither_the_heartbeat_nor_the_end, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 1);
    struct instance *i = &b.instances[0];
    instance_wait(i, "writing", has_written);
    /* A fifo that nobody reads: the probe's child hangs when it opens it, as on a disk that does not answer. */
    const char *probe = arena_printf(b.arena, "%s/run/probe", i->dir).ptr;
    cr_assert(unlink(probe) == 0 && mkfifo(probe, 0666) == 0 && chmod(probe, 0666) == 0);
    instance_wait(i, "saying that the disk hangs", says_that_it_hangs);
    hung_from = instance_status(i).nonce;
    instance_wait(i, "still heard", goes_on_hanging);
    /* The end does not wait for the child, and the child does not hold the lock. */
    cr_assert(kill(i->pid, SIGTERM) == 0);
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (!instance_is_free(i))
        cr_assert(!deadline_has_passed(deadline_ns), "the lock is held by a child that hangs");
    i->pid = 0;
    FD_AUTO reader = open(probe, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* lets the child go */
    cr_assert(reader >= 0 && unlink(probe) == 0);
    instance_relaunch(i);
    instance_wait(i, "writing again", has_written);
    bed_close(&b);
}

static off_t size_of(struct instance *i, const char *name)
{
    struct stat st;
    return stat(arena_printf(i->bed->arena, "%s/%s", i->dir, name).ptr, &st) == 0 ? st.st_size : 0;
}

Test(agent_faults, logs_stay_small_and_last_words_are_still_found, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 1);
    b.log_max_bytes = 65536;
    bed_start(&b);
    struct instance *i = &b.instances[0];
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    for (int n = 0; size_of(i, "postgres.log.3") == 0; n++) {
        cr_assert(!deadline_has_passed(deadline_ns), "three generations never come");
        if (size_of(i, "postgres.log") < 100000)
            (void)instance_sql(
                i, "postgres",
                "DO $$ BEGIN FOR n IN 1..500 LOOP RAISE LOG 'a line that nobody reads'; END LOOP; END $$");
        (void)poll(NULL, 0, 20);
    }
    while (size_of(i, "postgres.log") > 65536)
        cr_assert(!deadline_has_passed(deadline_ns), "it is not cut");
    cr_expect(size_of(i, "postgres.log.1") <= 2 * 65536 && size_of(i, "postgres.log.2") <= 2 * 65536 &&
              size_of(i, "postgres.log.3") <= 2 * 65536);
    cr_expect(!fs_exists(arena_printf(b.arena, "%s/postgres.log.4", i->dir).ptr));
    (void)instance_sql(i, "postgres", "DO $$ BEGIN RAISE LOG 'the newest line'; END $$");
    CHECK_HAS(instance_log(i, "postgres.log"), "the newest line");
    bed_close(&b);
}

/* Launches where that must fail; what it says. */
static str launch_fails(struct instance *i)
{
    struct bed *b = i->bed;
    const char *argv[] = { getenv("POSTGRES_AGENT"), "--data-dir", i->dir, NULL };
    const struct process_spec spec = bed_spec(b, argv);
    struct process_result result;
    struct error err = { 0 };
    int r = process_run(b->arena, &spec, deadline_in_ms(PATIENCE_MS), 65536, NULL, NULL, &result, &err);
    cr_assert(r != 0 && result.exit_code == 1, "it started");
    return result.err;
}

static void write_file(struct instance *i, const char *name, str text)
{
    struct bed *b = i->bed;
    const char *path = arena_printf(b->arena, "%s/%s", i->dir, name).ptr;
    struct error err = { 0 };
    CHECK_OK(fs_write_atomic(path, text, 0600, &err), err);
    if (b->has_user)
        cr_assert(chown(path, b->uid, b->gid) == 0);
}

Test(agent_faults, garbage_in_its_files_and_a_taken_port_are_named_and_nothing_is_lost, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 1);
    struct instance *i = &b.instances[0];
    (void)instance_app_sql(i, "CREATE TABLE t AS SELECT 1 AS x");
    instance_kill_agent(i);
    static const char *const names[] = { "state.json", "config.json", "agent.json" };
    static const char *const garbage[] = { "", "{\"term\":", "[1]",
                                           "{\"clusterUID\":\"other\",\"instance\":\"pg-1\"}" };
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        str good = instance_log(i, names[n]);
        for (size_t g = 0; g + (n == 1) < ARRAY_LEN(garbage); g++) {
            write_file(i, names[n], str_from(garbage[g]));
            str why = launch_fails(i);
            cr_expect(str_find(why, str_from(n == 0 && g == 3 ? "another cluster"
                                             : n == 0         ? "state"
                                                              : names[n])) >= 0,
                      "%s with %s: %.*s", names[n], garbage[g], STR_ARG(why));
        }
        write_file(i, names[n], good);
    }
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)i->agent_port) };
    cr_assert(inet_pton(AF_INET, i->host, &at.sin_addr) == 1);
    FD_AUTO agent_port = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    (void)setsockopt(agent_port, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    cr_assert(bind(agent_port, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(agent_port, 1) == 0);
    CHECK_HAS(launch_fails(i), "in use");
    fs_closep(&agent_port);
    instance_relaunch(i);
    instance_wait(i, "running again", is_running_primary);
    CHECK_STR(instance_app_sql(i, "SELECT count(*) FROM t"), "1");
    bed_close(&b);
}

static bool says_port_is_taken(const struct agent_status *s)
{
    return !s->postgres_running && str_find(s->message, S("TCP/IP sockets")) >= 0;
}

Test(agent_faults, postgres_waits_for_its_port_and_says_so, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 1);
    struct instance *i = &b.instances[0];
    instance_kill_all(i);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)i->port) };
    cr_assert(inet_pton(AF_INET, i->host, &at.sin_addr) == 1);
    FD_AUTO port = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    (void)setsockopt(port, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (bind(port, (struct sockaddr *)&at, sizeof(at)) != 0)
        cr_assert(!deadline_has_passed(deadline_ns), "the port is not free");
    cr_assert(listen(port, 1) == 0);
    instance_relaunch(i);
    instance_wait(i, "saying that the port is taken", says_port_is_taken);
    fs_closep(&port);
    instance_wait(i, "running again", is_running_primary);
    bed_close(&b);
}

static bool says_full(const struct agent_status *s)
{
    return !s->postgres_running && str_find(s->message, S("volume is full")) >= 0;
}

Test(agent_faults, a_full_volume_is_told_and_left_as_soon_as_there_is_room, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 1);
    struct instance *i = &b.instances[0];
    if (mount("tmpfs", i->dir, "tmpfs", 0, "size=160m,mode=0777") != 0) {
        bed_close(&b);
        cr_skip_test("only root can mount a small file system");
    }
    b.log_max_bytes = 1 << 20; /* writes agent.json, which the mount hides */
    bed_start(&b);
    (void)instance_app_sql(i, "CREATE TABLE t AS SELECT 1 AS x");
    const char *ballast = arena_printf(b.arena, "%s/ballast", i->dir).ptr;
    FD_AUTO fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    off_t size = 0;
    while (fallocate(fd, 0, size, 1 << 20) == 0)
        size += 1 << 20;
    pid_t before = instance_postmaster(i);
    /* Nothing can be written any more; PostgreSQL ends as soon as it needs WAL. */
    cr_assert(kill(before, SIGKILL) == 0);
    instance_wait(i, "saying that the volume is full", says_full);
    cr_assert(unlink(ballast) == 0);
    fs_closep(&fd);
    instance_wait(i, "running again", is_running_primary);
    CHECK_STR(instance_app_sql(i, "INSERT INTO t VALUES (2); SELECT count(*) FROM t"), "2");
    cr_expect(instance_status(i).term == 1);
    char dir[128];
    (void)snprintf(dir, sizeof(dir), "%s", i->dir);
    (void)kill(i->pid, SIGTERM);
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (process_lives(i->pid) && !deadline_has_passed(deadline_ns))
        (void)poll(NULL, 0, 10);
    i->pid = 0;
    cr_assert(umount2(dir, MNT_DETACH) == 0);
    bed_close(&b);
}

static bool says_what_is_missing(const struct agent_status *s)
{
    return !s->postgres_running && str_find(s->message, S("No such file")) >= 0 && s->usable;
}

Test(agent_faults, missing_programs_are_told_and_cost_no_data, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 2);
    struct instance *two = &b.instances[1];
    (void)instance_app_sql(&b.instances[0], "CREATE TABLE t AS SELECT 1 AS x");
    instance_wait_rows(two, "1");
    instance_kill_all(two);
    b.postgres_bin = "/nonexistent";
    instance_relaunch(two);
    instance_wait(two, "saying what is missing", says_what_is_missing);
    instance_kill_agent(two);
    b.postgres_bin = "/usr/lib/postgresql/15/bin";
    instance_relaunch(two);
    instance_wait(two, "a streaming standby", is_streaming_standby);
    str log = instance_log(two, "agent.log");
    ptrdiff_t first = str_find(log, S("\"msg\":\"copied\""));
    cr_expect(str_find(str_from_offset(log, (size_t)first + 5), S("\"msg\":\"copied\"")) < 0, "nothing is copied anew");
    bed_close(&b);
}

/* Ignored signals are inherited: so would be the ends of children that nobody then could wait for. */
Test(agent_faults, nothing_goes_on_running_when_the_folder_is_taken_away, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 1);
    struct instance *i = &b.instances[0];
    (void)instance_app_sql(i, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS x");
    pid_t postmaster = instance_postmaster(i);
    const char *away = arena_printf(b.arena, "%s.away", i->dir).ptr;
    cr_assert(rename(i->dir, away) == 0);
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (process_lives(i->pid) || process_lives(postmaster)) {
        cr_assert(!deadline_has_passed(deadline_ns), "they run without a folder");
        (void)poll(NULL, 0, 20);
    }
    cr_assert(rename(away, i->dir) == 0);
    i->pid = 0;
    instance_relaunch(i);
    instance_wait(i, "running again", is_running_primary);
    CHECK_STR(instance_app_sql(i, "SELECT count(*) FROM t"), "1000");
    bed_close(&b);
}

Test(agent_faults, children_are_waited_for_although_the_starter_ignored_them_and_orphans_are_reaped,
     .timeout = BED_TEST_S)
{
    struct bed b;
    bed_open(&b, 1);
    struct instance *i = &b.instances[0];
    instance_launch_by(i, "trap '' CHLD; exec \"$@\"");
    instance_connect(i);
    instance_configure(i);
    instance_wait(i, "a running primary", is_running_primary);
    b.is_initialized = true;
    /* One whose parent dies first becomes the agent's, as in a container, and vanishes at its end. */
    const char *mark = arena_printf(b.arena, "%s/orphan", i->dir).ptr;
    (void)instance_sql(
        i, "postgres",
        arena_printf(b.arena,
                     "COPY (SELECT 1) TO PROGRAM 'sh -c \"sleep 2 >/dev/null 2>&1 & echo \\$! >%s\"; cat "
                     ">/dev/null'",
                     mark)
            .ptr);
    str text;
    int64_t pid = 0, deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (fs_read(b.arena, mark, 100, &text, NULL) != 0 || !str_to_i64(str_trim(text), &pid))
        cr_assert(!deadline_has_passed(deadline_ns), "no orphan");
    const char *stat = arena_printf(b.arena, "/proc/%d/stat", (int)pid).ptr;
    cr_assert(fs_read(b.arena, stat, 4096, &text, NULL) == 0);
    str rest = str_from_offset(text, (size_t)str_rindex(text, ')') + 4), parent;
    (void)str_cut(rest, ' ', &parent, &rest);
    cr_expect(str_eq(parent, arena_printf(b.arena, "%d", (int)i->pid)), "the agent is its parent: %.*s", STR_ARG(text));
    while (fs_exists(stat)) {
        cr_assert(!deadline_has_passed(deadline_ns), "a zombie stays");
        (void)poll(NULL, 0, 20);
    }
    bed_close(&b);
}
