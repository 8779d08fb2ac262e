/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes events: what `kubectl describe` tells of a failover. Written in the background; an event that cannot be
 * written is logged and dropped, it never holds up the work.
 */
#ifndef RECONCILE_EVENTS_H
#define RECONCILE_EVENTS_H

#include "kube/client.h"

struct events;

int events_new(struct kube_client *client, const char *component, struct events **ret, struct error *err) MUST_USE;
/* Writes what is queued (for at most 2 s), then ends. NULL is allowed. */
void events_free(struct events *e);

/* is_warning: type Warning, else Normal. about: the object (apiVersion, kind, metadata). Any thread. */
void events_emit(struct events *e, const struct json *about, bool is_warning, const char *reason, const char *fmt, ...)
    PRINTF(5, 6);

#endif
