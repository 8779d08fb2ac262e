/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this module say often. */
#ifndef TEST_UNIT_META_META_TEST_H
#define TEST_UNIT_META_META_TEST_H

#include <criterion/criterion.h>

#include "json/json_parse.h"
#include "json/json_write.h"

#define ARENA_AUTO(name) CLEANUP(arena_freep) struct arena *name = arena_new()

static inline const struct json *must_parse(struct arena *a, const char *text)
{
    const struct json *v = NULL;
    cr_assert_eq(json_parse(a, str_from(text), NULL, &v, NULL), 0, "%s", text);
    return v;
}

static inline void assert_text(struct arena *a, const struct json *v, const char *expected)
{
    str text = json_text(a, v);
    cr_assert(str_eq_z(text, expected), "got %.*s, not %s", STR_ARG(text), expected);
}

static inline void expect_str(str s, const char *expected)
{
    cr_expect(str_eq_z(s, expected), "got '%.*s', not '%s'", STR_ARG(s), expected);
}

#endif
