/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about a view that more than one decision asks. */
#include "view.h"

#define DISK_FULL_BYTES (16 << 20)

struct instance_view *view_instance(const struct cluster_view *v, str name)
{
    for (size_t i = 0; i < v->instance_count; i++)
        if (str_eq(v->instances[i].in->name, name))
            return &v->instances[i];
    return NULL;
}

struct instance_view *view_primary(const struct cluster_view *v)
{
    return v->record.primary.len ? view_instance(v, v->record.primary) : NULL;
}

static bool is_heard(const struct instance_view *i)
{
    return i->link.is_connected && i->link.has_status;
}

bool view_is_serving_primary(const struct cluster_view *v, const struct instance_view *i)
{
    const struct agent_status *s = &i->link.status;
    return is_heard(i) && str_eq(i->in->name, v->record.primary) && s->postgres_running && !s->in_recovery &&
           s->term == v->record.term && str_eq(s->granted_to, i->in->name);
}

bool view_is_streaming_standby(const struct cluster_view *v, const struct instance_view *i)
{
    const struct agent_status *s = &i->link.status;
    return is_heard(i) && !str_eq(i->in->name, v->record.primary) && s->postgres_running && s->in_recovery &&
           s->streaming && s->usable && s->term == v->record.term;
}

str view_trouble(const struct agent_status *s)
{
    if (!s->postgres_running)
        return S("");
    if (!s->health_ok && s->health_error.len)
        return s->health_error;
    if (s->data_used_bytes > 0 && s->data_free_bytes < DISK_FULL_BYTES)
        return S("its disk is full: there is no room for a segment of write-ahead log");
    return S("");
}

bool view_is_ready(const struct cluster_view *v, const struct instance_view *i)
{
    return (view_is_serving_primary(v, i) || view_is_streaming_standby(v, i)) && view_trouble(&i->link.status).len == 0;
}

int64_t view_lag_bytes(const struct cluster_view *v, const struct instance_view *i)
{
    const struct instance_view *p = view_primary(v);
    uint64_t primary, own;
    if (!p || !p->link.has_status || !i->link.has_status || !lsn_parse(p->link.status.lsn, &primary) ||
        !lsn_parse(i->link.status.lsn, &own))
        return -1;
    return primary > own ? (int64_t)(primary - own) : 0;
}

void cluster_spec_from_json(const struct json *object, struct cluster_spec *ret)
{
    const struct json *spec = json_get(object, S("spec"));
    const struct json *postgresql = json_get(spec, S("postgresql"));
    const struct json *initdb = json_at(spec, "bootstrap.initdb");
    str database = json_str_at(initdb, "database"), owner = json_str_at(initdb, "owner");
    *ret = (struct cluster_spec) {
        .instances = json_int_at(spec, "instances", 1),
        .postgres_major = json_int_at(spec, "postgresVersion", 0),
        .is_paused = json_bool_at(spec, "paused", false),
        .is_failover_automatic = json_bool_at(spec, "failover.automatic", true),
        .sync_number = json_int_at(postgresql, "synchronous.number", 0),
        .is_sync_required = !str_eq(json_str_at(postgresql, "synchronous.dataDurability"), S("preferred")),
        .removes_data = str_eq(json_str_at(spec, "storage.reclaimPolicy"), S("Delete")),
        .parameters = json_get(postgresql, S("parameters")),
        .hba = json_get(postgresql, S("pgHBA")),
        .repositories = json_at(spec, "backup.repositories"),
        .initdb = initdb,
        .database = database.len ? database : S("app"),
        .owner = owner.len ? owner : S("app"),
    };
}
