/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What h2o's http2_internal.h needs of the hash table of klib, which Debian's package of h2o does not bring along: how
 * it lies in memory, and a look-up that walks over the at most 256 buckets of a connection. Reading only.
 */
#ifndef HTTP_KHASH_H
#define HTTP_KHASH_H

#include <stdint.h>

#define khiter_t uint32_t
#define khash_t(name) struct kh_##name
#define kh_get(name, table, key) kh_get_##name(table, key)
#define kh_end(table) ((table)->bucket_count)
#define kh_val(table, i) ((table)->values[i])

/* Two bits of each bucket say that it is empty or was deleted. */
#define KHASH_MAP_INIT_INT64(name, type)                                                                               \
    struct kh_##name {                                                                                                 \
        uint32_t bucket_count, size, occupied, upper_bound;                                                            \
        uint32_t *flags;                                                                                               \
        uint64_t *keys;                                                                                                \
        type *values;                                                                                                  \
    };                                                                                                                 \
    static inline uint32_t kh_get_##name(const struct kh_##name *table, uint64_t key)                                  \
    {                                                                                                                  \
        uint32_t i = 0;                                                                                                \
        while (i < table->bucket_count && ((table->flags[i / 16] >> (i % 16 * 2) & 3) != 0 || table->keys[i] != key))  \
            i++;                                                                                                       \
        return i;                                                                                                      \
    }

#endif
