/* SPDX-License-Identifier: Apache-2.0 */
/* Checking UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* Bytes of the character at the start of s (1–4), or 0 when s is empty or starts with none. */
size_t utf8_len(str s);
bool utf8_is_valid(str s);

#endif
