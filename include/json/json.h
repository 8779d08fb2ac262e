/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An immutable JSON value in an arena. Objects keep the order of their members and get a sorted index
 * above a handful, so that look-ups stay cheap; numbers keep their text (RFC 8259 sets no range; 64-bit
 * integers and 0.1 must survive); strings carry a length and may contain U+0000.
 *
 * There are no setters: an edit gives a new root that shares everything it did not touch. Values may be
 * shared by threads as long as their arena lives.
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json;

struct json_member {
    str key;
    const struct json *value;
};

struct json {
    enum json_type type;
    bool boolean;
    str text;     /* JSON_STRING: the characters; JSON_NUMBER: its text */
    size_t count; /* JSON_ARRAY, JSON_OBJECT */
    union {
        const struct json *const *items;   /* JSON_ARRAY */
        const struct json_member *members; /* JSON_OBJECT, in order, keys unique */
    };
    const uint32_t *index; /* JSON_OBJECT above 8 members: positions sorted by key; else NULL */
};

extern const struct json json_null_value, json_true_value, json_false_value, json_empty_object, json_empty_array;

/* Makers. Texts are NOT copied: pass literals or texts of the same arena. */
const struct json *json_bool(bool b);
const struct json *json_string(struct arena *a, str text);
const struct json *json_int(struct arena *a, int64_t n);
const struct json *json_double(struct arena *a,
                               double n); /* shortest text that reads back the same; inf and nan: null */
const struct json *json_number_text(struct arena *a, str text); /* text must be a JSON number */
const struct json *json_array(struct arena *a, const struct json *const *items, size_t count);
/* A later member with the same key replaces an earlier one in its place. Members with a NULL value are left out. */
const struct json *json_object(struct arena *a, const struct json_member *members, size_t count);
#define JSON_OBJECT_OF(a, ...)                                                                                         \
    json_object((a), (const struct json_member[]) { __VA_ARGS__ },                                                     \
                sizeof((const struct json_member[]) { __VA_ARGS__ }) / sizeof(struct json_member))
#define JSON_ARRAY_OF(a, ...)                                                                                          \
    json_array((a), (const struct json *const[]) { __VA_ARGS__ },                                                      \
               sizeof((const struct json *const[]) { __VA_ARGS__ }) / sizeof(struct json *))
#define JSON_MEMBER(k, v)                                                                                              \
    {                                                                                                                  \
        .key = S_INIT(k), .value = (v)                                                                                 \
    }

/* Growing builders, for results whose size is not known. */
struct json_builder {
    struct arena *arena;
    struct json_member *members;
    size_t count, cap;
};
void json_builder_init(struct json_builder *b, struct arena *a);
void json_builder_add(struct json_builder *b, str key, const struct json *value); /* NULL value: left out */
const struct json *json_builder_object(struct json_builder *b);
const struct json *json_builder_array(struct json_builder *b); /* keys are ignored */

/* Look-ups. All of them take NULL and wrong types and then give NULL / the default. */
const struct json *json_get(const struct json *object, str key);
/* "spec.storage.size": no escapes; for fixed paths in code, not for user input. */
const struct json *json_at(const struct json *root, const char *dotted);
const struct json *json_item(const struct json *array, size_t i);
size_t json_count(const struct json *v);
static inline bool json_is(const struct json *v, enum json_type type)
{
    return v && v->type == type;
}
str json_str(const struct json *v); /* empty when not a string */
str json_str_at(const struct json *root, const char *dotted);
bool json_bool_at(const struct json *root, const char *dotted, bool fallback);
int64_t json_int_at(const struct json *root, const char *dotted, int64_t fallback);
/* False when not a number, not integral, or beyond int64. 1.0 and 1e3 are integral. */
bool json_to_int(const struct json *v, int64_t *ret);
bool json_to_double(const struct json *v, double *ret);

/* Edits: a new root; value NULL removes. A missing parent object is made. */
const struct json *json_with(struct arena *a, const struct json *object, str key, const struct json *value);
const struct json *json_with_at(struct arena *a, const struct json *root, const char *dotted, const struct json *value);

/* By value: order of members does not count, numbers compare by value (1 == 1.0). */
bool json_equal(const struct json *x, const struct json *y);
/* A deep copy into another arena. */
const struct json *json_copy(struct arena *a, const struct json *v);

#endif
