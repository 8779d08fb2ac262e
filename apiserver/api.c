/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the API together: options, workers, namespaces; and runs each request through filters to its handler. */
#include "apiserver/api.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "filter/filter.h"
#include "handlers/handlers.h"

#define WORKERS 2
#define WORKER_QUEUE 4096
/* Requests that wait up to 3 s for a revision of the future; more of them get 429. */
#define WAITERS 2
#define WAITER_QUEUE 64
/* A disk that hangs, or an action nobody finishes, must not keep the process from ending. */
#define STOP_TIMEOUT_MS 15000

static size_t or_default(size_t value, size_t fallback)
{
    return value > 0 ? value : fallback;
}

static void fill_defaults(struct api_options *o)
{
    o->workers = or_default(o->workers, WORKERS);
    o->max_requests_inflight = or_default(o->max_requests_inflight, 400);
    o->max_mutating_requests_inflight = or_default(o->max_mutating_requests_inflight, 200);
    if (o->request_timeout_ms <= 0)
        o->request_timeout_ms = 60 * 1000;
    if (o->min_request_timeout_ms <= 0)
        o->min_request_timeout_ms = 1800 * 1000;
    if (o->bookmark_interval_ms <= 0)
        o->bookmark_interval_ms = 60 * 1000;
}

static const struct resource *find_namespaces(const struct resource_registry *registry)
{
    for (size_t i = 0; i < registry->count; i++) {
        const struct resource *r = registry->resources[i];
        if (str_is_empty(r->group) && str_eq(r->plural, S("namespaces")))
            return r;
    }
    return NULL;
}

int api_new(const struct api_options *options, struct api **ret, struct error *err)
{
    struct api *api = mem_new_of(struct api);
    api->options = *options;
    fill_defaults(&api->options);
    atomic_init(&api->actions, options->actions);
    pthread_mutex_init(&api->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&api->idle, &attr);
    pthread_condattr_destroy(&attr);
    api->namespace_resource = find_namespaces(options->registry);
    api->metric_cache = filter_metrics_new(options->registry->count);
    api->on_done = filters_leave;
    struct error own;
    api->workers = pool_new("api-worker", api->options.workers, WORKER_QUEUE, &own);
    if (api->workers)
        api->waiters = pool_new("api-waiter", WAITERS, WAITER_QUEUE, &own);
    int r = api->waiters ? namespaces_start(api, &own) : (int)own.code;
    if (r == 0)
        r = garbage_start(api, &own);
    if (r < 0) {
        api_free(api);
        return error_set(err, own.code, "%s", own.text);
    }
    *ret = api;
    return 0;
}

void api_set_actions(struct api *api, const struct action_backend *actions)
{
    atomic_store(&api->actions, actions);
}

void api_end_watches(struct api *api)
{
    watches_end(api);
}

/* Writes and actions that were begun are answered by other threads. */
static bool wait_idle(struct api *api)
{
    int64_t deadline = deadline_in_ms(STOP_TIMEOUT_MS);
    struct timespec at = clock_to_timespec(deadline);
    pthread_mutex_lock(&api->lock);
    while (api->call_count > 0 && !deadline_has_passed(deadline))
        pthread_cond_timedwait(&api->idle, &api->lock, &at);
    bool is_idle = api->call_count == 0;
    pthread_mutex_unlock(&api->lock);
    return is_idle;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    garbage_stop(api);
    namespaces_stop(api);
    pool_free(TAKE(api->waiters));
    bool is_idle = wait_idle(api);
    pool_free(TAKE(api->workers));
    if (!is_idle) {
        log_error("requests were not answered in time: their memory stays");
        return;
    }
    homes_free(api);
    filter_metrics_free(api->metric_cache);
    pthread_cond_destroy(&api->idle);
    pthread_mutex_destroy(&api->lock);
    mem_free(api);
}

void api_serve(struct api *api, struct api_request *req)
{
    struct call *c = call_new(api, req);
    if (filters_enter(c))
        handlers_dispatch(c);
}
