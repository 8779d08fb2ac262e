/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two walks that change a value: pruning what the schema does not know, and filling defaults. Both share what they
 * do not touch with the value they were given. Defaulting follows apiextensions' structural schemas: a null that is not
 * allowed counts as absent, and a default is itself defaulted.
 */
#include "internal.h"

/* A copy of an object or array that is only begun at the first difference. */
struct edit {
    struct arena *arena;
    const struct json *from;
    struct json_builder builder;
    bool has_changed;
};

static void edit_begin(struct edit *e, size_t kept)
{
    if (e->has_changed)
        return;
    e->has_changed = true;
    json_builder_init(&e->builder, e->arena);
    for (size_t i = 0; i < kept; i++) {
        if (e->from->type == JSON_OBJECT)
            json_builder_add(&e->builder, e->from->members[i].key, e->from->members[i].value);
        else
            json_builder_add(&e->builder, S(""), e->from->items[i]);
    }
}

/* Position i becomes value; NULL: goes. */
static void edit_put(struct edit *e, size_t i, const struct json *value)
{
    bool is_object = e->from->type == JSON_OBJECT;
    const struct json *old = is_object ? e->from->members[i].value : e->from->items[i];
    if (value != old)
        edit_begin(e, i);
    if (e->has_changed)
        json_builder_add(&e->builder, is_object ? e->from->members[i].key : S(""), value);
}

static const struct json *edit_end(struct edit *e)
{
    if (!e->has_changed)
        return e->from;
    return e->from->type == JSON_OBJECT ? json_builder_object(&e->builder) : json_builder_array(&e->builder);
}

struct pruning {
    struct arena *arena;
    struct json_notes *notes;
};

static const struct json *prune_value(const struct pruning *p, const struct schema *s, const struct json *value,
                                      const struct schema_path *path);

static const struct json *prune_object(const struct pruning *p, const struct schema *s, const struct json *value,
                                       const struct schema_path *path)
{
    struct edit e = { .arena = p->arena, .from = value };
    for (size_t i = 0; i < value->count; i++) {
        const struct json_member *m = &value->members[i];
        struct schema_path here = { path, SCHEMA_PATH_FIELD, m->key, 0 };
        const struct schema *child = schema__member(s, m->key);
        if (child) {
            edit_put(&e, i, prune_value(p, child, m->value, &here));
        } else if (s->keeps_unknown || (path->kind == SCHEMA_PATH_ROOT && schema__is_type_meta(m->key))) {
            edit_put(&e, i, m->value);
        } else {
            str where = schema__path_text(p->arena, &here);
            json_notes_add(p->arena, p->notes, arena_printf(p->arena, "unknown field \"%.*s\"", STR_ARG(where)));
            edit_put(&e, i, NULL);
        }
    }
    return edit_end(&e);
}

static const struct json *prune_value(const struct pruning *p, const struct schema *s, const struct json *value,
                                      const struct schema_path *path)
{
    if (s->type == SCHEMA_OBJECT && json_is(value, JSON_OBJECT))
        return prune_object(p, s, value, path);
    if (s->type != SCHEMA_ARRAY || !json_is(value, JSON_ARRAY))
        return value;
    struct edit e = { .arena = p->arena, .from = value };
    for (size_t i = 0; i < value->count; i++) {
        struct schema_path here = { path, SCHEMA_PATH_INDEX, S(""), i };
        edit_put(&e, i, prune_value(p, s->items, value->items[i], &here));
    }
    return edit_end(&e);
}

const struct json *schema_prune(struct arena *a, const struct schema *s, const struct json *value,
                                struct json_notes *notes)
{
    struct json_notes ignored = { .texts = NULL };
    struct pruning p = { a, notes ? notes : &ignored };
    struct schema_path root = { .kind = SCHEMA_PATH_ROOT, .name = S("") };
    return prune_value(&p, s, value, &root);
}

static const struct json *default_object(struct arena *a, const struct schema *s, const struct json *value)
{
    struct edit e = { .arena = a, .from = value };
    for (size_t i = 0; i < value->count; i++) {
        const struct json *v = value->members[i].value;
        const struct schema *child = schema__member(s, value->members[i].key);
        if (!child) {
            edit_put(&e, i, v);
            continue;
        }
        if (v->type == JSON_NULL && !child->is_nullable && child->type != SCHEMA_ANY)
            v = child->default_value;
        edit_put(&e, i, v ? schema_default(a, child, v) : NULL);
    }
    for (size_t i = 0; s->has_defaults && i < s->property_count; i++) {
        const struct schema_property *p = &s->properties[i];
        if (!p->schema->default_value || json_get(value, p->name))
            continue;
        edit_begin(&e, value->count);
        json_builder_add(&e.builder, p->name, schema_default(a, p->schema, p->schema->default_value));
    }
    return edit_end(&e);
}

const struct json *schema_default(struct arena *a, const struct schema *s, const struct json *value)
{
    if (s->type == SCHEMA_OBJECT && json_is(value, JSON_OBJECT))
        return default_object(a, s, value);
    if (s->type != SCHEMA_ARRAY || !json_is(value, JSON_ARRAY))
        return value;
    struct edit e = { .arena = a, .from = value };
    for (size_t i = 0; i < value->count; i++)
        edit_put(&e, i, schema_default(a, s->items, value->items[i]));
    return edit_end(&e);
}
