/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The informer against a fake API: what a server does to its watchers must neither lose a change nor tell one twice.
 */
#include "reconcile/informer.h"

#include <pthread.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "harness/check.h"
#include "harness/fake_kube.h"
#include "harness/wait.h"

#define THINGS "/apis/test/v1/things"

struct bed {
    struct arena *a;
    struct fake_kube *kube;
    struct informer *inf;
    pthread_mutex_t lock;
    struct strbuf story; /* "+ns/name=value " for each callback */
};

static void on_change(void *self, enum kube_event_type type, const struct json *object)
{
    struct bed *b = self;
    str name = json_str_at(object, "metadata.name"), value = json_str_at(object, "spec.v");
    pthread_mutex_lock(&b->lock);
    strbuf_addf(&b->story, "%c%.*s=%.*s ", "+~-?"[type], STR_ARG(name), STR_ARG(value));
    pthread_mutex_unlock(&b->lock);
}

static void put(struct bed *b, const char *name, const char *value)
{
    str path = arena_printf(b->a, "/apis/test/v1/namespaces/n/things/%s", name);
    fake_kube_put(b->kube, path.ptr, arena_printf(b->a, "{\"spec\":{\"v\":\"%s\"}}", value).ptr);
}

static void erase(struct bed *b, const char *name)
{
    fake_kube_delete(b->kube, arena_printf(b->a, "/apis/test/v1/namespaces/n/things/%s", name).ptr);
}

static void bed_make(struct bed *b)
{
    memset(b, 0, sizeof(*b));
    b->a = arena_new();
    b->kube = fake_kube_new();
    pthread_mutex_init(&b->lock, NULL);
    strbuf_init(&b->story, 1 << 16);
}

static void bed_start(struct bed *b)
{
    struct error e;
    CHECK_OK(informer_start(fake_kube_client(b->kube), S(THINGS), on_change, b, &b->inf, &e), e);
}

/* NULL when it is not there. */
static const struct json *find(struct bed *b, str name)
{
    const struct json **objects;
    size_t count = informer_list(b->inf, b->a, S("n"), &objects);
    for (size_t i = 0; i < count; i++)
        if (str_eq(json_str_at(objects[i], "metadata.name"), name))
            return objects[i];
    return NULL;
}

static void bed_end(struct bed *b)
{
    informer_stop(b->inf);
    fake_kube_free(b->kube);
    strbuf_release(&b->story);
    pthread_mutex_destroy(&b->lock);
    arena_free(b->a);
}

static bool tells(struct bed *b, const char *wanted)
{
    pthread_mutex_lock(&b->lock);
    bool same = str_eq_z(strbuf_str(&b->story), wanted);
    pthread_mutex_unlock(&b->lock);
    return same;
}

#define EXPECT(b, wanted)                                                                                              \
    cr_assert(BECOMES(tells(b, wanted)), "\"%.*s\" instead of \"%s\"", STR_ARG(strbuf_str(&(b)->story)), wanted)

/* A last change: when it was told, everything before it was told. */
static void expect_after_mark(struct bed *b, const char *wanted)
{
    put(b, "mark", "1");
    EXPECT(b, arena_printf(b->a, "%s+mark=1 ", wanted).ptr);
}

Test(informer, lists_and_then_follows_every_change)
{
    struct bed b;
    bed_make(&b);
    put(&b, "x", "1");
    bed_start(&b);
    struct error e;
    CHECK_OK(informer_wait_synced(b.inf, deadline_in_ms(PATIENCE_MS), &e), e);
    cr_assert(informer_has_synced(b.inf));
    put(&b, "y", "1");
    put(&b, "x", "2");
    erase(&b, "y");
    EXPECT(&b, "+x=1 +y=1 ~x=2 -y=1 ");
    const struct json **list;
    cr_assert_eq(informer_list(b.inf, b.a, S("n"), &list), 1);
    cr_assert_eq(informer_list(b.inf, b.a, S("other"), &list), 0);
    CHECK_STR(json_str_at(find(&b, S("x")), "spec.v"), "2");
    cr_assert_null(find(&b, S("y")));
    bed_end(&b);
}

Test(informer, goes_on_behind_a_watch_that_ended_without_missing_or_repeating)
{
    struct bed b;
    bed_make(&b);
    put(&b, "x", "1");
    bed_start(&b);
    EXPECT(&b, "+x=1 ");
    char story[200] = "+x=1 ";
    for (int i = 2; i < 6; i++) {
        cr_assert(BECOMES(fake_kube_open_watches(b.kube) == 1));
        fake_kube_end_watches(b.kube, 0);
        put(&b, "x", arena_printf(b.a, "%d", i).ptr);
        (void)snprintf(story + strlen(story), 20, "~x=%d ", i);
        EXPECT(&b, story);
    }
    cr_assert_eq(fake_kube_calls(b.kube, "GET", THINGS), 1, "a clean end needs no new list");
    bed_end(&b);
}

Test(informer, lists_again_when_its_version_is_too_old_and_reports_what_vanished)
{
    struct bed b;
    bed_make(&b);
    put(&b, "same", "1");
    put(&b, "changed", "1");
    put(&b, "gone", "1");
    bed_start(&b);
    EXPECT(&b, "+same=1 +changed=1 +gone=1 ");
    /* While no watch can be opened, the world goes on, and its history is lost. */
    fake_kube_fail(b.kube, &(struct fake_kube_fault) { .method = "WATCH", .code = 503 });
    fake_kube_fail(b.kube, &(struct fake_kube_fault) { .method = "GET", .code = 503 });
    fake_kube_end_watches(b.kube, 0);
    erase(&b, "gone");
    put(&b, "changed", "2");
    put(&b, "new", "1");
    fake_kube_compact(b.kube);
    fake_kube_heal(b.kube);
    cr_assert(BECOMES(fake_kube_open_watches(b.kube) == 1));
    expect_after_mark(&b, "+same=1 +changed=1 +gone=1 ~changed=2 +new=1 -gone=1 ");
    cr_assert_null(find(&b, S("gone")));
    bed_end(&b);
}

Test(informer, deleted_and_made_anew_meanwhile_is_told_as_a_change)
{
    struct bed b;
    bed_make(&b);
    put(&b, "x", "1");
    bed_start(&b);
    EXPECT(&b, "+x=1 ");
    cr_assert(BECOMES(fake_kube_open_watches(b.kube) == 1));
    fake_kube_fail(b.kube, &(struct fake_kube_fault) { .method = "WATCH", .times = 1, .code = 410 });
    fake_kube_end_watches(b.kube, ERRC_UNAVAILABLE);
    erase(&b, "x");
    put(&b, "x", "2");
    cr_assert(BECOMES(fake_kube_open_watches(b.kube) == 1));
    cr_assert(BECOMES(str_eq(json_str_at(find(&b, S("x")), "spec.v"), S("2"))));
    bed_end(&b);
}

/* So many fit into the time since then, with pauses of 50, 100, 200 … ms between them; one more was under way. What
 * held for a second was no failure, and the pauses start anew. */
static size_t most_calls(int64_t began_ns)
{
    int64_t left_ms = (clock_monotonic_ns() - began_ns) / NS_PER_MS;
    size_t count = 2 + 5 * (size_t)(left_ms / 1000);
    for (int64_t pause_ms = 50; left_ms >= pause_ms; pause_ms *= 2, count++)
        left_ms -= pause_ms;
    return count;
}

Test(informer, server_that_is_gone_is_asked_less_and_less_often)
{
    struct bed b;
    bed_make(&b);
    fake_kube_fail(b.kube, &(struct fake_kube_fault) { .code = 503 });
    int64_t began = clock_monotonic_ns();
    bed_start(&b);
    struct error e;
    CHECK_FAILS(informer_wait_synced(b.inf, deadline_in_ms(400), &e), ERRC_TIMEOUT);
    size_t calls = fake_kube_calls(b.kube, "GET", NULL);
    cr_assert_leq(calls, most_calls(began), "50, 100, 200 … ms");
    fake_kube_heal(b.kube);
    CHECK_OK(informer_wait_synced(b.inf, deadline_in_ms(PATIENCE_MS), &e), e);
    bed_end(&b);
}

Test(informer, watches_that_end_at_once_are_no_reason_to_spin)
{
    struct bed b;
    bed_make(&b);
    fake_kube_fail(b.kube, &(struct fake_kube_fault) { .method = "WATCH", .code = 410 });
    int64_t began = clock_monotonic_ns();
    bed_start(&b);
    for (int i = 0; i < 400; i++)
        wait_a_little();
    size_t calls = fake_kube_calls(b.kube, "WATCH", NULL);
    cr_assert_leq(calls, most_calls(began), "TOO_OLD again and again");
    fake_kube_heal(b.kube);
    cr_assert(BECOMES(fake_kube_open_watches(b.kube) == 1));
    size_t before = fake_kube_calls(b.kube, "WATCH", NULL);
    began = clock_monotonic_ns();
    for (int i = 0; i < 400; i++) { /* a server that drains: every watch ends as soon as it was opened */
        fake_kube_end_watches(b.kube, 0);
        wait_a_little();
    }
    calls = fake_kube_calls(b.kube, "WATCH", NULL) - before;
    cr_assert_leq(calls, most_calls(began));
    bed_end(&b);
}

Test(informer, bookmark_moves_the_version_from_which_it_watches)
{
    struct bed b;
    bed_make(&b);
    put(&b, "x", "1");
    bed_start(&b);
    EXPECT(&b, "+x=1 ");
    cr_assert(BECOMES(fake_kube_open_watches(b.kube) == 1));
    fake_kube_put(b.kube, "/apis/test/v1/namespaces/n/others/o", "{}");
    fake_kube_bookmark(b.kube);
    put(&b, "y", "1");
    EXPECT(&b, "+x=1 +y=1 ");
    fake_kube_compact(b.kube);
    fake_kube_end_watches(b.kube, 0);
    cr_assert(BECOMES(fake_kube_calls(b.kube, "WATCH", NULL) == 2));
    expect_after_mark(&b, "+x=1 +y=1 ");
    cr_assert_eq(fake_kube_calls(b.kube, "GET", THINGS), 1);
    bed_end(&b);
}

Test(informer, stops_at_once_while_it_waits_for_a_server)
{
    struct bed b;
    bed_make(&b);
    fake_kube_fail(b.kube, &(struct fake_kube_fault) { .code = 503 });
    bed_start(&b);
    cr_assert(BECOMES(fake_kube_calls(b.kube, "GET", NULL) == 8), "it is in a pause of 6.4 s now");
    int64_t began = clock_monotonic_ns();
    bed_end(&b);
    cr_assert_lt(clock_monotonic_ns() - began, 5 * NS_PER_S);
}
