/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the documents together. */
#include "internal.h"

#include <stdlib.h>

#include "base/log.h"
#include "json/json_parse.h"

/* meta.yaml is part of the program and tested: that it does not parse cannot happen at run time. */
const struct json *openapi_load_meta(struct arena *a)
{
    struct error err;
    const struct json *meta = NULL;
    if (json_parse_yaml(a, embedded_find(openapi_files, S("openapi/meta.yaml")), NULL, &meta, &err) < 0) {
        log_error("openapi/meta.yaml does not parse", LOG_ERROR(&err));
        abort();
    }
    return meta;
}

static void begin(struct openapi *o, struct arena *a, const struct openapi_source *source, bool is_v3)
{
    *o = (struct openapi) { .arena = a, .is_v3 = is_v3, .meta = source->meta };
    json_builder_init(&o->definitions, a);
    json_builder_init(&o->paths, a);
}

static void add_group(struct openapi *o, const struct resource_registry *reg, str group, str version)
{
    openapi__add_discovery_path(o, group, version);
    for (size_t i = 0; i < reg->count; i++) {
        const struct resource *r = reg->resources[i];
        if (r->is_internal || !str_eq(r->group, group) || !str_eq(r->version, version))
            continue;
        openapi__define_resource(o, r);
        openapi__add_paths(o, r);
    }
}

static const struct json *info(struct openapi *o)
{
    return JSON_OBJECT_OF(o->arena, JSON_MEMBER("title", openapi__text(o, S("postgres-apiserver"))),
                          JSON_MEMBER("version", openapi__text(o, S("v" PROJECT_VERSION))));
}

const struct json *openapi_v3(struct arena *a, const struct openapi_source *source, str group, str version)
{
    struct openapi o;
    begin(&o, a, source, true);
    add_group(&o, source->registry, group, version);
    openapi__define_meta(&o);
    const struct json *components = JSON_OBJECT_OF(a, JSON_MEMBER("schemas", json_builder_object(&o.definitions)));
    return JSON_OBJECT_OF(a, JSON_MEMBER("openapi", openapi__text(&o, S("3.0.0"))), JSON_MEMBER("info", info(&o)),
                          JSON_MEMBER("paths", json_builder_object(&o.paths)), JSON_MEMBER("components", components));
}

static bool is_first_of_group(const struct resource_registry *reg, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (!reg->resources[k]->is_internal && str_eq(reg->resources[k]->group, reg->resources[i]->group))
            return false;
    return !reg->resources[i]->is_internal;
}

const struct json *openapi_v2(struct arena *a, const struct openapi_source *source)
{
    const struct resource_registry *reg = source->registry;
    struct openapi o;
    begin(&o, a, source, false);
    for (size_t i = 0; i < reg->count; i++)
        if (is_first_of_group(reg, i))
            add_group(&o, reg, reg->resources[i]->group, reg->resources[i]->version);
    openapi__define_meta(&o);
    return JSON_OBJECT_OF(a, JSON_MEMBER("swagger", openapi__text(&o, S("2.0"))), JSON_MEMBER("info", info(&o)),
                          JSON_MEMBER("paths", json_builder_object(&o.paths)),
                          JSON_MEMBER("definitions", json_builder_object(&o.definitions)));
}
