/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the embedded schema.yaml of each kind into a struct resource and joins it with the kind's code. Strict: a key
 * that is misspelt, or a cell that no code offers, is an error, which the unit tests find before anybody else does.
 */
#include "apiserver/resources.h"

#include "resources/kinds.h"
#include "json/json_parse.h"

static const struct {
    const char *file;
    const struct kind_code *code;
} kinds[] = {
    { "postgrescluster/schema.yaml", &kind_postgrescluster },
    { "postgresinstance/schema.yaml", &kind_postgresinstance },
    { "postgresbackup/schema.yaml", &kind_postgresbackup },
    { "namespace/schema.yaml", &kind_namespace },
    { "secret/schema.yaml", &kind_secret },
    { "event/schema.yaml", &kind_event },
    { "record/schema.yaml", &kind_record },
};

struct loading {
    struct arena *arena;
    const struct kind_code *code;
    struct resource *r;
    struct error *err;
};

typedef int (*member_fn)(struct loading *l, const struct json *value);

static int wrong(struct loading *l, const char *what)
{
    return error_set(l->err, ERRC_INVALID, "%s", what);
}

static int load_strings(struct loading *l, const struct json *value, const str **ret, size_t *ret_count)
{
    str *list = arena_array_of(l->arena, str, json_count(value));
    for (size_t i = 0; i < json_count(value); i++)
        list[i] = json_str(json_item(value, i));
    *ret = list;
    *ret_count = json_count(value);
    return json_is(value, JSON_ARRAY) ? 0 : wrong(l, "must be a list");
}

static int on_group(struct loading *l, const struct json *value)
{
    l->r->group = json_str(value);
    return 0;
}

static int on_version(struct loading *l, const struct json *value)
{
    l->r->version = json_str(value);
    return 0;
}

static int on_kind(struct loading *l, const struct json *value)
{
    l->r->kind = json_str(value);
    return 0;
}

static int on_list_kind(struct loading *l, const struct json *value)
{
    l->r->list_kind = json_str(value);
    return 0;
}

static int on_plural(struct loading *l, const struct json *value)
{
    l->r->plural = json_str(value);
    return 0;
}

static int on_singular(struct loading *l, const struct json *value)
{
    l->r->singular = json_str(value);
    return 0;
}

static int on_short_names(struct loading *l, const struct json *value)
{
    return load_strings(l, value, &l->r->short_names, &l->r->short_name_count);
}

static int on_categories(struct loading *l, const struct json *value)
{
    return load_strings(l, value, &l->r->categories, &l->r->category_count);
}

static int load_bool(struct loading *l, const struct json *value, bool *ret)
{
    *ret = json_is(value, JSON_BOOL) && value->boolean;
    return json_is(value, JSON_BOOL) ? 0 : wrong(l, "must be true or false");
}

static int on_namespaced(struct loading *l, const struct json *value)
{
    return load_bool(l, value, &l->r->is_namespaced);
}

static int on_virtual(struct loading *l, const struct json *value)
{
    return load_bool(l, value, &l->r->is_virtual);
}

static int on_internal(struct loading *l, const struct json *value)
{
    return load_bool(l, value, &l->r->is_internal);
}

static int on_status(struct loading *l, const struct json *value)
{
    return load_bool(l, value, &l->r->has_status);
}

static int load_verbs(struct loading *l, const struct json *value, unsigned *ret)
{
    static const char *const names[] = { "get",    "list",  "watch",  "create",
                                         "update", "patch", "delete", "deletecollection" };
    for (size_t i = 0; i < json_count(value); i++) {
        size_t k = 0;
        while (k < ARRAY_LEN(names) && !str_eq_z(json_str(json_item(value, i)), names[k]))
            k++;
        if (k == ARRAY_LEN(names))
            return wrong(l, "names an unknown verb");
        *ret |= 1u << k;
    }
    return 0;
}

static int on_verbs(struct loading *l, const struct json *value)
{
    return load_verbs(l, value, &l->r->verbs);
}

static int on_internal_verbs(struct loading *l, const struct json *value)
{
    return load_verbs(l, value, &l->r->internal_verbs);
}

static int on_selectable(struct loading *l, const struct json *value)
{
    const char **list = arena_array_of(l->arena, const char *, json_count(value));
    for (size_t i = 0; i < json_count(value); i++)
        list[i] = arena_z(l->arena, json_str(json_item(value, i)));
    l->r->selectable_fields = list;
    l->r->selectable_field_count = json_count(value);
    return 0;
}

static int on_scale(struct loading *l, const struct json *value)
{
    l->r->scale_spec_path = arena_z(l->arena, json_str_at(value, "specPath"));
    l->r->scale_status_path = arena_z(l->arena, json_str_at(value, "statusPath"));
    l->r->scale_selector_path = arena_z(l->arena, json_str_at(value, "selectorPath"));
    return json_count(value) == 3 ? 0 : wrong(l, "must have specPath, statusPath and selectorPath");
}

static bool has_only(const struct json *value, const str *names, size_t count)
{
    size_t known = 0;
    for (size_t i = 0; i < count; i++)
        known += json_get(value, names[i]) != NULL;
    return known == json_count(value);
}

static int load_column(struct loading *l, const struct json *value, struct resource_column *column)
{
    static const str names[] = { S_INIT("name"),        S_INIT("type"),     S_INIT("format"), S_INIT("path"),
                                 S_INIT("description"), S_INIT("priority"), S_INIT("cell") };
    if (!has_only(value, names, ARRAY_LEN(names)))
        return wrong(l, "a column has an unknown key");
    *column = (struct resource_column) {
        .name = json_str_at(value, "name"),
        .type = json_str_at(value, "type"),
        .format = json_str_at(value, "format"),
        .description = json_str_at(value, "description"),
        .priority = (int)json_int_at(value, "priority", 0),
    };
    str path = json_str_at(value, "path");
    if (path.len) {
        column->path = arena_z(l->arena, path);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(l->code->cells) && l->code->cells[i].name; i++)
        if (str_eq_z(json_str_at(value, "cell"), l->code->cells[i].name))
            column->cell = l->code->cells[i].fn;
    return column->cell ? 0 : wrong(l, "a column has neither a path nor a known cell");
}

static int on_columns(struct loading *l, const struct json *value)
{
    struct resource_column *columns = arena_array_of(l->arena, struct resource_column, json_count(value));
    for (size_t i = 0; i < json_count(value); i++) {
        int r = load_column(l, json_item(value, i), &columns[i]);
        if (r < 0)
            return r;
    }
    l->r->columns = columns;
    l->r->column_count = json_count(value);
    return 0;
}

static int on_schema(struct loading *l, const struct json *value)
{
    struct schema *s = NULL;
    int r = schema_compile(l->arena, value, &s, l->err);
    l->r->schema = s;
    return r;
}

static int load_action(struct loading *l, const struct json *value, struct resource_action *action)
{
    static const str names[] = { S_INIT("name"), S_INIT("requestKind"), S_INIT("responseKind"), S_INIT("request"),
                                 S_INIT("response") };
    if (!has_only(value, names, ARRAY_LEN(names)))
        return wrong(l, "an action has an unknown key");
    struct schema *request = NULL;
    int r = schema_compile(l->arena, json_get(value, S("request")), &request, l->err);
    if (r < 0)
        return r;
    *action = (struct resource_action) {
        .name = json_str_at(value, "name"),
        .request_kind = json_str_at(value, "requestKind"),
        .response_kind = json_str_at(value, "responseKind"),
        .request_schema = request,
        .response_document = json_get(value, S("response")),
    };
    for (size_t i = 0; i < ARRAY_LEN(l->code->actions) && l->code->actions[i].name; i++)
        if (str_eq_z(action->name, l->code->actions[i].name))
            action->validate = l->code->actions[i].validate;
    struct schema *response = NULL;
    return action->response_document ? schema_compile(l->arena, action->response_document, &response, l->err) : 0;
}

static int on_actions(struct loading *l, const struct json *value)
{
    struct resource_action *actions = arena_array_of(l->arena, struct resource_action, json_count(value));
    for (size_t i = 0; i < json_count(value); i++) {
        int r = load_action(l, json_item(value, i), &actions[i]);
        if (r < 0)
            return error_wrap(l->err, r, "%.*s", STR_ARG(json_str_at(json_item(value, i), "name")));
    }
    l->r->actions = actions;
    l->r->action_count = json_count(value);
    return 0;
}

static const struct {
    const char *name;
    member_fn fn;
} members[] = {
    { "group", on_group },
    { "version", on_version },
    { "kind", on_kind },
    { "listKind", on_list_kind },
    { "plural", on_plural },
    { "singular", on_singular },
    { "shortNames", on_short_names },
    { "categories", on_categories },
    { "namespaced", on_namespaced },
    { "virtual", on_virtual },
    { "internal", on_internal },
    { "verbs", on_verbs },
    { "internalVerbs", on_internal_verbs },
    { "status", on_status },
    { "scale", on_scale },
    { "selectableFields", on_selectable },
    { "columns", on_columns },
    { "schema", on_schema },
    { "actions", on_actions },
};

static int load_member(struct loading *l, const struct json_member *m)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (!str_eq_z(m->key, members[i].name))
            continue;
        int r = members[i].fn(l, m->value);
        return r < 0 ? error_wrap(l->err, r, "%.*s", STR_ARG(m->key)) : 0;
    }
    return error_set(l->err, ERRC_INVALID, "unknown key \"%.*s\"", STR_ARG(m->key));
}

static int load_kind(struct arena *a, str yaml, const struct kind_code *code, struct resource *r, struct error *err)
{
    const struct json *document = NULL;
    int result = json_parse_yaml(a, yaml, NULL, &document, err);
    if (result < 0)
        return result;
    struct loading l = { a, code, r, err };
    for (size_t i = 0; i < json_count(document); i++) {
        result = load_member(&l, &document->members[i]);
        if (result < 0)
            return result;
    }
    r->document = document;
    r->strategy = code->strategy;
    r->check_name = code->check_name;
    r->internal_verbs |= r->verbs;
    if (!r->schema || !r->plural.len || !r->singular.len || !r->kind.len || !r->list_kind.len || !r->version.len)
        return error_set(err, ERRC_INVALID, "a name or the schema is missing");
    return 0;
}

int resources_load(struct arena *a, const struct resources_options *options, struct resource ***ret, size_t *ret_count,
                   struct error *err)
{
    struct resource **list = arena_array_of(a, struct resource *, ARRAY_LEN(kinds));
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct resource *r = arena_new_of(a, struct resource);
        int result = load_kind(a, embedded_find(kind_files, str_from(kinds[i].file)), kinds[i].code, r, err);
        if (result < 0)
            return error_wrap(err, result, "%s", kinds[i].file);
        r->environment = options->environment;
        if (r->group.len || options->has_core_kinds)
            list[count++] = r;
    }
    *ret = list;
    *ret_count = count;
    return 0;
}
