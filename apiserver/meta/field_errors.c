/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of validation: collected one by one, worded as apimachinery's field.Error, answered as one 422. */
#include <stdarg.h>

#include "base/strbuf.h"
#include "base/utf8.h"
#include "meta/status.h"
#include "json/json_write.h"

#define ERRORS_MAX 64
/* A bad value is quoted up to here: enough to recognise it, too little to flood the answer. */
#define VALUE_TEXT_MAX 1024

static const struct {
    const char *body;
    const char *reason;
    bool shows_value;
} types[] = {
    [FIELD_REQUIRED] = { "Required value", "FieldValueRequired", false },
    [FIELD_INVALID] = { "Invalid value", "FieldValueInvalid", true },
    [FIELD_NOT_SUPPORTED] = { "Unsupported value", "FieldValueNotSupported", true },
    [FIELD_DUPLICATE] = { "Duplicate value", "FieldValueDuplicate", true },
    [FIELD_FORBIDDEN] = { "Forbidden", "FieldValueForbidden", false },
    [FIELD_TYPE_INVALID] = { "Invalid value", "FieldValueTypeInvalid", true },
    [FIELD_TOO_LONG] = { "Too long", "FieldValueTooLong", false },
    [FIELD_TOO_MANY] = { "Too many", "FieldValueTooMany", true },
    [FIELD_NOT_FOUND] = { "Not found", "FieldValueNotFound", true },
};

void field_errors_init(struct field_errors *errors, struct arena *a)
{
    *errors = (struct field_errors) { .arena = a };
}

/* What is too long is cut: a text between two characters, anything else between two tokens. */
static void add_value(struct strbuf *out, const struct json *value)
{
    STRBUF_AUTO text = STRBUF_INIT(8 * VALUE_TEXT_MAX);
    bool is_cut = json_is(value, JSON_STRING) && value->text.len > VALUE_TEXT_MAX;
    if (is_cut) {
        str start = str_first(value->text, VALUE_TEXT_MAX);
        while (start.len && !utf8_is_valid(start))
            start.len--;
        json_write_string(&text, start);
    } else {
        json_write(&text, value);
    }
    strbuf_addf(out, ": %.*s%s", STR_ARG(strbuf_str(&text)), is_cut || text.is_full ? "\xE2\x80\xA6" : "");
}

static struct field_error *next_error(struct field_errors *errors)
{
    if (errors->count == ERRORS_MAX)
        return NULL;
    if (errors->count == errors->cap) {
        errors->cap = errors->cap ? errors->cap * 2 : 4;
        struct field_error *bigger = arena_array_of(errors->arena, struct field_error, errors->cap);
        if (errors->count)
            memcpy(bigger, errors->items, errors->count * sizeof(*bigger));
        errors->items = bigger;
    }
    return &errors->items[errors->count++];
}

void field_error_add(struct field_errors *errors, enum field_error_type type, str field, const struct json *value,
                     const char *detail_fmt, ...)
{
    struct field_error *e = next_error(errors);
    if (!e)
        return;
    STRBUF_AUTO body = STRBUF_INIT(16 * VALUE_TEXT_MAX);
    strbuf_add(&body, str_from(types[type].body));
    if (value && types[type].shows_value)
        add_value(&body, value);
    size_t before = body.len;
    strbuf_add(&body, S(": "));
    va_list args;
    va_start(args, detail_fmt);
    strbuf_vaddf(&body, detail_fmt, args);
    va_end(args);
    str message = strbuf_str(&body);
    if (body.len == before + 2)
        message.len = before;
    e->type = type;
    e->field = arena_str(errors->arena, field.len ? field : S("<nil>"));
    e->message = arena_str(errors->arena, message);
}

static bool is_repeated(const struct field_errors *errors, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (str_eq(errors->items[i].field, errors->items[j].field) &&
            str_eq(errors->items[i].message, errors->items[j].message))
            return true;
    return false;
}

/* "field: body", or "[field: body, field: body]"; what was said is not said again. */
static void add_all(struct strbuf *out, const struct field_errors *errors)
{
    size_t said = 0, start = out->len;
    for (size_t i = 0; i < errors->count; i++) {
        if (is_repeated(errors, i))
            continue;
        strbuf_addf(out, "%s%.*s: %.*s", said++ ? ", " : "", STR_ARG(errors->items[i].field),
                    STR_ARG(errors->items[i].message));
    }
    if (said < 2)
        return;
    STRBUF_AUTO list = STRBUF_INIT(out->max);
    strbuf_add(&list, str_from_offset(strbuf_str(out), start));
    out->len = start;
    strbuf_addf(out, "[%.*s]", STR_ARG(strbuf_str(&list)));
}

struct status *field_errors_to_status(const struct field_errors *errors, str group, str kind, str name)
{
    if (errors->count == 0)
        return NULL;
    struct arena *a = errors->arena;
    STRBUF_AUTO text = STRBUF_INIT(2u << 20);
    strbuf_addf(&text, "%.*s%s%.*s \"%.*s\" is invalid: ", STR_ARG(kind), group.len ? "." : "", STR_ARG(group),
                STR_ARG(name));
    add_all(&text, errors);
    struct status *s = status_new(a, STATUS_INVALID, "%.*s", STR_ARG(strbuf_str(&text)));
    s->group = arena_str(a, group);
    s->kind = arena_str(a, kind);
    s->name = arena_str(a, name);
    for (size_t i = 0; i < errors->count; i++) {
        const struct field_error *e = &errors->items[i];
        status_add_cause(a, s, str_from(types[e->type].reason), e->field, e->message);
    }
    return s;
}
