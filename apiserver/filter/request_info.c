/* SPDX-License-Identifier: Apache-2.0 */
/* Finds out what the request is about, and which resource of the registry answers it. */
#include "filter/filter.h"

static void find_resource(struct call *c)
{
    const struct resource_registry *registry = c->api->options.registry;
    const struct request_info *info = &c->info;
    for (size_t i = 0; i < registry->count; i++) {
        const struct resource *r = registry->resources[i];
        if (!str_eq(r->plural, info->resource) || !str_eq(r->group, info->group) || !str_eq(r->version, info->version))
            continue;
        if (r->is_internal && !c->req->user->is_internal)
            return;
        c->resource = r;
        c->resource_index = i;
    }
}

static void find_action(struct call *c)
{
    if (!c->resource || str_is_empty(c->info.subresource))
        return;
    for (size_t i = 0; i < c->resource->action_count; i++)
        if (str_eq(c->resource->actions[i].name, c->info.subresource))
            c->action = &c->resource->actions[i];
}

static bool wants_pretty(const struct call *c)
{
    if (query_has(&c->query, S("pretty")))
        return query_bool(&c->query, S("pretty"));
    str agent = call_header(c, S("user-agent"));
    return str_has_prefix(agent, S("curl")) || str_has_prefix(agent, S("Wget")) ||
           str_has_prefix(agent, S("Mozilla/5.0"));
}

bool filter_request_info(struct call *c)
{
    struct error err;
    if (query_parse(c->arena, c->req->query, &c->query, &err) < 0 ||
        request_info_parse(c->arena, c->req->method, c->req->path, &c->query, &c->info, &err) < 0) {
        call_fail(c, status_new(c->arena, STATUS_BAD_REQUEST, "%s", err.text));
        return false;
    }
    c->rep.is_pretty = wants_pretty(c);
    if (c->info.is_resource) {
        find_resource(c);
        find_action(c);
    }
    return true;
}
