/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding of request bodies. What the tree must look like is the handlers' business. */
#include "request/body.h"

#include "base/limits.h"
#include "request/negotiate.h"
#include "request/protobuf.h"

#define ACCEPTED "application/json, application/yaml"

struct status *body_unsupported(struct arena *a, const char *accepted)
{
    return status_new(a, STATUS_UNSUPPORTED_MEDIA_TYPE,
                      "the body of the request was in an unknown format - accepted media types include: %s", accepted);
}

struct status *body_check(struct arena *a, const struct body_source *source)
{
    if (source->is_too_large || source->bytes.len > LIMIT_BODY_BYTES)
        return status_new(a, STATUS_REQUEST_ENTITY_TOO_LARGE, "Request entity too large: limit is %u",
                          LIMIT_BODY_BYTES);
    if (!str_is_empty(source->content_encoding) && !str_eq_nocase(source->content_encoding, S("identity")))
        return status_new(a, STATUS_UNSUPPORTED_MEDIA_TYPE,
                          "the body of the request must not be encoded, but Content-Encoding is \"%.*s\"",
                          STR_ARG(str_first(source->content_encoding, 64)));
    return NULL;
}

/* The kinds of v1 only; for others the answer is that of a format that is not taken. */
static struct status *decode_protobuf(struct arena *a, str bytes, const struct json **ret)
{
    struct error err;
    int r = str_is_empty(bytes) ? 0 : protobuf_decode(a, bytes, ret, &err);
    if (r == ERRC_UNSUPPORTED)
        return body_unsupported(a, ACCEPTED);
    return r < 0 ? status_new(a, STATUS_BAD_REQUEST, "the body of the request could not be decoded: %s", err.text)
                 : NULL;
}

struct status *body_decode(struct arena *a, const struct body_source *source, struct json_notes *notes,
                           const struct json **ret)
{
    *ret = NULL;
    struct status *fail = body_check(a, source);
    if (fail)
        return fail;
    str type = media_type_base(source->content_type);
    if (str_eq_nocase(type, S("application/vnd.kubernetes.protobuf")))
        return decode_protobuf(a, source->bytes, ret);
    bool is_yaml = str_eq_nocase(type, S("application/yaml"));
    if (!is_yaml && !str_is_empty(source->content_type) && !str_eq_nocase(type, S("application/json")) &&
        !str_eq(type, S("*/*")))
        return body_unsupported(a, ACCEPTED);
    if (str_is_empty(str_trim(source->bytes)))
        return NULL;

    struct error err;
    int r =
        is_yaml ? json_parse_yaml(a, source->bytes, notes, ret, &err) : json_parse(a, source->bytes, notes, ret, &err);
    if (r == ERRC_TOO_LARGE)
        return status_new(a, STATUS_REQUEST_ENTITY_TOO_LARGE, "the body of the request is too complex: %s", err.text);
    return r < 0 ? status_new(a, STATUS_BAD_REQUEST, "the body of the request could not be decoded: %s", err.text)
                 : NULL;
}
