/* SPDX-License-Identifier: Apache-2.0 */
/* The door of a store: opening and closing, handing writes to the writer, and the reads of the cache. */
#include "storage/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/thread.h"
#include "storage/driver.h"

#define WRITE_WAIT_MS 60000
/* A transaction that takes longer is reported. */
#define HANGING_MS 5000

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
}

/* ---- open and close
 * -------------------------------------------------------------------------------------------------- */

static struct store_options with_defaults(const struct store_options *given)
{
    struct store_options o = *given;
    o.url = S("");
    o.batch_max = o.batch_max > 0 ? o.batch_max : 64;
    o.queue_max = o.queue_max > 0 ? o.queue_max : 4096;
    o.event_window = o.event_window > 0 ? o.event_window : 8192;
    o.compact_interval_ms = o.compact_interval_ms > 0 ? o.compact_interval_ms : 5 * 60 * 1000;
    o.compact_keep = o.compact_keep > 0 ? o.compact_keep : 10000;
    return o;
}

int store_open(const struct store_options *options, struct store **ret, struct error *err)
{
    struct storage *driver = NULL;
    int r = storage_open(options->url, &driver, err);
    return r == 0 ? store_open_on(driver, options, ret, err) : r;
}

int store_open_on(struct storage *driver, const struct store_options *options, struct store **ret, struct error *err)
{
    struct store *s = mem_new_of(struct store);
    s->driver = driver;
    s->options = with_defaults(options);
    s->queue = queue_new(s->options.queue_max);
    s->batch = mem_array_of(struct storage_write, s->options.batch_max);
    s->outcomes = mem_array_of(struct store_outcome, s->options.batch_max);
    s->changes = mem_array_of(struct cache_change, s->options.batch_max);
    s->next_compact_ns = deadline_in_ms(s->options.compact_interval_ms);
    (void)pthread_mutex_init(&s->mutex, NULL);
    init_cond(&s->is_shown);
    cache__init(&s->cache, s->options.event_window);
    cache__hub_init(&s->hub, &s->cache);
    int r = store__load(s, err);
    if (r == 0)
        r = thread_start(&s->writer, "store-writer", store__write_loop, s, err);
    s->has_writer = r == 0;
    if (r != 0) {
        store_close(s);
        return error_wrap(err, r, "opening the store");
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    queue_close(s->queue);
    if (s->has_writer)
        (void)pthread_join(s->writer, NULL);
    queue_free(s->queue);
    cache__hub_release(&s->hub);
    cache__release(&s->cache);
    storage_close(s->driver);
    (void)pthread_cond_destroy(&s->is_shown);
    (void)pthread_mutex_destroy(&s->mutex);
    mem_free(s->batch);
    mem_free(s->outcomes);
    mem_free(s->changes);
    mem_free(s);
}

/* ---- writes
 * ------------------------------------------------------------------------------------------------------------ */

/*
 * One reference to what is to be stored, and its bytes as the value. Parsed here when it comes as bytes, on the
 * caller's thread, so that the writer need not, and nothing is written that cannot be read.
 */
static int take_object(struct storage_write *w, struct error *err)
{
    int r = 0;
    if (w->kind != STORAGE_PUT)
        w->object = NULL;
    else if (w->object)
        (void)object_ref(w->object);
    else
        r = object_new(w->value, 0, &w->object, err);
    w->value = w->object ? w->object->bytes : S("");
    return r;
}

static struct store_request *request_new(const struct storage_write *write, store_done_fn done, void *self)
{
    struct store_request *request = mem_alloc(sizeof(*request) + write->key.len);
    memcpy(request->key, write->key.ptr, write->key.len);
    request->write = *write;
    request->write.key = str_of(request->key, write->key.len);
    request->done = done;
    request->self = self;
    request->bytes = sizeof(*request) + write->key.len + write->value.len;
    return request;
}

static int enqueue(struct store *s, struct store_request *request, struct error *err)
{
    size_t bytes = request->bytes;
    size_t before = atomic_fetch_add(&s->queued_bytes, bytes);
    if (before + bytes <= STORE_QUEUE_BYTES && queue_push(s->queue, request))
        return 0;
    (void)atomic_fetch_sub(&s->queued_bytes, bytes);
    if (queue_is_closed(s->queue))
        return error_set(err, ERRC_UNAVAILABLE, "the store is closing");
    return error_set(err, ERRC_UNAVAILABLE, "too many writes are waiting for the store");
}

int store_write(struct store *s, const struct storage_write *write, store_done_fn done, void *self, struct error *err)
{
    struct storage_write w = *write;
    int r = take_object(&w, err);
    if (r == 0)
        r = storage__check_write(&w, err);
    if (r != 0) {
        (void)object_unref(w.object);
        return r;
    }
    struct store_request *request = request_new(&w, done, self);
    r = enqueue(s, request, err);
    if (r != 0)
        store__request_free(request);
    return r;
}

/* Counted, because after a timeout the writer still answers. */
struct waiter {
    atomic_uint refs;
    pthread_mutex_t mutex; /* protects the rest */
    pthread_cond_t is_done;
    bool has_result;
    int result;
    struct object *object;
    struct error error;
};

static void waiter_unref(struct waiter *w)
{
    if (atomic_fetch_sub(&w->refs, 1) != 1)
        return;
    (void)object_unref(w->object);
    (void)pthread_cond_destroy(&w->is_done);
    (void)pthread_mutex_destroy(&w->mutex);
    mem_free(w);
}

static void on_written(void *self, int result, struct object *object, const struct error *err)
{
    struct waiter *w = self;
    (void)pthread_mutex_lock(&w->mutex);
    w->result = result;
    w->object = object ? object_ref(object) : NULL;
    if (err)
        w->error = *err;
    w->has_result = true;
    (void)pthread_cond_signal(&w->is_done);
    (void)pthread_mutex_unlock(&w->mutex);
    waiter_unref(w);
}

static int wait_for(struct waiter *w, int64_t deadline_ns, struct object **ret_object, struct error *err)
{
    struct timespec until = clock_to_timespec(deadline_ns);
    int waited = 0;
    int r = 0;
    (void)pthread_mutex_lock(&w->mutex);
    while (!w->has_result && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&w->is_done, &w->mutex, &until);
    if (!w->has_result) {
        r = error_set(err, ERRC_TIMEOUT, "the store did not answer in time: whether the write happened is not known");
    } else {
        r = w->result;
        if (r != 0 && err)
            *err = w->error;
        if (r == 0 && ret_object)
            *ret_object = TAKE(w->object);
    }
    (void)pthread_mutex_unlock(&w->mutex);
    return r;
}

int store_write_wait(struct store *s, const struct storage_write *write, struct object **ret_object, struct error *err)
{
    struct waiter *w = mem_new_of(struct waiter);
    atomic_init(&w->refs, 2);
    (void)pthread_mutex_init(&w->mutex, NULL);
    init_cond(&w->is_done);
    struct storage_write bounded = *write;
    bounded.deadline_ns = deadline_in_ms(WRITE_WAIT_MS);
    int r = store_write(s, &bounded, on_written, w, err);
    if (r == 0)
        r = wait_for(w, bounded.deadline_ns, ret_object, err);
    else
        waiter_unref(w);
    waiter_unref(w);
    return r;
}

/* ---- reads and watches
 * --------------------------------------------------------------------------------------------------- */

rv store_revision(struct store *s)
{
    return cache__revision(&s->cache);
}

struct object *store_get(struct store *s, str key)
{
    return cache__get(&s->cache, key);
}

void store_list(struct store *s, struct arena *a, str prefix, str start_after, size_t limit, struct store_list *ret)
{
    cache__list(&s->cache, a, prefix, start_after, limit, ret);
}

static void unref_object(void *object)
{
    (void)object_unref(object);
}

int store_list_at(struct store *s, struct arena *a, str prefix, str start_after, size_t limit, rv at,
                  struct store_list *ret, struct error *err)
{
    struct storage_list_result rows;
    int r = s->driver->ops->list(s->driver, a, prefix, start_after, limit, at, &rows, err);
    if (r != 0)
        return r;
    *ret = (struct store_list) { .revision = rows.revision, .has_more = rows.has_more, .remaining = rows.remaining };
    ret->objects = arena_array_of(a, struct object *, rows.count);
    for (; ret->count < rows.count; ret->count++) {
        const struct storage_row *row = &rows.rows[ret->count];
        struct object *object = NULL;
        r = object_new(row->value, row->mod_revision, &object, err);
        if (r != 0)
            return error_wrap(err, ERRC_INTERNAL, "stored object \"%.*s\" cannot be read", STR_ARG(row->key));
        arena_on_release(a, unref_object, object);
        ret->objects[ret->count] = object;
    }
    return 0;
}

int store_wait_revision(struct store *s, rv at, int64_t deadline_ns, struct error *err)
{
    struct timespec until = clock_to_timespec(deadline_ns);
    int waited = 0;
    (void)pthread_mutex_lock(&s->mutex);
    while (cache__revision(&s->cache) < at && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&s->is_shown, &s->mutex, &until);
    (void)pthread_mutex_unlock(&s->mutex);
    if (cache__revision(&s->cache) >= at)
        return 0;
    return error_set(err, ERRC_TIMEOUT, "the store did not reach that revision in time");
}

int store_subscribe(struct store *s, str prefix, rv after, store_events_fn on_events, void *self,
                    struct store_subscriber **ret, rv *ret_from, struct error *err)
{
    return cache__subscribe(&s->hub, prefix, after, on_events, self, ret, ret_from, err);
}

int store_events_since(struct store *s, struct arena *a, str prefix, rv after, struct watch_event ***ret_events,
                       size_t *ret_count, rv *ret_up_to, struct error *err)
{
    return cache__events_since(&s->cache, a, prefix, after, ret_events, ret_count, ret_up_to, err);
}

/* ---- care
 * ------------------------------------------------------------------------------------------------------------------ */

int store_health(struct store *s, struct error *err)
{
    (void)pthread_mutex_lock(&s->mutex);
    struct error failure = s->write_error;
    (void)pthread_mutex_unlock(&s->mutex);
    if (failure.code != ERRC_OK)
        return error_set(err, failure.code, "%s", failure.text);
    int64_t begun = atomic_load(&s->begun_ns);
    int64_t waiting_ms = begun > 0 ? (clock_monotonic_ns() - begun) / NS_PER_MS : 0;
    if (waiting_ms > HANGING_MS)
        return error_set(err, ERRC_UNAVAILABLE, "a write has been waiting for the disk for %" PRId64 " s",
                         waiting_ms / 1000);
    return s->driver->ops->health(s->driver, err);
}

int store_identity(struct store *s, struct arena *a, str *ret_id, uint64_t *ret_restored, struct error *err)
{
    return s->driver->ops->identity(s->driver, a, ret_id, ret_restored, err);
}
