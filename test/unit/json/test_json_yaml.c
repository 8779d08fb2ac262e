/* SPDX-License-Identifier: Apache-2.0 */
/* YAML as Kubernetes reads it, and that what we write reads back as the same value. */
#include "base/limits.h"
#include "base/strbuf.h"
#include "json_test.h"

static int parse(struct arena *a, const char *text, struct json_notes *notes, const struct json **ret,
                 struct error *err)
{
    error_clear(err);
    *ret = NULL;
    return json_parse_yaml(a, str_from(text), notes, ret, err);
}

static void expect_yaml(const char *yaml, const char *expected)
{
    ARENA_AUTO(a);
    const struct json *v;
    struct error err;
    cr_expect_eq(parse(a, yaml, NULL, &v, &err), 0, "%s: %s", yaml, err.text);
    if (!v)
        return;
    str text = json_text(a, v);
    cr_expect(str_eq_z(text, expected), "%s gave %.*s, not %s", yaml, STR_ARG(text), expected);
}

Test(json_yaml, plain_scalars_mean_what_kubernetes_takes_them_for)
{
    static const struct {
        const char *yaml, *expected;
    } table[] = {
        { "true", "true" },
        { "True", "true" },
        { "TRUE", "true" },
        { "tRUE", "\"tRUE\"" },
        { "false", "false" },
        { "yes", "true" },
        { "Yes", "true" },
        { "YES", "true" },
        { "no", "false" },
        { "No", "false" },
        { "on", "true" },
        { "ON", "true" },
        { "off", "false" },
        { "Off", "false" },
        { "y", "true" },
        { "N", "false" },
        { "yEs", "\"yEs\"" },
        { "yess", "\"yess\"" },
        { "null", "null" },
        { "Null", "null" },
        { "NULL", "null" },
        { "~", "null" },
        { "nULL", "\"nULL\"" },
        { "nil", "\"nil\"" },
        { "0", "0" },
        { "1", "1" },
        { "+1", "1" },
        { "-1", "-1" },
        { "-0", "-0" },
        { "007", "7" },
        { "017", "15" },
        { "08", "8" },
        { "0o17", "15" },
        { "0O17", "15" },
        { "0o8", "\"0o8\"" },
        { "0x1F", "31" },
        { "-0x10", "-16" },
        { "+0X1f", "31" },
        { "0xg", "\"0xg\"" },
        { "0x", "\"0x\"" },
        { "0b101", "5" },
        { "-0b11", "-3" },
        { "0b2", "\"0b2\"" },
        { "1_000", "1000" },
        { "0x_ff", "255" },
        { "_1", "\"_1\"" },
        { "-_", "\"-_\"" },
        { "1.5", "1.5" },
        { ".5", "0.5" },
        { "-.5", "-0.5" },
        { "5.", "5" },
        { "01.50", "1.50" },
        { "1e3", "1e3" },
        { "1E+3", "1E+3" },
        { "1e", "\"1e\"" },
        { ".e1", "\".e1\"" },
        { ".", "\".\"" },
        { "-", "[null]" },
        { "1.2.3", "\"1.2.3\"" },
        { "12:30", "\"12:30\"" },
        { "12:30:45", "\"12:30:45\"" },
        { "2026-01-01", "\"2026-01-01\"" },
        { "2026-01-01T00:00:00Z", "\"2026-01-01T00:00:00Z\"" },
        { "10Gi", "\"10Gi\"" },
        { "500m", "\"500m\"" },
        { "1,000", "\"1,000\"" },
        { "0.1", "0.1" },
        { "18446744073709551615", "18446744073709551615" },
        { "123456789012345678901234567890", "123456789012345678901234567890" },
        { "0xffffffffffffffff", "18446744073709551615" },
        { "1e400", "1e400" },
        { "Infinity", "\"Infinity\"" },
        { "NaN", "\"NaN\"" },
        { "hello world", "\"hello world\"" },
        { "a:b", "\"a:b\"" },
        { "a#b", "\"a#b\"" },
        { "'yes'", "\"yes\"" },
        { "\"12\"", "\"12\"" },
        { "'null'", "\"null\"" },
        { "''", "\"\"" },
        { "'it''s'", "\"it's\"" },
        { "\"a\\tb\\u00e4\\x41\\0\\/\"", "\"a\\tb\xC3\xA4"
                                         "A\\u0000/\"" },
        { "\xC3\xA4", "\"\xC3\xA4\"" },
        { "<<", "\"<<\"" },
        { "=", "\"=\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        expect_yaml(table[i].yaml, table[i].expected);
}

Test(json_yaml, structures_become_objects_and_arrays)
{
    static const struct {
        const char *yaml, *expected;
    } table[] = {
        { "", "null" },
        { "# only a comment\n", "null" },
        { "---\n", "null" },
        { "---\na: 1\n...\n", "{\"a\":1}" },
        { "%YAML 1.1\n---\na: 1\n", "{\"a\":1}" },
        { "a: 1\nb:\n  c: x\n  d:\n  - 1\n  - e: 2\n    f: 3\n",
          "{\"a\":1,\"b\":{\"c\":\"x\",\"d\":[1,{\"e\":2,\"f\":3}]}}" },
        { "{\"a\": [1, {\"b\": null}], \"c\": \"d\"}", "{\"a\":[1,{\"b\":null}],\"c\":\"d\"}" },
        { "{a: 1, b: , c}", "{\"a\":1,\"b\":null,\"c\":null}" },
        { "- - 1\n  - 2\n- []\n- {}\n", "[[1,2],[],{}]" },
        { "a:\nb: ~\n", "{\"a\":null,\"b\":null}" },
        { "a: |\n  one\n  two\nb: >\n  one\n  two\nc: |-\n  x\n",
          "{\"a\":\"one\\ntwo\\n\",\"b\":\"one two\\n\",\"c\":\"x\"}" },
        { "a: one\n  two\n", "{\"a\":\"one two\"}" },
        { "1: a\ntrue: b\nyes: c\n1.5: d\n0x10: e\n'x': f\n",
          "{\"1\":\"a\",\"true\":\"c\",\"1.5\":\"d\",\"16\":\"e\",\"x\":\"f\"}" },
        { "? a\n: 1\n", "{\"a\":1}" },
        { "a: 1 # comment\n", "{\"a\":1}" },
        { "\xEF\xBB\xBF"
          "a: 1\n",
          "{\"a\":1}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        expect_yaml(table[i].yaml, table[i].expected);
}

Test(json_yaml, what_json_cannot_carry_is_refused)
{
    static const struct {
        const char *yaml, *expected;
    } table[] = {
        { "a: &x 1\nb: *x\n", "invalid YAML at line 1, column 4: anchors are not supported" },
        { "&x [1]", "invalid YAML at line 1, column 1: anchors are not supported" },
        { "&x {a: 1}", "invalid YAML at line 1, column 1: anchors are not supported" },
        { "*x", "invalid YAML at line 1, column 1: aliases are not supported" },
        { "a: !!str 1\n", "invalid YAML at line 1, column 4: tags are not supported" },
        { "! x", "invalid YAML at line 1, column 1: tags are not supported" },
        { "!!map {a: 1}", "invalid YAML at line 1, column 1: tags are not supported" },
        { "!foo [1]", "invalid YAML at line 1, column 1: tags are not supported" },
        { "<<: {a: 1}\n", "invalid YAML at line 1, column 1: merge keys are not supported" },
        { "a: 1\n---\nb: 2\n", "invalid YAML at line 2, column 1: only one document is allowed" },
        { "--- a\n--- b\n", "invalid YAML at line 2, column 1: only one document is allowed" },
        { "{a: 1}: 2\n", "invalid YAML at line 1, column 1: a key must be a scalar" },
        { "[1]: 2\n", "invalid YAML at line 1, column 1: a key must be a scalar" },
        { "~: 2\n", "invalid YAML at line 1, column 1: null is no key" },
        { "a: .inf\n", "invalid YAML at line 1, column 4: JSON has no such number" },
        { "a: -.Inf\n", "invalid YAML at line 1, column 4: JSON has no such number" },
        { "a: .nan\n", "invalid YAML at line 1, column 4: JSON has no such number" },
        { "0x10000000000000000", "invalid YAML at line 1, column 1: JSON has no such number" },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct json *v;
        struct error err;
        cr_expect_eq(parse(a, table[i].yaml, NULL, &v, &err), ERRC_INVALID, "%s", table[i].yaml);
        cr_expect_str_eq(err.text, table[i].expected);
    }
}

Test(json_yaml, malformed_texts_are_refused_with_a_place)
{
    static const char *const table[] = {
        "a: b: c",     "a: [1, 2",     "a: {b", "a:\n\t- 1", "'abc",  "\"abc", "\"\\q\"",
        "- a\nb: 1",   "a: 1\n  b: 2", "}",     "]",         "@a",    "`a",    "a: %x",
        "\"\\ud800\"", "key: |x\n  a", "\x01",  "a: \x7F",   "{a: 1",
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct json *v;
        struct error err;
        cr_expect_eq(parse(a, table[i], NULL, &v, &err), ERRC_INVALID, "%s", table[i]);
        cr_expect(str_has_prefix(str_from(err.text), S("invalid YAML at line ")), "%s: %s", table[i], err.text);
    }
    const struct json *v;
    struct error err;
    cr_assert_eq(parse(a, "a: \xC0\xAF", NULL, &v, &err), ERRC_INVALID);
    cr_assert_str_eq(err.text, "invalid YAML at byte 3: text is not UTF-8");
    cr_assert_eq(json_parse_yaml(a,
                                 S("\xFF\xFE"
                                   "a\0:\0 \0"
                                   "1\0"),
                                 NULL, &v, &err),
                 ERRC_INVALID, "UTF-16");
}

Test(json_yaml, duplicate_keys_are_noted_and_nesting_is_limited)
{
    ARENA_AUTO(a);
    struct json_notes notes = { 0 };
    const struct json *v;
    struct error err;
    cr_assert_eq(parse(a, "spec:\n  list:\n  - x: 1\n    'x': 2\n", &notes, &v, &err), 0);
    assert_text(a, v, "{\"spec\":{\"list\":[{\"x\":2}]}}");
    cr_assert_eq(notes.count, 1);
    cr_assert_str_eq(notes.texts[0].ptr, "duplicate field \"spec.list[0].x\"");
    for (int depth = LIMIT_JSON_DEPTH; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
        STRBUF_AUTO flow = STRBUF_INIT(100000), block = STRBUF_INIT(100000);
        for (int i = 0; i < depth; i++) {
            strbuf_add(&flow, S("["));
            strbuf_add(&block, S("- "));
        }
        for (int i = 0; i < depth; i++)
            strbuf_add(&flow, S("]"));
        strbuf_add(&block, S("x"));
        int expected = depth > LIMIT_JSON_DEPTH ? ERRC_INVALID : 0;
        cr_expect_eq(parse(a, flow.ptr, NULL, &v, &err), expected, "%s", err.text);
        cr_expect_eq(parse(a, block.ptr, NULL, &v, &err), expected, "%s", err.text);
    }
}

Test(json_yaml, is_written_as_kubectl_shows_it)
{
    ARENA_AUTO(a);
    STRBUF_AUTO out = STRBUF_INIT(10000);
    json_write_yaml(
        &out,
        must_parse(
            a, "{\"apiVersion\":\"postgres.example.io/v1\",\"metadata\":{\"name\":\"pg1\",\"labels\":{},"
               "\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"finalizers\":[\"a/b\",\"c\"]},"
               "\"spec\":{\"instances\":3,\"on\":true,\"size\":\"10Gi\",\"yes\":\"no\",\"list\":[{\"a\":1,\"b\":[]},"
               "[1,[2]]],\"note\":\"one\\ntwo\\n\",\"none\":null,\"version\":\"15\"}}"));
    cr_assert_str_eq(out.ptr, "apiVersion: postgres.example.io/v1\n"
                              "metadata:\n"
                              "  name: pg1\n"
                              "  labels: {}\n"
                              "  creationTimestamp: \"2026-01-01T00:00:00Z\"\n"
                              "  finalizers:\n"
                              "  - a/b\n"
                              "  - c\n"
                              "spec:\n"
                              "  instances: 3\n"
                              "  \"on\": true\n"
                              "  size: 10Gi\n"
                              "  \"yes\": \"no\"\n"
                              "  list:\n"
                              "  - a: 1\n"
                              "    b: []\n"
                              "  - - 1\n"
                              "    - - 2\n"
                              "  note: |\n"
                              "    one\n"
                              "    two\n"
                              "  none: null\n"
                              "  version: \"15\"\n");
}

static void expect_round_trip(struct arena *a, const struct json *v)
{
    STRBUF_AUTO out = STRBUF_INIT(1u << 20);
    json_write_yaml(&out, v);
    const struct json *back = NULL;
    struct error err;
    error_clear(&err);
    cr_expect_eq(json_parse_yaml(a, strbuf_str(&out), NULL, &back, &err), 0, "%s: %s", out.ptr, err.text);
    cr_expect(json_equal(v, back), "%s", out.ptr);
}

/* What somebody could take for something else, or for a line of its own. */
static const str texts[] = {
    S_INIT(""),
    S_INIT(" "),
    S_INIT("a"),
    S_INIT("y"),
    S_INIT("N"),
    S_INIT("yes"),
    S_INIT("oFF"),
    S_INIT("true"),
    S_INIT("null"),
    S_INIT("~"),
    S_INIT("1"),
    S_INIT("-1"),
    S_INIT("+1"),
    S_INIT("1.5"),
    S_INIT(".5"),
    S_INIT("5."),
    S_INIT("1e3"),
    S_INIT("0x1f"),
    S_INIT("0o7"),
    S_INIT("017"),
    S_INIT("0b1"),
    S_INIT("1_0"),
    S_INIT(".inf"),
    S_INIT("-.INF"),
    S_INIT(".nan"),
    S_INIT("12:30"),
    S_INIT("2026-01-01"),
    S_INIT("10Gi"),
    S_INIT("-"),
    S_INIT("--"),
    S_INIT("---"),
    S_INIT("--- a"),
    S_INIT("..."),
    S_INIT("- a"),
    S_INIT("-a"),
    S_INIT("? a"),
    S_INIT("?a"),
    S_INIT(": a"),
    S_INIT(":a"),
    S_INIT("a:"),
    S_INIT("a: b"),
    S_INIT("a:b"),
    S_INIT("a #b"),
    S_INIT("a# b"),
    S_INIT("#a"),
    S_INIT("[a"),
    S_INIT("a]"),
    S_INIT("{a"),
    S_INIT("a}"),
    S_INIT("a,b"),
    S_INIT(",a"),
    S_INIT("&a"),
    S_INIT("*a"),
    S_INIT("!a"),
    S_INIT("|"),
    S_INIT(">"),
    S_INIT("%a"),
    S_INIT("@a"),
    S_INIT("`a"),
    S_INIT("'a'"),
    S_INIT("\"a\""),
    S_INIT("a'b"),
    S_INIT("a\"b"),
    S_INIT("a\\b"),
    S_INIT("<<"),
    S_INIT("="),
    S_INIT(" a"),
    S_INIT("a "),
    S_INIT("\ta"),
    S_INIT("a\t"),
    S_INIT("a\tb"),
    S_INIT("\n"),
    S_INIT("\n\n"),
    S_INIT("a\n"),
    S_INIT("a\n\n"),
    S_INIT("a\n\n\n"),
    S_INIT("\na"),
    S_INIT("a\nb"),
    S_INIT("a\nb\n"),
    S_INIT("a\n\nb"),
    S_INIT("a\n b"),
    S_INIT(" a\nb"),
    S_INIT("a \nb"),
    S_INIT("a\n \nb"),
    S_INIT("a\nb "),
    S_INIT("a\n#b"),
    S_INIT("#a\nb"),
    S_INIT("a\n---\nb"),
    S_INIT("---\na"),
    S_INIT("a: 1\nb: 2\n"),
    S_INIT("a\r\nb"),
    S_INIT("\r"),
    S_INIT("a\n\tb"),
    S_INIT("a\nb\x01"),
    S_INIT("\0"),
    S_INIT("a\0b"),
    S_INIT("\x01\x7F\x1B"),
    S_INIT("\xC2\x85"),
    S_INIT("a\xC2\x85"
           "b"),
    S_INIT("\xC2\x80"),
    S_INIT("\xC2\xA0"),
    S_INIT("\xE2\x80\xA8"),
    S_INIT("\xE2\x80\xA9\n"),
    S_INIT("\xEF\xBB\xBF"),
    S_INIT("\xEF\xBF\xBE"),
    S_INIT("\xEF\xBF\xBF"),
    S_INIT("\xEF\xBF\xBD"),
    S_INIT("\xF0\x9F\x98\x80"),
    S_INIT("\xF4\x8F\xBF\xBF"),
    S_INIT("\xC3\xA4\nb"),
    S_INIT("\xED\x9F\xBF\xEE\x80\x80"),
    S_INIT("$(HOME)"),
    S_INIT("/a/b"),
    S_INIT("a=b"),
    S_INIT("(a)"),
    S_INIT("\\"),
    S_INIT("a\\"),
};

Test(json_yaml, every_text_reads_back_as_itself_in_every_place)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        ARENA_AUTO(a);
        const struct json *v = json_string(a, texts[i]);
        struct json_member pair[] = { { texts[i], v }, { S("other"), json_int(a, 1) } };
        const struct json *object = json_object(a, pair, 2);
        expect_round_trip(a, v);
        expect_round_trip(a, object);
        expect_round_trip(a, JSON_ARRAY_OF(a, v, object, v));
        expect_round_trip(a, JSON_OBJECT_OF(a, JSON_MEMBER("k", JSON_ARRAY_OF(a, JSON_ARRAY_OF(a, v, object), v)),
                                            JSON_MEMBER("o", object), JSON_MEMBER("s", v)));
    }
}

Test(json_yaml, every_short_text_of_special_characters_reads_back)
{
    static const char alphabet[] = "-:?#,[]{}&*!|>'\"%@`\\ \n\ta1.~=+_";
    enum { COUNT = sizeof(alphabet) - 1 };
    for (int x = 0; x < COUNT; x++) {
        ARENA_AUTO(a);
        struct json_builder b;
        json_builder_init(&b, a);
        for (int y = 0; y < COUNT; y++)
            for (int z = 0; z < COUNT; z++) {
                char text[3] = { alphabet[x], alphabet[y], alphabet[z] };
                str s = arena_str(a, str_of(text, sizeof(text)));
                json_builder_add(&b, s, json_string(a, s));
            }
        const struct json *object = json_builder_object(&b);
        cr_assert_eq(object->count, COUNT * COUNT);
        expect_round_trip(a, object);
        expect_round_trip(a, json_builder_array(&b));
    }
}

Test(json_yaml, numbers_and_long_keys_read_back)
{
    ARENA_AUTO(a);
    expect_round_trip(
        a, must_parse(a, "[0,-0,1,-1,1.0,0.5,1e3,1E-3,-1.5e+10,1e400,123456789012345678901234567890,0.1e0]"));
    for (size_t len = 990; len < 1100; len++) {
        char *text = arena_alloc(a, len);
        memset(text, 'k', len);
        str key = { text, len };
        struct json_member inner[] = { { key, JSON_ARRAY_OF(a, json_string(a, key), json_bool(true)) },
                                       { S("z"), json_int(a, 1) } };
        const struct json *object = json_object(a, inner, 2);
        struct json_member outer[] = { { key, object }, { S("list"), JSON_ARRAY_OF(a, object, json_int(a, 2)) } };
        expect_round_trip(a, json_object(a, outer, 2));
    }
}
