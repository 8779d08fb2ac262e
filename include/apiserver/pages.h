/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages that are no resources: discovery (/api, /apis …), OpenAPI (/openapi/v2, /openapi/v3 …), /version, /healthz,
 * /livez, /readyz and /metrics, as plain functions from a request to an answer. Documents are built once: those of
 * OpenAPI when somebody asks for the first of them, the others in pages_new.
 *
 * The caller has authenticated and authorised the request, and has checked that its method is GET or HEAD (HEAD: he
 * drops the body). Any thread may call pages_serve; it never blocks, as long as no health check does and pages_is_slow
 * said no.
 */
#ifndef APISERVER_PAGES_H
#define APISERVER_PAGES_H

#include "apiserver/api.h"

/* Which of the health pages a check belongs to. */
enum health_page {
    HEALTH_HEALTHZ = 1 << 0,
    HEALTH_LIVEZ = 1 << 1,
    HEALTH_READYZ = 1 << 2,
    HEALTH_ALL = 7,
};

struct health_check {
    const char *name; /* "store"; "ping" exists already and is always fine */
    unsigned pages;   /* enum health_page */
    /* Any thread, must not block: look at a flag. The reason stays in the server, clients only see the name. */
    bool (*is_ok)(void *self);
    void *self;
};

struct pages_options {
    const struct resource_registry *registry; /* outlives the pages */
    const struct health_check *checks;        /* copied */
    size_t check_count;
};

struct page_request {
    str path;   /* raw, without the query */
    str query;  /* raw; may be empty */
    str accept; /* header values; empty when absent */
    str if_none_match;
};

#define PAGE_HEADERS_MAX 6

struct page_answer {
    int code;
    str content_type; /* empty with 304 */
    struct api_header headers[PAGE_HEADERS_MAX];
    size_t header_count;
    str body; /* lives as long as both the arena and the pages */
};

struct pages;

struct pages *pages_new(const struct pages_options *options);
void pages_free(struct pages *p);
DEFINE_CLEANUP(struct pages *, pages_free, pages_freep);

/* True: pages_serve would take some milliseconds to build documents, so that a loop thread should leave it to another.
 */
bool pages_is_slow(const struct pages *p, str path);

/* False: there is no such page (404 is the caller's). Errors such as 406 are answers, with a Status as body. */
bool pages_serve(const struct pages *p, struct arena *a, const struct page_request *req, struct page_answer *ret);

#endif
