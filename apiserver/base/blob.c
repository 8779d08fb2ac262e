/* SPDX-License-Identifier: Apache-2.0 */
/* Counted bytes in one allocation. */
#include "base/blob.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

struct blob *blob_new_size(size_t len)
{
    if (len > SIZE_MAX - sizeof(struct blob) - 1)
        abort();
    struct blob *b = mem_realloc(NULL, sizeof(struct blob) + len + 1);
    atomic_init(&b->refs, 1);
    b->len = len;
    b->bytes[len] = '\0';
    return b;
}

struct blob *blob_new(str s)
{
    struct blob *b = blob_new_size(s.len);
    if (s.len)
        memcpy(b->bytes, s.ptr, s.len);
    return b;
}

struct blob *blob_ref(struct blob *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

struct blob *blob_unref(struct blob *b)
{
    /* Release: our reads come before the free. Acquire: whoever frees sees all of them done. */
    if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
        mem_free(b);
    return NULL;
}
