/* SPDX-License-Identifier: Apache-2.0 */
/* The bed's processes: folders, certificates, agents, programs beside them. The leader's side is in leader.c. */
#include "bed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/process.h"
#include "harness/check.h"
#include "json/json_write.h"

#define CLUSTER_UID "11111111-2222-4333-8444-555555555555"

static void choose_user(struct bed *b)
{
    if (geteuid() != 0)
        return;
    struct passwd *pw = getpwnam("postgres");
    cr_assert(pw, "as root the test needs the user postgres");
    b->uid = pw->pw_uid;
    b->gid = pw->pw_gid;
    b->has_user = true;
}

static void give(struct bed *b, const char *path)
{
    if (b->has_user)
        cr_assert(chown(path, b->uid, b->gid) == 0);
}

str bed_make_folder(struct bed *b, const char *name)
{
    str path = arena_printf(b->arena, "%s/%s", b->dir, name);
    cr_assert(mkdir(path.ptr, 0700) == 0);
    give(b, path.ptr);
    return path;
}

static int free_port(const char *host)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof(at);
    cr_assert(inet_pton(AF_INET, host, &at.sin_addr) == 1);
    FD_AUTO fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    cr_assert(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    return ntohs(at.sin_port);
}

struct pki_pair instance_identity(const struct instance *i)
{
    struct error err = { 0 };
    struct pki_pair pair;
    str names[] = { str_from(i->name) }, ips[] = { str_from(i->host) };
    const struct pki_request request = { .common_name = names[0],
                                         .dns_names = names,
                                         .dns_count = 1,
                                         .ip_addresses = ips,
                                         .ip_count = 1,
                                         .is_server = true,
                                         .is_client = true };
    CHECK_OK(pki_issue(i->bed->arena, &i->bed->ca, &request, &pair, &err), err);
    return pair;
}

static void write_bootstrap(struct instance *i)
{
    struct bed *b = i->bed;
    struct arena *a = b->arena;
    struct error err = { 0 };
    const struct pki_pair pair = instance_identity(i);
    const struct json *v = JSON_OBJECT_OF(
        a, JSON_MEMBER("instance", json_string(a, str_from(i->name))), JSON_MEMBER("cluster", json_string(a, S("pg"))),
        JSON_MEMBER("namespace", json_string(a, S("default"))),
        JSON_MEMBER("clusterUID", json_string(a, S(CLUSTER_UID))),
        JSON_MEMBER("host", json_string(a, str_from(i->host))), JSON_MEMBER("agentPort", json_int(a, i->agent_port)),
        JSON_MEMBER("caPEM", json_string(a, b->ca.certificate_pem)),
        JSON_MEMBER("certificatePEM", json_string(a, pair.certificate_pem)),
        JSON_MEMBER("privateKeyPEM", json_string(a, pair.private_key_pem)),
        JSON_MEMBER("postgresBin", b->postgres_bin ? json_string(a, str_from(b->postgres_bin)) : NULL),
        JSON_MEMBER("logMaxBytes", b->log_max_bytes ? json_int(a, b->log_max_bytes) : NULL));
    const char *path = arena_printf(a, "%s/agent.json", i->dir).ptr;
    CHECK_OK(fs_write_atomic(path, json_text(a, v), 0600, &err), err);
    give(b, path);
}

static void add_instance(struct bed *b, size_t n)
{
    struct instance *i = &b->instances[n];
    i->bed = b;
    (void)pthread_mutex_init(&i->lock, NULL);
    i->status_arena = arena_new();
    (void)snprintf(i->name, sizeof(i->name), "pg-%zu", n + 1);
    (void)snprintf(i->host, sizeof(i->host), "127.%d.%d.%zu", 1 + getpid() / 250 % 250, 1 + getpid() % 250, n + 1);
    (void)snprintf(i->dir, sizeof(i->dir), "%s/%s", b->dir, i->name);
    i->port = free_port(i->host);
    do
        i->agent_port = free_port(i->host);
    while (i->agent_port == i->port);
    cr_assert(mkdir(i->dir, 0700) == 0);
    give(b, i->dir);
    write_bootstrap(i);
}

/* A test that fails skips bed_close; agents outlive whoever started them, and this ends them. */
static void guard(const struct bed *b)
{
    const char *program = getenv("GUARDIAN");
    cr_assert(program, "GUARDIAN names the program");
    char pid[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    cr_assert(setenv("GUARDED", b->dir, 1) == 0);
    posix_spawnattr_t how;
    posix_spawn_file_actions_t files;
    cr_assert(posix_spawnattr_init(&how) == 0 && posix_spawn_file_actions_init(&files) == 0);
    /* Not of the group that is killed with the test, and nothing of its pipes stays open. */
    cr_assert(posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSID) == 0);
    cr_assert(posix_spawn_file_actions_addclosefrom_np(&files, 3) == 0);
    char *const argv[] = { (char *)(uintptr_t)program, pid, NULL };
    pid_t guardian;
    cr_assert(posix_spawn(&guardian, program, &files, &how, argv, environ) == 0);
    (void)posix_spawnattr_destroy(&how);
    (void)posix_spawn_file_actions_destroy(&files);
}

void bed_open(struct bed *b, size_t instances)
{
    struct error err = { 0 };
    *b = (struct bed) { .arena = arena_new(),
                        .term = 1,
                        .timeline = 1,
                        .primary = "pg-1",
                        .may_start = true,
                        .crash_grace_ms = PATIENCE_MS };
    (void)snprintf(b->dir, sizeof(b->dir), "/tmp/pgagent.XXXXXX");
    cr_assert(mkdtemp(b->dir));
    guard(b);
    cr_assert(chmod(b->dir, 0711) == 0);
    choose_user(b);
    b->count = instances;
    b->parameters = b->repositories = NULL;
    b->sync_names = "";
    CHECK_OK(pki_make_ca(b->arena, S("pg"), 0, &b->ca, &err), err);
    const struct pki_request leader = { .common_name = S(AGENT_LEADER_CN), .is_client = true };
    CHECK_OK(pki_issue(b->arena, &b->ca, &leader, &b->leader, &err), err);
    CHECK_OK(http_client_new(&b->client, &err), err);
    for (size_t n = 0; n < instances; n++)
        add_instance(b, n);
}

/* ---- agents -------------------------------------------------------------------------------------------------- */

static pid_t read_pid(struct instance *i, const char *name)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str text, first, rest;
    int64_t pid = 0;
    if (fs_read(a, arena_printf(a, "%s/%s", i->dir, name).ptr, 4096, &text, NULL) != 0)
        return 0;
    (void)str_cut(text, '\n', &first, &rest);
    return str_to_i64(str_trim(first), &pid) ? (pid_t)pid : 0;
}

static void launch(struct instance *i, const char *const *argv)
{
    if (i->bed->postgres_bin || i->bed->log_max_bytes)
        write_bootstrap(i); /* what the test has asked for since the bed was opened */
    (void)bed_run(i->bed, argv, NULL);
    i->pid = read_pid(i, "agent.pid");
    cr_assert(i->pid > 1, "it listens, but there is no agent.pid");
}

static const char *agent_program(void)
{
    const char *program = getenv("POSTGRES_AGENT");
    cr_assert(program, "POSTGRES_AGENT names the program");
    return program;
}

void instance_launch(struct instance *i)
{
    const char *argv[] = { agent_program(), "--data-dir", i->dir, NULL };
    launch(i, argv);
}

void instance_launch_by(struct instance *i, const char *script)
{
    const char *argv[] = { "/bin/sh", "-c", script, "sh", agent_program(), "--data-dir", i->dir, NULL };
    launch(i, argv);
}

bool process_lives(pid_t pid)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str text;
    if (fs_read(a, arena_printf(a, "/proc/%d/stat", (int)pid).ptr, 4096, &text, NULL) != 0)
        return false;
    str state = str_from_offset(text, (size_t)str_rindex(text, ')') + 2);
    return !str_has_prefix(state, S("Z")) && !str_has_prefix(state, S("X"));
}

static void wait_gone(pid_t pid)
{
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    while (process_lives(pid) && !deadline_has_passed(deadline_ns))
        (void)sched_yield();
}

void instance_kill_agent(struct instance *i)
{
    cr_assert(kill(i->pid, SIGKILL) == 0);
    wait_gone(i->pid);
    i->pid = 0;
}

pid_t instance_postmaster(struct instance *i)
{
    return read_pid(i, "pgdata/postmaster.pid");
}

bool instance_is_free(struct instance *i)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/lock", i->dir);
    FD_AUTO fd = open(path, O_RDWR | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static void end_agent(struct instance *i)
{
    if (i->stream)
        http_client_stream_close(i->stream);
    i->stream = NULL;
    if (i->pid > 1) {
        (void)kill(i->pid, SIGTERM);
        wait_gone(i->pid);
        (void)kill(i->pid, SIGKILL);
    }
    arena_free(i->status_arena);
}

void bed_close(struct bed *b)
{
    for (size_t n = 0; n < b->count; n++)
        end_agent(&b->instances[n]);
    http_client_free(b->client);
    if (!getenv("HARNESS_KEEP"))
        (void)!fs_remove_all(b->dir, NULL);
    arena_free(b->arena);
}

/* ---- programs ------------------------------------------------------------------------------------------------ */

struct process_spec bed_spec(const struct bed *b, const char *const *argv)
{
    return (struct process_spec) { .argv = argv,
                                   .cwd = "/",
                                   .uid = b->uid,
                                   .gid = b->gid,
                                   .has_user = b->has_user,
                                   .stdout_fd = -1,
                                   .stderr_fd = -1 };
}

str bed_run(struct bed *b, const char *const *argv, const char *const *env)
{
    struct process_spec spec = bed_spec(b, argv);
    spec.env = env;
    struct process_result result;
    struct error err = { 0 };
    int r = process_run(b->arena, &spec, deadline_in_ms(PATIENCE_MS), 1u << 20, NULL, NULL, &result, &err);
    cr_assert(r == 0, "%s: %s\n%.*s", argv[0], err.text, STR_ARG(result.err));
    return str_trim(result.out);
}

static str psql(struct bed *b, const char *conninfo, const char *sql, const char *password)
{
    const char *argv[] = {
        "/usr/lib/postgresql/15/bin/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, conninfo, NULL
    };
    const char *env[] = { password ? arena_printf(b->arena, "PGPASSWORD=%s", password).ptr : "PGPASSWORD=",
                          "HOME=/nonexistent", NULL };
    return bed_run(b, argv, env);
}

str instance_sql(struct instance *i, const char *database, const char *sql)
{
    str conninfo =
        arena_printf(i->bed->arena, "host=%s/sock port=%d user=postgres dbname=%s", i->dir, i->port, database);
    return psql(i->bed, conninfo.ptr, sql, NULL);
}

str instance_app_sql(struct instance *i, const char *sql)
{
    struct bed *b = i->bed;
    const char *ca = arena_printf(b->arena, "%s/ca.crt", b->dir).ptr;
    struct error err = { 0 };
    CHECK_OK(fs_write_atomic(ca, b->ca.certificate_pem, 0644, &err), err);
    str conninfo = arena_printf(b->arena, "host=%s port=%d user=app dbname=app sslmode=verify-full sslrootcert=%s",
                                i->host, i->port, ca);
    return psql(b, conninfo.ptr, sql, "it's \\ secret");
}
