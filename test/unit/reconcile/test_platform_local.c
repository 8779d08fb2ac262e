/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local platform without real agents: a small program stands for the agent. Places, folders and their modes, what a
 * lock proves, and what is removed.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/bootstrap.h"
#include "harness/check.h"
#include "harness/temp_dir.h"
#include "reconcile/platform.h"
#include "json/json_parse.h"

struct bed {
    struct arena *a;
    char net[16]; /* "127.91.3.": of this process, since the ports are the usual ones */
    struct temp_dir dir;
    struct platform platform;
    struct platform_instance pg1;
    char *folder; /* of pg-1 */
};

static str address(struct bed *b, int n)
{
    return arena_printf(b->a, "%s%d", b->net, n);
}

static const char *range(struct bed *b)
{
    return arena_printf(b->a, "%s0/28", b->net).ptr;
}

/* The agent's stand-in: a script with these lines, run as a program of its own. */
static const char *agent_of(struct bed *b, const char *lines)
{
    const char *path = TEMP_PATH(b->a, b->dir, "agent");
    struct error e;
    CHECK_OK(fs_write_atomic(path, arena_printf(b->a, "#!/bin/sh\n%s\n", lines), 0755, &e), e);
    cr_assert_eq(chmod(path, 0755), 0);
    return path;
}

static int bed_open(struct bed *b, const char *network, struct error *e)
{
    const struct platform_local_options options = { .data_dir = str_from(TEMP_PATH(b->a, b->dir, "data")),
                                                    .agent_program = str_from(TEMP_PATH(b->a, b->dir, "agent")),
                                                    .address_range = str_from(network),
                                                    .run_as = S("nobody") };
    return platform_local_new(&options, &b->platform, e);
}

static void bed_make(struct bed *b, const char *agent)
{
    struct error e;
    memset(b, 0, sizeof(*b));
    b->a = arena_new();
    b->dir = temp_dir_make();
    (void)snprintf(b->net, sizeof(b->net), "127.%d.%d.", 64 + getpid() / 250 % 128, getpid() % 250);
    cr_assert_eq(chmod(b->dir.path, 0711), 0);
    cr_assert_eq(mkdir(TEMP_PATH(b->a, b->dir, "data"), 0711), 0);
    (void)agent_of(b, agent);
    CHECK_OK(bed_open(b, range(b), &e), e);
    b->pg1 = (struct platform_instance) { .namespace_ = S("default"),
                                          .cluster = S("pg"),
                                          .cluster_uid = S("11111111-2222-3333-4444-555555555555"),
                                          .name = S("pg-1"),
                                          .at = { .host = address(b, 1), .port = 5432, .agent_port = 8432 } };
    b->folder = arena_z(b->a, arena_printf(b->a, "%s/data/instances/default/pg.11111111/pg-1", b->dir.path));
}

static void bed_end(struct bed *b)
{
    b->platform.ops->free(b->platform.self);
    temp_dir_release(&b->dir);
    arena_free(b->a);
}

static int launch(struct bed *b, struct error *e)
{
    const struct platform_identity identity = { S("the ca"), S("the certificate"), S("the key") };
    return b->platform.ops->launch(b->platform.self, &b->pg1, &identity, e);
}

static enum platform_state state(struct bed *b)
{
    enum platform_state s;
    struct error e;
    CHECK_OK(b->platform.ops->state(b->platform.self, &b->pg1, &s, &e), e);
    return s;
}

static str place(struct bed *b, const struct placement *taken, size_t count)
{
    struct placement at;
    struct error e;
    CHECK_OK(b->platform.ops->place(b->platform.self, b->a, &b->pg1, taken, count, &at, &e), e);
    cr_assert_eq(at.port, 5432);
    cr_assert_eq(at.agent_port, 8432);
    return at.host;
}

/* Something that listens there already. */
static int occupy(const char *host, uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
    cr_assert_eq(inet_pton(AF_INET, host, &at.sin_addr), 1);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    cr_assert_eq(listen(fd, 1), 0);
    return fd;
}

Test(platform_local, place_is_the_first_address_that_nobody_has_and_both_ports_can_be_bound_on)
{
    struct bed b;
    bed_make(&b, "exit 0");
    const struct placement one[] = { { .host = address(&b, 1) } };
    CHECK_STR(place(&b, NULL, 0), address(&b, 1).ptr);
    CHECK_STR(place(&b, one, 1), address(&b, 2).ptr);
    int agent = occupy(address(&b, 2).ptr, 8432), postgres = occupy(address(&b, 3).ptr, 5432);
    CHECK_STR(place(&b, one, 1), address(&b, 4).ptr);
    (void)close(agent);
    (void)close(postgres);
    struct placement all[14], at;
    struct error e;
    for (int i = 0; i < 14; i++)
        all[i].host = address(&b, i + 1);
    CHECK_FAILS(b.platform.ops->place(b.platform.self, b.a, &b.pg1, all, 14, &at, &e), ERRC_UNAVAILABLE);
    CHECK_HAS(str_from(e.text), "no free address is left");
    bed_end(&b);
}

Test(platform_local, ranges_outside_of_networks_and_programs_that_do_not_exist_are_refused)
{
    struct bed b;
    struct error e;
    bed_make(&b, "exit 0");
    struct platform kept = b.platform;
    static const char *const bad[] = { "127.91.0.0", "127.91.0.0/7", "127.91.0.0/29", "nonsense/16", "::1/16" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_FAILS(bed_open(&b, bad[i], &e), ERRC_INVALID);
        CHECK_HAS(str_from(e.text), bad[i]);
    }
    cr_assert_eq(unlink(TEMP_PATH(b.a, b.dir, "agent")), 0);
    CHECK_FAILS(bed_open(&b, range(&b), &e), ERRC_NOT_FOUND);
    b.platform = kept;
    bed_end(&b);
}

Test(platform_local, launch_leaves_what_the_agent_needs_for_its_eyes_only)
{
    struct bed b;
    struct error e;
    bed_make(&b, "test \"$1\" = --data-dir && test \"$2\" = \"$PWD\" && cp agent.json seen && id -u > uid");
    CHECK_OK(launch(&b, &e), e);
    struct stat st;
    cr_assert_eq(stat(arena_printf(b.a, "%s/" AGENT_BOOTSTRAP_FILE, b.folder).ptr, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0600);
    cr_assert_eq(stat(b.folder, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0700);
    str text;
    const struct json *v;
    CHECK_OK(fs_read(b.a, arena_printf(b.a, "%s/seen", b.folder).ptr, 1 << 16, &text, &e), e);
    CHECK_OK(json_parse(b.a, text, NULL, &v, &e), e);
    CHECK_STR(json_str_at(v, "instance"), "pg-1");
    CHECK_STR(json_str_at(v, "host"), address(&b, 1).ptr);
    cr_assert_eq(json_int_at(v, "agentPort", 0), 8432);
    CHECK_STR(json_str_at(v, "caPEM"), "the ca");
    CHECK_STR(json_str_at(v, "privateKeyPEM"), "the key");
    CHECK_OK(fs_read(b.a, arena_printf(b.a, "%s/uid", b.folder).ptr, 100, &text, &e), e);
    cr_assert(geteuid() != 0 || !str_eq(str_trim(text), S("0")), "never as root");
    bed_end(&b);
}

Test(platform_local, agent_that_does_not_start_says_why)
{
    struct bed b;
    struct error e;
    bed_make(&b, "echo 'postgres-agent: the port is taken' >&2; exit 1");
    cr_assert_lt(launch(&b, &e), 0);
    CHECK_HAS(str_from(e.text), "the port is taken");
    bed_end(&b);
}

Test(platform_local, running_agent_is_not_launched_again)
{
    struct bed b;
    struct error e;
    bed_make(&b, "echo x >> starts");
    CHECK_OK(launch(&b, &e), e);
    int fd = open(arena_printf(b.a, "%s/" AGENT_PID_FILE, b.folder).ptr, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && flock(fd, LOCK_EX) == 0);
    CHECK_OK(launch(&b, &e), e);
    str text;
    CHECK_OK(fs_read(b.a, arena_printf(b.a, "%s/starts", b.folder).ptr, 100, &text, &e), e);
    CHECK_STR(text, "x\n");
    (void)close(fd);
    CHECK_OK(launch(&b, &e), e);
    CHECK_OK(fs_read(b.a, arena_printf(b.a, "%s/starts", b.folder).ptr, 100, &text, &e), e);
    CHECK_STR(text, "x\nx\n");
    bed_end(&b);
}

Test(platform_local, only_a_free_lock_proves_death_and_data_go_only_then)
{
    struct bed b;
    struct error e;
    bed_make(&b, "exit 0");
    cr_assert_eq(state(&b), PLATFORM_ABSENT);
    CHECK_OK(launch(&b, &e), e);
    int fd = open(arena_printf(b.a, "%s/" AGENT_LOCK_FILE, b.folder).ptr, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && flock(fd, LOCK_EX) == 0);
    cr_assert_eq(state(&b), PLATFORM_LIVE);
    CHECK_FAILS(b.platform.ops->remove(b.platform.self, &b.pg1, true, &e), ERRC_UNAVAILABLE);
    cr_assert(fs_exists(b.folder));
    (void)close(fd);
    cr_assert_eq(state(&b), PLATFORM_DEAD);
    CHECK_OK(b.platform.ops->remove(b.platform.self, &b.pg1, false, &e), e);
    cr_assert(fs_exists(b.folder), "kept");
    CHECK_OK(b.platform.ops->remove(b.platform.self, &b.pg1, true, &e), e);
    cr_assert_not(fs_exists(b.folder));
    cr_assert_eq(state(&b), PLATFORM_ABSENT);
    CHECK_OK(b.platform.ops->remove(b.platform.self, &b.pg1, true, &e), e);
    bed_end(&b);
}

Test(platform_local, lock_that_is_a_link_proves_nothing)
{
    struct bed b;
    struct error e;
    bed_make(&b, "exit 0");
    CHECK_OK(launch(&b, &e), e);
    cr_assert_eq(symlink("/dev/null", arena_printf(b.a, "%s/" AGENT_LOCK_FILE, b.folder).ptr), 0);
    enum platform_state s;
    cr_assert_lt(b.platform.ops->state(b.platform.self, &b.pg1, &s, &e), 0);
    bed_end(&b);
}

Test(platform_local, ca_is_published_for_clients_and_goes_with_the_cluster)
{
    struct bed b;
    struct error e;
    bed_make(&b, "exit 0");
    str path, again, text;
    CHECK_OK(b.platform.ops->publish_ca(b.platform.self, b.a, &b.pg1, S("the ca"), &path, &e), e);
    CHECK_HAS(path, "/pg.11111111/ca.crt");
    struct stat st;
    cr_assert_eq(stat(path.ptr, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0644);
    CHECK_OK(b.platform.ops->publish_ca(b.platform.self, b.a, &b.pg1, S("another"), &again, &e), e);
    CHECK_OK(fs_read(b.a, again.ptr, 100, &text, &e), e);
    CHECK_STR(text, "another");
    CHECK_OK(b.platform.ops->forget_cluster(b.platform.self, &b.pg1, false, &e), e);
    cr_assert(fs_exists(path.ptr));
    CHECK_OK(b.platform.ops->forget_cluster(b.platform.self, &b.pg1, true, &e), e);
    cr_assert_not(fs_exists(path.ptr));
    bed_end(&b);
}

Test(platform_local, repository_lies_where_it_was_asked_for_or_below_the_data_folder)
{
    struct bed b;
    struct error e;
    bed_make(&b, "exit 0");
    str path;
    CHECK_OK(b.platform.ops->repository_path(b.platform.self, b.a, &b.pg1, S("main"), S(""), &path, &e), e);
    CHECK_STR(path, arena_printf(b.a, "%s/data/backups/default/pg.11111111/main", b.dir.path).ptr);
    cr_assert(fs_exists(path.ptr));
    str wanted = arena_printf(b.a, "%s/elsewhere", b.dir.path);
    CHECK_OK(b.platform.ops->repository_path(b.platform.self, b.a, &b.pg1, S("main"), wanted, &path, &e), e);
    CHECK_STR(path, wanted.ptr);
    struct stat st;
    cr_assert_eq(stat(wanted.ptr, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0700);
    bed_end(&b);
}
