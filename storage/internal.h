/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a store: the parts that its writer (writer.c) and its door (store.c) share. */
#ifndef STORAGE_INTERNAL_H
#define STORAGE_INTERNAL_H

#include "base/queue.h"
#include "storage/watch_cache.h"

/* A batch ends here even when it has fewer than batch_max writes: one transaction stays some milliseconds. */
#define STORE_BATCH_BYTES (4u << 20)
/* What may wait in the queue. */
#define STORE_QUEUE_BYTES (64u << 20)

struct store_request {
    struct storage_write write; /* one reference to its object, which holds the value */
    store_done_fn done;
    void *self;
    size_t bytes;
    char key[];
};

/* One write of a batch that is on its way out. */
struct store_outcome {
    struct object *object; /* one reference, or NULL */
    struct watch_event *event;
};

struct store {
    struct storage *driver;
    struct store_options options; /* defaults filled in; url is not kept */
    struct cache cache;
    struct cache_hub hub;
    struct queue *queue; /* of struct store_request */
    atomic_size_t queued_bytes;
    pthread_t writer;
    bool has_writer;

    pthread_mutex_t mutex;    /* protects write_error; taken before the cache's lock */
    pthread_cond_t is_shown;  /* a batch was shown to the cache */
    struct error write_error; /* code ERRC_OK: the last write went well */
    _Atomic int64_t begun_ns; /* when the transaction that runs was begun; 0: none runs */

    /* Of the writer alone. */
    struct storage_write *batch; /* batch_max */
    struct store_outcome *outcomes;
    struct cache_change *changes;
    struct store_request **requests;
    bool is_failing; /* writes fail: probe at next_probe_ns */
    int64_t next_probe_ns, probe_delay_ms;
    int64_t next_compact_ns;
    rv compact_mark;   /* newest revision at the last tick */
    rv compact_target; /* history below it is to be forgotten */
    rv compacted;
};

/* The writer's thread: until the queue is closed and empty. */
void *store__write_loop(void *self);
void store__request_free(struct store_request *request);

/* load.c: the newest state and the last events from the driver. */
int store__load(struct store *s, struct error *err) MUST_USE;

#endif
