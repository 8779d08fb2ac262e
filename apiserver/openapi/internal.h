/* SPDX-License-Identifier: Apache-2.0 */
/* What the generator's files share: a document under construction, in the form of one OpenAPI version. */
#ifndef OPENAPI_INTERNAL_H
#define OPENAPI_INTERNAL_H

#include "base/embed.h"
#include "openapi/openapi.h"

extern const struct embedded_file openapi_files[];

struct openapi {
    struct arena *arena;
    bool is_v3;
    const struct json *meta; /* meta.yaml */
    struct json_builder definitions;
    struct json_builder paths;
};

#define META_TYPES "io.k8s.apimachinery.pkg.apis.meta.v1."
#define SCALE_TYPE "io.k8s.api.autoscaling.v1.Scale"

const struct json *openapi__text(struct openapi *o, str s);
/* {"$ref": …} to a definition. */
const struct json *openapi__ref(struct openapi *o, str definition);
/* "io.example.postgres.v1.PostgresCluster"; no "/" in it: consumers of v2 fail over them. */
str openapi__definition_name(struct arena *a, const struct resource *r, str kind);
const struct json *openapi__gvk(struct openapi *o, str group, str version, str kind);

/* Adds the definitions of the kind, its list and its actions, and of Kubernetes' types. */
void openapi__define_resource(struct openapi *o, const struct resource *r);
void openapi__define_meta(struct openapi *o);
void openapi__add_paths(struct openapi *o, const struct resource *r);
/* GET /apis/<group>/<version>/ */
void openapi__add_discovery_path(struct openapi *o, str group, str version);

#endif
