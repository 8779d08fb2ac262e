/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One watch: from the request to its first frame, what the client missed, live events, bookmarks, the end. A client
 * that does not keep up is ended; it comes back with its last resourceVersion.
 */
#include "handlers/watch.h"

#include <assert.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/rand.h"

#define WAIT_MS 3000
/* What may lie in the transport before the start of a watch pauses; and what ends a live one. */
#define SLICE_BYTES (256u << 10)
#define BACKLOG_MAX_BYTES (8u << 20)
#define CHUNK_BYTES (64u << 10)
/* The last bookmark leaves so long before the timeout. */
#define LAST_BOOKMARK_NS (2 * NS_PER_S)

/* ---- life ----------------------------------------------------------------------------------------------------------
 */

static bool is_starting(const struct api_watch *w)
{
    return w->start_arena || w->queue_at < w->queue_count;
}

static void free_watch(struct api_watch *w)
{
    for (size_t i = w->queue_at; i < w->queue_count; i++)
        (void)watch_event_unref(w->queue[i]);
    mem_free(w->queue);
    mem_free(w->namespace_);
    arena_free(w->start_arena);
    arena_free(w->arena);
    mem_free(w);
}

void api_watch_closed(struct api_watch *w)
{
    fanout_remove(w);
    free_watch(w);
}

/* The transport may call api_watch_closed within: w is not to be touched afterwards. */
static void end_stream(struct api_watch *w, bool is_error)
{
    if (w->is_ended)
        return;
    w->is_ended = true;
    w->ops->end(w->stream, is_error);
}

void watch_end(struct api_watch *w)
{
    end_stream(w, false);
}

static size_t send_bytes(struct api_watch *w, struct blob *frame)
{
    size_t backlog = w->ops->send(w->stream, frame);
    (void)blob_unref(frame);
    return backlog;
}

static size_t send_frame(struct api_watch *w, struct blob *frame)
{
    fanout_count_sent(w->fanout, frame->len);
    return send_bytes(w, frame);
}

static void end_with_error(struct api_watch *w, const struct status *status)
{
    (void)send_frame(w, frame_of_error(status)); /* the last frame: how much waits does not matter */
    end_stream(w, false);
}

/* ---- events
 * ----------------------------------------------------------------------------------------------------------- */

static bool matches(const struct api_watch *w, struct frame_cache *cache, bool old)
{
    const struct watch_event *e = cache->event;
    struct arena *a = w->match.needs_tree ? frame_cache_arena(cache) : NULL;
    return old ? match_object(&w->match, a, e->old_object, &cache->old_tree)
               : match_object(&w->match, a, e->object, &cache->tree);
}

/* The frame of an event for this watch, or NULL when it does not concern it. */
static struct blob *frame_for(const struct api_watch *w, struct frame_cache *cache)
{
    bool is_match = matches(w, cache, false);
    if (cache->event->type != WATCH_MODIFIED)
        return is_match ? frame_of_event(cache, w, cache->event->type, false) : NULL;
    bool was_match = match_is_all(&w->match) ? is_match : matches(w, cache, true);
    if (is_match)
        return frame_of_event(cache, w, was_match ? WATCH_MODIFIED : WATCH_ADDED, false);
    return was_match ? frame_of_event(cache, w, WATCH_DELETED, true) : NULL;
}

static size_t send_event(struct api_watch *w, struct frame_cache *cache)
{
    if (cache->event->revision > w->position) /* a replay runs behind the position that it leads to */
        w->position = cache->event->revision;
    struct blob *frame = frame_for(w, cache);
    if (!frame)
        return 0;
    w->has_columns = true;
    return send_frame(w, frame);
}

static void enqueue(struct api_watch *w, struct watch_event *e)
{
    if (w->queue_at == w->queue_count)
        w->queue_at = w->queue_count = 0;
    if (w->queue_count - w->queue_at >= LIMIT_WATCH_BACKLOG_EVENTS) {
        end_stream(w, false);
        return;
    }
    if (w->queue_count == w->queue_cap) {
        w->queue_cap = w->queue_cap ? 2 * w->queue_cap : 16;
        w->queue = mem_realloc(w->queue, w->queue_cap * sizeof(struct watch_event *));
    }
    w->queue[w->queue_count++] = watch_event_ref(e);
}

void watch_deliver(struct api_watch *w, struct watch_event *e, struct frame_cache *cache)
{
    if (w->is_ended || e->revision <= w->position)
        return;
    if (is_starting(w))
        enqueue(w, e);
    else if (send_event(w, cache) > BACKLOG_MAX_BYTES)
        end_stream(w, false);
}

/* ---- the start: objects, the mark behind them, missed events, what came meanwhile
 * ------------------------------------- */

static size_t send_objects(struct api_watch *w)
{
    size_t bytes = 0, end = w->object_at;
    while (end < w->object_count && bytes < CHUNK_BYTES)
        bytes += w->objects[end++]->bytes.len;
    struct blob *chunk = frame_of_objects(w, w->objects + w->object_at, end - w->object_at, !w->has_columns);
    w->object_at = end;
    w->has_columns = true;
    return send_bytes(w, chunk);
}

static size_t send_one(struct api_watch *w, struct watch_event *e)
{
    struct frame_cache cache = { .event = e };
    size_t backlog = send_event(w, &cache);
    frame_cache_clear(&cache);
    return backlog;
}

/* Sends the next piece; false when there is nothing left. */
static bool send_next(struct api_watch *w, size_t *ret_backlog)
{
    if (w->object_at < w->object_count) {
        *ret_backlog = send_objects(w);
    } else if (w->wants_end_mark) {
        w->wants_end_mark = false;
        *ret_backlog = send_frame(w, frame_of_bookmark(w, w->position, true));
    } else if (w->replay_at < w->replay_count) {
        *ret_backlog = send_one(w, w->replay[w->replay_at++]);
    } else if (w->queue_at < w->queue_count) {
        arena_free(TAKE(w->start_arena));
        struct watch_event *e = w->queue[w->queue_at++];
        *ret_backlog = send_one(w, e);
        (void)watch_event_unref(e);
    } else {
        arena_free(TAKE(w->start_arena));
        return false;
    }
    return true;
}

static void pump(struct api_watch *w)
{
    size_t backlog = 0;
    while (!w->is_ended && backlog < SLICE_BYTES && send_next(w, &backlog))
        ;
}

void api_watch_drained(struct api_watch *w)
{
    if (!w->is_ended && is_starting(w))
        pump(w);
}

/* ---- time
 * --------------------------------------------------------------------------------------------------------------- */

void watch_tick(struct api_watch *w, int64_t now_ns, rv up_to)
{
    if (w->is_ended)
        return;
    if (now_ns >= w->end_ns) {
        end_stream(w, false);
        return;
    }
    bool is_last = w->is_last_bookmark_due && now_ns >= w->end_ns - LAST_BOOKMARK_NS;
    if (!w->allows_bookmarks || is_starting(w) || (now_ns < w->bookmark_ns && !is_last))
        return;
    if (up_to > w->position)
        w->position = up_to;
    w->is_last_bookmark_due &= !is_last;
    w->bookmark_ns = now_ns + w->fanout->home->api->options.bookmark_interval_ms * NS_PER_MS;
    (void)send_frame(w,
                     frame_of_bookmark(w, w->position, false)); /* a client that stalls is noticed by the next event */
}

static void set_times(struct api_watch *w, const struct api *api, int64_t timeout_seconds)
{
    int64_t now = clock_monotonic_ns(), life = timeout_seconds * NS_PER_S;
    if (timeout_seconds <= 0 || timeout_seconds > INT32_MAX) {
        int64_t least = api->options.min_request_timeout_ms * NS_PER_MS;
        life = least + (int64_t)rand_below((uint64_t)least);
    }
    w->end_ns = now + life;
    w->bookmark_ns = now + api->options.bookmark_interval_ms * NS_PER_MS;
    w->is_last_bookmark_due = life > LAST_BOOKMARK_NS;
}

/* ---- from the request to the watch
 * ------------------------------------------------------------------------------------------ */

struct watch_start {
    struct call *call;
    struct list_options options;
};

/* The match must outlive the request: its selectors are parsed again into memory of the watch's own. */
static void keep_match(struct api_watch *w, const struct call *c, const struct match *m)
{
    w->match = *m;
    str ns = m->namespace_;
    w->namespace_ = mem_alloc(ns.len + 1);
    memcpy(w->namespace_, ns.ptr ? ns.ptr : "", ns.len);
    w->match.namespace_ = str_of(w->namespace_, ns.len);
    if (match_is_all(m))
        return;
    w->arena = arena_new();
    struct error err;
    str labels = arena_str(w->arena, query_get(&c->query, S("labelSelector")));
    str fields = arena_str(w->arena, query_get(&c->query, S("fieldSelector")));
    if (!str_is_empty(c->info.name)) /* the old path …/watch/<resource>/<name> */
        fields = arena_printf(w->arena, "metadata.name=%.*s", STR_ARG(c->info.name));
    int r = selector_parse_labels(w->arena, labels, &w->match.labels, &err);
    r = r < 0 ? r : selector_parse_fields(w->arena, fields, &w->match.fields, &err);
    assert(r == 0); /* what was parsed once is parsed again */
}

static struct api_watch *watch_new(struct watch_start *s, const struct match *m)
{
    struct call *c = s->call;
    struct api_watch *w = mem_new_of(struct api_watch);
    list_init(&w->link);
    keep_match(w, c, m);
    w->form = (struct frame_form) { .transform = c->rep.transform,
                                    .is_v1beta1 = c->rep.is_v1beta1,
                                    .include = c->rep.include };
    w->allows_bookmarks = s->options.allow_bookmarks;
    w->wants_end_mark = s->options.send_initial_events && s->options.allow_bookmarks;
    set_times(w, c->api, s->options.timeout_seconds);
    return w;
}

static void load_objects(struct api_watch *w)
{
    const struct resource *r = w->fanout->resource;
    w->start_arena = arena_new();
    struct store_list list;
    str prefix = resource_key(w->start_arena, r, w->match.namespace_, (str) { 0 });
    store_list(r->store, w->start_arena, prefix, (str) { 0 }, 0, &list);
    w->position = list.revision;
    w->objects = arena_array_of(w->start_arena, struct object *, list.count + 1);
    for (size_t i = 0; i < list.count; i++) {
        const struct json *tree = NULL;
        if (match_object(&w->match, w->start_arena, list.objects[i], &tree))
            w->objects[w->object_count++] = list.objects[i];
    }
}

/* Versions of live objects follow the clock, begun anew with each process: after the clock was set back those of an
 * earlier process lie in the future, and whoever waited for one would wait for hours. */
static bool is_of_another_life(const struct resource *r, rv from)
{
    return r->is_virtual && from > store_revision(r->store);
}

/* Events since `from`; false when the history does not reach back that far. */
static bool load_replay(struct api_watch *w, rv from, struct error *err)
{
    const struct resource *r = w->fanout->resource;
    w->position = from;
    if (is_of_another_life(r, from)) {
        (void)error_set(err, ERRC_TOO_OLD, "resource version %llu was given by an earlier process",
                        (unsigned long long)from);
        return false;
    }
    if (from >= store_revision(r->store))
        return true;
    w->start_arena = arena_new();
    rv up_to = from;
    str all = resource_key(w->start_arena, r, (str) { 0 }, (str) { 0 });
    if (store_events_since(r->store, w->start_arena, all, from, &w->replay, &w->replay_count, &up_to, err) < 0)
        return false;
    /* Live events up to there come again; those of the replay count for the position as they are sent. */
    w->position = up_to;
    return true;
}

static const struct status *too_old(struct arena *a, const struct error *err)
{
    return status_new(a, STATUS_EXPIRED, "%s", err->text);
}

static void start_sending(struct api_watch *w, const struct list_options *options)
{
    struct error err;
    if (!options->send_initial_events && (options->version != 0 || options->refuses_initial_events)) {
        rv from = options->version != 0 ? options->version : store_revision(w->fanout->resource->store);
        if (!load_replay(w, from, &err)) {
            CLEANUP(arena_freep) struct arena *a = arena_new();
            end_with_error(w, too_old(a, &err));
            return;
        }
    } else {
        load_objects(w);
    }
    pump(w);
}

static struct status *shutting_down(struct arena *a)
{
    struct status *s = status_new(a, STATUS_SERVICE_UNAVAILABLE, "the server is shutting down");
    s->retry_after_seconds = 1;
    return s;
}

static void begin(void *call)
{
    struct call *c = call;
    struct watch_start *s = c->next_self;
    struct list_options options = s->options; /* the request may go with the head */
    struct match m;
    struct status *fail = match_init(c, &options, &m);
    struct error err;
    struct fanout *f = NULL;
    if (!fail && atomic_load(&c->api->is_ending)) /* while it waited for its version */
        fail = shutting_down(c->arena);
    if (!fail && !(f = fanout_get(c->req->home, c->resource, &err)))
        fail = storage_status(c->arena, ERRC_UNAVAILABLE, &err, c->resource, (str) { 0 });
    if (fail) {
        call_fail(c, fail);
        return;
    }
    struct api_watch *w = watch_new(s, &m);
    fanout_add(f, w);
    w->stream = call_stream(c, w, &w->ops);
    if (w->stream)
        start_sending(w, &options);
    else
        api_watch_closed(w);
}

static void wait_and_begin(struct call *c)
{
    struct watch_start *s = c->next_self;
    struct store *store = c->resource->store;
    struct error err;
    if (store_wait_revision(store, s->options.version, deadline_in_ms(WAIT_MS), &err) < 0)
        call_fail(c, storage_status_too_large(c->arena, s->options.version, store_revision(store)));
    else
        call_on_home(c, begin);
}

void handle_watch(struct call *c)
{
    struct watch_start *s = arena_new_of(c->arena, struct watch_start);
    s->call = c;
    c->next_self = s;
    struct status *fail = list_options_parse(c->arena, &c->query, true, &s->options);
    if (!fail && atomic_load(&c->api->is_ending))
        fail = shutting_down(c->arena);
    if (!fail && !str_is_empty(c->info.name)) {
        struct error err;
        str field = arena_printf(c->arena, "metadata.name=%.*s", STR_ARG(c->info.name));
        if (selector_parse_fields(c->arena, field, &s->options.fields, &err) < 0)
            fail = status_new(c->arena, STATUS_BAD_REQUEST, "%s", err.text);
    }
    if (fail)
        call_fail(c, fail);
    else if (s->options.send_initial_events && s->options.version > store_revision(c->resource->store))
        call_on_waiter(c, wait_and_begin);
    else
        begin(c);
}
