/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what a pass decides on: the record, the links, and where a link is down what the platform can prove. */
#include "base/clock.h"
#include "internal.h"

#define RECORD_GROUP S("internal.postgres.example.io")

static str record_path(struct arena *a, str uid)
{
    return kube_path(a, RECORD_GROUP, S("clusterrecords"), S(""), uid, S(""));
}

int record__load(struct manager *m, struct arena *a, str uid, bool *ret_found, struct record *ret, struct error *err)
{
    const struct json *object;
    *ret_found = false;
    int r = kube_get(m->client, a, record_path(a, uid), &object, err);
    if (r == ERRC_NOT_FOUND)
        return 0;
    if (r < 0)
        return error_wrap(err, r, "reading the term record");
    *ret_found = true;
    return record_from_json(a, object, ret, err);
}

int record__save(struct manager *m, struct arena *a, struct record *r, struct error *err)
{
    const struct json *written;
    int result;
    if (r->resource_version.len)
        result = kube_update(m->client, a, record_path(a, r->uid), record_to_json(a, r), &written, err);
    else
        result = kube_create(m->client, a, kube_path(a, RECORD_GROUP, S("clusterrecords"), S(""), S(""), S("")),
                             record_to_json(a, r), &written, err);
    if (result < 0)
        return error_wrap(err, result, "writing the term record");
    r->resource_version = json_str_at(written, "metadata.resourceVersion");
    return 0;
}

static int view_one(struct cluster_runtime *c, struct arena *a, const struct record_instance *in,
                    struct instance_view *ret, struct error *err)
{
    struct instance_runtime *i = runtime__instance(c, in->name);
    /* Copies: a step of the pass may drop or change what the runtime has, and the view is looked at again after it. */
    *ret = (struct instance_view) { .in = in,
                                    .platform = PLATFORM_LIVE,
                                    .launched_ns = i->launched_ns,
                                    .launch_error = arena_str(a, str_from(i->launch_error)) };
    if (i->link)
        link_view(i->link, a, &ret->link);
    ret->has_sent = i->sent != NULL;
    ret->sent_sync_names = arena_str(a, i->sent_sync_names);
    ret->is_in_force = ret->has_sent && ret->link.has_status && ret->link.status.loaded_version == i->sent_version;
    if (ret->link.is_connected)
        return 0;
    const struct platform_instance p = runtime__platform(c, in);
    return c->manager->platform.ops->state(c->manager->platform.self, &p, &ret->platform, err);
}

/* A server that starts finds running instances before it hears them: that they are not reached yet is no news. */
#define FIRST_LOOK_NS (1500 * NS_PER_MS)

static bool is_first_look(const struct cluster_runtime *c, const struct cluster_view *v)
{
    if (!v->record.is_initialized || v->now_ns - c->made_ns > FIRST_LOOK_NS)
        return false;
    for (size_t k = 0; k < v->instance_count; k++)
        if (v->instances[k].link.heard_ns == 0 && v->instances[k].platform == PLATFORM_LIVE)
            return true;
    return false;
}

/* A chosen primary has so long to begin to serve before it counts as one that is down. */
#define PROMOTION_NS (6 * NS_PER_S)

/* Who asks for an action meanwhile is told so at once (actions__submit), not when this pass is over. */
static void note_change(struct cluster_runtime *c, struct cluster_view *v)
{
    const struct record *r = &v->record;
    const struct instance_view *primary = view_primary(v);
    if (primary && view_is_serving_primary(v, primary))
        c->served_term = r->term;
    bool is_promoting = r->last_term == r->term && c->served_term != r->term && v->now_ns - v->down_ns < PROMOTION_NS;
    v->is_changing = r->primary.len == 0 || is_promoting;
    actions__note_change(c, r, v->is_changing);
}

/* How long the primary of this term has not been serving; a new term starts anew. */
static void note_down(struct cluster_runtime *c, struct cluster_view *v)
{
    const struct instance_view *primary = view_primary(v);
    if (primary && view_is_serving_primary(v, primary)) {
        if (c->down_ns && c->down_term == v->record.term && c->served_term == v->record.term)
            c->outage_ms = (v->now_ns - c->down_ns) / NS_PER_MS;
        c->down_ns = 0;
    } else if (c->down_ns == 0 || c->down_term != v->record.term)
        c->down_ns = v->now_ns;
    c->down_term = v->record.term;
    v->down_ns = c->down_ns;
}

int observe__cluster(struct cluster_runtime *c, struct arena *a, const struct json *object, struct cluster_view *ret,
                     struct error *err)
{
    *ret = (struct cluster_view) { .namespace_ = str_from(c->namespace_),
                                   .name = str_from(c->name),
                                   .uid = str_from(c->uid),
                                   .object = object,
                                   .generation = json_int_at(object, "metadata.generation", 0),
                                   .is_deleting = json_str_at(object, "metadata.deletionTimestamp").len > 0,
                                   .now_ns = clock_monotonic_ns() };
    cluster_spec_from_json(object, &ret->spec);
    int r = record__load(c->manager, a, ret->uid, &ret->has_record, &ret->record, err);
    if (r < 0 || !ret->has_record)
        return r;
    r = ret->is_deleting ? secrets__find_ca(c, a, &ret->record, err) : secrets__ensure(c, a, ret, err);
    if (r == 0 && c->has_ca)
        r = identities__renew(c, err);
    if (r == 0 && c->has_ca)
        r = runtime__sync_links(c, &ret->record, err);
    if (r < 0)
        return r;
    ret->instance_count = ret->record.instance_count;
    ret->instances = arena_array_of(a, struct instance_view, ret->instance_count);
    for (size_t k = 0; k < ret->instance_count && r == 0; k++)
        r = view_one(c, a, &ret->record.instances[k], &ret->instances[k], err);
    if (r == 0) {
        runtime__note_crashes(c, ret);
        note_down(c, ret);
        note_change(c, ret);
        ret->is_first_look = is_first_look(c, ret);
        ret->secret_problem = str_from(c->secret_problem);
    }
    return r;
}
