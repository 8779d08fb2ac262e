/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscribers: who gets the events of a resource as they are shown. One mutex is held while a batch is shown and handed
 * out, so that a new subscriber neither misses an event nor gets one twice.
 */
#include <assert.h>

#include "base/mem.h"
#include "storage/watch_cache.h"

struct store_subscriber {
    struct list node; /* in its resource */
    struct list all;  /* in the hub */
    struct cache_hub *hub;
    store_events_fn on_events;
    void *self;
    _Atomic rv revision; /* up to here everything was handed out */
};

void cache__hub_init(struct cache_hub *hub, struct cache *c)
{
    *hub = (struct cache_hub) { .cache = c };
    list_init(&hub->all);
    (void)pthread_mutex_init(&hub->mutex, NULL);
}

void cache__hub_release(struct cache_hub *hub)
{
    assert(list_is_empty(&hub->all));
    (void)pthread_mutex_destroy(&hub->mutex);
}

void cache__hub_begin(struct cache_hub *hub)
{
    (void)pthread_mutex_lock(&hub->mutex);
}

/* Hands the events of one resource, the first of which stands at `first`, to its subscribers. */
static void deliver_resource(const struct cache_change *changes, size_t count, size_t first,
                             struct watch_event **events, rv up_to)
{
    struct cache_resource *r = changes[first].resource;
    size_t found = 0;
    for (size_t i = first; i < count; i++)
        if (changes[i].resource == r)
            events[found++] = changes[i].event;
    LIST_FOREACH (&r->subscribers, it) {
        struct store_subscriber *sub = LIST_ENTRY(it, struct store_subscriber, node);
        sub->on_events(sub->self, events, found, up_to);
    }
}

static bool is_first_of_resource(const struct cache_change *changes, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (changes[j].resource == changes[i].resource)
            return false;
    return true;
}

void cache__hub_deliver(struct cache_hub *hub, const struct cache_change *changes, size_t count, rv up_to)
{
    if (count > 0 && !list_is_empty(&hub->all)) {
        CLEANUP(arena_freep) struct arena *a = arena_new();
        struct watch_event **events = arena_array_of(a, struct watch_event *, count);
        for (size_t i = 0; i < count; i++)
            if (!list_is_empty(&changes[i].resource->subscribers) && is_first_of_resource(changes, i))
                deliver_resource(changes, count, i, events, up_to);
        LIST_FOREACH (&hub->all, it)
            atomic_store(&LIST_ENTRY(it, struct store_subscriber, all)->revision, up_to);
    }
    (void)pthread_mutex_unlock(&hub->mutex);
}

int cache__subscribe(struct cache_hub *hub, str prefix, rv after, store_events_fn on_events, void *self,
                     struct store_subscriber **ret, rv *ret_from, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct cache_resource *r = cache__resource(hub->cache, prefix);
    struct watch_event **events = NULL;
    size_t count = 0;
    int result = 0;
    (void)pthread_mutex_lock(&hub->mutex);
    *ret_from = cache__revision(hub->cache);
    if (after != 0)
        result = cache__events_since(hub->cache, a, prefix, after, &events, &count, ret_from, err);
    if (result == 0) {
        struct store_subscriber *sub = mem_new_of(struct store_subscriber);
        *sub = (struct store_subscriber) { .hub = hub, .on_events = on_events, .self = self };
        atomic_init(&sub->revision, *ret_from);
        if (count > 0)
            on_events(self, events, count, *ret_from);
        list_add_tail(&r->subscribers, &sub->node);
        list_add_tail(&hub->all, &sub->all);
        *ret = sub;
    }
    (void)pthread_mutex_unlock(&hub->mutex);
    return result;
}

void store_unsubscribe(struct store_subscriber *sub)
{
    struct cache_hub *hub = sub->hub;
    (void)pthread_mutex_lock(&hub->mutex);
    list_remove(&sub->node);
    list_remove(&sub->all);
    (void)pthread_mutex_unlock(&hub->mutex);
    mem_free(sub);
}

rv store_subscriber_revision(const struct store_subscriber *sub)
{
    return atomic_load(&sub->revision);
}
