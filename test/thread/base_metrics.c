/* SPDX-License-Identifier: Apache-2.0 */
/* Increments, new cells, registrations and scrapes at once: no increment is lost, no page contradicts itself. */
#include <stdatomic.h>
#include <stdio.h>

#include "base/metrics.h"
#include "harness/race.h"

enum { WRITERS = 4, ROUNDS = 20000 };

static const double bounds[] = { 1, 10 };
static struct metric count = { .name = "race_total", .help = "h", .type = METRIC_COUNTER, .labels = { "l" } };
static struct metric plain = { .name = "race_depth", .help = "h", .type = METRIC_GAUGE };
static struct metric times = {
    .name = "race_seconds", .help = "h", .type = METRIC_HISTOGRAM, .buckets = bounds, .bucket_count = 2
};
static atomic_int next_number;
static atomic_int writers_left = WRITERS;

static void add_all(int number)
{
    char label[16];
    for (int i = 0; i < ROUNDS; i++) {
        (void)snprintf(label, sizeof(label), "v%d", i % 50);
        metric_add(METRIC_CELL(&count, str_from(label)), 1);
        metric_add(metric_only(&plain), number % 2 ? 1 : -1);
        metric_observe(metric_only(&times), i % 3 ? 0.5 : 100);
    }
    atomic_fetch_sub(&writers_left, 1);
}

static long long number_behind(str page, const char *name)
{
    ptrdiff_t at = str_find(page, str_from(name));
    CHECK(at >= 0);
    return strtoll(page.ptr + at + strlen(name), NULL, 10);
}

static void scrape_until_done(void)
{
    long long before = 0;
    do {
        STRBUF_AUTO page = STRBUF_INIT(1 << 20);
        metrics_write(&page);
        CHECK(!page.is_full);
        if (str_find(strbuf_str(&page), S("race_seconds_count")) < 0)
            continue;
        long long n = number_behind(strbuf_str(&page), "\nrace_seconds_count ");
        CHECK(n == number_behind(strbuf_str(&page), "le=\"+Inf\"} "));
        CHECK(n >= before);
        before = n;
    } while (atomic_load(&writers_left) > 0);
}

static void *take_part(void *arg)
{
    (void)arg;
    int number = atomic_fetch_add(&next_number, 1);
    if (number < WRITERS)
        add_all(number);
    else
        scrape_until_done();
    return NULL;
}

int main(void)
{
    race(WRITERS + 2, take_part, NULL);
    char label[16];
    int64_t total = 0;
    for (int i = 0; i < 50; i++) {
        (void)snprintf(label, sizeof(label), "v%d", i);
        total += metric_value(METRIC_CELL(&count, str_from(label)));
    }
    CHECK(total == WRITERS * ROUNDS);
    CHECK(metric_value(metric_only(&plain)) == 0);
    STRBUF_AUTO page = STRBUF_INIT(1 << 20);
    metrics_write(&page);
    CHECK(number_behind(strbuf_str(&page), "\nrace_seconds_count ") == WRITERS * ROUNDS);
    return 0;
}
