/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding of what stands in a URL; what it means is info.c's and query.c's. */
#include "request/url.h"

#include <math.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/utf8.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool needs_decoding(str s, bool plus_is_space)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '%' || (plus_is_space && s.ptr[i] == '+') || (unsigned char)s.ptr[i] >= 0x80 ||
            s.ptr[i] == '\0')
            return true;
    return false;
}

bool url_decode(struct arena *a, str s, bool plus_is_space, str *ret)
{
    *ret = s;
    if (!needs_decoding(s, plus_is_space))
        return true;
    char *out = arena_alloc(a, s.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            if (i + 2 >= s.len)
                return false;
            int high = hex_digit(s.ptr[i + 1]), low = hex_digit(s.ptr[i + 2]);
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0')
            return false;
        out[len++] = c;
    }
    *ret = str_of(out, len);
    return utf8_is_valid(*ret);
}

static bool take_unit(str *rest, double *ret_ns)
{
    static const struct {
        str text;
        double ns;
    } units[] = {
        { S_INIT("ns"), 1 },  { S_INIT("us"), 1e3 }, { S_INIT("\xc2\xb5s"), 1e3 }, { S_INIT("ms"), 1e6 },
        { S_INIT("s"), 1e9 }, { S_INIT("m"), 60e9 }, { S_INIT("h"), 3600e9 },
    };
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!str_has_prefix(*rest, units[i].text))
            continue;
        *rest = str_from_offset(*rest, units[i].text.len);
        *ret_ns = units[i].ns;
        return true;
    }
    return false;
}

static bool take_number(str *rest, double *ret)
{
    double value = 0, scale = 1;
    bool has_digit = false, has_point = false;
    size_t i = 0;
    for (; i < rest->len && i < 32; i++) {
        char c = rest->ptr[i];
        if (c == '.' && !has_point) {
            has_point = true;
        } else if (c >= '0' && c <= '9') {
            has_digit = true;
            value = value * 10 + (c - '0');
            scale *= has_point ? 10 : 1;
        } else {
            break;
        }
    }
    *rest = str_from_offset(*rest, i);
    *ret = value / scale;
    return has_digit;
}

bool url_parse_duration(str s, int64_t *ret_ns)
{
    *ret_ns = 0;
    if (str_eq(s, S("0")))
        return true;
    double total = 0;
    if (str_has_prefix(s, S("+")))
        s = str_from_offset(s, 1);
    if (str_is_empty(s))
        return false;
    while (!str_is_empty(s)) {
        double number, unit;
        if (!take_number(&s, &number) || !take_unit(&s, &unit))
            return false;
        total += number * unit;
    }
    if (!(total < 9e18))
        return false;
    *ret_ns = (int64_t)total;
    return true;
}
