/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heap for owned components: what one parent makes and frees. Results go into an arena, shared bytes
 * into a blob. Out of memory aborts, so no caller checks; sizes are bounded at the edge (base/limits.h).
 * Any thread.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "base/attr.h"

/* Zeroed, aligned for any type; size 0 gives a pointer that may only be freed. */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
/* The same for n elements; aborts on overflow of the product. */
void *mem_alloc_array(size_t size, size_t n) __attribute__((malloc, returns_nonnull));
#define mem_new_of(type) ((type *)mem_alloc(sizeof(type)))
#define mem_array_of(type, n) ((type *)mem_alloc_array(sizeof(type), (n)))

/* Keeps the content up to the smaller size; what is new is not zeroed. p may be NULL. */
void *mem_realloc(void *p, size_t size) __attribute__((returns_nonnull, warn_unused_result));
/* Freed memory up to so many bytes per heap stays with the process instead of going to the kernel and coming back page
 * by page. Once, before threads are started. */
void mem_keep_freed(int bytes);
/* A copy of z; NULL gives NULL. */
char *mem_strdup(const char *z);
/* NULL is allowed. */
void mem_free(void *p);

#endif
