/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the links share: a few threads that give each link its turn (open the stream again, answer a heartbeat) and run
 * commands side by side. One hung agent holds one thread for at most its deadline, never the others' links for good.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "internal.h"

#define CALL_THREADS 16
#define CALL_QUEUE 1024

/* What a link wants now; *next is lowered to the time at which it wants something later. */
enum turn { TURN_NONE, TURN_RECONNECT, TURN_EXCHANGE };

static enum turn wanted(struct link *l, int64_t *next)
{
    enum turn turn = TURN_NONE;
    pthread_mutex_lock(&l->lock);
    if (l->stream_ended) {
        if (l->reconnect_ns <= clock_monotonic_ns())
            turn = TURN_RECONNECT;
        else if (l->reconnect_ns < *next)
            *next = l->reconnect_ns;
    }
    if (turn == TURN_NONE && l->exchange_due && l->is_connected)
        turn = TURN_EXCHANGE;
    pthread_mutex_unlock(&l->lock);
    return turn;
}

/* The first link that wants a turn, marked as being served; NULL when the threads shall end. */
static struct link *next_turn(struct links *ls, enum turn *ret_turn)
{
    struct link *found = NULL;
    pthread_mutex_lock(&ls->lock);
    while (!ls->is_stopping && !found) {
        int64_t next = INT64_MAX;
        LIST_FOREACH (&ls->all, it) {
            struct link *l = LIST_ENTRY(it, struct link, in_all);
            if (l->in_turn || l->is_closing)
                continue;
            *ret_turn = wanted(l, &next);
            if (*ret_turn != TURN_NONE) {
                found = l;
                break;
            }
        }
        if (found)
            break;
        if (next == INT64_MAX) {
            pthread_cond_wait(&ls->changed, &ls->lock);
        } else {
            struct timespec until = clock_to_timespec(next);
            pthread_cond_timedwait(&ls->changed, &ls->lock, &until);
        }
    }
    if (found) {
        found->in_turn = true;
        /* Served last next time, so that a busy link does not starve the others. */
        list_remove(&found->in_all);
        list_add_tail(&ls->all, &found->in_all);
    }
    pthread_mutex_unlock(&ls->lock);
    return found;
}

static void *serve(void *arg)
{
    struct links *ls = arg;
    enum turn turn;
    struct link *l;
    while ((l = next_turn(ls, &turn))) {
        if (turn == TURN_RECONNECT)
            link__reconnect(l);
        else
            link__exchange(l);
        pthread_mutex_lock(&ls->lock);
        l->in_turn = false;
        pthread_cond_broadcast(&ls->changed);
        pthread_mutex_unlock(&ls->lock);
    }
    return NULL;
}

int links_new(struct links **ret, struct error *err)
{
    struct links *ls = mem_new_of(struct links);
    list_init(&ls->all);
    pthread_mutex_init(&ls->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&ls->changed, &attr);
    pthread_condattr_destroy(&attr);
    int r = http_client_new(&ls->client, err);
    if (r == 0) {
        ls->calls = pool_new("agent-call", CALL_THREADS, CALL_QUEUE, err);
        r = ls->calls ? 0 : ERRC_INTERNAL;
    }
    while (r == 0 && ls->thread_count < ARRAY_LEN(ls->threads)) {
        r = thread_start(&ls->threads[ls->thread_count], "agent-link", serve, ls, err);
        if (r == 0)
            ls->thread_count++;
    }
    if (r < 0) {
        links_free(ls);
        return r;
    }
    *ret = ls;
    return 0;
}

void links_cancel(struct links *ls)
{
    if (ls)
        http_client_cancel(ls->client);
}

void links_free(struct links *ls)
{
    if (!ls)
        return;
    pthread_mutex_lock(&ls->lock);
    ls->is_stopping = true;
    pthread_cond_broadcast(&ls->changed);
    pthread_mutex_unlock(&ls->lock);
    for (size_t i = 0; i < ls->thread_count; i++)
        pthread_join(ls->threads[i], NULL);
    pool_free(ls->calls);
    http_client_free(ls->client);
    pthread_cond_destroy(&ls->changed);
    pthread_mutex_destroy(&ls->lock);
    mem_free(ls);
}

void links__wake(struct links *ls)
{
    pthread_mutex_lock(&ls->lock);
    pthread_cond_broadcast(&ls->changed);
    pthread_mutex_unlock(&ls->lock);
}

int links__add(struct links *ls, struct link *l, struct error *err)
{
    pthread_mutex_lock(&ls->lock);
    bool stopping = ls->is_stopping;
    if (!stopping) {
        list_add_tail(&ls->all, &l->in_all);
        pthread_cond_broadcast(&ls->changed);
    }
    pthread_mutex_unlock(&ls->lock);
    return stopping ? error_set(err, ERRC_UNAVAILABLE, "links are stopping") : 0;
}

void links__remove(struct links *ls, struct link *l)
{
    pthread_mutex_lock(&ls->lock);
    l->is_closing = true;
    while (l->in_turn)
        pthread_cond_wait(&ls->changed, &ls->lock);
    list_remove(&l->in_all);
    pthread_mutex_unlock(&ls->lock);
}

/* What PostgreSQL itself is like. */
static bool server_differs(const struct agent_status *x, const struct agent_status *y)
{
    return x->postgres_running != y->postgres_running || x->in_recovery != y->in_recovery ||
           x->timeline != y->timeline || x->streaming != y->streaming || x->frozen != y->frozen ||
           x->write_probe_ok != y->write_probe_ok || x->health_ok != y->health_ok ||
           !str_eq(x->archive_error, y->archive_error) || !str_eq(x->not_replicated, y->not_replicated) ||
           json_count(x->replication) != json_count(y->replication);
}

/* What of the configuration is in force, and what waits for a restart. */
static bool differs_in_parameters(const struct agent_status *x, const struct agent_status *y)
{
    return x->config_version != y->config_version || x->loaded_version != y->loaded_version ||
           !str_eq(x->postmaster, y->postmaster) || !str_eq(x->last_restart_id, y->last_restart_id) ||
           x->pending_restart != y->pending_restart || x->restart_primary_first != y->restart_primary_first ||
           x->restart_standbys_first != y->restart_standbys_first ||
           !str_eq(x->pending_restart_names, y->pending_restart_names) ||
           !str_eq(x->pending_elsewhere_names, y->pending_elsewhere_names) || !str_eq(x->config_error, y->config_error);
}

bool link__differs(const struct agent_status *x, const struct agent_status *y)
{
    return x->term != y->term || !str_eq(x->granted_to, y->granted_to) || !str_eq(x->phase, y->phase) ||
           !str_eq(x->message, y->message) || !str_eq(x->progress, y->progress) || x->usable != y->usable ||
           !str_eq(x->system_identifier, y->system_identifier) || !str_eq(x->incarnation, y->incarnation) ||
           !json_equal(x->task, y->task) || server_differs(x, y) || differs_in_parameters(x, y);
}

/* ---- the same command to many -------------------------------------------------------------------------------- */

struct batch {
    pthread_mutex_t lock;
    pthread_cond_t done;
    size_t pending;
    int64_t deadline_ns;
};

struct batch_call {
    struct batch *batch;
    struct link_call *call;
};

static void run_call(void *arg)
{
    struct batch_call *bc = arg;
    struct link_call *c = bc->call;
    c->result = link_command(c->link, c->arena, c->path, c->body, bc->batch->deadline_ns, &c->answer, &c->error);
    pthread_mutex_lock(&bc->batch->lock);
    if (--bc->batch->pending == 0)
        pthread_cond_signal(&bc->batch->done);
    pthread_mutex_unlock(&bc->batch->lock);
}

void link_command_all(struct links *ls, struct link_call *calls, size_t count, int64_t deadline_ns)
{
    if (count == 0)
        return;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct batch batch = { .pending = count, .deadline_ns = deadline_ns };
    pthread_mutex_init(&batch.lock, NULL);
    pthread_cond_init(&batch.done, NULL);
    struct batch_call *jobs = arena_array_of(a, struct batch_call, count);
    for (size_t i = 0; i < count; i++) {
        calls[i].arena = arena_new();
        calls[i].answer = NULL;
        jobs[i] = (struct batch_call) { .batch = &batch, .call = &calls[i] };
        if (!pool_run(ls->calls, run_call, &jobs[i]))
            run_call(&jobs[i]); /* the pool is full: slower, but not lost */
    }
    pthread_mutex_lock(&batch.lock);
    while (batch.pending) /* bounded: every call has the deadline */
        pthread_cond_wait(&batch.done, &batch.lock);
    pthread_mutex_unlock(&batch.lock);
    pthread_cond_destroy(&batch.done);
    pthread_mutex_destroy(&batch.lock);
}
