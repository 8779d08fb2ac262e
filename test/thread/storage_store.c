/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers, readers, watchers that come and go, and a close in the middle of writes: on both drivers. A watcher keeps a
 * replica from one list and the events behind it; in the end it must be what the store has.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/blob.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/thread.h"
#include "harness/race.h"
#include "harness/temp_dir.h"
#include "storage/store.h"

enum { WRITERS = 4, READERS = 2, WATCHERS = 2, WRITES = 250, NAMES = 20 };

static struct store *store;
static atomic_int next_role;
static atomic_int writers_left;
static atomic_int written;

static str key_of(struct arena *a, int name)
{
    return arena_printf(a, "/g/things/ns/n%d", name);
}

/* One change of one of a few names that all writers fight for. True when it won. */
static bool write_once(int n)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    int name = n * 7 % NAMES;
    CLEANUP(object_unrefp) struct object *old = store_get(store, key_of(a, name));
    CLEANUP(object_unrefp) struct object *object = NULL;
    struct error err;
    struct storage_write w = {
        .kind = old && n % 5 == 0 ? STORAGE_DELETE : STORAGE_PUT,
        .expect = old ? STORAGE_EXPECT_REVISION : STORAGE_EXPECT_ABSENT,
        .revision = old ? old->resource_version : 0,
        .key = key_of(a, name),
        .value = arena_printf(a, "{\"metadata\":{\"name\":\"n%d\"},\"spec\":%d}", name, n),
    };
    int r = store_write_wait(store, &w, &object, &err);
    if (r != 0) {
        CHECK(r == ERRC_CONFLICT || r == ERRC_EXISTS || r == ERRC_NOT_FOUND);
        return false;
    }
    /* Acknowledged means shown. */
    CHECK(store_revision(store) >= object->resource_version);
    CLEANUP(object_unrefp) struct object *shown = store_get(store, key_of(a, name));
    if (shown && w.kind == STORAGE_PUT)
        CHECK(shown->resource_version >= object->resource_version);
    return true;
}

static void be_writer(int number)
{
    for (int i = 0; i < WRITES; i++)
        if (write_once(number + i * WRITERS))
            (void)atomic_fetch_add(&written, 1);
    (void)atomic_fetch_sub(&writers_left, 1);
}

static void be_reader(void)
{
    rv last = 0;
    while (atomic_load(&writers_left) > 0) {
        CLEANUP(arena_freep) struct arena *a = arena_new();
        struct store_list list;
        struct watch_event **events = NULL;
        size_t count = 0;
        rv up_to = 0;
        struct error err;
        store_list(store, a, S("/g/things/"), S(""), 0, &list);
        CHECK(list.revision >= last);
        last = list.revision;
        for (size_t i = 0; i < list.count; i++)
            CHECK(list.objects[i]->resource_version <= last);
        CHECK(store_events_since(store, a, S("/g/things/"), last, &events, &count, &up_to, &err) == 0);
        for (size_t i = 0; i < count; i++)
            CHECK(watch_event_frame(events[i])->len > 0 && events[i]->revision > last);
        struct store_list past;
        CHECK(store_list_at(store, a, S("/g/things/"), S(""), 0, last, &past, &err) == 0);
        CHECK(past.count == list.count);
        CHECK(store_health(store, &err) == 0);
        CHECK(store_wait_revision(store, last, deadline_in_ms(1000), &err) == 0);
    }
}

struct replica {
    pthread_mutex_t mutex;
    struct map *revisions; /* name -> revision of its newest object */
    rv start, up_to;
    size_t events;
};

static void on_events(void *self, struct watch_event *const *events, size_t count, rv up_to)
{
    struct replica *r = self;
    CHECK(pthread_mutex_lock(&r->mutex) == 0);
    for (size_t i = 0; i < count; i++) {
        const struct watch_event *e = events[i];
        CHECK(e->revision > r->up_to);
        r->up_to = e->revision;
        void *before = map_get(r->revisions, e->object->name);
        CHECK((before == NULL) == (e->type == WATCH_ADDED));
        if (before)
            CHECK((rv)(uintptr_t)before == e->old_object->resource_version);
        if (e->type == WATCH_DELETED)
            (void)map_remove(r->revisions, e->object->name);
        else
            (void)map_put(r->revisions, e->object->name, (void *)(uintptr_t)e->revision);
    }
    r->events += count;
    CHECK(up_to >= r->up_to);
    CHECK(pthread_mutex_unlock(&r->mutex) == 0);
}

static void check_replica(struct replica *r, const struct store_list *list)
{
    CHECK(pthread_mutex_lock(&r->mutex) == 0);
    CHECK(map_count(r->revisions) == list->count);
    for (size_t i = 0; i < list->count; i++)
        CHECK((rv)(uintptr_t)map_get(r->revisions, list->objects[i]->name) == list->objects[i]->resource_version);
    CHECK(pthread_mutex_unlock(&r->mutex) == 0);
}

static struct store_subscriber *watch(struct replica *r)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct store_subscriber *sub = NULL;
    struct store_list list;
    struct error err;
    rv from = 0;
    *r = (struct replica) { .revisions = map_new() };
    CHECK(pthread_mutex_init(&r->mutex, NULL) == 0);
    store_list(store, a, S("/g/things/"), S(""), 0, &list);
    for (size_t i = 0; i < list.count; i++)
        (void)map_put(r->revisions, list.objects[i]->name, (void *)(uintptr_t)list.objects[i]->resource_version);
    r->start = r->up_to = list.revision;
    CHECK(store_subscribe(store, S("/g/things/"), list.revision, on_events, r, &sub, &from, &err) == 0);
    CHECK(from >= list.revision);
    return sub;
}

static void end_watch(struct store_subscriber *sub, struct replica *r)
{
    store_unsubscribe(sub);
    map_free(r->revisions, NULL);
    CHECK(pthread_mutex_destroy(&r->mutex) == 0);
}

static void be_watcher(void)
{
    struct replica whole;
    struct store_subscriber *from_start = watch(&whole);
    while (atomic_load(&writers_left) > 0) {
        struct replica brief;
        struct store_subscriber *sub = watch(&brief);
        struct error err;
        rv seen = store_subscriber_revision(sub);
        int r = store_wait_revision(store, seen + 5, deadline_in_ms(20), &err);
        CHECK(r == 0 || r == ERRC_TIMEOUT);
        end_watch(sub, &brief);
    }
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct store_list list;
    store_list(store, a, S("/g/things/"), S(""), 0, &list);
    check_replica(&whole, &list);
    CHECK(whole.events == list.revision - whole.start);
    end_watch(from_start, &whole);
}

static void *take_part(void *arg UNUSED)
{
    int role = atomic_fetch_add(&next_role, 1);
    if (role < WATCHERS) {
        be_watcher();
    } else if (role < WATCHERS + READERS) {
        be_reader();
    } else {
        be_writer(role - WATCHERS - READERS);
    }
    return NULL;
}

/* ---- closing under load --------------------------------------------------------------------------------------------
 */

static atomic_int accepted;
static atomic_int answered;

static void on_done(void *self UNUSED, int result UNUSED, struct object *object UNUSED, const struct error *err UNUSED)
{
    (void)atomic_fetch_add(&answered, 1);
}

static atomic_bool stops;

static void *write_until_stopped(void *arg UNUSED)
{
    static const struct storage_write w = { .kind = STORAGE_PUT,
                                            .expect = STORAGE_EXPECT_ABSENT,
                                            .key = S_INIT("/g/things/late"),
                                            .value = S_INIT("{\"metadata\":{\"name\":\"late\"}}") };
    while (!atomic_load(&stops))
        if (store_write(store, &w, on_done, NULL, NULL) == 0)
            (void)atomic_fetch_add(&accepted, 1);
    return NULL;
}

static void close_with_writes_waiting(void)
{
    pthread_t thread;
    struct error err;
    CHECK(thread_start(&thread, "late", write_until_stopped, NULL, &err) == 0);
    while (atomic_load(&accepted) < 50)
        (void)store_revision(store);
    atomic_store(&stops, true);
    CHECK(pthread_join(thread, NULL) == 0);
    store_close(store);
    CHECK(atomic_load(&answered) == atomic_load(&accepted));
}

static void run_on(str url)
{
    struct error err;
    struct store_options options = { .url = url, .batch_max = 8, .compact_interval_ms = 50, .compact_keep = 2000 };
    CHECK(store_open(&options, &store, &err) == 0);
    atomic_store(&next_role, 0);
    atomic_store(&written, 0);
    atomic_store(&accepted, 0);
    atomic_store(&answered, 0);
    atomic_store(&stops, false);
    atomic_store(&writers_left, WRITERS);
    race(WRITERS + READERS + WATCHERS, take_part, NULL);
    CHECK(atomic_load(&written) > WRITES / 2);
    close_with_writes_waiting();
}

int main(void)
{
    TEMP_DIR(dir);
    struct arena *a = arena_new();
    run_on(S("memory:"));
    run_on(arena_printf(a, "sqlite:%s/store.db", dir.path));
    arena_free(a);
    return 0;
}
