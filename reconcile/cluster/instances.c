/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shows each instance as a PostgresInstance: live values from the newest status of its agent, refreshed with each
 * heartbeat. Runs on the publisher's thread, apart from the decisions.
 */
#include "base/clock.h"
#include "base/log.h"
#include "internal.h"
#include "meta/quantity.h"
#include "meta/rfc3339.h"

#define LIST_DEADLINE_MS 5000

struct shown { /* what was copied under the lock */
    str name, endpoint;
    bool is_primary, is_removing;
    struct link_view link;
    str primary_lsn;
};

/* Copies what is to be shown; the runtime may vanish right afterwards. Returns how many. */
static size_t snapshot(struct manager *m, struct arena *a, str key, struct shown **ret)
{
    size_t n = 0;
    pthread_mutex_lock(&m->lock);
    struct cluster_runtime *c = map_get(m->runtimes, key);
    if (!c) {
        pthread_mutex_unlock(&m->lock);
        return 0;
    }
    pthread_mutex_lock(&c->lock);
    pthread_mutex_unlock(&m->lock);
    *ret = arena_array_of(a, struct shown, map_count(c->instances));
    str name, primary_lsn = S("");
    void *value;
    for (size_t pos = 0; map_next(c->instances, &pos, &name, &value);) {
        struct instance_runtime *i = value;
        if (!i->link)
            continue;
        struct shown *s = &(*ret)[n++];
        s->name = arena_str(a, name);
        s->is_primary = i->is_primary;
        s->endpoint = arena_str(a, str_from(i->endpoint));
        link_view(i->link, a, &s->link);
        if (s->is_primary && s->link.has_status)
            primary_lsn = s->link.status.lsn;
    }
    pthread_mutex_unlock(&c->lock);
    for (size_t k = 0; k < n; k++)
        (*ret)[k].primary_lsn = primary_lsn;
    return n;
}

static int64_t lag_bytes(const struct shown *s)
{
    uint64_t primary, own;
    if (s->is_primary || !lsn_parse(s->primary_lsn, &primary) || !lsn_parse(s->link.status.lsn, &own))
        return -1;
    return primary > own ? (int64_t)(primary - own) : 0;
}

static str phase_of(const struct shown *s)
{
    static const struct {
        enum agent_phase phase;
        const char *name;
    } names[] = { { AGENT_STARTING, "Starting" }, { AGENT_INITIALIZING, "Initializing" },
                  { AGENT_COPYING, "Copying" },   { AGENT_REWINDING, "Rewinding" },
                  { AGENT_RUNNING, "Running" },   { AGENT_STOPPED, "Stopped" },
                  { AGENT_CRASHED, "Failed" },    { AGENT_FAILED, "Failed" } };
    if (!s->link.has_status)
        return S("Starting");
    if (!s->link.is_connected)
        return S("Unreachable");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq_z(s->link.status.phase, agent_phase_name(names[i].phase)))
            return str_from(names[i].name);
    return S("Starting");
}

static const struct json *volume_of(struct arena *a, const struct agent_status *s)
{
    if (s->data_used_bytes == 0)
        return NULL;
    return JSON_OBJECT_OF(a, JSON_MEMBER("usedBytes", json_int(a, s->data_used_bytes)),
                          JSON_MEMBER("freeBytes", json_int(a, s->data_free_bytes)),
                          JSON_MEMBER("used", json_string(a, quantity_for_people(a, s->data_used_bytes))));
}

/* Members that only a running PostgreSQL has. */
static void add_running(struct json_builder *b, const struct shown *shown, bool is_primary)
{
    struct arena *a = b->arena;
    const struct agent_status *s = &shown->link.status;
    json_builder_add(b, S("timeline"), json_int(a, s->timeline));
    json_builder_add(b, S("lsn"), text_or_none(a, s->lsn));
    json_builder_add(b, S("sessions"), json_int(a, s->sessions));
    json_builder_add(b, S("postgresVersion"), text_or_none(a, s->postgres_version));
    if (s->started_at_s) {
        int64_t started_ns = s->started_at_s * NS_PER_S;
        json_builder_add(b, S("uptime"), json_string(a, rfc3339_age(a, clock_realtime_ns() - started_ns)));
        json_builder_add(b, S("startedAt"), json_string(a, rfc3339_seconds(a, started_ns)));
    }
    if (is_primary || !s->in_recovery)
        return;
    json_builder_add(b, S("replayLSN"), text_or_none(a, s->replay_lsn));
    int64_t lag = lag_bytes(shown);
    if (lag < 0)
        return;
    json_builder_add(b, S("lagBytes"), json_int(a, lag));
    json_builder_add(b, S("lagSeconds"), json_double(a, s->lag_seconds));
    json_builder_add(b, S("lag"), json_string(a, quantity_for_people(a, lag)));
}

/* Members that a connected agent tells. */
static void add_live(struct json_builder *b, const struct agent_status *s)
{
    struct arena *a = b->arena;
    json_builder_add(b, S("term"), json_int(a, s->term));
    json_builder_add(b, S("progress"), text_or_none(a, s->progress));
    json_builder_add(b, S("systemIdentifier"), text_or_none(a, s->system_identifier));
    json_builder_add(b, S("pendingRestart"), s->pending_restart ? &json_true_value : NULL);
    json_builder_add(b, S("volume"), volume_of(a, s));
}

static const struct json *status_of(struct arena *a, const struct shown *shown)
{
    const struct agent_status *s = &shown->link.status;
    bool is_live = shown->link.is_connected && shown->link.has_status;
    bool runs = is_live && s->postgres_running;
    bool is_primary = runs && !s->in_recovery && shown->is_primary;
    struct json_builder b;
    json_builder_init(&b, a);
    json_builder_add(&b, S("role"), json_string(a, !runs ? S("unknown") : is_primary ? S("primary") : S("standby")));
    json_builder_add(&b, S("phase"), json_string(a, phase_of(shown)));
    str trouble = runs ? view_trouble(s) : S("");
    json_builder_add(&b, S("ready"), json_bool((is_primary || (runs && s->streaming)) && trouble.len == 0));
    str message = !is_live ? shown->link.last_error : trouble.len ? trouble : s->message;
    json_builder_add(&b, S("message"), text_or_none(a, message));
    json_builder_add(&b, S("endpoint"), text_or_none(a, shown->endpoint));
    if (shown->link.heard_ns) {
        int64_t ago_ns = clock_monotonic_ns() - shown->link.heard_ns;
        json_builder_add(&b, S("lastContact"), json_string(a, rfc3339_seconds(a, clock_realtime_ns() - ago_ns)));
    }
    if (is_live)
        add_live(&b, s);
    if (runs)
        add_running(&b, shown, is_primary);
    return json_builder_object(&b);
}

static void publish_one(struct manager *m, str ns, str cluster, const struct shown *s)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str path = kube_path(a, S("postgres.example.io"), S("postgresinstances"), ns, s->name, S(""));
    const struct json *old, *status = status_of(a, s);
    struct error err;
    int r = kube_get(m->client, a, path, &old, &err);
    if (r == 0 && !json_equal(json_get(old, S("status")), status)) {
        r = kube_update(m->client, a, path, json_with(a, old, S("status"), status), NULL, &err);
    } else if (r == ERRC_NOT_FOUND) {
        const struct json *labels =
            JSON_OBJECT_OF(a, JSON_MEMBER("postgres.example.io/cluster", json_string(a, cluster)));
        const struct json *object =
            JSON_OBJECT_OF(a, JSON_MEMBER("apiVersion", json_string(a, S("postgres.example.io/v1"))),
                           JSON_MEMBER("kind", json_string(a, S("PostgresInstance"))),
                           JSON_MEMBER("metadata", JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, s->name)),
                                                                  JSON_MEMBER("namespace", json_string(a, ns)),
                                                                  JSON_MEMBER("labels", labels))),
                           JSON_MEMBER("spec", JSON_OBJECT_OF(a, JSON_MEMBER("cluster", json_string(a, cluster)))),
                           JSON_MEMBER("status", status));
        r = kube_create(m->client, a, kube_path(a, S("postgres.example.io"), S("postgresinstances"), ns, S(""), S("")),
                        object, NULL, &err);
    }
    if (r < 0 && r != ERRC_CONFLICT) /* the next heartbeat tries again */
        log_debug("instance not shown", LOG_STR("instance", s->name), LOG_ERROR(&err));
}

static bool is_shown(const struct shown *list, size_t count, str name)
{
    for (size_t k = 0; k < count; k++)
        if (str_eq(list[k].name, name))
            return true;
    return false;
}

/* Takes away what is shown of instances that are no more. */
static void withdraw(struct manager *m, str ns, str cluster, const struct shown *list, size_t count)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str group = S("postgres.example.io"), resource = S("postgresinstances");
    const struct kube_request req = { .method = "GET",
                                      .path = kube_path(a, group, resource, ns, S(""), S("")),
                                      .query = arena_printf(a, "labelSelector=postgres.example.io%%2Fcluster%%3D%.*s",
                                                            STR_ARG(cluster)),
                                      .deadline_ns = deadline_in_ms(LIST_DEADLINE_MS) };
    struct kube_response res;
    struct error err;
    if (kube_call(m->client, a, &req, &res, &err) < 0) {
        log_warn("instances not listed", LOG_STR("cluster", cluster), LOG_ERROR(&err));
        return;
    }
    const struct json *items = json_get(res.body, S("items"));
    for (size_t i = 0; i < json_count(items); i++) {
        str name = json_str_at(json_item(items, i), "metadata.name");
        if (!is_shown(list, count, name) &&
            kube_delete(m->client, a, kube_path(a, group, resource, ns, name, S("")), S(""), &err) < 0)
            log_warn("instance still shown", LOG_STR("instance", name), LOG_ERROR(&err));
    }
}

void instances__publish(struct manager *m, str key)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct shown *list = NULL;
    size_t count = snapshot(m, a, key, &list);
    str ns, cluster;
    (void)str_cut(key, '/', &ns, &cluster);
    for (size_t k = 0; k < count; k++)
        publish_one(m, ns, cluster, &list[k]);
    withdraw(m, ns, cluster, list, count);
}
