/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers and watches at once, under ThreadSanitizer too: through the in-process transport every watch sees every
 * change once, in order, while others come and go; and the whole ends cleanly.
 */
#include "apiserver/inprocess.h"
#include "apiserver/resources.h"
#include "base/clock.h"
#include "test/harness/race.h"
#include "test/harness/wait.h"
#include "json/json_parse.h"

#define WRITERS 3
#define OBJECTS 40
#define WATCHES 8

static struct kube_client *client;

struct watcher {
    struct kube_watch *watch;
    atomic_int added, deleted, wrong, ended;
    uint64_t last; /* home thread */
};

static uint64_t version_of(str object)
{
    struct arena *a = arena_new();
    const struct json *tree;
    uint64_t version = 0;
    CHECK(json_parse(a, object, NULL, &tree, NULL) == 0);
    CHECK(str_to_u64(json_str_at(tree, "metadata.resourceVersion"), &version));
    arena_free(a);
    return version;
}

static void on_event(void *self, enum kube_event_type type, str object)
{
    struct watcher *w = self;
    uint64_t version = version_of(object);
    if (type != KUBE_BOOKMARK && version <= w->last)
        atomic_fetch_add(&w->wrong, 1);
    w->last = version;
    if (type == KUBE_ADDED)
        atomic_fetch_add(&w->added, 1);
    if (type == KUBE_DELETED)
        atomic_fetch_add(&w->deleted, 1);
}

static void on_end(void *self, const struct error *err)
{
    (void)err;
    atomic_fetch_add(&((struct watcher *)self)->ended, 1);
}

static const struct kube_watch_ops ops = { .on_event = on_event, .on_end = on_end };

static str secrets(struct arena *a, str name)
{
    return kube_path(a, (str) { 0 }, S("secrets"), S("default"), name, (str) { 0 });
}

static void open_watch(struct watcher *w, str version)
{
    struct arena *a = arena_new();
    struct error err;
    CHECK(kube_watch_start(client, secrets(a, (str) { 0 }), version, &ops, w, &w->watch, &err) == 0);
    arena_free(a);
}

static void write_one(int writer, int i)
{
    struct arena *a = arena_new();
    struct error err;
    str name = arena_printf(a, "s-%d-%d", writer, i);
    const struct json *object =
        JSON_OBJECT_OF(a, JSON_MEMBER("metadata", JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, name)))));
    const struct json *patch =
        JSON_OBJECT_OF(a, JSON_MEMBER("stringData", JSON_OBJECT_OF(a, JSON_MEMBER("a", json_string(a, name)))));
    CHECK(kube_create(client, a, secrets(a, (str) { 0 }), object, NULL, &err) == 0);
    CHECK(kube_merge_patch(client, a, secrets(a, name), patch, NULL, &err) == 0);
    if (i % 2 == 0)
        CHECK(kube_delete(client, a, secrets(a, name), (str) { 0 }, &err) == 0);
    arena_free(a);
}

static void *writer(void *arg)
{
    static atomic_int next;
    int me = atomic_fetch_add(&next, 1);
    (void)arg;
    for (int i = 0; i < OBJECTS; i++) {
        write_one(me, i);
        if (me == 0 && i % 8 == 0) { /* a watch that does not stay */
            struct watcher passing = { 0 };
            open_watch(&passing, S("1"));
            kube_watch_stop(passing.watch);
        }
    }
    return NULL;
}

static void wait_for(atomic_int *value, int wanted)
{
    int64_t deadline = deadline_in_ms(60000);
    while (atomic_load(value) < wanted) {
        CHECK(!deadline_has_passed(deadline));
        wait_a_little();
    }
}

static void run(struct api *api)
{
    static struct watcher watchers[WATCHES];
    struct inprocess *transport;
    struct error err;
    CHECK(inprocess_new(api, &transport, &err) == 0);
    client = inprocess_client(transport);
    for (size_t i = 0; i < WATCHES; i++)
        open_watch(&watchers[i], S("2"));
    race(WRITERS, writer, NULL);
    for (size_t i = 0; i < WATCHES; i++) {
        wait_for(&watchers[i].added, WRITERS * OBJECTS);
        wait_for(&watchers[i].deleted, WRITERS * OBJECTS / 2);
        CHECK(watchers[i].wrong == 0);
        CHECK(watchers[i].added == WRITERS * OBJECTS);
    }
    for (size_t i = 0; i < WATCHES / 2; i++)
        kube_watch_stop(watchers[i].watch);
    api_end_watches(api);
    for (size_t i = WATCHES / 2; i < WATCHES; i++) {
        wait_for(&watchers[i].ended, 1);
        kube_watch_stop(watchers[i].watch);
    }
    inprocess_free(transport);
}

int main(void)
{
    struct arena *a = arena_new();
    struct environment environment = { 0 };
    const struct resources_options kinds = { .environment = &environment, .has_core_kinds = true };
    struct resource **resources;
    struct resource_registry registry;
    struct error err;
    CHECK(resources_load(a, &kinds, &resources, &registry.count, &err) == 0);
    const struct store_options store_options = { .url = S("memory:") };
    struct store *store;
    CHECK(store_open(&store_options, &store, &err) == 0);
    for (size_t i = 0; i < registry.count; i++)
        resources[i]->store = store;
    registry.resources = (const struct resource *const *)resources;
    const struct api_options options = { .registry = &registry };
    struct api *api;
    CHECK(api_new(&options, &api, &err) == 0);
    run(api);
    api_free(api);
    store_close(store);
    arena_free(a);
    return 0;
}
