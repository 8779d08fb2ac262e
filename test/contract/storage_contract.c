/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every driver must do, from storage.h alone. Built once per driver with STORAGE_UNDER_TEST set to its scheme, so
 * that all of them pass the very same tests.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/thread.h"
#include "storage/storage.h"

static char folder[] = "/tmp/storage-contract-XXXXXX";
static struct storage *store;
static struct arena *arena;
static struct error error;

static int open_store(struct storage **ret)
{
    char url[128];
    if (strcmp(STORAGE_UNDER_TEST, "memory") == 0)
        (void)snprintf(url, sizeof(url), "memory:");
    else
        (void)snprintf(url, sizeof(url), "%s:%s/store.db", STORAGE_UNDER_TEST, folder);
    return storage_open(str_from(url), ret, &error);
}

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    arena = arena_new();
    cr_assert_eq(open_store(&store), 0, "%s", error.text);
}

static void tear_down(void)
{
    storage_close(store);
    arena_free(arena);
    cr_assert_eq(fs_remove_all(folder, &error), 0);
}

TestSuite(storage, .init = set_up, .fini = tear_down);

/* ---- words of the tests ----------------------------------------------------------------------------------------- */

static int put_at(const char *key, const char *value, enum storage_expect expect, rv expected, rv *ret)
{
    struct storage_write w = {
        .kind = STORAGE_PUT, .expect = expect, .revision = expected, .key = str_from(key), .value = str_from(value)
    };
    cr_assert_eq(store->ops->write(store, &w, 1, &error), 0, "%s", error.text);
    if (w.result != 0)
        error = w.error;
    else if (ret)
        *ret = w.new_revision;
    return w.result;
}

static rv put_new(const char *key, const char *value)
{
    rv revision = 0;
    cr_assert_eq(put_at(key, value, STORAGE_EXPECT_ABSENT, 0, &revision), 0, "%s", error.text);
    return revision;
}

static rv put_over(const char *key, const char *value, rv expected)
{
    rv revision = 0;
    cr_assert_eq(put_at(key, value, STORAGE_EXPECT_REVISION, expected, &revision), 0, "%s", error.text);
    return revision;
}

static int delete_at(const char *key, rv expected, rv *ret)
{
    struct storage_write w = {
        .kind = STORAGE_DELETE, .expect = STORAGE_EXPECT_REVISION, .revision = expected, .key = str_from(key)
    };
    cr_assert_eq(store->ops->write(store, &w, 1, &error), 0, "%s", error.text);
    if (w.result == 0)
        *ret = w.new_revision;
    return w.result;
}

static rv delete_over(const char *key, rv expected)
{
    rv revision = 0;
    cr_assert_eq(delete_at(key, expected, &revision), 0, "%s", key);
    return revision;
}

static rv current_revision(void)
{
    rv current = 0;
    rv oldest = 0;
    cr_assert_eq(store->ops->revision(store, &current, &oldest, &error), 0);
    return current;
}

static rv oldest_revision(void)
{
    rv current = 0;
    rv oldest = 0;
    cr_assert_eq(store->ops->revision(store, &current, &oldest, &error), 0);
    return oldest;
}

static int get_at(const char *key, rv at, struct storage_row *ret)
{
    return store->ops->get(store, arena, str_from(key), at, ret, &error);
}

static void assert_value(const char *key, rv at, const char *value)
{
    struct storage_row row = { .mod_revision = 0 };
    cr_assert_eq(get_at(key, at, &row), 0, "%s at %" PRIu64 ": %s", key, at, error.text);
    cr_assert(str_eq_z(row.value, value), "%s at %" PRIu64 ": %.*s, not %s", key, at, STR_ARG(row.value), value);
    cr_assert(str_eq_z(row.key, key));
}

static struct storage_list_result list(const char *prefix, const char *start_after, size_t limit, rv at)
{
    struct storage_list_result result;
    int r = store->ops->list(store, arena, str_from(prefix), str_from(start_after), limit, at, &result, &error);
    cr_assert_eq(r, 0, "%s", error.text);
    return result;
}

/* The keys of a list, joined by spaces. */
static void assert_keys(const struct storage_list_result *result, const char *keys)
{
    char text[1000] = "";
    size_t len = 0;
    for (size_t i = 0; i < result->count; i++)
        len +=
            (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s", i > 0 ? " " : "", STR_ARG(result->rows[i].key));
    cr_assert_str_eq(text, keys);
}

static void compact_to(rv keep_from)
{
    rv reached = 0;
    do
        cr_assert_eq(store->ops->compact(store, keep_from, &reached, &error), 0, "%s", error.text);
    while (reached < keep_from);
}

static struct storage_event *changes(rv after, size_t limit, size_t *ret_count)
{
    struct storage_event *events = NULL;
    int r = store->ops->changes(store, arena, after, limit, &events, ret_count, &error);
    cr_assert_eq(r, 0, "%s", error.text);
    return events;
}

/* ---- writes --------------------------------------------------------------------------------------------------------
 */

Test(storage, a_new_store_is_at_revision_one)
{
    cr_assert_eq(current_revision(), 1);
    cr_assert_eq(oldest_revision(), 1);
    cr_assert_eq(list("/", "", 0, 0).revision, 1);
}

Test(storage, each_write_gets_the_next_revision_of_one_counter)
{
    cr_assert_eq(put_new("/g/a/x", "1"), 2);
    cr_assert_eq(put_new("/g/b/x", "2"), 3);
    cr_assert_eq(put_over("/g/a/x", "3", 2), 4);
    cr_assert_eq(delete_over("/g/b/x", 3), 5);
    cr_assert_eq(current_revision(), 5);
}

Test(storage, a_write_that_expects_absence_is_refused_when_the_key_exists)
{
    (void)put_new("/g/a/x", "1");
    cr_assert_eq(put_at("/g/a/x", "2", STORAGE_EXPECT_ABSENT, 0, NULL), ERRC_EXISTS);
    cr_assert_str_eq(error.text, "\"/g/a/x\" already exists");
    cr_assert_eq(current_revision(), 2);
    assert_value("/g/a/x", 0, "1");
}

Test(storage, a_write_that_expects_a_revision_is_refused_at_another_one)
{
    rv first = put_new("/g/a/x", "1");
    rv second = put_over("/g/a/x", "2", first);
    cr_assert_eq(put_at("/g/a/x", "3", STORAGE_EXPECT_REVISION, first, NULL), ERRC_CONFLICT);
    cr_assert_str_eq(error.text, "\"/g/a/x\" is at revision 3, not 2");
    rv deleted = 0;
    cr_assert_eq(delete_at("/g/a/x", first, &deleted), ERRC_CONFLICT);
    cr_assert_eq(current_revision(), second);
}

Test(storage, a_write_that_expects_a_revision_is_refused_when_the_key_is_absent)
{
    rv deleted = 0;
    cr_assert_eq(put_at("/g/a/x", "1", STORAGE_EXPECT_REVISION, 1, NULL), ERRC_NOT_FOUND);
    cr_assert_eq(delete_at("/g/a/x", 1, &deleted), ERRC_NOT_FOUND);
    rv first = put_new("/g/a/x", "1");
    rv gone = delete_over("/g/a/x", first);
    cr_assert_eq(put_at("/g/a/x", "2", STORAGE_EXPECT_REVISION, first, NULL), ERRC_NOT_FOUND);
    cr_assert_eq(put_at("/g/a/x", "2", STORAGE_EXPECT_REVISION, gone, NULL), ERRC_NOT_FOUND);
}

Test(storage, a_deleted_key_can_be_created_again_with_a_new_create_revision)
{
    rv first = put_new("/g/a/x", "1");
    (void)delete_over("/g/a/x", first);
    rv again = put_new("/g/a/x", "2");
    struct storage_row row;
    cr_assert_eq(get_at("/g/a/x", 0, &row), 0);
    cr_assert_eq(row.create_revision, again);
    cr_assert_eq(row.mod_revision, again);
}

Test(storage, an_update_keeps_the_create_revision)
{
    rv first = put_new("/g/a/x", "1");
    rv second = put_over("/g/a/x", "2", first);
    struct storage_row row;
    cr_assert_eq(get_at("/g/a/x", 0, &row), 0);
    cr_assert_eq(row.create_revision, first);
    cr_assert_eq(row.mod_revision, second);
}

Test(storage, a_batch_is_applied_in_order_and_one_refused_write_does_not_touch_the_others)
{
    struct storage_write w[] = {
        { .kind = STORAGE_PUT, .expect = STORAGE_EXPECT_ABSENT, .key = S("/g/a/x"), .value = S("1") },
        { .kind = STORAGE_PUT, .expect = STORAGE_EXPECT_ABSENT, .key = S("/g/a/x"), .value = S("2") },
        { .kind = STORAGE_PUT, .expect = STORAGE_EXPECT_REVISION, .revision = 2, .key = S("/g/a/x"), .value = S("3") },
        { .kind = STORAGE_DELETE, .expect = STORAGE_EXPECT_REVISION, .revision = 3, .key = S("/g/a/x") },
        { .kind = STORAGE_PUT, .expect = STORAGE_EXPECT_ABSENT, .key = S("/g/a/x"), .value = S("4") },
    };
    cr_assert_eq(store->ops->write(store, w, ARRAY_LEN(w), &error), 0);
    cr_assert_eq(w[0].result, 0);
    cr_assert_eq(w[1].result, ERRC_EXISTS);
    cr_assert_eq(w[2].result, 0);
    cr_assert_eq(w[2].new_revision, 3);
    cr_assert_eq(w[3].result, 0);
    cr_assert_eq(w[3].new_revision, 4);
    cr_assert_eq(w[4].result, 0);
    cr_assert_eq(w[4].new_revision, 5);
    cr_assert_eq(current_revision(), 5);
    assert_value("/g/a/x", 0, "4");
}

Test(storage, malformed_writes_are_refused_one_by_one)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    char *big = arena_alloc(a, LIMIT_OBJECT_BYTES + 1);
    memset(big, 'x', LIMIT_OBJECT_BYTES + 1);
    struct storage_write w[] = {
        { .kind = STORAGE_PUT, .key = S("no/slash"), .value = S("1") },
        { .kind = STORAGE_PUT, .key = S("/"), .value = S("1") },
        { .kind = STORAGE_PUT, .key = S("/a\0b"), .value = S("1") },
        { .kind = STORAGE_PUT, .key = S("/a"), .value = S("") },
        { .kind = STORAGE_DELETE, .expect = STORAGE_EXPECT_ABSENT, .key = S("/a") },
        { .kind = STORAGE_PUT, .key = S("/a"), .value = str_of(big, LIMIT_OBJECT_BYTES + 1) },
        { .kind = STORAGE_PUT, .key = str_of(big, LIMIT_KEY_BYTES + 1), .value = S("1") },
        { .kind = STORAGE_PUT, .key = S("/fits"), .value = str_of(big, LIMIT_OBJECT_BYTES) },
    };
    cr_assert_eq(store->ops->write(store, w, ARRAY_LEN(w), &error), 0);
    for (size_t i = 0; i < 5; i++)
        cr_assert_eq(w[i].result, ERRC_INVALID, "write %zu: %d", i, w[i].result);
    cr_assert_eq(w[5].result, ERRC_TOO_LARGE);
    cr_assert_neq(w[6].result, 0);
    cr_assert_eq(w[7].result, 0, "%s", w[7].error.text);
    cr_assert_eq(current_revision(), 2);
    struct storage_row row;
    cr_assert_eq(get_at("/fits", 0, &row), 0);
    cr_assert_eq(row.value.len, LIMIT_OBJECT_BYTES);
    cr_assert(str_eq(row.value, str_of(big, LIMIT_OBJECT_BYTES)));
}

Test(storage, an_empty_batch_probes_without_a_revision)
{
    cr_assert_eq(store->ops->write(store, NULL, 0, &error), 0);
    cr_assert_eq(store->ops->write(store, NULL, 0, &error), 0);
    cr_assert_eq(current_revision(), 1);
}

Test(storage, values_keep_every_byte)
{
    static const char value[] = "{\"a\":\"\xc3\xa4\xf0\x9f\x90\x98 \\u0000 \t\n'\"}";
    (void)put_new("/g/a/x", value);
    assert_value("/g/a/x", 0, value);
}

/* ---- reads ---------------------------------------------------------------------------------------------------------
 */

Test(storage, get_answers_not_found_for_absent_and_deleted_keys)
{
    struct storage_row row;
    cr_assert_eq(get_at("/g/a/x", 0, &row), ERRC_NOT_FOUND);
    (void)delete_over("/g/a/x", put_new("/g/a/x", "1"));
    cr_assert_eq(get_at("/g/a/x", 0, &row), ERRC_NOT_FOUND);
    cr_assert_str_eq(error.text, "\"/g/a/x\" not found");
}

Test(storage, get_at_a_revision_shows_the_state_of_then)
{
    rv first = put_new("/g/a/x", "1");
    rv second = put_over("/g/a/x", "2", first);
    rv gone = delete_over("/g/a/x", second);
    struct storage_row row;
    cr_assert_eq(get_at("/g/a/x", 1, &row), ERRC_NOT_FOUND);
    assert_value("/g/a/x", first, "1");
    assert_value("/g/a/x", second, "2");
    cr_assert_eq(get_at("/g/a/x", gone, &row), ERRC_NOT_FOUND);
}

Test(storage, reads_in_the_future_are_invalid)
{
    struct storage_row row;
    struct storage_list_result result;
    struct storage_event *events = NULL;
    size_t count = 0;
    cr_assert_eq(get_at("/g/a/x", 2, &row), ERRC_INVALID);
    cr_assert_eq(store->ops->list(store, arena, S("/"), S(""), 0, 2, &result, &error), ERRC_INVALID);
    cr_assert_eq(store->ops->changes(store, arena, 2, 10, &events, &count, &error), ERRC_INVALID);
    cr_assert_str_eq(error.text, "revision 2 is in the future, the newest is 1");
}

Test(storage, list_gives_the_keys_of_a_prefix_in_byte_order)
{
    (void)put_new("/g/b/z", "1");
    (void)put_new("/g/a/b", "2");
    (void)put_new("/g/a/B", "3");
    (void)put_new("/g/a/a/x", "4");
    (void)put_new("/g/ab/x", "5");
    (void)put_new("/g/a-b", "6");
    struct storage_list_result result = list("/g/a/", "", 0, 0);
    assert_keys(&result, "/g/a/B /g/a/a/x /g/a/b");
    cr_assert_eq(result.revision, 7);
    cr_assert_not(result.has_more);
    cr_assert(str_eq_z(result.rows[0].value, "3"));
    cr_assert_eq(result.rows[0].mod_revision, 4);
    result = list("/g/", "", 0, 0);
    assert_keys(&result, "/g/a-b /g/a/B /g/a/a/x /g/a/b /g/ab/x /g/b/z");
    result = list("/nothing/", "", 0, 0);
    cr_assert_eq(result.count, 0);
}

Test(storage, list_pages_tell_what_remains)
{
    static const char *const keys[] = { "/g/a/1", "/g/a/2", "/g/a/3", "/g/a/4", "/g/a/5", "/g/b/1" };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        (void)put_new(keys[i], "v");
    struct storage_list_result page = list("/g/a/", "", 2, 0);
    assert_keys(&page, "/g/a/1 /g/a/2");
    cr_assert(page.has_more);
    cr_assert_eq(page.remaining, 3);
    rv at = page.revision;
    (void)put_new("/g/a/35", "later");
    page = list("/g/a/", "/g/a/2", 2, at);
    assert_keys(&page, "/g/a/3 /g/a/4");
    cr_assert_eq(page.remaining, 1);
    cr_assert_eq(page.revision, at);
    page = list("/g/a/", "/g/a/4", 2, at);
    assert_keys(&page, "/g/a/5");
    cr_assert_not(page.has_more);
    cr_assert_eq(page.remaining, 0);
    page = list("/g/a/", "", 5, at);
    cr_assert_not(page.has_more, "a limit that is just enough leaves nothing");
}

Test(storage, list_begins_behind_a_key_that_need_not_exist)
{
    (void)put_new("/g/a/1", "v");
    (void)put_new("/g/a/2", "v");
    (void)put_new("/g/a/2/x", "v");
    struct storage_list_result page = list("/g/a/", "/g/a/15", 0, 0);
    assert_keys(&page, "/g/a/2 /g/a/2/x");
    page = list("/g/a/", "/g/a/2", 0, 0);
    assert_keys(&page, "/g/a/2/x");
    page = list("/g/a/", "/a", 0, 0);
    cr_assert_eq(page.count, 3, "a start before the prefix is the beginning");
    page = list("/g/a/", "/g/b", 0, 0);
    cr_assert_eq(page.count, 0);
}

Test(storage, list_at_a_revision_shows_the_state_of_then)
{
    rv a = put_new("/g/a/a", "1");
    rv b = put_new("/g/a/b", "1");
    rv then = put_over("/g/a/a", "2", a);
    (void)delete_over("/g/a/b", b);
    (void)put_over("/g/a/a", "3", then);
    (void)put_new("/g/a/c", "1");
    struct storage_list_result result = list("/g/a/", "", 0, then);
    assert_keys(&result, "/g/a/a /g/a/b");
    cr_assert(str_eq_z(result.rows[0].value, "2"));
    cr_assert_eq(result.revision, then);
    result = list("/g/a/", "", 0, 0);
    assert_keys(&result, "/g/a/a /g/a/c");
    cr_assert(str_eq_z(result.rows[0].value, "3"));
}

Test(storage, changes_give_every_write_once_with_old_and_new_value)
{
    rv first = put_new("/g/a/x", "1");
    rv second = put_over("/g/a/x", "2", first);
    rv third = delete_over("/g/a/x", second);
    rv fourth = put_new("/g/a/x", "3");
    size_t count = 0;
    struct storage_event *e = changes(1, 100, &count);
    cr_assert_eq(count, 4);
    cr_assert(e[0].revision == first && e[0].is_create && !e[0].is_delete && e[0].old_revision == 0);
    cr_assert(str_eq_z(e[0].value, "1") && str_is_empty(e[0].old_value));
    cr_assert(e[1].revision == second && !e[1].is_create && !e[1].is_delete && e[1].old_revision == first);
    cr_assert(str_eq_z(e[1].value, "2") && str_eq_z(e[1].old_value, "1"));
    cr_assert(e[2].revision == third && !e[2].is_create && e[2].is_delete && e[2].old_revision == second);
    cr_assert(str_eq_z(e[2].value, "2") && str_eq_z(e[2].old_value, "2"));
    cr_assert(e[3].revision == fourth && e[3].is_create && e[3].old_revision == 0);
    cr_assert(str_eq_z(e[3].key, "/g/a/x"));
}

Test(storage, changes_stop_at_the_limit_and_go_on_from_there)
{
    for (int i = 0; i < 10; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "/g/a/%d", i);
        (void)put_new(key, "v");
    }
    size_t count = 0;
    struct storage_event *e = changes(4, 3, &count);
    cr_assert_eq(count, 3);
    cr_assert_eq(e[0].revision, 5);
    cr_assert_eq(e[2].revision, 7);
    (void)changes(11, 3, &count);
    cr_assert_eq(count, 0);
}

/* ---- history
 * --------------------------------------------------------------------------------------------------------- */

Test(storage, compaction_forgets_what_was_replaced_before_and_keeps_the_rest)
{
    rv x1 = put_new("/g/a/x", "1");
    rv y1 = put_new("/g/a/y", "1");
    rv x2 = put_over("/g/a/x", "2", x1);
    rv y2 = delete_over("/g/a/y", y1);
    rv x3 = put_over("/g/a/x", "3", x2);
    compact_to(y2);
    cr_assert_eq(oldest_revision(), y2);
    struct storage_row row;
    cr_assert_eq(get_at("/g/a/x", x2, &row), ERRC_TOO_OLD);
    assert_value("/g/a/x", y2, "2");
    assert_value("/g/a/x", x3, "3");
    struct storage_list_result result;
    cr_assert_eq(store->ops->list(store, arena, S("/g/"), S(""), 0, x2, &result, &error), ERRC_TOO_OLD);
    cr_assert_str_eq(error.text, "revision 4 was compacted, the oldest is 5");
    struct storage_event *events = NULL;
    size_t count = 0;
    cr_assert_eq(store->ops->changes(store, arena, x2, 10, &events, &count, &error), ERRC_TOO_OLD);
    events = changes(y2, 10, &count);
    cr_assert_eq(count, 1);
    cr_assert(str_eq_z(events[0].old_value, "2"), "the old value of a kept event is kept");
}

Test(storage, compaction_to_the_newest_revision_keeps_the_state_and_the_counter)
{
    rv x1 = put_new("/g/a/x", "1");
    (void)put_over("/g/a/x", "2", x1);
    rv y1 = put_new("/g/a/y", "1");
    rv gone = delete_over("/g/a/y", y1);
    compact_to(gone);
    cr_assert_eq(current_revision(), gone);
    assert_value("/g/a/x", 0, "2");
    assert_value("/g/a/x", gone, "2");
    cr_assert_eq(put_new("/g/a/y", "2"), gone + 1);
    size_t count = 0;
    struct storage_event *events = changes(gone, 10, &count);
    cr_assert_eq(count, 1);
    cr_assert(events[0].is_create);
}

Test(storage, compaction_backwards_does_nothing_and_forwards_is_refused)
{
    rv x1 = put_new("/g/a/x", "1");
    rv x2 = put_over("/g/a/x", "2", x1);
    compact_to(x2);
    rv reached = 0;
    cr_assert_eq(store->ops->compact(store, x1, &reached, &error), 0);
    cr_assert_eq(reached, x2);
    cr_assert_eq(store->ops->compact(store, x2 + 1, &reached, &error), ERRC_INVALID);
    cr_assert_eq(oldest_revision(), x2);
}

Test(storage, a_long_history_is_compacted_in_steps)
{
    rv revision = put_new("/g/a/x", "0");
    for (int i = 1; i < 700; i++)
        revision = put_over("/g/a/x", "v", revision);
    compact_to(revision - 1);
    size_t count = 0;
    (void)changes(revision - 1, 10, &count);
    cr_assert_eq(count, 1);
    assert_value("/g/a/x", revision - 1, "v");
}

/* ---- care
 * -------------------------------------------------------------------------------------------------------------- */

Test(storage, the_identity_is_stable_and_never_restored)
{
    str id;
    str again;
    uint64_t restored = 7;
    cr_assert_eq(store->ops->identity(store, arena, &id, &restored, &error), 0);
    cr_assert_eq(id.len, 36);
    cr_assert_eq(restored, 0);
    cr_assert_eq(store->ops->identity(store, arena, &again, &restored, &error), 0);
    cr_assert(str_eq(id, again));
}

Test(storage, a_sound_store_is_healthy)
{
    cr_assert_eq(store->ops->health(store, &error), 0);
}

Test(storage, what_was_written_is_there_after_a_restart)
{
    if (!store->ops->is_durable)
        cr_skip_test("the driver keeps nothing");
    rv x1 = put_new("/g/a/x", "1");
    rv x2 = put_over("/g/a/x", "2", x1);
    rv y1 = put_new("/g/a/y", "1");
    rv gone = delete_over("/g/a/y", y1);
    compact_to(gone);
    str id;
    str id_again;
    uint64_t restored = 0;
    cr_assert_eq(store->ops->identity(store, arena, &id, &restored, &error), 0);
    storage_close(store);
    cr_assert_eq(open_store(&store), 0, "%s", error.text);
    cr_assert_eq(current_revision(), gone, "revisions must not go back, though the last row was compacted");
    cr_assert_eq(oldest_revision(), gone);
    struct storage_row row;
    cr_assert_eq(get_at("/g/a/x", 0, &row), 0);
    cr_assert_eq(row.mod_revision, x2);
    cr_assert_eq(store->ops->identity(store, arena, &id_again, &restored, &error), 0);
    cr_assert(str_eq(id, id_again));
}

Test(storage, a_snapshot_is_one_state_or_refused_as_unsupported)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/copy", folder);
    (void)put_new("/g/a/x", "1");
    int r = store->ops->snapshot(store, path, &error);
    if (store->ops->is_durable) {
        cr_assert_eq(r, 0, "%s", error.text);
        cr_assert(fs_exists(path));
        cr_assert_eq(store->ops->snapshot(store, path, &error), ERRC_EXISTS);
    } else {
        cr_assert_eq(r, ERRC_UNSUPPORTED);
    }
}

/* ---- threads
 * ----------------------------------------------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS 60

/* Adds one to the number at a key ROUNDS times, by compare-and-swap. */
static void *add_up(void *self UNUSED)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    for (int done = 0; done < ROUNDS;) {
        struct storage_row row;
        uint64_t number = 0;
        if (store->ops->get(store, a, S("/g/n/n"), 0, &row, NULL) != 0 || !str_to_u64(row.value, &number))
            return NULL;
        struct storage_write w = {
            .kind = STORAGE_PUT,
            .expect = STORAGE_EXPECT_REVISION,
            .revision = row.mod_revision,
            .key = S("/g/n/n"),
            .value = arena_printf(a, "%" PRIu64, number + 1),
        };
        if (store->ops->write(store, &w, 1, NULL) != 0)
            return NULL;
        done += w.result == 0;
    }
    return NULL;
}

Test(storage, compare_and_swap_loses_no_update_between_threads)
{
    pthread_t threads[THREADS];
    (void)put_new("/g/n/n", "0");
    for (size_t i = 0; i < THREADS; i++)
        cr_assert_eq(thread_start(&threads[i], "adder", add_up, NULL, &error), 0);
    for (size_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    char expected[16];
    (void)snprintf(expected, sizeof(expected), "%d", THREADS * ROUNDS);
    assert_value("/g/n/n", 0, expected);
    size_t count = 0;
    struct storage_event *e = changes(1, 10000, &count);
    cr_assert_eq(count, THREADS * ROUNDS + 1);
    for (size_t i = 1; i < count; i++)
        cr_assert_eq(e[i].old_revision, e[i - 1].revision);
}
