/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view of bytes that somebody else owns: pointer and length, passed by value, never assumed to be
 * NUL-terminated. Every text that crosses a function in this project is a `str` or a `struct strbuf`.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct str {
    const char *ptr;
    size_t len;
} str;

/* View of a string literal, and the same as a constant initialiser. */
#define S(literal) ((str) { "" literal, sizeof(literal) - 1 })
#define S_INIT(literal)                                                                                                \
    {                                                                                                                  \
        "" literal, sizeof(literal) - 1                                                                                \
    }

/* printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

/* View of a C string; NULL gives the empty view. */
static inline str str_from(const char *z)
{
    return (str) { z, z ? strlen(z) : 0 };
}

static inline str str_of(const char *ptr, size_t len)
{
    return (str) { ptr, len };
}

static inline bool str_eq(str a, str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_eq_z(str a, const char *z)
{
    return str_eq(a, str_from(z));
}

static inline bool str_is_empty(str s)
{
    return s.len == 0;
}

/* Bytewise order; a prefix sorts before what it is a prefix of. */
int str_cmp(str a, str b);
bool str_eq_nocase(str a, str b);
bool str_has_prefix(str s, str prefix);
bool str_has_suffix(str s, str suffix);
/* True when every byte of s is one of `set`. */
bool str_is_all_of(str s, str set);

/* Position of the first `c` / `needle`, or -1. */
ptrdiff_t str_index(str s, char c);
ptrdiff_t str_rindex(str s, char c);
ptrdiff_t str_find(str s, str needle);

/* Both clamp to the length of s. */
str str_from_offset(str s, size_t offset);
str str_first(str s, size_t len);
/* Without spaces, tabs, CR and LF at both ends. */
str str_trim(str s);

/*
 * Cuts s at the first `sep`: `*ret_head` gets what stands before it, `*ret_tail` what stands behind.
 * Without a separator head is s, tail is empty and false comes back.
 */
bool str_cut(str s, char sep, str *ret_head, str *ret_tail);

/*
 * Iterates over the fields of *rest: for (str rest = s, f; str_next_field(&rest, ',', &f);). Empty
 * fields are given too; an empty s has no fields.
 */
bool str_next_field(str *rest, char sep, str *ret_field);

/* The whole of s as a decimal number, no sign for u64, no spaces; false when it is not one or too big. */
bool str_to_u64(str s, uint64_t *ret_value);
bool str_to_i64(str s, int64_t *ret_value);

/* FNV-1a; for tables in memory, not for anything an attacker may choose without a seed. */
uint64_t str_hash(str s, uint64_t seed);

#endif
