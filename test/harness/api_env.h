/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole API over a memory store, without sockets: the real kinds, filters and handlers. The thread that made it is
 * its home; env_call and env_pump run what was posted there. For tests only; a failed set-up aborts.
 */
#ifndef HARNESS_API_ENV_H
#define HARNESS_API_ENV_H

#include <pthread.h>

#include "apiserver/api.h"
#include "base/list.h"
#include "base/strbuf.h"
#include "harness/storage_faulty.h"
#include "json/json.h"

#define ENV_GROUP "/apis/postgres.example.io/v1"
#define ENV_CLUSTERS ENV_GROUP "/namespaces/default/postgresclusters"
#define ENV_BACKUPS ENV_GROUP "/namespaces/default/postgresbackups"

struct env_options {
    size_t event_window;         /* of the store; 0: default */
    int64_t compact_interval_ms; /* likewise */
    uint64_t compact_keep;
    int64_t bookmark_interval_ms; /* 0: default */
    size_t max_requests_inflight, max_mutating_requests_inflight;
    const struct action_backend *actions;
    const char *store_url;              /* NULL: "memory:" */
    struct storage_faulty_plan *faults; /* of the store; NULL: none */
};

struct env {
    struct arena *arena; /* of the kinds, and of every answer */
    struct api *api;
    struct api_home *home;
    struct pages *pages;
    struct store *store, *virtual_store;
    struct resource_registry registry;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct list posted; /* under the lock */
    struct list timers;
};

struct env *env_new(const struct env_options *options);
void env_free(struct env *e);
/* A resource by its plural. */
const struct resource *env_resource(struct env *e, const char *plural);

struct env_header {
    const char *name, *value;
};

struct env_request {
    const char *method; /* NULL: GET */
    const char *target; /* path?query */
    const char *body;   /* or raw, when it holds NULs */
    str raw;
    const char *content_type, *accept;
    struct env_header headers[6];
    const struct api_user *user; /* NULL: an administrator */
    bool body_too_large;
};

struct env_answer {
    int code;
    str content_type;
    str body;
    const struct json *json; /* NULL when the body is none */
    const struct api_header *headers;
    size_t header_count;
};

extern const struct api_user env_admin, env_viewer, env_nobody, env_anonymous, env_internal;

/* Runs the request to its end; aborts after 20 s. */
struct env_answer env_call(struct env *e, const struct env_request *request);
struct env_answer env_get(struct env *e, const char *target);
struct env_answer env_send(struct env *e, const char *method, const char *target, const char *body);
str env_header(const struct env_answer *answer, const char *name);
str env_text(const struct env_answer *answer, const char *path); /* json_str_at */
rv env_revision(struct env *e);
/* Makes a cluster with two instances; gives its resourceVersion. */
str env_cluster(struct env *e, const char *name);

/* ---- watches ----------------------------------------------------------------------------------------------------- */

struct env_watch {
    struct env *env;
    struct api_request req;
    struct arena *arena;
    struct api_watch *watch;   /* NULL: not begun, or over */
    struct env_answer refusal; /* when it was refused: code != 0 */
    bool is_ended, is_error;
    struct strbuf text; /* everything that came */
    size_t read_at;
    size_t backlog; /* what send() claims; tests set it to stop the flow */
    bool holds;     /* frames count as backlog until env_watch_drain */
};

struct env_watch *env_watch(struct env *e, const struct env_request *request);
/* The next frame, parsed; aborts after 20 s. NULL when the watch ended before it came. */
const struct json *env_watch_next(struct env_watch *w);
/* Nothing more has come, after what was posted ran. */
bool env_watch_is_quiet(struct env_watch *w);
void env_watch_drain(struct env_watch *w);
void env_watch_close(struct env_watch *w);

/* Runs what was posted and the timers that are due; waits up to `ms` for something to do. */
void env_pump(struct env *e, int64_t ms);

#endif
