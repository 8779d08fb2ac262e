/* SPDX-License-Identifier: Apache-2.0 */
/* The term record: reading, writing and the small edits. No decisions here. */
#include "record.h"

#include "meta/gvk.h"
#include "reconcile/text.h"

static const str *names_from_json(struct arena *a, const struct json *v, size_t *ret_count)
{
    *ret_count = json_count(v);
    str *names = arena_array_of(a, str, *ret_count);
    for (size_t i = 0; i < *ret_count; i++)
        names[i] = json_str(json_item(v, i));
    return names;
}

static const struct json *instances_to_json(struct arena *a, const struct record *r)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < r->instance_count; i++) {
        const struct record_instance *in = &r->instances[i];
        json_builder_add(&b, S(""),
                         JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, in->name)),
                                        JSON_MEMBER("serial", json_int(a, in->serial)),
                                        JSON_MEMBER("host", json_string(a, in->at.host)),
                                        JSON_MEMBER("port", json_int(a, in->at.port)),
                                        JSON_MEMBER("agentPort", json_int(a, in->at.agent_port)),
                                        JSON_MEMBER("removing", in->is_removing ? &json_true_value : NULL)));
    }
    return json_builder_array(&b);
}

static const struct json *sync_to_json(struct arena *a, const struct record *r)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < r->sync_count; i++) {
        const struct record_sync *s = &r->sync[i];
        json_builder_add(&b, S(""),
                         JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, s->term)),
                                        JSON_MEMBER("primary", json_string(a, s->primary)),
                                        JSON_MEMBER("set", text_array(a, s->set, s->set_count)),
                                        JSON_MEMBER("wait", json_int(a, s->wait))));
    }
    return json_builder_array(&b);
}

static const struct json *true_or_none(bool b)
{
    return b ? &json_true_value : NULL;
}

static const struct json *secrets_to_json(struct arena *a, const struct record *r)
{
    if (r->ca.certificate_pem.len == 0 && r->app_password.len == 0)
        return NULL;
    return JSON_OBJECT_OF(a, JSON_MEMBER("caCertificate", text_or_none(a, r->ca.certificate_pem)),
                          JSON_MEMBER("caKey", text_or_none(a, r->ca.private_key_pem)),
                          JSON_MEMBER("appPassword", text_or_none(a, r->app_password)));
}

const struct json *record_to_json(struct arena *a, const struct record *r)
{
    const struct json *metadata = JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, r->uid)),
                                                 JSON_MEMBER("resourceVersion", text_or_none(a, r->resource_version)));
    const struct json *spec = JSON_OBJECT_OF(
        a, JSON_MEMBER("namespace", json_string(a, r->namespace_)), JSON_MEMBER("cluster", json_string(a, r->cluster)),
        JSON_MEMBER("term", json_int(a, r->term)), JSON_MEMBER("primary", json_string(a, r->primary)),
        JSON_MEMBER("old", json_string(a, r->old)), JSON_MEMBER("members", text_array(a, r->members, r->member_count)),
        JSON_MEMBER("version", json_int(a, r->version)), JSON_MEMBER("tli", json_int(a, r->tli)),
        JSON_MEMBER("mode", json_string(a, r->mode)), JSON_MEMBER("sync", sync_to_json(a, r)),
        JSON_MEMBER("switchover", true_or_none(r->is_switchover)), JSON_MEMBER("forced", true_or_none(r->is_forced)),
        JSON_MEMBER("inDoubt", true_or_none(r->is_in_doubt)), JSON_MEMBER("target", text_or_none(a, r->target)),
        JSON_MEMBER("reason", text_or_none(a, r->reason)), JSON_MEMBER("instances", instances_to_json(a, r)),
        JSON_MEMBER("nextSerial", json_int(a, r->next_serial)),
        JSON_MEMBER("initialized", true_or_none(r->is_initialized)),
        JSON_MEMBER("systemIdentifier", text_or_none(a, r->system_identifier)),
        JSON_MEMBER("postgresMajor", json_int(a, r->postgres_major)),
        JSON_MEMBER("restartId", text_or_none(a, r->restart_id)),
        JSON_MEMBER("restartInstance", text_or_none(a, r->restart_instance)),
        JSON_MEMBER("restartSerial", r->restart_id.len ? json_int(a, r->restart_serial) : NULL),
        JSON_MEMBER("lastFrom", text_or_none(a, r->last_from)), JSON_MEMBER("lastTo", text_or_none(a, r->last_to)),
        JSON_MEMBER("lastReason", text_or_none(a, r->last_reason)), JSON_MEMBER("lastAt", text_or_none(a, r->last_at)),
        JSON_MEMBER("lastTerm", json_int(a, r->last_term)),
        JSON_MEMBER("lastLostBytes", json_int(a, r->last_lost_bytes)), JSON_MEMBER("secrets", secrets_to_json(a, r)));
    return JSON_OBJECT_OF(a, JSON_MEMBER("apiVersion", json_string(a, S("internal." API_GROUP_VERSION))),
                          JSON_MEMBER("kind", json_string(a, S("ClusterRecord"))), JSON_MEMBER("metadata", metadata),
                          JSON_MEMBER("spec", spec));
}

static void instances_from_json(struct arena *a, const struct json *v, struct record *r)
{
    r->instance_count = json_count(v);
    struct record_instance *list = arena_array_of(a, struct record_instance, r->instance_count);
    for (size_t i = 0; i < r->instance_count; i++) {
        const struct json *in = json_item(v, i);
        list[i] = (struct record_instance) { .name = json_str_at(in, "name"),
                                             .serial = json_int_at(in, "serial", 0),
                                             .at = { .host = json_str_at(in, "host"),
                                                     .port = json_int_at(in, "port", 0),
                                                     .agent_port = json_int_at(in, "agentPort", 0) },
                                             .is_removing = json_bool_at(in, "removing", false) };
    }
    r->instances = list;
}

static void sync_from_json(struct arena *a, const struct json *v, struct record *r)
{
    r->sync_count = json_count(v);
    struct record_sync *list = arena_array_of(a, struct record_sync, r->sync_count);
    for (size_t i = 0; i < r->sync_count; i++) {
        const struct json *s = json_item(v, i);
        list[i].term = json_int_at(s, "term", 0);
        list[i].primary = json_str_at(s, "primary");
        list[i].set = names_from_json(a, json_get(s, S("set")), &list[i].set_count);
        list[i].wait = json_int_at(s, "wait", 0);
    }
    r->sync = list;
}

int record_from_json(struct arena *a, const struct json *object, struct record *ret, struct error *err)
{
    const struct json *spec = json_get(object, S("spec"));
    *ret = (struct record) {
        .uid = json_str_at(object, "metadata.name"),
        .namespace_ = json_str_at(spec, "namespace"),
        .cluster = json_str_at(spec, "cluster"),
        .resource_version = json_str_at(object, "metadata.resourceVersion"),
        .term = json_int_at(spec, "term", 0),
        .primary = json_str_at(spec, "primary"),
        .old = json_str_at(spec, "old"),
        .version = json_int_at(spec, "version", 0),
        .tli = json_int_at(spec, "tli", 0),
        .mode = json_str_at(spec, "mode"),
        .is_switchover = json_bool_at(spec, "switchover", false),
        .is_forced = json_bool_at(spec, "forced", false),
        .is_in_doubt = json_bool_at(spec, "inDoubt", false),
        .target = json_str_at(spec, "target"),
        .reason = json_str_at(spec, "reason"),
        .next_serial = json_int_at(spec, "nextSerial", 1),
        .is_initialized = json_bool_at(spec, "initialized", false),
        .system_identifier = json_str_at(spec, "systemIdentifier"),
        .postgres_major = json_int_at(spec, "postgresMajor", 0),
        .restart_id = json_str_at(spec, "restartId"),
        .restart_instance = json_str_at(spec, "restartInstance"),
        .restart_serial = json_int_at(spec, "restartSerial", INT64_MAX),
        .last_from = json_str_at(spec, "lastFrom"),
        .last_to = json_str_at(spec, "lastTo"),
        .last_reason = json_str_at(spec, "lastReason"),
        .last_at = json_str_at(spec, "lastAt"),
        .last_term = json_int_at(spec, "lastTerm", 0),
        .last_lost_bytes = json_int_at(spec, "lastLostBytes", 0),
        .ca = { json_str_at(spec, "secrets.caCertificate"), json_str_at(spec, "secrets.caKey") },
        .app_password = json_str_at(spec, "secrets.appPassword"),
    };
    if (ret->term < 1 || ret->uid.len == 0)
        return error_set(err, ERRC_INTERNAL, "term record of \"%.*s/%.*s\" is damaged", STR_ARG(ret->namespace_),
                         STR_ARG(ret->cluster));
    ret->members = names_from_json(a, json_get(spec, S("members")), &ret->member_count);
    instances_from_json(a, json_get(spec, S("instances")), ret);
    sync_from_json(a, json_get(spec, S("sync")), ret);
    return 0;
}

const struct record_instance *record_instance_of(const struct record *r, str name)
{
    for (size_t i = 0; i < r->instance_count; i++)
        if (str_eq(r->instances[i].name, name))
            return &r->instances[i];
    return NULL;
}

bool record_has_member(const struct record *r, str name)
{
    for (size_t i = 0; i < r->member_count; i++)
        if (str_eq(r->members[i], name))
            return true;
    return false;
}

bool record_sync_names(const struct record *r, str name)
{
    for (size_t i = 0; i < r->sync_count; i++) {
        const struct record_sync *s = &r->sync[i];
        if (s->wait == 0)
            continue; /* nobody had to confirm anything */
        if (str_eq(s->primary, name))
            return true;
        for (size_t k = 0; k < s->set_count; k++)
            if (str_eq(s->set[k], name))
                return true;
    }
    return false;
}

bool record_is_leaving(const struct record *r, const struct record_instance *in)
{
    return in->is_removing && !record_has_member(r, in->name);
}

void record_add_instance(struct arena *a, struct record *r, struct record_instance instance)
{
    struct record_instance *list = arena_array_of(a, struct record_instance, r->instance_count + 1);
    for (size_t i = 0; i < r->instance_count; i++)
        list[i] = r->instances[i];
    list[r->instance_count] = instance;
    r->instances = list;
    r->instance_count++;
}

void record_remove_instance(struct arena *a, struct record *r, str name)
{
    struct record_instance *list = arena_array_of(a, struct record_instance, r->instance_count);
    size_t n = 0;
    for (size_t i = 0; i < r->instance_count; i++)
        if (!str_eq(r->instances[i].name, name))
            list[n++] = r->instances[i];
    r->instances = list;
    r->instance_count = n;
}

void record_set_removing(struct arena *a, struct record *r, str name, bool is_removing)
{
    struct record_instance *list = arena_array_of(a, struct record_instance, r->instance_count);
    for (size_t i = 0; i < r->instance_count; i++) {
        list[i] = r->instances[i];
        if (str_eq(list[i].name, name))
            list[i].is_removing = is_removing;
    }
    r->instances = list;
}

void record_add_member(struct arena *a, struct record *r, str name)
{
    if (record_has_member(r, name))
        return;
    str *list = arena_array_of(a, str, r->member_count + 1);
    for (size_t i = 0; i < r->member_count; i++)
        list[i] = r->members[i];
    list[r->member_count] = name;
    r->members = list;
    r->member_count++;
    r->version++;
}

void record_remove_member(struct arena *a, struct record *r, str name)
{
    if (!record_has_member(r, name))
        return;
    str *list = arena_array_of(a, str, r->member_count);
    size_t n = 0;
    for (size_t i = 0; i < r->member_count; i++)
        if (!str_eq(r->members[i], name))
            list[n++] = r->members[i];
    r->members = list;
    r->member_count = n;
    r->version++;
}

static bool asks_the_same(const struct record_sync *x, const struct record_sync *y)
{
    bool same = x->wait == y->wait && x->set_count == y->set_count && str_eq(x->primary, y->primary);
    for (size_t i = 0; same && i < x->set_count; i++)
        same = str_eq(x->set[i], y->set[i]);
    return same;
}

void record_push_sync(struct arena *a, struct record *r, struct record_sync entry)
{
    struct record_sync *list = arena_array_of(a, struct record_sync, r->sync_count + 2);
    size_t n = 0;
    if (r->sync_count == 0 && entry.wait > 0)
        list[n++] = (struct record_sync) { .term = entry.term, .primary = entry.primary };
    for (size_t i = 0; i < r->sync_count; i++)
        if (!asks_the_same(&r->sync[i], &entry))
            list[n++] = r->sync[i];
    list[n++] = entry;
    r->sync = list;
    r->sync_count = n;
}

void record_forget_old_sync(struct arena *a, struct record *r)
{
    if (r->sync_count < 2)
        return;
    struct record_sync *list = arena_new_of(a, struct record_sync);
    *list = r->sync[r->sync_count - 1];
    r->sync = list;
    r->sync_count = 1;
}

str record_loss_text(struct arena *a, const struct record *r)
{
    if (r->last_lost_bytes == 0)
        return S("nothing was lost");
    if (r->last_lost_bytes > 0)
        return arena_printf(a, "at most %lld bytes of write-ahead log that %.*s had written are missing",
                            (long long)r->last_lost_bytes, STR_ARG(r->last_from));
    return arena_printf(a,
                        "%.*s ended without a word and replication is asynchronous: what it acknowledged last may be "
                        "missing, how much is not known",
                        STR_ARG(r->last_from));
}

const struct json *record_loss_json(struct arena *a, const struct record *r)
{
    return r->last_lost_bytes < 0 ? NULL : json_int(a, r->last_lost_bytes);
}
