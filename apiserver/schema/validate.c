/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks a value against its schema and names each field that is wrong, in the words of apimachinery
 * (util/validation/field) so that kubectl users read what they know. Lengths count characters, not bytes.
 */
#include "internal.h"

#include "base/base64.h"
#include "base/strbuf.h"
#include "meta/quantity.h"
#include "meta/rfc3339.h"
#include "json/json_write.h"

struct validation {
    struct arena *arena;
    struct field_errors *errors;
};

static void validate_value(const struct validation *v, const struct schema *s, const struct json *value,
                           const struct schema_path *path);

static void add(const struct validation *v, enum field_error_type type, const struct schema_path *path,
                const struct json *value, str detail)
{
    str field = schema__path_text(v->arena, path);
    field_error_add(v->errors, type, field, value, "%.*s", STR_ARG(detail));
}

static const char *json_type_name(const struct json *value)
{
    switch (value->type) {
    case JSON_NULL: return "null";
    case JSON_BOOL: return "boolean";
    case JSON_NUMBER: return "number";
    case JSON_STRING: return "string";
    case JSON_ARRAY: return "array";
    default: return "object";
    }
}

static const char *schema_type_name(const struct schema *s)
{
    static const char *const names[] = { "any", "object", "array", "string", "integer", "number", "boolean" };
    return s->is_int_or_string ? "integer or string" : names[s->type];
}

static bool has_type(const struct schema *s, const struct json *value)
{
    int64_t n;
    if (s->is_int_or_string)
        return value->type == JSON_STRING || json_to_int(value, &n);
    switch (s->type) {
    case SCHEMA_OBJECT: return value->type == JSON_OBJECT;
    case SCHEMA_ARRAY: return value->type == JSON_ARRAY;
    case SCHEMA_STRING: return value->type == JSON_STRING;
    /* Whole numbers beyond int64 are reported as out of range, not as of another type. */
    case SCHEMA_INTEGER:
        return value->type == JSON_NUMBER && (json_to_int(value, &n) || str_is_all_of(value->text, S("-0123456789")));
    case SCHEMA_NUMBER: return value->type == JSON_NUMBER;
    case SCHEMA_BOOLEAN: return value->type == JSON_BOOL;
    default: return true;
    }
}

static int64_t characters(str s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

static bool matches(const struct schema *s, str text)
{
    if (str_index(text, '\0') >= 0)
        return false;
    regmatch_t range = { .rm_so = 0, .rm_eo = (regoff_t)text.len };
    return regexec(s->pattern, text.ptr ? text.ptr : "", 1, &range, REG_STARTEND) == 0;
}

static str check_format(struct arena *a, const struct schema *s, str text)
{
    int64_t ns;
    str data;
    switch (s->format) {
    case SCHEMA_FORMAT_DATE_TIME:
        return rfc3339_parse(text, &ns) ? S("") : S("must be a date and time as in RFC 3339: 2006-01-02T15:04:05Z");
    case SCHEMA_FORMAT_QUANTITY:
        return quantity_is_valid(text) ? S("") : S("must be a quantity such as 500Mi, 10Gi or 1e9");
    case SCHEMA_FORMAT_BYTE: return base64_decode(a, text, &data) ? S("") : S("must be base64");
    default: return S("");
    }
}

static void validate_string(const struct validation *v, const struct schema *s, const struct json *value,
                            const struct schema_path *path)
{
    int64_t length = s->min_length >= 0 || s->max_length >= 0 ? characters(value->text) : 0;
    if (s->max_length >= 0 && length > s->max_length) {
        add(v, FIELD_TOO_LONG, path, NULL,
            arena_printf(v->arena, "may not be more than %lld characters", (long long)s->max_length));
        return;
    }
    if (s->min_length > 0 && length < s->min_length)
        add(v, FIELD_INVALID, path, value,
            arena_printf(v->arena, "must be at least %lld characters long", (long long)s->min_length));
    else if (s->pattern && !matches(s, value->text))
        add(v, FIELD_INVALID, path, value, arena_printf(v->arena, "must match '%.*s'", STR_ARG(s->pattern_text)));
    str wrong = check_format(v->arena, s, value->text);
    /* What should be base64 is mostly a secret: not repeated. */
    if (wrong.len)
        add(v, FIELD_INVALID, path, s->format == SCHEMA_FORMAT_BYTE ? NULL : value, wrong);
}

static void validate_number(const struct validation *v, const struct schema *s, const struct json *value,
                            const struct schema_path *path)
{
    int64_t n = 0;
    if (s->type == SCHEMA_INTEGER) {
        bool is_small =
            json_to_int(value, &n) && (s->format != SCHEMA_FORMAT_INT32 || (n >= INT32_MIN && n <= INT32_MAX));
        if (!is_small) {
            bool is_int32 = s->format == SCHEMA_FORMAT_INT32;
            add(v, FIELD_INVALID, path, value, is_int32 ? S("must fit into 32 bits") : S("must fit into 64 bits"));
            return;
        }
    }
    double d = 0;
    double bound = 0;
    if (!json_to_double(value, &d))
        add(v, FIELD_INVALID, path, value, S("must be a finite number"));
    else if (s->minimum && json_to_double(s->minimum, &bound) && d < bound)
        add(v, FIELD_INVALID, path, value,
            arena_printf(v->arena, "must be greater than or equal to %.*s", STR_ARG(s->minimum->text)));
    else if (s->maximum && json_to_double(s->maximum, &bound) && d > bound)
        add(v, FIELD_INVALID, path, value,
            arena_printf(v->arena, "must be less than or equal to %.*s", STR_ARG(s->maximum->text)));
}

static void validate_enum(const struct validation *v, const struct schema *s, const struct json *value,
                          const struct schema_path *path)
{
    STRBUF_AUTO texts = STRBUF_INIT(4096);
    for (size_t i = 0; i < s->enumeration->count; i++) {
        const struct json *one = s->enumeration->items[i];
        if (json_equal(one, value))
            return;
        strbuf_add(&texts, i ? S(", ") : S("supported values: "));
        strbuf_add(&texts, json_text(v->arena, one));
    }
    add(v, FIELD_NOT_SUPPORTED, path, value, strbuf_to_arena(&texts, v->arena));
}

/* The part of a list item that must be unique. */
static const struct json *identity(struct arena *a, const struct schema *s, const struct json *item)
{
    if (s->list_type == SCHEMA_LIST_SET)
        return item;
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < s->list_keys->count; i++)
        json_builder_add(&b, s->list_keys->items[i]->text, json_get(item, s->list_keys->items[i]->text));
    return json_builder_object(&b);
}

/* Quadratic: such lists are short (maxItems), longer ones are refused before. */
#define UNIQUE_ITEMS_MAX 512

static void validate_unique(const struct validation *v, const struct schema *s, const struct json *value,
                            const struct schema_path *path)
{
    if (value->count > UNIQUE_ITEMS_MAX) {
        add(v, FIELD_TOO_MANY, path, json_int(v->arena, (int64_t)value->count),
            arena_printf(v->arena, "must have at most %d items", UNIQUE_ITEMS_MAX));
        return;
    }
    const struct json **seen = arena_array_of(v->arena, const struct json *, value->count);
    for (size_t i = 0; i < value->count; i++) {
        seen[i] = identity(v->arena, s, value->items[i]);
        for (size_t k = 0; k < i; k++) {
            if (!json_equal(seen[i], seen[k]))
                continue;
            struct schema_path here = { path, SCHEMA_PATH_INDEX, S(""), i };
            add(v, FIELD_DUPLICATE, &here, seen[i], S(""));
            break;
        }
    }
}

static void validate_array(const struct validation *v, const struct schema *s, const struct json *value,
                           const struct schema_path *path)
{
    if (s->max_items >= 0 && value->count > (size_t)s->max_items) {
        add(v, FIELD_TOO_MANY, path, json_int(v->arena, (int64_t)value->count),
            arena_printf(v->arena, "must have at most %lld items", (long long)s->max_items));
        return;
    }
    if (s->min_items > 0 && value->count < (size_t)s->min_items)
        add(v, FIELD_INVALID, path, value,
            arena_printf(v->arena, "must have at least %lld items", (long long)s->min_items));
    for (size_t i = 0; i < value->count; i++) {
        struct schema_path here = { path, SCHEMA_PATH_INDEX, S(""), i };
        validate_value(v, s->items, value->items[i], &here);
    }
    if (s->list_type != SCHEMA_LIST_ATOMIC)
        validate_unique(v, s, value, path);
}

static void validate_object(const struct validation *v, const struct schema *s, const struct json *value,
                            const struct schema_path *path)
{
    if (s->max_properties >= 0 && value->count > (size_t)s->max_properties) {
        add(v, FIELD_TOO_MANY, path, json_int(v->arena, (int64_t)value->count),
            arena_printf(v->arena, "must have at most %lld items", (long long)s->max_properties));
        return;
    }
    if (s->min_properties > 0 && value->count < (size_t)s->min_properties)
        add(v, FIELD_INVALID, path, value,
            arena_printf(v->arena, "must have at least %lld items", (long long)s->min_properties));
    for (size_t i = 0; i < json_count(s->required); i++) {
        str name = s->required->items[i]->text;
        struct schema_path here = { path, SCHEMA_PATH_FIELD, name, 0 };
        if (!json_get(value, name))
            add(v, FIELD_REQUIRED, &here, NULL, S(""));
    }
    for (size_t i = 0; i < value->count; i++) {
        const struct json_member *m = &value->members[i];
        const struct schema *child = schema__member(s, m->key);
        bool is_key = child && child == s->additional;
        struct schema_path here = { path, is_key ? SCHEMA_PATH_KEY : SCHEMA_PATH_FIELD, m->key, 0 };
        if (child)
            validate_value(v, child, m->value, &here);
    }
}

static void validate_value(const struct validation *v, const struct schema *s, const struct json *value,
                           const struct schema_path *path)
{
    if (value->type == JSON_NULL && s->is_nullable)
        return;
    if (!has_type(s, value)) {
        add(v, FIELD_TYPE_INVALID, path, value,
            arena_printf(v->arena, "must be of type %s: \"%s\"", schema_type_name(s), json_type_name(value)));
        return;
    }
    if (s->enumeration)
        validate_enum(v, s, value, path);
    switch (value->type) {
    case JSON_STRING: validate_string(v, s, value, path); break;
    case JSON_NUMBER: validate_number(v, s, value, path); break;
    case JSON_ARRAY:
        if (s->items)
            validate_array(v, s, value, path);
        break;
    case JSON_OBJECT: validate_object(v, s, value, path); break;
    default: break;
    }
}

void schema_validate(const struct schema *s, str path, const struct json *value, struct field_errors *errors)
{
    struct validation v = { errors->arena, errors };
    struct schema_path root = { .kind = SCHEMA_PATH_ROOT, .name = path };
    validate_value(&v, s, value, &root);
}
