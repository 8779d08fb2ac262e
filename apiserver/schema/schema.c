/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles an openAPIV3Schema document into nodes that are quick to walk. Strict on purpose: an unknown keyword is an
 * error, because a rule that is written but not enforced is worse than none.
 *
 * A pattern is a POSIX extended regular expression, compiled once. Only what means the same in ECMA 262 (which
 * OpenAPI clients use) is taken: no backslash classes (\d), no groups with "(?", no "[:class:]"; and it needs a
 * maxLength, which bounds the time that matching takes.
 */
#include "internal.h"

#include <stdlib.h>

struct compiler {
    struct arena *arena;
    struct error *err;
};

typedef int (*keyword_fn)(struct compiler *c, struct schema *s, const struct json *value);

static int compile_node(struct compiler *c, const struct json *node, struct schema **ret);

static int wrong(struct compiler *c, const char *keyword, const char *expected)
{
    return error_set(c->err, ERRC_INVALID, "schema keyword \"%s\" must be %s", keyword, expected);
}

static int find_name(const char *const *names, size_t count, const struct json *value)
{
    for (size_t i = 0; i < count; i++)
        if (json_is(value, JSON_STRING) && str_eq_z(value->text, names[i]))
            return (int)i;
    return -1;
}

static int on_type(struct compiler *c, struct schema *s, const struct json *value)
{
    static const char *const names[] = { "object", "array", "string", "integer", "number", "boolean" };
    int i = find_name(names, ARRAY_LEN(names), value);
    if (i < 0)
        return wrong(c, "type", "object, array, string, integer, number or boolean");
    s->type = (enum schema_type)(SCHEMA_OBJECT + i);
    return 0;
}

static int on_format(struct compiler *c, struct schema *s, const struct json *value)
{
    static const char *const names[] = { "int32", "int64", "date-time", "quantity", "byte" };
    int i = find_name(names, ARRAY_LEN(names), value);
    if (i < 0)
        return wrong(c, "format", "int32, int64, date-time, quantity or byte");
    s->format = (enum schema_format)(SCHEMA_FORMAT_INT32 + i);
    return 0;
}

static int on_list_type(struct compiler *c, struct schema *s, const struct json *value)
{
    static const char *const names[] = { "atomic", "set", "map" };
    int i = find_name(names, ARRAY_LEN(names), value);
    if (i < 0)
        return wrong(c, "x-kubernetes-list-type", "atomic, set or map");
    s->list_type = (enum schema_list_type)i;
    return 0;
}

static int on_map_type(struct compiler *c, struct schema *s, const struct json *value)
{
    static const char *const names[] = { "atomic", "granular" };
    (void)s;
    return find_name(names, ARRAY_LEN(names), value) < 0 ? wrong(c, "x-kubernetes-map-type", "atomic or granular") : 0;
}

static int compare_properties(const void *x, const void *y)
{
    return str_cmp(((const struct schema_property *)x)->name, ((const struct schema_property *)y)->name);
}

static int on_properties(struct compiler *c, struct schema *s, const struct json *value)
{
    if (!json_is(value, JSON_OBJECT))
        return wrong(c, "properties", "an object");
    struct schema_property *list = arena_array_of(c->arena, struct schema_property, value->count);
    for (size_t i = 0; i < value->count; i++) {
        struct schema *child = NULL;
        int r = compile_node(c, value->members[i].value, &child);
        if (r < 0)
            return error_wrap(c->err, r, "%.*s", STR_ARG(value->members[i].key));
        list[i] = (struct schema_property) { value->members[i].key, child };
    }
    if (value->count)
        qsort(list, value->count, sizeof(*list), compare_properties);
    s->properties = list;
    s->property_count = value->count;
    return 0;
}

static int on_items(struct compiler *c, struct schema *s, const struct json *value)
{
    struct schema *child = NULL;
    int r = compile_node(c, value, &child);
    s->items = child;
    return r < 0 ? error_wrap(c->err, r, "items") : 0;
}

static int on_additional(struct compiler *c, struct schema *s, const struct json *value)
{
    struct schema *child = NULL;
    int r = compile_node(c, value, &child);
    s->additional = child;
    return r < 0 ? error_wrap(c->err, r, "additionalProperties") : 0;
}

static bool is_list_of_strings(const struct json *value)
{
    if (!json_is(value, JSON_ARRAY) || value->count == 0)
        return false;
    for (size_t i = 0; i < value->count; i++)
        if (!json_is(value->items[i], JSON_STRING))
            return false;
    return true;
}

static int on_required(struct compiler *c, struct schema *s, const struct json *value)
{
    s->required = value;
    return is_list_of_strings(value) ? 0 : wrong(c, "required", "a list of names");
}

static int on_list_keys(struct compiler *c, struct schema *s, const struct json *value)
{
    s->list_keys = value;
    return is_list_of_strings(value) ? 0 : wrong(c, "x-kubernetes-list-map-keys", "a list of names");
}

static int on_default(struct compiler *c, struct schema *s, const struct json *value)
{
    (void)c;
    s->default_value = value;
    return 0;
}

static int on_enum(struct compiler *c, struct schema *s, const struct json *value)
{
    s->enumeration = value;
    return json_is(value, JSON_ARRAY) && value->count ? 0 : wrong(c, "enum", "a list of values");
}

static int set_bool(struct compiler *c, bool *field, const char *keyword, const struct json *value)
{
    *field = json_is(value, JSON_BOOL) && value->boolean;
    return json_is(value, JSON_BOOL) ? 0 : wrong(c, keyword, "true or false");
}

static int on_nullable(struct compiler *c, struct schema *s, const struct json *value)
{
    return set_bool(c, &s->is_nullable, "nullable", value);
}

static int on_int_or_string(struct compiler *c, struct schema *s, const struct json *value)
{
    return set_bool(c, &s->is_int_or_string, "x-kubernetes-int-or-string", value);
}

static int on_preserve(struct compiler *c, struct schema *s, const struct json *value)
{
    return set_bool(c, &s->keeps_unknown, "x-kubernetes-preserve-unknown-fields", value);
}

static int set_number(struct compiler *c, const struct json **field, const char *keyword, const struct json *value)
{
    *field = value;
    return json_is(value, JSON_NUMBER) ? 0 : wrong(c, keyword, "a number");
}

static int on_minimum(struct compiler *c, struct schema *s, const struct json *value)
{
    return set_number(c, &s->minimum, "minimum", value);
}

static int on_maximum(struct compiler *c, struct schema *s, const struct json *value)
{
    return set_number(c, &s->maximum, "maximum", value);
}

static int set_count(struct compiler *c, int64_t *field, const char *keyword, const struct json *value)
{
    return json_to_int(value, field) && *field >= 0 ? 0 : wrong(c, keyword, "a whole number that is not negative");
}

static int on_min_length(struct compiler *c, struct schema *s, const struct json *value)
{
    return set_count(c, &s->min_length, "minLength", value);
}

static int on_max_length(struct compiler *c, struct schema *s, const struct json *value)
{
    return set_count(c, &s->max_length, "maxLength", value);
}

static int on_min_items(struct compiler *c, struct schema *s, const struct json *value)
{
    return set_count(c, &s->min_items, "minItems", value);
}

static int on_max_items(struct compiler *c, struct schema *s, const struct json *value)
{
    return set_count(c, &s->max_items, "maxItems", value);
}

static int on_min_properties(struct compiler *c, struct schema *s, const struct json *value)
{
    return set_count(c, &s->min_properties, "minProperties", value);
}

static int on_max_properties(struct compiler *c, struct schema *s, const struct json *value)
{
    return set_count(c, &s->max_properties, "maxProperties", value);
}

static void free_regex(void *p)
{
    regfree(p);
}

static int on_pattern(struct compiler *c, struct schema *s, const struct json *value)
{
    if (!json_is(value, JSON_STRING))
        return wrong(c, "pattern", "a string");
    str text = value->text;
    if (str_find(text, S("(?")) >= 0 || str_find(text, S("[:")) >= 0 || str_index(text, '\0') >= 0)
        return wrong(c, "pattern", "within the subset that POSIX and ECMA 262 share");
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.ptr[i] == '\\' && strchr("dDwWsSbBnrtvfuxckpP0123456789", text.ptr[i + 1]))
            return wrong(c, "pattern", "without backslash classes");
    regex_t *re = arena_new_of(c->arena, regex_t);
    if (regcomp(re, arena_z(c->arena, text), REG_EXTENDED | REG_NOSUB) != 0)
        return wrong(c, "pattern", "a POSIX extended regular expression");
    arena_on_release(c->arena, free_regex, re);
    s->pattern = re;
    s->pattern_text = text;
    return 0;
}

static int on_description(struct compiler *c, struct schema *s, const struct json *value)
{
    (void)s;
    return json_is(value, JSON_STRING) ? 0 : wrong(c, "description", "a string");
}

static const struct {
    const char *name;
    keyword_fn fn;
} keywords[] = {
    { "type", on_type },
    { "description", on_description },
    { "format", on_format },
    { "properties", on_properties },
    { "required", on_required },
    { "items", on_items },
    { "default", on_default },
    { "enum", on_enum },
    { "pattern", on_pattern },
    { "nullable", on_nullable },
    { "minimum", on_minimum },
    { "maximum", on_maximum },
    { "minLength", on_min_length },
    { "maxLength", on_max_length },
    { "minItems", on_min_items },
    { "maxItems", on_max_items },
    { "minProperties", on_min_properties },
    { "maxProperties", on_max_properties },
    { "additionalProperties", on_additional },
    { "x-kubernetes-int-or-string", on_int_or_string },
    { "x-kubernetes-preserve-unknown-fields", on_preserve },
    { "x-kubernetes-list-type", on_list_type },
    { "x-kubernetes-list-map-keys", on_list_keys },
    { "x-kubernetes-map-type", on_map_type },
};

/* What only shows when all keywords of a node are known. */
static int check_node(struct compiler *c, const struct schema *s)
{
    struct error *err = c->err;
    if (s->type == SCHEMA_ANY && !s->is_int_or_string && !s->keeps_unknown)
        return error_set(err, ERRC_INVALID, "schema has no type");
    if ((s->property_count || s->additional || s->required) && s->type != SCHEMA_OBJECT)
        return error_set(err, ERRC_INVALID, "schema has properties but is no object");
    if (s->property_count && s->additional)
        return error_set(err, ERRC_INVALID, "schema has both properties and additionalProperties");
    if ((s->type == SCHEMA_ARRAY) != (s->items != NULL))
        return error_set(err, ERRC_INVALID, "schema needs items if and only if it is an array");
    if (s->pattern && s->max_length < 0)
        return error_set(err, ERRC_INVALID, "schema has a pattern without maxLength");
    if ((s->list_type == SCHEMA_LIST_MAP) != (s->list_keys != NULL))
        return error_set(err, ERRC_INVALID, "schema needs x-kubernetes-list-map-keys if and only if it is a map list");
    bool is_number_format = s->format == SCHEMA_FORMAT_INT32 || s->format == SCHEMA_FORMAT_INT64;
    if (s->format != SCHEMA_FORMAT_NONE && s->type != (is_number_format ? SCHEMA_INTEGER : SCHEMA_STRING))
        return error_set(err, ERRC_INVALID, "schema has a format that does not fit its type");
    for (size_t i = 0; i < json_count(s->required); i++)
        if (!schema__property(s, s->required->items[i]->text))
            return error_set(err, ERRC_INVALID, "schema requires \"%.*s\", which is no property",
                             STR_ARG(s->required->items[i]->text));
    return 0;
}

static bool find_defaults(const struct schema *s)
{
    bool found = (s->items && s->items->has_defaults) || (s->additional && s->additional->has_defaults);
    for (size_t i = 0; i < s->property_count; i++)
        found = found || s->properties[i].schema->default_value || s->properties[i].schema->has_defaults;
    return found;
}

static int compile_keyword(struct compiler *c, struct schema *s, const struct json_member *m)
{
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (str_eq_z(m->key, keywords[i].name))
            return keywords[i].fn(c, s, m->value);
    return error_set(c->err, ERRC_INVALID, "unknown schema keyword \"%.*s\"", STR_ARG(m->key));
}

static int compile_node(struct compiler *c, const struct json *node, struct schema **ret)
{
    if (!json_is(node, JSON_OBJECT))
        return error_set(c->err, ERRC_INVALID, "schema must be an object");
    struct schema *s = arena_new_of(c->arena, struct schema);
    s->document = node;
    s->min_length = s->max_length = s->min_items = s->max_items = s->min_properties = s->max_properties = -1;
    for (size_t i = 0; i < node->count; i++) {
        int r = compile_keyword(c, s, &node->members[i]);
        if (r < 0)
            return r;
    }
    int r = check_node(c, s);
    if (r < 0)
        return r;
    s->has_defaults = find_defaults(s);
    *ret = s;
    return 0;
}

/* A default that its own schema refuses would make every object that relies on it invalid. */
static int check_defaults(struct compiler *c, const struct schema *s)
{
    if (s->default_value) {
        struct field_errors errors;
        field_errors_init(&errors, c->arena);
        schema_validate(s, S("default"), schema_default(c->arena, s, s->default_value), &errors);
        if (errors.count)
            return error_set(c->err, ERRC_INVALID, "%.*s: %.*s", STR_ARG(errors.items[0].field),
                             STR_ARG(errors.items[0].message));
    }
    for (size_t i = 0; i < s->property_count; i++) {
        int r = check_defaults(c, s->properties[i].schema);
        if (r < 0)
            return error_wrap(c->err, r, "%.*s", STR_ARG(s->properties[i].name));
    }
    int r = s->items ? check_defaults(c, s->items) : 0;
    return r == 0 && s->additional ? check_defaults(c, s->additional) : r;
}

int schema_compile(struct arena *a, const struct json *node, struct schema **ret, struct error *err)
{
    struct compiler c = { a, err };
    int r = compile_node(&c, node, ret);
    return r < 0 ? r : check_defaults(&c, *ret);
}

const struct json *schema_document(const struct schema *s)
{
    return s->document;
}

const struct schema *schema__property(const struct schema *s, str name)
{
    size_t lo = 0;
    size_t hi = s->property_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = str_cmp(name, s->properties[mid].name);
        if (order == 0)
            return s->properties[mid].schema;
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const struct schema *schema__member(const struct schema *s, str name)
{
    const struct schema *p = schema__property(s, name);
    return p ? p : s->additional;
}

bool schema__is_type_meta(str name)
{
    return str_eq(name, S("apiVersion")) || str_eq(name, S("kind")) || str_eq(name, S("metadata"));
}

str schema__path_text(struct arena *a, const struct schema_path *path)
{
    if (path->kind == SCHEMA_PATH_ROOT)
        return path->name;
    str up = schema__path_text(a, path->up);
    switch (path->kind) {
    case SCHEMA_PATH_INDEX: return arena_printf(a, "%.*s[%zu]", STR_ARG(up), path->index);
    case SCHEMA_PATH_KEY: return arena_printf(a, "%.*s[%.*s]", STR_ARG(up), STR_ARG(path->name));
    default: return arena_printf(a, "%.*s%s%.*s", STR_ARG(up), up.len ? "." : "", STR_ARG(path->name));
    }
}
