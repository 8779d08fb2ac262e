/* SPDX-License-Identifier: Apache-2.0 */
/* The last events of one resource: bounded by number and by the bytes they keep alive; grows only as it fills. */
#include <string.h>

#include "base/mem.h"
#include "storage/watch_cache.h"

/* The object of an event mostly lives on as the newest one, but its frame does not: so it counts, too. */
static size_t bytes_of(const struct watch_event *e)
{
    return e->object->bytes.len + (e->old_object ? e->old_object->bytes.len : 0);
}

void cache__ring_release(struct cache_ring *ring)
{
    for (size_t i = 0; i < ring->count; i++)
        (void)watch_event_unref(cache__ring_at(ring, i));
    mem_free(ring->items);
    *ring = (struct cache_ring) { .count = 0 };
}

static void grow(struct cache_ring *ring)
{
    size_t cap = ring->cap > 0 ? ring->cap * 2 : 16;
    struct watch_event **items = mem_array_of(struct watch_event *, cap);
    for (size_t i = 0; i < ring->count; i++)
        items[i] = cache__ring_at(ring, i);
    mem_free(ring->items);
    ring->items = items;
    ring->cap = cap;
    ring->first = 0;
}

void cache__ring_push(struct cache_ring *ring, struct watch_event *e)
{
    if (ring->count == ring->cap)
        grow(ring);
    ring->items[(ring->first + ring->count) % ring->cap] = e;
    ring->count++;
    ring->bytes += bytes_of(e);
}

struct watch_event *cache__ring_evict(struct cache_ring *ring)
{
    bool is_full = ring->count > ring->max || (ring->bytes > CACHE_WINDOW_BYTES && ring->count > 1);
    if (!is_full)
        return NULL;
    struct watch_event *e = cache__ring_at(ring, 0);
    ring->first = (ring->first + 1) % ring->cap;
    ring->count--;
    ring->bytes -= bytes_of(e);
    ring->from = e->revision;
    return e;
}

size_t cache__ring_position(const struct cache_ring *ring, rv after)
{
    size_t low = 0;
    size_t high = ring->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cache__ring_at(ring, middle)->revision <= after)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
