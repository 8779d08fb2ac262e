/* SPDX-License-Identifier: Apache-2.0 */
/* The store over the memory driver, with faults where they are the point: writes, cache, watches, care. */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>

#include <criterion/criterion.h>

#include "base/blob.h"
#include "base/clock.h"
#include "harness/storage_faulty.h"
#include "storage/store.h"

static struct storage_faulty_plan plan;
static struct storage *driver; /* the memory driver inside */
static struct store *store;
static struct arena *arena;
static struct error error;

static void open_with(const struct store_options *options)
{
    arena = arena_new();
    cr_assert_eq(storage_open(S("memory:"), &driver, &error), 0);
    cr_assert_eq(store_open_on(storage_faulty_new(driver, &plan), options, &store, &error), 0, "%s", error.text);
}

static void set_up(void)
{
    const struct store_options options = { .event_window = 4 };
    open_with(&options);
}

static void tear_down(void)
{
    store_close(store);
    arena_free(arena);
}

TestSuite(store, .init = set_up, .fini = tear_down);

/* ---- words of the tests -------------------------------------------------------------------------------------------
 */

/* "/g/things/<ns>/<name>" with {"spec":<n>}. */
static str value_of(const char *name, int n)
{
    return arena_printf(arena, "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"ns\"},\"spec\":%d}", name, n);
}

static str key_of(const char *name)
{
    return arena_printf(arena, "/g/things/ns/%s", name);
}

static struct storage_write put(const char *name, int n, rv expected)
{
    return (struct storage_write) {
        .kind = STORAGE_PUT,
        .expect = expected != 0 ? STORAGE_EXPECT_REVISION : STORAGE_EXPECT_ABSENT,
        .revision = expected,
        .key = key_of(name),
        .value = value_of(name, n),
    };
}

static struct storage_write deletion(const char *name, rv expected)
{
    return (struct storage_write) {
        .kind = STORAGE_DELETE, .expect = STORAGE_EXPECT_REVISION, .revision = expected, .key = key_of(name)
    };
}

static rv written(struct storage_write w)
{
    CLEANUP(object_unrefp) struct object *object = NULL;
    cr_assert_eq(store_write_wait(store, &w, &object, &error), 0, "%s", error.text);
    return object->resource_version;
}

static int refused(struct storage_write w)
{
    return store_write_wait(store, &w, NULL, &error);
}

static void assert_object(const struct object *o, const char *name, int n, rv revision)
{
    char expected[200];
    (void)snprintf(expected, sizeof(expected),
                   "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"ns\",\"resourceVersion\":\"%" PRIu64
                   "\"},\"spec\":%d}",
                   name, revision, n);
    cr_assert_eq(o->resource_version, revision);
    cr_assert(str_eq_z(o->name, name), "%.*s", STR_ARG(o->name));
    cr_assert(str_eq_z(o->bytes, expected), "%.*s", STR_ARG(o->bytes));
}

/* ---- writes ---------------------------------------------------------------------------------------------------------
 */

Test(store, a_write_is_answered_with_the_object_at_its_revision_and_is_in_the_cache)
{
    struct storage_write w = put("a", 1, 0);
    CLEANUP(object_unrefp) struct object *object = NULL;
    cr_assert_eq(store_write_wait(store, &w, &object, &error), 0);
    assert_object(object, "a", 1, 2);
    CLEANUP(object_unrefp) struct object *cached = store_get(store, key_of("a"));
    cr_assert_eq(cached, object);
    cr_assert_eq(store_revision(store), 2);
}

Test(store, a_deletion_is_answered_with_the_last_state_at_the_revision_of_the_deletion)
{
    rv first = written(put("a", 7, 0));
    struct storage_write w = deletion("a", first);
    CLEANUP(object_unrefp) struct object *object = NULL;
    cr_assert_eq(store_write_wait(store, &w, &object, &error), 0);
    assert_object(object, "a", 7, first + 1);
    cr_assert_null(store_get(store, key_of("a")));
}

Test(store, refused_writes_carry_the_error_of_the_driver)
{
    rv first = written(put("a", 1, 0));
    cr_assert_eq(refused(put("a", 2, 0)), ERRC_EXISTS);
    cr_assert_eq(refused(put("a", 2, first + 5)), ERRC_CONFLICT);
    cr_assert_str_eq(error.text, "\"/g/things/ns/a\" is at revision 2, not 7");
    cr_assert_eq(refused(deletion("b", first)), ERRC_NOT_FOUND);
    cr_assert_eq(store_revision(store), first);
}

Test(store, a_value_that_is_no_object_is_refused_before_it_is_written)
{
    struct storage_write w = put("a", 1, 0);
    w.value = S("{\"metadata\":");
    cr_assert_eq(refused(w), ERRC_INVALID);
    w.value = S("{\"metadata\":{}}");
    cr_assert_eq(refused(w), ERRC_INVALID);
    w.value = S("");
    cr_assert_eq(refused(w), ERRC_INVALID);
    cr_assert_eq(atomic_load(&plan.batches), 0);
}

struct tally {
    atomic_int ok, failed, sum;
};

static void count_result(void *self, int result, struct object *object, const struct error *err)
{
    struct tally *t = self;
    (void)atomic_fetch_add(result == 0 ? &t->ok : &t->failed, 1);
    cr_assert_eq(result == 0, object != NULL);
    cr_assert_eq(result == 0, err == NULL);
}

/* Until the first batch stands inside the driver: what is queued from now on is taken together. */
static void hold_first_batch(struct tally *t)
{
    atomic_store(&plan.holds_writes, true);
    struct storage_write w = put("first", 0, 0);
    cr_assert_eq(store_write(store, &w, count_result, t, &error), 0);
}

Test(store, writes_that_wait_are_committed_together)
{
    struct tally t = { .ok = 0 };
    hold_first_batch(&t);
    for (int i = 0; i < 200; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%03d", i);
        struct storage_write w = put(name, i, 0);
        cr_assert_eq(store_write(store, &w, count_result, &t, &error), 0);
    }
    storage_faulty_release(&plan);
    (void)written(put("last", 1, 0));
    cr_assert_eq(atomic_load(&t.ok), 201);
    cr_assert_eq(atomic_load(&plan.largest_batch), 64);
    cr_assert_leq(atomic_load(&plan.batches), 6, "%zu", atomic_load(&plan.batches));
}

Test(store, writes_of_one_key_in_one_batch_are_seen_in_order)
{
    struct tally t = { .ok = 0 };
    struct watch_event **events = NULL;
    size_t count = 0;
    rv up_to = 0;
    hold_first_batch(&t);
    struct storage_write writes[] = { put("a", 1, 0), put("a", 2, 3), deletion("a", 4), put("a", 3, 0) };
    for (size_t i = 0; i < ARRAY_LEN(writes); i++)
        cr_assert_eq(store_write(store, &writes[i], count_result, &t, &error), 0);
    storage_faulty_release(&plan);
    cr_assert_eq(store_wait_revision(store, 6, deadline_in_ms(120000), &error), 0, "%s", error.text);
    cr_assert_eq(store_events_since(store, arena, S("/g/things/"), 2, &events, &count, &up_to, &error), 0);
    cr_assert_eq(count, 4);
    cr_assert_eq(events[0]->type, WATCH_ADDED);
    cr_assert_eq(events[1]->type, WATCH_MODIFIED);
    assert_object(events[1]->old_object, "a", 1, 3);
    cr_assert_eq(events[2]->type, WATCH_DELETED);
    assert_object(events[2]->object, "a", 2, 5);
    cr_assert_eq(events[3]->type, WATCH_ADDED);
    cr_assert_null(events[3]->old_object);
}

Test(store, a_full_queue_refuses_and_answers_nothing)
{
    store_close(store);
    arena_free(arena);
    open_with(&(struct store_options) { .queue_max = 3, .batch_max = 1 });
    struct tally t = { .ok = 0 };
    atomic_store(&plan.holds_writes, true);
    int accepted = 0;
    int r = 0;
    while (r == 0 && accepted < 100) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%d", accepted);
        struct storage_write w = put(name, 1, 0);
        r = store_write(store, &w, count_result, &t, &error);
        accepted += r == 0;
    }
    cr_assert_eq(r, ERRC_UNAVAILABLE);
    cr_assert_leq(accepted, 4, "three wait, and one may be in the driver");
    cr_assert_str_eq(error.text, "too many writes are waiting for the store");
    storage_faulty_release(&plan);
    cr_assert_eq(store_wait_revision(store, (rv)accepted + 1, deadline_in_ms(120000), &error), 0);
}

Test(store, what_was_accepted_is_answered_before_the_store_closes)
{
    struct tally t = { .ok = 0 };
    hold_first_batch(&t);
    for (int i = 0; i < 20; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%d", i);
        struct storage_write w = put(name, i, 0);
        cr_assert_eq(store_write(store, &w, count_result, &t, &error), 0);
    }
    storage_faulty_release(&plan);
    store_close(store);
    store = NULL;
    cr_assert_eq(atomic_load(&t.ok), 21);
}

Test(store, a_write_that_nobody_waits_for_any_more_is_not_begun)
{
    struct tally t = { .ok = 0 };
    hold_first_batch(&t);
    struct storage_write late = put("late", 1, 0), patient = put("patient", 1, 0);
    late.deadline_ns = clock_monotonic_ns();
    patient.deadline_ns = deadline_in_ms(60000);
    cr_assert_eq(store_write(store, &late, count_result, &t, &error), 0);
    cr_assert_eq(store_write(store, &patient, count_result, &t, &error), 0);
    storage_faulty_release(&plan);
    (void)written(put("last", 1, 0));
    cr_assert_eq(atomic_load(&t.ok), 2);
    cr_assert_eq(atomic_load(&t.failed), 1);
    cr_assert_null(store_get(store, key_of("late")));
    CLEANUP(object_unrefp) struct object *o = store_get(store, key_of("patient"));
    assert_object(o, "patient", 1, 3);
}

Test(store, an_object_at_hand_is_stored_as_it_is)
{
    CLEANUP(object_unrefp) struct object *o = NULL;
    struct object *shown = NULL;
    struct storage_write w = put("a", 7, 0);
    cr_assert_eq(object_new(w.value, 0, &o, &error), 0);
    w.value = S("");
    w.object = o;
    cr_assert_eq(store_write_wait(store, &w, &shown, &error), 0, "%s", error.text);
    assert_object(shown, "a", 7, 2);
    (void)object_unref(shown);
    /* The writer lets go of it after it has answered. */
    int64_t deadline = deadline_in_ms(120000);
    while (atomic_load(&o->refs) != 1)
        cr_assert_not(deadline_has_passed(deadline));
    struct store_list list;
    cr_assert_eq(store_list_at(store, arena, S("/g/things/"), S(""), 0, 2, &list, &error), 0);
    assert_object(list.objects[0], "a", 7, 2);
}

/* ---- a driver that fails
 * ------------------------------------------------------------------------------------------------ */

Test(store, a_disk_that_hangs_is_reported)
{
    struct tally t = { .ok = 0 };
    cr_assert_eq(store_health(store, &error), 0);
    hold_first_batch(&t);
    int64_t deadline = deadline_in_ms(120000);
    while (store_health(store, &error) == 0)
        cr_assert_not(deadline_has_passed(deadline));
    cr_assert_eq(error.code, ERRC_UNAVAILABLE);
    cr_assert_not_null(strstr(error.text, "waiting for the disk"));
    storage_faulty_release(&plan);
    (void)written(put("last", 1, 0));
    cr_assert_eq(store_health(store, &error), 0);
}

Test(store, while_the_driver_fails_writes_are_unavailable_reads_go_on_and_it_recovers_by_itself)
{
    rv first = written(put("a", 1, 0));
    atomic_store(&plan.fail_writes, -1);
    cr_assert_eq(refused(put("a", 2, first)), ERRC_UNAVAILABLE);
    cr_assert_str_eq(error.text, "planned fault");
    cr_assert_eq(store_health(store, &error), ERRC_UNAVAILABLE);
    CLEANUP(object_unrefp) struct object *cached = store_get(store, key_of("a"));
    assert_object(cached, "a", 1, first);
    struct store_list list;
    cr_assert_eq(store_list_at(store, arena, S("/g/things/"), S(""), 0, first, &list, &error), 0);
    cr_assert_eq(list.count, 1);

    atomic_store(&plan.fail_writes, 0);
    int64_t deadline = deadline_in_ms(120000);
    while (store_health(store, &error) != 0 && !deadline_has_passed(deadline))
        (void)sched_yield();
    cr_assert_eq(store_health(store, &error), 0, "a probe finds out without any write");
    cr_assert_geq(atomic_load(&plan.probes), 1);
    cr_assert_eq(written(put("a", 2, first)), first + 1);
}

Test(store, a_batch_that_fails_answers_all_of_its_writes_and_shows_none)
{
    struct tally t = { .ok = 0 };
    hold_first_batch(&t);
    for (int i = 0; i < 10; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%d", i);
        struct storage_write w = put(name, i, 0);
        cr_assert_eq(store_write(store, &w, count_result, &t, &error), 0);
    }
    atomic_store(&plan.fail_writes, -1);
    storage_faulty_release(&plan);
    int64_t deadline = deadline_in_ms(120000);
    while (atomic_load(&t.failed) < 11 && !deadline_has_passed(deadline))
        (void)sched_yield();
    cr_assert_eq(atomic_load(&t.failed), 11);
    cr_assert_eq(store_revision(store), 1);
    atomic_store(&plan.fail_writes, 0);
    cr_assert_eq(written(put("after", 1, 0)), 2);
}

Test(store, a_store_whose_driver_cannot_be_read_does_not_open)
{
    struct storage *inner = NULL;
    struct store *other = NULL;
    cr_assert_eq(storage_open(S("memory:"), &inner, &error), 0);
    atomic_store(&plan.fail_reads, 1);
    cr_assert_eq(
        store_open_on(storage_faulty_new(inner, &plan), &(struct store_options) { .batch_max = 1 }, &other, &error),
        ERRC_UNAVAILABLE);
    cr_assert_str_eq(error.text, "opening the store: planned fault");
}

/* ---- lists
 * ---------------------------------------------------------------------------------------------------------------- */

Test(store, lists_come_in_key_order_and_in_pages)
{
    static const char *const names[] = { "c", "a", "e", "b", "d" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)written(put(names[i], 1, 0));
    struct storage_write other = put("z", 1, 0);
    other.key = S("/g/thingses/ns/z");
    (void)written(other);
    struct store_list list;
    store_list(store, arena, S("/g/things/"), S(""), 0, &list);
    cr_assert_eq(list.count, 5);
    cr_assert_eq(list.revision, 7);
    cr_assert(str_eq_z(list.objects[0]->name, "a") && str_eq_z(list.objects[4]->name, "e"));
    store_list(store, arena, S("/g/things/ns/"), S(""), 2, &list);
    cr_assert(list.count == 2 && list.has_more && list.remaining == 3);
    store_list(store, arena, S("/g/things/ns/"), S("/g/things/ns/b"), 2, &list);
    cr_assert(list.count == 2 && list.remaining == 1 && str_eq_z(list.objects[0]->name, "c"));
    store_list(store, arena, S("/g/things/ns/"), S("/g/things/ns/bb"), 0, &list);
    cr_assert(list.count == 3 && !list.has_more && str_eq_z(list.objects[0]->name, "c"));
    store_list(store, arena, S("/g/things/n/"), S(""), 0, &list);
    cr_assert_eq(list.count, 0);
    store_list(store, arena, S("/g/things/"), S("/g/u"), 0, &list);
    cr_assert_eq(list.count, 0);
    store_list(store, arena, S("/g/nothing/"), S(""), 0, &list);
    cr_assert(list.count == 0 && list.revision == 7);
}

Test(store, a_list_at_a_revision_comes_from_history)
{
    rv first = written(put("a", 1, 0));
    rv second = written(put("a", 2, first));
    struct store_list list;
    cr_assert_eq(store_list_at(store, arena, S("/g/things/"), S(""), 0, first, &list, &error), 0);
    cr_assert_eq(list.count, 1);
    assert_object(list.objects[0], "a", 1, first);
    cr_assert_eq(store_list_at(store, arena, S("/g/things/"), S(""), 0, second + 1, &list, &error), ERRC_INVALID);
}

Test(store, an_object_in_a_list_outlives_its_deletion)
{
    rv first = written(put("a", 1, 0));
    struct store_list list;
    store_list(store, arena, S("/g/things/"), S(""), 0, &list);
    (void)written(deletion("a", first));
    assert_object(list.objects[0], "a", 1, first);
}

/* ---- watches
 * ---------------------------------------------------------------------------------------------------------------- */

struct seen {
    size_t calls, count;
    rv revisions[64];
    rv up_to;
};

static void see(void *self, struct watch_event *const *events, size_t count, rv up_to)
{
    struct seen *s = self;
    s->calls++;
    for (size_t i = 0; i < count && s->count < ARRAY_LEN(s->revisions); i++)
        s->revisions[s->count++] = events[i]->revision;
    s->up_to = up_to;
}

Test(store, a_subscriber_gets_the_window_first_and_then_what_comes)
{
    rv first = written(put("a", 1, 0));
    rv second = written(put("a", 2, first));
    struct seen seen = { .calls = 0 };
    struct store_subscriber *sub = NULL;
    rv from = 0;
    cr_assert_eq(store_subscribe(store, S("/g/things/"), first, see, &seen, &sub, &from, &error), 0);
    cr_assert_eq(from, second);
    cr_assert(seen.calls == 1 && seen.count == 1 && seen.revisions[0] == second && seen.up_to == second);
    rv third = written(put("a", 3, second));
    store_unsubscribe(sub);
    (void)written(put("a", 4, third));
    cr_assert(seen.count == 2 && seen.revisions[1] == third && seen.up_to == third);
}

Test(store, a_subscriber_sees_only_its_resource_but_its_revision_goes_on)
{
    struct seen seen = { .calls = 0 };
    struct store_subscriber *sub = NULL;
    rv from = 0;
    cr_assert_eq(store_subscribe(store, S("/g/others/"), 0, see, &seen, &sub, &from, &error), 0);
    cr_assert_eq(from, 1);
    cr_assert_eq(store_subscriber_revision(sub), 1);
    rv first = written(put("a", 1, 0));
    cr_assert_eq(seen.calls, 0);
    cr_assert_eq(store_subscriber_revision(sub), first);
    store_unsubscribe(sub);
}

Test(store, a_window_forgets_the_oldest_events_and_says_so)
{
    rv revision = 0;
    for (int i = 0; i < 10; i++)
        revision = written(put("a", i, revision));
    struct watch_event **events = NULL;
    size_t count = 0;
    rv up_to = 0;
    cr_assert_eq(store_events_since(store, arena, S("/g/things/"), revision - 4, &events, &count, &up_to, &error), 0);
    cr_assert_eq(count, 4);
    cr_assert_eq(up_to, revision);
    cr_assert_eq(store_events_since(store, arena, S("/g/things/"), revision - 5, &events, &count, &up_to, &error),
                 ERRC_TOO_OLD);
    cr_assert_eq(store_events_since(store, arena, S("/g/things/"), revision + 1, &events, &count, &up_to, &error),
                 ERRC_INVALID);
    struct seen seen = { .calls = 0 };
    struct store_subscriber *sub = NULL;
    cr_assert_eq(store_subscribe(store, S("/g/things/"), 2, see, &seen, &sub, &up_to, &error), ERRC_TOO_OLD);
    cr_assert_eq(store_events_since(store, arena, S("/g/quiet/"), 2, &events, &count, &up_to, &error), 0,
                 "nothing happened to a quiet resource since");
    cr_assert_eq(count, 0);
}

Test(store, the_window_is_bounded_in_bytes_too)
{
    store_close(store);
    arena_free(arena);
    open_with(&(struct store_options) { .event_window = 1000 });
    char *big = arena_alloc(arena, 1 << 20);
    memset(big, 'x', (1 << 20) - 1);
    rv revision = 0;
    for (int i = 0; i < 20; i++) {
        struct storage_write w = put("a", i, revision);
        w.value = arena_printf(arena, "{\"metadata\":{\"name\":\"a\"},\"spec\":\"%s\"}", big);
        revision = written(w);
    }
    struct watch_event **events = NULL;
    size_t count = 0;
    rv up_to = 0;
    cr_assert_eq(store_events_since(store, arena, S("/g/things/"), revision - 7, &events, &count, &up_to, &error), 0);
    cr_assert_eq(store_events_since(store, arena, S("/g/things/"), revision - 9, &events, &count, &up_to, &error),
                 ERRC_TOO_OLD);
}

Test(store, the_frame_of_an_event_is_made_once)
{
    rv first = written(put("a", 1, 0));
    (void)written(deletion("a", first));
    struct watch_event **events = NULL;
    size_t count = 0;
    rv up_to = 0;
    cr_assert_eq(store_events_since(store, arena, S("/g/things/"), 1, &events, &count, &up_to, &error), 0);
    cr_assert_eq(count, 2);
    str added = blob_str(watch_event_frame(events[0]));
    cr_assert(str_eq_z(added, "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\","
                              "\"resourceVersion\":\"2\"},\"spec\":1}}\n"),
              "%.*s", STR_ARG(added));
    cr_assert(str_has_prefix(blob_str(watch_event_frame(events[1])), S("{\"type\":\"DELETED\",")));
    cr_assert_eq(watch_event_frame(events[0]), watch_event_frame(events[0]));
}

Test(store, waiting_for_a_revision_that_does_not_come_ends_at_the_deadline)
{
    cr_assert_eq(store_wait_revision(store, 1, deadline_in_ms(0), &error), 0);
    cr_assert_eq(store_wait_revision(store, 2, deadline_in_ms(20), &error), ERRC_TIMEOUT);
}

/* ---- compaction
 * ----------------------------------------------------------------------------------------------------------------- */

Test(store, history_is_compacted_by_age_and_count)
{
    store_close(store);
    arena_free(arena);
    open_with(&(struct store_options) { .compact_interval_ms = 20, .compact_keep = 5 });
    rv revision = 0;
    for (int i = 0; i < 30; i++)
        revision = written(put("a", i, revision));
    rv current = 0;
    rv oldest = 0;
    int64_t deadline = deadline_in_ms(120000);
    while (oldest < revision - 5 && !deadline_has_passed(deadline))
        cr_assert_eq(driver->ops->revision(driver, &current, &oldest, &error), 0);
    cr_assert_eq(oldest, revision - 5, "%" PRIu64, oldest);
    struct store_list list;
    cr_assert_eq(store_list_at(store, arena, S("/g/things/"), S(""), 0, 3, &list, &error), ERRC_TOO_OLD);
}

Test(store, a_compaction_that_fails_is_tried_again)
{
    store_close(store);
    arena_free(arena);
    atomic_store(&plan.fail_compactions, 3);
    open_with(&(struct store_options) { .compact_interval_ms = 10, .compact_keep = 1 });
    rv revision = written(put("a", 1, 0));
    revision = written(put("a", 2, revision));
    rv current = 0;
    rv oldest = 0;
    int64_t deadline = deadline_in_ms(120000);
    while (oldest < revision - 1 && !deadline_has_passed(deadline))
        cr_assert_eq(driver->ops->revision(driver, &current, &oldest, &error), 0);
    cr_assert_eq(oldest, revision - 1);
    cr_assert_geq(atomic_load(&plan.compactions), 4);
}

/* ---- opening
 * ---------------------------------------------------------------------------------------------------------------------
 */

Test(store, opening_fills_objects_and_the_window_so_that_watchers_go_on)
{
    struct storage *again = NULL;
    struct store *second = NULL;
    cr_assert_eq(storage_open(S("memory:"), &again, &error), 0);
    struct storage_write w[] = { put("a", 1, 0), put("b", 1, 0), put("a", 2, 2), deletion("b", 3), put("c", 1, 0) };
    cr_assert_eq(again->ops->write(again, w, ARRAY_LEN(w), &error), 0);
    cr_assert_eq(store_open_on(again, &(struct store_options) { .event_window = 3 }, &second, &error), 0);
    cr_assert_eq(store_revision(second), 6);
    struct store_list list;
    store_list(second, arena, S("/g/things/"), S(""), 0, &list);
    cr_assert_eq(list.count, 2);
    assert_object(list.objects[0], "a", 2, 4);
    assert_object(list.objects[1], "c", 1, 6);
    struct watch_event **events = NULL;
    size_t count = 0;
    rv up_to = 0;
    cr_assert_eq(store_events_since(second, arena, S("/g/things/"), 3, &events, &count, &up_to, &error), 0);
    cr_assert_eq(count, 3);
    assert_object(events[0]->old_object, "a", 1, 2);
    assert_object(events[1]->object, "b", 1, 5);
    cr_assert_eq(store_events_since(second, arena, S("/g/things/"), 2, &events, &count, &up_to, &error), ERRC_TOO_OLD);
    store_close(second);
}
