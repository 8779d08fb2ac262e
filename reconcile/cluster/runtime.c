/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process keeps of a cluster between passes: links, what was sent, waiting actions. Nothing here is needed to go
 * on after a restart; it is all learnt again from the record and the agents.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "internal.h"

#define CRASH_MEMORY_NS (60 * NS_PER_S)

struct cluster_runtime *runtime__find(struct manager *m, str key)
{
    pthread_mutex_lock(&m->lock);
    struct cluster_runtime *c = map_get(m->runtimes, key);
    pthread_mutex_unlock(&m->lock);
    return c;
}

struct cluster_runtime *runtime__get(struct manager *m, str key, str uid)
{
    struct cluster_runtime *c = runtime__find(m, key);
    if (c && str_eq_z(uid, c->uid))
        return c;
    if (c)
        runtime__drop(m, c); /* another cluster of the same name: nothing of the old one holds */
    c = mem_new_of(struct cluster_runtime);
    str ns, name;
    (void)str_cut(key, '/', &ns, &name);
    c->manager = m;
    c->key = text_copy_z(key);
    c->namespace_ = text_copy_z(ns);
    c->name = text_copy_z(name);
    c->uid = text_copy_z(uid);
    c->instances = map_new();
    c->arena = arena_new();
    list_init(&c->actions);
    c->made_ns = clock_monotonic_ns();
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_lock(&m->lock);
    map_put(m->runtimes, key, c);
    pthread_mutex_unlock(&m->lock);
    return c;
}

static void instance_free(void *p)
{
    struct instance_runtime *i = p;
    link_close(i->link);
    arena_free(i->sent);
    arena_free(i->identity.arena);
    mem_free(i);
}

void runtime__drop(struct manager *m, struct cluster_runtime *c)
{
    pthread_mutex_lock(&m->lock);
    map_remove(m->runtimes, str_from(c->key));
    pthread_mutex_unlock(&m->lock);
    workqueue_add(m->publish, str_from(c->key));
    actions__refuse_all(c,
                        "the cluster is gone"); /* takes and leaves the lock: a publisher that had found it is done */
    status__drop_announcement(c);
    map_free(c->instances, instance_free);
    arena_free(c->leader.arena);
    arena_free(c->arena);
    pthread_mutex_destroy(&c->lock);
    mem_free(c->key);
    mem_free(c->namespace_);
    mem_free(c->name);
    mem_free(c->uid);
    mem_free(c);
}

struct instance_runtime *runtime__instance(struct cluster_runtime *c, str name)
{
    struct instance_runtime *i = map_get(c->instances, name);
    if (i)
        return i;
    i = mem_new_of(struct instance_runtime);
    i->cluster = c;
    pthread_mutex_lock(&c->lock);
    map_put(c->instances, name, i);
    pthread_mutex_unlock(&c->lock);
    return i;
}

struct platform_instance runtime__platform(const struct cluster_runtime *c, const struct record_instance *in)
{
    struct platform_instance p = { .namespace_ = str_from(c->namespace_),
                                   .cluster = str_from(c->name),
                                   .cluster_uid = str_from(c->uid) };
    if (in) {
        p.name = in->name;
        p.at = in->at;
    }
    return p;
}

void runtime__drop_instance(struct cluster_runtime *c, str name)
{
    pthread_mutex_lock(&c->lock);
    struct instance_runtime *i = map_remove(c->instances, name);
    pthread_mutex_unlock(&c->lock);
    if (i)
        instance_free(i);
    workqueue_add(c->manager->publish, str_from(c->key)); /* what is shown of it goes */
}

static void on_status(void *self, bool is_change)
{
    struct cluster_runtime *c = self;
    workqueue_add(c->manager->publish, str_from(c->key));
    if (is_change)
        workqueue_add(c->manager->queue, str_from(c->key));
}

static int open_link(struct cluster_runtime *c, const struct record_instance *in, struct instance_runtime *i,
                     struct error *err)
{
    const struct link_target target = { .instance = in->name,
                                        .host = in->at.host,
                                        .agent_port = in->at.agent_port,
                                        .ca_pem = c->ca.certificate_pem,
                                        .certificate_pem = c->leader.pair.certificate_pem,
                                        .private_key_pem = c->leader.pair.private_key_pem };
    struct link *link;
    int r = link_open(c->manager->links, &target, on_status, c, &link, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&c->lock);
    i->link = link;
    snprintf(i->endpoint, sizeof(i->endpoint), "%.*s:%d", STR_ARG(in->at.host), (int)in->at.port);
    pthread_mutex_unlock(&c->lock);
    return 0;
}

int runtime__sync_links(struct cluster_runtime *c, const struct record *r, struct error *err)
{
    for (size_t k = 0; k < r->instance_count; k++) {
        struct instance_runtime *i = runtime__instance(c, r->instances[k].name);
        if (!i->link) {
            int result = open_link(c, &r->instances[k], i, err);
            if (result < 0)
                return result;
        }
        bool is_primary = str_eq(r->primary, r->instances[k].name);
        pthread_mutex_lock(&c->lock);
        i->is_primary = is_primary;
        pthread_mutex_unlock(&c->lock);
        link_set_word(i->link, r->term, is_primary, is_primary);
    }
    CLEANUP(arena_freep) struct arena *a = arena_new();
    size_t count = map_count(c->instances), gone = 0, pos = 0;
    str *names = arena_array_of(a, str, count), key;
    void *value;
    while (map_next(c->instances, &pos, &key, &value))
        if (!record_instance_of(r, key))
            names[gone++] = arena_str(a, key);
    for (size_t k = 0; k < gone; k++)
        runtime__drop_instance(c, names[k]);
    return 0;
}

/* Counts a crash when an instance begins to say that it crashed. */
void runtime__note_crashes(struct cluster_runtime *c, struct cluster_view *v)
{
    for (size_t k = 0; k < v->instance_count; k++) {
        struct instance_view *view = &v->instances[k];
        struct instance_runtime *i = runtime__instance(c, view->in->name);
        bool is_crashed = view->link.is_connected && view->link.has_status &&
                          str_eq_z(view->link.status.phase, agent_phase_name(AGENT_CRASHED));
        if (is_crashed && !i->was_crashed) {
            i->crash_ns[i->crash_count++ % ARRAY_LEN(i->crash_ns)] = v->now_ns;
            log_warn("PostgreSQL crashed", LOG_Z("cluster", c->key), LOG_STR("instance", view->in->name));
            events_emit(c->manager->events, v->object, true, "InstanceCrashed", "%.*s: %.*s", STR_ARG(view->in->name),
                        STR_ARG(view->link.status.message));
        }
        i->was_crashed = is_crashed;
        for (size_t n = 0; n < ARRAY_LEN(i->crash_ns); n++) {
            view->crashes += i->crash_ns[n] && v->now_ns - i->crash_ns[n] < CRASH_MEMORY_NS;
            if (i->crash_ns[n] > view->crash_ns)
                view->crash_ns = i->crash_ns[n];
        }
    }
}

str path__cluster(struct arena *a, const struct cluster_runtime *c, str subresource)
{
    return kube_path(a, S("postgres.example.io"), S("postgresclusters"), str_from(c->namespace_), str_from(c->name),
                     subresource);
}
