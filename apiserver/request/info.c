/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths: /api/<version>/… (the core group) and /apis/<group>/<version>/… , then [namespaces/<ns>/]<resource>[/<name>
 * [/<subresource>]]. Anything else is a page. The path is routed raw, so that an escaped slash is a character of a
 * segment; such segments are refused.
 */
#include "request/info.h"

#include "base/attr.h"
#include "base/limits.h"
#include "meta/names.h"
#include "request/url.h"

#define SEGMENTS_MAX 12

struct segments {
    str items[SEGMENTS_MAX];
    size_t count;
};

static int split(struct arena *a, str path, struct segments *ret, struct error *err)
{
    ret->count = 0;
    if (path.len == 0 || path.ptr[0] != '/')
        return error_set(err, ERRC_INVALID, "the path must begin with a slash");
    if (path.len > LIMIT_PATH_BYTES)
        return error_set(err, ERRC_INVALID, "the path is longer than %d bytes", LIMIT_PATH_BYTES);
    str rest = str_from_offset(path, 1);
    if (str_has_suffix(rest, S("/")))
        rest.len--;
    for (str raw; str_next_field(&rest, '/', &raw);) {
        if (ret->count == SEGMENTS_MAX)
            return error_set(err, ERRC_INVALID, "the path has more than %d segments", SEGMENTS_MAX);
        str *segment = &ret->items[ret->count++];
        if (!url_decode(a, raw, false, segment))
            return error_set(err, ERRC_INVALID, "invalid URL escape in the path");
        const char *problem = str_is_empty(*segment) ? "must not be empty" : names_check_path_segment(*segment);
        if (problem)
            return error_set(err, ERRC_INVALID, "invalid path segment \"%.*s\": %s", STR_ARG(str_first(*segment, 253)),
                             problem);
    }
    return 0;
}

static str lower(struct arena *a, str s)
{
    char *out = arena_alloc(a, s.len + 1);
    for (size_t i = 0; i < s.len; i++)
        out[i] = (char)(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? s.ptr[i] + 32 : s.ptr[i]);
    return str_of(out, s.len);
}

static enum request_verb verb_of(str method, bool has_name, bool is_watch)
{
    if (str_eq(method, S("GET")) || str_eq(method, S("HEAD")))
        return has_name ? REQUEST_GET : is_watch ? REQUEST_WATCH : REQUEST_LIST;
    if (str_eq(method, S("POST")))
        return REQUEST_CREATE;
    if (str_eq(method, S("PUT")))
        return REQUEST_UPDATE;
    if (str_eq(method, S("PATCH")))
        return REQUEST_PATCH;
    if (str_eq(method, S("DELETE")))
        return has_name ? REQUEST_DELETE : REQUEST_DELETE_COLLECTION;
    return REQUEST_OTHER;
}

static str verb_name(enum request_verb verb)
{
    static const str names[] = {
        [REQUEST_GET] = S_INIT("get"),       [REQUEST_LIST] = S_INIT("list"),
        [REQUEST_WATCH] = S_INIT("watch"),   [REQUEST_CREATE] = S_INIT("create"),
        [REQUEST_UPDATE] = S_INIT("update"), [REQUEST_PATCH] = S_INIT("patch"),
        [REQUEST_DELETE] = S_INIT("delete"), [REQUEST_DELETE_COLLECTION] = S_INIT("deletecollection"),
    };
    return names[verb];
}

/* The segments behind group and version. */
static void parse_resource(const struct segments *s, size_t at, struct request_info *ret)
{
    size_t left = s->count - at;
    const str *p = &s->items[at];
    if (left >= 2 && str_eq(p[0], S("namespaces"))) {
        ret->namespace_ = p[1];
        /* .../namespaces/<ns>/<resource>, but .../namespaces/<name>/status is a subresource of the namespace. */
        bool is_subresource = left == 3 && (str_eq(p[2], S("status")) || str_eq(p[2], S("finalize")));
        if (left > 2 && !is_subresource) {
            p += 2;
            left -= 2;
        }
    }
    ret->resource = p[0];
    ret->name = left > 1 ? p[1] : (str) { 0 };
    ret->subresource = left > 2 ? p[2] : (str) { 0 };
    ret->has_more = left > 3;
}

int request_info_parse(struct arena *a, str method, str path, const struct query *query, struct request_info *ret,
                       struct error *err)
{
    *ret = (struct request_info) { .path = path };
    struct segments s;
    int r = split(a, path, &s, err);
    if (r < 0)
        return r;

    bool is_core = s.count >= 3 && str_eq(s.items[0], S("api"));
    bool is_group = s.count >= 4 && str_eq(s.items[0], S("apis"));
    ret->is_resource = is_core || is_group;
    if (!ret->is_resource) {
        ret->verb = verb_of(method, true, false);
        ret->verb_text = lower(a, method);
        return 0;
    }
    size_t at = is_core ? 1 : 2;
    ret->group = is_core ? (str) { 0 } : s.items[1];
    ret->version = s.items[at++];
    /* The old form …/<version>/watch/… is a watch of what follows. */
    bool is_watch_path = s.count - at >= 2 && str_eq(s.items[at], S("watch"));
    parse_resource(&s, is_watch_path ? at + 1 : at, ret);
    ret->verb = verb_of(method, !str_is_empty(ret->name), query_bool(query, S("watch")) || is_watch_path);
    if (is_watch_path && ret->verb == REQUEST_GET)
        ret->verb = REQUEST_WATCH;
    ret->verb_text = ret->verb == REQUEST_OTHER ? lower(a, method) : verb_name(ret->verb);
    return 0;
}
