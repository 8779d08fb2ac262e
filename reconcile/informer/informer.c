/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The informer: one thread lists and then watches; events that the transport's thread delivers go into the map under
 * the lock and are passed on outside of it. Objects are kept as text and parsed into the reader's arena.
 */
#include "reconcile/informer.h"

#include <pthread.h>

#include "base/blob.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/thread.h"
#include "json/json_parse.h"
#include "json/json_write.h"

#define LIST_DEADLINE_MS 30000
#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 10000
#define STEADY_NS NS_PER_S /* what held so long did not fail at once: the back-off starts anew */

struct informer {
    struct kube_client *client;
    char *path;
    informer_fn on_change;
    void *self;
    pthread_t thread;

    pthread_mutex_t lock; /* protects what follows; no callback under it */
    pthread_cond_t changed;
    struct map *objects; /* "ns/name" → struct blob */
    char last_version[24];
    bool has_synced, is_stopping, watch_ended;
    int watch_result; /* enum err of the watch's end */
};

static str key_of(struct arena *a, const struct json *object)
{
    str ns = json_str_at(object, "metadata.namespace"), name = json_str_at(object, "metadata.name");
    return arena_printf(a, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
}

static void remember_version(struct informer *inf, str version)
{
    if (version.len && version.len < sizeof(inf->last_version)) {
        memcpy(inf->last_version, version.ptr, version.len);
        inf->last_version[version.len] = '\0';
    }
}

static void on_event(void *self, enum kube_event_type type, str text)
{
    struct informer *inf = self;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct json *object;
    struct error err;
    if (json_parse(a, text, NULL, &object, &err) < 0) {
        log_error("watch delivered no JSON", LOG_Z("path", inf->path), LOG_ERROR(&err));
        return;
    }
    str key = key_of(a, object);
    struct blob *old = NULL;
    pthread_mutex_lock(&inf->lock);
    remember_version(inf, json_str_at(object, "metadata.resourceVersion"));
    if (type == KUBE_DELETED)
        old = map_remove(inf->objects, key);
    else if (type != KUBE_BOOKMARK)
        old = map_put(inf->objects, key, blob_new(text));
    pthread_mutex_unlock(&inf->lock);
    (void)blob_unref(old);
    if (type != KUBE_BOOKMARK)
        inf->on_change(inf->self, type, object);
}

static void on_end(void *self, const struct error *err)
{
    struct informer *inf = self;
    pthread_mutex_lock(&inf->lock);
    inf->watch_ended = true;
    inf->watch_result = err ? (int)err->code : 0;
    pthread_cond_broadcast(&inf->changed);
    pthread_mutex_unlock(&inf->lock);
}

static bool should_stop(struct informer *inf)
{
    pthread_mutex_lock(&inf->lock);
    bool stop = inf->is_stopping;
    pthread_mutex_unlock(&inf->lock);
    return stop;
}

static bool is_same_version(struct arena *a, const struct blob *old, const struct json *object)
{
    const struct json *before;
    return json_parse(a, blob_str(old), NULL, &before, NULL) == 0 &&
           str_eq(json_str_at(before, "metadata.resourceVersion"), json_str_at(object, "metadata.resourceVersion"));
}

/* Puts the list into the map; afterwards tells the handler of every object that is new or changed, and of those that
 * vanished. */
static int list_all(struct informer *inf, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct kube_request req = { .method = "GET",
                                      .path = str_from(inf->path),
                                      .deadline_ns = deadline_in_ms(LIST_DEADLINE_MS) };
    struct kube_response res;
    int r = kube_call(inf->client, a, &req, &res, err);
    if (r < 0)
        return error_wrap(err, r, "listing %s", inf->path);
    const struct json *items = json_get(res.body, S("items"));
    struct map *fresh = map_new();
    for (size_t i = 0; i < json_count(items); i++) {
        const struct json *o = json_item(items, i);
        (void)blob_unref(map_put(fresh, key_of(a, o), blob_new(json_text(a, o))));
    }
    pthread_mutex_lock(&inf->lock);
    struct map *old = inf->objects;
    inf->objects = fresh;
    remember_version(inf, json_str_at(res.body, "metadata.resourceVersion"));
    pthread_mutex_unlock(&inf->lock);

    for (size_t i = 0; i < json_count(items); i++) {
        const struct json *o = json_item(items, i);
        const struct blob *before = map_get(old, key_of(a, o));
        if (!before || !is_same_version(a, before, o))
            inf->on_change(inf->self, before ? KUBE_MODIFIED : KUBE_ADDED, o);
    }
    size_t i = 0;
    str key;
    void *value;
    while (map_next(old, &i, &key, &value)) {
        const struct json *gone;
        /* Only this thread replaces `fresh`, and the watch is not running: reading it without the lock is safe. */
        if (!map_get(fresh, key) && json_parse(a, blob_str(value), NULL, &gone, NULL) == 0)
            inf->on_change(inf->self, KUBE_DELETED, gone);
    }
    i = 0;
    while (map_next(old, &i, &key, &value))
        (void)blob_unref(value);
    map_free(old, NULL);
    pthread_mutex_lock(&inf->lock);
    inf->has_synced = true;
    pthread_cond_broadcast(&inf->changed);
    pthread_mutex_unlock(&inf->lock);
    return 0;
}

/* One watch from start to end. Returns 0 to watch again, ERRC_TOO_OLD to list again, other errors to back off. */
static int watch_once(struct informer *inf, struct error *err)
{
    static const struct kube_watch_ops ops = { .on_event = on_event, .on_end = on_end };
    char version[sizeof(inf->last_version)];
    pthread_mutex_lock(&inf->lock);
    memcpy(version, inf->last_version, sizeof(version));
    inf->watch_ended = false;
    pthread_mutex_unlock(&inf->lock);

    struct kube_watch *watch = NULL;
    int r = kube_watch_start(inf->client, str_from(inf->path), str_from(version), &ops, inf, &watch, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&inf->lock);
    while (!inf->watch_ended && !inf->is_stopping)
        pthread_cond_wait(&inf->changed, &inf->lock);
    r = inf->watch_ended ? inf->watch_result : 0;
    pthread_mutex_unlock(&inf->lock);
    kube_watch_stop(watch);
    if (r < 0)
        return error_set(err, (enum err)r, "watch of %s ended: %s", inf->path, error_code_name(r));
    return 0;
}

/* Waits ms or until the informer stops. */
static void pause_for(struct informer *inf, int64_t ms)
{
    struct timespec until = clock_to_timespec(deadline_in_ms(ms));
    pthread_mutex_lock(&inf->lock);
    while (!inf->is_stopping && pthread_cond_timedwait(&inf->changed, &inf->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&inf->lock);
}

static int64_t longer(int64_t ms)
{
    if (ms == 0)
        return BACKOFF_FIRST_MS;
    return ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : ms * 2;
}

static void *run(void *arg)
{
    struct informer *inf = arg;
    int64_t pause_ms = 0; /* the first try after a steady time is made at once */
    bool must_list = true;
    while (!should_stop(inf)) {
        struct error err;
        error_clear(&err);
        int64_t began_ns = clock_monotonic_ns();
        int r = must_list ? list_all(inf, &err) : 0;
        if (r == 0)
            r = watch_once(inf, &err);
        must_list = r < 0;
        if (clock_monotonic_ns() - began_ns >= STEADY_NS)
            pause_ms = 0;
        if (r < 0 && r != ERRC_TOO_OLD && !should_stop(inf))
            log_warn("informer starts again", LOG_Z("path", inf->path), LOG_ERROR(&err));
        pause_for(inf, pause_ms);
        pause_ms = longer(pause_ms);
    }
    return NULL;
}

int informer_start(struct kube_client *client, str collection_path, informer_fn on_change, void *self,
                   struct informer **ret, struct error *err)
{
    struct informer *inf = mem_new_of(struct informer);
    inf->client = client;
    inf->path = mem_alloc(collection_path.len + 1);
    memcpy(inf->path, collection_path.ptr, collection_path.len);
    inf->on_change = on_change;
    inf->self = self;
    inf->objects = map_new();
    pthread_mutex_init(&inf->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&inf->changed, &attr);
    pthread_condattr_destroy(&attr);
    int r = thread_start(&inf->thread, "informer", run, inf, err);
    if (r < 0) {
        pthread_cond_destroy(&inf->changed);
        pthread_mutex_destroy(&inf->lock);
        map_free(inf->objects, NULL);
        mem_free(inf->path);
        mem_free(inf);
        return r;
    }
    *ret = inf;
    return 0;
}

bool informer_has_synced(struct informer *inf)
{
    pthread_mutex_lock(&inf->lock);
    bool synced = inf->has_synced;
    pthread_mutex_unlock(&inf->lock);
    return synced;
}

int informer_wait_synced(struct informer *inf, int64_t deadline_ns, struct error *err)
{
    struct timespec until = clock_to_timespec(deadline_ns);
    pthread_mutex_lock(&inf->lock);
    int waited = 0;
    while (!inf->has_synced && !inf->is_stopping && waited == 0)
        waited = pthread_cond_timedwait(&inf->changed, &inf->lock, &until);
    bool synced = inf->has_synced;
    pthread_mutex_unlock(&inf->lock);
    return synced ? 0 : error_set(err, ERRC_TIMEOUT, "%s was not listed in time", inf->path);
}

size_t informer_list(struct informer *inf, struct arena *a, str ns, const struct json ***ret_objects)
{
    pthread_mutex_lock(&inf->lock);
    size_t count = map_count(inf->objects), n = 0, i = 0;
    struct blob **blobs = arena_array_of(a, struct blob *, count);
    str key;
    void *value;
    while (map_next(inf->objects, &i, &key, &value)) {
        str head, tail;
        str_cut(key, '/', &head, &tail);
        if (ns.len == 0 || str_eq(head, ns))
            blobs[n++] = blob_ref(value);
    }
    pthread_mutex_unlock(&inf->lock);
    const struct json **objects = arena_array_of(a, const struct json *, n);
    size_t parsed = 0;
    for (i = 0; i < n; i++) {
        if (json_parse(a, blob_str(blobs[i]), NULL, &objects[parsed], NULL) == 0)
            parsed++;
        (void)blob_unref(blobs[i]);
    }
    *ret_objects = objects;
    return parsed;
}

void informer_stop(struct informer *inf)
{
    if (!inf)
        return;
    pthread_mutex_lock(&inf->lock);
    inf->is_stopping = true;
    pthread_cond_broadcast(&inf->changed);
    pthread_mutex_unlock(&inf->lock);
    pthread_join(inf->thread, NULL);
    size_t i = 0;
    str key;
    void *value;
    while (map_next(inf->objects, &i, &key, &value))
        (void)blob_unref(value);
    map_free(inf->objects, NULL);
    pthread_cond_destroy(&inf->changed);
    pthread_mutex_destroy(&inf->lock);
    mem_free(inf->path);
    mem_free(inf);
}
