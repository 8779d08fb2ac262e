/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one thread that writes: takes what waits, commits it as one transaction, shows it to the cache, hands the events
 * out, and only then answers. Between batches it compacts in small steps, and while writes fail it probes.
 */
#include "storage/internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"

#define PROBE_FIRST_MS 250
#define PROBE_LAST_MS 8000

static const double second_buckets[] = { 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5 };
static const double size_buckets[] = { 1, 2, 4, 8, 16, 32, 64, 128 };
static struct metric commit_seconds = { .name = "store_commit_duration_seconds",
                                        .help = "Time of one durable transaction of the store.",
                                        .type = METRIC_HISTOGRAM,
                                        .buckets = second_buckets,
                                        .bucket_count = ARRAY_LEN(second_buckets) };
static struct metric batch_writes = { .name = "store_batch_writes",
                                      .help = "Writes in one transaction of the store.",
                                      .type = METRIC_HISTOGRAM,
                                      .buckets = size_buckets,
                                      .bucket_count = ARRAY_LEN(size_buckets) };
static struct metric write_failures = { .name = "store_commit_failures_total",
                                        .help = "Transactions of the store that failed as a whole.",
                                        .type = METRIC_COUNTER };
static struct metric compaction_failures = { .name = "store_compaction_failures_total",
                                             .help = "Steps of compaction that failed; the next tick tries again.",
                                             .type = METRIC_COUNTER };

void store__request_free(struct store_request *request)
{
    (void)object_unref(request->write.object);
    mem_free(request);
}

/* ---- health -------------------------------------------------------------------------------------------------------
 */

/* After each transaction: what store_health says, and when to try again. */
static void note_result(struct store *s, int result, const struct error *err)
{
    if (result == 0 && !s->is_failing)
        return;
    (void)pthread_mutex_lock(&s->mutex);
    if (result == 0)
        error_clear(&s->write_error);
    else
        s->write_error = *err;
    (void)pthread_mutex_unlock(&s->mutex);
    if (result == 0) {
        s->is_failing = false;
        return;
    }
    metric_add(metric_only(&write_failures), 1);
    s->probe_delay_ms = s->is_failing ? s->probe_delay_ms * 2 : PROBE_FIRST_MS;
    if (s->probe_delay_ms > PROBE_LAST_MS)
        s->probe_delay_ms = PROBE_LAST_MS;
    s->is_failing = true;
    s->next_probe_ns = deadline_in_ms(s->probe_delay_ms);
}

static int commit(struct store *s, size_t count, struct error *err)
{
    int64_t begin = clock_monotonic_ns();
    error_clear(err);
    atomic_store(&s->begun_ns, begin);
    int r = s->driver->ops->write(s->driver, s->batch, count, err);
    atomic_store(&s->begun_ns, 0);
    metric_observe(metric_only(&commit_seconds), (double)(clock_monotonic_ns() - begin) / (double)NS_PER_S);
    note_result(s, r, err);
    return r;
}

/* ---- a batch -------------------------------------------------------------------------------------------------------
 */

/* Shows the writes that succeeded, in order, and hands their events to the subscribers. */
static void publish(struct store *s, size_t count)
{
    size_t shown = 0;
    rv newest = 0;
    cache__hub_begin(&s->hub);
    for (size_t i = 0; i < count; i++) {
        const struct storage_write *w = &s->batch[i];
        struct store_outcome *outcome = &s->outcomes[i];
        if (w->result != 0)
            continue;
        struct object *object = NULL;
        if (w->kind == STORAGE_PUT)
            object = object_with_version(w->object, w->new_revision);
        struct cache_change *change = &s->changes[shown++];
        change->event = cache__apply(&s->cache, w->key, object, w->new_revision, &change->resource);
        outcome->event = change->event;
        outcome->object = object_ref(change->event->object);
        (void)object_unref(object);
        newest = w->new_revision;
    }
    cache__hub_deliver(&s->hub, s->changes, shown, newest);
    if (shown == 0)
        return;
    (void)pthread_mutex_lock(&s->mutex);
    (void)pthread_cond_broadcast(&s->is_shown);
    (void)pthread_mutex_unlock(&s->mutex);
}

static void answer_one(struct store *s, struct store_request *request, int result, struct object *object,
                       const struct error *err)
{
    request->done(request->self, result, object, result != 0 ? err : NULL);
    (void)atomic_fetch_sub(&s->queued_bytes, request->bytes);
    store__request_free(request);
}

static void answer(struct store *s, size_t count, int result, const struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct storage_write *w = &s->batch[i];
        struct store_outcome outcome = s->outcomes[i];
        s->outcomes[i] = (struct store_outcome) { .object = NULL };
        if (result != 0)
            answer_one(s, s->requests[i], result, NULL, err);
        else
            answer_one(s, s->requests[i], w->result, outcome.object, &w->error);
        (void)object_unref(outcome.object);
        (void)watch_event_unref(outcome.event);
    }
}

/* A write that its caller gave up before it was begun is not begun: after a disk has hung, nothing old comes back. */
static size_t drop_late(struct store *s, struct store_request **requests, size_t count)
{
    int64_t now = clock_monotonic_ns();
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct error err;
        int64_t deadline = requests[i]->write.deadline_ns;
        if (deadline == 0 || now < deadline) {
            requests[kept++] = requests[i];
            continue;
        }
        (void)error_set(&err, ERRC_TIMEOUT, "the store was not ready in time: the write was not made");
        answer_one(s, requests[i], ERRC_TIMEOUT, NULL, &err);
    }
    return kept;
}

/* `requests` holds the batch. */
static void run_batch(struct store *s, size_t count)
{
    struct error err;
    for (size_t i = 0; i < count; i++)
        s->batch[i] = s->requests[i]->write;
    metric_observe(metric_only(&batch_writes), (double)count);
    int r = commit(s, count, &err);
    if (r == 0)
        publish(s, count);
    answer(s, count, r, &err);
}

/* As many of the waiting requests as fit into one transaction by their bytes; at least one. */
static size_t fitting(struct store_request *const *requests, size_t count)
{
    size_t bytes = requests[0]->bytes;
    size_t n = 1;
    while (n < count && bytes + requests[n]->bytes <= STORE_BATCH_BYTES)
        bytes += requests[n++]->bytes;
    return n;
}

static void run_requests(struct store *s, struct store_request **requests, size_t count)
{
    while (count > 0) {
        size_t n = fitting(requests, count);
        s->requests = requests;
        run_batch(s, n);
        requests += n;
        count -= n;
    }
}

/* ---- between batches ------------------------------------------------------------------------------------------------
 */

static void probe_when_due(struct store *s)
{
    struct error err;
    if (s->is_failing && deadline_has_passed(s->next_probe_ns))
        (void)commit(s, 0, &err);
}

/* History is kept for at least one interval, and for at least compact_keep revisions. */
static void aim_compaction(struct store *s)
{
    if (!deadline_has_passed(s->next_compact_ns))
        return;
    rv newest = cache__revision(&s->cache);
    rv by_count = newest > s->options.compact_keep ? newest - s->options.compact_keep : 0;
    rv target = s->compact_mark < by_count ? s->compact_mark : by_count;
    if (target > s->compact_target)
        s->compact_target = target;
    s->compact_mark = newest;
    s->next_compact_ns = deadline_in_ms(s->options.compact_interval_ms);
}

static void compact_a_step(struct store *s)
{
    if (s->compacted >= s->compact_target)
        return;
    if (s->driver->ops->compact(s->driver, s->compact_target, &s->compacted, NULL) == 0)
        return;
    metric_add(metric_only(&compaction_failures), 1);
    s->compact_target = s->compacted;
}

static int64_t wake_up_at(const struct store *s)
{
    if (s->compacted < s->compact_target)
        return 0;
    if (s->is_failing && s->next_probe_ns < s->next_compact_ns)
        return s->next_probe_ns;
    return s->next_compact_ns;
}

void *store__write_loop(void *self)
{
    struct store *s = self;
    void **items = mem_array_of(void *, s->options.batch_max);
    struct store_request **requests = mem_array_of(struct store_request *, s->options.batch_max);
    for (;;) {
        size_t count = queue_pop_many(s->queue, items, s->options.batch_max, wake_up_at(s));
        for (size_t i = 0; i < count; i++)
            requests[i] = items[i];
        run_requests(s, requests, drop_late(s, requests, count));
        if (count == 0 && queue_is_closed(s->queue) && queue_count(s->queue) == 0)
            break;
        probe_when_due(s);
        aim_compaction(s);
        compact_a_step(s);
    }
    mem_free(requests);
    mem_free(items);
    return NULL;
}
