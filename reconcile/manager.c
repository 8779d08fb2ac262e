/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager: informers wake keys, workers make passes, a publisher shows instances. A pass is: read the cluster,
 * observe, work on what was asked for, plan, act, write the status.
 */
#include "reconcile/manager.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "cluster/internal.h"

#define WORKERS_DEFAULT 4
#define SYNC_DEADLINE_MS 30000
#define FIRST_LOOK_MS 1600
/* A pass now and then even when nothing happens: what an event should have told is noticed all the same. */
#define RESYNC_MS 10000

static int add_finalizer(struct cluster_runtime *c, struct arena *a, const struct json *object, struct error *err)
{
    const struct json *old = json_at(object, "metadata.finalizers");
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < json_count(old); i++) {
        if (str_eq(json_str(json_item(old, i)), S(CLUSTER_FINALIZER)))
            return 0;
        json_builder_add(&b, S(""), json_item(old, i));
    }
    json_builder_add(&b, S(""), json_string(a, S(CLUSTER_FINALIZER)));
    const struct json *patch = JSON_OBJECT_OF(
        a, JSON_MEMBER("metadata",
                       JSON_OBJECT_OF(a, JSON_MEMBER("resourceVersion", json_at(object, "metadata.resourceVersion")),
                                      JSON_MEMBER("finalizers", json_builder_array(&b)))));
    return kube_merge_patch(c->manager->client, a, path__cluster(a, c, S("")), patch, NULL, err);
}

/* The pass cannot see the cluster: people learn why where trying again may not help. */
static void say_unseen(struct cluster_runtime *c, struct arena *a, const struct json *object, int result,
                       const struct error *err)
{
    if (result == ERRC_EXISTS || result == ERRC_INVALID || result == ERRC_DENIED || result == ERRC_INTERNAL)
        status__say_blocked(c, a, object, arena_str(a, str_from(err->text)));
}

static int pass_of_deletion(struct cluster_runtime *c, struct arena *a, const struct json *object,
                            struct cluster_view *v, struct error *err)
{
    bool done;
    actions__refuse_all(c, "the cluster is being deleted");
    int r = remove__cluster(c, a, object, v, &done, err);
    if (done) {
        runtime__drop(c->manager, c);
        return r;
    }
    const struct plan plan = { .phase = "Deleting", .message = S("instances are being stopped") };
    return r < 0 ? r : status__write(c, a, object, v, &plan, err);
}

static int pass_over(struct cluster_runtime *c, struct arena *a, const struct json *object, struct error *err)
{
    struct manager *m = c->manager;
    struct cluster_view view;
    int r = observe__cluster(c, a, object, &view, err);
    if (r < 0) {
        say_unseen(c, a, object, r, err);
        return r;
    }
    if (view.is_deleting)
        return pass_of_deletion(c, a, object, &view, err);
    r = add_finalizer(c, a, object, err);
    if (r < 0)
        return r;
    if (!actions__work(c, a, &view))
        return 0; /* it asked for another pass */
    struct plan plan;
    plan_make(a, &view, &plan);
    int acted = act__steps(c, a, &view, &plan, err);
    if (plan.look_again_ms)
        workqueue_add_after(m->queue, str_from(c->key), plan.look_again_ms);
    if (acted == 0 && plan_changes_primary(&plan))
        return 0; /* the view is of before: the next pass shows what came of it */
    if (acted == ERRC_CANCELLED)
        return acted;                        /* the server stops: no news for people */
    if (acted < 0 && acted != ERRC_CONFLICT) /* what stands in the way is what people want to read */
        plan.message = arena_str(a, str_from(err->text));
    struct error status_err;
    if (view.is_first_look) { /* the next status of an agent brings the next pass */
        workqueue_add_after(m->queue, str_from(c->key), FIRST_LOOK_MS);
        return acted;
    }
    r = status__write(c, a, object, &view, &plan, &status_err);
    if (r == 0 && m->runs_backups && view.has_record)
        r = backups__work(c, a, &view, &status_err);
    if (acted == 0 && r < 0)
        *err = status_err;
    return acted < 0 ? acted : r;
}

static int reconcile(struct manager *m, str key, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str ns, name;
    (void)str_cut(key, '/', &ns, &name);
    const struct json *object;
    int r = kube_get(m->client, a, kube_path(a, S("postgres.example.io"), S("postgresclusters"), ns, name, S("")),
                     &object, err);
    if (r == ERRC_NOT_FOUND) {
        struct cluster_runtime *gone = runtime__find(m, key);
        if (gone)
            runtime__drop(m, gone);
        return 0;
    }
    if (r < 0)
        return error_wrap(err, r, "reading cluster \"%.*s\"", STR_ARG(key));
    return pass_over(runtime__get(m, key, json_str_at(object, "metadata.uid")), a, object, err);
}

static void *work(void *arg)
{
    struct manager *m = arg;
    for (;;) {
        CLEANUP(arena_freep) struct arena *a = arena_new();
        str key;
        if (!workqueue_get(m->queue, a, &key))
            return NULL;
        struct error err;
        error_clear(&err);
        int r = reconcile(m, key, &err);
        if (r < 0 && r != ERRC_CONFLICT) /* a conflict only says that somebody was faster */
            log_warn("pass failed, it is tried again", LOG_STR("cluster", key), LOG_ERROR(&err));
        if (r < 0)
            workqueue_retry(m->queue, key);
        else
            workqueue_forget(m->queue, key);
        if (runtime__find(m, key))
            workqueue_add_after(m->queue, key, RESYNC_MS);
        workqueue_done(m->queue, key);
    }
}

static void *publish(void *arg)
{
    struct manager *m = arg;
    for (;;) {
        CLEANUP(arena_freep) struct arena *a = arena_new();
        str key;
        if (!workqueue_get(m->publish, a, &key))
            return NULL;
        actions__expire(m, key);
        status__publish(m, key);
        instances__publish(m, key);
        workqueue_done(m->publish, key);
    }
}

/* ---- what wakes ---------------------------------------------------------------------------------------------- */

static void wake(struct manager *m, str ns, str cluster)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    if (cluster.len)
        workqueue_add(m->queue, arena_printf(a, "%.*s/%.*s", STR_ARG(ns), STR_ARG(cluster)));
}

static void on_cluster(void *self, enum kube_event_type type, const struct json *object)
{
    (void)type;
    wake(self, json_str_at(object, "metadata.namespace"), json_str_at(object, "metadata.name"));
}

static void on_backup(void *self, enum kube_event_type type, const struct json *object)
{
    (void)type;
    wake(self, json_str_at(object, "metadata.namespace"), json_str_at(object, "spec.cluster"));
}

/* A secret of a cluster that was changed or deleted is repaired. */
static void on_secret(void *self, enum kube_event_type type, const struct json *object)
{
    if (type != KUBE_ADDED)
        wake(self, json_str_at(object, "metadata.namespace"),
             json_str(json_get(json_at(object, "metadata.labels"), S(CLUSTER_LABEL))));
}

static int start_informers(struct manager *m, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str group = S("postgres.example.io"), none = S("");
    int r = informer_start(m->client, kube_path(a, group, S("postgresclusters"), none, none, none), on_cluster, m,
                           &m->clusters, err);
    if (r == 0)
        r = informer_start(m->client, kube_path(a, group, S("postgresbackups"), none, none, none), on_backup, m,
                           &m->backups, err);
    if (r == 0)
        r = informer_start(m->client, kube_path(a, none, S("secrets"), none, none, none), on_secret, m, &m->secrets,
                           err);
    if (r == 0)
        r = informer_wait_synced(m->backups, deadline_in_ms(SYNC_DEADLINE_MS), err);
    return r;
}

static int start_threads(struct manager *m, size_t workers, struct error *err)
{
    int r = thread_start(&m->publisher, "publish", publish, m, err);
    m->has_publisher = r == 0;
    while (r == 0 && m->worker_count < workers) {
        r = thread_start(&m->workers[m->worker_count], "reconcile", work, m, err);
        m->worker_count += r == 0;
    }
    return r;
}

int manager_start(const struct manager_options *options, struct manager **ret, struct error *err)
{
    struct manager *m = mem_new_of(struct manager);
    m->client = options->client;
    m->platform = options->platform;
    m->runs_clusters = options->runs_clusters;
    m->runs_backups = options->runs_backups;
    m->certificate_s = options->certificate_s;
    m->backend = (struct action_backend) { .self = m, .submit = actions__submit };
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->placing, NULL);
    m->runtimes = map_new();
    m->queue = workqueue_new("cluster");
    m->publish = workqueue_new("instance");
    int r = 0;
    if (m->runs_clusters) {
        size_t workers = options->workers ? options->workers : WORKERS_DEFAULT;
        r = links_new(&m->links, err);
        if (r == 0)
            r = events_new(m->client, "postgres-apiserver", &m->events, err);
        if (r == 0)
            r = start_informers(m, err);
        if (r == 0)
            r = start_threads(m, workers > ARRAY_LEN(m->workers) ? ARRAY_LEN(m->workers) : workers, err);
    }
    if (r < 0) {
        manager_stop(m);
        return error_wrap(err, r, "starting the reconciler");
    }
    *ret = m;
    return 0;
}

static void drop_all(struct manager *m)
{
    for (;;) {
        pthread_mutex_lock(&m->lock);
        size_t pos = 0;
        str key;
        void *value = NULL;
        bool any = map_next(m->runtimes, &pos, &key, &value);
        pthread_mutex_unlock(&m->lock);
        if (!any)
            return;
        actions__refuse_all(value, "the server stops: try again");
        runtime__drop(m, value);
    }
}

void manager_stop(struct manager *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    m->is_stopping = true;
    pthread_mutex_unlock(&m->lock);
    workqueue_shutdown(m->queue);
    workqueue_shutdown(m->publish);
    /* A pass must not hold the end up because an agent does not answer; the next leader goes on where it stood. */
    links_cancel(m->links);
    for (size_t i = 0; i < m->worker_count; i++)
        pthread_join(m->workers[i], NULL);
    if (m->has_publisher)
        pthread_join(m->publisher, NULL);
    /* After the workers, which read them; what they still tell falls on queues that are shut. */
    informer_stop(m->clusters);
    informer_stop(m->backups);
    informer_stop(m->secrets);
    drop_all(m);
    links_free(m->links);
    events_free(m->events);
    workqueue_free(m->queue);
    workqueue_free(m->publish);
    map_free(m->runtimes, NULL);
    pthread_mutex_destroy(&m->placing);
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

const struct action_backend *manager_actions(struct manager *m)
{
    return &m->backend;
}

bool manager_has_synced(struct manager *m)
{
    return !m->runs_clusters || (informer_has_synced(m->clusters) && informer_has_synced(m->backups));
}
