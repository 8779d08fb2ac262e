/* SPDX-License-Identifier: Apache-2.0 */
/* Where a whole document stops being UTF-8; most documents are ASCII, which goes by eight bytes at a time. */
#include "base/utf8.h"

#include "json/internal.h"

size_t json__utf8_valid_up_to(str s)
{
    size_t i = 0;
    while (i < s.len) {
        uint64_t word;
        if (s.len - i >= sizeof(word)) {
            memcpy(&word, s.ptr + i, sizeof(word));
            if (!(word & 0x8080808080808080u)) {
                i += sizeof(word);
                continue;
            }
        }
        size_t len = utf8_len(str_of(s.ptr + i, s.len - i));
        if (len == 0)
            return i;
        i += len;
    }
    return s.len;
}
