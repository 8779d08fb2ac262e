/* SPDX-License-Identifier: Apache-2.0 */
/* From path and verb to the handler: one table. Also answers what has none: 404, 405, 406, and the pages. */
#include "apiserver/pages.h"
#include "base/strbuf.h"
#include "handlers/internal.h"
#include "meta/gvk.h"

enum endpoint { ENDPOINT_COLLECTION, ENDPOINT_ITEM, ENDPOINT_STATUS, ENDPOINT_SCALE, ENDPOINT_ACTION, ENDPOINT_NONE };

#define OFFER_ITEM                                                                                                     \
    {                                                                                                                  \
        .table = true, .partial = true, .yaml = true                                                                   \
    }
#define OFFER_LIST                                                                                                     \
    {                                                                                                                  \
        .table = true, .partial_list = true, .yaml = true                                                              \
    }

static const struct route {
    enum endpoint endpoint;
    enum request_verb verb;
    unsigned needs; /* verb that the resource must have */
    const char *method;
    struct offer offer;
    void (*handle)(struct call *c);
} routes[] = {
    { ENDPOINT_COLLECTION, REQUEST_LIST, VERB_LIST, "GET", OFFER_LIST, handle_list },
    { ENDPOINT_COLLECTION, REQUEST_WATCH, VERB_WATCH, "GET", { .table = true, .partial = true }, handle_watch },
    { ENDPOINT_COLLECTION, REQUEST_CREATE, VERB_CREATE, "POST", OFFER_ITEM, handle_create },
    { ENDPOINT_COLLECTION, REQUEST_DELETE_COLLECTION, VERB_DELETE_COLLECTION, "DELETE", OFFER_LIST,
      handle_delete_collection },
    { ENDPOINT_ITEM, REQUEST_GET, VERB_GET, "GET", OFFER_ITEM, handle_get },
    { ENDPOINT_ITEM, REQUEST_WATCH, VERB_WATCH, "GET", { .table = true, .partial = true }, handle_watch },
    { ENDPOINT_ITEM, REQUEST_UPDATE, VERB_UPDATE, "PUT", OFFER_ITEM, handle_update },
    { ENDPOINT_ITEM, REQUEST_PATCH, VERB_PATCH, "PATCH", OFFER_ITEM, handle_patch },
    { ENDPOINT_ITEM, REQUEST_DELETE, VERB_DELETE, "DELETE", OFFER_ITEM, handle_delete },
    { ENDPOINT_STATUS, REQUEST_GET, VERB_GET, "GET", OFFER_ITEM, handle_get },
    { ENDPOINT_STATUS, REQUEST_UPDATE, VERB_UPDATE, "PUT", OFFER_ITEM, handle_status_update },
    { ENDPOINT_STATUS, REQUEST_PATCH, VERB_PATCH, "PATCH", OFFER_ITEM, handle_status_patch },
    { ENDPOINT_SCALE, REQUEST_GET, VERB_GET, "GET", OFFER_ITEM, handle_scale_get },
    { ENDPOINT_SCALE, REQUEST_UPDATE, VERB_UPDATE, "PUT", OFFER_ITEM, handle_scale_update },
    { ENDPOINT_SCALE, REQUEST_PATCH, VERB_PATCH, "PATCH", OFFER_ITEM, handle_scale_patch },
    { ENDPOINT_ACTION, REQUEST_CREATE, 0, "POST", { .yaml = true }, handle_action },
};

/* ---- names ---------------------------------------------------------------------------------------------------- */

str call_namespace(const struct call *c)
{
    return c->resource->is_namespaced ? c->info.namespace_ : (str) { 0 };
}

str call_key(const struct call *c)
{
    return resource_key(c->arena, c->resource, call_namespace(c), c->info.name);
}

struct status *call_not_found(const struct call *c)
{
    return status_not_found(c->arena, c->resource->group, c->resource->plural, c->info.name);
}

/* ---- refusals --------------------------------------------------------------------------------------------------- */

static void fail_no_path(struct call *c)
{
    call_fail(c, status_new(c->arena, STATUS_NOT_FOUND, "the server could not find the requested resource"));
}

static void fail_method(struct call *c, str allow, const char *what)
{
    struct status *s = status_new(c->arena, STATUS_METHOD_NOT_ALLOWED, "%s", what);
    c->allow = allow;
    call_fail(c, s);
}

static void fail_not_acceptable(struct call *c, bool has_yaml)
{
    call_fail(c, status_new(c->arena, STATUS_NOT_ACCEPTABLE, "only the following media types are accepted: %s",
                            has_yaml ? "application/json, application/yaml" : "application/json"));
}

/* ---- pages --------------------------------------------------------------------------------------------------------
 */

static void answer_page(struct call *c)
{
    const struct page_request request = {
        .path = c->info.path,
        .query = c->req->query,
        .accept = call_header(c, S("accept")),
        .if_none_match = call_header(c, S("if-none-match")),
    };
    struct page_answer page = { 0 };
    if (!c->api->options.pages || !pages_serve(c->api->options.pages, c->arena, &request, &page)) {
        fail_no_path(c);
        return;
    }
    if (c->info.verb != REQUEST_GET) {
        fail_method(c, S("GET, HEAD"), "the server does not allow this method on the requested resource");
        return;
    }
    call_answer(c, &(struct api_answer) {
                       .code = page.code,
                       .content_type = page.content_type,
                       .headers = page.headers,
                       .header_count = page.header_count,
                       .body = page.body,
                       .body_is_stable = true, /* documents live as long as the pages, the rest is in the arena */
                   });
}

static void serve_page(struct call *c)
{
    if (c->api->options.pages && pages_is_slow(c->api->options.pages, c->info.path))
        call_on_worker(c, answer_page);
    else
        answer_page(c);
}

/* ---- resources ------------------------------------------------------------------------------------------------------
 */

static enum endpoint subresource_of(const struct call *c)
{
    if (str_eq(c->info.subresource, S("status")) && c->resource->has_status)
        return ENDPOINT_STATUS;
    if (str_eq(c->info.subresource, S("scale")) && c->resource->scale_spec_path)
        return ENDPOINT_SCALE;
    return c->action ? ENDPOINT_ACTION : ENDPOINT_NONE;
}

static enum endpoint endpoint_of(const struct call *c)
{
    const struct request_info *info = &c->info;
    const struct resource *r = c->resource;
    bool is_own_name = str_eq(info->namespace_, info->name) && str_eq(r->plural, S("namespaces"));
    if (info->has_more || (!r->is_namespaced && !str_is_empty(info->namespace_) && !is_own_name))
        return ENDPOINT_NONE;
    if (str_is_empty(info->name))
        return ENDPOINT_COLLECTION;
    if (r->is_namespaced && str_is_empty(info->namespace_))
        return ENDPOINT_NONE;
    return str_is_empty(info->subresource) ? ENDPOINT_ITEM : subresource_of(c);
}

static bool is_open(const struct call *c, const struct route *route, enum endpoint endpoint)
{
    unsigned verbs = c->req->user->is_internal ? c->resource->internal_verbs : c->resource->verbs;
    bool is_all_namespaces = c->resource->is_namespaced && str_is_empty(c->info.namespace_);
    if (route->endpoint != endpoint || (verbs & route->needs) != route->needs)
        return false;
    return !is_all_namespaces || route->verb == REQUEST_LIST || route->verb == REQUEST_WATCH;
}

static str allowed_methods(const struct call *c, enum endpoint endpoint)
{
    STRBUF_AUTO text = STRBUF_INIT(128);
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (is_open(c, &routes[i], endpoint) && str_find(strbuf_str(&text), str_from(routes[i].method)) < 0)
            strbuf_addf(&text, "%s%s", text.len > 0 ? ", " : "", routes[i].method);
    return strbuf_to_arena(&text, c->arena);
}

static void refuse_verb(struct call *c, enum endpoint endpoint)
{
    str resource = gvk_qualified_resource(c->arena, c->resource->group, c->resource->plural);
    str verb = c->info.verb == REQUEST_OTHER ? c->req->method : c->info.verb_text;
    struct status *s =
        status_new(c->arena, STATUS_METHOD_NOT_ALLOWED, "%.*s is not supported on resources of kind \"%.*s\"",
                   STR_ARG(str_first(verb, 32)), STR_ARG(resource));
    s->group = c->resource->group;
    s->kind = c->resource->plural;
    c->allow = allowed_methods(c, endpoint);
    call_fail(c, s);
}

static bool take_include_object(struct call *c)
{
    str text = query_get(&c->query, S("includeObject"));
    if (c->rep.transform != TRANSFORM_TABLE || str_is_empty(text) || str_eq(text, S("Metadata")))
        c->rep.include = INCLUDE_METADATA;
    else if (str_eq(text, S("None")))
        c->rep.include = INCLUDE_NONE;
    else if (str_eq(text, S("Object")))
        c->rep.include = INCLUDE_OBJECT;
    else
        return false;
    return true;
}

static void run_route(struct call *c, const struct route *route)
{
    struct representation rep;
    bool is_pretty = c->rep.is_pretty;
    if (!negotiate_accept(c->arena, call_header(c, S("accept")), &route->offer, &rep)) {
        fail_not_acceptable(c, route->offer.yaml);
        return;
    }
    c->rep = rep;
    c->rep.is_pretty |= is_pretty;
    if (!take_include_object(c)) {
        call_fail(c,
                  status_new(c->arena, STATUS_BAD_REQUEST, "invalid includeObject: must be None, Metadata or Object"));
        return;
    }
    route->handle(c);
}

void handlers_dispatch(struct call *c)
{
    if (!c->info.is_resource) {
        serve_page(c);
        return;
    }
    enum endpoint endpoint = c->resource ? endpoint_of(c) : ENDPOINT_NONE;
    if (endpoint == ENDPOINT_NONE) {
        fail_no_path(c);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (routes[i].verb == c->info.verb && is_open(c, &routes[i], endpoint)) {
            run_route(c, &routes[i]);
            return;
        }
    refuse_verb(c, endpoint);
}
