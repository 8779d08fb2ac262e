/* SPDX-License-Identifier: Apache-2.0 */
/* The growing text. Once something was dropped everything after it is, so that the content is always a prefix. */
#include "base/strbuf.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/mem.h"

void strbuf_init(struct strbuf *b, size_t max)
{
    *b = (struct strbuf) { .max = max };
}

void strbuf_release(struct strbuf *b)
{
    mem_free(b->ptr);
    *b = (struct strbuf) { .max = b->max };
}

void strbuf_reset(struct strbuf *b)
{
    b->len = 0;
    b->is_full = false;
    if (b->ptr)
        b->ptr[0] = '\0';
}

char *strbuf_reserve(struct strbuf *b, size_t n)
{
    if (b->is_full || n > b->max - b->len) {
        b->is_full = true;
        return NULL;
    }
    size_t need = b->len + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap < need)
            cap = cap > SIZE_MAX / 2 ? need : cap * 2;
        if (cap - 1 > b->max)
            cap = b->max + 1;
        b->ptr = mem_realloc(b->ptr, cap);
        b->cap = cap;
        b->ptr[b->len] = '\0';
    }
    return b->ptr + b->len;
}

void strbuf_grow(struct strbuf *b, size_t n)
{
    if (n == 0)
        return;
    b->len += n;
    b->ptr[b->len] = '\0';
}

void strbuf_add(struct strbuf *b, str s)
{
    if (s.len == 0)
        return;
    char *to = strbuf_reserve(b, s.len);
    if (!to)
        return;
    memcpy(to, s.ptr, s.len);
    strbuf_grow(b, s.len);
}

void strbuf_add_char(struct strbuf *b, char c)
{
    strbuf_add(b, (str) { &c, 1 });
}

void strbuf_addf(struct strbuf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    strbuf_vaddf(b, fmt, args);
    va_end(args);
}

void strbuf_vaddf(struct strbuf *b, const char *fmt, va_list args)
{
    if (b->is_full)
        return;
    va_list again;
    va_copy(again, args);
    size_t room = b->cap - b->len;
    int wanted = vsnprintf(room ? b->ptr + b->len : NULL, room, fmt, args);
    if (wanted < 0) {
        b->is_full = true;
    } else if ((size_t)wanted < room && (size_t)wanted <= b->max - b->len) {
        b->len += (size_t)wanted;
    } else if (wanted > 0 && strbuf_reserve(b, (size_t)wanted)) {
        (void)vsnprintf(b->ptr + b->len, (size_t)wanted + 1, fmt, again);
        b->len += (size_t)wanted;
    }
    /* The first try may have left a part behind the end. */
    if (b->ptr)
        b->ptr[b->len] = '\0';
    va_end(again);
}

int strbuf_check(const struct strbuf *b, struct error *err)
{
    if (b->is_full)
        return error_set(err, ERRC_TOO_LARGE, "text is longer than %zu bytes", b->max);
    return 0;
}

str strbuf_to_arena(const struct strbuf *b, struct arena *a)
{
    return arena_str(a, strbuf_str(b));
}
