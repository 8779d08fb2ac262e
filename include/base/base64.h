/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 4648: standard alphabet with padding, and base64url without. Strict when decoding. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>

#include "base/str.h"

struct arena;

str base64_encode(struct arena *a, str data);
/* False on any byte outside the alphabet, wrong padding or leftover bits. */
bool base64_decode(struct arena *a, str text, str *ret_data);
str base64url_encode(struct arena *a, str data);
bool base64url_decode(struct arena *a, str text, str *ret_data);

#endif
