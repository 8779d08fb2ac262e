/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table from text to pointer. Keys are copied; values are the caller's. The order of iteration is
 * that of insertion until something is removed. Seeded per process, so that a hostile choice of keys
 * cannot make it slow. One thread at a time.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct map;

struct map *map_new(void);
/* free_value may be NULL. */
void map_free(struct map *m, void (*free_value)(void *));

void *map_get(const struct map *m, str key);
/* Returns the value that stood there before, or NULL. value must not be NULL. */
void *map_put(struct map *m, str key, void *value);
/* Returns the removed value, or NULL. */
void *map_remove(struct map *m, str key);
size_t map_count(const struct map *m);

/* for (size_t i = 0; map_next(m, &i, &key, &value);) — the map must not change meanwhile. */
bool map_next(const struct map *m, size_t *i, str *ret_key, void **ret_value);

#endif
