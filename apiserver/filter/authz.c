/* SPDX-License-Identifier: Apache-2.0 */
/* Asks auth/rules.c, and words the refusal as k8s.io/apiserver words it (responsewriters ForbiddenMessage). */
#include "auth/rules.h"
#include "filter/filter.h"

static str what(const struct call *c)
{
    const struct request_info *info = &c->info;
    str sep = str_is_empty(info->subresource) ? S("") : S("/");
    str where = str_is_empty(info->namespace_)
                    ? S(" at the cluster scope")
                    : arena_printf(c->arena, " in the namespace \"%.*s\"", STR_ARG(info->namespace_));
    return arena_printf(c->arena, "User \"%.*s\" cannot %.*s resource \"%.*s%.*s%.*s\" in API group \"%.*s\"%.*s",
                        STR_ARG(c->req->user->name), STR_ARG(info->verb_text), STR_ARG(info->resource), STR_ARG(sep),
                        STR_ARG(info->subresource), STR_ARG(info->group), STR_ARG(where));
}

/* Whoever asks to act as somebody else must not act as himself instead. */
static bool wants_to_impersonate(const struct call *c)
{
    static const str prefix = S_INIT("impersonate-");
    for (size_t i = 0; i < c->req->header_count; i++)
        if (str_eq_nocase(str_first(c->req->headers[i].name, prefix.len), prefix))
            return true;
    return false;
}

bool filter_authz(struct call *c)
{
    if (wants_to_impersonate(c)) {
        call_fail(c, status_new(c->arena, STATUS_FORBIDDEN, "impersonation is not supported"));
        return false;
    }
    if (rules_allow(c->req->user, &c->info))
        return true;
    const struct request_info *info = &c->info;
    if (info->is_resource)
        call_fail(c, status_forbidden(c->arena, info->group, info->resource, info->name, what(c)));
    else
        call_fail(c, status_new(c->arena, STATUS_FORBIDDEN, "forbidden: User \"%.*s\" cannot %.*s path \"%.*s\"",
                                STR_ARG(c->req->user->name), STR_ARG(info->verb_text), STR_ARG(info->path)));
    return false;
}
