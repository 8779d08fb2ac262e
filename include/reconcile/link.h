/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leader's line to one agent: a long-lived status stream that reconnects by itself, and commands. The newest status
 * is kept; every change wakes the reconciler.
 */
#ifndef RECONCILE_LINK_H
#define RECONCILE_LINK_H

#include "agent/message.h"
#include "base/error.h"
#include "kube/http_client.h"

struct link;
struct links; /* what all links share: the HTTP client and the threads that answer heartbeats */

int links_new(struct links **ret, struct error *err) MUST_USE;
/* Commands fail with ERRC_CANCELLED from now on, also those under way; every stream is lost. NULL is allowed. */
void links_cancel(struct links *ls);
/* After every link was closed. NULL is allowed. */
void links_free(struct links *ls);

struct link_target {
    str instance; /* name, verified against the agent's certificate */
    str host;
    int64_t agent_port;
    str ca_pem, certificate_pem, private_key_pem; /* the leader's identity in this cluster */
};

/*
 * on_status: a status came (every 0.5 s, and at changes), the stream connected or was lost. is_change: there may be
 * something to decide; positions that moved are none. On a foreign thread: only pass on.
 */
typedef void (*link_status_fn)(void *self, bool is_change);

int link_open(struct links *ls, const struct link_target *target, link_status_fn on_status, void *self,
              struct link **ret, struct error *err) MUST_USE;
/* No callback runs after it returned. NULL is allowed. */
void link_close(struct link *l);

/* The leader's identity from the next connection on; an open stream stays. */
void link_set_identity(struct link *l, str certificate_pem, str private_key_pem);

struct link_view {
    bool is_connected;
    bool has_status;
    int64_t heard_ns; /* CLOCK_MONOTONIC of the newest status; 0: never */
    int64_t lost_ns;  /* when the stream was lost; 0: connected or never was */
    struct agent_status status;
    str last_error; /* why it is not connected */
};
/* The newest state, copied into the arena. */
void link_view(struct link *l, struct arena *a, struct link_view *ret);

/*
 * What heartbeats are answered with: the term of the record and whether this instance is its primary. An agent that has
 * no such word does not start PostgreSQL writable by itself (rule 6).
 */
void link_set_word(struct link *l, int64_t term, bool is_primary, bool may_start);

/* One command; ret_body may be NULL. A refusal (409) is ERRC_CONFLICT with the agent's text, *ret_body is its answer.
 */
int link_command(struct link *l, struct arena *a, const char *path, const struct json *body, int64_t deadline_ns,
                 const struct json **ret_body, struct error *err) MUST_USE;

/* The same command to many agents at once; each result by itself. */
struct link_call {
    struct link *link;
    const char *path;
    const struct json *body;
    /* filled */
    int result;
    const struct json *answer; /* in `arena` */
    struct arena *arena;       /* made by link_command_all, the caller frees it */
    struct error error;
};
void link_command_all(struct links *ls, struct link_call *calls, size_t count, int64_t deadline_ns);

#endif
