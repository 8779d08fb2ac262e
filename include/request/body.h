/* SPDX-License-Identifier: Apache-2.0 */
/* From the bytes of a request to a tree: content type, size, JSON or YAML. */
#ifndef REQUEST_BODY_H
#define REQUEST_BODY_H

#include "meta/status.h"
#include "json/json.h"
#include "json/json_parse.h"

struct body_source {
    str bytes;
    str content_type; /* empty: JSON */
    str content_encoding;
    bool is_too_large;
};

/* NULL, or the Status: 413, 415, 400. notes gets duplicate fields. An empty body gives *ret = NULL. */
struct status *body_decode(struct arena *a, const struct body_source *source, struct json_notes *notes,
                           const struct json **ret);

/* 413 and unsupported encodings only, for bodies with content types of their own (patches). */
struct status *body_check(struct arena *a, const struct body_source *source);

/* The 415 of a body whose type is none of `accepted`. */
struct status *body_unsupported(struct arena *a, const char *accepted);

#endif
