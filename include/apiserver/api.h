/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API as a function from requests to answers, without sockets: serve.c feeds it from HTTP, the in-process client of
 * the reconciler calls it directly, tests call it with plain structs.
 *
 * Threads: api_serve runs on the caller's "home" (an HTTP loop, or any thread for in-process use), answers small reads
 * at once, and hands everything else to workers. on_answer may therefore run on another thread.
 */
#ifndef APISERVER_API_H
#define APISERVER_API_H

#include "apiserver/resource.h"
#include "base/blob.h"
#include "kube/actions.h"

struct api;
struct api_watch;

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
    const struct api_header *headers;
    size_t header_count;
    str body; /* or blobs, in order; references are the receiver's */
    struct blob *const *blobs;
    size_t blob_count;
};

/* A watch that was granted: frames follow. Implemented by the transport. All calls on the watcher's home thread. */
struct api_stream_ops {
    /* Queues a frame (own reference); returns the backlog in bytes. */
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

    /* Exactly one of the two is called, once. Answer: any thread; its memory is valid during the call. */
    void (*on_answer)(struct api_request *req, const struct api_answer *answer);
    /*
     * A watch begins: called on the home thread; gives the stream to write to, or NULL when the client is gone (then
     * the watch is dropped). The transport calls api_watch_closed(watch) when the stream ended for whatever reason.
     */
    void *(*on_stream)(struct api_request *req, const struct api_answer *head, struct api_watch *watch,
                       const struct api_stream_ops **ret_ops);
    /* Runs fn(arg) on the home thread. */
    bool (*post_home)(struct api_request *req, void (*fn)(void *arg), void *arg);
    void *transport; /* theirs */
};

void api_watch_closed(struct api_watch *watch);
/* The stream drained: more may be sent. Home thread. */
void api_watch_drained(struct api_watch *watch);

void api_serve(struct api *api, struct api_request *req);

#endif
