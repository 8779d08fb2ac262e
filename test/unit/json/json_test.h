/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this module say often: reading a value, and comparing a value with a text. */
#ifndef TEST_UNIT_JSON_JSON_TEST_H
#define TEST_UNIT_JSON_JSON_TEST_H

#include <criterion/criterion.h>

#include "json/json_parse.h"
#include "json/json_write.h"

#define ARENA_AUTO(name) CLEANUP(arena_freep) struct arena *name = arena_new()

/* The value of a text that must be fine. */
static inline const struct json *must_parse(struct arena *a, const char *text)
{
    const struct json *v = NULL;
    struct error err;
    error_clear(&err);
    int rc = json_parse(a, str_from(text), NULL, &v, &err);
    cr_assert_eq(rc, 0, "%s: %s", text, err.text);
    return v;
}

static inline void assert_text(struct arena *a, const struct json *v, const char *expected)
{
    str text = json_text(a, v);
    cr_assert(str_eq_z(text, expected), "got %.*s, not %s", STR_ARG(text), expected);
}

#endif
