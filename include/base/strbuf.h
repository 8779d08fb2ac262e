/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing text with a stated maximum. The maximum is set when it is made, so that input never decides
 * how much is allocated. Appending beyond it sets `is_full` and drops the bytes: the writer goes on
 * without a check per call, and looks once at the end (strbuf_check).
 *
 * The content is NUL-terminated at all times (the NUL is not counted). One thread at a time.
 */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/str.h"

struct arena;

struct strbuf {
    char *ptr;
    size_t len;
    size_t cap;
    size_t max;
    bool is_full;
};

/* Nothing is allocated until the first byte. */
void strbuf_init(struct strbuf *b, size_t max);
#define STRBUF_INIT(maximum)                                                                                           \
    {                                                                                                                  \
        .max = (maximum)                                                                                               \
    }
void strbuf_release(struct strbuf *b);
#define STRBUF_AUTO CLEANUP(strbuf_release) struct strbuf

/* Keeps the memory, forgets the content and the fullness. */
void strbuf_reset(struct strbuf *b);

void strbuf_add(struct strbuf *b, str s);
void strbuf_add_char(struct strbuf *b, char c);
void strbuf_addf(struct strbuf *b, const char *fmt, ...) PRINTF(2, 3);
void strbuf_vaddf(struct strbuf *b, const char *fmt, va_list args) PRINTF(2, 0);
/* Room for n more bytes at the end, or NULL when that passes the maximum; strbuf_grow commits them. */
char *strbuf_reserve(struct strbuf *b, size_t n);
void strbuf_grow(struct strbuf *b, size_t n);

static inline str strbuf_str(const struct strbuf *b)
{
    return (str) { b->ptr ? b->ptr : "", b->len };
}

/* ERRC_TOO_LARGE when anything was dropped. */
int strbuf_check(const struct strbuf *b, struct error *err) MUST_USE;

/* A copy that lives in the arena. */
str strbuf_to_arena(const struct strbuf *b, struct arena *a);

#endif
