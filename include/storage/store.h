/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in use: one driver, its writer thread (group commit), and the watch cache that serves reads and watches of
 * every resource from memory. All resources of one `struct store` share one revision counter.
 *
 * A write is acknowledged after it is durable and published to the cache, so a cached read that begins after an
 * acknowledgement sees it: with one server, reads from the cache are linearizable.
 */
#ifndef STORAGE_STORE_H
#define STORAGE_STORE_H

#include "storage/storage.h"

struct store;

struct store_options {
    str url;
    size_t batch_max;            /* writes per transaction; 0: 64 */
    size_t queue_max;            /* writes waiting; 0: 4096; above: ERRC_UNAVAILABLE */
    size_t event_window;         /* events kept per resource; 0: 8192 */
    int64_t compact_interval_ms; /* 0: 5 min; compaction keeps at least one interval */
    uint64_t compact_keep;       /* and at least so many revisions; 0: 10000 */
};

/* Opens the driver, fills the cache (the newest state and the last events), starts the writer. */
int store_open(const struct store_options *options, struct store **ret, struct error *err) MUST_USE;
/* The same on a driver that is open: the store closes it, also when this fails. options->url is not looked at. */
int store_open_on(struct storage *driver, const struct store_options *options, struct store **ret, struct error *err)
    MUST_USE;
/* Waits for queued writes, closes the driver. No watcher may be left. NULL is allowed. */
void store_close(struct store *s);

/* ---- writes: any thread; done() runs on the writer thread, after commit and publication ---------------------- */

typedef void (*store_done_fn)(void *self, int result, struct object *object, const struct error *err);
/*
 * Queues one write. done gets the object as written (PUT), or the deleted one with the deletion's revision (DELETE), or
 * NULL and the error; the reference is done's to take (object_ref) if it keeps it. Returns ERRC_UNAVAILABLE when the
 * queue is full or the store is closing, ERRC_INVALID when the value is no object: done is not called then. The key is
 * copied, and so is the value unless it comes as an object, which gets a reference.
 */
int store_write(struct store *s, const struct storage_write *write, store_done_fn done, void *self, struct error *err)
    MUST_USE;
/*
 * The same, waiting: for workers. *ret_object (may be NULL) gets one reference. ERRC_TIMEOUT after a minute (a disk
 * that hangs): whether the write happened is not known then.
 */
int store_write_wait(struct store *s, const struct storage_write *write, struct object **ret_object, struct error *err)
    MUST_USE;

/* ---- reads from the cache: any thread, short lock, no disk --------------------------------------------------- */

/* The newest revision of the store that the cache shows. */
rv store_revision(struct store *s);
/* One reference, or NULL. */
struct object *store_get(struct store *s, str key);

struct store_list {
    struct object **objects; /* one reference each, released with the arena */
    size_t count;
    rv revision;
    bool has_more;
    uint64_t remaining;
};
/* Keys with the prefix ("/group/resource/" or longer) behind start_after, at most limit (0: all), newest state. */
void store_list(struct store *s, struct arena *a, str prefix, str start_after, size_t limit, struct store_list *ret);
/* State at exactly `at` from the driver's history; on workers only. ERRC_TOO_OLD, ERRC_INVALID (future). */
int store_list_at(struct store *s, struct arena *a, str prefix, str start_after, size_t limit, rv at,
                  struct store_list *ret, struct error *err) MUST_USE;
/* Waits until the cache shows revision >= at; ERRC_TIMEOUT. Workers only. */
int store_wait_revision(struct store *s, rv at, int64_t deadline_ns, struct error *err) MUST_USE;

/* ---- watches ------------------------------------------------------------------------------------------------- */

enum watch_event_type { WATCH_ADDED, WATCH_MODIFIED, WATCH_DELETED };

/* One change, shared by all watchers; immutable and counted. */
struct watch_event {
    atomic_uint refs;
    enum watch_event_type type;
    rv revision;
    struct object *object;     /* DELETED: the last state, with the deletion's revision as resourceVersion */
    struct object *old_object; /* NULL for ADDED */
    /* `{"type":"…","object":…}\n`, made on first use and shared. See watch_event_frame. */
    _Atomic(struct blob *) frame;
};
struct watch_event *watch_event_ref(struct watch_event *e);
struct watch_event *watch_event_unref(struct watch_event *e);
/* The serialized frame; owned by the event. Any thread. */
struct blob *watch_event_frame(struct watch_event *e);

/*
 * A subscriber gets every event of one resource prefix ("/group/resource/"), in order, in batches; it fans out to its
 * watchers itself (the API server has one subscriber per loop and resource). on_events runs on the writer thread and
 * must only pass on: it takes references and posts to its own thread. It must not call store_subscribe,
 * store_unsubscribe or a waiting write.
 */
struct store_subscriber;
typedef void (*store_events_fn)(void *self, struct watch_event *const *events, size_t count, rv up_to);
/*
 * Events with revision > after from the window, if there are any, come with the first call, made before this returns
 * on the caller's thread; then live. after = 0: only live ones. *ret_from tells the revision behind which the live ones
 * begin. ERRC_TOO_OLD when the window does not reach back that far, ERRC_INVALID when `after` lies in the future.
 */
int store_subscribe(struct store *s, str prefix, rv after, store_events_fn on_events, void *self,
                    struct store_subscriber **ret, rv *ret_from, struct error *err) MUST_USE;
/* After it returns on_events does not run any more. */
void store_unsubscribe(struct store_subscriber *sub);
/*
 * Every event up to this revision has been handed to on_events. For bookmarks: read it, then let what was posted before
 * pass, then send it.
 */
rv store_subscriber_revision(const struct store_subscriber *sub);
/*
 * Events with revision > after that the window holds, oldest first (references released with the arena); for a new
 * watcher of a subscriber that is running already: it ignores what comes live with a revision <= *ret_up_to.
 */
int store_events_since(struct store *s, struct arena *a, str prefix, rv after, struct watch_event ***ret_events,
                       size_t *ret_count, rv *ret_up_to, struct error *err) MUST_USE;

/* ---- care ---------------------------------------------------------------------------------------------------- */

/* For readyz: 0, or why writes do not work at the moment (disk full …), or what is damaged. While writes fail, the
 * store tries by itself whether they work again. */
int store_health(struct store *s, struct error *err) MUST_USE;
int store_identity(struct store *s, struct arena *a, str *ret_id, uint64_t *ret_restored, struct error *err) MUST_USE;

#endif
