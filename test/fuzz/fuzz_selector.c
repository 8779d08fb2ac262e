/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short texts of URLs and objects: selectors of both kinds, names, quantities, times. A selector that was
 * understood, written out again, means the same; so does a time.
 */
#include <stdlib.h>

#include "base/strbuf.h"
#include "meta/names.h"
#include "meta/quantity.h"
#include "meta/rfc3339.h"
#include "meta/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

static void add_values(struct strbuf *out, const struct selector_requirement *r)
{
    for (size_t i = 0; i < r->value_count; i++) {
        strbuf_add(out, i ? S(",") : S(""));
        strbuf_add(out, r->values[i]);
    }
}

static void add_requirement(struct strbuf *out, const struct selector_requirement *r)
{
    static const char *const before[] = { "=", "!=", " in (", " notin (", "", "", ">", "<" };
    bool is_set = r->op == SELECTOR_IN || r->op == SELECTOR_NOT_IN;
    strbuf_addf(out, "%s%.*s%s", r->op == SELECTOR_NOT_EXISTS ? "!" : "", STR_ARG(r->key), before[r->op]);
    add_values(out, r);
    strbuf_add(out, is_set ? S(")") : S(""));
}

static void check_same(const struct selector *x, const struct selector *y)
{
    check(x->count == y->count);
    for (size_t i = 0; i < x->count; i++) {
        const struct selector_requirement *r = &x->requirements[i], *q = &y->requirements[i];
        check(r->op == q->op && str_eq(r->key, q->key) && r->value_count == q->value_count);
        for (size_t j = 0; j < r->value_count; j++)
            check(str_eq(r->values[j], q->values[j]));
    }
}

static void check_labels(struct arena *a, str text)
{
    struct selector s, again;
    struct error err;
    error_clear(&err);
    if (selector_parse_labels(a, text, &s, &err)) {
        check(err.text[0] != '\0');
        return;
    }
    STRBUF_AUTO out = STRBUF_INIT(1u << 20);
    for (size_t i = 0; i < s.count; i++) {
        strbuf_add(&out, i ? S(",") : S(""));
        add_requirement(&out, &s.requirements[i]);
        check(!names_check_qualified(s.requirements[i].key));
    }
    check(selector_parse_labels(a, strbuf_str(&out), &again, NULL) == 0);
    check_same(&s, &again);
    static const struct label labels[] = { { S_INIT("a"), S_INIT("b") }, { S_INIT("n"), S_INIT("7") } };
    check(selector_matches(&s, labels, 2) == selector_matches(&again, labels, 2));
}

static void check_fields(struct arena *a, str text)
{
    struct selector s, again;
    if (selector_parse_fields(a, text, &s, NULL))
        return;
    STRBUF_AUTO out = STRBUF_INIT(1u << 20);
    for (size_t i = 0; i < s.count; i++) {
        const struct selector_requirement *r = &s.requirements[i];
        strbuf_add(&out, i ? S(",") : S(""));
        strbuf_add(&out, r->key);
        strbuf_add(&out, r->op == SELECTOR_EQUALS ? S("=") : S("!="));
        for (size_t j = 0; j < r->values[0].len; j++) {
            char c = r->values[0].ptr[j];
            if (c == '\\' || c == ',' || c == '=')
                strbuf_add_char(&out, '\\');
            strbuf_add_char(&out, c);
        }
    }
    check(selector_parse_fields(a, strbuf_str(&out), &again, NULL) == 0);
    check_same(&s, &again);
}

static void check_values(struct arena *a, str text)
{
    int64_t n, again;
    if (rfc3339_parse(text, &n)) {
        n -= ((n % 1000) + 1000) % 1000;
        check(rfc3339_parse(rfc3339_micros(a, n), &again) && again == n);
    }
    if (quantity_to_int(text, &n))
        check(quantity_is_valid(text));
    if (!names_check_dns1035_label(text))
        check(!names_check_dns1123_label(text));
    if (!names_check_dns1123_label(text))
        check(!names_check_dns1123_subdomain(text) && !names_check_path_segment(text) &&
              !names_check_label_value(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str text = { (const char *)data, size };
    check_labels(a, text);
    check_fields(a, text);
    check_values(a, text);
    return 0;
}
