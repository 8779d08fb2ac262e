/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A local copy of one collection, kept by list and watch through kube/client.h (client-go's reflector and store in
 * one). It survives a server that goes away: it lists again with back-off, and what vanished meanwhile is reported as
 * deleted.
 */
#ifndef RECONCILE_INFORMER_H
#define RECONCILE_INFORMER_H

#include "base/error.h"
#include "kube/client.h"
#include "json/json.h"

struct informer;

/* `object` is the new state (KUBE_DELETED: the last one). On the informer's or the transport's thread: only pass on. */
typedef void (*informer_fn)(void *self, enum kube_event_type type, const struct json *object);

int informer_start(struct kube_client *client, str collection_path, informer_fn on_change, void *self,
                   struct informer **ret, struct error *err) MUST_USE;
/* The first list is in. */
bool informer_has_synced(struct informer *inf);
int informer_wait_synced(struct informer *inf, int64_t deadline_ns, struct error *err) MUST_USE;
/* Objects of the namespace (empty: all), in no order; the trees live in the arena. Returns how many. */
size_t informer_list(struct informer *inf, struct arena *a, str ns, const struct json ***ret_objects);
/* No callback runs after it returned. NULL is allowed. */
void informer_stop(struct informer *inf);

#endif
