/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables between JSON objects and C structs: one table reads and writes a struct, so that specs and protocol
 * messages are neither taken apart nor put together by hand.
 *
 *     struct disk { str name; int64_t size; };
 *     static const struct json_field disk_list[] = {
 *         JSON_FIELD_STR(struct disk, name, "name", JSON_FIELD_REQUIRED),
 *         JSON_FIELD_INT(struct disk, size, "size", 0),
 *     };
 *     static const struct json_fields disk_fields = JSON_FIELDS(struct disk, disk_list, 0);
 *
 * The macros check the C type of the member when they are compiled.
 */
#ifndef JSON_JSON_FIELDS_H
#define JSON_JSON_FIELDS_H

#include "base/error.h"
#include "json/json.h"

enum json_field_kind {
    JSON_KIND_STR,     /* str */
    JSON_KIND_BOOL,    /* bool */
    JSON_KIND_INT,     /* int64_t; 1.0 is an integer, 1.5 is an error */
    JSON_KIND_DOUBLE,  /* double */
    JSON_KIND_JSON,    /* const struct json *: any value as it is; NULL when absent */
    JSON_KIND_OBJECT,  /* a struct inside the struct */
    JSON_KIND_POINTER, /* a pointer to a struct; NULL when absent */
    JSON_KIND_ARRAY,   /* a pointer to structs, and a size_t beside it */
    JSON_KIND_STRINGS, /* a pointer to str, and a size_t beside it */
};

enum json_field_flag {
    JSON_FIELD_REQUIRED = 1,   /* decode: absent or null is an error */
    JSON_FIELD_OMIT_EMPTY = 2, /* encode: left out when "", 0, false, {} or [] */
};

struct json_fields;

struct json_field {
    const char *name;
    enum json_field_kind kind;
    unsigned flags; /* of enum json_field_flag */
    size_t offset;
    size_t count_offset;              /* of the size_t beside an array */
    const struct json_fields *fields; /* of the struct inside */
};

enum json_fields_flag {
    JSON_FIELDS_STRICT = 1, /* decode: a member that the table does not have is an error */
};

struct json_fields {
    const struct json_field *list;
    size_t count;
    size_t size; /* of the struct */
    unsigned flags;
};

#define JSON_FIELDS(type, array, flags_)                                                                               \
    {                                                                                                                  \
        .list = (array), .count = sizeof(array) / sizeof((array)[0]), .size = sizeof(type), .flags = (flags_)          \
    }

/* The offset of a member of exactly that type; anything else does not compile. */
#define JSON__OFFSET(type, member, wanted) _Generic(((type *)0)->member, wanted : offsetof(type, member))
#define JSON__FIELD(kind_, name_, flags_, ...)                                                                         \
    {                                                                                                                  \
        .name = (name_), .kind = (kind_), .flags = (flags_), __VA_ARGS__                                               \
    }

#define JSON_FIELD_STR(type, member, name, flags)                                                                      \
    JSON__FIELD(JSON_KIND_STR, name, flags, .offset = JSON__OFFSET(type, member, str))
#define JSON_FIELD_BOOL(type, member, name, flags)                                                                     \
    JSON__FIELD(JSON_KIND_BOOL, name, flags, .offset = JSON__OFFSET(type, member, bool))
#define JSON_FIELD_INT(type, member, name, flags)                                                                      \
    JSON__FIELD(JSON_KIND_INT, name, flags, .offset = JSON__OFFSET(type, member, int64_t))
#define JSON_FIELD_DOUBLE(type, member, name, flags)                                                                   \
    JSON__FIELD(JSON_KIND_DOUBLE, name, flags, .offset = JSON__OFFSET(type, member, double))
#define JSON_FIELD_JSON(type, member, name, flags)                                                                     \
    JSON__FIELD(JSON_KIND_JSON, name, flags, .offset = JSON__OFFSET(type, member, const struct json *))
#define JSON_FIELD_OBJECT(type, member, name, flags, inside, table)                                                    \
    JSON__FIELD(JSON_KIND_OBJECT, name, flags, .offset = JSON__OFFSET(type, member, inside), .fields = (table))
#define JSON_FIELD_POINTER(type, member, name, flags, inside, table)                                                   \
    JSON__FIELD(JSON_KIND_POINTER, name, flags, .offset = JSON__OFFSET(type, member, inside *), .fields = (table))
#define JSON_FIELD_ARRAY(type, member, count_member, name, flags, inside, table)                                       \
    JSON__FIELD(JSON_KIND_ARRAY, name, flags, .offset = JSON__OFFSET(type, member, inside *),                          \
                .count_offset = JSON__OFFSET(type, count_member, size_t), .fields = (table))
#define JSON_FIELD_STRINGS(type, member, count_member, name, flags)                                                    \
    JSON__FIELD(JSON_KIND_STRINGS, name, flags, .offset = JSON__OFFSET(type, member, str *),                           \
                .count_offset = JSON__OFFSET(type, count_member, size_t))

/*
 * Fills *ret, a struct that the table describes. What is absent or null keeps the value that it has, so that
 * defaults are set before. Texts and JSON values are those of v; structs and arrays lie in the arena.
 * ERRC_INVALID names the dotted path and what was expected: `storage.disks[1].size: expected an integer, found
 * a string`; *ret is partly filled then.
 */
int json_fields_decode(struct arena *a, const struct json *v, const struct json_fields *fields, void *ret,
                       struct error *err) MUST_USE;

/* The object, its members in the order of the table. Texts are not copied. NULL pointers are left out. */
const struct json *json_fields_encode(struct arena *a, const struct json_fields *fields, const void *from);

#endif
