/* SPDX-License-Identifier: Apache-2.0 */
/* PartialObjectMetadata(List): what garbage collectors and metadata informers read. */
#include "handlers/internal.h"

static const struct json *api_version(struct arena *a, bool is_v1beta1)
{
    return json_string(a, is_v1beta1 ? S("meta.k8s.io/v1beta1") : S("meta.k8s.io/v1"));
}

const struct json *partial_tree(struct arena *a, bool is_v1beta1, const struct json *object)
{
    return JSON_OBJECT_OF(a, JSON_MEMBER("kind", json_string(a, S("PartialObjectMetadata"))),
                          JSON_MEMBER("apiVersion", api_version(a, is_v1beta1)),
                          JSON_MEMBER("metadata", json_get(object, S("metadata"))));
}

const struct json *partial_list_tree(struct arena *a, bool is_v1beta1, const struct json *const *objects, size_t count,
                                     const struct json *metadata)
{
    const struct json **items = arena_array_of(a, const struct json *, count + 1);
    for (size_t i = 0; i < count; i++)
        items[i] = partial_tree(a, is_v1beta1, objects[i]);
    return JSON_OBJECT_OF(a, JSON_MEMBER("kind", json_string(a, S("PartialObjectMetadataList"))),
                          JSON_MEMBER("apiVersion", api_version(a, is_v1beta1)), JSON_MEMBER("metadata", metadata),
                          JSON_MEMBER("items", json_array(a, items, count)));
}
