/* SPDX-License-Identifier: Apache-2.0 */
/* The event recorder: repeats become one, nobody waits for it, and it ends in time. */
#include "reconcile/events.h"

#include "harness/check.h"
#include "harness/fake_kube.h"
#include "harness/wait.h"
#include "json/json_parse.h"

#define EVENTS "/api/v1/namespaces/default/events"

struct bed {
    struct arena *a;
    struct fake_kube *kube;
    struct events *events;
    const struct json *about;
};

static void bed_make(struct bed *b)
{
    struct error e;
    b->a = arena_new();
    b->kube = fake_kube_new();
    CHECK_OK(events_new(fake_kube_client(b->kube), "tester", &b->events, &e), e);
    CHECK_OK(json_parse(b->a,
                        S("{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"x\","
                          "\"namespace\":\"default\",\"uid\":\"u\"}}"),
                        NULL, &b->about, &e),
             e);
}

static void bed_end(struct bed *b)
{
    events_free(b->events);
    fake_kube_free(b->kube);
    arena_free(b->a);
}

static int64_t count_of_first(struct bed *b)
{
    const struct json **list;
    return fake_kube_list(b->kube, b->a, EVENTS, &list) ? json_int_at(list[0], "count", 0) : 0;
}

Test(events, repeats_raise_the_count_of_one_event)
{
    struct bed b;
    bed_make(&b);
    for (int i = 0; i < 5; i++)
        events_emit(b.events, b.about, true, "Broken", "it is %s", "broken");
    cr_assert(BECOMES(count_of_first(&b) == 5));
    cr_assert_eq(fake_kube_count(b.kube, EVENTS), 1);
    events_emit(b.events, b.about, false, "Mended", "it works");
    cr_assert(BECOMES(fake_kube_count(b.kube, EVENTS) == 2));
    const struct json **list;
    (void)fake_kube_list(b.kube, b.a, EVENTS, &list);
    CHECK_STR(json_str_at(list[0], "type"), "Warning");
    CHECK_STR(json_str_at(list[0], "involvedObject.name"), "x");
    CHECK_STR(json_str_at(list[0], "involvedObject.uid"), "u");
    CHECK_STR(json_str_at(list[0], "source.component"), "tester");
    bed_end(&b);
}

Test(events, events_with_others_in_between_are_told_again_but_not_without_end)
{
    struct bed b;
    bed_make(&b);
    for (int i = 0; i < 3; i++) {
        events_emit(b.events, b.about, true, "Broken", "it is\nbroken\n");
        events_emit(b.events, b.about, false, "Mended", "it works");
    }
    cr_assert(BECOMES(fake_kube_count(b.kube, EVENTS) == 6), "the order is the story");
    cr_assert_geq(str_find(fake_kube_dump(b.kube, b.a), S("\"it is; broken\"")), 0);
    for (int i = 0; i < 50; i++) {
        events_emit(b.events, b.about, true, "Broken", "it is\nbroken\n");
        events_emit(b.events, b.about, false, "Mended", "it works");
    }
    events_emit(b.events, b.about, false, "End", "it is over");
    cr_assert(BECOMES(fake_kube_count(b.kube, EVENTS) >= 17));
    cr_assert_not(WAIT_FOR(fake_kube_count(b.kube, EVENTS) > 17, 200));
    bed_end(&b);
}

Test(events, event_that_was_deleted_is_written_anew)
{
    struct bed b;
    bed_make(&b);
    events_emit(b.events, b.about, false, "Done", "once");
    cr_assert(BECOMES(fake_kube_count(b.kube, EVENTS) == 1));
    const struct json **list;
    (void)fake_kube_list(b.kube, b.a, EVENTS, &list);
    fake_kube_delete(b.kube, arena_printf(b.a, EVENTS "/%.*s", STR_ARG(json_str_at(list[0], "metadata.name"))).ptr);
    events_emit(b.events, b.about, false, "Done", "once");
    cr_assert(BECOMES(fake_kube_count(b.kube, EVENTS) == 1));
    bed_end(&b);
}

Test(events, emitting_never_waits_for_a_server_that_hangs_and_ending_not_for_long)
{
    struct bed b;
    bed_make(&b);
    fake_kube_fail(b.kube, &(struct fake_kube_fault) { .delay_ms = 60000 });
    int64_t began = clock_monotonic_ns();
    for (int i = 0; i < 2000; i++) /* more than it keeps */
        events_emit(b.events, b.about, false, "Many", "number %d", i);
    cr_assert_lt(clock_monotonic_ns() - began, 30 * NS_PER_S);
    began = clock_monotonic_ns();
    bed_end(&b);
    cr_assert_lt(clock_monotonic_ns() - began, 30 * NS_PER_S);
}

Test(events, what_is_queued_is_written_before_the_end)
{
    struct bed b;
    bed_make(&b);
    for (int i = 0; i < 50; i++)
        events_emit(b.events, b.about, false, "Last", "word %d", i);
    events_free(TAKE(b.events));
    cr_assert_eq(fake_kube_count(b.kube, EVENTS), 50);
    bed_end(&b);
}
