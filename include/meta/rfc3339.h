/* SPDX-License-Identifier: Apache-2.0 */
/* metav1.Time (seconds, UTC) and MicroTime (six digits). */
#ifndef META_RFC3339_H
#define META_RFC3339_H

#include "base/arena.h"
#include "base/str.h"

str rfc3339_seconds(struct arena *a, int64_t realtime_ns);
str rfc3339_micros(struct arena *a, int64_t realtime_ns);
/* Any RFC 3339 date-time; false when malformed. */
bool rfc3339_parse(str s, int64_t *ret_realtime_ns);
/* "5d", "3h12m" as kubectl prints ages (apimachinery duration.HumanDuration). */
str rfc3339_age(struct arena *a, int64_t ns);

#endif
