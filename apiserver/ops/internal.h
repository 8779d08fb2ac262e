/* SPDX-License-Identifier: Apache-2.0 */
/* What the pages share: their documents, and the pages that are computed when they are asked for. */
#ifndef OPS_INTERNAL_H
#define OPS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "apiserver/pages.h"
#include "base/strbuf.h"

/* A text that never changes. Several may have one path: then they differ in `type`, `as` and `version`. */
struct page_document {
    str path;
    str as, group, version; /* of the Accept clause that asks for it; empty: the plain form */
    str type;               /* what Accept asks for */
    str content_type;
    str hash;
    str body;
};

struct page_documents {
    struct arena *arena;
    struct page_document *items;
    size_t count, cap;
};

/* OpenAPI costs more than the rest of a start together, and many servers are never asked for it. */
struct page_openapi {
    pthread_mutex_t lock; /* while they are built; a leaf */
    atomic_bool is_built;
    struct page_documents documents; /* constant once is_built */
};

struct pages {
    struct arena *arena;
    const struct resource_registry *registry;
    struct page_documents documents;
    struct page_openapi *openapi;
    struct health_check *checks;
    size_t check_count;
};

void ops__add_header(struct page_answer *answer, str name, str value);

/* Builds all documents but those of OpenAPI into an empty d, which has its arena. */
void ops__build_documents(struct page_documents *d, const struct resource_registry *reg);
void ops__build_openapi(struct page_documents *d, const struct resource_registry *reg);

/* /healthz, /livez, /readyz and one check of them; false: no such page. */
bool ops__serve_health(const struct pages *p, struct arena *a, const struct page_request *req, struct page_answer *ret);
void ops__serve_metrics(struct arena *a, struct page_answer *ret);
/* process_cpu_seconds_total and the like, measured now. */
void ops__write_process_metrics(struct arena *a, struct strbuf *out);

#endif
