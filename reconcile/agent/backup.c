/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs beside the worker on the primary: checkpoints in the background, and pgBackRest: the stanza, backups as
 * children, their result as `pgbackrest info` tells it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "agent.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "json/json_parse.h"

#define CHECKPOINT_MS 600000
#define STANZA_MS 120000
#define STANZA_RETRY_MS 5000
#define PUSH_MS 600000
#define INFO_MS 60000
#define BACKUP_MS (INT64_C(3) * 24 * 3600 * 1000)
#define OUTPUT_MAX_BYTES (4u << 20)
#define LEFTOVERS_MAX 64

/* ---- checkpoints --------------------------------------------------------------------------------------------- */

static void run_checkpoint(void *self)
{
    struct agent *ag = self;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    CLEANUP(pg_closep) struct pg *c = NULL;
    struct error err;
    int64_t deadline_ns = deadline_in_ms(CHECKPOINT_MS);
    int r = pg_connect_local(ag, "postgres", deadline_ns, &c, &err);
    if (r == 0)
        r = pg_query(c, a, "CHECKPOINT", NULL, deadline_ns, NULL, &err);
    if (r != 0)
        log_warn("no checkpoint after the promotion", LOG_ERROR(&err));
}

void checkpoint_in_background(struct agent *ag)
{
    if (!pool_run(ag->tasks, run_checkpoint, ag))
        log_warn("no checkpoint after the promotion: busy");
}

/* ---- pgBackRest ---------------------------------------------------------------------------------------------- */

struct task {
    struct agent *ag;
    char id[128], type[16], stanza[256];
    size_t repository; /* from 1; 0: all */
    size_t repository_count;
    int64_t started_s;
};

/* "… P00  ERROR: [050]: unable to acquire lock": what counts; the last line is often only a hint. */
static str first_error(str output)
{
    for (str rest = output, line; str_next_field(&rest, '\n', &line);) {
        ptrdiff_t at = str_find(line, S("ERROR: "));
        if (at >= 0)
            return str_trim(str_from_offset(line, (size_t)at + strlen("ERROR: ")));
    }
    return S("");
}

static int pgbackrest(struct task *t, struct arena *a, const char *const *args, int64_t ms, str *ret_out,
                      struct error *err)
{
    const char *argv[16] = { "pgbackrest", arena_printf(a, "--config=%s", t->ag->path.pgbackrest_file).ptr,
                             arena_printf(a, "--stanza=%s", t->stanza).ptr };
    size_t n = 3;
    for (size_t i = 0; args[i] && n + 1 < ARRAY_LEN(argv); i++)
        argv[n++] = args[i];
    const struct process_spec spec = { .argv = argv, .cwd = t->ag->path.dir, .stdout_fd = -1, .stderr_fd = -1 };
    struct process_result result;
    /* pgBackRest refuses to run twice at once; what waits here is short but for the backup itself. */
    pthread_mutex_lock(&t->ag->pgbackrest_lock);
    int r = process_run(a, &spec, deadline_in_ms(ms), OUTPUT_MAX_BYTES, NULL, NULL, &result, err);
    pthread_mutex_unlock(&t->ag->pgbackrest_lock);
    if (ret_out)
        *ret_out = result.out;
    str why = first_error(result.err);
    return r == 0 || why.len == 0 ? r : error_set(err, (enum err)r, "pgbackrest: %.*s", STR_ARG(why));
}

static void say_task(struct task *t, const char *state, const char *error_text, const struct json *result)
{
    struct agent *ag = t->ag;
    struct arena *a = arena_new();
    const struct json *v = JSON_OBJECT_OF(
        a, JSON_MEMBER("id", json_string(a, arena_str(a, str_from(t->id)))),
        JSON_MEMBER("kind", json_string(a, S("backup"))), JSON_MEMBER("state", json_string(a, str_from(state))),
        JSON_MEMBER("error", error_text ? json_string(a, arena_str(a, str_from(error_text))) : NULL),
        JSON_MEMBER("result", result ? json_copy(a, result) : NULL));
    pthread_mutex_lock(&ag->lock);
    struct arena *old = ag->board.task_arena;
    ag->board.task_arena = a;
    ag->board.task = v;
    pthread_mutex_unlock(&ag->lock);
    arena_free(old);
    board_publish(ag);
}

static const struct json *newest_backup(const struct json *info)
{
    const struct json *list = json_at(json_item(info, 0), "backup");
    return json_item(list, json_count(list) - 1);
}

/* What `info --output=json` says of the newest backup of that repository. */
static int read_result(struct task *t, struct arena *a, const struct json **ret, struct error *err)
{
    const char *args[] = { arena_printf(a, "--repo=%zu", t->repository).ptr, "--output=json", "info", NULL };
    str out;
    const struct json *info = NULL;
    int r = pgbackrest(t, a, args, INFO_MS, &out, err);
    if (r == 0)
        r = json_parse(a, out, NULL, &info, err);
    if (r != 0)
        return error_wrap(err, r, "reading the result");
    const struct json *b = newest_backup(info);
    int64_t began = json_int_at(b, "timestamp.start", 0), ended = json_int_at(b, "timestamp.stop", 0);
    if (!b || began + 1 < t->started_s)
        return error_set(err, ERRC_INTERNAL, "the repository does not show the new backup");
    str archive = json_str_at(b, "archive.stop");
    unsigned timeline = 0;
    (void)sscanf(arena_z(a, archive), "%8X", &timeline);
    *ret =
        JSON_OBJECT_OF(a, JSON_MEMBER("label", json_get(b, S("label"))), JSON_MEMBER("type", json_get(b, S("type"))),
                       JSON_MEMBER("sizeBytes", json_at(b, "info.size")),
                       JSON_MEMBER("repositorySizeBytes", json_at(b, "info.repository.delta")),
                       JSON_MEMBER("startLSN", json_at(b, "lsn.start")), JSON_MEMBER("stopLSN", json_at(b, "lsn.stop")),
                       JSON_MEMBER("timeline", timeline ? json_int(a, (int64_t)timeline) : NULL),
                       JSON_MEMBER("startedAt", json_int(a, began)), JSON_MEMBER("finishedAt", json_int(a, ended)),
                       JSON_MEMBER("duration", json_string(a, arena_printf(a, "%llds", (long long)(ended - began)))));
    return 0;
}

static void run_backup(void *self)
{
    struct task *t = self;
    struct agent *ag = t->ag;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct error err;
    const struct json *result = NULL;
    const char *stanza_args[] = { "stanza-create", NULL };
    const char *backup_args[] = { arena_printf(a, "--repo=%zu", t->repository).ptr,
                                  arena_printf(a, "--type=%s", t->type).ptr, "backup", NULL };
    int r = pgbackrest(t, a, stanza_args, STANZA_MS, NULL, &err);
    if (r == 0)
        r = pgbackrest(t, a, backup_args, BACKUP_MS, NULL, &err);
    if (r == 0)
        r = read_result(t, a, &result, &err);
    if (r != 0)
        log_error("backup failed", LOG_Z("id", t->id), LOG_ERROR(&err));
    say_task(t, r == 0 ? "succeeded" : "failed", r == 0 ? NULL : err.text, result);
    atomic_store(&ag->is_backup_running, false);
    mem_free(t);
}

/* From the API's words to pgBackRest's. */
static const char *type_of(str type)
{
    if (type.len == 0 || str_eq(type, S("full")))
        return "full";
    if (str_eq(type, S("differential")))
        return "diff";
    return str_eq(type, S("incremental")) ? "incr" : NULL;
}

static size_t repository_number(const struct agent_config *c, str name)
{
    for (size_t i = 0; i < json_count(c->repositories); i++)
        if (name.len == 0 || str_eq(json_str_at(json_item(c->repositories, i), "name"), name))
            return i + 1;
    return 0;
}

static struct task *task_new(struct agent *ag)
{
    struct task *t = mem_new_of(struct task);
    t->ag = ag;
    (void)snprintf(t->stanza, sizeof(t->stanza), "%.*s", STR_ARG(ag->config.cluster_name));
    return t;
}

int backup_begin(struct agent *ag, const struct json *body, struct error *err)
{
    str id = json_str_at(body, "id");
    const char *type = type_of(json_str_at(body, "type"));
    size_t repository = repository_number(&ag->config, json_str_at(body, "repository"));
    if (id.len == 0 || id.len >= sizeof(((struct task *)NULL)->id) || !type)
        return error_set(err, ERRC_INVALID, "id or type is wrong");
    if (repository == 0)
        return error_set(err, ERRC_CONFLICT, "there is no such repository");
    pthread_mutex_lock(&ag->lock);
    bool is_known = str_eq(json_str_at(ag->board.task, "id"), id);
    pthread_mutex_unlock(&ag->lock);
    if (is_known)
        return 0; /* asked again: the status tells how it stands */
    if (atomic_exchange(&ag->is_backup_running, true))
        return error_set(err, ERRC_CONFLICT, "another backup is running");
    struct task *t = task_new(ag);
    (void)snprintf(t->id, sizeof(t->id), "%.*s", STR_ARG(id));
    (void)snprintf(t->type, sizeof(t->type), "%s", type);
    t->repository = repository;
    t->started_s = clock_realtime_ns() / NS_PER_S;
    say_task(t, "running", NULL, NULL);
    if (pool_run(ag->tasks, run_backup, t))
        return 0;
    say_task(t, "failed", "too much is running", NULL);
    mem_free(t);
    atomic_store(&ag->is_backup_running, false);
    return error_set(err, ERRC_UNAVAILABLE, "too much is running");
}

/* The stanza must exist before WAL can be archived. */
static void run_stanza(void *self)
{
    struct task *t = self;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const char *args[] = { "stanza-create", NULL };
    struct error err;
    bool failed = pgbackrest(t, a, args, STANZA_MS, NULL, &err) != 0;
    if (failed)
        log_error("the repository cannot be prepared", LOG_ERROR(&err));
    atomic_store(&t->ag->stanza_ns, failed ? deadline_in_ms(STANZA_RETRY_MS) : 0);
    mem_free(t);
}

void backup_retry_repositories(struct agent *ag)
{
    int64_t at_ns = atomic_load(&ag->stanza_ns);
    if (at_ns == 0 || !deadline_has_passed(at_ns))
        return;
    atomic_store(&ag->stanza_ns, deadline_in_ms(STANZA_MS)); /* not again while this one runs */
    backup_prepare_repositories(ag);
}

void backup_prepare_repositories(struct agent *ag)
{
    if (json_count(ag->config.repositories) == 0)
        return;
    struct task *t = task_new(ag);
    if (pool_run(ag->tasks, run_stanza, t))
        return;
    log_warn("the repository is not prepared: busy");
    mem_free(t);
}

/* ---- what a stopped primary left ------------------------------------------------------------------------------ */

/* "000000010000000000000002.ready" and history files; 0: nothing (more) to push. Names are copied into the arena. */
static size_t find_ready(struct agent *ag, struct arena *a, str *ret, size_t max)
{
    DIR *dir = opendir(arena_printf(a, "%s/pg_wal/archive_status", ag->path.pgdata).ptr);
    size_t n = 0;
    if (!dir)
        return 0;
    for (struct dirent *e; n < max && (e = readdir(dir));) {
        str name = str_from(e->d_name);
        if (str_has_suffix(name, S(".ready")))
            ret[n++] = arena_str(a, str_first(name, name.len - strlen(".ready")));
    }
    (void)closedir(dir);
    return n;
}

static int push_one(struct task *t, struct arena *a, str segment, struct error *err)
{
    const char *wal = arena_printf(a, "%s/pg_wal/%.*s", t->ag->path.pgdata, STR_ARG(segment)).ptr;
    const char *args[] = { "archive-push", wal, NULL };
    int r = pgbackrest(t, a, args, PUSH_MS, NULL, err);
    if (r != 0)
        return r;
    str from = arena_printf(a, "%s/pg_wal/archive_status/%.*s.ready", t->ag->path.pgdata, STR_ARG(segment));
    str to = arena_printf(a, "%s/pg_wal/archive_status/%.*s.done", t->ag->path.pgdata, STR_ARG(segment));
    if (rename(from.ptr, to.ptr) != 0 && errno != ENOENT)
        return error_set_sys(err, errno, "marking %.*s as archived", STR_ARG(segment));
    return 0;
}

static void run_leftovers(void *self)
{
    struct task *t = self;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str names[LEFTOVERS_MAX];
    size_t count = find_ready(t->ag, a, names, ARRAY_LEN(names));
    struct error err;
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = push_one(t, a, names[i], &err);
    if (r != 0)
        log_warn("WAL of the former primary is not archived yet", LOG_ERROR(&err));
    else if (count > 0)
        log_info("WAL of the former primary is archived", LOG_INT("files", count));
    atomic_store(&t->ag->is_pushing, false);
    mem_free(t);
}

void backup_push_leftovers(struct agent *ag)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str one;
    if (json_count(ag->config.repositories) == 0 || atomic_load(&ag->is_pushing) || find_ready(ag, a, &one, 1) == 0)
        return;
    atomic_store(&ag->is_pushing, true);
    struct task *t = task_new(ag);
    if (pool_run(ag->tasks, run_leftovers, t))
        return;
    atomic_store(&ag->is_pushing, false);
    mem_free(t);
}
