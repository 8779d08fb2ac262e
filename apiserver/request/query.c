/* SPDX-License-Identifier: Apache-2.0 */
/* Splits and decodes a query string once per request. What a parameter means stands in options.c. */
#include "request/query.h"

#include "base/limits.h"
#include "request/url.h"

#define PARAMS_MAX 64

int query_parse(struct arena *a, str raw, struct query *ret, struct error *err)
{
    *ret = (struct query) { 0 };
    if (str_is_empty(raw))
        return 0;
    if (raw.len > LIMIT_QUERY_BYTES)
        return error_set(err, ERRC_INVALID, "the query is longer than %d bytes", LIMIT_QUERY_BYTES);
    size_t n = 1;
    for (size_t i = 0; i < raw.len; i++)
        n += raw.ptr[i] == '&';
    if (n > PARAMS_MAX)
        return error_set(err, ERRC_INVALID, "the query has more than %d parameters", PARAMS_MAX);
    struct query_param *params = arena_array_of(a, struct query_param, n);
    size_t count = 0;
    for (str rest = raw, field; str_next_field(&rest, '&', &field);) {
        if (str_is_empty(field))
            continue;
        str key, value;
        (void)str_cut(field, '=', &key, &value); /* without '=' the value is empty */
        struct query_param *p = &params[count];
        if (!url_decode(a, key, true, &p->key) || !url_decode(a, value, true, &p->value))
            return error_set(err, ERRC_INVALID, "invalid URL escape in the query");
        count++;
    }
    *ret = (struct query) { .params = params, .count = count };
    return 0;
}

static const struct query_param *find(const struct query *q, str key)
{
    for (size_t i = 0; i < q->count; i++)
        if (str_eq(q->params[i].key, key))
            return &q->params[i];
    return NULL;
}

bool query_has(const struct query *q, str key)
{
    return find(q, key) != NULL;
}

str query_get(const struct query *q, str key)
{
    const struct query_param *p = find(q, key);
    return p ? p->value : (str) { 0 };
}

bool query_bool(const struct query *q, str key)
{
    const struct query_param *p = find(q, key);
    return p && !str_eq(p->value, S("0")) && !str_eq_nocase(p->value, S("false"));
}

int query_int(const struct query *q, str key, int64_t *ret, struct error *err)
{
    str text = query_get(q, key);
    if (str_is_empty(text) || str_to_i64(text, ret))
        return 0;
    return error_set(err, ERRC_INVALID, "invalid value \"%.*s\" of query parameter %.*s: must be a number",
                     STR_ARG(str_first(text, 64)), STR_ARG(key));
}
