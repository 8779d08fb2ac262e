/* SPDX-License-Identifier: Apache-2.0 */
/* The table of well-formed sequences (Unicode 15, table 3-7) as conditions on the first two bytes. */
#include "base/utf8.h"

size_t utf8_len(str s)
{
    if (s.len == 0)
        return 0;
    unsigned char first = (unsigned char)s.ptr[0];
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (s.len < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)s.ptr[i] & 0xc0) != 0x80)
            return 0;
    }
    unsigned char second = (unsigned char)s.ptr[1];
    bool is_wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                    (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
    return is_wrong ? 0 : len;
}

bool utf8_is_valid(str s)
{
    for (size_t n; s.len; s = str_from_offset(s, n)) {
        n = utf8_len(s);
        if (n == 0)
            return false;
    }
    return true;
}
