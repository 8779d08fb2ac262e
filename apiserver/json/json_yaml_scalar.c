/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What plain YAML 1.1 scalars mean, as goyaml v2 has it: yes, no, on, off, y and n are booleans, 0x1F, 0o17, 017
 * and 0b11 integers, underscores in numbers are skipped, times of day and dates stay texts.
 */
#include "base/strbuf.h"
#include "json/internal.h"

static const struct {
    const char *spellings[5];
    enum json_type type;
    bool boolean, is_refused;
} words[] = {
    { { "~", "null", "Null", "NULL" }, JSON_NULL, false, false },
    { { "true", "True", "TRUE" }, JSON_BOOL, true, false },
    { { "false", "False", "FALSE" }, JSON_BOOL, false, false },
    { { "y", "Y", "yes", "Yes", "YES" }, JSON_BOOL, true, false },
    { { "n", "N", "no", "No", "NO" }, JSON_BOOL, false, false },
    { { "on", "On", "ON" }, JSON_BOOL, true, false },
    { { "off", "Off", "OFF" }, JSON_BOOL, false, false },
    { { ".nan", ".NaN", ".NAN" }, JSON_STRING, false, true },
    { { ".inf", ".Inf", ".INF" }, JSON_STRING, false, true },
    { { "+.inf", "+.Inf", "+.INF" }, JSON_STRING, false, true },
    { { "-.inf", "-.Inf", "-.INF" }, JSON_STRING, false, true },
};

bool json__yaml_is_word(str s)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq_nocase(s, str_from(words[i].spellings[0])) || str_eq_nocase(s, str_from(words[i].spellings[2])))
            return true;
    return s.len == 0;
}

static bool find_word(str plain, struct json__scalar *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        for (size_t j = 0; j < ARRAY_LEN(words[i].spellings) && words[i].spellings[j]; j++)
            if (str_eq_z(plain, words[i].spellings[j])) {
                *ret = (struct json__scalar) {
                    .type = words[i].type, .boolean = words[i].boolean, .is_refused = words[i].is_refused, .text = plain
                };
                return true;
            }
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static str without_underscores(struct arena *a, str s)
{
    if (str_index(s, '_') < 0)
        return s;
    char *out = arena_alloc(a, s.len);
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != '_')
            out[len++] = s.ptr[i];
    return str_of(out, len);
}

static bool take_sign(str *s)
{
    bool is_negative = s->len && s->ptr[0] == '-';
    if (s->len && (s->ptr[0] == '-' || s->ptr[0] == '+'))
        *s = str_from_offset(*s, 1);
    return is_negative;
}

static unsigned base_of(str *digits)
{
    if (digits->len < 2 || digits->ptr[0] != '0')
        return 10;
    char c = (char)(digits->ptr[1] | 0x20);
    unsigned base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
    *digits = str_from_offset(*digits, base ? 2 : 1);
    return base ? base : 8;
}

/* Integers that are not written as JSON writes them: 0x1F, 0o17, 017, 0b11. */
static bool read_based(struct arena *a, str s, struct json__scalar *ret)
{
    bool is_negative = take_sign(&s);
    unsigned base = base_of(&s);
    if (base == 10 || s.len == 0)
        return false;
    uint64_t n = 0;
    bool is_too_big = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        unsigned digit = is_digit(c) ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
        if (digit >= base)
            return false;
        is_too_big = is_too_big || __builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, digit, &n);
    }
    *ret = (struct json__scalar) { .type = JSON_NUMBER, .is_refused = is_too_big };
    ret->text = arena_printf(a, "%s%llu", is_negative && n ? "-" : "", (unsigned long long)n);
    return true;
}

static str take_digits(str *s)
{
    size_t n = 0;
    while (n < s->len && is_digit(s->ptr[n]))
        n++;
    str digits = str_first(*s, n);
    *s = str_from_offset(*s, n);
    return digits;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? to JSON's spelling. */
static bool read_decimal(struct arena *a, str s, struct json__scalar *ret)
{
    bool is_negative = take_sign(&s);
    str whole = take_digits(&s), fraction = S(""), exponent = S("");
    bool has_point = s.len && s.ptr[0] == '.';
    if (has_point) {
        s = str_from_offset(s, 1);
        fraction = take_digits(&s);
    }
    if (whole.len + fraction.len == 0)
        return false;
    if (s.len && (s.ptr[0] | 0x20) == 'e') {
        exponent = s;
        s = str_from_offset(s, 1);
        (void)take_sign(&s);
        if (take_digits(&s).len == 0)
            return false;
    }
    if (s.len)
        return false;
    while (whole.len > 1 && whole.ptr[0] == '0')
        whole = str_from_offset(whole, 1);
    STRBUF_AUTO out = STRBUF_INIT(LIMIT_BODY_BYTES * 2);
    strbuf_add(&out, is_negative ? S("-") : S(""));
    strbuf_add(&out, whole.len ? whole : S("0"));
    strbuf_add(&out, fraction.len ? S(".") : S(""));
    strbuf_add(&out, fraction);
    strbuf_add(&out, exponent);
    *ret = (struct json__scalar) { .type = JSON_NUMBER, .text = strbuf_to_arena(&out, a) };
    return true;
}

struct json__scalar json__yaml_resolve(struct arena *a, str plain)
{
    struct json__scalar scalar;
    if (plain.len == 0)
        return (struct json__scalar) { .type = JSON_NULL };
    if (find_word(plain, &scalar))
        return scalar;
    char first = plain.ptr[0];
    if (is_digit(first) || first == '-' || first == '+') {
        str digits = without_underscores(a, plain);
        if (read_based(a, digits, &scalar) || read_decimal(a, digits, &scalar))
            return scalar;
    } else if (first == '.' && read_decimal(a, plain, &scalar)) {
        return scalar;
    }
    return (struct json__scalar) { .type = JSON_STRING, .text = plain };
}
