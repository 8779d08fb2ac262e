/* SPDX-License-Identifier: Apache-2.0 */
/* Short ways to schemas and values for the tests of this folder. */
#ifndef TEST_UNIT_SCHEMA_SCHEMA_TEST_H
#define TEST_UNIT_SCHEMA_SCHEMA_TEST_H

#include <criterion/criterion.h>

#include "base/arena.h"
#include "schema/schema.h"
#include "json/json_parse.h"
#include "json/json_write.h"

#define ARENA_AUTO(name) CLEANUP(arena_freep) struct arena *name = arena_new()

static inline const struct json *yaml(struct arena *a, const char *text)
{
    const struct json *v = NULL;
    struct error err = { .code = ERRC_OK };
    cr_assert_eq(json_parse_yaml(a, str_from(text), NULL, &v, &err), 0, "%s: %s", text, err.text);
    return v;
}

static inline struct schema *must_compile(struct arena *a, const char *text)
{
    struct schema *s = NULL;
    struct error err = { .code = ERRC_OK };
    cr_assert_eq(schema_compile(a, yaml(a, text), &s, &err), 0, "%s: %s", text, err.text);
    return s;
}

static inline void assert_json(struct arena *a, const struct json *v, const char *expected)
{
    str text = json_text(a, v);
    cr_assert(str_eq_z(text, expected), "got %.*s, expected %s", STR_ARG(text), expected);
}

/* "field: message; field: message" */
static inline str errors_text(const struct field_errors *errors)
{
    str out = S("");
    for (size_t i = 0; i < errors->count; i++)
        out = arena_printf(errors->arena, "%.*s%s%.*s: %.*s", STR_ARG(out), i ? "; " : "",
                           STR_ARG(errors->items[i].field), STR_ARG(errors->items[i].message));
    return out;
}

#endif
