/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to tree. Limits: depth and number of values (base/limits.h); strict UTF-8 (RFC 3629: no overlong
 * forms, no surrogates); lone surrogate escapes are refused. A duplicate key is no error here: the last
 * one wins, as in Go, and its path is reported for strict field validation.
 */
#ifndef JSON_JSON_PARSE_H
#define JSON_JSON_PARSE_H

#include "base/error.h"
#include "json/json.h"

/* Texts that a decoder noticed but did not refuse: `duplicate field "spec.x"`. */
struct json_notes {
    str *texts;
    size_t count, cap; /* capped at 64 */
};

/*
 * The whole text must be one value. notes may be NULL. ERRC_INVALID with line-independent text
 * ("invalid JSON at byte 17: …"), also for nesting beyond LIMIT_JSON_DEPTH; ERRC_TOO_LARGE beyond LIMIT_JSON_VALUES.
 * The tree does not point into text.
 */
int json_parse(struct arena *a, str text, struct json_notes *notes, const struct json **ret, struct error *err)
    MUST_USE;

/*
 * YAML 1.1 as Kubernetes reads it (sigs.k8s.io/yaml): one document to the same tree; anchors and tags are
 * refused; plain scalars become null, bool, number or string; non-string keys become strings.
 */
int json_parse_yaml(struct arena *a, str text, struct json_notes *notes, const struct json **ret, struct error *err)
    MUST_USE;

void json_notes_add(struct arena *a, struct json_notes *notes, str text);

#endif
