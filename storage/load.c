/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling the cache when a store is opened: the state of some revisions ago, and then every change since, so that the
 * window of events reaches back beyond the restart and watchers go on where they were.
 */
#include "storage/internal.h"

#include "base/mem.h"

#define PAGE 500

static int read_object(str key, str value, rv revision, struct object **ret, struct error *err)
{
    int r = object_new(value, revision, ret, err);
    return r == 0 ? 0 : error_wrap(err, ERRC_INTERNAL, "stored object \"%.*s\" cannot be read", STR_ARG(key));
}

static int load_rows(struct store *s, const struct storage_list_result *page, struct error *err)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct storage_row *row = &page->rows[i];
        CLEANUP(object_unrefp) struct object *object = NULL;
        int r = read_object(row->key, row->value, row->mod_revision, &object, err);
        if (r != 0)
            return r;
        cache__load(&s->cache, row->key, object);
    }
    return 0;
}

static int load_state(struct store *s, rv at, struct error *err)
{
    /* Each page dies when the next one is there, for the last key of one is the start of the next. */
    CLEANUP(arena_freep) struct arena *previous = NULL;
    str last = S("");
    bool has_more = true;
    while (has_more) {
        struct arena *a = arena_new();
        struct storage_list_result page;
        int r = s->driver->ops->list(s->driver, a, S("/"), last, PAGE, at, &page, err);
        arena_free(previous);
        previous = a;
        if (r == 0)
            r = load_rows(s, &page, err);
        if (r != 0)
            return r;
        has_more = page.has_more;
        if (has_more)
            last = page.rows[page.count - 1].key;
    }
    return 0;
}

static int replay(struct store *s, const struct storage_event *e, struct error *err)
{
    CLEANUP(object_unrefp) struct object *object = NULL;
    struct cache_resource *resource;
    int r = e->is_delete ? 0 : read_object(e->key, e->value, e->revision, &object, err);
    if (r != 0)
        return r;
    struct watch_event *event = cache__apply(&s->cache, e->key, object, e->revision, &resource);
    (void)watch_event_unref(event);
    return 0;
}

static int load_changes(struct store *s, rv after, rv until, struct error *err)
{
    while (after < until) {
        CLEANUP(arena_freep) struct arena *a = arena_new();
        struct storage_event *events = NULL;
        size_t count = 0;
        int r = s->driver->ops->changes(s->driver, a, after, PAGE, &events, &count, err);
        for (size_t i = 0; r == 0 && i < count; i++)
            r = replay(s, &events[i], err);
        if (r != 0)
            return r;
        after += count;
    }
    return 0;
}

int store__load(struct store *s, struct error *err)
{
    rv current = 0;
    rv oldest = 0;
    int r = s->driver->ops->revision(s->driver, &current, &oldest, err);
    if (r != 0)
        return r;
    rv from = current - oldest > s->options.event_window ? current - s->options.event_window : oldest;
    s->cache.from = s->cache.revision = from;
    s->compacted = s->compact_target = oldest;
    s->compact_mark = current;
    r = load_state(s, from, err);
    if (r == 0)
        r = load_changes(s, from, current, err);
    return r;
}
