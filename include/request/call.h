/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request on its way through filters and handlers, and the state of the API that they share. Internal to
 * apiserver/{request,filter,handlers} and api.c.
 *
 * A call lives in its request's arena and belongs to one thread at a time: the home thread, then a worker, then perhaps
 * the store's writer. It ends with exactly one call_answer, call_fail or call_stream.
 */
#ifndef REQUEST_CALL_H
#define REQUEST_CALL_H

#include <pthread.h>
#include <stdatomic.h>

#include "apiserver/api.h"
#include "base/thread.h"
#include "request/body.h"
#include "request/info.h"
#include "request/negotiate.h"
#include "request/options.h"
#include "request/query.h"

struct call;
struct filter;
struct garbage;
struct metric_cache;
struct namespaces;

struct api {
    struct api_options options;
    struct pool *workers;
    struct pool *waiters; /* for requests that wait for a revision of the future */
    _Atomic(const struct action_backend *) actions;
    atomic_size_t inflight_reads, inflight_writes;
    atomic_bool is_ending;                     /* watches end, and new ones at once */
    const struct resource *namespace_resource; /* NULL when this server has no namespaces of its own */
    struct namespaces *namespaces;
    struct garbage *garbage;
    struct metric_cache *metric_cache;
    /* Called once per call, before its answer leaves: the filters' second half. */
    void (*on_done)(struct call *c, int code, size_t bytes);

    pthread_mutex_t lock; /* guards what follows (of homes: the list) */
    struct api_home *homes;
    pthread_cond_t idle; /* call_count is 0 */
    size_t call_count;   /* calls that were neither answered nor became a watch */
};

enum inflight_kind { INFLIGHT_EXEMPT, INFLIGHT_READ, INFLIGHT_WRITE };

struct call {
    struct api *api;
    struct api_request *req;
    struct arena *arena;
    str audit_id;
    char audit_id_buffer[65]; /* the client's header may go away before the call */
    bool is_deferred;
    bool is_dry_run;
    atomic_bool is_overdue; /* the client has its 504 */
    enum inflight_kind inflight;
    size_t filters_entered;

    struct request_info info;
    struct query query;
    struct representation rep;
    const struct resource *resource;      /* NULL: a page, or nothing */
    size_t resource_index;                /* in the registry */
    const struct resource_action *action; /* the subresource is one */
    struct json_notes warnings;
    str allow; /* the Allow header of a 405 */

    void (*next)(struct call *c); /* what the worker runs */
    void *next_self;              /* for who set next */
};

struct call *call_new(struct api *api, struct api_request *req);

/* The request leaves the home thread; harmless when it has done so. */
void call_defer(struct call *c);
/* fn(c) on a worker, or 429 when too many wait. */
void call_on_worker(struct call *c, void (*fn)(struct call *c));
/* The same on the few threads that may wait for seconds. */
void call_on_waiter(struct call *c, void (*fn)(struct call *c));
/* fn(c) on the home thread. */
void call_on_home(struct call *c, void (*fn)(void *call));

void call_warn(struct call *c, str text);

/* Ends the call; adds Audit-ID, Cache-Control and Warning headers. */
void call_answer(struct call *c, const struct api_answer *answer);
/* The same with a tree, as JSON or YAML as negotiated; gzip when large, wanted and not on the home thread. */
void call_answer_tree(struct call *c, int code, const struct json *tree);
/* The same with serialized compact JSON that the receiver may copy: only when the representation is plain JSON. */
void call_answer_json(struct call *c, int code, str bytes);
/* An error, never transformed; NULL is not allowed. */
void call_fail(struct call *c, const struct status *status);
/* A watch begins; NULL when the client is gone. Home thread. */
void *call_stream(struct call *c, struct api_watch *watch, const struct api_stream_ops **ret_ops);

/* A header of the request. */
str call_header(const struct call *c, str name);
struct body_source call_body(const struct call *c);
/* The caller has this group. */
bool user_is_in(const struct api_user *user, str group);

#endif
