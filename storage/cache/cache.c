/* SPDX-License-Identifier: Apache-2.0 */
/* Resources, and reads and changes of their objects and events under the one lock. */
#include "storage/watch_cache.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "storage/driver.h"

void cache__init(struct cache *c, size_t window)
{
    pthread_rwlockattr_t attr;
    (void)pthread_rwlockattr_init(&attr);
    /* glibc prefers readers by default: a stream of them would keep the writer waiting for ever. */
    (void)pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    *c = (struct cache) { .window = window };
    (void)pthread_rwlock_init(&c->lock, &attr);
    (void)pthread_rwlockattr_destroy(&attr);
}

void cache__release(struct cache *c)
{
    for (size_t i = 0; i < c->resource_count; i++) {
        struct cache_resource *r = c->resources[i];
        cache__ring_release(&r->ring);
        cache__index_release(&r->index);
        mem_free(r->prefix);
        mem_free(r);
    }
    mem_free(c->resources);
    (void)pthread_rwlock_destroy(&c->lock);
}

void cache__split(str key, str *ret_prefix, str *ret_rest)
{
    size_t slashes = 0;
    size_t len = 0;
    while (len < key.len && slashes < 3)
        slashes += key.ptr[len++] == '/';
    *ret_prefix = str_first(key, len);
    *ret_rest = str_from_offset(key, len);
}

/* Under the lock, or on the writer. */
static size_t position_of(const struct cache *c, str prefix)
{
    size_t i = 0;
    while (i < c->resource_count && str_cmp(str_of(c->resources[i]->prefix, c->resources[i]->prefix_len), prefix) < 0)
        i++;
    return i;
}

static struct cache_resource *find(const struct cache *c, str prefix)
{
    size_t i = position_of(c, prefix);
    bool is_there =
        i < c->resource_count && str_eq(str_of(c->resources[i]->prefix, c->resources[i]->prefix_len), prefix);
    return is_there ? c->resources[i] : NULL;
}

static struct cache_resource *add(struct cache *c, str prefix)
{
    if (c->resource_count == c->resource_cap) {
        c->resource_cap = c->resource_cap > 0 ? c->resource_cap * 2 : 16;
        c->resources = mem_realloc(c->resources, c->resource_cap * sizeof(struct cache_resource *));
    }
    struct cache_resource *r = mem_new_of(struct cache_resource);
    r->prefix = mem_alloc(prefix.len + 1);
    memcpy(r->prefix, prefix.ptr, prefix.len);
    r->prefix_len = prefix.len;
    r->ring = (struct cache_ring) { .max = c->window, .from = c->from };
    list_init(&r->subscribers);
    size_t i = position_of(c, prefix);
    memmove(c->resources + i + 1, c->resources + i, (c->resource_count - i) * sizeof(struct cache_resource *));
    c->resources[i] = r;
    c->resource_count++;
    return r;
}

struct cache_resource *cache__resource(struct cache *c, str prefix)
{
    (void)pthread_rwlock_rdlock(&c->lock);
    struct cache_resource *r = find(c, prefix);
    (void)pthread_rwlock_unlock(&c->lock);
    if (r)
        return r;
    (void)pthread_rwlock_wrlock(&c->lock);
    r = find(c, prefix);
    if (!r)
        r = add(c, prefix);
    (void)pthread_rwlock_unlock(&c->lock);
    return r;
}

void cache__load(struct cache *c, str key, struct object *object)
{
    str prefix;
    str rest;
    cache__split(key, &prefix, &rest);
    struct cache_resource *r = cache__resource(c, prefix);
    (void)object_unref(cache__index_put(&r->index, rest, object_ref(object)));
}

struct watch_event *cache__apply(struct cache *c, str key, struct object *object, rv revision,
                                 struct cache_resource **ret_resource)
{
    str prefix;
    str rest;
    cache__split(key, &prefix, &rest);
    struct cache_resource *r = cache__resource(c, prefix);
    /* Without the lock: nobody else changes the index. */
    struct object *old = cache__index_get(&r->index, rest);
    CLEANUP(object_unrefp) struct object *shown = NULL;
    if (object) {
        shown = object_ref(object);
    } else {
        assert(old);
        shown = object_with_version(old, revision);
    }
    enum watch_event_type type = !object ? WATCH_DELETED : old ? WATCH_MODIFIED : WATCH_ADDED;
    struct watch_event *e = cache__event_new(type, revision, shown, old);

    (void)pthread_rwlock_wrlock(&c->lock);
    struct object *replaced =
        object ? cache__index_put(&r->index, rest, object_ref(object)) : cache__index_remove(&r->index, rest);
    cache__ring_push(&r->ring, watch_event_ref(e));
    c->revision = revision;
    struct watch_event *evicted = cache__ring_evict(&r->ring);
    (void)pthread_rwlock_unlock(&c->lock);

    (void)object_unref(replaced);
    while (evicted) {
        (void)watch_event_unref(evicted);
        (void)pthread_rwlock_wrlock(&c->lock);
        evicted = cache__ring_evict(&r->ring);
        (void)pthread_rwlock_unlock(&c->lock);
    }
    *ret_resource = r;
    return e;
}

struct object *cache__get(struct cache *c, str key)
{
    str prefix;
    str rest;
    cache__split(key, &prefix, &rest);
    (void)pthread_rwlock_rdlock(&c->lock);
    struct cache_resource *r = find(c, prefix);
    struct object *object = r ? cache__index_get(&r->index, rest) : NULL;
    if (object)
        (void)object_ref(object);
    (void)pthread_rwlock_unlock(&c->lock);
    return object;
}

static void unref_objects(void *p)
{
    struct store_list *list = p;
    for (size_t i = 0; i < list->count; i++)
        (void)object_unref(list->objects[i]);
}

static void list_locked(const struct cache_index *x, struct arena *a, size_t first, size_t end, struct store_list *list)
{
    list->objects = arena_array_of(a, struct object *, list->count);
    for (size_t i = 0; i < list->count; i++)
        list->objects[i] = object_ref(x->entries[first + i]->object);
    list->remaining = end - first - list->count;
    list->has_more = list->remaining > 0;
}

void cache__list(struct cache *c, struct arena *a, str prefix, str start_after, size_t limit, struct store_list *ret)
{
    str resource;
    str rest;
    cache__split(prefix, &resource, &rest);
    /* Of the arena, not the caller's: its references are released with the arena. */
    struct store_list *list = arena_new_of(a, struct store_list);
    str behind = str_has_prefix(start_after, resource) ? str_from_offset(start_after, resource.len) : S("");
    bool is_behind_all = str_is_empty(behind) && str_cmp(start_after, resource) > 0;

    (void)pthread_rwlock_rdlock(&c->lock);
    struct cache_resource *r = find(c, resource);
    list->revision = c->revision;
    if (r && !is_behind_all) {
        size_t first;
        size_t end;
        cache__index_range(&r->index, rest, behind, &first, &end);
        list->count = limit > 0 && end - first > limit ? limit : end - first;
        list_locked(&r->index, a, first, end, list);
    }
    (void)pthread_rwlock_unlock(&c->lock);
    arena_on_release(a, unref_objects, list);
    *ret = *list;
}

struct events {
    struct watch_event **items;
    size_t count;
};

static void unref_events(void *p)
{
    struct events *events = p;
    for (size_t i = 0; i < events->count; i++)
        (void)watch_event_unref(events->items[i]);
}

int cache__events_since(struct cache *c, struct arena *a, str prefix, rv after, struct watch_event ***ret_events,
                        size_t *ret_count, rv *ret_up_to, struct error *err)
{
    struct events *events = arena_new_of(a, struct events);
    (void)pthread_rwlock_rdlock(&c->lock);
    struct cache_resource *r = find(c, prefix);
    int result = storage__check_revision(after, r ? r->ring.from : c->from, c->revision, err);
    if (result == 0 && r) {
        size_t first = cache__ring_position(&r->ring, after);
        events->count = r->ring.count - first;
        events->items = arena_array_of(a, struct watch_event *, events->count);
        for (size_t i = 0; i < events->count; i++)
            events->items[i] = watch_event_ref(cache__ring_at(&r->ring, first + i));
    }
    *ret_up_to = c->revision;
    (void)pthread_rwlock_unlock(&c->lock);
    arena_on_release(a, unref_events, events);
    *ret_events = events->items;
    *ret_count = events->count;
    return result;
}

rv cache__revision(struct cache *c)
{
    (void)pthread_rwlock_rdlock(&c->lock);
    rv revision = c->revision;
    (void)pthread_rwlock_unlock(&c->lock);
    return revision;
}
