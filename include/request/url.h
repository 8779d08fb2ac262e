/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-decoding (RFC 3986) and the durations of query parameters. */
#ifndef REQUEST_URL_H
#define REQUEST_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* The decoded text, s itself when there is nothing to decode. False on a broken escape, NUL or invalid UTF-8. */
bool url_decode(struct arena *a, str s, bool plus_is_space, str *ret);

/* A duration as Go writes it ("1m30s", "500ms", "0"); false when malformed, negative or beyond int64. */
bool url_parse_duration(str s, int64_t *ret_ns);

#endif
