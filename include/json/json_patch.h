/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 6902 JSON Patch, RFC 7386 Merge Patch and RFC 6901 pointers over immutable trees: the result shares
 * what it did not touch.
 */
#ifndef JSON_JSON_PATCH_H
#define JSON_JSON_PATCH_H

#include "base/error.h"
#include "json/json.h"

/*
 * ERRC_INVALID: the patch is malformed (API: 400). ERRC_CONFLICT: it is well formed but does not apply: a
 * path is missing or a test failed (API: 422). ERRC_TOO_LARGE: above LIMIT_PATCH_OPERATIONS, or copies beyond
 * LIMIT_BODY_BYTES (API: 413). err names the operation by its index.
 */
int json_patch_apply(struct arena *a, const struct json *target, const struct json *patch, const struct json **ret,
                     struct error *err) MUST_USE;

const struct json *json_merge_patch(struct arena *a, const struct json *target, const struct json *patch);

#endif
