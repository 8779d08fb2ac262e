/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Label and field selectors in their text syntax (apimachinery labels.Parse, fields.ParseSelector).
 */
#ifndef META_SELECTOR_H
#define META_SELECTOR_H

#include "base/error.h"
#include "json/json.h"

enum selector_operator {
    SELECTOR_EQUALS,
    SELECTOR_NOT_EQUALS,
    SELECTOR_IN,
    SELECTOR_NOT_IN,
    SELECTOR_EXISTS,
    SELECTOR_NOT_EXISTS,
    SELECTOR_GREATER, /* k>5: the label must be a whole number */
    SELECTOR_LESS,
};

struct selector_requirement {
    str key;
    enum selector_operator op;
    const str *values;
    size_t value_count;
};

struct selector {
    const struct selector_requirement *requirements; /* all must hold */
    size_t count;
};

struct label {
    str key, value;
};

/* ERRC_INVALID with a text for the client. An empty text selects everything. */
int selector_parse_labels(struct arena *a, str text, struct selector *ret, struct error *err) MUST_USE;
int selector_parse_fields(struct arena *a, str text, struct selector *ret, struct error *err) MUST_USE;

bool selector_matches(const struct selector *s, const struct label *labels, size_t count);

#endif
