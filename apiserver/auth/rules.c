/* SPDX-License-Identifier: Apache-2.0 */
/* Authorization without webhooks: fixed rules over groups. */
#include "auth/rules.h"

#include "meta/gvk.h"
#include "request/call.h"

static bool is_at_or_below(str path, str page)
{
    return str_has_prefix(path, page) && (path.len == page.len || path.ptr[page.len] == '/');
}

static bool is_one_of(str path, const str *pages, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_at_or_below(path, pages[i]))
            return true;
    return false;
}

static bool is_open(str path)
{
    static const str pages[] = { S_INIT("/healthz"), S_INIT("/livez"), S_INIT("/readyz"), S_INIT("/version") };
    return is_one_of(path, pages, ARRAY_LEN(pages));
}

static bool is_discovery(str path)
{
    static const str pages[] = { S_INIT("/api"), S_INIT("/apis"), S_INIT("/openapi") };
    return is_one_of(path, pages, ARRAY_LEN(pages));
}

static bool is_read(enum request_verb verb)
{
    return verb == REQUEST_GET || verb == REQUEST_LIST || verb == REQUEST_WATCH;
}

bool rules_allow(const struct api_user *user, const struct request_info *info)
{
    if (user->is_internal || user_is_in(user, S("system:masters")))
        return true;
    bool is_viewer = user_is_in(user, S(API_GROUP ":viewers"));
    if (info->is_resource)
        return is_viewer && is_read(info->verb) && !(str_eq(info->resource, S("secrets")) && info->group.len == 0);
    if (info->verb != REQUEST_GET)
        return false;
    if (is_open(info->path) || is_viewer)
        return true;
    return is_discovery(info->path) && user_is_in(user, S("system:authenticated"));
}
