/* SPDX-License-Identifier: Apache-2.0 */
/* Objects: where the resourceVersion goes, and what can be read without parsing. */
#include "meta/object.h"

#include "meta_test.h"

#define OBJECT_AUTO CLEANUP(object_unrefp) struct object

static struct object *from_text(struct arena *a, const char *text, rv version)
{
    return object_from_tree(must_parse(a, text), version);
}

Test(object, the_resource_version_is_appended_or_replaced_in_its_place)
{
    static const struct {
        const char *tree;
        rv version;
        const char *expected;
    } table[] = {
        { "{\"kind\":\"X\",\"metadata\":{\"name\":\"a\",\"uid\":\"u\"},\"spec\":{}}", 7,
          "{\"kind\":\"X\",\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"7\"},\"spec\":{}}" },
        { "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"3\",\"uid\":\"u\"}}", 18446744073709551615u,
          "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"18446744073709551615\",\"uid\":\"u\"}}" },
        { "{\"metadata\":{\"resourceVersion\":\"3\",\"name\":\"a\"}}", 0, "{\"metadata\":{\"name\":\"a\"}}" },
        { "{\"metadata\":{\"resourceVersion\":\"3\"}}", 0, "{\"metadata\":{}}" },
        { "{\"metadata\":{}}", 5, "{\"metadata\":{\"resourceVersion\":\"5\"}}" },
        { "{\"spec\":{\"metadata\":{\"name\":\"x\"}},\"metadata\":{\"name\":\"a\"}}", 5,
          "{\"spec\":{\"metadata\":{\"name\":\"x\"}},\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"5\"}}" },
        { "{}", 5, "{}" },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        OBJECT_AUTO *o = from_text(a, table[i].tree, table[i].version);
        expect_str(o->bytes, table[i].expected);
        cr_expect_eq(o->resource_version, table[i].version);
    }
}

Test(object, the_fields_of_lists_and_selectors_are_at_hand)
{
    ARENA_AUTO(a);
    OBJECT_AUTO *o =
        from_text(a,
                  "{\"metadata\":{\"name\":\"pg1\",\"namespace\":\"shop\",\"uid\":\"0c9f\",\"generation\":4,"
                  "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\",\"finalizers\":[\"x/y\"],"
                  "\"labels\":{\"tier\":\"db\",\"app\":\"shop\",\"empty\":\"\",\"odd\":1}}}",
                  12);
    expect_str(o->name, "pg1");
    expect_str(o->namespace_, "shop");
    expect_str(o->uid, "0c9f");
    cr_assert_eq(o->generation, 4);
    cr_assert(o->is_deleting);
    cr_assert(o->has_finalizers);
    cr_assert_eq(o->label_count, 3, "a label that is no string is none");
    expect_str(o->labels[0].key, "app");
    expect_str(o->labels[0].value, "shop");
    expect_str(o->labels[1].key, "empty");
    expect_str(o->labels[1].value, "");
    expect_str(o->labels[2].key, "tier");
    expect_str(o->labels[2].value, "db");
}

Test(object, absent_fields_are_empty)
{
    ARENA_AUTO(a);
    OBJECT_AUTO *o = from_text(a, "{\"metadata\":{\"name\":\"x\",\"labels\":null,\"finalizers\":[]}}", 1);
    cr_assert(!o->is_deleting && !o->has_finalizers);
    cr_assert_eq(o->label_count, 0);
    cr_assert_eq(o->uid.len + o->namespace_.len, 0);
}

Test(object, texts_outlive_the_tree_and_need_no_escapes)
{
    struct arena *a = arena_new();
    struct object *o = from_text(
        a, "{\"metadata\":{\"name\":\"a\\\"b\",\"labels\":{\"k\\n\":\"v\\u0000w\",\"a\\\"b\":\"plain\"}}}", 1);
    arena_free(a);
    expect_str(o->name, "a\"b");
    cr_assert_eq(o->label_count, 2);
    expect_str(o->labels[0].key, "a\"b");
    expect_str(o->labels[0].value, "plain");
    expect_str(o->labels[1].key, "k\n");
    cr_assert(str_eq(o->labels[1].value, str_of("v\0w", 3)));
    cr_assert_null(object_unref(o));
}

Test(object, stored_bytes_become_the_same_object_as_their_tree)
{
    ARENA_AUTO(a);
    const char *stored = "{\"kind\":\"X\",\"metadata\":{\"name\":\"a\",\"labels\":{\"k\":\"v\"}},\"n\":1.50}";
    struct object *o = NULL;
    cr_assert_eq(object_new(str_from(stored), 9, &o, NULL), 0);
    OBJECT_AUTO *same = from_text(a, stored, 9);
    cr_assert(str_eq(o->bytes, same->bytes));
    cr_assert(json_equal(object_parse(a, o), object_parse(a, same)));
    cr_assert_eq(json_int_at(object_parse(a, o), "metadata.generation", 0), 0);
    object_unref(o);
}

/* What both objects show must be the same but for the version. */
static void expect_same(const struct object *x, const struct object *y)
{
    cr_expect(str_eq(x->bytes, y->bytes), "%.*s\n%.*s", STR_ARG(x->bytes), STR_ARG(y->bytes));
    cr_expect_eq(x->resource_version, y->resource_version);
    cr_expect(str_eq(x->name, y->name) && str_eq(x->namespace_, y->namespace_) && str_eq(x->uid, y->uid));
    cr_expect(x->generation == y->generation && x->is_deleting == y->is_deleting);
    cr_expect_eq(x->has_finalizers, y->has_finalizers);
    cr_assert_eq(x->label_count, y->label_count);
    for (size_t i = 0; i < x->label_count; i++)
        cr_expect(str_eq(x->labels[i].key, y->labels[i].key) && str_eq(x->labels[i].value, y->labels[i].value));
}

Test(object, another_version_of_an_object_is_what_its_tree_would_give)
{
    static const char *const trees[] = {
        "{\"metadata\":{\"name\":\"7\",\"labels\":{\"a\":\"7\",\"b\":\"x\"},\"uid\":\"9\"},\"spec\":7}",
        "{\"metadata\":{\"resourceVersion\":\"1\",\"name\":\"7\",\"namespace\":\"12345\",\"labels\":{\"7\":\"9\"}}}",
        "{\"metadata\":{\"name\":\"a\",\"labels\":{\"k\\n\":\"v\\\"w\",\"]}\":\"}\"},\"finalizers\":[\"x\"]},\"n\":1}",
        "{\"metadata\":{}}",
        "{\"kind\":\"X\"}",
        "{}",
    };
    static const rv versions[] = { 0, 1, 7, 9, 12345, 18446744073709551615u };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(trees); i++)
        for (size_t from = 0; from < ARRAY_LEN(versions); from++)
            for (size_t to = 0; to < ARRAY_LEN(versions); to++) {
                struct object *first = from_text(a, trees[i], versions[from]);
                OBJECT_AUTO *copy = object_with_version(first, versions[to]);
                OBJECT_AUTO *expected = object_from_tree(object_parse(a, first), versions[to]);
                object_unref(first);
                expect_same(copy, expected);
                OBJECT_AUTO *again = object_with_version(copy, 77);
                OBJECT_AUTO *expected_again = object_from_tree(object_parse(a, copy), 77);
                expect_same(again, expected_again);
            }
}

Test(object, bytes_that_are_no_object_are_refused)
{
    static const char *const table[] = { "", "[]", "{", "{}", "{\"metadata\":{\"name\":\"\"}}", "null", "\"x\"" };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct object *o = NULL;
        struct error err;
        cr_expect_eq(object_new(str_from(table[i]), 1, &o, &err), ERRC_INVALID, "%s", table[i]);
        cr_expect_null(o);
    }
}

Test(object, is_freed_with_its_last_reference)
{
    ARENA_AUTO(a);
    struct object *o = from_text(a, "{\"metadata\":{\"name\":\"x\"}}", 1);
    struct object *same = object_ref(o);
    cr_assert_eq(same, o);
    cr_assert_null(object_unref(o));
    expect_str(same->name, "x");
    cr_assert_null(object_unref(same));
    cr_assert_null(object_unref(NULL));
}
