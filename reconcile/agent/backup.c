/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs beside the worker on the primary: checkpoints in the background, backups as children of ours, with their
 * progress, and their result as `pgbackrest info` tells it.
 */
#include <stdio.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pgbackrest.h"
#include "json/json_parse.h"

#define CHECKPOINT_MS 600000
#define STANZA_MS 120000
#define INFO_MS 60000
#define REPOSITORY_FULL_BYTES (INT64_C(1) << 20)
#define BACKUP_MS (INT64_C(3) * 24 * 3600 * 1000)

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
    int percent;
    char path[1024]; /* of the repository */
};

static void say_task(struct task *t, const char *state, const char *error_text, const struct json *result)
{
    struct agent *ag = t->ag;
    struct arena *a = arena_new();
    const struct json *v = JSON_OBJECT_OF(
        a, JSON_MEMBER("id", json_string(a, arena_str(a, str_from(t->id)))),
        JSON_MEMBER("kind", json_string(a, S("backup"))), JSON_MEMBER("state", json_string(a, str_from(state))),
        JSON_MEMBER("progress", t->percent > 0 && !result && !error_text
                                    ? json_string(a, arena_printf(a, "%d %%", t->percent))
                                    : NULL),
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

/* "… backup file …/base/5/1255 (768KB, 41.07%) checksum …": the number, or -1. */
int backup_percent(str line)
{
    ptrdiff_t end = str_find(line, S("%) ")), from;
    str head = end >= 0 ? str_first(line, (size_t)end) : S("");
    int64_t percent;
    if (str_find(line, S(" backup file ")) < 0 || (from = str_rindex(head, ' ')) < 0)
        return -1;
    str number = str_from_offset(head, (size_t)from + 1), fraction;
    (void)str_cut(number, '.', &number, &fraction);
    return str_to_i64(number, &percent) && percent >= 0 && percent <= 100 ? (int)percent : -1;
}

static void on_line(void *self, str line)
{
    struct task *t = self;
    int percent = backup_percent(line);
    if (percent <= t->percent)
        return;
    t->percent = percent;
    say_task(t, "running", NULL, NULL);
}

static int pgbackrest(struct task *t, struct arena *a, const char *const *args, int64_t ms, str *ret_out,
                      struct error *err)
{
    const struct backrest_call call = {
        .ag = t->ag, .stanza = t->stanza, .args = args, .ms = ms, .on_line = on_line, .self = t
    };
    return backrest_run(a, &call, ret_out, err);
}

static const struct json *newest_backup(const struct json *info)
{
    const struct json *list = json_at(json_item(info, 0), "backup");
    return json_item(list, json_count(list) - 1);
}

/* What `info --output=json` says of the newest backup of that repository; NULL when there is none. */
static int read_newest(struct task *t, struct arena *a, const struct json **ret, struct error *err)
{
    const char *args[] = { arena_printf(a, "--repo=%zu", t->repository).ptr, "--output=json", "info", NULL };
    str out;
    const struct json *info = NULL;
    int r = pgbackrest(t, a, args, INFO_MS, &out, err);
    if (r == 0)
        r = json_parse(a, out, NULL, &info, err);
    if (r != 0)
        return error_wrap(err, r, "reading what the repository has");
    *ret = newest_backup(info);
    return 0;
}

/* The clock may be set meanwhile, so a backup is known as new by its label. */
static int read_result(struct task *t, struct arena *a, str old_label, const struct json **ret, struct error *err)
{
    const struct json *b;
    int r = read_newest(t, a, &b, err);
    if (r != 0)
        return r;
    if (!b || str_eq(json_str_at(b, "label"), old_label))
        return error_set(err, ERRC_INTERNAL, "the repository does not show the new backup");
    int64_t began = json_int_at(b, "timestamp.start", 0), ended = json_int_at(b, "timestamp.stop", 0);
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

/* pgBackRest says so only when a write fails whole, not when it is cut short. */
static bool is_full(const char *path)
{
    struct statvfs v;
    return statvfs(path, &v) == 0 && (int64_t)v.f_bavail * (int64_t)v.f_frsize < REPOSITORY_FULL_BYTES;
}

static void run_backup(void *self)
{
    struct task *t = self;
    struct agent *ag = t->ag;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct error err;
    const struct json *result = NULL, *before = NULL;
    const char *stanza_args[] = { "stanza-create", NULL };
    const char *backup_args[] = { arena_printf(a, "--repo=%zu", t->repository).ptr,
                                  arena_printf(a, "--type=%s", t->type).ptr,
                                  "--log-level-stderr=detail", /* a line for each file, with the progress */
                                  "backup", NULL };
    pthread_mutex_lock(&ag->pgbackrest_lock); /* at most a stanza is being made */
    int r = pgbackrest(t, a, stanza_args, STANZA_MS, NULL, &err);
    if (r == 0)
        r = read_newest(t, a, &before, &err);
    if (r == 0)
        r = pgbackrest(t, a, backup_args, BACKUP_MS, NULL, &err);
    pthread_mutex_unlock(&ag->pgbackrest_lock);
    if (r == 0)
        r = read_result(t, a, json_str_at(before, "label"), &result, &err);
    if (r != 0 && is_full(t->path))
        r = error_wrap(&err, r, "the file system of the repository is full");
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
    backrest_stanza(ag, t->stanza, sizeof(t->stanza));
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
    (void)snprintf(t->path, sizeof(t->path), "%.*s",
                   STR_ARG(json_str_at(json_item(ag->config.repositories, repository - 1), "path")));
    say_task(t, "running", NULL, NULL);
    if (pool_run(ag->tasks, run_backup, t))
        return 0;
    say_task(t, "failed", "too much is running", NULL);
    mem_free(t);
    atomic_store(&ag->is_backup_running, false);
    return error_set(err, ERRC_UNAVAILABLE, "too much is running");
}
