/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups of a cluster: a PostgresBackup that waits is given to the primary's agent, its progress and result are
 * written into its status. One at a time; a backup whose agent went away has failed, and says so.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "internal.h"
#include "meta/names.h"
#include "meta/quantity.h"
#include "meta/rfc3339.h"

#define COMMAND_DEADLINE_MS 5000

static str backup_path(struct arena *a, const struct cluster_runtime *c, str name, str sub)
{
    return kube_path(a, S("postgres.example.io"), S("postgresbackups"), str_from(c->namespace_), name, sub);
}

static str first_repository(const struct cluster_view *v)
{
    return json_str_at(json_item(v->spec.repositories, 0), "name");
}

static bool has_repository(const struct cluster_view *v, str name)
{
    for (size_t i = 0; i < json_count(v->spec.repositories); i++)
        if (str_eq(json_str_at(json_item(v->spec.repositories, i), "name"), name))
            return true;
    return false;
}

static bool is_finished(const struct json *backup)
{
    str phase = json_str_at(backup, "status.phase");
    return str_eq(phase, S("Succeeded")) || str_eq(phase, S("Failed"));
}

static bool is_running(const struct json *backup)
{
    return str_eq(json_str_at(backup, "status.phase"), S("Running"));
}

static int write_status(struct cluster_runtime *c, struct arena *a, const struct json *backup,
                        const struct json *status, struct error *err)
{
    if (json_equal(json_get(backup, S("status")), status))
        return 0;
    int r =
        kube_merge_patch(c->manager->client, a, backup_path(a, c, json_str_at(backup, "metadata.name"), S("status")),
                         JSON_OBJECT_OF(a, JSON_MEMBER("status", status)), NULL, err);
    return r == ERRC_NOT_FOUND ? 0 : r;
}

static const struct json *now_json(struct arena *a)
{
    return json_string(a, rfc3339_seconds(a, clock_realtime_ns()));
}

static int fail(struct cluster_runtime *c, struct arena *a, const struct json *backup, str why, struct error *err)
{
    const struct json *status = json_get(backup, S("status"));
    status = json_with(a, status ? status : &json_empty_object, S("phase"), json_string(a, S("Failed")));
    status = json_with(a, status, S("error"), json_string(a, why));
    status = json_with(a, status, S("finishedAt"), now_json(a));
    events_emit(c->manager->events, backup, true, "BackupFailed", "%.*s", STR_ARG(why));
    log_warn("backup failed", LOG_Z("cluster", c->key), LOG_STR("backup", json_str_at(backup, "metadata.name")),
             LOG_STR("why", why));
    return write_status(c, a, backup, status, err);
}

/* Remembers from which status on the agent is bound to tell of the backup that it has accepted. */
static void note_accepted(struct instance_runtime *in, const struct json *answer)
{
    (void)snprintf(in->backup_incarnation, sizeof(in->backup_incarnation), "%.*s",
                   STR_ARG(json_str_at(answer, "incarnation")));
    in->backup_nonce = json_int_at(answer, "nonce", 0);
}

/* The newest status may have been written before the agent accepted: status and answer come on different streams. */
static bool is_from_before(const struct instance_runtime *in, const struct agent_status *s)
{
    return str_eq_z(s->incarnation, in->backup_incarnation) && s->nonce <= in->backup_nonce;
}

static int start(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v, const struct json *backup,
                 struct error *err)
{
    const struct instance_view *primary = view_primary(v);
    str repository = json_str_at(backup, "spec.repository");
    if (repository.len == 0)
        repository = first_repository(v);
    if (!has_repository(v, repository))
        return fail(c, a, backup,
                    repository.len ? arena_printf(a, "the cluster has no repository \"%.*s\"", STR_ARG(repository))
                                   : S("the cluster has no repository: add one to spec.backup.repositories"),
                    err);
    if (!primary || !view_is_serving_primary(v, primary))
        return 0; /* the pass that sees a primary comes back here */
    const struct json *body = JSON_OBJECT_OF(
        a, JSON_MEMBER("protocol", json_int(a, AGENT_PROTOCOL)), JSON_MEMBER("term", json_int(a, v->record.term)),
        JSON_MEMBER("id", json_at(backup, "metadata.uid")), JSON_MEMBER("type", json_at(backup, "spec.type")),
        JSON_MEMBER("repository", json_string(a, repository)));
    struct instance_runtime *in = runtime__instance(c, primary->in->name);
    const struct json *answer;
    struct error why;
    int r = link_command(in->link, a, "/v1/backup", body, deadline_in_ms(COMMAND_DEADLINE_MS), &answer, &why);
    /* Whether it has begun is not known, or it could not yet: asked again by the next pass, the agent knows its id. */
    if (r == ERRC_TIMEOUT || r == ERRC_UNAVAILABLE)
        return error_set(err, (enum err)r, "%s", why.text);
    if (r < 0)
        return fail(c, a, backup, str_from(why.text), err);
    note_accepted(in, answer);
    const struct json *status = JSON_OBJECT_OF(a, JSON_MEMBER("phase", json_string(a, S("Running"))),
                                               JSON_MEMBER("instance", json_string(a, primary->in->name)),
                                               JSON_MEMBER("startedAt", now_json(a)));
    events_emit(c->manager->events, backup, false, "BackupStarted", "taken from %.*s", STR_ARG(primary->in->name));
    return write_status(c, a, backup, status, err);
}

static str duration_since(struct arena *a, str started)
{
    int64_t then;
    if (!rfc3339_parse(started, &then))
        return S("");
    int64_t ms = (clock_realtime_ns() - then) / NS_PER_MS;
    return ms < 120000 ? arena_printf(a, "%lld.%llds", (long long)(ms / 1000), (long long)(ms % 1000 / 100))
                       : rfc3339_age(a, ms * NS_PER_MS);
}

static int succeed(struct cluster_runtime *c, struct arena *a, const struct json *backup, const struct json *result,
                   struct error *err)
{
    static const char *const copied[] = {
        "label", "sizeBytes", "repositorySizeBytes", "startLSN", "stopLSN", "timeline"
    };
    const struct json *status = json_get(backup, S("status"));
    for (size_t i = 0; i < ARRAY_LEN(copied); i++)
        status = json_with(a, status, str_from(copied[i]), json_get(result, str_from(copied[i])));
    status = json_with(a, status, S("phase"), json_string(a, S("Succeeded")));
    status =
        json_with(a, status, S("size"), json_string(a, quantity_for_people(a, json_int_at(result, "sizeBytes", 0))));
    status = json_with(a, status, S("progress"), &json_null_value);
    status = json_with(a, status, S("finishedAt"), now_json(a));
    str took = json_str_at(result, "duration");
    if (took.len == 0)
        took = duration_since(a, json_str_at(backup, "status.startedAt"));
    status = json_with(a, status, S("duration"), json_string(a, took));
    /* First: once the backup is finished nobody comes back to it, and who sees its end looks here. */
    const struct json *last = JSON_OBJECT_OF(a, JSON_MEMBER("name", json_at(backup, "metadata.name")),
                                             JSON_MEMBER("finishedAt", json_get(status, S("finishedAt"))),
                                             JSON_MEMBER("label", json_get(result, S("label"))));
    const struct json *patch =
        JSON_OBJECT_OF(a, JSON_MEMBER("status", JSON_OBJECT_OF(a, JSON_MEMBER("lastBackup", last))));
    int r = kube_merge_patch(c->manager->client, a, path__cluster(a, c, S("status")), patch, NULL, err);
    if (r == 0)
        r = write_status(c, a, backup, status, err);
    if (r == 0)
        events_emit(c->manager->events, backup, false, "BackupSucceeded", "%.*s in %.*s",
                    STR_ARG(json_str_at(result, "label")), STR_ARG(took));
    return r;
}

static int follow(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v, const struct json *backup,
                  struct error *err)
{
    const struct instance_view *i = view_instance(v, json_str_at(backup, "status.instance"));
    if (!i)
        return fail(c, a, backup, S("the instance that took it was removed"), err);
    if (!i->link.is_connected && i->platform != PLATFORM_LIVE)
        return fail(c, a, backup, S("the instance that took it died before it finished"), err);
    if (!i->link.is_connected || !i->link.has_status)
        return 0; /* its agent comes back with an answer, or without the task */
    const struct json *task = i->link.status.task;
    bool is_told = str_eq(json_str_at(task, "id"), json_str_at(backup, "metadata.uid"));
    if (!is_told && is_from_before(runtime__instance(c, i->in->name), &i->link.status))
        return 0; /* its next status tells */
    if (!is_told)
        return fail(c, a, backup, S("the agent that took it was restarted before it finished"), err);
    str state = json_str_at(task, "state");
    if (str_eq(state, S("succeeded")))
        return succeed(c, a, backup, json_get(task, S("result")), err);
    if (str_eq(state, S("failed")))
        return fail(c, a, backup, text_one_line(a, json_str_at(task, "error")), err);
    str progress = json_str_at(task, "progress");
    const struct json *status =
        json_with(a, json_get(backup, S("status")), S("progress"), progress.len ? json_string(a, progress) : NULL);
    return write_status(c, a, backup, status, err);
}

/* The informer may lag behind what this very controller wrote: a backup is not begun or ended twice. *ret NULL: gone.
 */
static int read_backup(struct cluster_runtime *c, struct arena *a, const struct json *known, const struct json **ret,
                       struct error *err)
{
    int r = kube_get(c->manager->client, a, backup_path(a, c, json_str_at(known, "metadata.name"), S("")), ret, err);
    if (r == ERRC_NOT_FOUND) {
        *ret = NULL;
        return 0;
    }
    return r;
}

int backups__work(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v, struct error *err)
{
    const struct json **list;
    size_t count = informer_list(c->manager->backups, a, str_from(c->namespace_), &list);
    const struct json *waiting = NULL;
    bool busy = false;
    for (size_t i = 0; i < count; i++) {
        const struct json *b;
        if (!str_eq_z(json_str_at(list[i], "spec.cluster"), c->name) || is_finished(list[i]))
            continue;
        int r = read_backup(c, a, list[i], &b, err);
        if (r < 0)
            return r;
        if (!b || is_finished(b))
            continue;
        if (is_running(b)) {
            busy = true;
            r = follow(c, a, v, b, err);
            if (r < 0)
                return r;
        } else if (!waiting || str_cmp(json_str_at(b, "metadata.creationTimestamp"),
                                       json_str_at(waiting, "metadata.creationTimestamp")) < 0) {
            waiting = b;
        }
    }
    return waiting && !busy ? start(c, a, v, waiting, err) : 0;
}

/* Asks the store: the informer may not know yet what was asked for a moment ago. */
static int find_unfinished(struct cluster_runtime *c, struct arena *a, str *ret_name, struct error *err)
{
    const struct kube_request req = { .method = "GET",
                                      .path = backup_path(a, c, S(""), S("")),
                                      .deadline_ns = deadline_in_ms(COMMAND_DEADLINE_MS) };
    struct kube_response res;
    int r = kube_call(c->manager->client, a, &req, &res, err);
    if (r < 0)
        return error_wrap(err, r, "listing backups");
    const struct json *items = json_get(res.body, S("items"));
    *ret_name = S("");
    for (size_t i = 0; i < json_count(items); i++)
        if (str_eq_z(json_str_at(json_item(items, i), "spec.cluster"), c->name) && !is_finished(json_item(items, i)))
            *ret_name = json_str_at(json_item(items, i), "metadata.name");
    return 0;
}

/* Empty: POST …/backup may begin one now. */
static str why_no_backup(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v, str repository,
                         str unfinished)
{
    if (!c->manager->runs_backups)
        return S("the backup controller does not run on this server (--controllers)");
    if (repository.len == 0)
        return S("the cluster has no repository: add one to spec.backup.repositories");
    if (!has_repository(v, repository))
        return arena_printf(a, "the cluster has no repository \"%.*s\"", STR_ARG(repository));
    if (v->is_changing)
        return S("a change of primary is under way: wait until it is done");
    if (unfinished.len)
        return arena_printf(a, "a backup of this cluster is running (\"%.*s\"): wait until it is done",
                            STR_ARG(unfinished));
    return S("");
}

void backups__request(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v,
                      struct pending_action *p)
{
    str repository = json_str_at(p->body, "repository");
    if (repository.len == 0)
        repository = first_repository(v);
    str unfinished = S("");
    struct error err;
    if (find_unfinished(c, a, &unfinished, &err) < 0) {
        actions__refuse(c, p, STATUS_SERVICE_UNAVAILABLE, str_from(err.text));
        return;
    }
    str why = why_no_backup(c, a, v, repository, unfinished);
    if (why.len) {
        actions__refuse(c, p, STATUS_CONFLICT, why);
        return;
    }
    str type = json_str_at(p->body, "type");
    const struct json *object = JSON_OBJECT_OF(
        a, JSON_MEMBER("apiVersion", json_string(a, S("postgres.example.io/v1"))),
        JSON_MEMBER("kind", json_string(a, S("PostgresBackup"))),
        JSON_MEMBER(
            "metadata",
            JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, names_generate(a, arena_printf(a, "%s-", c->name)))),
                           JSON_MEMBER("namespace", json_string(a, str_from(c->namespace_))),
                           JSON_MEMBER("labels", JSON_OBJECT_OF(a, JSON_MEMBER("postgres.example.io/cluster",
                                                                               json_string(a, str_from(c->name))))))),
        JSON_MEMBER("spec", JSON_OBJECT_OF(a, JSON_MEMBER("cluster", json_string(a, str_from(c->name))),
                                           JSON_MEMBER("type", json_string(a, type.len ? type : S("full"))),
                                           JSON_MEMBER("repository", json_string(a, repository)))));
    if (p->is_dry_run) {
        actions__answer(c, p, 201, object);
        return;
    }
    const struct json *created;
    if (kube_create(c->manager->client, a, backup_path(a, c, S(""), S("")), object, &created, &err) < 0) {
        actions__refuse(c, p, STATUS_SERVICE_UNAVAILABLE, str_from(err.text));
        return;
    }
    actions__answer(c, p, 201, created);
}
