/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI documents from the schemas of the kinds. kubectl takes from them: explain, client-side validation, and from
 * the PATCH operations that the server validates fields itself and which patches it takes. Trees live in the arena.
 * Any thread.
 */
#ifndef OPENAPI_OPENAPI_H
#define OPENAPI_OPENAPI_H

#include "apiserver/resource.h"

struct openapi_source {
    const struct resource_registry *registry;
    const struct json *meta; /* definitions of Kubernetes' own types, from openapi_load_meta */
};

/* Read once for several documents. */
const struct json *openapi_load_meta(struct arena *a);

/* The OpenAPI 3.0 document of one group version; internal resources never show. */
const struct json *openapi_v3(struct arena *a, const struct openapi_source *source, str group, str version);
/* The Swagger 2.0 document of all groups. */
const struct json *openapi_v2(struct arena *a, const struct openapi_source *source);
/* The definitions of that document as gnostic's openapi.v2.Document in protobuf. */
str openapi_v2_protobuf(struct arena *a, const struct json *v2);

#endif
