/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Homes and fan-outs. The store's writer hands events to a fan-out, which posts itself once to its home; there each
 * event is sent to every watch that wants it.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "handlers/watch.h"

#define TICK_MS 500

static const double size_buckets[] = { 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16, 1 << 17 };
static struct metric events_metric = {
    .name = "apiserver_watch_events_total",
    .help = "Events sent to watches, bookmarks included.",
    .type = METRIC_COUNTER,
    .labels = { "group", "version", "resource" },
};
static struct metric sizes_metric = {
    .name = "apiserver_watch_events_sizes",
    .help = "Size of events sent to watches in bytes.",
    .type = METRIC_HISTOGRAM,
    .labels = { "group", "version", "resource" },
    .buckets = size_buckets,
    .bucket_count = ARRAY_LEN(size_buckets),
};
static struct metric running_metric = {
    .name = "apiserver_longrunning_requests",
    .help = "Watches that are open.",
    .type = METRIC_GAUGE,
    .labels = { "verb", "group", "version", "resource", "subresource", "component" },
};

struct api_home *api_home_new(struct api *api, const struct api_home_ops *ops, void *self)
{
    struct api_home *home = mem_new_of(struct api_home);
    home->api = api;
    home->ops = ops;
    home->self = self;
    list_init(&home->fanouts);
    pthread_mutex_lock(&api->lock);
    home->next = api->homes;
    api->homes = home;
    pthread_mutex_unlock(&api->lock);
    return home;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void fanout_free(struct fanout *f)
{
    for (size_t i = 0; i < f->pending_count; i++)
        (void)watch_event_unref(f->pending[i]);
    mem_free(f->pending);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
}

/* Takes what the writer thread has put down. */
static size_t take_pending(struct fanout *f, struct watch_event ***ret)
{
    pthread_mutex_lock(&f->lock);
    *ret = TAKE(f->pending);
    size_t count = f->pending_count;
    f->pending_count = f->pending_cap = 0;
    pthread_mutex_unlock(&f->lock);
    return count;
}

static void spread(struct fanout *f, struct watch_event *e)
{
    struct frame_cache cache = { .event = e };
    LIST_FOREACH (&f->watches, it) {
        watch_deliver(LIST_ENTRY(it, struct api_watch, link), e, &cache);
    }
    frame_cache_clear(&cache);
}

static void release_if_unused(struct fanout *f);

static void process(struct fanout *f)
{
    struct watch_event **events;
    size_t count = take_pending(f, &events);
    f->is_busy = true;
    for (size_t i = 0; i < count; i++) {
        spread(f, events[i]);
        (void)watch_event_unref(events[i]);
    }
    f->is_busy = false;
    mem_free(events);
}

static void on_posted(void *arg)
{
    struct fanout *f = arg;
    pthread_mutex_lock(&f->lock);
    f->is_posted = false;
    pthread_mutex_unlock(&f->lock);
    process(f);
    release_if_unused(f);
}

/* Writer thread. */
static void on_events(void *self, struct watch_event *const *events, size_t count, rv up_to UNUSED)
{
    struct fanout *f = self;
    pthread_mutex_lock(&f->lock);
    if (f->pending_count + count > f->pending_cap) {
        f->pending_cap = 2 * (f->pending_count + count);
        f->pending = mem_realloc(f->pending, f->pending_cap * sizeof(struct watch_event *));
    }
    for (size_t i = 0; i < count; i++)
        f->pending[f->pending_count++] = watch_event_ref(events[i]);
    bool must_post = !f->is_posted && count > 0;
    f->is_posted |= must_post;
    pthread_mutex_unlock(&f->lock);
    if (!must_post || f->home->ops->post(f->home->self, on_posted, f))
        return;
    pthread_mutex_lock(&f->lock); /* the home has ended; the next event finds out as well */
    f->is_posted = false;
    pthread_mutex_unlock(&f->lock);
}

/* ---- ticks ----------------------------------------------------------------------------------------------------------
 */

static void tick_fanout(struct fanout *f, int64_t now)
{
    if (!f->subscriber)
        return; /* on its way out */
    /* In this order: what the subscriber says was handed over is pending by now, or has been sent. */
    rv up_to = store_subscriber_revision(f->subscriber);
    process(f);
    f->is_busy = true;
    LIST_FOREACH (&f->watches, it) {
        watch_tick(LIST_ENTRY(it, struct api_watch, link), now, up_to);
    }
    f->is_busy = false;
    release_if_unused(f);
}

static void on_tick(void *arg)
{
    struct api_home *home = arg;
    home->timer = NULL;
    int64_t now = clock_monotonic_ns();
    LIST_FOREACH (&home->fanouts, it) {
        tick_fanout(LIST_ENTRY(it, struct fanout, link), now);
    }
    if (home->watch_count > 0 && !home->timer)
        home->timer = home->ops->timer_start(home->self, TICK_MS, on_tick, home);
}

/* ---- fan-outs
 * -------------------------------------------------------------------------------------------------------- */

static struct fanout *fanout_new(struct api_home *home, const struct resource *r)
{
    struct fanout *f = mem_new_of(struct fanout);
    f->home = home;
    f->resource = r;
    list_init(&f->link);
    list_init(&f->watches);
    pthread_mutex_init(&f->lock, NULL);
    f->events_cell = METRIC_CELL(&events_metric, r->group, r->version, r->plural);
    f->sizes_cell = METRIC_CELL(&sizes_metric, r->group, r->version, r->plural);
    f->running_cell =
        METRIC_CELL(&running_metric, S("WATCH"), r->group, r->version, r->plural, (str) { 0 }, S("apiserver"));
    return f;
}

struct fanout *fanout_get(struct api_home *home, const struct resource *r, struct error *err)
{
    LIST_FOREACH (&home->fanouts, it) {
        struct fanout *f = LIST_ENTRY(it, struct fanout, link);
        if (f->resource == r && f->subscriber)
            return f;
    }
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct fanout *f = fanout_new(home, r);
    rv from;
    if (store_subscribe(r->store, resource_key(a, r, (str) { 0 }, (str) { 0 }), 0, on_events, f, &f->subscriber, &from,
                        err) < 0) {
        fanout_free(f);
        return NULL;
    }
    list_add_tail(&home->fanouts, &f->link);
    return f;
}

void fanout_count_sent(struct fanout *f, size_t bytes)
{
    metric_add(f->events_cell, 1);
    metric_observe(f->sizes_cell, (double)bytes);
}

void fanout_add(struct fanout *f, struct api_watch *w)
{
    struct api_home *home = f->home;
    w->fanout = f;
    list_add_tail(&f->watches, &w->link);
    metric_add(f->running_cell, 1);
    home->watch_count++;
    if (!home->timer)
        home->timer = home->ops->timer_start(home->self, TICK_MS, on_tick, home);
}

/* A fan-out that waits for its posted message goes when that has come. */
static void release_if_unused(struct fanout *f)
{
    if (!list_is_empty(&f->watches) || f->is_busy)
        return;
    if (f->subscriber)
        store_unsubscribe(TAKE(f->subscriber));
    pthread_mutex_lock(&f->lock);
    bool is_posted = f->is_posted;
    pthread_mutex_unlock(&f->lock);
    if (is_posted)
        return;
    list_remove(&f->link);
    fanout_free(f);
}

void fanout_remove(struct api_watch *w)
{
    struct fanout *f = w->fanout;
    list_remove(&w->link);
    metric_add(f->running_cell, -1);
    struct api_home *home = f->home;
    if (--home->watch_count == 0 && home->timer)
        home->ops->timer_cancel(home->self, TAKE(home->timer));
    release_if_unused(f);
}

/* ---- the end
 * ------------------------------------------------------------------------------------------------------------ */

static void end_all(void *arg)
{
    struct api_home *home = arg;
    LIST_FOREACH (&home->fanouts, it) {
        struct fanout *f = LIST_ENTRY(it, struct fanout, link);
        process(f); /* what has happened before is still told */
        f->is_busy = true;
        LIST_FOREACH (&f->watches, watch) {
            watch_end(LIST_ENTRY(watch, struct api_watch, link));
        }
        f->is_busy = false;
        release_if_unused(f);
    }
}

void watches_end(struct api *api)
{
    atomic_store(&api->is_ending, true);
    pthread_mutex_lock(&api->lock);
    for (struct api_home *home = api->homes; home; home = home->next)
        (void)home->ops->post(home->self, end_all, home); /* a home that has ended has no watches */
    pthread_mutex_unlock(&api->lock);
}

void homes_free(struct api *api)
{
    for (struct api_home *home = TAKE(api->homes), *next; home; home = next) {
        next = home->next;
        LIST_FOREACH (&home->fanouts, it) {
            struct fanout *f = LIST_ENTRY(it, struct fanout, link);
            if (f->subscriber)
                store_unsubscribe(TAKE(f->subscriber));
            list_remove(&f->link);
            fanout_free(f);
        }
        mem_free(home);
    }
}
