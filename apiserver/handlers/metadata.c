/* SPDX-License-Identifier: Apache-2.0 */
/* ObjectMeta: reading, writing back in one order, and the rules that hold for every kind (apimachinery validation). */
#include "base/clock.h"
#include "base/limits.h"
#include "handlers/internal.h"
#include "meta/names.h"
#include "meta/rfc3339.h"

enum shape { SHAPE_STRING, SHAPE_NUMBER, SHAPE_STRING_MAP, SHAPE_STRINGS, SHAPE_OWNERS, SHAPE_DROPPED };

static const struct {
    str name;
    enum shape shape;
} known[] = {
    [META_NAME] = { S_INIT("name"), SHAPE_STRING },
    [META_GENERATE_NAME] = { S_INIT("generateName"), SHAPE_STRING },
    [META_NAMESPACE] = { S_INIT("namespace"), SHAPE_STRING },
    [META_UID] = { S_INIT("uid"), SHAPE_STRING },
    [META_RESOURCE_VERSION] = { S_INIT("resourceVersion"), SHAPE_STRING },
    [META_GENERATION] = { S_INIT("generation"), SHAPE_NUMBER },
    [META_CREATION_TIMESTAMP] = { S_INIT("creationTimestamp"), SHAPE_STRING },
    [META_DELETION_TIMESTAMP] = { S_INIT("deletionTimestamp"), SHAPE_STRING },
    [META_DELETION_GRACE] = { S_INIT("deletionGracePeriodSeconds"), SHAPE_NUMBER },
    [META_LABELS] = { S_INIT("labels"), SHAPE_STRING_MAP },
    [META_ANNOTATIONS] = { S_INIT("annotations"), SHAPE_STRING_MAP },
    [META_OWNER_REFERENCES] = { S_INIT("ownerReferences"), SHAPE_OWNERS },
    [META_FINALIZERS] = { S_INIT("finalizers"), SHAPE_STRINGS },
    [METADATA_FIELDS] = { S_INIT("managedFields"), SHAPE_DROPPED }, /* nothing here tracks fields */
    [METADATA_FIELDS + 1] = { S_INIT("selfLink"), SHAPE_DROPPED },
};

static struct status *wrong_type(struct arena *a, str field, const char *expected)
{
    return status_new(a, STATUS_BAD_REQUEST, "the object provided is unrecognized: metadata.%.*s: must be %s",
                      STR_ARG(field), expected);
}

static bool are_strings(const struct json *v)
{
    for (size_t i = 0; i < v->count; i++) {
        const struct json *item = v->type == JSON_ARRAY ? v->items[i] : v->members[i].value;
        if (item->type != JSON_STRING)
            return false;
    }
    return true;
}

static struct status *read_owner(struct arena *a, const struct json *owner, size_t index, struct json_notes *notes)
{
    static const struct {
        str name;
        enum json_type type;
    } fields[] = {
        { S_INIT("apiVersion"), JSON_STRING }, { S_INIT("kind"), JSON_STRING },
        { S_INIT("name"), JSON_STRING },       { S_INIT("uid"), JSON_STRING },
        { S_INIT("controller"), JSON_BOOL },   { S_INIT("blockOwnerDeletion"), JSON_BOOL },
    };
    if (!json_is(owner, JSON_OBJECT))
        return wrong_type(a, S("ownerReferences"), "an array of objects");
    for (size_t i = 0; i < owner->count; i++) {
        const struct json_member *m = &owner->members[i];
        size_t k = 0;
        while (k < ARRAY_LEN(fields) && !str_eq(fields[k].name, m->key))
            k++;
        if (k == ARRAY_LEN(fields))
            json_notes_add(
                a, notes,
                arena_printf(a, "unknown field \"metadata.ownerReferences[%zu].%.*s\"", index, STR_ARG(m->key)));
        else if (m->value->type != fields[k].type && m->value->type != JSON_NULL)
            return wrong_type(a, arena_printf(a, "ownerReferences[%zu].%.*s", index, STR_ARG(m->key)),
                              fields[k].type == JSON_BOOL ? "a boolean" : "a string");
    }
    return NULL;
}

static struct status *read_field(struct arena *a, size_t field, const struct json *v, struct json_notes *notes)
{
    str name = known[field].name;
    switch (known[field].shape) {
    case SHAPE_STRING: return v->type == JSON_STRING ? NULL : wrong_type(a, name, "a string");
    case SHAPE_NUMBER: return v->type == JSON_NUMBER ? NULL : wrong_type(a, name, "a number");
    case SHAPE_STRING_MAP:
        return v->type == JSON_OBJECT && are_strings(v) ? NULL : wrong_type(a, name, "a map of strings");
    case SHAPE_STRINGS:
        return v->type == JSON_ARRAY && are_strings(v) ? NULL : wrong_type(a, name, "an array of strings");
    case SHAPE_OWNERS: break;
    case SHAPE_DROPPED: return NULL;
    }
    if (v->type != JSON_ARRAY)
        return wrong_type(a, name, "an array of objects");
    for (size_t i = 0; i < v->count; i++) {
        struct status *fail = read_owner(a, v->items[i], i, notes);
        if (fail)
            return fail;
    }
    return NULL;
}

/* Empty containers and strings are as absent ones (omitempty). */
static bool is_empty_value(const struct json *v)
{
    return ((v->type == JSON_ARRAY || v->type == JSON_OBJECT) && v->count == 0) ||
           (v->type == JSON_STRING && str_is_empty(v->text));
}

struct status *metadata_read(struct arena *a, const struct json *object, struct json_notes *notes, struct metadata *ret)
{
    *ret = (struct metadata) { 0 };
    const struct json *tree = json_get(object, S("metadata"));
    if (!tree || tree->type == JSON_NULL)
        return NULL;
    if (tree->type != JSON_OBJECT)
        return status_new(a, STATUS_BAD_REQUEST, "the object provided is unrecognized: metadata: must be an object");
    for (size_t i = 0; i < tree->count; i++) {
        const struct json_member *m = &tree->members[i];
        size_t field = 0;
        while (field < ARRAY_LEN(known) && !str_eq(known[field].name, m->key))
            field++;
        if (field == ARRAY_LEN(known)) {
            json_notes_add(a, notes, arena_printf(a, "unknown field \"metadata.%.*s\"", STR_ARG(m->key)));
            continue;
        }
        if (m->value->type == JSON_NULL)
            continue;
        struct status *fail = read_field(a, field, m->value, notes);
        if (fail)
            return fail;
        if (field < METADATA_FIELDS && !is_empty_value(m->value))
            ret->fields[field] = m->value;
    }
    return NULL;
}

const struct json *metadata_tree(struct arena *a, const struct metadata *m)
{
    struct json_member members[METADATA_FIELDS];
    for (size_t i = 0; i < METADATA_FIELDS; i++)
        members[i] = (struct json_member) { known[i].name, m->fields[i] };
    return json_object(a, members, METADATA_FIELDS);
}

/* ---- validation ----------------------------------------------------------------------------------------------- */

static void check_labels(const struct json *labels, struct field_errors *errors)
{
    for (size_t i = 0; i < json_count(labels); i++) {
        const struct json_member *m = &labels->members[i];
        const char *problem = names_check_qualified(m->key);
        if (problem)
            field_error_add(errors, FIELD_INVALID, S("metadata.labels"), json_string(errors->arena, m->key), "%s",
                            problem);
        problem = names_check_label_value(json_str(m->value));
        if (problem)
            field_error_add(errors, FIELD_INVALID, S("metadata.labels"), m->value, "%s", problem);
    }
}

static void check_annotations(const struct json *annotations, struct field_errors *errors)
{
    size_t total = 0;
    for (size_t i = 0; i < json_count(annotations); i++) {
        const struct json_member *m = &annotations->members[i];
        total += m->key.len + json_str(m->value).len;
        const char *problem = names_check_qualified(m->key);
        if (problem)
            field_error_add(errors, FIELD_INVALID, S("metadata.annotations"), json_string(errors->arena, m->key), "%s",
                            problem);
    }
    if (total > LIMIT_ANNOTATIONS_BYTES)
        field_error_add(errors, FIELD_TOO_LONG, S("metadata.annotations"), NULL, "may not be more than %u bytes",
                        LIMIT_ANNOTATIONS_BYTES);
}

static void check_owners(const struct json *owners, struct field_errors *errors)
{
    static const str required[] = { S_INIT("apiVersion"), S_INIT("kind"), S_INIT("name"), S_INIT("uid") };
    size_t controllers = 0;
    for (size_t i = 0; i < json_count(owners); i++) {
        const struct json *owner = owners->items[i];
        for (size_t k = 0; k < ARRAY_LEN(required); k++)
            if (str_is_empty(json_str(json_get(owner, required[k]))))
                field_error_add(
                    errors, FIELD_REQUIRED,
                    arena_printf(errors->arena, "metadata.ownerReferences[%zu].%.*s", i, STR_ARG(required[k])), NULL,
                    "must not be empty");
        controllers += json_bool_at(owner, "controller", false);
    }
    if (controllers > 1)
        field_error_add(errors, FIELD_INVALID, S("metadata.ownerReferences"), owners,
                        "Only one reference can have Controller set to true");
}

void metadata_validate(const struct resource *r, const struct metadata *m, struct field_errors *errors)
{
    const struct json *name = m->fields[META_NAME];
    const char *problem = r->check_name ? r->check_name(json_str(name)) : names_check_dns1123_subdomain(json_str(name));
    if (!name)
        field_error_add(errors, FIELD_REQUIRED, S("metadata.name"), NULL, "name or generateName is required");
    else if (problem)
        field_error_add(errors, FIELD_INVALID, S("metadata.name"), name, "%s", problem);
    check_labels(m->fields[META_LABELS], errors);
    check_annotations(m->fields[META_ANNOTATIONS], errors);
    check_owners(m->fields[META_OWNER_REFERENCES], errors);
    const struct json *finalizers = m->fields[META_FINALIZERS];
    for (size_t i = 0; i < json_count(finalizers); i++) {
        problem = names_check_qualified(json_str(finalizers->items[i]));
        if (problem)
            field_error_add(errors, FIELD_INVALID, S("metadata.finalizers"), finalizers->items[i], "%s", problem);
    }
}

/* ---- finalizers and deletion ------------------------------------------------------------------------------------ */

size_t metadata_finalizers(const struct metadata *m)
{
    return json_count(m->fields[META_FINALIZERS]);
}

bool metadata_has_finalizer(const struct metadata *m, str finalizer)
{
    const struct json *list = m->fields[META_FINALIZERS];
    for (size_t i = 0; i < json_count(list); i++)
        if (str_eq(json_str(list->items[i]), finalizer))
            return true;
    return false;
}

void metadata_set_finalizer(struct arena *a, struct metadata *m, str finalizer, bool wanted)
{
    if (metadata_has_finalizer(m, finalizer) == wanted)
        return;
    const struct json *old = m->fields[META_FINALIZERS];
    const struct json **items = arena_array_of(a, const struct json *, json_count(old) + 1);
    size_t n = 0;
    for (size_t i = 0; i < json_count(old); i++)
        if (!str_eq(json_str(old->items[i]), finalizer))
            items[n++] = old->items[i];
    if (wanted)
        items[n++] = json_string(a, finalizer);
    m->fields[META_FINALIZERS] = n > 0 ? json_array(a, items, n) : NULL;
}

void metadata_mark_deleting(struct arena *a, struct metadata *m)
{
    int64_t generation = 0;
    if (json_to_int(m->fields[META_GENERATION], &generation)) /* kinds of v1 have none */
        m->fields[META_GENERATION] = json_int(a, generation + 1);
    m->fields[META_DELETION_TIMESTAMP] = json_string(a, rfc3339_seconds(a, clock_realtime_ns()));
    m->fields[META_DELETION_GRACE] = json_int(a, 0);
}
