/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API as a function from requests to answers, without sockets: serve.c feeds it from HTTP, the in-process client of
 * the reconciler calls it directly, tests call it with plain structs.
 *
 * Threads: api_serve runs on the caller's "home" (an HTTP loop, or the thread of the in-process client), answers small
 * reads at once, and hands everything else to workers. on_answer may therefore run on another thread. Watches live on
 * their home thread.
 */
#ifndef APISERVER_API_H
#define APISERVER_API_H

#include "apiserver/resource.h"
#include "base/blob.h"
#include "kube/actions.h"

struct api;
struct api_home;
struct api_watch;
struct api_request;
struct call;
struct pages;

/* The caller, after authentication. Lives as long as the request. */
struct api_user {
    str name;
    str uid;
    const str *groups;
    size_t group_count;
    bool is_internal; /* the server itself: sees internal resources, skips authorization */
};

struct api_header {
    str name, value; /* request: lower-case names */
};

struct api_answer {
    int code;
    str content_type;
    const struct api_header *headers; /* without content-type */
    size_t header_count;
    str body;            /* or blobs, in order; references are the receiver's */
    bool body_is_stable; /* it is static, or in the request's arena: needs no copy */
    struct blob *const *blobs;
    size_t blob_count;
};

/* ---- homes --------------------------------------------------------------------------------------------------- */

/* A thread that takes requests and owns watches. */
struct api_home_ops {
    /* Any thread: fn(arg) runs on the home thread soon. False: it has ended, fn will not run. */
    bool (*post)(void *self, void (*fn)(void *arg), void *arg);
    /* Home thread: fn(arg) runs once after `ms`; cancel before it ran. */
    void *(*timer_start)(void *self, int64_t ms, void (*fn)(void *arg), void *arg);
    void (*timer_cancel)(void *self, void *timer);
};
/* Home thread. Homes live until api_free: a home has no end of its own. */
struct api_home *api_home_new(struct api *api, const struct api_home_ops *ops, void *self);

/* ---- requests ------------------------------------------------------------------------------------------------ */

/* A watch that was granted: frames follow. Implemented by the transport. All calls on the watcher's home thread. */
struct api_stream_ops {
    /* Queues a frame (takes its own reference); returns the backlog in bytes. */
    size_t (*send)(void *self, struct blob *frame);
    void (*end)(void *self, bool is_error);
};

struct api_request {
    str method, path, query; /* raw */
    const struct api_header *headers;
    size_t header_count;
    str body;
    bool body_too_large;
    const struct api_user *user;
    str remote_address;
    struct arena *arena; /* dies after the answer */
    int64_t received_ns;
    int64_t deadline_ns; /* api_serve sets it before on_defer: when the client gets a 504 instead; 0: never (watches) */
    struct api_home *home;

    /* Home thread, at most once at a time: the request is about to leave the home thread. May be NULL. */
    void (*on_defer)(struct api_request *req);
    /*
     * Of on_answer and on_stream exactly one is called, once. on_answer: any thread; the answer's memory is valid
     * during the call, and the request's is not touched any more after it.
     */
    void (*on_answer)(struct api_request *req, const struct api_answer *answer);
    /*
     * A watch begins: called on the home thread; gives the stream to write to, or NULL when the client is gone (then
     * the watch is dropped). The transport calls api_watch_closed(watch) when the stream ended for whatever reason.
     */
    void *(*on_stream)(struct api_request *req, const struct api_answer *head, struct api_watch *watch,
                       const struct api_stream_ops **ret_ops);
    /* Any thread, after on_defer: fn(arg) runs on the home thread, and the request is as if never deferred. */
    void (*post_home)(struct api_request *req, void (*fn)(void *arg), void *arg);
    void *transport;   /* theirs */
    struct call *call; /* ours */
};

/* Home thread: the stream ended, for whatever reason; the watch is gone after it. */
void api_watch_closed(struct api_watch *watch);
/* Home thread: the stream drained, more may be sent. */
void api_watch_drained(struct api_watch *watch);

/* Home thread; requests without `watch` from any thread. */
void api_serve(struct api *api, struct api_request *req);

/*
 * Home thread: the deadline of a deferred request has passed and the transport answers its client without waiting for
 * on_answer, which comes nevertheless. Gives that answer, with its memory in `a`.
 */
void api_overdue(const struct api_request *req, struct arena *a, struct api_answer *ret);

/* First header with that (lower-case) name, or the empty view. */
str api_request_header(const struct api_request *req, str name);

/* ---- the whole ------------------------------------------------------------------------------------------------ */

struct api_options {
    const struct resource_registry *registry; /* lives longer; its stores too */
    const struct pages *pages;                /* lives longer; NULL: none */
    const struct action_backend *actions;     /* lives longer; NULL: actions answer 503 until api_set_actions */
    size_t workers;                           /* 0: 2 */
    size_t max_requests_inflight;             /* reads; 0: 400 */
    size_t max_mutating_requests_inflight;    /* 0: 200 */
    int64_t request_timeout_ms;               /* of all but watches, unless `timeout` asks for less; 0: 60 s */
    int64_t min_request_timeout_ms;           /* a watch lasts 1–2 times this; 0: 1800 s */
    int64_t bookmark_interval_ms;             /* 0: 60 s */
};

/*
 * Starts the workers; where the registry has v1 namespaces, also creates `default` and `kube-system` and the worker
 * that empties deleted ones.
 */
int api_new(const struct api_options *options, struct api **ret, struct error *err) MUST_USE;
/* Any thread. NULL takes the backend away; running actions go on. */
void api_set_actions(struct api *api, const struct action_backend *actions);
/* Any thread: ends every watch cleanly at a frame boundary, and new ones at once. */
void api_end_watches(struct api *api);
/* After the home threads have ended; waits for the workers. NULL is allowed. */
void api_free(struct api *api);

#endif
