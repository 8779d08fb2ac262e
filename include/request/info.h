/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request is about, from method, path and query alone: the attributes that authorization, metrics and routing
 * share (k8s.io/apiserver endpoints/request RequestInfo).
 */
#ifndef REQUEST_INFO_H
#define REQUEST_INFO_H

#include "request/query.h"

enum request_verb {
    REQUEST_GET,
    REQUEST_LIST,
    REQUEST_WATCH,
    REQUEST_CREATE,
    REQUEST_UPDATE,
    REQUEST_PATCH,
    REQUEST_DELETE,
    REQUEST_DELETE_COLLECTION,
    REQUEST_OTHER, /* a method that no resource knows */
};
#define REQUEST_VERBS (REQUEST_OTHER + 1)

struct request_info {
    bool is_resource; /* else the path names a page; only verb and path are set */
    enum request_verb verb;
    str verb_text; /* "deletecollection"; of a page: the method in lower case */
    str path;
    str group, version;
    str namespace_; /* of a request for v1 namespaces: the name, as authorization sees it */
    str resource;
    str name;
    str subresource;
    bool has_more; /* something stands behind the subresource: no such path */
};

/* ERRC_INVALID with a text for the client: broken escapes and segments that could be taken for a path. */
int request_info_parse(struct arena *a, str method, str path, const struct query *query, struct request_info *ret,
                       struct error *err) MUST_USE;

#endif
