/* SPDX-License-Identifier: Apache-2.0 */
/* Asserts in the words of this project, on top of Criterion. For tests only. */
#ifndef HARNESS_CHECK_H
#define HARNESS_CHECK_H

#include <criterion/criterion.h>

#include "base/error.h"
#include "base/str.h"

/* The text of a str against a C string. */
#define CHECK_STR(got, wanted)                                                                                         \
    do {                                                                                                               \
        str got_ = (got);                                                                                              \
        str wanted_ = str_from(wanted);                                                                                \
        cr_assert(str_eq(got_, wanted_), "%s is \"%.*s\" instead of \"%.*s\"", #got, STR_ARG(got_), STR_ARG(wanted_)); \
    } while (0)

/* `struct error e; CHECK_OK(call(&e), e)` says why a call failed. */
#define CHECK_OK(call, e)                                                                                              \
    do {                                                                                                               \
        error_clear(&(e));                                                                                             \
        int result_ = (call);                                                                                          \
        cr_assert(result_ == 0, "%s failed: %s (%s)", #call, error_code_name(result_), (e).text);                      \
    } while (0)

#define CHECK_FAILS(call, wanted)                                                                                      \
    do {                                                                                                               \
        int result_ = (call);                                                                                          \
        cr_assert(result_ == (int)(wanted), "%s gives %s", #call, error_code_name(result_));                           \
    } while (0)

#define CHECK_HAS(text, part)                                                                                          \
    do {                                                                                                               \
        str text_ = (text);                                                                                            \
        cr_assert(str_find(text_, str_from(part)) >= 0, "\"%.*s\" does not contain \"%s\"", STR_ARG(text_), (part));   \
    } while (0)

#define CHECK_HAS_NOT(text, part)                                                                                      \
    do {                                                                                                               \
        str text_ = (text);                                                                                            \
        cr_assert(str_find(text_, str_from(part)) < 0, "\"%.*s\" contains \"%s\"", STR_ARG(text_), (part));            \
    } while (0)

#endif
