/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled schema node and the paths of its walkers; shared by the files of this folder only. */
#ifndef SCHEMA_INTERNAL_H
#define SCHEMA_INTERNAL_H

#include <regex.h>

#include "schema/schema.h"

enum schema_type {
    SCHEMA_ANY, /* no type given: only with int-or-string or preserve-unknown-fields */
    SCHEMA_OBJECT,
    SCHEMA_ARRAY,
    SCHEMA_STRING,
    SCHEMA_INTEGER,
    SCHEMA_NUMBER,
    SCHEMA_BOOLEAN,
};

enum schema_format {
    SCHEMA_FORMAT_NONE,
    SCHEMA_FORMAT_INT32,
    SCHEMA_FORMAT_INT64,
    SCHEMA_FORMAT_DATE_TIME,
    SCHEMA_FORMAT_QUANTITY,
    SCHEMA_FORMAT_BYTE,
};

enum schema_list_type { SCHEMA_LIST_ATOMIC, SCHEMA_LIST_SET, SCHEMA_LIST_MAP };

struct schema_property {
    str name;
    const struct schema *schema;
};

struct schema {
    const struct json *document;
    enum schema_type type;
    enum schema_format format;
    enum schema_list_type list_type;
    bool is_nullable;
    bool is_int_or_string;
    bool keeps_unknown;
    bool has_defaults;                        /* here or below: otherwise defaulting only has to drop nulls */
    const struct schema_property *properties; /* sorted by name */
    size_t property_count;
    const struct schema *additional; /* additionalProperties */
    const struct schema *items;
    const struct json *required; /* arrays of strings, or NULL */
    const struct json *list_keys;
    const struct json *default_value;
    const struct json *enumeration;
    const struct json *minimum, *maximum; /* numbers, or NULL */
    int64_t min_length, max_length;       /* characters; -1: no bound. The same for the next two pairs */
    int64_t min_items, max_items;
    int64_t min_properties, max_properties;
    str pattern_text;
    const regex_t *pattern;
};

/* Where a walker stands; on its stack, rendered only when something is to be said. */
struct schema_path {
    const struct schema_path *up;
    enum { SCHEMA_PATH_ROOT, SCHEMA_PATH_FIELD, SCHEMA_PATH_KEY, SCHEMA_PATH_INDEX } kind;
    str name; /* the prefix at the root, a field, or a key of a map */
    size_t index;
};

/* `spec.users[0].name`, `spec.parameters[work_mem]`. */
str schema__path_text(struct arena *a, const struct schema_path *path);

const struct schema *schema__property(const struct schema *s, str name);
/* The schema of a member that is no property; NULL: unknown. */
const struct schema *schema__member(const struct schema *s, str name);
/* apiVersion, kind and metadata of the root object have their own rules elsewhere. */
bool schema__is_type_meta(str name);

#endif
