/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret: stringData is written into data and never stored; data may be closed by `immutable`. Values never appear in
 * an error: messages name the key alone.
 */
#include "base/base64.h"
#include "meta/names.h"
#include "resources/kinds.h"

/* core/v1 MaxSecretSize */
#define SECRET_BYTES_MAX (1u << 20)

static const struct json *merge_string_data(struct arena *a, const struct json *object)
{
    const struct json *text = json_get(object, S("stringData"));
    if (!text)
        return object;
    const struct json *data = json_get(object, S("data"));
    if (!json_is(text, JSON_OBJECT) || (data && !json_is(data, JSON_OBJECT)))
        return object; /* the schema refuses it */
    data = data ? data : &json_empty_object;
    for (size_t i = 0; i < text->count; i++) {
        if (!json_is(text->members[i].value, JSON_STRING))
            return object;
        str encoded = base64_encode(a, text->members[i].value->text);
        data = json_with(a, data, text->members[i].key, json_string(a, encoded));
    }
    return json_with(a, json_with(a, object, S("data"), data), S("stringData"), NULL);
}

static const struct json *prepare_create(struct arena *a, const struct resource *r, const struct json *object)
{
    (void)r;
    return merge_string_data(a, object);
}

static const struct json *prepare_update(struct arena *a, const struct resource *r, const struct json *object,
                                         const struct json *old)
{
    (void)r;
    (void)old;
    return merge_string_data(a, object);
}

/* Kubernetes' IsConfigMapKey: a name that can be a file. */
static bool is_key(str key)
{
    if (str_is_empty(key) || key.len > 253 || str_eq(key, S(".")) || str_has_prefix(key, S("..")))
        return false;
    return str_is_all_of(key, S("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"));
}

static void validate(const struct resource *r, const struct json *object, struct field_errors *errors)
{
    (void)r;
    const struct json *data = json_get(object, S("data"));
    size_t size = 0;
    for (size_t i = 0; json_is(data, JSON_OBJECT) && i < data->count; i++) {
        str key = data->members[i].key;
        size += json_str(data->members[i].value).len / 4 * 3;
        if (!is_key(key))
            field_error_add(errors, FIELD_INVALID, arena_printf(errors->arena, "data[%.*s]", STR_ARG(key)),
                            json_string(errors->arena, key),
                            "a valid key consists of alphanumeric characters, '-', '_' or '.'");
    }
    if (size > SECRET_BYTES_MAX)
        field_error_add(errors, FIELD_TOO_LONG, S("data"), NULL, "may not be more than %u bytes", SECRET_BYTES_MAX);
}

static void validate_update(const struct resource *r, const struct json *object, const struct json *old,
                            struct field_errors *errors)
{
    (void)r;
    kind_check_immutable(errors, S("type"), json_get(object, S("type")), json_get(old, S("type")));
    if (!json_bool_at(old, "immutable", false))
        return;
    if (!json_bool_at(object, "immutable", false))
        field_error_add(errors, FIELD_FORBIDDEN, S("immutable"), NULL, "field is immutable when `immutable` is set");
    const struct json *data = json_get(object, S("data"));
    const struct json *before = json_get(old, S("data"));
    if (!json_equal(data ? data : &json_empty_object, before ? before : &json_empty_object))
        field_error_add(errors, FIELD_FORBIDDEN, S("data"), NULL, "field is immutable when `immutable` is set");
}

static const struct json *data_count(struct arena *a, const struct json *object)
{
    return json_int(a, (int64_t)json_count(json_get(object, S("data"))));
}

static const struct resource_strategy strategy = {
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .validate = validate,
    .validate_update = validate_update,
};

const struct kind_code kind_secret = {
    .strategy = &strategy,
    .check_name = names_check_dns1123_subdomain,
    .cells = { { "data-count", data_count } },
};
