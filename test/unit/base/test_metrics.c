/* SPDX-License-Identifier: Apache-2.0 */
/* The page that Prometheus reads. */
#include "base/metrics.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>

#include "harness/check.h"

static struct metric requests = {
    .name = "test_requests_total",
    .help = "Back\\slash, \"quotes\" and\nline end.",
    .type = METRIC_COUNTER,
    .labels = { "verb", "code" },
};
static struct metric depth = { .name = "test_depth", .help = "Depth.", .type = METRIC_GAUGE };
static const double bounds[] = { 0.005, 0.1, 1, 2.5 };
static struct metric seconds = {
    .name = "test_seconds",
    .help = "Seconds.",
    .type = METRIC_HISTOGRAM,
    .buckets = bounds,
    .bucket_count = ARRAY_LEN(bounds),
};
static struct metric labelled_seconds = {
    .name = "test_labelled_seconds",
    .help = "Seconds.",
    .type = METRIC_HISTOGRAM,
    .labels = { "verb" },
    .buckets = bounds,
    .bucket_count = 1,
};

#define CHECK_PAGE(wanted)                                                                                             \
    do {                                                                                                               \
        STRBUF_AUTO page_ = STRBUF_INIT(1 << 20);                                                                      \
        metrics_write(&page_);                                                                                         \
        CHECK_STR(strbuf_str(&page_), wanted);                                                                         \
    } while (0)

Test(metrics, a_metric_without_labels_is_there_from_its_registration)
{
    CHECK_PAGE("");
    metrics_register(&depth);
    metrics_register(&depth);
    CHECK_PAGE("# HELP test_depth Depth.\n# TYPE test_depth gauge\ntest_depth 0\n");
    metric_set(metric_only(&depth), -5);
    metric_add(metric_only(&depth), 2);
    cr_assert_eq(metric_value(metric_only(&depth)), -3);
    CHECK_PAGE("# HELP test_depth Depth.\n# TYPE test_depth gauge\ntest_depth -3\n");
}

Test(metrics, label_values_and_help_are_escaped)
{
    metrics_register(&requests);
    CHECK_PAGE("");
    metric_add(METRIC_CELL(&requests, S("a\\b\"c\nd"), S("")), 3);
    metric_add(METRIC_CELL(&requests, S("\xc3\xa4\xff"), S("200")), 1);
    CHECK_PAGE("# HELP test_requests_total Back\\\\slash, \"quotes\" and\\nline end.\n"
               "# TYPE test_requests_total counter\n"
               "test_requests_total{verb=\"a\\\\b\\\"c\\nd\",code=\"\"} 3\n"
               "test_requests_total{verb=\"\xc3\xa4\xef\xbf\xbd\",code=\"200\"} 1\n");
}

Test(metrics, the_same_label_values_give_the_same_cell)
{
    struct metric_cell *c = METRIC_CELL(&requests, S("get"), S("200"));
    cr_assert_eq(METRIC_CELL(&requests, S("get"), S("200")), c);
    cr_assert_neq(METRIC_CELL(&requests, S("get200"), S("")), c);
    cr_assert_neq(METRIC_CELL(&requests, S("get\",code=\"200"), S("")), c, "values cannot imitate others");
}

Test(metrics, buckets_are_cumulative_and_bounds_are_inclusive)
{
    struct metric_cell *c = metric_only(&seconds);
    metric_observe(c, 0.005);
    metric_observe(c, 0.0050001);
    metric_observe(c, 1);
    metric_observe(c, 100);
    metric_observe(c, -1);
    metric_observe(c, NAN);
    CHECK_PAGE("# HELP test_seconds Seconds.\n# TYPE test_seconds histogram\n"
               "test_seconds_bucket{le=\"0.005\"} 2\n"
               "test_seconds_bucket{le=\"0.1\"} 3\n"
               "test_seconds_bucket{le=\"1\"} 4\n"
               "test_seconds_bucket{le=\"2.5\"} 4\n"
               "test_seconds_bucket{le=\"+Inf\"} 5\n"
               "test_seconds_sum 100.0100001\n"
               "test_seconds_count 5\n");
}

Test(metrics, a_labelled_histogram_has_le_behind_its_labels)
{
    metric_observe(METRIC_CELL(&labelled_seconds, S("get")), 7);
    CHECK_PAGE("# HELP test_labelled_seconds Seconds.\n# TYPE test_labelled_seconds histogram\n"
               "test_labelled_seconds_bucket{verb=\"get\",le=\"0.005\"} 0\n"
               "test_labelled_seconds_bucket{verb=\"get\",le=\"+Inf\"} 1\n"
               "test_labelled_seconds_sum{verb=\"get\"} 7\n"
               "test_labelled_seconds_count{verb=\"get\"} 1\n");
}

Test(metrics, metrics_stand_in_the_order_of_their_names)
{
    metrics_register(&seconds);
    metrics_register(&depth);
    (void)METRIC_CELL(&requests, S("x"), S("y"));
    STRBUF_AUTO page = STRBUF_INIT(1 << 20);
    metrics_write(&page);
    ptrdiff_t first = str_find(strbuf_str(&page), S("# HELP test_depth "));
    ptrdiff_t second = str_find(strbuf_str(&page), S("# HELP test_requests_total "));
    ptrdiff_t third = str_find(strbuf_str(&page), S("# HELP test_seconds "));
    cr_assert(first == 0 && first < second && second < third);
}

Test(metrics, label_sets_beyond_the_limit_share_one_cell)
{
    char value[32];
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(value, sizeof(value), "v%d", i);
        metric_add(METRIC_CELL(&requests, str_from(value), S("1")), 1);
    }
    struct metric_cell *c = METRIC_CELL(&requests, S("one more"), S("1"));
    cr_assert_eq(METRIC_CELL(&requests, S("and another"), S("2")), c);
    cr_assert_neq(METRIC_CELL(&requests, S("v9999"), S("1")), c);
    metric_add(c, 9);
    STRBUF_AUTO page = STRBUF_INIT(1 << 20);
    metrics_write(&page);
    CHECK_HAS(strbuf_str(&page), "{verb=\"other\",code=\"other\"} 9\n");
}

Test(metrics, two_metrics_of_one_name_abort, .signal = SIGABRT)
{
    static struct metric twin = { .name = "test_depth", .help = "Other.", .type = METRIC_COUNTER };
    metrics_register(&depth);
    metrics_register(&twin);
}
