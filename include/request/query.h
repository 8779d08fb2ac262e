/* SPDX-License-Identifier: Apache-2.0 */
/* The query string as key-value pairs, with the value types of Kubernetes (queryparams, apimachinery conversion). */
#ifndef REQUEST_QUERY_H
#define REQUEST_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

struct query_param {
    str key, value; /* decoded */
};

struct query {
    const struct query_param *params;
    size_t count;
};

/* ERRC_INVALID with a text for the client. */
int query_parse(struct arena *a, str raw, struct query *ret, struct error *err) MUST_USE;
bool query_has(const struct query *q, str key);
/* The first value, or the empty view. */
str query_get(const struct query *q, str key);
/* Present and neither "0" nor "false" in any case; an empty value is true. */
bool query_bool(const struct query *q, str key);
/* *ret stays when absent or empty. ERRC_INVALID when not a decimal number of 64 bits. */
int query_int(const struct query *q, str key, int64_t *ret, struct error *err) MUST_USE;

#endif
