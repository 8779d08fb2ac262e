/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL dies by itself, again and again: how soon it is back, and what is told of it. */
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "bed.h"
#include "harness/check.h"

#define CRASHES 8
#define SERVES_MS 1300 /* longer than it must have served to count as one that had */

static str killed; /* as the status names it */

static bool is_another_one(const struct agent_status *s)
{
    return is_running_primary(s) && !str_eq(s->postmaster, killed);
}

static bool is_down(const struct agent_status *s)
{
    return !s->postgres_running;
}

Test(agent_crashes, one_that_had_served_is_restarted_at_once_however_often_it_is_killed, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 1);
    struct instance *i = &b.instances[0];
    int64_t best_ms = INT64_MAX;
    for (int n = 0; n < CRASHES; n++) {
        cr_assert_not(instance_becomes(i, is_down, SERVES_MS), "it stays up");
        killed = instance_status(i).postmaster;
        int64_t began_ns = clock_monotonic_ns();
        cr_assert(kill(instance_postmaster(i), SIGKILL) == 0);
        instance_wait(i, "running again", is_another_one);
        int64_t ms = (clock_monotonic_ns() - began_ns) / NS_PER_MS;
        if (n >= CRASHES - 2)
            best_ms = ms < best_ms ? ms : best_ms;
    }
    /* A back-off that doubles from 200 ms would be at 10 s in the end. */
    cr_expect(best_ms < 8000, "the faster of the last two restarts took %lld ms", (long long)best_ms);
    bed_close(&b);
}

static bool is_crashed_now(const struct agent_status *s)
{
    return is_crashed(s) && !s->postgres_running;
}

Test(agent_crashes, the_report_has_the_cause_and_not_what_others_were_refused_for, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 1);
    struct instance *i = &b.instances[0];
    (void)instance_app_sql(i, "CREATE TABLE t AS SELECT generate_series(1, 20000) AS x");
    (void)instance_sql(i, "postgres", "DO $$ BEGIN RAISE LOG 'FATAL:  a session was refused'; END $$");
    cr_assert_not(instance_becomes(i, is_down, SERVES_MS), "a heartbeat has the newest position");
    b.may_start = false;
    cr_assert(kill(instance_postmaster(i), SIGKILL) == 0);
    instance_wait(i, "saying that it crashed", is_crashed_now);
    struct agent_status s = instance_status(i);
    CHECK_HAS(s.message, "killed by signal 9");
    cr_expect(str_find(s.message, S("refused")) < 0, "%.*s", STR_ARG(s.message));
    cr_expect(s.recovery_bytes > 1 << 20 && s.failed_starts == 0, "%lld to replay", (long long)s.recovery_bytes);
    b.may_start = true;
    instance_wait(i, "running again", is_running_primary);
    cr_expect(instance_status(i).recovery_bytes == 0);

    b.may_start = false;
    (void)instance_sql(i, "postgres", "SELECT pg_sleep(0)");
    str pid = instance_sql(i, "postgres", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'");
    int64_t writer;
    cr_assert(str_to_i64(str_trim(pid), &writer) && kill((pid_t)writer, SIGSEGV) == 0);
    instance_wait(i, "saying that it crashed", is_crashed_now);
    CHECK_HAS(instance_status(i).message, "was terminated by signal 11");
    bed_close(&b);
}

static bool has_failed_to_start(const struct agent_status *s)
{
    return s->failed_starts >= 3;
}

Test(agent_crashes, one_that_dies_before_it_serves_is_told_and_tried_less_and_less_often, .timeout = BED_TEST_S)
{
    struct bed b;
    bed_bring_up(&b, 1);
    struct instance *i = &b.instances[0];
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)i->port) };
    cr_assert(inet_pton(AF_INET, i->host, &at.sin_addr) == 1);
    b.may_start = false;
    cr_assert(kill(instance_postmaster(i), SIGKILL) == 0);
    instance_wait(i, "saying that it crashed", is_crashed_now);
    FD_AUTO port = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    (void)setsockopt(port, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    cr_assert(bind(port, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(port, 1) == 0, "the port is not free");
    b.may_start = true;
    int64_t began_ns = clock_monotonic_ns();
    instance_wait(i, "three failed starts", has_failed_to_start);
    cr_expect(clock_monotonic_ns() - began_ns >= 600 * NS_PER_MS, "not without end at full speed");
    fs_closep(&port);
    instance_wait(i, "running again", is_running_primary);
    cr_expect(instance_status(i).failed_starts == 0);
    bed_close(&b);
}
