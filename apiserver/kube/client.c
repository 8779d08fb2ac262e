/* SPDX-License-Identifier: Apache-2.0 */
/* The client's calls over whichever transport it was made with. Transports stand elsewhere. */
#include "kube/client.h"

#include "base/clock.h"
#include "base/mem.h"

#define CALL_TIMEOUT_MS 30000

struct kube_client {
    const struct kube_transport_ops *ops;
    void *self;
};

struct kube_client *kube_client_new(const struct kube_transport_ops *ops, void *transport_self)
{
    struct kube_client *c = mem_new_of(struct kube_client);
    c->ops = ops;
    c->self = transport_self;
    return c;
}

void kube_client_free(struct kube_client *c)
{
    mem_free(c);
}

static enum err error_of(const struct kube_response *response)
{
    bool is_exists = response->status && response->status->reason == STATUS_ALREADY_EXISTS;
    switch (response->code) {
    case 400:
    case 422: return ERRC_INVALID;
    case 401:
    case 403: return ERRC_DENIED;
    case 404: return ERRC_NOT_FOUND;
    case 405:
    case 406:
    case 415: return ERRC_UNSUPPORTED;
    case 409: return is_exists ? ERRC_EXISTS : ERRC_CONFLICT;
    case 410: return ERRC_TOO_OLD;
    case 413: return ERRC_TOO_LARGE;
    case 429:
    case 503: return ERRC_UNAVAILABLE;
    case 504: return ERRC_TIMEOUT;
    default: return ERRC_INTERNAL;
    }
}

int kube_call(struct kube_client *c, struct arena *a, const struct kube_request *request, struct kube_response *ret,
              struct error *err)
{
    *ret = (struct kube_response) { 0 };
    int r = c->ops->call(c->self, a, request, ret, err);
    if (r < 0 || (ret->code >= 200 && ret->code < 300))
        return r;
    if (!ret->status)
        ret->status = status_from_json(a, ret->body);
    str message = ret->status ? ret->status->message : S("no Status in the answer");
    return error_set(err, error_of(ret), "%s %.*s: %d: %.*s", request->method, STR_ARG(request->path), ret->code,
                     STR_ARG(message));
}

static int simple_call(struct kube_client *c, struct arena *a, struct kube_request request,
                       const struct json **ret_object, struct error *err)
{
    struct kube_response response;
    request.deadline_ns = deadline_in_ms(CALL_TIMEOUT_MS);
    int r = kube_call(c, a, &request, &response, err);
    if (r == 0 && ret_object)
        *ret_object = response.body;
    return r;
}

int kube_get(struct kube_client *c, struct arena *a, str path, const struct json **ret_object, struct error *err)
{
    return simple_call(c, a, (struct kube_request) { .method = "GET", .path = path }, ret_object, err);
}

int kube_create(struct kube_client *c, struct arena *a, str collection_path, const struct json *object,
                const struct json **ret_object, struct error *err)
{
    return simple_call(c, a, (struct kube_request) { .method = "POST", .path = collection_path, .body = object },
                       ret_object, err);
}

int kube_update(struct kube_client *c, struct arena *a, str path, const struct json *object,
                const struct json **ret_object, struct error *err)
{
    return simple_call(c, a, (struct kube_request) { .method = "PUT", .path = path, .body = object }, ret_object, err);
}

int kube_merge_patch(struct kube_client *c, struct arena *a, str path, const struct json *patch,
                     const struct json **ret_object, struct error *err)
{
    const struct kube_request request = {
        .method = "PATCH", .path = path, .content_type = S("application/merge-patch+json"), .body = patch
    };
    return simple_call(c, a, request, ret_object, err);
}

int kube_delete(struct kube_client *c, struct arena *a, str path, str uid, struct error *err)
{
    const struct json *preconditions =
        str_is_empty(uid) ? NULL : JSON_OBJECT_OF(a, JSON_MEMBER("uid", json_string(a, uid)));
    const struct json *options =
        JSON_OBJECT_OF(a, JSON_MEMBER("kind", json_string(a, S("DeleteOptions"))),
                       JSON_MEMBER("apiVersion", json_string(a, S("v1"))), JSON_MEMBER("preconditions", preconditions));
    int r = simple_call(c, a, (struct kube_request) { .method = "DELETE", .path = path, .body = options }, NULL, err);
    return r == ERRC_NOT_FOUND ? 0 : r;
}

str kube_path(struct arena *a, str group, str resource, str ns, str name, str subresource)
{
    const char *in = str_is_empty(ns) ? "" : "/namespaces/", *slash = str_is_empty(name) ? "" : "/";
    const char *sub = str_is_empty(subresource) ? "" : "/", *root = str_is_empty(group) ? "/api" : "/apis/";
    return arena_printf(a, "%s%.*s/v1%s%.*s/%.*s%s%.*s%s%.*s", root, STR_ARG(group), in, STR_ARG(ns), STR_ARG(resource),
                        slash, STR_ARG(name), sub, STR_ARG(subresource));
}

int kube_watch_start(struct kube_client *c, str collection_path, str resource_version, const struct kube_watch_ops *ops,
                     void *self, struct kube_watch **ret, struct error *err)
{
    int r = c->ops->watch_start(c->self, collection_path, resource_version, ops, self, ret, err);
    if (r == 0)
        (*ret)->ops = c->ops;
    return r;
}

void kube_watch_stop(struct kube_watch *w)
{
    w->ops->watch_stop(w);
}
