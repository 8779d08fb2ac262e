/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces of a standalone server: nothing is created in an absent or terminating one (k8s.io/apiserver
 * NamespaceLifecycle), and a thread empties and removes those that are being deleted. It is woken by the store's
 * events, so that it neither polls nor misses what finalizers set free later.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/rand.h"
#include "handlers/internal.h"
#include "meta/rfc3339.h"

#define QUEUE_MAX 4096
/* A namespace that could not be emptied is looked at again, less and less often. */
#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS 30000

struct namespaces {
    struct api *api;
    struct queue *wanted; /* char *: names to look at */
    struct store_subscriber **subscribers;
    size_t subscriber_count;
    atomic_bool look_at_all; /* the queue was full once */
    atomic_bool has_failed;  /* since the last look at all */
    pthread_t thread;
};

bool namespaces_is_kind(const struct api *api, const struct resource *r)
{
    return r == api->namespace_resource;
}

static struct object *get_namespace(struct arena *a, const struct api *api, str name)
{
    const struct resource *r = api->namespace_resource;
    return store_get(r->store, resource_key(a, r, (str) { 0 }, name));
}

/* ---- admission -------------------------------------------------------------------------------------------------- */

struct status *namespaces_check_create(struct call *c)
{
    str ns = call_namespace(c);
    if (!c->api->namespace_resource || !c->resource->is_namespaced || c->resource->is_virtual)
        return NULL;
    CLEANUP(object_unrefp) struct object *o = get_namespace(c->arena, c->api, ns);
    if (!o)
        return status_not_found(c->arena, (str) { 0 }, S("namespaces"), ns);
    if (!o->is_deleting)
        return NULL;
    str why = arena_printf(c->arena, "unable to create new content in namespace %.*s because it is being terminated",
                           STR_ARG(ns));
    struct status *s = status_forbidden(c->arena, c->resource->group, c->resource->plural, c->info.name, why);
    status_add_cause(c->arena, s, S("NamespaceTerminating"), S("metadata.namespace"),
                     arena_printf(c->arena, "namespace %.*s is being terminated", STR_ARG(ns)));
    return s;
}

/* ---- emptying -----------------------------------------------------------------------------------------------------
 */

/* Users can delete objects of this kind in a namespace: it is content of ours to remove. */
static bool is_content(const struct resource *r)
{
    return r->is_namespaced && !r->is_virtual && (r->verbs & VERB_DELETE) != 0;
}

/* Deletes all objects of r in ns; *ret_left tells how many are still there. */
static int empty_resource(struct arena *a, const struct resource *r, str ns, size_t *ret_left, struct error *err)
{
    static const struct delete_options background = { .propagation = PROPAGATION_BACKGROUND };
    struct store_list list;
    str prefix = resource_key(a, r, ns, (str) { 0 });
    store_list(r->store, a, prefix, (str) { 0 }, 0, &list);
    size_t n = 0;
    for (size_t i = 0; i < list.count; i++) /* those that are marked wait for their finalizers */
        if (!list.objects[i]->is_deleting || !list.objects[i]->has_finalizers)
            list.objects[n++] = list.objects[i];
    struct status *fail = deletion_run_many(a, r, list.objects, n, &background);
    if (fail)
        return error_set(err, ERRC_UNAVAILABLE, "%.*s", STR_ARG(str_first(fail->message, 256)));
    store_list(r->store, a, prefix, (str) { 0 }, 1, &list);
    *ret_left += list.count;
    return 0;
}

static int remove_namespace(struct arena *a, struct api *api, const struct object *o, struct error *err)
{
    const struct resource *r = api->namespace_resource;
    const struct storage_write write = {
        .kind = STORAGE_DELETE,
        .expect = STORAGE_EXPECT_REVISION,
        .revision = o->resource_version,
        .key = resource_key(a, r, (str) { 0 }, o->name),
    };
    int result = store_write_wait(r->store, &write, NULL, err);
    return result == ERRC_NOT_FOUND || result == ERRC_CONFLICT ? 0 : result; /* the change wakes us again */
}

/* Objects of namespaces that are being deleted, and of absent ones (created while theirs went away). */
static int look_at(struct namespaces *n, str name, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    CLEANUP(object_unrefp) struct object *o = get_namespace(a, n->api, name);
    if (o && !o->is_deleting)
        return 0;
    size_t left = 0;
    const struct resource_registry *registry = n->api->options.registry;
    for (size_t i = 0; i < registry->count; i++) {
        int r = is_content(registry->resources[i]) ? empty_resource(a, registry->resources[i], name, &left, err) : 0;
        if (r < 0)
            return r;
    }
    if (!o || left > 0 || o->has_finalizers)
        return 0;
    log_info("namespace is empty and goes", LOG_STR("namespace", name));
    return remove_namespace(a, n->api, o, err);
}

static int look_at_all(struct namespaces *n, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct resource *r = n->api->namespace_resource;
    struct store_list list;
    store_list(r->store, a, resource_key(a, r, (str) { 0 }, (str) { 0 }), (str) { 0 }, 0, &list);
    for (size_t i = 0; i < list.count; i++) {
        int result = list.objects[i]->is_deleting ? look_at(n, list.objects[i]->name, err) : 0;
        if (result < 0)
            return result;
    }
    return 0;
}

static void *run(void *arg)
{
    struct namespaces *n = arg;
    int64_t next = INT64_MAX, delay_ms = RETRY_FIRST_MS;
    while (!queue_is_closed(n->wanted)) {
        char *name = queue_pop(n->wanted, next);
        struct error err;
        bool is_full_turn = atomic_exchange(&n->look_at_all, false) || (!name && next != INT64_MAX);
        int r = name ? look_at(n, str_from(name), &err) : 0;
        if (r == 0 && is_full_turn)
            r = look_at_all(n, &err);
        mem_free(name);
        if (r < 0) {
            log_warn("namespace not emptied yet", LOG_ERROR(&err), LOG_INT("retry_ms", delay_ms));
            next = deadline_in_ms(delay_ms);
            atomic_store(&n->has_failed, true);
            delay_ms = 2 * delay_ms < RETRY_MAX_MS ? 2 * delay_ms : RETRY_MAX_MS;
        } else if (is_full_turn) {
            next = INT64_MAX;
            delay_ms = RETRY_FIRST_MS;
            atomic_store(&n->has_failed, false);
        }
    }
    return NULL;
}

/* ---- waking ---------------------------------------------------------------------------------------------------------
 */

static void want(struct namespaces *n, str name)
{
    char *copy = mem_alloc(name.len + 1);
    memcpy(copy, name.ptr, name.len);
    if (queue_push(n->wanted, copy))
        return;
    mem_free(copy);
    atomic_store(&n->look_at_all, true);
}

static void on_namespaces(void *self, struct watch_event *const *events, size_t count, rv up_to UNUSED)
{
    for (size_t i = 0; i < count; i++)
        if (events[i]->type != WATCH_DELETED && events[i]->object->is_deleting)
            want(self, events[i]->object->name);
}

/* Writer thread: content matters only where the namespace is going or gone. */
static void on_content(void *self, struct watch_event *const *events, size_t count, rv up_to UNUSED)
{
    struct namespaces *n = self;
    struct arena *a = NULL;
    for (size_t i = 0; i < count; i++) {
        if (events[i]->type == WATCH_MODIFIED && !n->has_failed)
            continue; /* but what was in the way (deletionProtection) may be so no more */
        a = a ? a : arena_new();
        CLEANUP(object_unrefp) struct object *o = get_namespace(a, n->api, events[i]->object->namespace_);
        if (o ? o->is_deleting : events[i]->type == WATCH_ADDED)
            want(n, events[i]->object->namespace_);
    }
    arena_free(a);
}

static int subscribe(struct namespaces *n, const struct resource *r, store_events_fn fn, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    rv from;
    str all = resource_key(a, r, (str) { 0 }, (str) { 0 });
    int result = store_subscribe(r->store, all, 0, fn, n, &n->subscribers[n->subscriber_count], &from, err);
    if (result == 0)
        n->subscriber_count++;
    return result;
}

static int subscribe_all(struct namespaces *n, struct error *err)
{
    const struct resource_registry *registry = n->api->options.registry;
    n->subscribers = mem_array_of(struct store_subscriber *, registry->count + 1);
    int r = subscribe(n, n->api->namespace_resource, on_namespaces, err);
    for (size_t i = 0; r == 0 && i < registry->count; i++)
        if (is_content(registry->resources[i]))
            r = subscribe(n, registry->resources[i], on_content, err);
    return r;
}

/* ---- start and stop
 * --------------------------------------------------------------------------------------------------- */

static int ensure_namespace(struct api *api, str name, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct resource *r = api->namespace_resource;
    char uuid[37];
    rand_uuid(uuid);
    const struct json *labels = JSON_OBJECT_OF(a, JSON_MEMBER("kubernetes.io/metadata.name", json_string(a, name)));
    const struct json *metadata =
        JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, name)), JSON_MEMBER("uid", json_string(a, str_from(uuid))),
                       JSON_MEMBER("creationTimestamp", json_string(a, rfc3339_seconds(a, clock_realtime_ns()))),
                       JSON_MEMBER("labels", labels));
    const struct json *tree =
        JSON_OBJECT_OF(a, JSON_MEMBER("apiVersion", json_string(a, S("v1"))),
                       JSON_MEMBER("kind", json_string(a, S("Namespace"))), JSON_MEMBER("metadata", metadata),
                       JSON_MEMBER("status", JSON_OBJECT_OF(a, JSON_MEMBER("phase", json_string(a, S("Active"))))));
    CLEANUP(object_unrefp) struct object *object = object_from_tree(tree, 0);
    const struct storage_write write = {
        .kind = STORAGE_PUT,
        .expect = STORAGE_EXPECT_ABSENT,
        .key = resource_key(a, r, (str) { 0 }, name),
        .object = object,
    };
    int result = store_write_wait(r->store, &write, NULL, err);
    return result == ERRC_EXISTS ? 0 : result;
}

int namespaces_start(struct api *api, struct error *err)
{
    if (!api->namespace_resource)
        return 0;
    int r = ensure_namespace(api, S("default"), err);
    if (r == 0)
        r = ensure_namespace(api, S("kube-system"), err);
    if (r < 0)
        return error_wrap(err, r, "creating the first namespaces");
    struct namespaces *n = mem_new_of(struct namespaces);
    n->api = api;
    n->wanted = queue_new(QUEUE_MAX);
    atomic_store(&n->look_at_all, true); /* those that were being emptied when the server ended */
    want(n, S("default"));
    r = subscribe_all(n, err);
    if (r == 0)
        r = thread_start(&n->thread, "namespaces", run, n, err);
    if (r == 0) {
        api->namespaces = n;
        return 0;
    }
    for (size_t i = 0; i < n->subscriber_count; i++)
        store_unsubscribe(n->subscribers[i]);
    mem_free(n->subscribers);
    for (char *name; (name = queue_pop(n->wanted, 0)) != NULL;)
        mem_free(name);
    queue_free(n->wanted);
    mem_free(n);
    return r;
}

void namespaces_stop(struct api *api)
{
    struct namespaces *n = api->namespaces;
    if (!n)
        return;
    for (size_t i = 0; i < n->subscriber_count; i++)
        store_unsubscribe(n->subscribers[i]);
    queue_close(n->wanted);
    pthread_join(n->thread, NULL);
    for (char *name; (name = queue_pop(n->wanted, 0)) != NULL;)
        mem_free(name);
    queue_free(n->wanted);
    mem_free(n->subscribers);
    mem_free(n);
    api->namespaces = NULL;
}
