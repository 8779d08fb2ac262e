/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms in the Prometheus text format (0.0.4). A metric is declared static
 * beside the code it counts, with its label names; metrics_register() puts it into the one registry, and
 * cells appear when a label set is first used. Any thread; an increment is one atomic add once the cell is
 * known, so hot paths keep the `struct metric_cell *`.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/strbuf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_LABELS_MAX 10

struct metric {
    const char *name;
    const char *help;
    enum metric_type type;
    const char *labels[METRIC_LABELS_MAX + 1]; /* NULL-terminated */
    const double *buckets;                     /* upper bounds, ascending; histograms only */
    size_t bucket_count;
    struct metric_state *state; /* owned by the registry */
};

struct metric_cell;

/* Registering twice is harmless. A metric that is used before it is registered registers itself. */
void metrics_register(struct metric *m);

/* The cell of these label values, in the order of `labels`. It lives as long as the process. */
struct metric_cell *metric_cell(struct metric *m, const str *values);
#define METRIC_CELL(m, ...) metric_cell((m), (const str[]) { __VA_ARGS__ })
/* The cell of a metric without labels. */
struct metric_cell *metric_only(struct metric *m);

void metric_add(struct metric_cell *c, int64_t n);
void metric_set(struct metric_cell *c, int64_t value);
int64_t metric_value(const struct metric_cell *c);
/* Histograms only. */
void metric_observe(struct metric_cell *c, double value);

void metrics_write(struct strbuf *out);

#endif
