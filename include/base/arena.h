/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that dies together: one arena per request, per reconcile pass, per batch of events. Anything
 * that allocates a result takes the arena as its first parameter. There is no single free.
 *
 * An arena belongs to one thread at a time. Running out of memory aborts the process, so sizes are
 * bounded at the edge (base/limits.h), never here.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/str.h"

struct arena;

struct arena *arena_new(void);
/* Runs the release functions in reverse order, then frees everything. NULL is allowed. */
void arena_free(struct arena *a);
DEFINE_CLEANUP(struct arena *, arena_free, arena_freep);

/* As good as new: as arena_free and arena_new, but a first chunk of the usual size stays for the next user. */
void arena_clear(struct arena *a);

/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((malloc, returns_nonnull));
#define arena_new_of(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define arena_array_of(a, type, n) ((type *)arena_alloc_array((a), sizeof(type), (n)))
/* Aborts on overflow of the product. */
void *arena_alloc_array(struct arena *a, size_t size, size_t n) __attribute__((malloc, returns_nonnull));

/* Copies, NUL-terminated behind the last byte (the NUL is not counted). */
str arena_str(struct arena *a, str s);
/* A C string of s for a library's door. An embedded NUL cuts it there. */
char *arena_z(struct arena *a, str s);
str arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
str arena_vprintf(struct arena *a, const char *fmt, va_list args) PRINTF(2, 0);

/* fn(p) runs in arena_free: for references and descriptors that live as long as the arena. */
void arena_on_release(struct arena *a, void (*fn)(void *), void *p);

/* Bytes obtained from the system so far. */
size_t arena_size(const struct arena *a);

#endif
