/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a program of ours talks to the Kubernetes API: one interface over two transports, in-process (the server's own
 * handlers, without sockets) and HTTP (libcurl). The reconciler sees the world through this header alone.
 *
 * Calls block and are for workers; watch callbacks run on a thread of the transport and must only pass on.
 */
#ifndef KUBE_CLIENT_H
#define KUBE_CLIENT_H

#include "base/error.h"
#include "meta/status.h"
#include "json/json.h"

struct kube_client;

struct kube_request {
    const char *method; /* "GET", "POST", "PUT", "PATCH", "DELETE" */
    str path;           /* "/apis/postgres.example.io/v1/namespaces/n/postgresclusters/pg1" */
    str query;          /* "limit=1", encoded */
    str content_type;   /* of the body; empty: application/json */
    const struct json *body;
    int64_t deadline_ns;
};

struct kube_response {
    int code;
    const struct json *body;
    const struct status *status; /* when code >= 400 */
};

/*
 * 0 when the answer is 2xx. Else the code that fits (404 ERRC_NOT_FOUND, 409 AlreadyExists ERRC_EXISTS, 409 Conflict
 * ERRC_CONFLICT, 410 ERRC_TOO_OLD, 422/400 ERRC_INVALID, 403 ERRC_DENIED, 429/503 ERRC_UNAVAILABLE, 504 ERRC_TIMEOUT …)
 * with the Status's message in err and *ret filled as far as an answer came. The answer lives in the arena.
 */
int kube_call(struct kube_client *c, struct arena *a, const struct kube_request *request, struct kube_response *ret,
              struct error *err) MUST_USE;

/* Shorthands; path as above. ret_object may be NULL. */
int kube_get(struct kube_client *c, struct arena *a, str path, const struct json **ret_object, struct error *err)
    MUST_USE;
int kube_create(struct kube_client *c, struct arena *a, str collection_path, const struct json *object,
                const struct json **ret_object, struct error *err) MUST_USE;
int kube_update(struct kube_client *c, struct arena *a, str path, const struct json *object,
                const struct json **ret_object, struct error *err) MUST_USE;
int kube_merge_patch(struct kube_client *c, struct arena *a, str path, const struct json *patch,
                     const struct json **ret_object, struct error *err) MUST_USE;
/* Absent is success. uid empty: no precondition. */
int kube_delete(struct kube_client *c, struct arena *a, str path, str uid, struct error *err) MUST_USE;

/* Paths of our group's and of core kinds; ns empty: all namespaces / cluster-scoped; name empty: the collection. */
str kube_path(struct arena *a, str group, str resource, str ns, str name, str subresource);

/* ---- watches ------------------------------------------------------------------------------------------------- */

enum kube_event_type { KUBE_ADDED, KUBE_MODIFIED, KUBE_DELETED, KUBE_BOOKMARK };

struct kube_watch;
struct kube_watch_ops {
    /* One event; `object` is its JSON text, valid during the call. */
    void (*on_event)(void *self, enum kube_event_type type, str object);
    /* The watch ended: err NULL when cleanly (start again from the last resourceVersion), ERRC_TOO_OLD: list again. */
    void (*on_end)(void *self, const struct error *err);
};
/* Starts a watch of the collection from resource_version (never empty). on_end is the last call, made once. */
int kube_watch_start(struct kube_client *c, str collection_path, str resource_version, const struct kube_watch_ops *ops,
                     void *self, struct kube_watch **ret, struct error *err) MUST_USE;
/* No callback runs after it returned; frees. Must not be called from a callback. */
void kube_watch_stop(struct kube_watch *w);

/* ---- transports ---------------------------------------------------------------------------------------------- */

/* First member of every transport's watch; filled by kube_watch_start. */
struct kube_watch {
    const struct kube_transport_ops *ops;
};

struct kube_transport_ops {
    int (*call)(void *self, struct arena *a, const struct kube_request *request, struct kube_response *ret,
                struct error *err);
    int (*watch_start)(void *self, str collection_path, str resource_version, const struct kube_watch_ops *ops,
                       void *ops_self, struct kube_watch **ret, struct error *err);
    void (*watch_stop)(struct kube_watch *w);
};
struct kube_client *kube_client_new(const struct kube_transport_ops *ops, void *transport_self);
void kube_client_free(struct kube_client *c);

#endif
