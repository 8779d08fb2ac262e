/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST …/switchover, /failover, /restart, /backup: the API hands them over, the worker that has the cluster's key
 * admits them against the newest view, and answers when they are done or refused. One change of primary at a time. The
 * publisher's thread answers what takes too long, so that no answer depends on what a worker is waiting for.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "internal.h"

#define ACTION_DEADLINE_MS 30000

enum outcome {
    OUTCOME_ANSWERED,
    OUTCOME_WAITS,
    OUTCOME_TRIED, /* the record was or may have been changed: what follows is for a pass that sees it */
};

/* True for whoever answers it: the worker, or the clock. */
static bool claim(struct cluster_runtime *c, struct pending_action *p)
{
    pthread_mutex_lock(&c->lock);
    bool is_first = !p->is_answered;
    p->is_answered = true;
    c->changes -= is_first && p->is_change;
    pthread_mutex_unlock(&c->lock);
    return is_first;
}

static bool is_answered(struct cluster_runtime *c, const struct pending_action *p)
{
    pthread_mutex_lock(&c->lock);
    bool result = p->is_answered;
    pthread_mutex_unlock(&c->lock);
    return result;
}

/* Whoever answers for the clock must not say that nothing was changed once this is set. False: it was answered. */
static bool set_begun(struct cluster_runtime *c, struct pending_action *p, bool has_begun)
{
    pthread_mutex_lock(&c->lock);
    bool is_open = !p->is_answered;
    p->has_begun = has_begun;
    pthread_mutex_unlock(&c->lock);
    return is_open;
}

/* It was answered. */
static void action_free(struct cluster_runtime *c, struct pending_action *p)
{
    pthread_mutex_lock(&c->lock);
    list_remove(&p->in_all);
    pthread_mutex_unlock(&c->lock);
    arena_free(p->arena);
}

void actions__answer(struct cluster_runtime *c, struct pending_action *p, int code, const struct json *body)
{
    if (claim(c, p))
        p->done(p->done_self, code, body, NULL);
}

static struct status *refusal_of(struct arena *a, enum status_reason reason, str cluster, str why)
{
    return reason == STATUS_CONFLICT ? status_conflict(a, S("postgres.example.io"), S("postgresclusters"), cluster, why)
                                     : status_new(a, reason, "%.*s", STR_ARG(why));
}

void actions__refuse(struct cluster_runtime *c, struct pending_action *p, enum status_reason reason, str why)
{
    if (claim(c, p))
        p->done(p->done_self, 0, NULL, refusal_of(p->arena, reason, str_from(c->name), why));
}

void actions__note_change(struct cluster_runtime *c, const struct record *r, bool is_changing)
{
    pthread_mutex_lock(&c->lock);
    c->term = r->term;
    c->changing[0] = '\0';
    if (is_changing)
        (void)snprintf(c->changing, sizeof(c->changing),
                       "a change of primary is under way (term %lld: %.*s): wait until it is done", (long long)r->term,
                       STR_ARG(str_first(r->primary.len ? r->last_reason : r->reason, 120)));
    pthread_mutex_unlock(&c->lock);
}

/* With c->lock held. Not NULL: refused at once, since something else is being worked on. */
static const char *enqueue(struct cluster_runtime *c, struct pending_action *p)
{
    bool is_forced = json_bool_at(p->body, "force", false);
    if (!is_forced && c->changing[0])
        return arena_str(p->arena, str_from(c->changing)).ptr;
    if (p->is_change && c->changes > 0 && !is_forced)
        return "a change of primary is under way: wait until it is done";
    c->changes += p->is_change;
    p->asked_term = c->term;
    list_add_tail(&c->actions, &p->in_all);
    struct pending_action **end = &c->pending;
    while (*end)
        end = &(*end)->next;
    *end = p;
    return NULL;
}

static struct pending_action *action_new(const struct action_request *request, action_done_fn done, void *done_self)
{
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
    p->is_change = !p->is_dry_run && (str_eq(p->action, S("switchover")) || str_eq(p->action, S("failover")));
    return p;
}

void actions__submit(void *self, const struct action_request *request, action_done_fn done, void *done_self)
{
    struct manager *m = self;
    struct pending_action *p = action_new(request, done, done_self);
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str key = arena_printf(a, "%.*s/%.*s", STR_ARG(request->namespace_), STR_ARG(request->name));
    const char *why = NULL;
    pthread_mutex_lock(&m->lock);
    struct cluster_runtime *c = m->is_stopping || !m->runs_clusters ? NULL : map_get(m->runtimes, key);
    if (c) {
        pthread_mutex_lock(&c->lock);
        why = enqueue(c, p);
        pthread_mutex_unlock(&c->lock);
    }
    bool is_taken = c && !why; /* then p is the worker's by now */
    if (is_taken) {            /* under the lock: the queues live as long as the manager is not stopping */
        workqueue_add(m->queue, key);
        workqueue_add_after(m->publish, key, ACTION_DEADLINE_MS + 1);
    }
    pthread_mutex_unlock(&m->lock);
    if (is_taken)
        return;
    struct status *s;
    if (why) {
        s = refusal_of(p->arena, STATUS_CONFLICT, request->name, str_from(why));
    } else {
        s = status_new(p->arena, STATUS_SERVICE_UNAVAILABLE,
                       m->runs_clusters ? "the cluster is not being reconciled yet: try again in a moment"
                                        : "the cluster controller does not run on this server (--controllers)");
        s->retry_after_seconds = m->runs_clusters ? 1 : 0; /* no controller: waiting does not help */
    }
    done(done_self, 0, NULL, s);
    arena_free(p->arena);
}

void actions__refuse_all(struct cluster_runtime *c, const char *why)
{
    pthread_mutex_lock(&c->lock);
    struct pending_action *p = TAKE(c->pending);
    pthread_mutex_unlock(&c->lock);
    while (p) {
        struct pending_action *next = p->next;
        actions__refuse(c, p, STATUS_SERVICE_UNAVAILABLE, str_from(why));
        action_free(c, p);
        p = next;
    }
}

/* ---- the clock ----------------------------------------------------------------------------------------------- */

struct overdue {
    action_done_fn done;
    void *self;
    bool has_begun;
};

/* Claims one that is overdue, as claim() does. *next_ms: when the next one will be. */
static bool find_overdue(struct manager *m, str key, struct overdue *ret, int64_t *next_ms)
{
    bool found = false;
    *next_ms = 0;
    pthread_mutex_lock(&m->lock);
    struct cluster_runtime *c = map_get(m->runtimes, key);
    if (!c) {
        pthread_mutex_unlock(&m->lock);
        return false;
    }
    pthread_mutex_lock(&c->lock);
    pthread_mutex_unlock(&m->lock);
    LIST_FOREACH (&c->actions, it) {
        struct pending_action *p = LIST_ENTRY(it, struct pending_action, in_all);
        int64_t left_ms = deadline_left_ms(p->deadline_ns);
        if (p->is_answered)
            continue;
        if (left_ms == 0 && !found) {
            found = true;
            p->is_answered = true;
            c->changes -= p->is_change;
            *ret = (struct overdue) { p->done, p->done_self, p->has_begun };
        } else if (*next_ms == 0 || left_ms < *next_ms) {
            *next_ms = left_ms + 1;
        }
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

void actions__expire(struct manager *m, str key)
{
    struct overdue o;
    int64_t next_ms;
    while (find_overdue(m, key, &o, &next_ms)) {
        CLEANUP(arena_freep) struct arena *a = arena_new();
        o.done(o.self, 0, NULL,
               status_new(a, STATUS_TIMEOUT,
                          o.has_begun ? "the change of primary is not finished yet; it goes on: see the status and "
                                        "events of the cluster"
                                      : "it could not begin in time, and nothing was changed: see the status of the "
                                        "cluster"));
    }
    if (next_ms)
        workqueue_add_after(m->publish, key, next_ms);
}

/* ---- what the worker does ------------------------------------------------------------------------------------ */

static const struct json *result_of(struct arena *a, str from, str to, int64_t term, const struct json *lost,
                                    str message)
{
    return JSON_OBJECT_OF(a, JSON_MEMBER("from", json_string(a, from)), JSON_MEMBER("to", json_string(a, to)),
                          JSON_MEMBER("term", json_int(a, term)), JSON_MEMBER("lostBytesBound", lost),
                          JSON_MEMBER("message", json_string(a, message)));
}

/* Who was told of a change finds it in the status, however soon he looks. */
static bool is_shown(const struct cluster_view *v)
{
    return json_int_at(v->object, "status.term", 0) == v->record.term &&
           json_int_at(v->object, "status.lastFailover.term", 0) == v->record.last_term &&
           str_eq(json_str_at(v->object, "status.currentPrimary"), v->record.primary);
}

/* A change that an action began: answered when the new primary takes writes and the status says so. */
static bool finish_change(const struct cluster_view *v, struct pending_action *p, struct cluster_runtime *c)
{
    const struct record *r = &v->record;
    const struct instance_view *primary = view_primary(v);
    struct arena *a = p->arena;
    if (r->last_term < p->tried_term || !primary || !view_is_serving_primary(v, primary))
        return false;
    if (str_eq(r->last_from, r->last_to)) { /* rule 46 */
        str target = json_str_at(p->body, "target");
        str why = arena_printf(
            a, "%.*s had everything that %.*s had written, so %.*s stays primary (term %lld)",
            STR_ARG(target.len ? arena_printf(a, "\"%.*s\" was not seen to", STR_ARG(target)) : S("no standby")),
            STR_ARG(r->last_from), STR_ARG(r->last_from), (long long)r->last_term);
        actions__refuse(c, p, STATUS_CONFLICT, why);
        return true;
    }
    if (!is_shown(v))
        return false; /* status__write brings the next pass */
    str message = arena_printf(a, "%.*s is primary; %.*s", STR_ARG(r->last_to), STR_ARG(record_loss_text(a, r)));
    actions__answer(c, p, 200, result_of(a, r->last_from, r->last_to, r->last_term, record_loss_json(a, r), message));
    return true;
}

/* Writes the change into the record and begins to carry it out. */
static void try_change(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct pending_action *p,
                       const struct step *step)
{
    log_info("change of primary asked for", LOG_Z("cluster", c->key), LOG_STR("action", p->action),
             LOG_STR("user", p->user));
    p->tried_term = v->record.term + (v->record.primary.len ? 1 : 0);
    str version = v->record.resource_version;
    struct error err;
    if (!set_begun(c, p, true))
        return; /* the clock was faster, and said that nothing was changed */
    int r = change__begin(c, a, v, step, &err);
    /* Else it is admitted again; or seen as begun, should the write have come through without an answer. */
    (void)set_begun(c, p, !str_eq(version, v->record.resource_version));
    if (r < 0) /* the record may say that it is under way: the next passes go on, the answer waits */
        log_warn("change of primary is delayed", LOG_Z("cluster", c->key), LOG_ERROR(&err));
    workqueue_add_after(c->manager->queue, str_from(c->key), r < 0 ? 100 : 0);
}

static enum outcome begin_change(struct cluster_runtime *c, struct arena *a, struct cluster_view *v,
                                 struct pending_action *p)
{
    const struct change_wish wish = { .is_switchover = str_eq(p->action, S("switchover")),
                                      .is_forced = json_bool_at(p->body, "force", false),
                                      .target = json_str_at(p->body, "target"),
                                      .reason = json_str_at(p->body, "reason") };
    struct step step;
    struct error err;
    int r = plan_admit_change(a, v, &wish, &step, &err);
    /* What was asked for is done by now, or is something else: who asked must look again. */
    if (r == 0 && p->asked_term && p->asked_term != v->record.term && !wish.is_forced)
        r = error_set(&err, ERRC_CONFLICT, "the primary has changed meanwhile: it is \"%.*s\" in term %lld",
                      STR_ARG(v->record.primary), (long long)v->record.term);
    if (r < 0) {
        actions__refuse(c, p, STATUS_CONFLICT, str_from(err.text));
        return OUTCOME_ANSWERED;
    }
    if (p->is_dry_run) {
        actions__answer(
            c, p, 200,
            result_of(a, v->record.primary, step.instance, v->record.term + 1, NULL, S("dry run: this would be done")));
        return OUTCOME_ANSWERED;
    }
    try_change(c, a, v, p, &step);
    return OUTCOME_TRIED;
}

/* NULL: POST …/restart may begin now. */
static const char *why_no_restart(struct arena *a, const struct cluster_view *v, str only)
{
    if (!v->has_record || !v->record.is_initialized)
        return "the cluster is still being created";
    if (only.len && !record_instance_of(&v->record, only))
        return arena_printf(a, "there is no instance \"%.*s\"", STR_ARG(only)).ptr;
    if (v->spec.is_paused)
        return "the cluster is paused: set spec.paused to false first";
    if (v->is_changing)
        return "a change of primary is under way: wait until it is done";
    if (v->record.restart_id.len)
        return "a restart is under way: wait until it is done";
    return NULL;
}

/* False: another edit of the record was faster, so it is for the next pass. */
static bool order_restart(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, str only,
                          struct pending_action *p)
{
    struct record r = v->record;
    struct error err;
    char id[37];
    rand_uuid(id);
    r.restart_id = arena_str(a, str_from(id));
    r.restart_instance = arena_str(a, only);
    r.restart_serial = r.next_serial;
    int result = record__save(c->manager, a, &r, &err);
    if (result == 0)
        v->record = r;
    else if (result != ERRC_CONFLICT)
        actions__refuse(c, p, STATUS_SERVICE_UNAVAILABLE, str_from(err.text));
    workqueue_add(c->manager->queue, str_from(c->key));
    return result != ERRC_CONFLICT;
}

static enum outcome request_restart(struct cluster_runtime *c, struct arena *a, struct cluster_view *v,
                                    struct pending_action *p)
{
    str only = json_str_at(p->body, "instance");
    const char *why = why_no_restart(a, v, only);
    if (why) {
        actions__refuse(c, p, STATUS_CONFLICT, str_from(why));
        return OUTCOME_ANSWERED;
    }
    struct json_builder order; /* standbys, then the primary */
    json_builder_init(&order, a);
    for (int round = 0; round < 2; round++)
        for (size_t k = 0; k < v->record.instance_count; k++) {
            str name = v->record.instances[k].name;
            if (str_eq(name, v->record.primary) == (round == 1) && (only.len == 0 || str_eq(only, name)))
                json_builder_add(&order, S(""), json_string(a, name));
        }
    if (!p->is_dry_run && !order_restart(c, a, v, only, p))
        return OUTCOME_TRIED;
    str message = p->is_dry_run ? S("dry run: these would restart, one at a time") : S("restarting, one at a time");
    actions__answer(c, p, 200,
                    JSON_OBJECT_OF(a, JSON_MEMBER("instances", json_builder_array(&order)),
                                   JSON_MEMBER("message", json_string(a, message))));
    return OUTCOME_ANSWERED;
}

static enum outcome work_on(struct cluster_runtime *c, struct arena *a, struct cluster_view *v,
                            struct pending_action *p)
{
    const struct record *r = &v->record;
    /* Its write came through although the answer said otherwise. */
    if (p->tried_term && r->term >= p->tried_term && (r->primary.len == 0 || r->last_term >= p->tried_term))
        (void)set_begun(c, p, true);
    if (p->has_begun)
        return finish_change(v, p, c) ? OUTCOME_ANSWERED : OUTCOME_WAITS;
    if (str_eq(p->action, S("restart")))
        return request_restart(c, a, v, p);
    if (str_eq(p->action, S("backup")))
        backups__request(c, a, v, p);
    else
        return begin_change(c, a, v, p);
    return OUTCOME_ANSWERED;
}

static struct pending_action *take_pending(struct cluster_runtime *c)
{
    pthread_mutex_lock(&c->lock);
    struct pending_action *list = TAKE(c->pending);
    pthread_mutex_unlock(&c->lock);
    return list;
}

/* Puts back what is not answered yet; what came meanwhile stands behind. */
static void put_back(struct cluster_runtime *c, struct pending_action *list)
{
    struct pending_action **end = &list;
    while (*end)
        end = &(*end)->next;
    pthread_mutex_lock(&c->lock);
    *end = c->pending;
    c->pending = list;
    pthread_mutex_unlock(&c->lock);
}

bool actions__is_waiting(struct cluster_runtime *c)
{
    pthread_mutex_lock(&c->lock);
    bool result = c->pending != NULL;
    pthread_mutex_unlock(&c->lock);
    return result;
}

bool actions__work(struct cluster_runtime *c, struct arena *a, struct cluster_view *v)
{
    struct pending_action *list = take_pending(c), *keep = NULL, **keep_end = &keep;
    bool is_current = true;
    while (list) {
        struct pending_action *p = list;
        list = p->next;
        p->next = NULL;
        enum outcome outcome = !is_current ? OUTCOME_WAITS : is_answered(c, p) ? OUTCOME_ANSWERED : work_on(c, a, v, p);
        is_current = is_current && outcome != OUTCOME_TRIED;
        if (outcome == OUTCOME_ANSWERED) {
            action_free(c, p);
            continue;
        }
        *keep_end = p;
        keep_end = &p->next;
    }
    put_back(c, keep);
    return is_current;
}
