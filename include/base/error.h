/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a call failed. Functions that can fail return 0 or a negative `enum err` and take a
 * `struct error *` as their last parameter (NULL when the text is of no use). The struct lives on the
 * caller's stack and owns nothing, so there is nothing to release.
 *
 * The codes are the vocabulary of storage and API, not errno: they say what a caller can do about it.
 * Texts are lower case, without a full stop, name and quoted value first. Libraries return errors and
 * do not log them.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/attr.h"

enum err {
    ERRC_OK = 0,
    ERRC_NOT_FOUND = -1,
    ERRC_EXISTS = -2,
    ERRC_CONFLICT = -3,    /* the compare of a compare-and-swap failed */
    ERRC_INVALID = -4,     /* the input is wrong; trying again will not help */
    ERRC_TOO_OLD = -5,     /* that revision was compacted away */
    ERRC_TIMEOUT = -6,     /* a deadline passed */
    ERRC_UNAVAILABLE = -7, /* may work later: disk full, server gone, queue full */
    ERRC_DENIED = -8,
    ERRC_TOO_LARGE = -9, /* a limit of base/limits.h */
    ERRC_INTERNAL = -10,
    ERRC_CANCELLED = -11,   /* the caller is gone */
    ERRC_UNSUPPORTED = -12, /* known, but not offered */
};

#define ERROR_TEXT_MAX 480

struct error {
    enum err code;
    int sys; /* errno behind it, or 0 */
    char text[ERROR_TEXT_MAX];
};

/* Fills *err (when not NULL) and gives the code back: `return error_set(err, ERRC_INVALID, "…", …);` */
int error_set(struct error *err, enum err code, const char *fmt, ...) PRINTF(3, 4);

/* The same for a failed system call: the code follows from sys, ": <strerror>" is added to the text. */
int error_set_sys(struct error *err, int sys, const char *fmt, ...) PRINTF(3, 4);

/* Puts "<context>: " before the text; code (a result of a failed call) comes back unchanged. */
int error_wrap(struct error *err, int code, const char *fmt, ...) PRINTF(3, 4);

void error_clear(struct error *err);

/* "not found", "conflict" … for logs and metrics labels. */
const char *error_code_name(int code);

#endif
