/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fewer instances, and none: stop the agent, let the platform prove that nothing is left, keep or remove the data,
 * forget the instance. Everything is repeated until it is true, so that a crash in between leaves nothing behind.
 */
#include "base/clock.h"
#include "base/log.h"
#include "internal.h"

#define SHUTDOWN_DEADLINE_MS 2000
#define SHUTDOWN_AGAIN_MS 1000
#define LOOK_AGAIN_MS 100
#define SHUTDOWN_PATIENCE_MS 20000 /* for a fast stop; then the platform ends what is left */

/* Tells the agent to stop, now and then: an order that was lost is repeated, one that is obeyed takes its time. */
static void order_shutdown(struct instance_runtime *rt, struct arena *a, const struct cluster_view *v, str name)
{
    int64_t now = clock_monotonic_ns();
    if (rt->shutdown_sent_ns && now - rt->shutdown_sent_ns < SHUTDOWN_AGAIN_MS * NS_PER_MS)
        return;
    rt->shutdown_sent_ns = now;
    const struct json *body = JSON_OBJECT_OF(a, JSON_MEMBER("protocol", json_int(a, AGENT_PROTOCOL)),
                                             JSON_MEMBER("term", json_int(a, v->record.term)),
                                             JSON_MEMBER("mode", json_string(a, S("fast"))));
    struct error why;
    if (link_command(rt->link, a, "/v1/shutdown", body, deadline_in_ms(SHUTDOWN_DEADLINE_MS), NULL, &why) < 0)
        log_debug("shutdown not taken", LOG_STR("instance", name), LOG_ERROR(&why));
}

/* *ret_gone: no process of it is left, and its data are gone if they were to go. */
static int stop_instance(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v,
                         const struct instance_view *i, bool *ret_gone, struct error *err)
{
    struct instance_runtime *rt = runtime__instance(c, i->in->name);
    const struct platform *platform = &c->manager->platform;
    const struct platform_instance p = runtime__platform(c, i->in);
    *ret_gone = false;
    if (rt->removing_since_ns == 0)
        rt->removing_since_ns = clock_monotonic_ns();
    bool is_patient = (clock_monotonic_ns() - rt->removing_since_ns) / NS_PER_MS < SHUTDOWN_PATIENCE_MS;
    if (i->link.is_connected && is_patient) {
        order_shutdown(rt, a, v, i->in->name);
        return 0;
    }
    /* Without its CA nobody can be told anything: no reason to wait. */
    is_patient = is_patient && c->has_ca;
    if (i->platform == PLATFORM_LIVE && is_patient)
        return 0;
    int r = platform->ops->remove(platform->self, &p, v->spec.removes_data, err);
    if (r < 0)
        return error_wrap(err, r, "removing instance \"%.*s\"", STR_ARG(i->in->name));
    *ret_gone = true;
    return 0;
}

int remove__instance(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, str name, struct error *err)
{
    const struct instance_view *i = view_instance(v, name);
    bool gone;
    int r = i ? stop_instance(c, a, v, i, &gone, err) : 0;
    if (!i || r < 0)
        return r;
    if (!gone) {
        workqueue_add_after(c->manager->queue, str_from(c->key), LOOK_AGAIN_MS);
        return 0;
    }
    record_remove_instance(a, &v->record, name);
    r = record__save(c->manager, a, &v->record, err);
    if (r == 0) {
        workqueue_add(c->manager->queue, str_from(c->key));
        log_info("instance removed", LOG_Z("cluster", c->key), LOG_STR("instance", name),
                 LOG_BOOL("data_removed", v->spec.removes_data));
        runtime__drop_instance(c, name);
    }
    return r;
}

/* Takes our finalizer off, which lets the object go. */
static int release_object(struct cluster_runtime *c, struct arena *a, const struct json *object, struct error *err)
{
    const struct json *old = json_at(object, "metadata.finalizers");
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < json_count(old); i++)
        if (!str_eq(json_str(json_item(old, i)), S(CLUSTER_FINALIZER)))
            json_builder_add(&b, S(""), json_item(old, i));
    const struct json *patch = JSON_OBJECT_OF(
        a, JSON_MEMBER("metadata",
                       JSON_OBJECT_OF(a, JSON_MEMBER("resourceVersion", json_at(object, "metadata.resourceVersion")),
                                      JSON_MEMBER("finalizers", json_builder_array(&b)))));
    int r = kube_merge_patch(c->manager->client, a, path__cluster(a, c, S("")), patch, NULL, err);
    return r == ERRC_NOT_FOUND ? 0 : r;
}

int remove__cluster(struct cluster_runtime *c, struct arena *a, const struct json *object, struct cluster_view *v,
                    bool *ret_done, struct error *err)
{
    *ret_done = false;
    /* Standbys first: a primary whose standbys are gone stops without waiting for them. */
    size_t left = 0;
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        bool is_primary = str_eq(i->in->name, v->record.primary), gone = false;
        if (is_primary && v->record.instance_count > 1) {
            left++;
            continue;
        }
        int r = stop_instance(c, a, v, i, &gone, err);
        if (r < 0)
            return r;
        if (!gone) {
            left++;
            continue;
        }
        record_remove_instance(a, &v->record, i->in->name);
        r = record__save(c->manager, a, &v->record, err);
        if (r < 0)
            return r;
        runtime__drop_instance(c, i->in->name);
    }
    if (left) {
        workqueue_add_after(c->manager->queue, str_from(c->key), LOOK_AGAIN_MS);
        return 0;
    }
    const struct platform *platform = &c->manager->platform;
    const struct platform_instance cluster = runtime__platform(c, NULL);
    int r = platform->ops->forget_cluster(platform->self, &cluster, v->spec.removes_data, err);
    if (r == 0)
        r = secrets__remove(c, a, err);
    if (r == 0)
        r = kube_delete(c->manager->client, a,
                        kube_path(a, S("internal.postgres.example.io"), S("clusterrecords"), S(""), v->uid, S("")),
                        S(""), err);
    if (r == 0)
        r = release_object(c, a, object, err);
    *ret_done = r == 0;
    if (r == 0)
        log_info("cluster removed", LOG_Z("cluster", c->key), LOG_BOOL("data_removed", v->spec.removes_data));
    return r;
}
