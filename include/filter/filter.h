/* SPDX-License-Identifier: Apache-2.0 */
/* What stands between a request and its handler, in running order (chain.c has the one array). */
#ifndef FILTER_FILTER_H
#define FILTER_FILTER_H

#include "request/call.h"

struct filter {
    const char *name;
    /* Home thread. False: the filter has answered. May be NULL. */
    bool (*enter)(struct call *c);
    /* Any thread, before the answer leaves, in reverse order, only when enter was passed. May be NULL. */
    void (*leave)(struct call *c, int code, size_t bytes);
};

/* True when the call may go on to its handler. */
bool filters_enter(struct call *c);
/* struct api.on_done */
void filters_leave(struct call *c, int code, size_t bytes);

bool filter_audit_id(struct call *c);
bool filter_request_info(struct call *c);
bool filter_deadline(struct call *c);
void filter_metrics_leave(struct call *c, int code, size_t bytes);
/* The server ended it before its time. Home thread. */
void filter_metrics_terminated(const struct call *c, int code);
void filter_access_log_leave(struct call *c, int code, size_t bytes);
bool filter_inflight_enter(struct call *c);
void filter_inflight_leave(struct call *c, int code, size_t bytes);
bool filter_authz(struct call *c);

/* The cells of the hottest series, looked up once. */
struct metric_cache *filter_metrics_new(size_t resource_count);
void filter_metrics_free(struct metric_cache *m);

#endif
