/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One schema per kind, written as YAML beside the kind's code and embedded at build, drives pruning, defaulting,
 * validation, OpenAPI and table columns. Its language is that of CustomResourceDefinition's openAPIV3Schema: type,
 * properties, required, default, enum, minimum, maximum, minLength, maxLength, pattern, format (int32, int64,
 * date-time), items, minItems, maxItems, additionalProperties, maxProperties, nullable, description,
 * x-kubernetes-int-or-string, x-kubernetes-preserve-unknown-fields, x-kubernetes-list-type, -list-map-keys, -map-type.
 * format: quantity checks a resource.Quantity.
 *
 * A schema is immutable after it was loaded; any thread may use it.
 */
#ifndef SCHEMA_SCHEMA_H
#define SCHEMA_SCHEMA_H

#include "base/error.h"
#include "meta/status.h"
#include "json/json.h"
#include "json/json_parse.h"

struct schema;

/* node: an openAPIV3Schema object. The schema and everything in it live in the arena. Unknown keywords are an error. */
int schema_compile(struct arena *a, const struct json *node, struct schema **ret, struct error *err) MUST_USE;
/* The document that it was compiled from, for OpenAPI. */
const struct json *schema_document(const struct schema *s);

/*
 * Removes what the schema does not know and notes each: `unknown field "spec.x"`. apiVersion, kind and metadata at the
 * root are left alone (metadata has its own fixed schema, checked by the handlers).
 */
const struct json *schema_prune(struct arena *a, const struct schema *s, const struct json *value,
                                struct json_notes *notes);
/* Fills defaults of absent (and of null, not nullable) fields. */
const struct json *schema_default(struct arena *a, const struct schema *s, const struct json *value);
/* path is the prefix of field names ("" or "spec"). */
void schema_validate(const struct schema *s, str path, const struct json *value, struct field_errors *errors);

#endif
