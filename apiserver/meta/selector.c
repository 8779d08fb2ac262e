/* SPDX-License-Identifier: Apache-2.0 */
/* Label selectors: k=v, k==v, k!=v, k in (a,b), k notin (a), k, !k, k>1, k<1, joined by commas; and matching. */
#include "meta/selector.h"

#include "base/limits.h"
#include "meta/names.h"

enum token {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_COMMA,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_NOT,
    TOKEN_EQUALS,
    TOKEN_DOUBLE_EQUALS,
    TOKEN_NOT_EQUALS,
    TOKEN_GREATER,
    TOKEN_LESS,
};

struct parser {
    struct arena *arena;
    str rest;
    enum token token;
    str text; /* of the token */
    struct selector_requirement *requirements;
    size_t count;
    struct error *err;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_special(char c)
{
    return c == '=' || c == '!' || c == '(' || c == ')' || c == ',' || c == '>' || c == '<';
}

static enum token token_of(str s, size_t *ret_len)
{
    bool has_equals = s.len > 1 && s.ptr[1] == '=';
    *ret_len = 1;
    switch (s.ptr[0]) {
    case ',': return TOKEN_COMMA;
    case '(': return TOKEN_OPEN;
    case ')': return TOKEN_CLOSE;
    case '>': return TOKEN_GREATER;
    case '<': return TOKEN_LESS;
    case '=': *ret_len += has_equals; return has_equals ? TOKEN_DOUBLE_EQUALS : TOKEN_EQUALS;
    case '!': *ret_len += has_equals; return has_equals ? TOKEN_NOT_EQUALS : TOKEN_NOT;
    default: break;
    }
    while (*ret_len < s.len && !is_space(s.ptr[*ret_len]) && !is_special(s.ptr[*ret_len]))
        ++*ret_len;
    return TOKEN_WORD;
}

static void next(struct parser *p)
{
    p->rest = str_trim(p->rest);
    size_t len = 0;
    p->token = p->rest.len ? token_of(p->rest, &len) : TOKEN_END;
    p->text = str_first(p->rest, len);
    p->rest = str_from_offset(p->rest, len);
}

static int expected(struct parser *p, const char *what)
{
    return error_set(p->err, ERRC_INVALID, "unable to parse requirement: found '%.*s', expected: %s", STR_ARG(p->text),
                     what);
}

static int take_key(struct parser *p, struct selector_requirement *r)
{
    if (p->token != TOKEN_WORD)
        return expected(p, "identifier");
    const char *why = names_check_qualified(p->text);
    if (why)
        return error_set(p->err, ERRC_INVALID, "unable to parse requirement: key: Invalid value: \"%.*s\": %s",
                         STR_ARG(p->text), why);
    r->key = arena_str(p->arena, p->text);
    next(p);
    return 0;
}

static int add_value(struct parser *p, struct selector_requirement *r, str value)
{
    const char *why = names_check_label_value(value);
    if (why)
        return error_set(p->err, ERRC_INVALID,
                         "unable to parse requirement: values[%zu][%.*s]: Invalid value: \"%.*s\": %s", r->value_count,
                         STR_ARG(r->key), STR_ARG(value), why);
    /* Grown at powers of two, whose first is 1. */
    str *values = (str *)(uintptr_t)r->values;
    if ((r->value_count & (r->value_count - 1)) == 0) {
        values = arena_array_of(p->arena, str, r->value_count ? r->value_count * 2 : 1);
        if (r->value_count)
            memcpy(values, r->values, r->value_count * sizeof(*values));
    }
    values[r->value_count++] = arena_str(p->arena, value);
    r->values = values;
    return 0;
}

/* (a,b): a missing value between two commas is the empty one. */
static int take_set(struct parser *p, struct selector_requirement *r)
{
    next(p);
    if (p->token != TOKEN_OPEN)
        return expected(p, "'('");
    next(p);
    if (p->token == TOKEN_CLOSE)
        return error_set(p->err, ERRC_INVALID,
                         "unable to parse requirement: for 'in', 'notin' operators, values set can't be empty");
    for (;;) {
        str value = S("");
        if (p->token == TOKEN_WORD) {
            value = p->text;
            next(p);
        }
        int rc = add_value(p, r, value);
        if (rc)
            return rc;
        if (p->token == TOKEN_CLOSE)
            break;
        if (p->token != TOKEN_COMMA)
            return expected(p, "',' or ')'");
        next(p);
    }
    next(p);
    return 0;
}

static int take_value(struct parser *p, struct selector_requirement *r)
{
    next(p);
    str value = S("");
    if (p->token == TOKEN_WORD) {
        value = p->text;
        next(p);
    } else if (p->token != TOKEN_END && p->token != TOKEN_COMMA) {
        return expected(p, "identifier");
    }
    int64_t number;
    if ((r->op == SELECTOR_GREATER || r->op == SELECTOR_LESS) && !str_to_i64(value, &number))
        return error_set(
            p->err, ERRC_INVALID,
            "unable to parse requirement: for '>', '<' operators, the value must be an integer, not \"%.*s\"",
            STR_ARG(value));
    return add_value(p, r, value);
}

static int take_condition(struct parser *p, struct selector_requirement *r)
{
    switch (p->token) {
    case TOKEN_END:
    case TOKEN_COMMA: r->op = SELECTOR_EXISTS; return 0;
    case TOKEN_EQUALS:
    case TOKEN_DOUBLE_EQUALS: r->op = SELECTOR_EQUALS; return take_value(p, r);
    case TOKEN_NOT_EQUALS: r->op = SELECTOR_NOT_EQUALS; return take_value(p, r);
    case TOKEN_GREATER: r->op = SELECTOR_GREATER; return take_value(p, r);
    case TOKEN_LESS: r->op = SELECTOR_LESS; return take_value(p, r);
    case TOKEN_WORD:
        if (str_eq_z(p->text, "in") || str_eq_z(p->text, "notin")) {
            r->op = p->text.len == 2 ? SELECTOR_IN : SELECTOR_NOT_IN;
            return take_set(p, r);
        }
        break;
    default: break;
    }
    return expected(p, "in, notin, =, ==, !=, >, <");
}

static int take_requirement(struct parser *p)
{
    struct selector_requirement *r = &p->requirements[p->count++];
    if (p->token != TOKEN_NOT) {
        int rc = take_key(p, r);
        return rc ? rc : take_condition(p, r);
    }
    r->op = SELECTOR_NOT_EXISTS;
    next(p);
    return take_key(p, r);
}

int selector_parse_labels(struct arena *a, str text, struct selector *ret, struct error *err)
{
    struct parser p = { .arena = a, .rest = text, .err = err };
    p.requirements = arena_array_of(a, struct selector_requirement, LIMIT_SELECTOR_REQUIREMENTS);
    *ret = (struct selector) { 0 };
    next(&p);
    if (p.token == TOKEN_END)
        return 0;
    for (;; next(&p)) {
        if (p.count == LIMIT_SELECTOR_REQUIREMENTS)
            return error_set(err, ERRC_INVALID, "selector has more than %d requirements", LIMIT_SELECTOR_REQUIREMENTS);
        if (p.token != TOKEN_WORD && p.token != TOKEN_NOT)
            return expected(&p, p.count ? "identifier after ','" : "!, identifier, or 'end of string'");
        int rc = take_requirement(&p);
        if (rc)
            return rc;
        if (p.token == TOKEN_END)
            break;
        if (p.token != TOKEN_COMMA)
            return expected(&p, "',' or 'end of string'");
    }
    *ret = (struct selector) { p.requirements, p.count };
    return 0;
}

static bool has_value(const struct selector_requirement *r, str value)
{
    for (size_t i = 0; i < r->value_count; i++)
        if (str_eq(r->values[i], value))
            return true;
    return false;
}

static bool compares(const struct selector_requirement *r, str value)
{
    int64_t mine, wanted;
    if (!str_to_i64(value, &mine) || r->value_count != 1 || !str_to_i64(r->values[0], &wanted))
        return false;
    return r->op == SELECTOR_GREATER ? mine > wanted : mine < wanted;
}

static bool holds(const struct selector_requirement *r, const struct label *label)
{
    switch (r->op) {
    case SELECTOR_EXISTS: return label;
    case SELECTOR_NOT_EXISTS: return !label;
    case SELECTOR_EQUALS:
    case SELECTOR_IN: return label && has_value(r, label->value);
    /* What lacks the label is not in the set. */
    case SELECTOR_NOT_EQUALS:
    case SELECTOR_NOT_IN: return !label || !has_value(r, label->value);
    case SELECTOR_GREATER:
    case SELECTOR_LESS: return label && compares(r, label->value);
    }
    return false;
}

bool selector_matches(const struct selector *s, const struct label *labels, size_t count)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct label *found = NULL;
        for (size_t j = 0; j < count && !found; j++)
            if (str_eq(labels[j].key, s->requirements[i].key))
                found = &labels[j];
        if (!holds(&s->requirements[i], found))
            return false;
    }
    return true;
}
