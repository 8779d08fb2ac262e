/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door between the API (which authorises, decodes and validates an action such as POST …/failover) and who carries
 * it out (the reconciler of the leader). The body was validated against its schema; the backend decides whether it is
 * safe now and answers once it is done or refused.
 */
#ifndef KUBE_ACTIONS_H
#define KUBE_ACTIONS_H

#include "meta/status.h"
#include "json/json.h"

struct action_request {
    str resource; /* "postgresclusters" */
    str action;   /* "failover" */
    str namespace_;
    str name;
    const struct json *object; /* the cluster as stored when the request came */
    const struct json *body;   /* FailoverRequest … with defaults filled; never NULL */
    str user;
    bool dry_run; /* check all, do nothing */
};

/*
 * Exactly one of answer and failure. code: 200 or 201. Everything is copied before it returns. May run on any thread,
 * also within submit.
 */
typedef void (*action_done_fn)(void *self, int code, const struct json *answer, const struct status *failure);

struct action_backend {
    void *self;
    /* The request is valid until done was called. Never blocks for long. */
    void (*submit)(void *self, const struct action_request *request, action_done_fn done, void *done_self);
};

#endif
