/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiler attributes with short names, and the cleanup idiom: a local that owns something says so in
 * its declaration, TAKE() hands it on.
 */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args), nonnull(fmt)))
#define UNUSED __attribute__((unused))
#define NORETURN __attribute__((noreturn))

/* `CLEANUP(fn) T x`: fn(&x) runs when x leaves its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Gives the pointer away and leaves NULL behind, so that its cleanup does nothing. */
#define TAKE(p)                                                                                                        \
    ({                                                                                                                 \
        __typeof__(p) taken_ = (p);                                                                                    \
        (p) = NULL;                                                                                                    \
        taken_;                                                                                                        \
    })

/* Defines `name`, a cleanup function for variables of `type` that are released by fn when not NULL. */
#define DEFINE_CLEANUP(type, fn, name)                                                                                 \
    static inline void name(type *p)                                                                                   \
    {                                                                                                                  \
        if (*p)                                                                                                        \
            fn(*p);                                                                                                    \
    }                                                                                                                  \
    struct name##_swallows_semicolon

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr) - __builtin_offsetof(type, member)))

#endif
