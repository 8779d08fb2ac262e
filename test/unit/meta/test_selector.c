/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of both kinds of selectors, and what they match. */
#include "meta/selector.h"

#include "base/limits.h"
#include "base/strbuf.h"
#include "meta_test.h"

/* The requirement in one text: key, operator, values. */
static str describe(struct arena *a, const struct selector *s)
{
    static const char *const operators[] = { "=", "!=", " in ", " notin ", " exists", " absent", ">", "<" };
    STRBUF_AUTO out = STRBUF_INIT(100000);
    for (size_t i = 0; i < s->count; i++) {
        const struct selector_requirement *r = &s->requirements[i];
        strbuf_addf(&out, "%s%.*s%s", i ? "; " : "", STR_ARG(r->key), operators[r->op]);
        for (size_t j = 0; j < r->value_count; j++)
            strbuf_addf(&out, "%s%.*s", j ? "|" : "", STR_ARG(r->values[j]));
    }
    return strbuf_to_arena(&out, a);
}

Test(selector, label_texts_are_understood)
{
    static const struct {
        const char *text, *expected;
    } table[] = {
        { "", "" },
        { "  ", "" },
        { "a", "a exists" },
        { "!a", "a absent" },
        { " ! a ", "a absent" },
        { "a=b", "a=b" },
        { "a==b", "a=b" },
        { "a = b", "a=b" },
        { "a!=b", "a!=b" },
        { "a != b", "a!=b" },
        { "a=", "a=" },
        { "a=,b", "a=; b exists" },
        { "a!=,b!=", "a!=; b!=" },
        { "a in (b)", "a in b" },
        { "a in (b,c)", "a in b|c" },
        { "a in ( b , c )", "a in b|c" },
        { "a in (b,,c)", "a in b||c" },
        { "a in (,)", "a in |" },
        { "a in (,b)", "a in |b" },
        { "a in (in,notin)", "a in in|notin" },
        { "a notin (b,c,d)", "a notin b|c|d" },
        { "a in (b),!c,d!=e,f", "a in b; c absent; d!=e; f exists" },
        { "example.com/a_b.C-1=V.a-l_1", "example.com/a_b.C-1=V.a-l_1" },
        { "a=in", "a=in" },
        { "in=a", "in=a" },
        { "a>5", "a>5" },
        { "a < 5", "a<5" },
        { "a\tin\n(b)", "a in b" },
        { "a in(b)", "a in b" },
        { "a,a,a", "a exists; a exists; a exists" },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct selector s;
        struct error err;
        error_clear(&err);
        cr_expect_eq(selector_parse_labels(a, str_from(table[i].text), &s, &err), 0, "'%s': %s", table[i].text,
                     err.text);
        expect_str(describe(a, &s), table[i].expected);
    }
}

Test(selector, bad_label_texts_are_refused)
{
    static const char *const table[] = {
        ",",        "a,",         ",a",     "a,,b",      "=",          "=b",         "a=b=c",     "a b",
        "a in",     "a in b",     "a in (", "a in ()",   "a in (b",    "a in (b c)", "a in (b))", "a in ((b))",
        "!",        "!!a",        "!a=b",   "!a in (b)", "a notin ()", "a===b",      "a=(b)",     "(a)",
        "a>",       "a>x",        "a<1.5",  "a>1,b>",    "a>-1",       "-a",         "a-",        "/a",
        "a/",       "a/b/c",      "A.B/c",  "a=-b",      "a=b/c",      "a=b c",      "a in (-b)", "a@b",
        "\xC3\xA4", "a=\xC3\xA4", "a~b",    "a=b;c=d",   "a=b&c",      "a!b",        "a!",        "a in in (b)",
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct selector s;
        struct error err;
        error_clear(&err);
        cr_expect_eq(selector_parse_labels(a, str_from(table[i]), &s, &err), ERRC_INVALID, "'%s'", table[i]);
        cr_expect(err.text[0], "'%s'", table[i]);
    }
}

Test(selector, errors_say_what_was_expected)
{
    static const struct {
        const char *text, *expected;
    } table[] = {
        { "a,", "unable to parse requirement: found '', expected: identifier after ','" },
        { ",", "unable to parse requirement: found ',', expected: !, identifier, or 'end of string'" },
        { "a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, >, <" },
        { "a in b", "unable to parse requirement: found 'b', expected: '('" },
        { "a in ()", "unable to parse requirement: for 'in', 'notin' operators, values set can't be empty" },
        { "a=b=c", "unable to parse requirement: found '=', expected: ',' or 'end of string'" },
        { "!", "unable to parse requirement: found '', expected: identifier" },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct selector s;
        struct error err;
        cr_expect_eq(selector_parse_labels(a, str_from(table[i].text), &s, &err), ERRC_INVALID);
        cr_expect_str_eq(err.text, table[i].expected);
    }
}

Test(selector, label_selectors_match)
{
    static const struct label labels[] = {
        { S_INIT("app"), S_INIT("shop") },
        { S_INIT("empty"), S_INIT("") },
        { S_INIT("size"), S_INIT("10") },
    };
    static const struct {
        const char *text;
        bool expected;
    } table[] = {
        { "", true },
        { "app", true },
        { "!app", false },
        { "other", false },
        { "!other", true },
        { "app=shop", true },
        { "app=x", false },
        { "app!=shop", false },
        { "app!=x", true },
        { "other!=x", true },
        { "other=", false },
        { "empty=", true },
        { "empty!=", false },
        { "app in (x,shop)", true },
        { "app in (x,y)", false },
        { "other in (x)", false },
        { "app notin (x)", true },
        { "app notin (shop,x)", false },
        { "other notin (x)", true },
        { "app=shop,size=10", true },
        { "app=shop,size=11", false },
        { "size>9", true },
        { "size>10", false },
        { "size<11", true },
        { "app>1", false },
        { "other<1", false },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct selector s;
        cr_assert_eq(selector_parse_labels(a, str_from(table[i].text), &s, NULL), 0);
        cr_expect_eq(selector_matches(&s, labels, ARRAY_LEN(labels)), table[i].expected, "'%s'", table[i].text);
    }
}

Test(selector, field_texts_are_understood)
{
    static const struct {
        const char *text, *expected;
    } table[] = {
        { "", "" },
        { "metadata.name=x", "metadata.name=x" },
        { "metadata.name==x", "metadata.name=x" },
        { "a!=b", "a!=b" },
        { "a=b,c!=d", "a=b; c!=d" },
        { "a=b,,c=d,", "a=b; c=d" },
        { "a=", "a=" },
        { "a=b c", "a=b c" },
        { "a=x\\,y\\=z\\\\", "a=x,y=z\\" },
        { "a!=\\=", "a!==" },
        { "a=b!c", "a=b!c" },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct selector s;
        cr_expect_eq(selector_parse_fields(a, str_from(table[i].text), &s, NULL), 0, "'%s'", table[i].text);
        expect_str(describe(a, &s), table[i].expected);
    }
}

Test(selector, bad_field_texts_are_refused)
{
    static const char *const table[] = { "a", "a=b=c", "a=\\x", "a=b\\", "a in (b)", "a=b,c", "a===b", "!a" };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct selector s;
        struct error err;
        error_clear(&err);
        cr_expect_eq(selector_parse_fields(a, str_from(table[i]), &s, &err), ERRC_INVALID, "'%s'", table[i]);
        cr_expect(err.text[0]);
    }
}

Test(selector, the_number_of_requirements_has_a_limit)
{
    ARENA_AUTO(a);
    STRBUF_AUTO labels = STRBUF_INIT(10000), fields = STRBUF_INIT(10000);
    struct selector s;
    for (int i = 0; i < LIMIT_SELECTOR_REQUIREMENTS; i++) {
        strbuf_addf(&labels, "%sk%d", i ? "," : "", i);
        strbuf_addf(&fields, "%sk%d=1", i ? "," : "", i);
    }
    cr_assert_eq(selector_parse_labels(a, strbuf_str(&labels), &s, NULL), 0);
    cr_assert_eq(s.count, LIMIT_SELECTOR_REQUIREMENTS);
    cr_assert_eq(selector_parse_fields(a, strbuf_str(&fields), &s, NULL), 0);
    strbuf_add(&labels, S(",x"));
    strbuf_add(&fields, S(",x=1"));
    cr_assert_eq(selector_parse_labels(a, strbuf_str(&labels), &s, NULL), ERRC_INVALID);
    cr_assert_eq(selector_parse_fields(a, strbuf_str(&fields), &s, NULL), ERRC_INVALID);
}
