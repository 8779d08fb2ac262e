/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing structs by their field tables. */
#include "json/json_fields.h"

#include "base/strbuf.h"

/* Where we are in the document; the chain lies on the stack and is only walked for an error. */
struct place {
    const struct place *parent;
    const char *name; /* NULL: an element of an array */
    size_t index;
};

struct decoder {
    struct arena *arena;
    struct error *err;
};

static void add_path(struct strbuf *out, const struct place *p)
{
    if (!p)
        return;
    add_path(out, p->parent);
    if (p->name)
        strbuf_addf(out, "%s%s", out->len ? "." : "", p->name);
    else
        strbuf_addf(out, "[%zu]", p->index);
}

static int fail(const struct decoder *d, const struct place *where, const char *what)
{
    STRBUF_AUTO path = STRBUF_INIT(ERROR_TEXT_MAX / 2);
    add_path(&path, where);
    return error_set(d->err, ERRC_INVALID, "%.*s%s%s", STR_ARG(strbuf_str(&path)), path.len ? ": " : "", what);
}

static const char *found_name(const struct json *v)
{
    static const char *const names[] = { "null", "a boolean", "a number", "a string", "an array", "an object" };
    return v ? names[v->type] : "nothing";
}

static int wrong_type(const struct decoder *d, const struct place *where, const char *expected, const struct json *v)
{
    char what[96];
    STRBUF_AUTO text = STRBUF_INIT(sizeof(what));
    strbuf_addf(&text, "expected %s, found %s", expected, found_name(v));
    return fail(d, where, text.ptr);
}

static int decode_object(const struct decoder *d, const struct place *where, const struct json *v,
                         const struct json_fields *fields, void *ret);

static int decode_array(const struct decoder *d, const struct place *where, const struct json *v,
                        const struct json_field *f, char *to)
{
    if (!json_is(v, JSON_ARRAY))
        return wrong_type(d, where, "an array", v);
    size_t size = f->fields->size;
    char *items = arena_alloc_array(d->arena, size, v->count);
    for (size_t i = 0; i < v->count; i++) {
        struct place here = { .parent = where, .index = i };
        int rc = decode_object(d, &here, v->items[i], f->fields, items + i * size);
        if (rc)
            return rc;
    }
    *(void **)(void *)(to + f->offset) = items;
    *(size_t *)(void *)(to + f->count_offset) = v->count;
    return 0;
}

static int decode_strings(const struct decoder *d, const struct place *where, const struct json *v,
                          const struct json_field *f, char *to)
{
    if (!json_is(v, JSON_ARRAY))
        return wrong_type(d, where, "an array", v);
    str *items = arena_array_of(d->arena, str, v->count);
    for (size_t i = 0; i < v->count; i++) {
        struct place here = { .parent = where, .index = i };
        if (!json_is(v->items[i], JSON_STRING))
            return wrong_type(d, &here, "a string", v->items[i]);
        items[i] = v->items[i]->text;
    }
    *(str **)(void *)(to + f->offset) = items;
    *(size_t *)(void *)(to + f->count_offset) = v->count;
    return 0;
}

static int decode_pointer(const struct decoder *d, const struct place *where, const struct json *v,
                          const struct json_field *f, char *to)
{
    void *inside = arena_alloc(d->arena, f->fields->size);
    *(void **)(void *)(to + f->offset) = inside;
    return decode_object(d, where, v, f->fields, inside);
}

static int decode_field(const struct decoder *d, const struct place *where, const struct json *v,
                        const struct json_field *f, char *to)
{
    void *at = to + f->offset;
    switch (f->kind) {
    case JSON_KIND_STR:
        if (!json_is(v, JSON_STRING))
            return wrong_type(d, where, "a string", v);
        *(str *)at = v->text;
        return 0;
    case JSON_KIND_BOOL:
        if (!json_is(v, JSON_BOOL))
            return wrong_type(d, where, "a boolean", v);
        *(bool *)at = v->boolean;
        return 0;
    case JSON_KIND_INT:
        if (json_to_int(v, at))
            return 0;
        return json_is(v, JSON_NUMBER) ? fail(d, where, "expected an integer of 64 bits")
                                       : wrong_type(d, where, "an integer", v);
    case JSON_KIND_DOUBLE:
        if (json_to_double(v, at))
            return 0;
        return json_is(v, JSON_NUMBER) ? fail(d, where, "number is out of range") : wrong_type(d, where, "a number", v);
    case JSON_KIND_JSON: *(const struct json **)at = v; return 0;
    case JSON_KIND_OBJECT: return decode_object(d, where, v, f->fields, at);
    case JSON_KIND_POINTER: return decode_pointer(d, where, v, f, to);
    case JSON_KIND_ARRAY: return decode_array(d, where, v, f, to);
    case JSON_KIND_STRINGS: return decode_strings(d, where, v, f, to);
    }
    return error_set(d->err, ERRC_INTERNAL, "field %s has no kind", f->name);
}

static int refuse_unknown(const struct decoder *d, const struct place *where, const struct json *v,
                          const struct json_fields *fields)
{
    for (size_t i = 0; i < v->count; i++) {
        size_t j = 0;
        while (j < fields->count && !str_eq_z(v->members[i].key, fields->list[j].name))
            j++;
        if (j < fields->count)
            continue;
        struct place here = { .parent = where, .name = arena_z(d->arena, v->members[i].key) };
        return fail(d, &here, "unknown field");
    }
    return 0;
}

static int decode_object(const struct decoder *d, const struct place *where, const struct json *v,
                         const struct json_fields *fields, void *ret)
{
    if (!json_is(v, JSON_OBJECT))
        return wrong_type(d, where, "an object", v);
    int rc = fields->flags & JSON_FIELDS_STRICT ? refuse_unknown(d, where, v, fields) : 0;
    for (size_t i = 0; rc == 0 && i < fields->count; i++) {
        const struct json_field *f = &fields->list[i];
        const struct json *value = json_get(v, str_from(f->name));
        struct place here = { .parent = where, .name = f->name };
        if (value && value->type != JSON_NULL)
            rc = decode_field(d, &here, value, f, ret);
        else if (f->flags & JSON_FIELD_REQUIRED)
            rc = fail(d, &here, "is required");
    }
    return rc;
}

int json_fields_decode(struct arena *a, const struct json *v, const struct json_fields *fields, void *ret,
                       struct error *err)
{
    struct decoder d = { a, err };
    return decode_object(&d, NULL, v, fields, ret);
}

static const struct json *encode_array(struct arena *a, const struct json_field *f, const char *from)
{
    const char *items = *(const char *const *)(const void *)(from + f->offset);
    size_t count = *(const size_t *)(const void *)(from + f->count_offset);
    const struct json **values = arena_array_of(a, const struct json *, count);
    for (size_t i = 0; i < count; i++)
        values[i] = f->kind == JSON_KIND_ARRAY ? json_fields_encode(a, f->fields, items + i * f->fields->size)
                                               : json_string(a, ((const str *)(const void *)items)[i]);
    return json_array(a, values, count);
}

static const struct json *encode_field(struct arena *a, const struct json_field *f, const char *from)
{
    const void *at = from + f->offset;
    switch (f->kind) {
    case JSON_KIND_STR: return json_string(a, *(const str *)at);
    case JSON_KIND_BOOL: return json_bool(*(const bool *)at);
    case JSON_KIND_INT: return json_int(a, *(const int64_t *)at);
    case JSON_KIND_DOUBLE: return json_double(a, *(const double *)at);
    case JSON_KIND_JSON: return *(const struct json *const *)at;
    case JSON_KIND_OBJECT: return json_fields_encode(a, f->fields, at);
    case JSON_KIND_POINTER: {
        const void *inside = *(const void *const *)at;
        return inside ? json_fields_encode(a, f->fields, inside) : NULL;
    }
    case JSON_KIND_ARRAY:
    case JSON_KIND_STRINGS: return encode_array(a, f, from);
    }
    return NULL;
}

/* A pointer that is set says something even when the struct behind it is empty. */
static bool is_empty(const struct json_field *f, const struct json *v)
{
    int64_t n;
    if (f->kind == JSON_KIND_POINTER || f->kind == JSON_KIND_JSON)
        return false;
    switch (v->type) {
    case JSON_NULL: return true;
    case JSON_BOOL: return !v->boolean;
    case JSON_NUMBER: return json_to_int(v, &n) && n == 0;
    case JSON_STRING: return v->text.len == 0;
    default: return v->count == 0;
    }
}

const struct json *json_fields_encode(struct arena *a, const struct json_fields *fields, const void *from)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < fields->count; i++) {
        const struct json_field *f = &fields->list[i];
        const struct json *v = encode_field(a, f, from);
        if (v && !(f->flags & JSON_FIELD_OMIT_EMPTY && is_empty(f, v)))
            json_builder_add(&b, str_from(f->name), v);
    }
    return json_builder_object(&b);
}
