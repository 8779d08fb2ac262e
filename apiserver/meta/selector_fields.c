/* SPDX-License-Identifier: Apache-2.0 */
/* Field selectors: a=b, a==b, a!=b, joined by commas; a backslash keeps '\', ',' and '=' in a value. */
#include "base/limits.h"
#include "meta/selector.h"

/* The text up to the next comma that no backslash keeps. */
static str next_term(str *rest)
{
    size_t i = 0;
    for (; i < rest->len && rest->ptr[i] != ','; i++)
        if (rest->ptr[i] == '\\' && i + 1 < rest->len)
            i++;
    str term = str_first(*rest, i);
    *rest = str_from_offset(*rest, i + 1);
    return term;
}

static int unescape(struct arena *a, str escaped, str *ret, struct error *err)
{
    char *out = arena_alloc(a, escaped.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < escaped.len; i++) {
        char c = escaped.ptr[i];
        if (c == '=' || c == ',')
            return error_set(err, ERRC_INVALID, "invalid field selector: unescaped character in value: %c", c);
        if (c == '\\') {
            i++;
            c = i < escaped.len ? escaped.ptr[i] : '\0';
            if (c != '\\' && c != ',' && c != '=')
                return error_set(err, ERRC_INVALID, "invalid field selector: invalid escape sequence: \\%.*s",
                                 i < escaped.len ? 1 : 0, &c);
        }
        out[len++] = c;
    }
    *ret = str_of(out, len);
    return 0;
}

/* Where the operator stands, or term.len. */
static size_t find_operator(str term, enum selector_operator *ret_op, size_t *ret_len)
{
    for (size_t i = 0; i < term.len; i++) {
        str here = str_from_offset(term, i);
        *ret_op = here.ptr[0] == '!' ? SELECTOR_NOT_EQUALS : SELECTOR_EQUALS;
        *ret_len = str_has_prefix(here, S("!=")) || str_has_prefix(here, S("==")) ? 2 : 1;
        if (*ret_len == 2 || here.ptr[0] == '=')
            return i;
    }
    return term.len;
}

static int parse_term(struct arena *a, str term, struct selector_requirement *r, struct error *err)
{
    size_t len = 0;
    size_t at = find_operator(term, &r->op, &len);
    if (at == term.len)
        return error_set(err, ERRC_INVALID, "invalid selector: can't understand '%.*s'", STR_ARG(term));
    str *value = arena_new_of(a, str);
    r->key = arena_str(a, str_first(term, at));
    r->values = value;
    r->value_count = 1;
    return unescape(a, str_from_offset(term, at + len), value, err);
}

int selector_parse_fields(struct arena *a, str text, struct selector *ret, struct error *err)
{
    *ret = (struct selector) { 0 };
    struct selector_requirement *requirements = NULL;
    size_t count = 0;
    for (str rest = text; rest.len;) {
        str term = next_term(&rest);
        if (term.len == 0)
            continue;
        if (count == LIMIT_SELECTOR_REQUIREMENTS)
            return error_set(err, ERRC_INVALID, "selector has more than %d requirements", LIMIT_SELECTOR_REQUIREMENTS);
        if (!requirements)
            requirements = arena_array_of(a, struct selector_requirement, LIMIT_SELECTOR_REQUIREMENTS);
        int rc = parse_term(a, term, &requirements[count++], err);
        if (rc)
            return rc;
    }
    *ret = (struct selector) { requirements, count };
    return 0;
}
