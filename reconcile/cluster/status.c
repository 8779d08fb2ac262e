/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status that people see: a mirror of record, instances and plan, written only when it says something new. Lag
 * moves all the time and is refreshed at most every few seconds; live values are PostgresInstance's.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "internal.h"
#include "meta/quantity.h"
#include "meta/rfc3339.h"

#define LAG_REFRESH_NS (5 * NS_PER_S)

struct conditions {
    struct arena *arena;
    struct json_builder list;
    const struct json *old;
    int64_t generation;
};

static void condition(struct conditions *c, const char *type, bool holds, const char *reason, str message)
{
    struct arena *a = c->arena;
    str status = holds ? S("True") : S("False");
    const struct json *since = NULL;
    for (size_t i = 0; i < json_count(c->old); i++) {
        const struct json *o = json_item(c->old, i);
        if (str_eq_z(json_str_at(o, "type"), type) && str_eq(json_str_at(o, "status"), status))
            since = json_get(o, S("lastTransitionTime"));
    }
    if (!since)
        since = json_string(a, rfc3339_seconds(a, clock_realtime_ns()));
    json_builder_add(
        &c->list, S(""),
        JSON_OBJECT_OF(
            a, JSON_MEMBER("type", json_string(a, str_from(type))), JSON_MEMBER("status", json_string(a, status)),
            JSON_MEMBER("observedGeneration", json_int(a, c->generation)), JSON_MEMBER("lastTransitionTime", since),
            JSON_MEMBER("reason", json_string(a, str_from(reason))), JSON_MEMBER("message", json_string(a, message))));
}

/* The slowest standby that streams. */
static int64_t max_lag(const struct cluster_view *v)
{
    int64_t lag = 0;
    for (size_t k = 0; k < v->instance_count; k++)
        if (view_is_streaming_standby(v, &v->instances[k])) {
            int64_t one = view_lag_bytes(v, &v->instances[k]);
            lag = one > lag ? one : lag;
        }
    return lag;
}

static const struct json *endpoints(struct arena *a, const struct cluster_view *v)
{
    struct strbuf b;
    strbuf_init(&b, 4096);
    for (size_t k = 0; k < v->record.instance_count; k++)
        strbuf_addf(&b, "%s%.*s:%d", k ? "," : "", STR_ARG(v->record.instances[k].at.host),
                    (int)v->record.instances[k].at.port);
    const struct json *result =
        JSON_OBJECT_OF(a, JSON_MEMBER("write", json_string(a, strbuf_to_arena(&b, a))),
                       JSON_MEMBER("secret", json_string(a, arena_printf(a, "%.*s-app", STR_ARG(v->name)))));
    strbuf_release(&b);
    return result;
}

static const struct json *last_failover(struct arena *a, const struct record *r)
{
    if (r->last_at.len == 0)
        return NULL;
    return JSON_OBJECT_OF(
        a, JSON_MEMBER("from", json_string(a, r->last_from)), JSON_MEMBER("to", json_string(a, r->last_to)),
        JSON_MEMBER("term", json_int(a, r->last_term)), JSON_MEMBER("reason", json_string(a, r->last_reason)),
        JSON_MEMBER("at", json_string(a, r->last_at)), JSON_MEMBER("lostBytesBound", record_loss_json(a, r)),
        JSON_MEMBER("message", json_string(a, record_loss_text(a, r))));
}

static const struct json *pending_restart(struct arena *a, const struct cluster_view *v)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t k = 0; k < v->instance_count; k++)
        if (v->instances[k].link.has_status && v->instances[k].link.status.pending_restart)
            json_builder_add(&b, S(""), json_string(a, v->instances[k].in->name));
    return b.count ? json_builder_array(&b) : NULL;
}

static const struct json *conditions_of(struct arena *a, const struct cluster_view *v, const struct plan *p,
                                        const struct json *old, size_t ready)
{
    struct conditions c = { .arena = a, .old = json_get(old, S("conditions")), .generation = v->generation };
    json_builder_init(&c.list, a);
    const struct instance_view *primary = v->has_record ? view_primary(v) : NULL;
    bool serves = primary && view_is_serving_primary(v, primary);
    size_t streaming = 0, wanted = (size_t)v->spec.instances;
    for (size_t k = 0; k < v->instance_count; k++)
        streaming += view_is_streaming_standby(v, &v->instances[k]);
    str trouble = serves ? view_trouble(&primary->link.status) : p->message;
    bool all = ready == wanted && v->instance_count == wanted;
    condition(&c, "Ready", all, all ? "AllInstancesReady" : p->phase, p->message);
    bool is_good = serves && trouble.len == 0;
    condition(&c, "PrimaryAvailable", is_good,
              is_good  ? "Serving"
              : serves ? "Unhealthy"
                       : p->phase,
              is_good ? arena_printf(a, "%.*s accepts writes in term %lld", STR_ARG(v->record.primary),
                                     (long long)v->record.term)
                      : trouble);
    condition(&c, "StandbysStreaming", streaming + 1 >= wanted,
              streaming + 1 >= wanted ? "Streaming" : "StandbyMissing",
              arena_printf(a, "%zu of %zu standbys stream", streaming, wanted ? wanted - 1 : 0));
    if (v->secret_problem.len) /* shown only while it stands in the way */
        condition(&c, "SecretsCurrent", false, "NotWritten", v->secret_problem);
    if (serves && primary->link.status.not_replicated.len)
        condition(&c, "EverythingReplicated", false, "NotReplicated", primary->link.status.not_replicated);
    if (json_count(v->spec.repositories) > 0 && serves) {
        str why = primary->link.status.archive_error;
        condition(&c, "WALArchived", why.len == 0, why.len ? "ArchivingFails" : "Archiving",
                  why.len ? why : S("write-ahead log goes to the repository"));
    }
    return json_builder_array(&c.list);
}

static const struct json *status_of(struct arena *a, const struct json *old, const struct cluster_view *v,
                                    const struct plan *p, int64_t lag)
{
    const struct record *r = &v->record;
    const struct instance_view *primary = v->has_record ? view_primary(v) : NULL;
    bool serves = primary && view_is_serving_primary(v, primary);
    size_t ready = 0;
    for (size_t k = 0; k < v->instance_count; k++)
        ready += view_is_ready(v, &v->instances[k]);
    const struct agent_status *s = serves ? &primary->link.status : NULL;
    return JSON_OBJECT_OF(
        a, JSON_MEMBER("observedGeneration", json_int(a, v->generation)),
        JSON_MEMBER("phase", json_string(a, str_from(p->phase))), JSON_MEMBER("message", json_string(a, p->message)),
        JSON_MEMBER("conditions", conditions_of(a, v, p, old, ready)),
        JSON_MEMBER("instances", json_int(a, (int64_t)v->instance_count)),
        JSON_MEMBER("readyInstances", json_int(a, (int64_t)ready)),
        JSON_MEMBER("selector", json_string(a, arena_printf(a, CLUSTER_LABEL "=%.*s", STR_ARG(v->name)))),
        JSON_MEMBER("currentPrimary", serves ? json_string(a, r->primary) : NULL),
        JSON_MEMBER("targetPrimary",
                    v->has_record && !serves ? text_or_none(a, r->primary.len ? r->primary : r->target) : NULL),
        JSON_MEMBER("term", v->has_record ? json_int(a, r->term) : NULL),
        JSON_MEMBER("timeline", s ? json_int(a, s->timeline) : json_get(old, S("timeline"))),
        JSON_MEMBER("systemIdentifier", text_or_none(a, r->system_identifier)),
        JSON_MEMBER("postgresVersion", s ? text_or_none(a, s->postgres_version) : json_get(old, S("postgresVersion"))),
        JSON_MEMBER("maxLagBytes", json_int(a, lag)),
        JSON_MEMBER("maxLag", json_string(a, quantity_for_people(a, lag))),
        JSON_MEMBER("members", text_array(a, r->members, r->member_count)),
        JSON_MEMBER("endpoints", v->has_record ? endpoints(a, v) : NULL),
        JSON_MEMBER("pendingRestart", pending_restart(a, v)), JSON_MEMBER("lastBackup", json_get(old, S("lastBackup"))),
        /* Shown from when the new primary serves: its event is told then, once. */
        JSON_MEMBER("lastFailover", serves ? last_failover(a, r) : json_get(old, S("lastFailover"))));
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

/* A phase that passes by itself is no story: what happened has an event of its own. */
static int64_t told_after_ns(const char *phase)
{
    if (strcmp(phase, "Degraded") == 0)
        return 5 * NS_PER_S;
    return strcmp(phase, "WaitingForPrimary") == 0 ? 2 * NS_PER_S : 0;
}

static bool is_bad(const char *phase)
{
    return strcmp(phase, "Degraded") == 0 || strcmp(phase, "WaitingForPrimary") == 0 ||
           strcmp(phase, "FailingOver") == 0;
}

/* One event for each phase that lasts, and for the way back. */
static void tell_phase(struct cluster_runtime *c, const struct json *object, const struct cluster_view *v,
                       const struct plan *p)
{
    if (!c->has_told) /* a new process goes on with the story where the last one stood */
        (void)snprintf(c->told_phase, sizeof(c->told_phase), "%.*s", STR_ARG(json_str_at(object, "status.phase")));
    c->has_told = true;
    if (strcmp(c->phase, p->phase) != 0) {
        (void)snprintf(c->phase, sizeof(c->phase), "%s", p->phase);
        c->phase_since_ns = v->now_ns;
    }
    if (strcmp(c->told_phase, p->phase) == 0)
        return;
    int64_t wait_ns = c->phase_since_ns + told_after_ns(p->phase) - v->now_ns;
    if (wait_ns > 0) {
        workqueue_add_after(c->manager->queue, str_from(c->key), wait_ns / NS_PER_MS + 1);
        return;
    }
    (void)snprintf(c->told_phase, sizeof(c->told_phase), "%s", p->phase);
    /* The beginning of a change was told when it began. */
    bool is_change = strcmp(p->phase, "SwitchingOver") == 0 || strcmp(p->phase, "FailingOver") == 0;
    if (is_change && c->told_term == v->record.term)
        return;
    events_emit(c->manager->events, object, is_bad(p->phase), p->phase, "%.*s", STR_ARG(p->message));
}

/* Who accepts writes: after a change, at first, and again after an outage without a change. */
static void tell_primary(struct cluster_runtime *c, const struct json *object, const struct json *old,
                         const struct cluster_view *v)
{
    const struct record *r = &v->record;
    const struct instance_view *primary = v->has_record ? view_primary(v) : NULL;
    if (!primary || !view_is_serving_primary(v, primary))
        return;
    int64_t told_term = json_int_at(old, "lastFailover.term", 0), outage_ms = c->outage_ms;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    c->outage_ms = 0;
    if (r->last_term > told_term) {
        int64_t ms = c->change_began_ns ? (v->now_ns - c->change_began_ns) / NS_PER_MS : 0;
        str took = ms ? arena_printf(a, "took %lld ms; ", (long long)ms) : S("");
        c->change_began_ns = 0;
        events_emit(c->manager->events, object, false, "PrimaryChanged",
                    "%.*s is primary in term %lld, it was %.*s (%.*s); %.*s%.*s", STR_ARG(r->primary),
                    (long long)r->term, STR_ARG(r->last_from), STR_ARG(r->last_reason), STR_ARG(took),
                    STR_ARG(record_loss_text(a, r)));
    } else if (json_str_at(old, "currentPrimary").len == 0 && json_str_at(old, "systemIdentifier").len == 0) {
        events_emit(c->manager->events, object, false, "PrimaryAvailable", "%.*s accepts writes", STR_ARG(r->primary));
    } else if (outage_ms) {
        events_emit(c->manager->events, object, false, "PrimaryAvailable", "%.*s accepts writes again after %lld ms",
                    STR_ARG(r->primary), (long long)outage_ms);
    }
}

/* ---- what is told while the worker is at work ---------------------------------------------------------------- */

void status__drop_announcement(struct cluster_runtime *c)
{
    pthread_mutex_lock(&c->lock);
    struct announcement *old = TAKE(c->announcement);
    pthread_mutex_unlock(&c->lock);
    if (old)
        arena_free(old->arena);
}

void status__announce(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v, const struct plan *p)
{
    const struct json *old = json_get(v->object, S("status"));
    const struct json *status = status_of(a, old, v, p, json_int_at(old, "maxLagBytes", 0));
    status__drop_announcement(c);
    struct arena *own = arena_new();
    struct announcement *n = arena_new_of(own, struct announcement);
    *n = (struct announcement) { .arena = own, .status = json_copy(own, status) };
    pthread_mutex_lock(&c->lock);
    c->announcement = n;
    pthread_mutex_unlock(&c->lock);
    workqueue_add(c->manager->publish, str_from(c->key));
}

/* A copy of what is to be written; with take only once. NULL: nothing. */
static const struct json *announced(struct manager *m, struct arena *a, str key, bool take)
{
    const struct json *status = NULL;
    pthread_mutex_lock(&m->lock);
    struct cluster_runtime *c = map_get(m->runtimes, key);
    if (c) {
        pthread_mutex_lock(&c->lock);
        struct announcement *n = c->announcement;
        if (n && n->is_taken != take) {
            status = json_copy(a, n->status);
            n->is_taken = true;
        }
        pthread_mutex_unlock(&c->lock);
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

void status__publish(struct manager *m, str key)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct json *status = announced(m, a, key, true), *object;
    if (!status)
        return;
    str ns, name;
    (void)str_cut(key, '/', &ns, &name);
    str group = S("postgres.example.io"), resource = S("postgresclusters");
    struct error err;
    int r = kube_get(m->client, a, kube_path(a, group, resource, ns, name, S("")), &object, &err);
    /* What the worker wrote since is newer: before this read it took the announcement away, after it this write meets a
     * conflict. */
    const struct json *still = r == 0 ? announced(m, a, key, false) : NULL;
    if (still && json_equal(still, status)) {
        status = json_with(a, status, S("lastBackup"), json_at(object, "status.lastBackup"));
        r = kube_update(m->client, a, kube_path(a, group, resource, ns, name, S("status")),
                        json_with(a, object, S("status"), status), NULL, &err);
    }
    if (r < 0)
        log_debug("the beginning of a change is not shown", LOG_STR("cluster", key), LOG_ERROR(&err));
}

int status__write(struct cluster_runtime *c, struct arena *a, const struct json *object, const struct cluster_view *v,
                  const struct plan *p, struct error *err)
{
    const struct json *old = json_get(object, S("status"));
    int64_t now = clock_monotonic_ns(), lag = max_lag(v);
    status__drop_announcement(c);
    tell_phase(c, object, v, p);
    bool refresh = now - c->status_written_ns > LAG_REFRESH_NS;
    if (!refresh)
        lag = json_int_at(old, "maxLagBytes", lag);
    const struct json *status = status_of(a, old, v, p, lag);
    if (json_equal(old, status))
        return 0;
    c->status_written_ns = now;
    /* A PUT, so that fields which are no more vanish. A conflict brings another pass, which looks again. */
    const struct json *full = json_with(a, object, S("status"), status);
    int r = kube_update(c->manager->client, a, path__cluster(a, c, S("status")), full, NULL, err);
    if (r == ERRC_NOT_FOUND)
        return 0;
    if (r < 0)
        return error_wrap(err, r, "writing status");
    tell_primary(c, object, old, v);
    if (actions__is_waiting(c))
        workqueue_add(c->manager->queue, str_from(c->key));
    return 0;
}

void status__say_blocked(struct cluster_runtime *c, struct arena *a, const struct json *object, str why)
{
    str phase = json_str_at(object, "status.phase");
    if (phase.len && str_eq(json_str_at(object, "status.message"), why))
        return;
    const struct json *status =
        JSON_OBJECT_OF(a, JSON_MEMBER("phase", json_string(a, phase.len ? phase : S("Creating"))),
                       JSON_MEMBER("message", json_string(a, why)));
    struct error err;
    if (kube_merge_patch(c->manager->client, a, path__cluster(a, c, S("status")),
                         JSON_OBJECT_OF(a, JSON_MEMBER("status", status)), NULL, &err) < 0)
        log_debug("status not written", LOG_Z("cluster", c->key), LOG_ERROR(&err));
    else
        events_emit(c->manager->events, object, true, "Blocked", "%.*s", STR_ARG(why));
}
