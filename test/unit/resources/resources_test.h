/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds as a server with PostgreSQL 15 has them, and short ways to objects. */
#ifndef TEST_UNIT_RESOURCES_RESOURCES_TEST_H
#define TEST_UNIT_RESOURCES_RESOURCES_TEST_H

#include <criterion/criterion.h>

#include "apiserver/resources.h"
#include "base/arena.h"
#include "json/json_parse.h"
#include "json/json_write.h"

#define ARENA_AUTO(name) CLEANUP(arena_freep) struct arena *name = arena_new()

static const int test_majors[] = { 14, 15 };
static const struct environment test_environment = { test_majors, 2 };

static inline const struct json *yaml(struct arena *a, const char *text)
{
    const struct json *v = NULL;
    struct error err = { .code = ERRC_OK };
    cr_assert_eq(json_parse_yaml(a, str_from(text), NULL, &v, &err), 0, "%s: %s", text, err.text);
    return v;
}

static inline struct resource_registry must_load(struct arena *a)
{
    struct resources_options options = { &test_environment, true };
    struct resource **list = NULL;
    size_t count = 0;
    struct error err = { .code = ERRC_OK };
    cr_assert_eq(resources_load(a, &options, &list, &count, &err), 0, "%s", err.text);
    return (struct resource_registry) { (const struct resource *const *)list, count };
}

static inline const struct resource *kind(struct arena *a, const char *plural)
{
    struct resource_registry reg = must_load(a);
    const struct resource *found = NULL;
    for (size_t i = 0; i < reg.count; i++)
        if (str_eq_z(reg.resources[i]->plural, plural))
            found = reg.resources[i];
    cr_assert_not_null(found, "%s", plural);
    return found;
}

static inline str errors_text(const struct field_errors *errors)
{
    str out = S("");
    for (size_t i = 0; i < errors->count; i++)
        out = arena_printf(errors->arena, "%.*s%s%.*s: %.*s", STR_ARG(out), i ? "; " : "",
                           STR_ARG(errors->items[i].field), STR_ARG(errors->items[i].message));
    return out;
}

/* What a create does up to the store, and an update when old is given. */
static inline str write_errors(struct arena *a, const struct resource *r, const struct json *object,
                               const struct json *old, const struct json **ret)
{
    struct json_notes notes = { .texts = NULL };
    struct field_errors errors;
    field_errors_init(&errors, a);
    object = schema_default(a, r->schema, schema_prune(a, r->schema, object, &notes));
    cr_assert_eq(notes.count, 0, "%.*s", STR_ARG(notes.texts[0]));
    if (r->strategy && !old && r->strategy->prepare_create)
        object = r->strategy->prepare_create(a, r, object);
    if (r->strategy && old && r->strategy->prepare_update)
        object = r->strategy->prepare_update(a, r, object, old);
    schema_validate(r->schema, S(""), object, &errors);
    if (r->strategy && r->strategy->validate)
        r->strategy->validate(r, object, &errors);
    if (r->strategy && !old && r->strategy->validate_create)
        r->strategy->validate_create(r, object, &errors);
    if (r->strategy && old && r->strategy->validate_update)
        r->strategy->validate_update(r, object, old, &errors);
    if (ret)
        *ret = object;
    return errors_text(&errors);
}

#endif
