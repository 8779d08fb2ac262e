/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each instance is told: the whole configuration, derived from spec and record alone, so that two passes over the
 * same facts give the same bytes. It is sent where it differs from what this process sent last.
 */
#include "base/clock.h"
#include "base/log.h"
#include "internal.h"
#include "json/json_write.h"

#define CONFIGURE_DEADLINE_MS 5000
/* A status that came so long after the configuration was taken, and does not have it, says that it was lost. */
#define LOST_AFTER_NS NS_PER_S

static const struct json *peers_array(struct arena *a, const struct record *r)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < r->instance_count; i++) {
        const struct record_instance *in = &r->instances[i];
        if (!record_is_leaving(r, in))
            json_builder_add(&b, S(""),
                             JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, in->name)),
                                            JSON_MEMBER("host", json_string(a, in->at.host)),
                                            JSON_MEMBER("port", json_int(a, in->at.port))));
    }
    return json_builder_array(&b);
}

/* A slot for every other instance: on a standby too, so that a new primary has kept what the others need. That of an
 * instance which is to go is the last of it: it goes when the instance is gone. */
static const struct json *slots_array(struct arena *a, const struct record *r, str self)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < r->instance_count; i++)
        if (!str_eq(r->instances[i].name, self))
            json_builder_add(&b, S(""), json_string(a, r->instances[i].name));
    return json_builder_array(&b);
}

static int repositories_array(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v,
                              const struct json **ret, struct error *err)
{
    const struct platform *p = &c->manager->platform;
    const struct platform_instance cluster = runtime__platform(c, NULL);
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < json_count(v->spec.repositories); i++) {
        const struct json *repo = json_item(v->spec.repositories, i);
        str name = json_str_at(repo, "name"), path;
        int r = p->ops->repository_path(p->self, a, &cluster, name, json_str_at(repo, "volume.path"), &path, err);
        if (r < 0)
            return error_wrap(err, r, "repository \"%.*s\"", STR_ARG(name));
        json_builder_add(
            &b, S(""),
            JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, name)), JSON_MEMBER("path", json_string(a, path)),
                           JSON_MEMBER("retention_full", json_int(a, json_int_at(repo, "retention.full", 7)))));
    }
    *ret = json_builder_array(&b);
    return 0;
}

int config__build(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v,
                  const struct record_instance *in, struct agent_config *ret, struct error *err)
{
    const struct record *r = &v->record;
    struct pki_pair identity;
    int result = identities__instance(c, in, &identity, err);
    if (result < 0)
        return result;
    const struct record_sync *sync = r->sync_count ? &r->sync[r->sync_count - 1] : NULL;
    *ret = (struct agent_config) {
        .protocol = AGENT_PROTOCOL,
        .term = r->term,
        .timeline = r->tli,
        .cluster_uid = v->uid,
        .cluster_name = v->name,
        .namespace_ = v->namespace_,
        .instance = in->name,
        .host = in->at.host,
        .port = in->at.port,
        .postgres_major = r->postgres_major,
        .primary = r->primary,
        .members = text_array(a, r->members, r->member_count),
        .peers = peers_array(a, r),
        .system_identifier = r->system_identifier,
        .may_initialize = !r->is_initialized && str_eq(in->name, r->primary),
        .initdb = v->spec.initdb ? v->spec.initdb : &json_empty_object,
        .parameters = v->spec.parameters ? v->spec.parameters : &json_empty_object,
        .hba = v->spec.hba ? v->spec.hba : &json_empty_array,
        .synchronous_standby_names = sync ? plan_sync_names(a, sync) : S(""),
        .slots = slots_array(a, r, in->name),
        .app_user = v->spec.owner,
        .app_password = c->app_password,
        .app_database = v->spec.database,
        .certificate_pem = identity.certificate_pem,
        .private_key_pem = identity.private_key_pem,
        .ca_pem = c->ca.certificate_pem,
        .stopped_reason = record_is_leaving(r, in) ? S("the instance is being removed") : S(""),
        .data_checksums = true,
    };
    return repositories_array(c, a, v, &ret->repositories, err);
}

struct sending {
    struct instance_runtime *runtime; /* NULL: nothing is to be sent */
    const struct json *body;
    str content, sync_names;
    int64_t version;
};

static void note_sent(const struct sending *s)
{
    arena_free(s->runtime->sent);
    s->runtime->sent = arena_new();
    s->runtime->sent_config = arena_str(s->runtime->sent, s->content);
    s->runtime->sent_sync_names = arena_str(s->runtime->sent, s->sync_names);
    s->runtime->sent_version = s->version;
    s->runtime->sent_ns = clock_monotonic_ns();
}

static bool has_it(const struct instance_runtime *rt, const struct instance_view *i, str content)
{
    if (!rt->sent || !str_eq(rt->sent_config, content))
        return false;
    /* An agent that lost its folder reports an older version and is told again. */
    return i->link.status.config_version >= rt->sent_version || i->link.heard_ns < rt->sent_ns + LOST_AFTER_NS;
}

/* Nothing when it is not reached, or has what it should have. */
static int prepare_sending(struct cluster_runtime *c, struct arena *a, struct cluster_view *v,
                           const struct instance_view *i, struct sending *ret, struct error *err)
{
    struct instance_runtime *rt = runtime__instance(c, i->in->name);
    struct agent_config config;
    *ret = (struct sending) { .runtime = NULL };
    if (!i->link.is_connected || !i->link.has_status)
        return 0;
    int r = config__build(c, a, v, i->in, &config, err);
    if (r < 0)
        return r;
    str content = json_text(a, agent_config_to_json(a, &config));
    if (has_it(rt, i, content))
        return 0;
    int64_t known = i->link.status.config_version;
    config.version = (known > rt->sent_version ? known : rt->sent_version) + 1;
    *ret = (struct sending) { .runtime = rt,
                              .body = agent_config_to_json(a, &config),
                              .content = content,
                              .sync_names = config.synchronous_standby_names,
                              .version = config.version };
    return 0;
}

/* only empty: to all. */
static int send(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, str only, bool *ret_is_sent,
                struct error *err)
{
    *ret_is_sent = false;
    struct link_call *calls = arena_array_of(a, struct link_call, v->instance_count);
    struct sending *sendings = arena_array_of(a, struct sending, v->instance_count);
    size_t count = 0;
    for (size_t k = 0; k < v->instance_count; k++) {
        if (only.len && !str_eq(only, v->instances[k].in->name))
            continue;
        struct sending *s = &sendings[count];
        int r = prepare_sending(c, a, v, &v->instances[k], s, err);
        if (r < 0)
            return r;
        if (s->runtime)
            calls[count++] = (struct link_call) { .link = s->runtime->link, .path = "/v1/configure", .body = s->body };
    }
    *ret_is_sent = count > 0;
    link_command_all(c->manager->links, calls, count, deadline_in_ms(CONFIGURE_DEADLINE_MS));
    int result = 0;
    for (size_t k = 0; k < count; k++) {
        if (calls[k].result == 0)
            note_sent(&sendings[k]);
        else if (result == 0)
            result = error_set(err, (enum err)act__refusal(calls[k].result), "%s", calls[k].error.text);
        arena_free(calls[k].arena);
    }
    return result;
}

int config__send_all(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, bool *ret_is_sent,
                     struct error *err)
{
    return send(c, a, v, S(""), ret_is_sent, err);
}

int config__send_one(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, str instance,
                     struct error *err)
{
    bool is_sent;
    return send(c, a, v, instance, &is_sent, err);
}
