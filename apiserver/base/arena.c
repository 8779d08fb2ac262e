/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks that are filled from the front. Chunks double from 4 KiB to 64 KiB; what is big gets a chunk of
 * its own behind the current one, so that the rest of that is not lost. Under AddressSanitizer free space
 * and a gap between allocations are poisoned, so that an overrun inside a chunk is seen.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define GAP 16u
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define GAP 0u
#endif

#define CHUNK_FIRST 4096u
#define CHUNK_MAX 65536u
#define ALIGN (alignof(max_align_t))

struct chunk {
    struct chunk *next;
    size_t size; /* of the whole chunk, this header included */
    size_t used;
    alignas(max_align_t) char data[];
};

struct release {
    struct release *next;
    void (*fn)(void *);
    void *p;
};

struct arena {
    struct chunk *current; /* head of the list */
    struct release *releases;
    size_t size;
    size_t next_size;
};

static struct chunk *chunk_new(size_t size)
{
    struct chunk *c = mem_realloc(NULL, size);
    c->next = NULL;
    c->size = size;
    c->used = sizeof(*c);
    ASAN_POISON_MEMORY_REGION(c->data, size - sizeof(*c));
    return c;
}

static void *chunk_take(struct chunk *c, size_t taken, size_t size)
{
    char *p = (char *)c + c->used;
    c->used += taken;
    ASAN_UNPOISON_MEMORY_REGION(p, size);
    return p;
}

struct arena *arena_new(void)
{
    struct arena *a = mem_new_of(struct arena);
    a->next_size = CHUNK_FIRST;
    return a;
}

static void run_releases(struct arena *a)
{
    for (struct release *r = a->releases; r; r = r->next)
        r->fn(r->p);
    a->releases = NULL;
}

static void free_chunks(struct chunk *first)
{
    for (struct chunk *c = first, *next; c; c = next) {
        next = c->next;
        ASAN_UNPOISON_MEMORY_REGION(c->data, c->size - sizeof(*c));
        mem_free(c);
    }
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    run_releases(a);
    free_chunks(a->current);
    mem_free(a);
}

void arena_clear(struct arena *a)
{
    run_releases(a);
    struct chunk *kept = NULL, **link = &a->current;
    while (*link && (*link)->size != CHUNK_FIRST)
        link = &(*link)->next;
    if (*link) {
        kept = *link;
        *link = kept->next;
    }
    free_chunks(a->current);
    *a = (struct arena) { .current = kept, .next_size = CHUNK_FIRST };
    if (!kept)
        return;
    kept->next = NULL;
    kept->used = sizeof(*kept);
    ASAN_POISON_MEMORY_REGION(kept->data, kept->size - sizeof(*kept));
    a->size = kept->size;
    a->next_size *= 2;
}

static struct chunk *add_chunk(struct arena *a, size_t taken)
{
    size_t wanted = sizeof(struct chunk) + taken;
    bool is_big = wanted > a->next_size / 2;
    struct chunk *c = chunk_new(is_big ? wanted : a->next_size);
    a->size += c->size;
    if (is_big && a->current) {
        c->next = a->current->next;
        a->current->next = c;
        return c;
    }
    c->next = a->current;
    a->current = c;
    if (!is_big && a->next_size < CHUNK_MAX)
        a->next_size *= 2;
    return c;
}

/* Not zeroed. */
static void *take(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        abort();
    size_t taken = ((size ? size : 1) + GAP + ALIGN - 1) & ~(ALIGN - 1);
    struct chunk *c = a->current;
    if (!c || c->size - c->used < taken)
        c = add_chunk(a, taken);
    return chunk_take(c, taken, size);
}

void *arena_alloc(struct arena *a, size_t size)
{
    return memset(take(a, size), 0, size);
}

void *arena_alloc_array(struct arena *a, size_t size, size_t n)
{
    size_t total;
    if (__builtin_mul_overflow(size, n, &total))
        abort();
    return arena_alloc(a, total);
}

str arena_str(struct arena *a, str s)
{
    char *copy = take(a, s.len + 1);
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return (str) { copy, s.len };
}

char *arena_z(struct arena *a, str s)
{
    char *copy = take(a, s.len + 1);
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    str s = arena_vprintf(a, fmt, args);
    va_end(args);
    return s;
}

/* Short texts are made only once. */
str arena_vprintf(struct arena *a, const char *fmt, va_list args)
{
    char small[256];
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(small, sizeof(small), fmt, args);
    if (len < 0)
        abort(); /* a text above 2 GiB, or a broken format */
    char *text = take(a, (size_t)len + 1);
    if ((size_t)len < sizeof(small))
        memcpy(text, small, (size_t)len + 1);
    else
        (void)vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return (str) { text, (size_t)len };
}

void arena_on_release(struct arena *a, void (*fn)(void *), void *p)
{
    struct release *r = arena_new_of(a, struct release);
    *r = (struct release) { .next = a->releases, .fn = fn, .p = p };
    a->releases = r;
}

size_t arena_size(const struct arena *a)
{
    return a->size;
}
