/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches: home.c owns homes and fan-outs (one subscriber of the store per home and resource), watch.c begins, feeds
 * and ends one watch, frame.c makes what goes over the wire. All of it on the home thread, but for the subscriber's
 * callback.
 */
#ifndef HANDLERS_WATCH_H
#define HANDLERS_WATCH_H

#include "base/list.h"
#include "base/metrics.h"
#include "handlers/internal.h"

struct fanout;

struct api_home {
    struct api *api;
    const struct api_home_ops *ops;
    void *self;
    struct list fanouts;
    size_t watch_count;
    void *timer; /* runs while there are watches */
    struct api_home *next;
};

struct fanout {
    struct list link; /* in home->fanouts */
    struct api_home *home;
    const struct resource *resource;
    struct store_subscriber *subscriber;
    struct list watches;
    bool is_busy; /* its watches are being walked: it must not go now */
    struct metric_cell *events_cell, *sizes_cell, *running_cell;

    pthread_mutex_t lock; /* guards what follows */
    struct watch_event **pending;
    size_t pending_count, pending_cap;
    bool is_posted;
};

/* What a frame depends on beside its event. */
struct frame_form {
    enum transform transform;
    bool is_v1beta1;
    enum include_object include;
};

struct api_watch {
    struct list link; /* in fanout->watches */
    struct fanout *fanout;
    void *stream;
    const struct api_stream_ops *ops;
    struct arena *arena; /* of the match, when it has selectors */
    char *namespace_;    /* owned text behind match.namespace_ */
    struct match match;
    struct frame_form form;
    bool allows_bookmarks, has_columns; /* has_columns: they were sent */
    bool is_ended;
    bool is_last_bookmark_due; /* the one before the timeout */
    rv position;               /* everything up to it was sent, or is not for this watch */
    int64_t bookmark_ns, end_ns;

    /* What comes before live events, sent as fast as the client takes it. */
    struct arena *start_arena; /* of both arrays */
    struct object **objects;
    size_t object_count, object_at;
    bool wants_end_mark; /* sendInitialEvents: one annotated bookmark behind the objects */
    struct watch_event **replay;
    size_t replay_count, replay_at;
    /* Live events that came meanwhile. */
    struct watch_event **queue;
    size_t queue_count, queue_at, queue_cap;
};

/* frame.c: frames of one event, shared by the watches of a fan-out. */
#define FRAME_VARIANTS_MAX 8
struct frame_cache {
    struct watch_event *event;
    struct arena *arena;                /* made on demand */
    const struct json *tree, *old_tree; /* parsed on demand */
    struct {
        unsigned key;
        struct blob *frame;
    } variants[FRAME_VARIANTS_MAX];
    size_t count;
};

/* home.c */
struct fanout *fanout_get(struct api_home *home, const struct resource *r, struct error *err);
void fanout_add(struct fanout *f, struct api_watch *w);
/* One event goes to one watch. */
void fanout_count_sent(struct fanout *f, size_t bytes);
/* Takes the watch out; the fan-out goes with its last one. */
void fanout_remove(struct api_watch *w);

/* watch.c */
void watch_deliver(struct api_watch *w, struct watch_event *e, struct frame_cache *cache);
/* Bookmarks and the timeout. up_to: everything up to it has been delivered. */
void watch_tick(struct api_watch *w, int64_t now_ns, rv up_to);
void watch_end(struct api_watch *w);

struct arena *frame_cache_arena(struct frame_cache *cache);
void frame_cache_clear(struct frame_cache *cache);
/* The frame as this watch wants it, of `type`; one reference. old: of the object before the change. */
struct blob *frame_of_event(struct frame_cache *cache, const struct api_watch *w, enum watch_event_type type, bool old);
struct blob *frame_of_objects(const struct api_watch *w, struct object *const *objects, size_t count,
                              bool with_columns);
struct blob *frame_of_bookmark(const struct api_watch *w, rv version, bool is_end_mark);
struct blob *frame_of_error(const struct status *status);

#endif
