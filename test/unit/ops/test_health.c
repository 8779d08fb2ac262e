/* SPDX-License-Identifier: Apache-2.0 */
/* /healthz, /livez, /readyz, /version and /metrics. */
#include <time.h>

#include "base/metrics.h"
#include "ops_test.h"

static bool is_set(void *self)
{
    return *(bool *)self;
}

struct fixture {
    bool store, shutdown;
    struct health_check checks[2];
};

static void fixture_init(struct fixture *f)
{
    f->store = f->shutdown = true;
    f->checks[0] = (struct health_check) { "store", HEALTH_ALL, is_set, &f->store };
    f->checks[1] = (struct health_check) { "shutdown", HEALTH_READYZ, is_set, &f->shutdown };
}

static void assert_page(const struct site *s, const char *path, const char *query, int code, const char *body)
{
    struct page_answer answer = ask(s, path, query, "");
    cr_expect_eq(answer.code, code, "%s?%s: %d", path, query, answer.code);
    cr_expect(str_eq_z(answer.body, body), "%s?%s: %.*s", path, query, STR_ARG(answer.body));
    cr_expect(str_eq_z(answer.content_type, "text/plain; charset=utf-8"));
    cr_expect(str_eq_z(header(&answer, "x-content-type-options"), "nosniff"));
}

Test(health, says_ok_or_lists_its_checks)
{
    struct fixture f;
    fixture_init(&f);
    SITE_AUTO s = site_with(true, f.checks, 2);
    assert_page(&s, "/healthz", "", 200, "ok");
    assert_page(&s, "/livez", "", 200, "ok");
    assert_page(&s, "/readyz", "", 200, "ok");
    assert_page(&s, "/readyz/", "", 200, "ok");
    assert_page(&s, "/livez", "verbose", 200, "[+]ping ok\n[+]store ok\nlivez check passed\n");
    assert_page(&s, "/readyz", "verbose=1", 200, "[+]ping ok\n[+]store ok\n[+]shutdown ok\nreadyz check passed\n");
}

Test(health, fails_where_a_check_fails_and_withholds_the_reason)
{
    struct fixture f;
    fixture_init(&f);
    SITE_AUTO s = site_with(true, f.checks, 2);
    f.shutdown = false;
    assert_page(&s, "/livez", "", 200, "ok");
    assert_page(&s, "/readyz", "", 500,
                "[+]ping ok\n[+]store ok\n[-]shutdown failed: reason withheld\nreadyz check failed\n");
    assert_page(&s, "/readyz", "exclude=shutdown", 200, "ok");
    assert_page(&s, "/readyz", "verbose&exclude=shutdown&exclude=store", 200,
                "[+]ping ok\n[+]store excluded: ok\n[+]shutdown excluded: ok\nreadyz check passed\n");
    assert_page(&s, "/readyz", "verbose&exclude=shutdown&exclude=x", 200,
                "[+]ping ok\n[+]store ok\n[+]shutdown excluded: ok\n"
                "warn: some health checks cannot be excluded: no matches for \"x\"\nreadyz check passed\n");
}

Test(health, answers_for_one_check)
{
    struct fixture f;
    fixture_init(&f);
    SITE_AUTO s = site_with(true, f.checks, 2);
    assert_page(&s, "/readyz/ping", "", 200, "ok");
    assert_page(&s, "/readyz/store", "", 200, "ok");
    f.store = false;
    assert_page(&s, "/readyz/store", "", 500, "internal server error: store failed: reason withheld\n");
    static const char *const unknown[] = { "/livez/shutdown", "/readyz/x", "/readyz/store/x", "/healthzz", "/health" };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        struct page_request req = { .path = str_from(unknown[i]) };
        struct page_answer answer;
        cr_expect_not(pages_serve(s.pages, s.arena, &req, &answer), "%s", unknown[i]);
    }
}

Test(version, names_the_kubernetes_we_follow_and_our_own)
{
    SITE_AUTO s = site_open();
    const struct json *v = document(&s, "/version", "application/json, */*");
    cr_assert(str_eq_z(json_str_at(v, "major"), "1"));
    cr_assert(str_has_prefix(json_str_at(v, "gitVersion"), S("v1.")));
    cr_assert(str_has_suffix(json_str_at(v, "gitVersion"), S(PROJECT_VERSION)));
}

static double metric_of(str text, const char *name)
{
    for (str line; str_next_field(&text, '\n', &line);) {
        str key;
        str value;
        double d = 0;
        if (str_cut(line, ' ', &key, &value) && str_eq_z(key, name)) {
            ARENA_AUTO(a);
            cr_assert(json_to_double(json_number_text(a, value), &d), "%.*s", STR_ARG(line));
            return d;
        }
    }
    cr_expect_fail("%s is missing", name);
    return -1;
}

Test(metrics, shows_the_process_and_what_is_registered)
{
    static struct metric counter = { .name = "test_pages_total", .help = "For this test.", .type = METRIC_COUNTER };
    SITE_AUTO s = site_open();
    metric_add(metric_only(&counter), 3);
    struct page_answer answer = ask(&s, "/metrics", "", "");
    cr_assert_eq(answer.code, 200);
    cr_assert(str_eq_z(answer.content_type, "text/plain; version=0.0.4; charset=utf-8"));
    cr_expect_eq(metric_of(answer.body, "test_pages_total"), 3);
    cr_expect_gt(metric_of(answer.body, "process_cpu_seconds_total"), 0);
    cr_expect_gt(metric_of(answer.body, "process_resident_memory_bytes"), 1e6);
    cr_expect_gt(metric_of(answer.body, "process_virtual_memory_bytes"),
                 metric_of(answer.body, "process_resident_memory_bytes"));
    cr_expect_geq(metric_of(answer.body, "process_open_fds"), 3);
    cr_expect_geq(metric_of(answer.body, "process_max_fds"), metric_of(answer.body, "process_open_fds"));
    double started = metric_of(answer.body, "process_start_time_seconds");
    cr_expect(started > (double)time(NULL) - 3600 && started <= (double)time(NULL) + 1, "%f", started);
}
