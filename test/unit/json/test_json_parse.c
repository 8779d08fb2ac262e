/* SPDX-License-Identifier: Apache-2.0 */
/* What is JSON and what is not, the limits, and what decoders note. */
#include "json/json_parse.h"

#include "base/limits.h"
#include "base/strbuf.h"
#include "json_test.h"

static int parse(struct arena *a, str text, struct json_notes *notes, struct error *err)
{
    const struct json *v = NULL;
    error_clear(err);
    int rc = json_parse(a, text, notes, &v, err);
    cr_assert_eq(rc == 0, v != NULL);
    return rc;
}

Test(json_parse, accepts_every_kind_of_value)
{
    static const char *const table[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1.5e+10",
        "1E400",
        "\"\"",
        "[]",
        "{}",
        "[[],{}]",
        "{\"\":0}",
        "123456789012345678901234567890",
        "{\"a\":{\"b\":[1,\"x\",null]}}",
        "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\"",
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_text(a, must_parse(a, table[i]), table[i]);
    assert_text(a, must_parse(a, " \t\r\n[ 1 , 2 ]\n"), "[1,2]");
}

Test(json_parse, unescapes_strings)
{
    static const struct {
        const char *text;
        str expected;
    } table[] = {
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", S_INIT("\"\\/\b\f\n\r\t") },
        { "\"\\u0041\\u00e4\\u20AC\"", S_INIT("A\xC3\xA4\xE2\x82\xAC") },
        { "\"\\ud83d\\ude00\"", S_INIT("\xF0\x9F\x98\x80") },
        { "\"\\uDBFF\\uDFFF\"", S_INIT("\xF4\x8F\xBF\xBF") },
        { "\"a\\u0000b\"", S_INIT("a\0b") },
        { "\"\\\\ud800\"", S_INIT("\\ud800") },
        { "\"\\uffff\"", S_INIT("\xEF\xBF\xBF") },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct json *v = must_parse(a, table[i].text);
        cr_expect(str_eq(v->text, table[i].expected), "%s", table[i].text);
        cr_expect(json_equal(v, must_parse(a, json_text(a, v).ptr)), "%s", table[i].text);
    }
}

Test(json_parse, refuses_what_is_not_json)
{
    static const char *const table[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{1:1}",
        "nul",
        "True",
        "NaN",
        "Infinity",
        "-",
        "+1",
        "01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "1 2",
        "{} {}",
        "[] x",
        "\"",
        "\"\n\"",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"abc",
        "// c\n1",
        "/* c */ 1",
        "[1 2]",
        "[,1]",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "]",
        "\xEF\xBB\xBF{}",
        "--1",
        "1.2.3",
        "\\",
        "\"\\",
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct error err;
        cr_expect_eq(parse(a, str_from(table[i]), NULL, &err), ERRC_INVALID, "%s", table[i]);
        cr_expect(str_has_prefix(str_from(err.text), S("invalid JSON at byte ")), "%s: %s", table[i], err.text);
    }
}

Test(json_parse, an_error_names_the_byte)
{
    ARENA_AUTO(a);
    struct error err;
    cr_assert_eq(parse(a, S("{\"spec\":{\"a\":xyz}}"), NULL, &err), ERRC_INVALID);
    cr_assert_str_eq(err.text, "invalid JSON at byte 14: invalid char in json text");
    cr_assert_eq(parse(a, S("[\"\\ud800\"]"), NULL, &err), ERRC_INVALID);
    cr_assert_str_eq(err.text, "invalid JSON at byte 2: lone surrogate in a \\u escape");
}

Test(json_parse, refuses_bytes_that_are_not_utf8)
{
    static const char *const bad[] = {
        "\xFF",         "\x80",         "\xC0\xAF",         "\xC1\xBF",         "\xC3",
        "\xC3(",        "\xE0\x80\xAF", "\xE0\x9F\xBF",     "\xE2\x82",         "\xED\xA0\x80",
        "\xED\xBF\xBF", "\xE2\x28\xA1", "\xF0\x80\x80\xAF", "\xF0\x8F\xBF\xBF", "\xF0\x9F\x98",
        "\xF0\x28\x8C", "\xFE\xBF",     "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF8\x88\x80\x80\x80",
    };
    static const char *const good[] = {
        "\x7F",         "\xC2\x80",     "\xDF\xBF",         "\xE0\xA0\x80",     "\xED\x9F\xBF",
        "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF",
    };
    ARENA_AUTO(a);
    struct error err;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        for (int pad = 0; pad < 9; pad++) {
            str text = arena_printf(a, "[\"%.*s%s\", \"some more text behind\"]", pad, "xxxxxxxxx", bad[i]);
            cr_expect_eq(parse(a, text, NULL, &err), ERRC_INVALID, "bad %zu", i);
            str expected = arena_printf(a, "invalid JSON at byte %d: text is not UTF-8", pad + 2);
            cr_expect_str_eq(err.text, expected.ptr, "bad %zu", i);
        }
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        cr_expect_eq(parse(a, arena_printf(a, "\"%s\"", good[i]), NULL, &err), 0, "good %zu", i);
}

Test(json_parse, refuses_lone_surrogate_escapes)
{
    static const char *const table[] = {
        "\"\\ud800\"",        "\"\\udc00\"",        "\"\\uDBFF\"",        "\"\\uDFFFx\"",
        "\"\\ud800\\u0041\"", "\"\\ud800\\ud800\"", "\"\\ude00\\ud83d\"", "\"\\ud83dx\\ude00\"",
        "{\"\\ud800\":1}",    "\"\\ud83d\\n\"",     "\"\\ud83d\\ude0\"",  "\"\\ud83d\\ude00\\ude00\"",
    };
    ARENA_AUTO(a);
    struct error err;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        cr_expect_eq(parse(a, str_from(table[i]), NULL, &err), ERRC_INVALID, "%s", table[i]);
}

static str nested(struct arena *a, const char *open, const char *close, int depth)
{
    STRBUF_AUTO text = STRBUF_INIT(1u << 24);
    for (int i = 0; i < depth; i++)
        strbuf_add(&text, str_from(open));
    strbuf_add(&text, S("1"));
    for (int i = 0; i < depth; i++)
        strbuf_add(&text, str_from(close));
    return strbuf_to_arena(&text, a);
}

Test(json_parse, nesting_has_a_limit)
{
    ARENA_AUTO(a);
    struct error err;
    cr_assert_eq(parse(a, nested(a, "[", "]", LIMIT_JSON_DEPTH), NULL, &err), 0);
    cr_assert_eq(parse(a, nested(a, "[", "]", LIMIT_JSON_DEPTH + 1), NULL, &err), ERRC_INVALID);
    cr_assert_str_eq(err.text, "document is nested deeper than 128 levels");
    cr_assert_eq(parse(a, nested(a, "{\"a\":", "}", LIMIT_JSON_DEPTH), NULL, &err), 0);
    cr_assert_eq(parse(a, nested(a, "{\"a\":", "}", LIMIT_JSON_DEPTH + 1), NULL, &err), ERRC_INVALID);
    cr_assert_eq(parse(a, nested(a, "[", "]", 1000000), NULL, &err), ERRC_INVALID);
}

Test(json_parse, the_number_of_values_has_a_limit)
{
    ARENA_AUTO(a);
    struct error err;
    STRBUF_AUTO text = STRBUF_INIT(1u << 24);
    strbuf_add(&text, S("[0"));
    for (unsigned i = 2; i < LIMIT_JSON_VALUES; i++)
        strbuf_add(&text, S(",0"));
    strbuf_add(&text, S("]"));
    cr_assert_eq(parse(a, strbuf_str(&text), NULL, &err), 0);
    text.len--;
    strbuf_add(&text, S(",0]"));
    cr_assert_eq(parse(a, strbuf_str(&text), NULL, &err), ERRC_TOO_LARGE);
    cr_assert_str_eq(err.text, "document has more than 400000 values");
}

Test(json_parse, of_duplicate_keys_the_last_wins_and_the_path_is_noted)
{
    ARENA_AUTO(a);
    struct json_notes notes = { 0 };
    const struct json *v = NULL;
    str text = S("{\"a\":1,\"spec\":{\"x\":[{\"y\":1},{\"n\":0,\"y\":1,\"y\":2,\"y\":3}]},\"a\":4}");
    cr_assert_eq(json_parse(a, text, &notes, &v, NULL), 0);
    assert_text(a, v, "{\"a\":4,\"spec\":{\"x\":[{\"y\":1},{\"n\":0,\"y\":3}]}}");
    cr_assert_eq(notes.count, 2);
    cr_assert_str_eq(notes.texts[0].ptr, "duplicate field \"spec.x[1].y\"");
    cr_assert_str_eq(notes.texts[1].ptr, "duplicate field \"a\"");
}

Test(json_parse, notes_are_capped)
{
    ARENA_AUTO(a);
    STRBUF_AUTO text = STRBUF_INIT(1u << 20);
    strbuf_add(&text, S("{\"k\":0"));
    for (int i = 0; i < 300; i++)
        strbuf_addf(&text, ",\"k%d\":1,\"k%d\":2", i, i);
    strbuf_add(&text, S("}"));
    struct json_notes notes = { 0 };
    struct error err;
    cr_assert_eq(parse(a, strbuf_str(&text), &notes, &err), 0);
    cr_assert_eq(notes.count, 64);
}

Test(json_parse, the_tree_does_not_point_into_the_text)
{
    ARENA_AUTO(a);
    char text[] = "{\"key\":[\"value\",\"esc\\n\",12.5]}";
    const struct json *v = must_parse(a, text);
    memset(text, 'x', sizeof(text) - 1);
    assert_text(a, v, "{\"key\":[\"value\",\"esc\\n\",12.5]}");
}

Test(json_parse, keys_keep_their_bytes)
{
    ARENA_AUTO(a);
    const struct json *v = must_parse(a, "{\"a\\u0000b\":1,\"a\":2,\"a\\/b\":3,\"\":4}");
    cr_assert_eq(v->count, 4);
    cr_assert_not_null(json_get(v, str_of("a\0b", 3)));
    cr_assert_not_null(json_get(v, S("a/b")));
    cr_assert_not_null(json_get(v, S("")));
}

Test(json_parse, wide_objects_and_arrays_survive_a_round_trip)
{
    ARENA_AUTO(a);
    STRBUF_AUTO text = STRBUF_INIT(1u << 20);
    strbuf_add(&text, S("{\"list\":["));
    for (int i = 0; i < 3000; i++)
        strbuf_addf(&text, "%s{\"i\":%d}", i ? "," : "", i);
    strbuf_add(&text, S("],\"map\":{"));
    for (int i = 0; i < 3000; i++)
        strbuf_addf(&text, "%s\"k%d\":%d", i ? "," : "", 2999 - i, i);
    strbuf_add(&text, S("}}"));
    const struct json *v = must_parse(a, text.ptr);
    assert_text(a, v, text.ptr);
    cr_assert_eq(json_int_at(v, "map.k0", -1), 2999);
}
