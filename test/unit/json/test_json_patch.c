/* SPDX-License-Identifier: Apache-2.0 */
/* The examples of RFC 6901, 6902 and 7386 as data, what their texts forbid, and the limits. */
#include "json/json_patch.h"

#include "base/limits.h"
#include "base/strbuf.h"
#include "json_test.h"

#define OK 0
#define BAD ERRC_INVALID
#define NO ERRC_CONFLICT

struct patch_case {
    const char *target, *patch;
    int rc;
    const char *expected;
};

static void run(const struct patch_case *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ARENA_AUTO(a);
        const struct json *target = must_parse(a, table[i].target), *result = NULL;
        str before = json_text(a, target);
        struct error err;
        error_clear(&err);
        int rc = json_patch_apply(a, target, must_parse(a, table[i].patch), &result, &err);
        cr_expect_eq(rc, table[i].rc, "%s on %s: %d %s", table[i].patch, table[i].target, rc, err.text);
        cr_expect_eq(rc != 0, err.text[0] != '\0', "%s", table[i].patch);
        if (rc == 0 && table[i].expected) {
            str text = json_text(a, result);
            cr_expect(str_eq_z(text, table[i].expected), "%s on %s gave %.*s", table[i].patch, table[i].target,
                      STR_ARG(text));
        }
        cr_expect(str_eq(json_text(a, target), before), "%s changed its target", table[i].patch);
    }
}

Test(json_patch, does_what_the_appendix_of_rfc_6902_shows)
{
    static const struct patch_case table[] = {
        { "{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]", OK,
          "{\"foo\":\"bar\",\"baz\":\"qux\"}" },
        { "{\"foo\":[\"bar\",\"baz\"]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]", OK,
          "{\"foo\":[\"bar\",\"qux\",\"baz\"]}" },
        { "{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]", OK, "{\"foo\":\"bar\"}" },
        { "{\"foo\":[\"bar\",\"qux\",\"baz\"]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]", OK,
          "{\"foo\":[\"bar\",\"baz\"]}" },
        { "{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":\"boo\"}]", OK,
          "{\"baz\":\"boo\",\"foo\":\"bar\"}" },
        { "{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},\"qux\":{\"corge\":\"grault\"}}",
          "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]", OK,
          "{\"foo\":{\"bar\":\"baz\"},\"qux\":{\"corge\":\"grault\",\"thud\":\"fred\"}}" },
        { "{\"foo\":[\"all\",\"grass\",\"cows\",\"eat\"]}",
          "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]", OK,
          "{\"foo\":[\"all\",\"cows\",\"eat\",\"grass\"]}" },
        { "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
          "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"},{\"op\":\"test\",\"path\":\"/foo/1\",\"value\":2}]",
          OK, "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}" },
        { "{\"baz\":\"qux\"}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]", NO, NULL },
        { "{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/child\",\"value\":{\"grandchild\":{}}}]", OK,
          "{\"foo\":\"bar\",\"child\":{\"grandchild\":{}}}" },
        { "{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\",\"xyz\":123}]", OK,
          "{\"foo\":\"bar\",\"baz\":\"qux\"}" },
        { "{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}]", NO, NULL },
        { "{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]", OK, "{\"/\":9,\"~1\":10}" },
        { "{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":\"10\"}]", NO, NULL },
        { "{\"foo\":[\"bar\"]}", "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[\"abc\",\"def\"]}]", OK,
          "{\"foo\":[\"bar\",[\"abc\",\"def\"]]}" },
    };
    run(table, ARRAY_LEN(table));
}

Test(json_patch, operations_see_what_earlier_ones_did)
{
    static const struct patch_case table[] = {
        { "{}", "[]", OK, "{}" },
        { "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":2}]", OK, "{\"a\":2}" },
        { "{\"a\":1}",
          "[{\"op\":\"add\",\"path\":\"/a\",\"value\":null},{\"op\":\"test\",\"path\":\"/a\",\"value\":null}]", OK,
          "{\"a\":null}" },
        { "{\"a\":1}",
          "[{\"op\":\"remove\",\"path\":\"/a\"},{\"op\":\"add\",\"path\":\"/"
          "a\",\"value\":2},{\"op\":\"remove\",\"path\":"
          "\"/a\"},{\"op\":\"add\",\"path\":\"/a\",\"value\":3}]",
          OK, "{\"a\":3}" },
        { "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/a\"},{\"op\":\"test\",\"path\":\"\",\"value\":{}}]", OK, "{}" },
        { "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/a\"},{\"op\":\"remove\",\"path\":\"/a\"}]", NO, NULL },
        { "[]",
          "[{\"op\":\"add\",\"path\":\"/0\",\"value\":1},{\"op\":\"add\",\"path\":\"/0\",\"value\":0},{\"op\":"
          "\"add\",\"path\":\"/-\",\"value\":2},{\"op\":\"add\",\"path\":\"/3\",\"value\":3}]",
          OK, "[0,1,2,3]" },
        { "{\"a\":{\"b\":1}}",
          "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/c\"},{\"op\":\"replace\",\"path\":\"/a/"
          "b\",\"value\":2},{\"op\":"
          "\"copy\",\"from\":\"/a\",\"path\":\"/d\"},{\"op\":\"replace\",\"path\":\"/a/b\",\"value\":3}]",
          OK, "{\"a\":{\"b\":3},\"c\":{\"b\":1},\"d\":{\"b\":2}}" },
        { "{\"a\":{\"b\":1}}", "[{\"op\":\"copy\",\"from\":\"\",\"path\":\"/c\"}]", OK,
          "{\"a\":{\"b\":1},\"c\":{\"a\":{\"b\":1}}}" },
        { "{\"a\":{\"b\":{\"x\":1}}}",
          "[{\"op\":\"add\",\"path\":\"/a/b/y\",\"value\":2},{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/"
          "c\"},{\"op\":"
          "\"add\",\"path\":\"/c/z\",\"value\":3},{\"op\":\"test\",\"path\":\"/"
          "c\",\"value\":{\"z\":3,\"y\":2,\"x\":1.0}},"
          "{\"op\":\"test\",\"path\":\"\",\"value\":{\"a\":{},\"c\":{\"x\":1,\"y\":2,\"z\":3}}}]",
          OK, "{\"a\":{},\"c\":{\"x\":1,\"y\":2,\"z\":3}}" },
        { "{\"a\":[1,2]}",
          "[{\"op\":\"add\",\"path\":\"/a/-\",\"value\":3},{\"op\":\"test\",\"path\":\"/a\",\"value\":[1,2]}]", NO,
          NULL },
        { "{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}]", OK, "{\"a\":1}" },
        { "{\"a\":1,\"b\":2}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}]", OK, "{\"b\":1}" },
        { "{\"a\":{\"x\":1}}", "[{\"op\":\"move\",\"from\":\"/a/x\",\"path\":\"\"}]", OK, "1" },
        { "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":[1]}]", OK, "[1]" },
        { "{\"a\":1}",
          "[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"b\":2}},{\"op\":\"add\",\"path\":\"/c\",\"value\":3}]", OK,
          "{\"b\":2,\"c\":3}" },
        { "{\"\":{\"\":1}}", "[{\"op\":\"replace\",\"path\":\"//\",\"value\":2}]", OK, "{\"\":{\"\":2}}" },
        { "{\"a/b\":{\"m~n\":1}}", "[{\"op\":\"replace\",\"path\":\"/a~1b/m~0n\",\"value\":2}]", OK,
          "{\"a/b\":{\"m~n\":2}}" },
        { "{\"1\":{\"-\":5}}", "[{\"op\":\"remove\",\"path\":\"/1/-\"}]", OK, "{\"1\":{}}" },
    };
    run(table, ARRAY_LEN(table));
}

Test(json_patch, what_does_not_apply_is_a_conflict)
{
    static const struct patch_case table[] = {
        { "{}", "[{\"op\":\"remove\",\"path\":\"/a\"}]", NO, NULL },
        { "{}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":1}]", NO, NULL },
        { "{}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":null}]", NO, NULL },
        { "{}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]", NO, NULL },
        { "{}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}]", NO, NULL },
        { "{}", "[{\"op\":\"remove\",\"path\":\"\"}]", NO, NULL },
        { "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]", NO, NULL },
        { "{\"a\":\"x\"}", "[{\"op\":\"remove\",\"path\":\"/a/0\"}]", NO, NULL },
        { "{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/x/y\"}]", NO, NULL },
        { "[1]", "[{\"op\":\"add\",\"path\":\"/2\",\"value\":1}]", NO, NULL },
        { "[1]", "[{\"op\":\"add\",\"path\":\"/01\",\"value\":1}]", NO, NULL },
        { "[1]", "[{\"op\":\"add\",\"path\":\"/-1\",\"value\":1}]", NO, NULL },
        { "[1]", "[{\"op\":\"add\",\"path\":\"/1e0\",\"value\":1}]", NO, NULL },
        { "[1]", "[{\"op\":\"add\",\"path\":\"/+1\",\"value\":1}]", NO, NULL },
        { "[1]", "[{\"op\":\"add\",\"path\":\"/ 1\",\"value\":1}]", NO, NULL },
        { "[1]", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":1}]", NO, NULL },
        { "[1]", "[{\"op\":\"add\",\"path\":\"/18446744073709551616\",\"value\":1}]", NO, NULL },
        { "[1]", "[{\"op\":\"remove\",\"path\":\"/-\"}]", NO, NULL },
        { "[1]", "[{\"op\":\"remove\",\"path\":\"/1\"}]", NO, NULL },
        { "[1]", "[{\"op\":\"test\",\"path\":\"/-\",\"value\":1}]", NO, NULL },
        { "[1]", "[{\"op\":\"replace\",\"path\":\"/-\",\"value\":1}]", NO, NULL },
        { "[[1]]", "[{\"op\":\"add\",\"path\":\"/-/0\",\"value\":1}]", NO, NULL },
        { "1", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":1}]", NO, NULL },
    };
    run(table, ARRAY_LEN(table));
}

Test(json_patch, malformed_patches_are_invalid)
{
    static const struct patch_case table[] = {
        { "{}", "{}", BAD, NULL },
        { "{}", "null", BAD, NULL },
        { "{}", "[1]", BAD, NULL },
        { "{}", "[null]", BAD, NULL },
        { "{}", "[{}]", BAD, NULL },
        { "{}", "[{\"op\":1,\"path\":\"\"}]", BAD, NULL },
        { "{}", "[{\"op\":\"spam\",\"path\":\"/a\",\"value\":1}]", BAD, NULL },
        { "{}", "[{\"op\":\"Add\",\"path\":\"/a\",\"value\":1}]", BAD, NULL },
        { "{}", "[{\"op\":\"add\",\"value\":1}]", BAD, NULL },
        { "{}", "[{\"op\":\"add\",\"path\":null,\"value\":1}]", BAD, NULL },
        { "{}", "[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]", BAD, NULL },
        { "{}", "[{\"op\":\"add\",\"path\":\"/a~\",\"value\":1}]", BAD, NULL },
        { "{}", "[{\"op\":\"add\",\"path\":\"/a~2\",\"value\":1}]", BAD, NULL },
        { "{}", "[{\"op\":\"add\",\"path\":\"/a\"}]", BAD, NULL },
        { "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/a\"}]", BAD, NULL },
        { "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\"}]", BAD, NULL },
        { "{\"a\":1}", "[{\"op\":\"copy\",\"path\":\"/b\"}]", BAD, NULL },
        { "{\"a\":1}", "[{\"op\":\"move\",\"path\":\"/b\",\"from\":1}]", BAD, NULL },
        { "{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", BAD, NULL },
        { "{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"\",\"path\":\"/a\"}]", BAD, NULL },
        { "{\"a\":1,\"ab\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/ab/x\"}]", OK, "{\"ab\":{\"x\":1}}" },
    };
    run(table, ARRAY_LEN(table));
}

Test(json_patch, errors_name_the_operation)
{
    ARENA_AUTO(a);
    const struct json *result;
    struct error err;
    const struct json *patch =
        must_parse(a, "[{\"op\":\"add\",\"path\":\"/a\",\"value\":1},{\"op\":\"remove\",\"path\":\"/b/c\"}]");
    cr_assert_eq(json_patch_apply(a, must_parse(a, "{}"), patch, &result, &err), ERRC_CONFLICT);
    cr_assert_str_eq(err.text, "operation 1: path \"/b/c\" does not exist");
}

/* `count` times the operation, of which %zu is the index. */
static const struct json *repeated(struct arena *a, const char *before, const char *after, size_t count)
{
    STRBUF_AUTO text = STRBUF_INIT(8u << 20);
    for (size_t i = 0; i < count; i++)
        strbuf_addf(&text, "%s%s%zu%s", i ? "," : "[", before, i, after);
    strbuf_add(&text, S("]"));
    return must_parse(a, text.ptr);
}

Test(json_patch, the_number_of_operations_has_a_limit)
{
    ARENA_AUTO(a);
    const struct json *result, *empty = must_parse(a, "{}");
    const struct json *most = repeated(a, "{\"op\":\"add\",\"path\":\"/k", "\",\"value\":1}", LIMIT_PATCH_OPERATIONS);
    cr_assert_eq(json_patch_apply(a, empty, most, &result, NULL), 0);
    cr_assert_eq(result->count, LIMIT_PATCH_OPERATIONS);
    cr_assert_not_null(json_get(result, S("k9999")));
    const struct json *more =
        repeated(a, "{\"op\":\"add\",\"path\":\"/k", "\",\"value\":1}", LIMIT_PATCH_OPERATIONS + 1);
    cr_assert_eq(json_patch_apply(a, empty, more, &result, NULL), ERRC_TOO_LARGE);
}

Test(json_patch, edits_of_a_big_object_stay_small_in_memory)
{
    ARENA_AUTO(a);
    const struct json *result, *big = &json_empty_object;
    const struct json *make = repeated(a, "{\"op\":\"add\",\"path\":\"/k", "\",\"value\":1}", LIMIT_PATCH_OPERATIONS);
    cr_assert_eq(json_patch_apply(a, big, make, &big, NULL), 0);
    const struct json *edit =
        repeated(a, "{\"op\":\"replace\",\"path\":\"/k", "\",\"value\":2}", LIMIT_PATCH_OPERATIONS);
    size_t before = arena_size(a);
    cr_assert_eq(json_patch_apply(a, big, edit, &result, NULL), 0);
    cr_assert_lt(arena_size(a) - before, 8u << 20);
    cr_assert_eq(json_int_at(result, "k5000", 0), 2);
    cr_assert_eq(json_int_at(big, "k5000", 0), 1);
}

Test(json_patch, copies_cannot_grow_without_bound)
{
    ARENA_AUTO(a);
    const struct json *result;
    struct error err;
    const struct json *patch = repeated(a, "{\"op\":\"copy\",\"from\":\"\",\"path\":\"/k", "\"}", 40);
    cr_assert_eq(json_patch_apply(a, must_parse(a, "{\"a\":\"some text\"}"), patch, &result, &err), ERRC_TOO_LARGE);
    cr_assert(strstr(err.text, "copies more than 3145728 bytes"), "%s", err.text);
}

Test(json_patch, moves_cannot_nest_without_bound)
{
    ARENA_AUTO(a);
    STRBUF_AUTO target = STRBUF_INIT(100000), patch = STRBUF_INIT(100000);
    for (int i = 0; i < 200; i++) {
        strbuf_addf(&target, "%s\"k%d\":{}", i ? "," : "{", i);
        if (i)
            strbuf_addf(&patch, "%s{\"op\":\"move\",\"from\":\"/k%d\",\"path\":\"/k%d/x\"}", i > 1 ? "," : "[", i - 1,
                        i);
    }
    strbuf_add(&target, S("}"));
    strbuf_add(&patch, S("]"));
    const struct json *result;
    struct error err;
    cr_assert_eq(json_patch_apply(a, must_parse(a, target.ptr), must_parse(a, patch.ptr), &result, &err),
                 ERRC_TOO_LARGE);
    cr_assert_str_eq(err.text, "operation 126: the document would be nested deeper than 128 levels");
}

Test(json_patch, shifting_a_long_array_ten_thousand_times_is_refused)
{
    ARENA_AUTO(a);
    STRBUF_AUTO target = STRBUF_INIT(1u << 20), patch = STRBUF_INIT(1u << 20);
    for (int i = 0; i < 100000; i++)
        strbuf_add(&target, i ? S(",0") : S("[0"));
    for (int i = 0; i < 9000; i++)
        strbuf_addf(&patch, "%s{\"op\":\"add\",\"path\":\"/0\",\"value\":1}", i ? "," : "[");
    strbuf_add(&target, S("]"));
    strbuf_add(&patch, S("]"));
    const struct json *result;
    cr_assert_eq(json_patch_apply(a, must_parse(a, target.ptr), must_parse(a, patch.ptr), &result, NULL),
                 ERRC_TOO_LARGE);
}

Test(json_merge_patch, does_what_the_appendix_of_rfc_7386_shows)
{
    static const struct {
        const char *target, *patch, *expected;
    } table[] = {
        { "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
        { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
        { "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
        { "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
        { "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
        { "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
        { "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
        { "{\"a\":\"foo\"}", "null", "null" },
        { "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
        { "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
        { "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
        { "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
        { "{\"a\":1}", "{\"b\":[null,{\"c\":null}]}", "{\"a\":1,\"b\":[null,{\"c\":null}]}" },
        { "{\"z\":1,\"a\":{\"y\":1,\"x\":2}}", "{\"a\":{\"x\":3,\"n\":4},\"b\":5}",
          "{\"z\":1,\"a\":{\"y\":1,\"x\":3,\"n\":4},\"b\":5}" },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct json *target = must_parse(a, table[i].target);
        assert_text(a, json_merge_patch(a, target, must_parse(a, table[i].patch)), table[i].expected);
        assert_text(a, target, table[i].target);
    }
}

/* Whether a test operation finds the value there; NULL: whether it finds any. */
static bool finds(struct arena *a, const struct json *doc, str pointer, const char *value)
{
    const struct json *operation = JSON_OBJECT_OF(a, JSON_MEMBER("op", json_string(a, value ? S("test") : S("copy"))),
                                                  JSON_MEMBER("path", json_string(a, value ? pointer : S("/new"))),
                                                  JSON_MEMBER("from", value ? NULL : json_string(a, pointer)),
                                                  JSON_MEMBER("value", value ? must_parse(a, value) : NULL));
    const struct json *result;
    return json_patch_apply(a, doc, JSON_ARRAY_OF(a, operation), &result, NULL) == 0;
}

Test(json_patch, points_at_what_rfc_6901_shows)
{
    static const struct {
        const char *pointer, *expected;
    } table[] = {
        { "/foo", "[\"bar\",\"baz\"]" },
        { "/foo/0", "\"bar\"" },
        { "/", "0" },
        { "/a~1b", "1" },
        { "/c%d", "2" },
        { "/e^f", "3" },
        { "/g|h", "4" },
        { "/i\\j", "5" },
        { "/k\"l", "6" },
        { "/ ", "7" },
        { "/m~0n", "8" },
    };
    static const char *const missing[] = { "foo", "/x",    "/foo/2", "/foo/00", "/foo/-", "/foo/",   "/foo/0/x",
                                           "/~",  "/a~2b", "#/foo",  "/m~0n/",  "//",     "/foo/-0", "/foo/+0" };
    ARENA_AUTO(a);
    const struct json *doc = must_parse(a, "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,"
                                           "\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}");
    cr_assert(finds(a, doc, S(""), json_text(a, doc).ptr));
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        cr_expect(finds(a, doc, str_from(table[i].pointer), table[i].expected), "%s", table[i].pointer);
        cr_expect(finds(a, doc, str_from(table[i].pointer), NULL), "%s", table[i].pointer);
    }
    for (size_t i = 0; i < ARRAY_LEN(missing); i++)
        cr_expect_not(finds(a, doc, str_from(missing[i]), NULL), "%s", missing[i]);
    char deep[600];
    for (size_t i = 0; i < sizeof(deep); i += 2)
        memcpy(deep + i, "/a", 2);
    cr_assert_not(finds(a, doc, str_of(deep, sizeof(deep)), NULL));
}
