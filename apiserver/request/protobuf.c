/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol buffers read by tables: one row per field with its number (k8s.io/api/core/v1 and apimachinery meta/v1,
 * generated.proto). The tables bound the depth; zero values are as absent ones, as Go's encoder writes them all.
 */
#include "request/protobuf.h"

#include "base/attr.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "meta/rfc3339.h"

enum form {
    FORM_STRING,
    FORM_BYTES,
    FORM_INT,
    FORM_BOOL,
    FORM_MESSAGE,
    FORM_TIME,
    FORM_MICRO_TIME,
    FORM_MAP,
    FORM_BYTES_MAP
};

struct message;

struct field {
    uint32_t number;
    str name;
    enum form form;
    bool is_repeated;
    const struct message *message;
};

struct message {
    const struct field *fields;
    size_t count;
};

#define MESSAGE(named, ...)                                                                                            \
    static const struct field named##_fields[] = { __VA_ARGS__ };                                                      \
    static const struct message named = { named##_fields, ARRAY_LEN(named##_fields) }
#define F(n, named, how)                                                                                               \
    {                                                                                                                  \
        n, S_INIT(named), how, false, NULL                                                                             \
    }
#define LIST(n, named, how)                                                                                            \
    {                                                                                                                  \
        n, S_INIT(named), how, true, NULL                                                                              \
    }
#define SUB(n, named, of)                                                                                              \
    {                                                                                                                  \
        n, S_INIT(named), FORM_MESSAGE, false, &(of)                                                                   \
    }
#define SUBS(n, named, of)                                                                                             \
    {                                                                                                                  \
        n, S_INIT(named), FORM_MESSAGE, true, &(of)                                                                    \
    }

MESSAGE(owner_reference, F(1, "kind", FORM_STRING), F(3, "name", FORM_STRING), F(4, "uid", FORM_STRING),
        F(5, "apiVersion", FORM_STRING), F(6, "controller", FORM_BOOL), F(7, "blockOwnerDeletion", FORM_BOOL));
MESSAGE(object_meta, F(1, "name", FORM_STRING), F(2, "generateName", FORM_STRING), F(3, "namespace", FORM_STRING),
        F(5, "uid", FORM_STRING), F(6, "resourceVersion", FORM_STRING), F(7, "generation", FORM_INT),
        F(8, "creationTimestamp", FORM_TIME), F(9, "deletionTimestamp", FORM_TIME),
        F(10, "deletionGracePeriodSeconds", FORM_INT), F(11, "labels", FORM_MAP), F(12, "annotations", FORM_MAP),
        SUBS(13, "ownerReferences", owner_reference), LIST(14, "finalizers", FORM_STRING));
MESSAGE(namespace_spec, LIST(1, "finalizers", FORM_STRING));
MESSAGE(namespace_status, F(1, "phase", FORM_STRING));
MESSAGE(namespace_message, SUB(1, "metadata", object_meta), SUB(2, "spec", namespace_spec),
        SUB(3, "status", namespace_status));
MESSAGE(secret_message, SUB(1, "metadata", object_meta), F(2, "data", FORM_BYTES_MAP), F(3, "type", FORM_STRING),
        F(4, "stringData", FORM_MAP), F(5, "immutable", FORM_BOOL));
MESSAGE(object_reference, F(1, "kind", FORM_STRING), F(2, "namespace", FORM_STRING), F(3, "name", FORM_STRING),
        F(4, "uid", FORM_STRING), F(5, "apiVersion", FORM_STRING), F(6, "resourceVersion", FORM_STRING),
        F(7, "fieldPath", FORM_STRING));
MESSAGE(event_source, F(1, "component", FORM_STRING), F(2, "host", FORM_STRING));
MESSAGE(event_message, SUB(1, "metadata", object_meta), SUB(2, "involvedObject", object_reference),
        F(3, "reason", FORM_STRING), F(4, "message", FORM_STRING), SUB(5, "source", event_source),
        F(6, "firstTimestamp", FORM_TIME), F(7, "lastTimestamp", FORM_TIME), F(8, "count", FORM_INT),
        F(9, "type", FORM_STRING), F(10, "eventTime", FORM_MICRO_TIME), F(12, "action", FORM_STRING),
        SUB(13, "related", object_reference), F(14, "reportingComponent", FORM_STRING),
        F(15, "reportingInstance", FORM_STRING));
MESSAGE(preconditions, F(1, "uid", FORM_STRING), F(2, "resourceVersion", FORM_STRING));
MESSAGE(delete_options, F(1, "gracePeriodSeconds", FORM_INT), SUB(2, "preconditions", preconditions),
        F(3, "orphanDependents", FORM_BOOL), F(4, "propagationPolicy", FORM_STRING), LIST(5, "dryRun", FORM_STRING));
MESSAGE(type_meta, F(1, "apiVersion", FORM_STRING), F(2, "kind", FORM_STRING));
MESSAGE(unknown, SUB(1, "typeMeta", type_meta));

static const struct {
    str kind;
    const struct message *message;
} kinds[] = {
    { S_INIT("Namespace"), &namespace_message },
    { S_INIT("Secret"), &secret_message },
    { S_INIT("Event"), &event_message },
    { S_INIT("DeleteOptions"), &delete_options },
};

/* ---- the wire -------------------------------------------------------------------------------------------------------
 */

struct wire {
    uint32_t number;
    bool is_text; /* length-delimited; else number_value */
    str text;
    uint64_t value;
};

static bool take_varint(str *rest, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < rest->len && i < 10; i++) {
        value |= (uint64_t)((unsigned char)rest->ptr[i] & 0x7f) << (7 * i);
        if (((unsigned char)rest->ptr[i] & 0x80) == 0) {
            *rest = str_from_offset(*rest, i + 1);
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool take_fixed(str *rest, size_t len, struct wire *ret)
{
    if (rest->len < len)
        return false;
    ret->value = 0; /* no field of ours is fixed: passed over */
    *rest = str_from_offset(*rest, len);
    return true;
}

static bool take_wire(str *rest, struct wire *ret)
{
    uint64_t tag, len;
    *ret = (struct wire) { 0 };
    if (!take_varint(rest, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
        return false;
    ret->number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case 0: return take_varint(rest, &ret->value);
    case 1: return take_fixed(rest, 8, ret);
    case 5: return take_fixed(rest, 4, ret);
    case 2: break;
    default: return false;
    }
    if (!take_varint(rest, &len) || len > rest->len)
        return false;
    ret->is_text = true;
    ret->text = str_first(*rest, (size_t)len);
    *rest = str_from_offset(*rest, (size_t)len);
    return true;
}

/* ---- messages
 * --------------------------------------------------------------------------------------------------------- */

static bool decode_message(struct arena *a, const struct message *m, str bytes, const struct json **ret);

static bool decode_time(struct arena *a, str bytes, bool is_micro, const struct json **ret)
{
    int64_t seconds = 0, nanos = 0;
    for (struct wire w; bytes.len > 0;) {
        if (!take_wire(&bytes, &w) || w.is_text)
            return false;
        if (w.number == 1)
            seconds = (int64_t)w.value;
        else if (w.number == 2)
            nanos = (int64_t)w.value;
    }
    const int64_t limit = INT64_MAX / NS_PER_S - 1;
    if (seconds > limit || seconds < -limit || nanos < 0 || nanos >= NS_PER_S)
        return false;
    /* Nothing at all is Go's zero time. */
    *ret = NULL;
    if (seconds != 0 || nanos != 0)
        *ret = json_string(a, is_micro ? rfc3339_micros(a, seconds * NS_PER_S + nanos)
                                       : rfc3339_seconds(a, seconds * NS_PER_S));
    return true;
}

/* One entry {1: key, 2: value} put into the map. */
static bool decode_entry(struct arena *a, str bytes, bool is_bytes, const struct json **map)
{
    str key = { 0 }, value = { 0 };
    for (struct wire w; bytes.len > 0;) {
        if (!take_wire(&bytes, &w) || !w.is_text)
            return false;
        if (w.number == 1)
            key = w.text;
        else if (w.number == 2)
            value = w.text;
    }
    if (!utf8_is_valid(key) || (!is_bytes && !utf8_is_valid(value)))
        return false;
    str text = is_bytes ? base64_encode(a, value) : arena_str(a, value);
    *map = json_with(a, *map ? *map : &json_empty_object, arena_str(a, key), json_string(a, text));
    return true;
}

/* *value: what the field holds so far, for maps. NULL afterwards: as absent. */
static bool decode_value(struct arena *a, const struct field *f, const struct wire *w, const struct json **value)
{
    if (w->is_text != (f->form != FORM_INT && f->form != FORM_BOOL))
        return false;
    switch (f->form) {
    case FORM_STRING:
        *value = w->text.len > 0 || f->is_repeated ? json_string(a, arena_str(a, w->text)) : NULL;
        return utf8_is_valid(w->text);
    case FORM_BYTES: *value = json_string(a, base64_encode(a, w->text)); return true;
    case FORM_INT: *value = json_int(a, (int64_t)w->value); return true;
    case FORM_BOOL: *value = json_bool(w->value != 0); return true;
    case FORM_MESSAGE: return decode_message(a, f->message, w->text, value);
    case FORM_TIME: return decode_time(a, w->text, false, value);
    case FORM_MICRO_TIME: return decode_time(a, w->text, true, value);
    case FORM_MAP: return decode_entry(a, w->text, false, value);
    case FORM_BYTES_MAP: return decode_entry(a, w->text, true, value);
    }
    return false;
}

static const struct field *find_field(const struct message *m, uint32_t number)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->fields[i].number == number)
            return &m->fields[i];
    return NULL;
}

#define FIELDS_MAX 16

static bool decode_message(struct arena *a, const struct message *m, str bytes, const struct json **ret)
{
    const struct json *values[FIELDS_MAX] = { 0 };
    struct json_builder lists[FIELDS_MAX];
    for (size_t i = 0; i < m->count; i++)
        json_builder_init(&lists[i], a);
    for (struct wire w; bytes.len > 0;) {
        if (!take_wire(&bytes, &w))
            return false;
        const struct field *f = find_field(m, w.number);
        if (!f)
            continue;
        size_t i = (size_t)(f - m->fields);
        if (!decode_value(a, f, &w, &values[i]))
            return false;
        if (f->is_repeated && values[i])
            json_builder_add(&lists[i], (str) { 0 }, values[i]);
    }
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < m->count; i++) {
        bool is_list = m->fields[i].is_repeated && lists[i].count > 0;
        json_builder_add(&b, m->fields[i].name, is_list ? json_builder_array(&lists[i]) : values[i]);
    }
    *ret = json_builder_object(&b);
    return true;
}

/* ---- the envelope: "k8s\0", then runtime.Unknown{1: TypeMeta, 2: the message}
 * ------------------------------------------- */

static bool find_raw(str bytes, str *ret)
{
    *ret = (str) { 0 };
    for (struct wire w; bytes.len > 0;) {
        if (!take_wire(&bytes, &w))
            return false;
        if (w.number == 2 && w.is_text)
            *ret = w.text;
    }
    return true;
}

int protobuf_decode(struct arena *a, str bytes, const struct json **ret, struct error *err)
{
    static const str magic = { "k8s\0", 4 };
    const struct json *envelope, *tree;
    str raw;
    if (!str_has_prefix(bytes, magic))
        return error_set(err, ERRC_UNSUPPORTED, "no Kubernetes envelope");
    str rest = str_from_offset(bytes, magic.len);
    if (!find_raw(rest, &raw) || !decode_message(a, &unknown, rest, &envelope))
        return error_set(err, ERRC_INVALID, "invalid protobuf: broken envelope");
    const struct json *meta = json_get(envelope, S("typeMeta"));
    str kind = json_str_at(meta, "kind");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!str_eq(kinds[i].kind, kind))
            continue;
        if (!decode_message(a, kinds[i].message, raw, &tree))
            return error_set(err, ERRC_INVALID, "invalid protobuf: broken %.*s", STR_ARG(kind));
        *ret = json_with(a, json_with(a, tree, S("apiVersion"), json_get(meta, S("apiVersion"))), S("kind"),
                         json_get(meta, S("kind")));
        return 0;
    }
    return error_set(err, ERRC_UNSUPPORTED, "\"%.*s\" is not served as protobuf", STR_ARG(str_first(kind, 64)));
}
