/* SPDX-License-Identifier: Apache-2.0 */
/* Requests counted under the names and labels of kube-apiserver, so that its dashboards and alerts work. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "filter/filter.h"

#define REQUEST_LABELS "verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component"

static const double duration_buckets[] = { .005, .025, .05, .1, .2, .4, .6, .8, 1,  1.25, 1.5, 2,
                                           3,    4,    5,   6,  8,  10, 15, 20, 30, 45,   60 };
static const double size_buckets[] = { 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9 };

static struct metric total_metric = {
    .name = "apiserver_request_total",
    .help = "Requests by verb, resource and code.",
    .type = METRIC_COUNTER,
    .labels = { REQUEST_LABELS, "code" },
};
static struct metric duration_metric = {
    .name = "apiserver_request_duration_seconds",
    .help = "Time from a request's arrival to its answer; of watches to their first header.",
    .type = METRIC_HISTOGRAM,
    .labels = { REQUEST_LABELS },
    .buckets = duration_buckets,
    .bucket_count = ARRAY_LEN(duration_buckets),
};
static struct metric size_metric = {
    .name = "apiserver_response_sizes",
    .help = "Size of answers in bytes.",
    .type = METRIC_HISTOGRAM,
    .labels = { "group", "version", "resource", "subresource", "scope", "component", "verb" },
    .buckets = size_buckets,
    .bucket_count = ARRAY_LEN(size_buckets),
};

static struct metric terminations_metric = {
    .name = "apiserver_request_terminations_total",
    .help = "Requests that the server ended before they were done, because their time was up.",
    .type = METRIC_COUNTER,
    .labels = { "verb", "group", "version", "resource", "subresource", "scope", "component", "code" },
};

enum scope { SCOPE_CLUSTER, SCOPE_NAMESPACE, SCOPE_RESOURCE, SCOPES };

struct cells {
    struct metric_cell *total, *duration, *size;
};

/* Cells of plain requests (no subresource, no dry run) that ended with 200 or 201. */
struct metric_cache {
    size_t count;
    _Atomic(struct cells *) slots[];
};

struct metric_cache *filter_metrics_new(size_t resource_count)
{
    metrics_register(&total_metric);
    metrics_register(&duration_metric);
    metrics_register(&size_metric);
    metrics_register(&terminations_metric);
    size_t n = resource_count * REQUEST_VERBS * SCOPES * 2;
    struct metric_cache *m = mem_alloc(sizeof(*m) + n * sizeof(m->slots[0]));
    m->count = n;
    return m;
}

void filter_metrics_free(struct metric_cache *m)
{
    for (size_t i = 0; m && i < m->count; i++)
        mem_free(atomic_load(&m->slots[i]));
    mem_free(m);
}

static enum scope scope_of(const struct request_info *info)
{
    if (!str_is_empty(info->name))
        return SCOPE_RESOURCE;
    return str_is_empty(info->namespace_) ? SCOPE_CLUSTER : SCOPE_NAMESPACE;
}

static str scope_name(const struct call *c)
{
    static const str names[] = { S_INIT("cluster"), S_INIT("namespace"), S_INIT("resource") };
    return c->resource ? names[scope_of(&c->info)] : (str) { 0 };
}

static str verb_name(enum request_verb verb)
{
    static const str names[] = {
        [REQUEST_GET] = S_INIT("GET"),       [REQUEST_LIST] = S_INIT("LIST"),
        [REQUEST_WATCH] = S_INIT("WATCH"),   [REQUEST_CREATE] = S_INIT("POST"),
        [REQUEST_UPDATE] = S_INIT("PUT"),    [REQUEST_PATCH] = S_INIT("PATCH"),
        [REQUEST_DELETE] = S_INIT("DELETE"), [REQUEST_DELETE_COLLECTION] = S_INIT("DELETECOLLECTION"),
        [REQUEST_OTHER] = S_INIT("OTHER"),
    };
    return names[verb];
}

/* Names from the registry only: a client's path must not invent series. */
static str subresource_name(const struct call *c)
{
    bool is_known = c->resource &&
                    (c->action || str_eq(c->info.subresource, S("status")) || str_eq(c->info.subresource, S("scale")));
    return is_known ? c->info.subresource : (str) { 0 };
}

static void find_cells(const struct call *c, int code, struct cells *ret)
{
    const struct resource *r = c->resource;
    str group = r ? r->group : (str) { 0 }, version = r ? r->version : (str) { 0 };
    str resource = r ? r->plural : (str) { 0 }, sub = subresource_name(c);
    str verb = verb_name(c->info.verb), dry_run = c->is_dry_run ? S("All") : (str) { 0 };
    str component = S("apiserver"), scope = scope_name(c);
    char text[12];
    (void)snprintf(text, sizeof(text), "%d", code);
    ret->total =
        METRIC_CELL(&total_metric, verb, dry_run, group, version, resource, sub, scope, component, str_from(text));
    ret->duration = METRIC_CELL(&duration_metric, verb, dry_run, group, version, resource, sub, scope, component);
    ret->size = METRIC_CELL(&size_metric, group, version, resource, sub, scope, component, verb);
}

static void count(const struct cells *cells, const struct call *c, size_t bytes)
{
    metric_add(cells->total, 1);
    metric_observe(cells->duration, (double)(clock_monotonic_ns() - c->req->received_ns) / 1e9);
    metric_observe(cells->size, (double)bytes);
}

void filter_metrics_leave(struct call *c, int code, size_t bytes)
{
    bool is_plain = c->resource && str_is_empty(c->info.subresource) && !c->is_dry_run && (code == 200 || code == 201);
    if (!is_plain) {
        struct cells cells;
        find_cells(c, code, &cells);
        count(&cells, c, bytes);
        return;
    }
    size_t at = ((c->resource_index * REQUEST_VERBS + c->info.verb) * SCOPES + scope_of(&c->info)) * 2 + (code == 201);
    _Atomic(struct cells *) *slot = &c->api->metric_cache->slots[at];
    struct cells *cells = atomic_load_explicit(slot, memory_order_acquire);
    if (!cells) {
        struct cells *made = mem_new_of(struct cells), *none = NULL;
        find_cells(c, code, made);
        if (atomic_compare_exchange_strong(slot, &none, made)) {
            cells = made;
        } else {
            mem_free(made);
            cells = none;
        }
    }
    count(cells, c, bytes);
}

void filter_metrics_terminated(const struct call *c, int code)
{
    const struct resource *r = c->resource;
    char text[12];
    (void)snprintf(text, sizeof(text), "%d", code);
    metric_add(METRIC_CELL(&terminations_metric, verb_name(c->info.verb), r ? r->group : (str) { 0 },
                           r ? r->version : (str) { 0 }, r ? r->plural : (str) { 0 }, subresource_name(c),
                           scope_name(c), S("apiserver"), str_from(text)),
               1);
}
