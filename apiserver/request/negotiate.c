/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content negotiation (RFC 9110 §12.5.1) with the parameters as, g and v of Kubernetes. Clauses that cannot be served
 * (protobuf, CBOR, an unknown transform) are passed over; the first that can be wins.
 */
#include "request/negotiate.h"

#include "base/attr.h"

#define CLAUSES_MAX 32

struct clause {
    str type;
    str as, group, version;
    int q; /* thousandths */
    bool is_stream;
    bool is_pretty;
};

/* "0.8" → 800; what is malformed counts as 1. */
static int parse_q(str s)
{
    int q = 0, scale = 1000;
    for (size_t i = 0; i < s.len && scale > 0; i++) {
        if (s.ptr[i] == '.')
            continue;
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return 1000;
        q += (s.ptr[i] - '0') * scale;
        scale /= 10;
    }
    return q > 1000 ? 1000 : q;
}

static str unquote(str s)
{
    if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
        return str_of(s.ptr + 1, s.len - 2);
    return s;
}

static struct clause parse_clause(str text)
{
    struct clause c = { .q = 1000 };
    bool is_first = true;
    for (str rest = text, field; str_next_field(&rest, ';', &field); is_first = false) {
        if (is_first) {
            c.type = str_trim(field);
            continue;
        }
        str key, value;
        (void)str_cut(str_trim(field), '=', &key, &value);
        key = str_trim(key);
        value = unquote(str_trim(value));
        if (str_eq(key, S("q")))
            c.q = parse_q(value);
        else if (str_eq(key, S("as")))
            c.as = value;
        else if (str_eq(key, S("g")))
            c.group = value;
        else if (str_eq(key, S("v")))
            c.version = value;
        else if (str_eq(key, S("stream")))
            c.is_stream = !str_is_empty(value);
        else if (str_eq(key, S("pretty")))
            c.is_pretty = str_eq(value, S("1")) || str_eq(value, S("true"));
    }
    return c;
}

static bool format_of(const struct clause *c, const struct offer *offer, enum media_format *ret)
{
    *ret = MEDIA_JSON;
    if (str_eq(c->type, S("*/*")) || str_eq_nocase(c->type, S("application/*")) ||
        str_eq_nocase(c->type, S("application/json")))
        return true;
    *ret = MEDIA_YAML;
    return offer->yaml && str_eq_nocase(c->type, S("application/yaml"));
}

static bool transform_of(const struct clause *c, const struct offer *offer, enum transform *ret)
{
    static const str group = S_INIT("meta.k8s.io");
    *ret = TRANSFORM_NONE;
    if (str_is_empty(c->as))
        return true;
    if (!str_eq(c->group, group) || (!str_eq(c->version, S("v1")) && !str_eq(c->version, S("v1beta1"))))
        return false;
    if (str_eq(c->as, S("Table")))
        *ret = TRANSFORM_TABLE;
    else if (str_eq(c->as, S("PartialObjectMetadata")))
        *ret = TRANSFORM_PARTIAL;
    else if (str_eq(c->as, S("PartialObjectMetadataList")))
        *ret = TRANSFORM_PARTIAL_LIST;
    return (*ret == TRANSFORM_TABLE && offer->table) || (*ret == TRANSFORM_PARTIAL && offer->partial) ||
           (*ret == TRANSFORM_PARTIAL_LIST && offer->partial_list);
}

static bool take_clause(const struct clause *c, const struct offer *offer, struct representation *ret)
{
    enum media_format format;
    enum transform transform;
    if (c->q == 0 || !format_of(c, offer, &format) || !transform_of(c, offer, &transform))
        return false;
    ret->format = format;
    ret->transform = transform;
    ret->is_v1beta1 = transform != TRANSFORM_NONE && str_eq(c->version, S("v1beta1"));
    ret->is_pretty |= c->is_pretty;
    return true;
}

bool negotiate_accept(struct arena *a, str accept, const struct offer *offer, struct representation *ret)
{
    *ret = (struct representation) { 0 };
    if (str_is_empty(accept) || str_eq(accept, S("application/json")) || str_eq(accept, S("*/*")))
        return true;

    struct clause *clauses = arena_array_of(a, struct clause, CLAUSES_MAX);
    size_t n = 0;
    for (str rest = accept, field; n < CLAUSES_MAX && str_next_field(&rest, ',', &field);)
        clauses[n++] = parse_clause(str_trim(field));
    for (size_t i = 1; i < n; i++) /* by q, stable; there are few */
        for (size_t j = i; j > 0 && clauses[j - 1].q < clauses[j].q; j--) {
            struct clause c = clauses[j];
            clauses[j] = clauses[j - 1];
            clauses[j - 1] = c;
        }
    for (size_t i = 0; i < n; i++)
        if (take_clause(&clauses[i], offer, ret))
            return true;
    return false;
}

bool negotiate_gzip(str accept_encoding)
{
    for (str rest = accept_encoding, field; str_next_field(&rest, ',', &field);) {
        struct clause c = parse_clause(str_trim(field));
        if ((str_eq_nocase(c.type, S("gzip")) || str_eq(c.type, S("*"))) && c.q > 0)
            return true;
    }
    return false;
}

str media_type_base(str content_type)
{
    str base, rest;
    (void)str_cut(content_type, ';', &base, &rest);
    return str_trim(base);
}

str representation_content_type(const struct representation *rep)
{
    return rep->format == MEDIA_YAML ? S("application/yaml") : S("application/json");
}
