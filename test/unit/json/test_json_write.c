/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of compact and indented text, and what happens at the maximum of a buffer. */
#include "json/json_write.h"

#include "json_test.h"

Test(json_write, escapes_what_must_be_escaped)
{
    static const struct {
        str text;
        const char *expected;
    } table[] = {
        { S_INIT(""), "\"\"" },
        { S_INIT("plain"), "\"plain\"" },
        { S_INIT("a longer text without anything special"), "\"a longer text without anything special\"" },
        { S_INIT("\"\\/\b\f\n\r\t"), "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
        { S_INIT("\0\x01\x1F\x7F"), "\"\\u0000\\u0001\\u001f\x7F\"" },
        { S_INIT("eight ok\nand more eight ok\""), "\"eight ok\\nand more eight ok\\\"\"" },
        { S_INIT("\xC3\xA4\xF0\x9F\x98\x80 <&>"), "\"\xC3\xA4\xF0\x9F\x98\x80 <&>\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        STRBUF_AUTO out = STRBUF_INIT(1000);
        json_write_string(&out, table[i].text);
        cr_expect_str_eq(out.ptr, table[i].expected);
    }
}

Test(json_write, every_single_byte_is_written_right_at_every_offset)
{
    ARENA_AUTO(a);
    char bytes[17];
    for (int c = 0; c < 0x80; c++)
        for (size_t at = 0; at < sizeof(bytes); at++) {
            memset(bytes, 'x', sizeof(bytes));
            bytes[at] = (char)c;
            str text = json_text(a, json_string(a, str_of(bytes, sizeof(bytes))));
            const struct json *back = NULL;
            cr_assert_eq(json_parse(a, text, NULL, &back, NULL), 0, "%d at %zu: %.*s", c, at, STR_ARG(text));
            cr_assert(str_eq(back->text, str_of(bytes, sizeof(bytes))), "%d at %zu", c, at);
        }
}

Test(json_write, indents_by_two_spaces)
{
    ARENA_AUTO(a);
    STRBUF_AUTO out = STRBUF_INIT(1000);
    json_write_pretty(&out, must_parse(a, "{\"a\":[1,{\"b\":[]}],\"c\":{},\"d\":\"x\"}"));
    cr_assert_str_eq(out.ptr,
                     "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {},\n  \"d\": \"x\"\n}");
}

Test(json_write, appends_to_what_is_there)
{
    ARENA_AUTO(a);
    STRBUF_AUTO out = STRBUF_INIT(1000);
    strbuf_add(&out, S("data: "));
    json_write(&out, must_parse(a, "[1]"));
    strbuf_add(&out, S("\n"));
    json_write(&out, NULL);
    cr_assert_str_eq(out.ptr, "data: [1]\nnull");
}

Test(json_write, a_full_buffer_is_seen_once_at_the_end)
{
    ARENA_AUTO(a);
    const struct json *v = must_parse(a, "{\"a\":[1,2,3],\"b\":\"some text\\n with escapes\",\"c\":{\"d\":null}}");
    size_t len = json_text(a, v).len;
    for (size_t max = 0; max < len; max++) {
        STRBUF_AUTO out = STRBUF_INIT(max);
        json_write(&out, v);
        cr_assert(out.is_full && out.len <= max, "%zu", max);
        cr_assert_eq(strbuf_check(&out, NULL), ERRC_TOO_LARGE);
    }
    STRBUF_AUTO out = STRBUF_INIT(len);
    json_write(&out, v);
    cr_assert_eq(strbuf_check(&out, NULL), 0);
    cr_assert_eq(out.len, len);
}

Test(json_write, the_same_tree_gives_the_same_bytes)
{
    ARENA_AUTO(a);
    const char *text = "{\"z\":1,\"a\":{\"y\":[true,false,null],\"b\":\"x\"},\"m\":1.50}";
    const struct json *v = must_parse(a, text);
    assert_text(a, v, text);
    assert_text(a, json_copy(a, v), text);
}
