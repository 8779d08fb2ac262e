/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers are texts. Comparing and converting work on the decimal digits, so that nothing is lost on the way:
 * 9007199254740993 differs from 9007199254740992, and 1e2 is 100.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "json/internal.h"

/* Exponents beyond this are told apart by their text only. */
#define EXPONENT_MAX ((int64_t)1 << 40)

/* 0.d1d2d3… × 10^exponent, without zeros at either end; no digits: zero. */
struct decimal {
    bool is_negative;
    bool is_saturated;
    const char *first, *end; /* digits, perhaps with the point among them */
    int64_t exponent;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && is_digit(*p))
        p++;
    return p;
}

static int64_t read_exponent(const char *p, const char *end, bool *ret_saturated)
{
    bool is_negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    int64_t n = 0;
    for (; p < end && n < EXPONENT_MAX; p++)
        n = n * 10 + (*p - '0');
    *ret_saturated = n >= EXPONENT_MAX;
    return is_negative ? -n : n;
}

/* text is known to be a JSON number. */
static struct decimal decimal_of(str text)
{
    struct decimal d = { 0 };
    const char *p = text.ptr, *end = text.ptr + text.len;
    if (p < end && *p == '-') {
        d.is_negative = true;
        p++;
    }
    const char *digits = p;
    const char *point = skip_digits(p, end);
    const char *stop = point < end && *point == '.' ? skip_digits(point + 1, end) : point;
    if (stop < end)
        d.exponent = read_exponent(stop + 1, end, &d.is_saturated);
    while (digits < stop && (*digits == '0' || *digits == '.'))
        digits++;
    while (stop > digits && (stop[-1] == '0' || stop[-1] == '.'))
        stop--;
    if (digits == stop)
        return (struct decimal) { 0 };
    /* The point stands behind (point - digits) digits, or digits start that far behind it. */
    d.exponent += digits < point ? point - digits : point + 1 - digits;
    d.first = digits;
    d.end = stop;
    return d;
}

/* The next digit, or -1 at the end. */
static int next_digit(const char **p, const char *end)
{
    if (*p < end && **p == '.')
        ++*p;
    return *p < end ? *(*p)++ - '0' : -1;
}

bool json__numbers_equal(str x, str y)
{
    if (str_eq(x, y))
        return true;
    struct decimal a = decimal_of(x), b = decimal_of(y);
    if (a.is_negative != b.is_negative || a.is_saturated || b.is_saturated || a.exponent != b.exponent)
        return false;
    int da, db;
    do {
        da = next_digit(&a.first, a.end);
        db = next_digit(&b.first, b.end);
    } while (da == db && da >= 0);
    return da == db;
}

bool json_to_int(const struct json *v, int64_t *ret)
{
    if (!json_is(v, JSON_NUMBER))
        return false;
    struct decimal d = decimal_of(v->text);
    if (d.exponent < 0 || d.exponent > 19 || d.is_saturated)
        return false; /* zero has no exponent */
    int64_t n = 0;    /* counted downwards, because the negative range is the wider one */
    const char *p = d.first;
    for (int64_t i = 0; i < d.exponent; i++) {
        int digit = next_digit(&p, d.end);
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_sub_overflow(n, digit > 0 ? digit : 0, &n))
            return false;
    }
    if (next_digit(&p, d.end) >= 0 || (!d.is_negative && n == INT64_MIN))
        return false;
    *ret = d.is_negative ? n : -n;
    return true;
}

/* strtod wants a NUL; digits beyond what fits cannot change the rounding but in contrived ties. */
bool json_to_double(const struct json *v, double *ret)
{
    char buffer[128];
    int64_t whole;
    if (!json_is(v, JSON_NUMBER))
        return false;
    /* Most are: a double holds so many digits exactly. */
    if (v->text.len <= 15 && json_to_int(v, &whole) && (whole != 0 || v->text.ptr[0] != '-')) {
        *ret = (double)whole;
        return true;
    }
    if (v->text.len < sizeof(buffer)) {
        memcpy(buffer, v->text.ptr, v->text.len);
        buffer[v->text.len] = '\0';
    } else {
        struct decimal d = decimal_of(v->text);
        char digits[64];
        size_t count = 0;
        for (int digit; count < sizeof(digits) - 1 && (digit = next_digit(&d.first, d.end)) >= 0;)
            digits[count++] = (char)('0' + digit);
        digits[count] = '\0';
        if (d.is_saturated)
            d.exponent = d.exponent < 0 ? -EXPONENT_MAX : EXPONENT_MAX;
        (void)snprintf(buffer, sizeof(buffer), "%s0.%se%lld", d.is_negative ? "-" : "", count ? digits : "0",
                       (long long)d.exponent);
    }
    double n = strtod(buffer, NULL);
    if (!isfinite(n))
        return false;
    *ret = n;
    return true;
}

const struct json *json_int(struct arena *a, int64_t n)
{
    char buffer[24];
    char *p = buffer + sizeof(buffer);
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (n < 0)
        *--p = '-';
    return json_number_text(a, arena_str(a, str_of(p, (size_t)(buffer + sizeof(buffer) - p))));
}

const struct json *json_double(struct arena *a, double n)
{
    if (!isfinite(n))
        return &json_null_value;
    char buffer[40];
    int len = 0;
    for (int precision = 15; precision <= 17; precision++) {
        len = snprintf(buffer, sizeof(buffer), "%.*g", precision, n);
        if (strtod(buffer, NULL) == n)
            break;
    }
    return json_number_text(a, arena_str(a, str_of(buffer, (size_t)len)));
}

const struct json *json_number_text(struct arena *a, str text)
{
    struct json *v = arena_new_of(a, struct json);
    v->type = JSON_NUMBER;
    v->text = text;
    return v;
}
