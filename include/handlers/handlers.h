/* SPDX-License-Identifier: Apache-2.0 */
/* The door from the filters to the verbs, and what api.c starts and stops with them. */
#ifndef HANDLERS_HANDLERS_H
#define HANDLERS_HANDLERS_H

#include "request/call.h"

/* Home thread. Answers, or hands the call on. */
void handlers_dispatch(struct call *c);

/* Any thread: ends every watch of every home. */
void watches_end(struct api *api);
/* After the home threads have ended. */
void homes_free(struct api *api);

/*
 * Creates `default` and `kube-system` and starts the worker that empties deleted namespaces. Does nothing where the
 * registry has no v1 namespaces.
 */
int namespaces_start(struct api *api, struct error *err) MUST_USE;
void namespaces_stop(struct api *api);
/* Starts the garbage collector, under the same condition. */
int garbage_start(struct api *api, struct error *err) MUST_USE;
void garbage_stop(struct api *api);

#endif
