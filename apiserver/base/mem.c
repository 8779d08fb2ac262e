/* SPDX-License-Identifier: Apache-2.0 */
/* The checked heap: the only place, besides the arena's chunks and blobs built on it, that asks libc for memory. */
#include "base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static NORETURN void out_of_memory(void)
{
    /* No log line: building one might allocate. */
    (void)fputs("out of memory\n", stderr);
    abort();
}

void *mem_alloc(size_t size)
{
    return mem_alloc_array(size, 1);
}

void *mem_alloc_array(size_t size, size_t n)
{
    size_t total;
    void *p = __builtin_mul_overflow(size, n, &total) ? NULL : calloc(1, total ? total : 1);
    if (!p)
        out_of_memory();
    return p;
}

void *mem_realloc(void *p, size_t size)
{
    void *q = realloc(p, size ? size : 1);
    if (!q)
        out_of_memory();
    return q;
}

char *mem_strdup(const char *z)
{
    if (!z)
        return NULL;
    size_t size = strlen(z) + 1;
    return memcpy(mem_realloc(NULL, size), z, size);
}

void mem_free(void *p)
{
    free(p);
}

void mem_keep_freed(int bytes)
{
    /* Only tuning: a C library that does not know it is merely slower. */
    (void)mallopt(M_MMAP_THRESHOLD, bytes);
    (void)mallopt(M_TRIM_THRESHOLD, bytes);
}
