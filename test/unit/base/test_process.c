/* SPDX-License-Identifier: Apache-2.0 */
/* Real children: what they get, what comes back, and that none outlives its deadline. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/strbuf.h"
#include "harness/check.h"
#include "harness/temp_dir.h"

#define LONG_MS 120000

static int run(struct arena *a, const char *script, struct process_result *result, struct error *err)
{
    const char *const argv[] = { "sh", "-c", script, NULL };
    const struct process_spec spec = { .argv = argv };
    return process_run(a, &spec, deadline_in_ms(LONG_MS), 4096, NULL, NULL, result, err);
}

Test(process, both_outputs_and_the_exit_code_come_back)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    CHECK_OK(run(a, "echo out; echo err >&2", &r, &e), e);
    CHECK_STR(r.out, "out\n");
    CHECK_STR(r.err, "err\n");
    cr_assert(r.exit_code == 0 && r.signal == 0 && !r.timed_out);
}

Test(process, a_failing_program_is_explained_by_its_last_line)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    CHECK_FAILS(run(a, "echo first >&2; echo 'FATAL: no space' >&2; echo >&2; exit 3", &r, &e), ERRC_INTERNAL);
    cr_assert_eq(r.exit_code, 3);
    cr_assert_str_eq(e.text, "\"sh\" exited with 3: FATAL: no space");
    CHECK_FAILS(run(a, "printf 'no line end' >&2; kill -9 $$", &r, &e), ERRC_INTERNAL);
    cr_assert(r.exit_code == -1 && r.signal == SIGKILL);
    cr_assert_str_eq(e.text, "\"sh\" was ended by signal 9: no line end");
}

Test(process, a_missing_program_is_not_found_and_one_without_rights_is_denied)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct process_result r;
    struct error e;
    const char *argv[] = { "no-such-program-anywhere", NULL };
    const struct process_spec spec = { .argv = argv };
    CHECK_FAILS(process_run(a, &spec, INT64_MAX, 10, NULL, NULL, &r, &e), ERRC_NOT_FOUND);
    CHECK_HAS(str_from(e.text), "no-such-program-anywhere");
    argv[0] = "/no/such/program";
    CHECK_FAILS(process_run(a, &spec, INT64_MAX, 10, NULL, NULL, &r, &e), ERRC_NOT_FOUND);
    argv[0] = TEMP_PATH(a, d, "f");
    CHECK_OK(fs_write_atomic(argv[0], S("#!/bin/sh\n"), 0644, &e), e);
    CHECK_FAILS(process_run(a, &spec, INT64_MAX, 10, NULL, NULL, &r, &e), ERRC_DENIED);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "no zombie is left");
    cr_assert_eq(errno, ECHILD);
}

/* Gone, or a zombie that its new parent has not collected. */
static bool is_gone(pid_t pid)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str stat;
    if (fs_read(a, arena_printf(a, "/proc/%d/stat", (int)pid).ptr, 4096, &stat, NULL) != 0)
        return true;
    ptrdiff_t at = str_rindex(stat, ')');
    return at < 0 || (size_t)at + 2 >= stat.len || stat.ptr[at + 2] == 'Z' || stat.ptr[at + 2] == 'X';
}

static void check_goes_away(pid_t pid)
{
    int64_t deadline_ns = deadline_in_ms(LONG_MS);
    while (!is_gone(pid))
        cr_assert_not(deadline_has_passed(deadline_ns), "%d is still there", (int)pid);
}

Test(process, the_deadline_kills_the_whole_group)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    const char *const argv[] = { "sh", "-c", "trap '' TERM; sleep 1000 & echo $!; wait", NULL };
    const struct process_spec spec = { .argv = argv };
    uint64_t grandchild = 0;
    /* Again with more time where the shell did not come to its second line. */
    for (int64_t ms = 300; grandchild == 0 && ms <= LONG_MS; ms *= 2) {
        int64_t start = clock_monotonic_ns();
        CHECK_FAILS(process_run(a, &spec, deadline_in_ms(ms), 100, NULL, NULL, &r, &e), ERRC_TIMEOUT);
        cr_assert(clock_monotonic_ns() - start < 500 * NS_PER_S);
        cr_assert(r.timed_out && r.signal == SIGKILL && r.exit_code == -1);
        (void)str_to_u64(str_trim(r.out), &grandchild);
    }
    cr_assert_neq(grandchild, 0, "%.*s", STR_ARG(r.out));
    check_goes_away((pid_t)grandchild);
}

Test(process, a_program_that_never_stops_writing_still_ends_at_the_deadline)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    const char *const argv[] = { "yes", NULL };
    const struct process_spec spec = { .argv = argv };
    r.out.len = 0;
    for (int64_t ms = 200; r.out.len == 0 && ms <= LONG_MS; ms *= 2) /* it may not have begun to write */
        CHECK_FAILS(process_run(a, &spec, deadline_in_ms(ms), 100, NULL, NULL, &r, &e), ERRC_TIMEOUT);
    cr_assert_eq(r.out.len, 100);
}

Test(process, a_deadline_in_the_past_kills_at_once)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    const char *const argv[] = { "sleep", "1000", NULL };
    const struct process_spec spec = { .argv = argv };
    CHECK_FAILS(process_run(a, &spec, 0, 100, NULL, NULL, &r, &e), ERRC_TIMEOUT);
    cr_assert(r.timed_out);
}

Test(process, outputs_are_cut_at_the_maximum_but_read_to_the_end)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    CHECK_OK(run(a, "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; echo >&2; echo last >&2", &r, &e), e);
    cr_assert_eq(r.out.len, 4096);
    cr_assert_eq(r.err.len, 4096);
}

Test(process, input_arrives_whole_and_may_be_ignored)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    size_t len = 1 << 20;
    char *data = arena_alloc(a, len);
    memset(data, 'x', len);
    data[5] = '\0';
    const char *argv[] = { "cat", NULL };
    struct process_spec spec = { .argv = argv, .input = str_of(data, len) };
    CHECK_OK(process_run(a, &spec, deadline_in_ms(LONG_MS), len, NULL, NULL, &r, &e), e);
    cr_assert(str_eq(r.out, spec.input));
    argv[0] = "true";
    CHECK_OK(process_run(a, &spec, deadline_in_ms(LONG_MS), len, NULL, NULL, &r, &e), e);
    argv[0] = "cat";
    spec.input = S("");
    CHECK_OK(process_run(a, &spec, deadline_in_ms(LONG_MS), len, NULL, NULL, &r, &e), e);
    cr_assert_eq(r.out.len, 0);
}

Test(process, the_environment_is_ours_with_additions_and_never_in_argv)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    cr_assert_eq(setenv("KEPT", "kept", 1), 0);
    cr_assert_eq(setenv("CHANGED", "before", 1), 0);
    const char *const argv[] = { "sh", "-c", "echo $KEPT $CHANGED $PGPASSWORD; tr '\\0' ' ' </proc/$$/cmdline", NULL };
    const char *const env[] = { "CHANGED=after", "PGPASSWORD=s3cret", NULL };
    const struct process_spec spec = { .argv = argv, .env = env };
    CHECK_OK(process_run(a, &spec, deadline_in_ms(LONG_MS), 4096, NULL, NULL, &r, &e), e);
    str first, rest;
    cr_assert(str_cut(r.out, '\n', &first, &rest));
    CHECK_STR(first, "kept after s3cret");
    CHECK_HAS(rest, "sh -c");
    CHECK_HAS_NOT(rest, "s3cret");
    CHECK_OK(run(a, "env | grep -c '^CHANGED='", &r, &e), e);
    CHECK_STR(r.out, "1\n");
}

Test(process, no_descriptor_leaks_but_those_that_are_asked_for_stay)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    /* Both without close-on-exec, as a careless library would leave them. */
    cr_assert_eq(dup2(0, 50), 50);
    FD_AUTO lock = open("/dev/null", O_RDONLY);
    cr_assert_eq(dup2(lock, 60), 60);
    CHECK_OK(run(a, "cd /proc/$$/fd; echo *", &r, &e), e);
    CHECK_HAS_NOT(r.out, "50");
    CHECK_HAS_NOT(r.out, "60");
    cr_assert_eq(fcntl(50, F_GETFD), 0, "ours are untouched");
    const char *const argv[] = { "sh", "-c", "cd /proc/$$/fd; echo *", NULL };
    const struct process_spec spec = { .argv = argv, .keep_fds = (const int[]) { 60 }, .keep_fd_count = 1 };
    CHECK_OK(process_run(a, &spec, deadline_in_ms(LONG_MS), 4096, NULL, NULL, &r, &e), e);
    CHECK_HAS(r.out, "60");
    CHECK_HAS_NOT(r.out, "50");
}

Test(process, it_works_when_our_own_standard_descriptors_are_closed)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    int saved[3];
    for (int fd = 0; fd < 3; fd++) {
        saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
        (void)close(fd);
    }
    const char *const argv[] = { "sh", "-c", "cat; echo err >&2", NULL };
    const struct process_spec spec = { .argv = argv, .input = S("in") };
    int result = process_run(a, &spec, deadline_in_ms(LONG_MS), 4096, NULL, NULL, &r, &e);
    for (int fd = 0; fd < 3; fd++)
        (void)dup2(saved[fd], fd);
    cr_assert_eq(result, 0, "%s", e.text);
    CHECK_STR(r.out, "in");
    CHECK_STR(r.err, "err\n");
}

Test(process, signals_are_unblocked_and_at_their_defaults_in_the_child)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    const struct sigaction ignore = { .sa_handler = SIG_IGN };
    cr_assert_eq(sigaction(SIGPIPE, &ignore, NULL), 0);
    cr_assert_eq(sigaction(SIGHUP, &ignore, NULL), 0);
    const char *const argv[] = { "grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status", NULL };
    const struct process_spec spec = { .argv = argv };
    CHECK_OK(process_run(a, &spec, deadline_in_ms(LONG_MS), 4096, NULL, NULL, &r, &e), e);
    CHECK_HAS(r.out, "SigBlk:\t0000000000000000");
    CHECK_HAS(r.out, "SigIgn:\t0000000000000000");
    (void)sigemptyset(&all);
    (void)sigprocmask(SIG_SETMASK, NULL, &all);
    cr_assert(sigismember(&all, SIGTERM), "our own mask is as before");
}

Test(process, the_folder_the_group_and_the_user_are_those_of_the_spec)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    const char *const argv[] = { "sh", "-c", "pwd; id -u; id -g; id -G; cut -d' ' -f5,6 /proc/$$/stat; echo $$", NULL };
    struct process_spec spec = { .argv = argv, .cwd = "/usr", .own_session = true };
    if (geteuid() == 0) {
        spec.has_user = true;
        spec.uid = 65534;
        spec.gid = 65533;
    }
    CHECK_OK(process_run(a, &spec, deadline_in_ms(LONG_MS), 4096, NULL, NULL, &r, &e), e);
    str lines[6];
    size_t n = 0;
    for (str rest = r.out, line; n < 6 && str_next_field(&rest, '\n', &line);)
        lines[n++] = line;
    CHECK_STR(lines[0], "/usr");
    if (spec.has_user) {
        CHECK_STR(lines[1], "65534");
        CHECK_STR(lines[2], "65533");
        CHECK_STR(lines[3], "65533");
    }
    CHECK_STR(lines[4], arena_printf(a, "%.*s %.*s", STR_ARG(lines[5]), STR_ARG(lines[5])).ptr);
    spec.cwd = "/nonexistent";
    CHECK_FAILS(process_run(a, &spec, deadline_in_ms(LONG_MS), 4096, NULL, NULL, &r, &e), ERRC_NOT_FOUND);
}

static void collect(void *self, str line)
{
    strbuf_addf(self, "[%.*s]", STR_ARG(line));
}

Test(process, lines_of_standard_error_come_one_by_one)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    STRBUF_AUTO lines = STRBUF_INIT(1000);
    struct process_result r;
    struct error e;
    const char *const argv[] = { "sh", "-c", "printf 'a\\n\\nb' >&2; printf 'c\\nd' >&2", NULL };
    const struct process_spec spec = { .argv = argv };
    CHECK_OK(process_run(a, &spec, deadline_in_ms(LONG_MS), 4096, collect, &lines, &r, &e), e);
    CHECK_STR(strbuf_str(&lines), "[a][][bc][d]");
}

Test(process, a_daemon_that_keeps_the_outputs_open_does_not_hold_us_up)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    int64_t start = clock_monotonic_ns();
    CHECK_OK(run(a, "sleep 1000 & echo $!", &r, &e), e);
    cr_assert(clock_monotonic_ns() - start < 500 * NS_PER_S);
    uint64_t daemon;
    cr_assert(str_to_u64(str_trim(r.out), &daemon));
    cr_assert_eq(kill((pid_t)daemon, SIGKILL), 0, "it lives on: it was not asked to end");
    check_goes_away((pid_t)daemon);
}

Test(process, a_started_program_writes_where_it_was_told_and_is_ours_to_reap)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    TEMP_DIR(d);
    struct error e;
    str data;
    pid_t pid;
    int status;
    const char *path = TEMP_PATH(a, d, "out");
    FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const char *const argv[] = { "sh", "-c", "echo out; echo gone >&2; exit 7", NULL };
    struct process_spec spec = { .argv = argv, .stdout_fd = fd, .stderr_fd = -1 };
    CHECK_OK(process_start(&spec, &pid, &e), e);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    CHECK_OK(fs_read(a, path, 100, &data, &e), e);
    CHECK_STR(data, "out\n");
    const char *const missing[] = { "no-such-program-anywhere", NULL };
    spec.argv = missing;
    CHECK_FAILS(process_start(&spec, &pid, &e), ERRC_NOT_FOUND);
}

Test(process, no_descriptor_of_ours_is_lost)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct process_result r;
    struct error e;
    int before = dup(0);
    (void)close(before);
    for (int i = 0; i < 5; i++)
        CHECK_OK(run(a, "true", &r, &e), e);
    (void)run(a, "exit 1", &r, &e);
    const char *const missing[] = { "no-such-program-anywhere", NULL };
    const struct process_spec spec = { .argv = missing };
    CHECK_FAILS(process_run(a, &spec, INT64_MAX, 10, NULL, NULL, &r, &e), ERRC_NOT_FOUND);
    int after = dup(0);
    (void)close(after);
    cr_assert_eq(before, after);
}
