/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watch cache: for every resource (the first two segments of a key) its objects in order of their keys, and a
 * window of its last events. One thread, the store's writer, changes it; any thread reads.
 *
 * Lock order: subscribers' mutex (subscribe.c), then `lock`. Objects and events are made and released outside `lock`,
 * so that it is held for pointer work only.
 */
#ifndef STORAGE_WATCH_CACHE_H
#define STORAGE_WATCH_CACHE_H

#include <pthread.h>

#include "base/list.h"
#include "storage/store.h"

/* Bytes that one resource's window may keep alive besides the newest objects. */
#define CACHE_WINDOW_BYTES (16u << 20)

/* ---- index.c: objects by key ------------------------------------------------------------------------------------- */

struct cache_entry {
    struct object *object; /* one reference */
    size_t key_len;
    char key[]; /* behind the resource's prefix */
};

struct cache_index {
    struct cache_entry **entries; /* sorted by key */
    size_t count, cap;
};

void cache__index_release(struct cache_index *x);
/* The object, without a new reference; NULL when absent. */
struct object *cache__index_get(const struct cache_index *x, str key);
/* Takes the reference; gives the replaced one back, or NULL. */
struct object *cache__index_put(struct cache_index *x, str key, struct object *object) MUST_USE;
/* Gives the reference back, or NULL. */
struct object *cache__index_remove(struct cache_index *x, str key) MUST_USE;
/* Positions [*ret_first, *ret_end) of the keys with the prefix that sort behind start_after (empty: all of them). */
void cache__index_range(const struct cache_index *x, str prefix, str start_after, size_t *ret_first, size_t *ret_end);

/* ---- ring.c: the window of events ----------------------------------------------------------------------------------
 */

struct cache_ring {
    struct watch_event **items; /* one reference each */
    size_t cap, first, count;
    size_t max;   /* events */
    size_t bytes; /* what they keep alive, at most CACHE_WINDOW_BYTES unless there is only one */
    rv from;      /* every event behind this revision is inside */
};

void cache__ring_release(struct cache_ring *ring);
/* Takes the reference. */
void cache__ring_push(struct cache_ring *ring, struct watch_event *e);
/* The oldest event when the window is too full, else NULL: call until NULL. The reference is the caller's. */
struct watch_event *cache__ring_evict(struct cache_ring *ring) MUST_USE;
static inline struct watch_event *cache__ring_at(const struct cache_ring *ring, size_t i)
{
    return ring->items[(ring->first + i) % ring->cap];
}
/* How many of its events, from the oldest, have a revision <= after. */
size_t cache__ring_position(const struct cache_ring *ring, rv after);

/* ---- event.c
 * --------------------------------------------------------------------------------------------------------- */

/* Takes new references of the objects. */
struct watch_event *cache__event_new(enum watch_event_type type, rv revision, struct object *object,
                                     struct object *old_object);

/* ---- cache.c
 * --------------------------------------------------------------------------------------------------------- */

struct cache_resource {
    char *prefix; /* "/group/resource/" */
    size_t prefix_len;
    struct cache_index index;
    struct cache_ring ring;
    struct list subscribers; /* subscribe.c's */
};

struct cache {
    pthread_rwlock_t lock;             /* protects what follows, and each resource's index and ring */
    struct cache_resource **resources; /* sorted by prefix; they live as long as the cache */
    size_t resource_count, resource_cap;
    rv from;     /* the window of a resource without events reaches back to here */
    rv revision; /* newest one shown */
    size_t window;
};

void cache__init(struct cache *c, size_t window);
void cache__release(struct cache *c);
/* Cuts "/group/resource/rest" behind the third slash. A key without one is a resource of its own. */
void cache__split(str key, str *ret_prefix, str *ret_rest);
/* The resource, made when it is new. prefix is a whole one. */
struct cache_resource *cache__resource(struct cache *c, str prefix);
/* Puts an object that was loaded; no event. */
void cache__load(struct cache *c, str key, struct object *object);
/*
 * Shows one change: object is the new one, or NULL for a deletion. Returns the event, with a reference for the caller.
 * Only the writer calls it, with revisions in order.
 */
struct watch_event *cache__apply(struct cache *c, str key, struct object *object, rv revision,
                                 struct cache_resource **ret_resource);
struct object *cache__get(struct cache *c, str key);
void cache__list(struct cache *c, struct arena *a, str prefix, str start_after, size_t limit, struct store_list *ret);
int cache__events_since(struct cache *c, struct arena *a, str prefix, rv after, struct watch_event ***ret_events,
                        size_t *ret_count, rv *ret_up_to, struct error *err) MUST_USE;
rv cache__revision(struct cache *c);

/* ---- subscribe.c
 * ------------------------------------------------------------------------------------------------------ */

struct cache_change {
    struct cache_resource *resource;
    struct watch_event *event;
};

struct cache_hub {
    struct cache *cache;
    pthread_mutex_t mutex; /* held while a batch is shown and handed out; protects the lists of subscribers */
    struct list all;       /* every subscriber */
};

void cache__hub_init(struct cache_hub *hub, struct cache *c);
void cache__hub_release(struct cache_hub *hub);
/* Around a batch: begin, cache__apply of each change, then deliver, which hands the events out and ends it. */
void cache__hub_begin(struct cache_hub *hub);
void cache__hub_deliver(struct cache_hub *hub, const struct cache_change *changes, size_t count, rv up_to);
int cache__subscribe(struct cache_hub *hub, str prefix, rv after, store_events_fn on_events, void *self,
                     struct store_subscriber **ret, rv *ret_from, struct error *err) MUST_USE;

#endif
