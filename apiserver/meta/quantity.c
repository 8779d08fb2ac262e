/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resource.Quantity: a signed decimal number and a suffix, which is a power of 1024 (Ki…Ei), a power of 1000
 * (n u m k M G T P E) or an exponent (e3, E-2).
 */
#include "meta/quantity.h"

#define KIB 1024

/* value = digits × 10^decimal × 2^binary */
struct quantity {
    bool is_negative;
    str digits; /* with at most one point among them */
    int decimal;
    int binary;
};

static const struct {
    const char *suffix;
    int decimal, binary;
} suffixes[] = {
    { "", 0, 0 },    { "Ki", 0, 10 }, { "Mi", 0, 20 }, { "Gi", 0, 30 }, { "Ti", 0, 40 }, { "Pi", 0, 50 },
    { "Ei", 0, 60 }, { "n", -9, 0 },  { "u", -6, 0 },  { "m", -3, 0 },  { "k", 3, 0 },   { "M", 6, 0 },
    { "G", 9, 0 },   { "T", 12, 0 },  { "P", 15, 0 },  { "E", 18, 0 },
};

static bool parse_suffix(str s, struct quantity *q)
{
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
        if (str_eq_z(s, suffixes[i].suffix)) {
            q->decimal = suffixes[i].decimal;
            q->binary = suffixes[i].binary;
            return true;
        }
    if (s.ptr[0] != 'e' && s.ptr[0] != 'E')
        return false;
    str exponent = str_from_offset(s, 1);
    if (str_has_prefix(exponent, S("+")))
        exponent = str_from_offset(exponent, 1);
    int64_t n;
    /* "e+-3" is no number either. */
    if ((exponent.len < s.len - 1 && str_has_prefix(exponent, S("-"))) || !str_to_i64(exponent, &n) || n < -1000 ||
        n > 1000)
        return false;
    q->decimal = (int)n;
    return true;
}

static bool parse(str s, struct quantity *q)
{
    *q = (struct quantity) { 0 };
    if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+')) {
        q->is_negative = s.ptr[0] == '-';
        s = str_from_offset(s, 1);
    }
    size_t len = 0, digits = 0, points = 0;
    for (; len < s.len; len++) {
        if (s.ptr[len] >= '0' && s.ptr[len] <= '9')
            digits++;
        else if (s.ptr[len] == '.' && points == 0)
            points++;
        else
            break;
    }
    q->digits = str_first(s, len);
    return digits > 0 && parse_suffix(str_from_offset(s, len), q);
}

bool quantity_is_valid(str s)
{
    struct quantity q;
    return parse(s, &q);
}

/* The digits as a number, with decimal lowered by what stands behind the point; zeros at the end are cut. */
static bool mantissa(struct quantity *q, unsigned __int128 *ret)
{
    unsigned __int128 n = 0;
    size_t len = q->digits.len;
    ptrdiff_t point = str_index(q->digits, '.');
    while (point >= 0 && len > (size_t)point && (q->digits.ptr[len - 1] == '0' || q->digits.ptr[len - 1] == '.'))
        len--;
    for (size_t i = 0; i < len; i++) {
        if (q->digits.ptr[i] == '.')
            continue;
        if (n > (unsigned __int128)1 << 100)
            return false;
        n = n * 10 + (unsigned)(q->digits.ptr[i] - '0');
        if (point >= 0 && i > (size_t)point)
            q->decimal--;
    }
    *ret = n;
    return true;
}

bool quantity_to_int(str s, int64_t *ret_value)
{
    struct quantity q;
    unsigned __int128 n;
    if (!parse(s, &q) || !mantissa(&q, &n))
        return false;
    const unsigned __int128 limit = (unsigned __int128)1 << 63;
    for (; n && q.binary > 0 && n < (unsigned __int128)1 << 126; q.binary--)
        n *= 2;
    for (; n && q.decimal > 0 && n <= limit; q.decimal--)
        n *= 10;
    bool has_rest = false;
    for (; n && q.decimal < 0; q.decimal++) {
        has_rest = has_rest || n % 10 != 0;
        n /= 10;
    }
    /* Away from zero, as Quantity.Value() rounds. */
    n += has_rest;
    if (n > limit - !q.is_negative || (n && (q.binary > 0 || q.decimal > 0)))
        return false;
    *ret_value = q.is_negative ? (int64_t)(0 - (uint64_t)n) : (int64_t)n;
    return true;
}

static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };

str quantity_for_people(struct arena *a, int64_t bytes)
{
    double n = (double)bytes;
    size_t unit = 0;
    /* 1023.96 KiB would print as 1024.0 KiB. */
    for (; (n >= KIB - 0.05 || n <= -KIB + 0.05) && unit + 1 < ARRAY_LEN(units); n /= KIB)
        unit++;
    if (unit == 0)
        return arena_printf(a, "%lld B", (long long)bytes);
    return arena_printf(a, "%.1f %sB", n, units[unit]);
}
