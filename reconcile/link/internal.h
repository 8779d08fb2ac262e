/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the link. */
#ifndef RECONCILE_LINK_INTERNAL_H
#define RECONCILE_LINK_INTERNAL_H

#include <pthread.h>

#include "base/limits.h"
#include "base/list.h"
#include "base/thread.h"
#include "reconcile/link.h"

struct links {
    struct http_client *client;
    struct pool *calls;   /* runs the commands of link_command_all */
    pthread_mutex_t lock; /* protects all, in_turn and is_stopping; taken before a link's own lock */
    pthread_cond_t changed;
    struct list all;
    bool is_stopping;
    pthread_t threads[4];
    size_t thread_count;
};

struct link {
    struct links *links;
    struct list in_all;
    bool in_turn;    /* under links->lock: a shared thread is at work on it */
    bool is_closing; /* under links->lock: gets no turn any more */
    char *instance, *host;
    int64_t agent_port;
    char *ca_pem;
    link_status_fn on_status;
    void *self;

    pthread_mutex_t lock; /* protects what follows */
    char *certificate_pem, *private_key_pem;
    struct http_client_stream *stream;
    bool stream_ended; /* the stream (if any) is over: open a new one at reconnect_ns */
    int64_t reconnect_ns;
    int64_t backoff_ms, connected_ns;
    bool is_connected, has_status, exchange_due;
    int64_t heard_ns, lost_ns;
    struct agent_status status;
    struct arena *status_arena;
    char last_error[ERROR_TEXT_MAX];
    bool has_word, word_is_primary, word_may_start;
    int64_t word_term;
};

void links__wake(struct links *ls);
int links__add(struct links *ls, struct link *l, struct error *err) MUST_USE;
void links__remove(struct links *ls, struct link *l);

void link__free(struct link *l);
void link__reconnect(struct link *l);
void link__exchange(struct link *l);
struct http_client_tls link__tls(struct link *l, struct arena *a);
str link__url(const struct link *l, struct arena *a, const char *path);
/* Whether the reconciler has something to do about it; positions alone are no reason. */
bool link__differs(const struct agent_status *x, const struct agent_status *y);

#endif
