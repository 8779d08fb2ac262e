/* SPDX-License-Identifier: Apache-2.0 */
/* meta.k8s.io Table: the columns of the kind, one row per object; what kubectl get prints. */
#include "base/clock.h"
#include "handlers/internal.h"
#include "meta/rfc3339.h"

static const struct resource_column default_columns[] = {
    { .name = S_INIT("Name"),
      .type = S_INIT("string"),
      .format = S_INIT("name"),
      .path = "metadata.name",
      .description = S_INIT("Name of the object") },
    { .name = S_INIT("Created At"),
      .type = S_INIT("date"),
      .path = "metadata.creationTimestamp",
      .description = S_INIT("When it was created") },
};
static const struct resource_column scale_columns[] = {
    { .name = S_INIT("Name"),
      .type = S_INIT("string"),
      .format = S_INIT("name"),
      .path = "metadata.name",
      .description = S_INIT("Name of the object") },
    { .name = S_INIT("Desired"),
      .type = S_INIT("integer"),
      .path = "spec.replicas",
      .description = S_INIT("Number of desired instances") },
    { .name = S_INIT("Available"),
      .type = S_INIT("integer"),
      .path = "status.replicas",
      .description = S_INIT("Number of observed instances") },
    { .name = S_INIT("Age"),
      .type = S_INIT("date"),
      .path = "metadata.creationTimestamp",
      .description = S_INIT("Time since creation") },
};

static const struct resource_column *columns_of(const struct table_form *form, size_t *ret_count)
{
    if (form->is_scale) {
        *ret_count = ARRAY_LEN(scale_columns);
        return scale_columns;
    }
    *ret_count = form->resource->column_count > 0 ? form->resource->column_count : ARRAY_LEN(default_columns);
    return form->resource->column_count > 0 ? form->resource->columns : default_columns;
}

static const struct json *column_tree(struct arena *a, const struct resource_column *column)
{
    return JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, column->name)),
                          JSON_MEMBER("type", json_string(a, column->type)),
                          JSON_MEMBER("format", json_string(a, column->format)),
                          JSON_MEMBER("description", json_string(a, column->description)),
                          JSON_MEMBER("priority", json_int(a, column->priority)));
}

/* Ages are rendered here, as apiextensions does for columns of type date: kubectl prints cells as they come. */
static const struct json *age_cell(struct arena *a, const struct json *v)
{
    int64_t then;
    if (!json_is(v, JSON_STRING))
        return json_string(a, S("<unknown>"));
    if (!rfc3339_parse(v->text, &then))
        return json_string(a, S("<invalid>"));
    return json_string(a, rfc3339_age(a, clock_realtime_ns() - then));
}

static const struct json *cell(struct arena *a, const struct resource_column *column, const struct json *object)
{
    if (column->cell) {
        const struct json *v = column->cell(a, object);
        return v ? v : json_string(a, (str) { 0 });
    }
    const struct json *v = json_at(object, column->path);
    if (str_eq(column->type, S("date")))
        return age_cell(a, v);
    if (!v || v->type == JSON_NULL)
        return str_eq(column->type, S("string")) ? json_string(a, (str) { 0 }) : &json_null_value;
    if (v->type == JSON_ARRAY || v->type == JSON_OBJECT) /* a column of a container counts it */
        return json_int(a, (int64_t)v->count);
    return v;
}

static const struct json *row(struct arena *a, const struct table_form *form, const struct json *object)
{
    size_t count;
    const struct resource_column *columns = columns_of(form, &count);
    const struct json **cells = arena_array_of(a, const struct json *, count);
    for (size_t i = 0; i < count; i++)
        cells[i] = cell(a, &columns[i], object);
    const struct json *carried = NULL;
    if (form->include == INCLUDE_METADATA)
        carried = partial_tree(a, form->is_v1beta1, object);
    else if (form->include == INCLUDE_OBJECT)
        carried = object;
    return JSON_OBJECT_OF(a, JSON_MEMBER("cells", json_array(a, cells, count)), JSON_MEMBER("object", carried));
}

const struct json *table_form_tree(struct arena *a, const struct table_form *form, const struct json *const *objects,
                                   size_t count, bool with_columns, const struct json *metadata)
{
    size_t column_count;
    const struct resource_column *columns = columns_of(form, &column_count);
    const struct json **definitions = arena_array_of(a, const struct json *, column_count);
    for (size_t i = 0; with_columns && i < column_count; i++)
        definitions[i] = column_tree(a, &columns[i]);
    const struct json **rows = arena_array_of(a, const struct json *, count + 1);
    for (size_t i = 0; i < count; i++)
        rows[i] = row(a, form, objects[i]);
    return JSON_OBJECT_OF(
        a, JSON_MEMBER("kind", json_string(a, S("Table"))),
        JSON_MEMBER("apiVersion", json_string(a, form->is_v1beta1 ? S("meta.k8s.io/v1beta1") : S("meta.k8s.io/v1"))),
        JSON_MEMBER("metadata", metadata ? metadata : &json_empty_object),
        JSON_MEMBER("columnDefinitions", json_array(a, definitions, with_columns ? column_count : 0)),
        JSON_MEMBER("rows", json_array(a, rows, count)));
}

const struct json *table_tree(struct call *c, const struct json *const *objects, size_t count, bool with_columns,
                              const struct json *metadata)
{
    const struct table_form form = {
        .resource = c->resource,
        .is_v1beta1 = c->rep.is_v1beta1,
        .is_scale = str_eq(c->info.subresource, S("scale")),
        .include = c->rep.include,
    };
    return table_form_tree(c->arena, &form, objects, count, with_columns, metadata);
}
