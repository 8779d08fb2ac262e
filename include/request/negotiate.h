/* SPDX-License-Identifier: Apache-2.0 */
/* Which form of an answer the client wants (Accept, pretty, Accept-Encoding), and what a body is (Content-Type). */
#ifndef REQUEST_NEGOTIATE_H
#define REQUEST_NEGOTIATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/str.h"

enum media_format { MEDIA_JSON, MEDIA_YAML };

enum transform { TRANSFORM_NONE, TRANSFORM_TABLE, TRANSFORM_PARTIAL, TRANSFORM_PARTIAL_LIST };

/* What rows of a Table carry (query parameter includeObject). */
enum include_object { INCLUDE_METADATA, INCLUDE_NONE, INCLUDE_OBJECT };

struct representation {
    enum media_format format;
    enum transform transform;
    bool is_v1beta1; /* of the transform's apiVersion meta.k8s.io/… */
    bool is_pretty;
    enum include_object include;
};

/* What an endpoint can give beside plain objects. */
struct offer {
    bool table, partial, partial_list, yaml;
};

/* False: nothing of what the client accepts can be given (406). Clauses in order of q, then as written. */
bool negotiate_accept(struct arena *a, str accept, const struct offer *offer, struct representation *ret);

/* Accept-Encoding names gzip (or *) with q > 0. */
bool negotiate_gzip(str accept_encoding);

/* "application/json; charset=utf-8" → "application/json"; compare without regard to case. */
str media_type_base(str content_type);

/* "application/json" or "application/yaml", with the parameters of the transform. */
str representation_content_type(const struct representation *rep);

#endif
