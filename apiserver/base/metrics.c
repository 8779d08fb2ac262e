/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry, the cells and the text format. Cells are never freed, so readers and writers of values
 * need no lock; a metric's mutex protects only the table of its cells, the registry's mutex only its list.
 * Neither is held while the other is taken or while a callback runs.
 */
#include "base/metrics.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"

/* A label whose values somebody outside chooses must not eat our memory: further sets share one cell. */
#define CELLS_MAX 10000u
#define OVERFLOW_VALUE S("other")

struct metric_cell {
    const struct metric *metric;
    str labels;           /* a="b",c="d" */
    atomic_llong value;   /* counters and gauges */
    _Atomic double sum;   /* histograms */
    atomic_ullong hits[]; /* histograms: bucket_count + 1, not cumulative; the last is above every bound */
};

struct metric_state {
    struct metric_state *next;
    const struct metric *metric;
    pthread_mutex_t mutex;
    struct map *by_labels;
};

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct metric_state *registry; /* by name */

static struct metric_state *state_of(struct metric *m)
{
    return __atomic_load_n(&m->state, __ATOMIC_ACQUIRE);
}

void metrics_register(struct metric *m)
{
    pthread_mutex_lock(&registry_mutex);
    bool is_new = !state_of(m);
    if (is_new) {
        struct metric_state *state = mem_new_of(struct metric_state);
        struct metric_state **at = &registry;
        while (*at && strcmp((*at)->metric->name, m->name) < 0)
            at = &(*at)->next;
        assert(!*at || strcmp((*at)->metric->name, m->name) != 0);
        state->metric = m;
        state->by_labels = map_new();
        (void)pthread_mutex_init(&state->mutex, NULL);
        state->next = *at;
        *at = state;
        __atomic_store_n(&m->state, state, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&registry_mutex);
    /* Without labels it exists from the start, at 0. */
    if (is_new && !m->labels[0])
        (void)metric_only(m);
}

/* With \ and the line end escaped, and " too in a label; text that is no UTF-8 would spoil the whole page. */
static void add_escaped(struct strbuf *out, str text, bool is_label)
{
    for (size_t n; text.len; text = str_from_offset(text, n)) {
        n = utf8_len(text);
        char c = text.ptr[0];
        if (n == 0)
            strbuf_add(out, S("\xef\xbf\xbd"));
        else if (c == '\n')
            strbuf_add(out, S("\\n"));
        else if (c == '\\' || (c == '"' && is_label))
            strbuf_addf(out, "\\%c", c);
        else
            strbuf_add(out, str_first(text, n));
        if (n == 0)
            n = 1;
    }
}

static struct metric_cell *cell_new(const struct metric *m, str labels)
{
    size_t hits = m->type == METRIC_HISTOGRAM ? m->bucket_count + 1 : 0;
    struct metric_cell *c = mem_alloc(sizeof(*c) + hits * sizeof(c->hits[0]));
    char *copy = mem_alloc(labels.len + 1);
    if (labels.len)
        memcpy(copy, labels.ptr, labels.len);
    c->metric = m;
    c->labels = str_of(copy, labels.len);
    return c;
}

static void add_labels(struct strbuf *out, const struct metric *m, const str *values)
{
    for (size_t i = 0; m->labels[i]; i++) {
        strbuf_addf(out, "%s%s=\"", i ? "," : "", m->labels[i]);
        add_escaped(out, values ? values[i] : OVERFLOW_VALUE, true);
        strbuf_add_char(out, '"');
    }
}

static struct metric_cell *find_or_add(struct metric_state *state, str labels)
{
    struct metric_cell *c = map_get(state->by_labels, labels);
    if (!c) {
        c = cell_new(state->metric, labels);
        (void)map_put(state->by_labels, labels, c);
    }
    return c;
}

static struct metric_cell *cell_for(struct metric_state *state, const str *values)
{
    STRBUF_AUTO labels = STRBUF_INIT(SIZE_MAX / 2);
    add_labels(&labels, state->metric, values);
    pthread_mutex_lock(&state->mutex);
    if (map_count(state->by_labels) >= CELLS_MAX && !map_get(state->by_labels, strbuf_str(&labels))) {
        strbuf_reset(&labels);
        add_labels(&labels, state->metric, NULL);
    }
    struct metric_cell *c = find_or_add(state, strbuf_str(&labels));
    pthread_mutex_unlock(&state->mutex);
    return c;
}

struct metric_cell *metric_cell(struct metric *m, const str *values)
{
    if (!state_of(m))
        metrics_register(m);
    return cell_for(state_of(m), values);
}

struct metric_cell *metric_only(struct metric *m)
{
    assert(!m->labels[0]);
    return metric_cell(m, NULL);
}

void metric_add(struct metric_cell *c, int64_t n)
{
    atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}

void metric_set(struct metric_cell *c, int64_t value)
{
    atomic_store_explicit(&c->value, value, memory_order_relaxed);
}

int64_t metric_value(const struct metric_cell *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

void metric_observe(struct metric_cell *c, double value)
{
    const struct metric *m = c->metric;
    if (__builtin_isnan(value))
        return; /* it is in no bucket and would spoil the sum for ever */
    size_t i = 0;
    while (i < m->bucket_count && value > m->buckets[i])
        i++;
    atomic_fetch_add_explicit(&c->hits[i], 1, memory_order_relaxed);
    double sum = atomic_load_explicit(&c->sum, memory_order_relaxed);
    while (
        !atomic_compare_exchange_weak_explicit(&c->sum, &sum, sum + value, memory_order_relaxed, memory_order_relaxed))
        continue;
}

/* The shortest text that reads back as the same number. */
static void add_double(struct strbuf *out, double value)
{
    char text[40];
    if (__builtin_isinf(value)) {
        strbuf_add(out, value > 0 ? S("+Inf") : S("-Inf"));
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) >= value && strtod(text, NULL) <= value)
            break;
    }
    strbuf_add(out, str_from(text));
}

static void write_histogram(struct strbuf *out, const struct metric_cell *c)
{
    const struct metric *m = c->metric;
    const char *comma = c->labels.len ? "," : "";
    const char *open = c->labels.len ? "{" : "";
    const char *close = c->labels.len ? "}" : "";
    unsigned long long total = 0;
    for (size_t i = 0; i <= m->bucket_count; i++) {
        total += atomic_load_explicit(&c->hits[i], memory_order_relaxed);
        strbuf_addf(out, "%s_bucket{%.*s%sle=\"", m->name, STR_ARG(c->labels), comma);
        add_double(out, i < m->bucket_count ? m->buckets[i] : __builtin_inf());
        strbuf_addf(out, "\"} %llu\n", total);
    }
    strbuf_addf(out, "%s_sum%s%.*s%s ", m->name, open, STR_ARG(c->labels), close);
    add_double(out, atomic_load_explicit(&c->sum, memory_order_relaxed));
    /* The count is that of the buckets just written, so that a page never contradicts itself. */
    strbuf_addf(out, "\n%s_count%s%.*s%s %llu\n", m->name, open, STR_ARG(c->labels), close, total);
}

static void write_cell(struct strbuf *out, const struct metric_cell *c)
{
    const struct metric *m = c->metric;
    if (m->type == METRIC_HISTOGRAM)
        write_histogram(out, c);
    else if (c->labels.len)
        strbuf_addf(out, "%s{%.*s} %lld\n", m->name, STR_ARG(c->labels), (long long)metric_value(c));
    else
        strbuf_addf(out, "%s %lld\n", m->name, (long long)metric_value(c));
}

/* The cells there are now; the array is the caller's. */
static struct metric_cell **cells_of(struct metric_state *state, size_t *ret_count)
{
    pthread_mutex_lock(&state->mutex);
    struct metric_cell **cells = mem_array_of(struct metric_cell *, map_count(state->by_labels));
    size_t count = 0;
    void *value;
    for (size_t i = 0; map_next(state->by_labels, &i, NULL, &value);)
        cells[count++] = value;
    pthread_mutex_unlock(&state->mutex);
    *ret_count = count;
    return cells;
}

static void write_metric(struct strbuf *out, struct metric_state *state)
{
    static const char *const types[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_HISTOGRAM] = "histogram",
    };
    const struct metric *m = state->metric;
    size_t count;
    struct metric_cell **cells = cells_of(state, &count);
    if (count > 0) {
        strbuf_addf(out, "# HELP %s ", m->name);
        add_escaped(out, str_from(m->help), false);
        strbuf_addf(out, "\n# TYPE %s %s\n", m->name, types[m->type]);
    }
    for (size_t i = 0; i < count; i++)
        write_cell(out, cells[i]);
    mem_free(cells);
}

void metrics_write(struct strbuf *out)
{
    /* States never go, but one may be put in between while we walk: so a copy of the list. */
    size_t count = 0;
    pthread_mutex_lock(&registry_mutex);
    for (const struct metric_state *s = registry; s; s = s->next)
        count++;
    struct metric_state **states = mem_array_of(struct metric_state *, count);
    count = 0;
    for (struct metric_state *s = registry; s; s = s->next)
        states[count++] = s;
    pthread_mutex_unlock(&registry_mutex);
    for (size_t i = 0; i < count; i++)
        write_metric(out, states[i]);
    mem_free(states);
}
