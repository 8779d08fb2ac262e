/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing Go durations with integers only, so that nothing is rounded. */
#include "base/duration.h"

#include <stdio.h>

#include "base/attr.h"
#include "base/clock.h"

static const struct unit {
    str name;
    uint64_t ns;
} units[] = {
    { S_INIT("ns"), 1 },
    { S_INIT("us"), 1000 },
    { S_INIT("\xc2\xb5s"), 1000 }, /* U+00B5, micro sign */
    { S_INIT("\xce\xbcs"), 1000 }, /* U+03BC, Greek mu */
    { S_INIT("ms"), 1000000 },
    { S_INIT("s"), 1000000000 },
    { S_INIT("m"), UINT64_C(60) * 1000000000 },
    { S_INIT("h"), UINT64_C(3600) * 1000000000 },
};

static str take_while(str *s, bool is_digit)
{
    size_t n = 0;
    while (n < s->len && (s->ptr[n] >= '0' && s->ptr[n] <= '9') == is_digit && (is_digit || s->ptr[n] != '.'))
        n++;
    str taken = str_first(*s, n);
    *s = str_from_offset(*s, n);
    return taken;
}

static uint64_t unit_ns(str name)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (str_eq(units[i].name, name))
            return units[i].ns;
    }
    return 0;
}

/* 0.<digits> of a unit. */
static uint64_t fraction_ns(str digits, uint64_t unit)
{
    /* 10^18 is the finest that fits, and finer than a nanosecond of any unit. */
    uint64_t numerator = 0;
    uint64_t denominator = 1;
    for (size_t i = 0; i < digits.len && i < 18; i++) {
        numerator = numerator * 10 + (uint64_t)(digits.ptr[i] - '0');
        denominator *= 10;
    }
    return (uint64_t)((unsigned __int128)numerator * unit / denominator);
}

/* One number with its unit from the start of *s. */
static bool take_part(str *s, uint64_t *ret_ns)
{
    uint64_t whole = 0;
    str digits = take_while(s, true);
    str fraction = { NULL, 0 };
    if (str_has_prefix(*s, S("."))) {
        *s = str_from_offset(*s, 1);
        fraction = take_while(s, true);
    }
    uint64_t unit = unit_ns(take_while(s, false));
    if (unit == 0 || digits.len + fraction.len == 0 || (digits.len && !str_to_u64(digits, &whole)))
        return false;
    return !__builtin_mul_overflow(whole, unit, &whole) &&
           !__builtin_add_overflow(whole, fraction_ns(fraction, unit), ret_ns);
}

bool duration_parse(str s, int64_t *ret_ns)
{
    bool is_negative = str_has_prefix(s, S("-"));
    if (is_negative || str_has_prefix(s, S("+")))
        s = str_from_offset(s, 1);
    uint64_t total = 0;
    bool is_zero = str_eq(s, S("0"));
    if (s.len == 0)
        return false;
    while (!is_zero && s.len > 0) {
        uint64_t part;
        if (!take_part(&s, &part) || __builtin_add_overflow(total, part, &total))
            return false;
    }
    if (total > (uint64_t)INT64_MAX + is_negative)
        return false;
    *ret_ns = (int64_t)(is_negative ? 0 - total : total);
    return true;
}

/* value/unit with as much of the fraction as is needed, and the unit's name. Gives the length. */
static size_t print_part(char *to, size_t size, uint64_t value, uint64_t unit, const char *name)
{
    char fraction[] = ".000000000";
    size_t len = 1;
    uint64_t rest = value % unit;
    for (uint64_t digit = unit / 10; rest > 0; digit /= 10) {
        fraction[len++] = (char)('0' + rest / digit);
        rest %= digit;
    }
    fraction[len > 1 ? len : 0] = '\0';
    return (size_t)snprintf(to, size, "%llu%s%s", (unsigned long long)(value / unit), fraction, name);
}

str duration_format(int64_t ns, char ret_text[DURATION_TEXT_MAX])
{
    uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    size_t len = 0;
    if (ns < 0)
        ret_text[len++] = '-';
    /* Below a second the unit is the largest that gives a whole part. */
    if (left > 0 && left < (uint64_t)NS_PER_S) {
        const char *name = left < 1000 ? "ns" : left < 1000000 ? "\xc2\xb5s" : "ms";
        uint64_t unit = left < 1000 ? 1 : left < 1000000 ? 1000 : 1000000;
        len += print_part(ret_text + len, DURATION_TEXT_MAX - len, left, unit, name);
        return str_of(ret_text, len);
    }
    uint64_t minutes = left / UINT64_C(60000000000);
    if (minutes >= 60)
        len += (size_t)snprintf(ret_text + len, DURATION_TEXT_MAX - len, "%lluh", (unsigned long long)(minutes / 60));
    if (minutes > 0)
        len += (size_t)snprintf(ret_text + len, DURATION_TEXT_MAX - len, "%llum", (unsigned long long)(minutes % 60));
    len += print_part(ret_text + len, DURATION_TEXT_MAX - len, left % UINT64_C(60000000000), (uint64_t)NS_PER_S, "s");
    return str_of(ret_text, len);
}
