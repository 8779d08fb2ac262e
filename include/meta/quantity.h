/* SPDX-License-Identifier: Apache-2.0 */
/* resource.Quantity: "10Gi", "500m", "1e3". */
#ifndef META_QUANTITY_H
#define META_QUANTITY_H

#include "base/arena.h"
#include "base/str.h"

/* The value rounded up to a whole number; false when malformed or beyond int64. */
bool quantity_to_int(str s, int64_t *ret_value);
bool quantity_is_valid(str s);
/* Bytes in a binary unit, rounded: "1.2 GiB". */
str quantity_for_people(struct arena *a, int64_t bytes);

#endif
