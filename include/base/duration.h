/* SPDX-License-Identifier: Apache-2.0 */
/* Durations in the text form of Go's time.Duration, which kubectl and Kubernetes flags use: "1m30s", "1.5h", "300ms".
 */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/*
 * Nanoseconds of the whole of s: an optional sign, then numbers, each with an optional fraction and a unit
 * of ns, us, µs, ms, s, m, h; or "0" alone. False when it is none of that or beyond int64_t (292 years).
 * Digits of a fraction below a nanosecond are dropped.
 */
bool duration_parse(str s, int64_t *ret_ns);

#define DURATION_TEXT_MAX 32

/* As Go prints it: "1m30s", "1.5s", "250ms", "2h0m0s", "0s". The result lies in ret_text. */
str duration_format(int64_t ns, char ret_text[DURATION_TEXT_MAX]);

#endif
