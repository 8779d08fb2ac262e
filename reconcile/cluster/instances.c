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

static const struct json *text_or_none(struct arena *a, str s)
{
    return s.len ? json_string(a, s) : NULL;
}

static const struct json *volume_of(struct arena *a, const struct agent_status *s)
{
    if (s->data_used_bytes == 0)
        return NULL;
    return JSON_OBJECT_OF(a, JSON_MEMBER("usedBytes", json_int(a, s->data_used_bytes)),
                          JSON_MEMBER("freeBytes", json_int(a, s->data_free_bytes)),
                          JSON_MEMBER("used", json_string(a, quantity_for_people(a, s->data_used_bytes))));
}

static const struct json *status_of(struct arena *a, const struct shown *shown)
{
    const struct agent_status *s = &shown->link.status;
    bool is_live = shown->link.is_connected && shown->link.has_status;
    bool runs = is_live && s->postgres_running;
    bool is_primary = runs && !s->in_recovery && shown->is_primary;
    int64_t lag = runs && s->in_recovery ? lag_bytes(shown) : -1;
    str role = !runs ? S("unknown") : is_primary ? S("primary") : S("standby");
    int64_t now = clock_realtime_ns();
    return JSON_OBJECT_OF(
        a, JSON_MEMBER("role", json_string(a, role)), JSON_MEMBER("phase", json_string(a, phase_of(shown))),
        JSON_MEMBER("ready", json_bool(is_primary || (runs && s->streaming))),
        JSON_MEMBER("message", text_or_none(a, is_live ? s->message : shown->link.last_error)),
        JSON_MEMBER("progress", text_or_none(a, is_live ? s->progress : S(""))),
        JSON_MEMBER("term", is_live ? json_int(a, s->term) : NULL),
        JSON_MEMBER("timeline", runs ? json_int(a, s->timeline) : NULL),
        JSON_MEMBER("lsn", runs ? text_or_none(a, s->lsn) : NULL),
        JSON_MEMBER("replayLSN", runs && s->in_recovery ? text_or_none(a, s->replay_lsn) : NULL),
        JSON_MEMBER("lagBytes", lag >= 0 ? json_int(a, lag) : NULL),
        JSON_MEMBER("lagSeconds", lag >= 0 ? json_double(a, s->lag_seconds) : NULL),
        JSON_MEMBER("lag", lag >= 0 ? json_string(a, quantity_for_people(a, lag)) : NULL),
        JSON_MEMBER("sessions", runs ? json_int(a, s->sessions) : NULL),
        JSON_MEMBER("uptime",
                    runs && s->started_at_s ? json_string(a, rfc3339_age(a, now - s->started_at_s * NS_PER_S)) : NULL),
        JSON_MEMBER("startedAt",
                    runs && s->started_at_s ? json_string(a, rfc3339_seconds(a, s->started_at_s * NS_PER_S)) : NULL),
        JSON_MEMBER("postgresVersion", runs ? text_or_none(a, s->postgres_version) : NULL),
        JSON_MEMBER("systemIdentifier", is_live ? text_or_none(a, s->system_identifier) : NULL),
        JSON_MEMBER("endpoint", text_or_none(a, shown->endpoint)),
        JSON_MEMBER("pendingRestart", is_live && s->pending_restart ? &json_true_value : NULL),
        JSON_MEMBER("lastContact",
                    shown->link.heard_ns
                        ? json_string(a, rfc3339_seconds(a, now - (clock_monotonic_ns() - shown->link.heard_ns)))
                        : NULL),
        JSON_MEMBER("volume", is_live ? volume_of(a, s) : NULL));
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

void instances__publish(struct manager *m, str key)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct shown *list = NULL;
    size_t count = snapshot(m, a, key, &list);
    str ns, cluster;
    (void)str_cut(key, '/', &ns, &cluster);
    for (size_t k = 0; k < count; k++)
        publish_one(m, ns, cluster, &list[k]);
}
