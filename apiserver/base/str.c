/* SPDX-License-Identifier: Apache-2.0 */
/* Searching, cutting and reading views. Allocates nothing. */
#include "base/str.h"

#include <strings.h>

int str_cmp(str a, str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

static unsigned char lower(char c)
{
    /* ASCII only: tolower() depends on the locale. */
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool str_eq_nocase(str a, str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool str_has_prefix(str s, str prefix)
{
    return s.len >= prefix.len && str_eq(str_first(s, prefix.len), prefix);
}

bool str_has_suffix(str s, str suffix)
{
    return s.len >= suffix.len && str_eq(str_from_offset(s, s.len - suffix.len), suffix);
}

bool str_is_all_of(str s, str set)
{
    for (size_t i = 0; i < s.len; i++) {
        if (str_index(set, s.ptr[i]) < 0)
            return false;
    }
    return true;
}

static ptrdiff_t position(str s, const void *found)
{
    return found ? (const char *)found - s.ptr : -1;
}

ptrdiff_t str_index(str s, char c)
{
    return s.len ? position(s, memchr(s.ptr, c, s.len)) : -1;
}

ptrdiff_t str_rindex(str s, char c)
{
    return s.len ? position(s, memrchr(s.ptr, c, s.len)) : -1;
}

ptrdiff_t str_find(str s, str needle)
{
    if (needle.len == 0)
        return 0;
    return s.len ? position(s, memmem(s.ptr, s.len, needle.ptr, needle.len)) : -1;
}

str str_from_offset(str s, size_t offset)
{
    if (offset == 0)
        return s;
    if (offset > s.len)
        offset = s.len;
    return (str) { s.ptr ? s.ptr + offset : NULL, s.len - offset };
}

str str_first(str s, size_t len)
{
    return (str) { s.ptr, len < s.len ? len : s.len };
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

str str_trim(str s)
{
    while (s.len && is_space(s.ptr[0]))
        s = str_from_offset(s, 1);
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool str_cut(str s, char sep, str *ret_head, str *ret_tail)
{
    ptrdiff_t at = str_index(s, sep);
    if (at < 0) {
        *ret_head = s;
        *ret_tail = (str) { NULL, 0 };
        return false;
    }
    *ret_head = str_first(s, (size_t)at);
    *ret_tail = str_from_offset(s, (size_t)at + 1);
    return true;
}

bool str_next_field(str *rest, char sep, str *ret_field)
{
    /* Marks "one empty field is still to come", which an empty rest alone could not say. */
    static const char last_is_empty[1] = "";

    if (rest->len == 0 && rest->ptr != last_is_empty)
        return false;
    bool has_more = str_cut(*rest, sep, ret_field, rest);
    if (has_more && rest->len == 0)
        rest->ptr = last_is_empty;
    return true;
}

bool str_to_u64(str s, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value))
            return false;
    }
    *ret_value = value;
    return true;
}

bool str_to_i64(str s, int64_t *ret_value)
{
    bool is_negative = s.len && s.ptr[0] == '-';
    uint64_t magnitude;
    if (!str_to_u64(is_negative ? str_from_offset(s, 1) : s, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + is_negative)
        return false;
    /* Two's complement, without passing through -INT64_MIN. */
    *ret_value = (int64_t)(is_negative ? 0 - magnitude : magnitude);
    return true;
}

uint64_t str_hash(str s, uint64_t seed)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;
    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
    return hash;
}
