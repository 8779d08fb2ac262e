/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counted immutable bytes: what the store, the watch cache, watchers and responses share across threads
 * without copying. After blob_new_* nobody changes the bytes.
 */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/str.h"

struct blob {
    atomic_uint refs;
    size_t len;
    char bytes[]; /* NUL-terminated behind len */
};

/* A copy of s with one reference. */
struct blob *blob_new(str s);
/* Uninitialised, for the maker to fill before anybody else sees it. */
struct blob *blob_new_size(size_t len);
struct blob *blob_ref(struct blob *b);
/* NULL is allowed; returns NULL. */
struct blob *blob_unref(struct blob *b);
static inline void blob_unrefp(struct blob **b)
{
    (void)blob_unref(*b);
}

static inline str blob_str(const struct blob *b)
{
    return (str) { b->bytes, b->len };
}

#endif
