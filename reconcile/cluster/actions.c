/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST …/switchover, /failover, /restart, /backup: the API hands them over, the worker that has the cluster's key
 * admits them against the newest view, and answers when they are done or refused. One change of primary at a time.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "internal.h"

#define ACTION_DEADLINE_MS 30000

static void answer(struct pending_action *p, int code, const struct json *body)
{
    p->done(p->done_self, code, body, NULL);
}

static void refuse(struct pending_action *p, enum status_reason reason, const struct cluster_runtime *c,
                   const char *why)
{
    struct status *s;
    if (reason == STATUS_CONFLICT)
        s = status_conflict(p->arena, S("postgres.example.io"), S("postgresclusters"), str_from(c->name),
                            str_from(why));
    else
        s = status_new(p->arena, reason, "%s", why);
    p->done(p->done_self, 0, NULL, s);
}

void actions__submit(void *self, const struct action_request *request, action_done_fn done, void *done_self)
{
    struct manager *m = self;
    struct arena *a = arena_new();
    struct pending_action *p = arena_new_of(a, struct pending_action);
    *p = (struct pending_action) { .arena = a,
                                   .action = arena_str(a, request->action),
                                   .user = arena_str(a, request->user),
                                   .body = json_copy(a, request->body),
                                   .is_dry_run = request->dry_run,
                                   .deadline_ns = deadline_in_ms(ACTION_DEADLINE_MS),
                                   .done = done,
                                   .done_self = done_self };
    str key = arena_printf(a, "%.*s/%.*s", STR_ARG(request->namespace_), STR_ARG(request->name));
    pthread_mutex_lock(&m->lock);
    struct cluster_runtime *c = m->is_stopping || !m->runs_clusters ? NULL : map_get(m->runtimes, key);
    if (c) {
        pthread_mutex_lock(&c->lock);
        struct pending_action **end = &c->pending;
        while (*end)
            end = &(*end)->next;
        *end = p;
        pthread_mutex_unlock(&c->lock);
        workqueue_add(m->queue, key);
    }
    pthread_mutex_unlock(&m->lock);
    if (c)
        return;
    struct status *s =
        status_new(a, STATUS_SERVICE_UNAVAILABLE,
                   m->runs_clusters ? "the cluster is not being reconciled yet: try again in a moment"
                                    : "the cluster controller does not run on this server (--controllers)");
    if (m->runs_clusters)
        s->retry_after_seconds = 1;
    done(done_self, 0, NULL, s);
    arena_free(a);
}

void actions__refuse_all(struct cluster_runtime *c, const char *why)
{
    pthread_mutex_lock(&c->lock);
    struct pending_action *p = TAKE(c->pending);
    pthread_mutex_unlock(&c->lock);
    while (p) {
        struct pending_action *next = p->next;
        refuse(p, STATUS_SERVICE_UNAVAILABLE, c, why);
        arena_free(p->arena);
        p = next;
    }
}

static const struct json *result_of(struct arena *a, str from, str to, int64_t term, int64_t lost, str message)
{
    return JSON_OBJECT_OF(a, JSON_MEMBER("from", json_string(a, from)), JSON_MEMBER("to", json_string(a, to)),
                          JSON_MEMBER("term", json_int(a, term)), JSON_MEMBER("lostBytesBound", json_int(a, lost)),
                          JSON_MEMBER("message", json_string(a, message)));
}

/* A change that an action began: answered when the new primary takes writes. */
static bool finish_change(const struct cluster_view *v, struct pending_action *p, const struct cluster_runtime *c)
{
    const struct record *r = &v->record;
    const struct instance_view *primary = view_primary(v);
    if (r->last_term >= p->term && primary && view_is_serving_primary(v, primary)) {
        struct arena *a = p->arena;
        str message = r->last_lost_bytes
                          ? arena_printf(a,
                                         "%.*s is primary; at most %lld bytes of write-ahead log that %.*s had "
                                         "reported are missing",
                                         STR_ARG(r->last_to), (long long)r->last_lost_bytes, STR_ARG(r->last_from))
                          : arena_printf(a, "%.*s is primary; nothing was lost", STR_ARG(r->last_to));
        answer(p, 200, result_of(a, r->last_from, r->last_to, r->last_term, r->last_lost_bytes, message));
        return true;
    }
    if (!deadline_has_passed(p->deadline_ns))
        return false;
    refuse(p, STATUS_TIMEOUT, c,
           "the change of primary is not finished yet; it goes on: see the status and events of the cluster");
    return true;
}

/* True when it was answered. */
static bool begin_change(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct pending_action *p)
{
    const struct change_wish wish = { .is_switchover = str_eq(p->action, S("switchover")),
                                      .is_forced = json_bool_at(p->body, "force", false),
                                      .target = json_str_at(p->body, "target"),
                                      .reason = json_str_at(p->body, "reason") };
    struct step step;
    struct error err;
    int r = plan_admit_change(a, v, &wish, &step, &err);
    if (r < 0) {
        refuse(p, STATUS_CONFLICT, c, err.text);
        return true;
    }
    if (p->is_dry_run) {
        answer(p, 200,
               result_of(a, v->record.primary, step.instance, v->record.term + 1, 0, S("dry run: this would be done")));
        return true;
    }
    log_info("change of primary asked for", LOG_Z("cluster", c->key), LOG_STR("action", p->action),
             LOG_STR("user", p->user));
    p->has_begun = true;
    p->term = v->record.term + (v->record.primary.len ? 1 : 0);
    r = change__begin(c, a, v, &step, &err);
    if (r < 0) /* the record may say that it is under way: the next passes go on, the answer waits */
        log_warn("change of primary is delayed", LOG_Z("cluster", c->key), LOG_ERROR(&err));
    workqueue_add_after(c->manager->queue, str_from(c->key), r < 0 ? 100 : 0);
    return false;
}

static bool request_restart(struct cluster_runtime *c, struct arena *a, struct cluster_view *v,
                            struct pending_action *p)
{
    str only = json_str_at(p->body, "instance");
    struct error err;
    if (!v->has_record || !v->record.is_initialized) {
        refuse(p, STATUS_CONFLICT, c, "the cluster is still being created");
        return true;
    }
    if (only.len && !record_instance_of(&v->record, only)) {
        refuse(p, STATUS_CONFLICT, c, arena_printf(a, "there is no instance \"%.*s\"", STR_ARG(only)).ptr);
        return true;
    }
    if (v->spec.is_paused) {
        refuse(p, STATUS_CONFLICT, c, "the cluster is paused: set spec.paused to false first");
        return true;
    }
    struct json_builder order; /* standbys, then the primary */
    json_builder_init(&order, a);
    for (int round = 0; round < 2; round++)
        for (size_t k = 0; k < v->record.instance_count; k++) {
            str name = v->record.instances[k].name;
            if (str_eq(name, v->record.primary) == (round == 1) && (only.len == 0 || str_eq(only, name)))
                json_builder_add(&order, S(""), json_string(a, name));
        }
    if (!p->is_dry_run) {
        char id[37];
        rand_uuid(id);
        v->record.restart_id = arena_str(a, str_from(id));
        v->record.restart_instance = only;
        if (record__save(c->manager, a, &v->record, &err) < 0) {
            refuse(p, STATUS_SERVICE_UNAVAILABLE, c, err.text);
            return true;
        }
        workqueue_add(c->manager->queue, str_from(c->key));
    }
    answer(p, 200,
           JSON_OBJECT_OF(
               a, JSON_MEMBER("instances", json_builder_array(&order)),
               JSON_MEMBER("message", json_string(a, p->is_dry_run ? S("dry run: these would restart, one at a time")
                                                                   : S("restarting, one at a time")))));
    return true;
}

/* True when p was answered. */
static bool work_on(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct pending_action *p)
{
    if (p->has_begun)
        return finish_change(v, p, c);
    if (str_eq(p->action, S("restart")))
        return request_restart(c, a, v, p);
    if (str_eq(p->action, S("backup"))) {
        backups__request(c, a, v, p);
        return true;
    }
    return begin_change(c, a, v, p);
}

void actions__work(struct cluster_runtime *c, struct arena *a, struct cluster_view *v)
{
    pthread_mutex_lock(&c->lock);
    struct pending_action *list = TAKE(c->pending);
    pthread_mutex_unlock(&c->lock);
    struct pending_action *keep = NULL, **keep_end = &keep;
    while (list) {
        struct pending_action *p = list;
        list = p->next;
        p->next = NULL;
        if (work_on(c, a, v, p)) {
            arena_free(p->arena);
        } else {
            *keep_end = p;
            keep_end = &p->next;
            workqueue_add_after(c->manager->queue, str_from(c->key), deadline_left_ms(p->deadline_ns) + 1);
        }
    }
    pthread_mutex_lock(&c->lock);
    *keep_end = c->pending; /* what came meanwhile stands behind */
    c->pending = keep;
    pthread_mutex_unlock(&c->lock);
}
