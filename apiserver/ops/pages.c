/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the page of a path, chooses its form and answers, with ETag and 304 for documents. */
#include "internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "meta/status.h"
#include "ops/accept.h"
#include "json/json_write.h"

/* Forms of one path. */
#define FORMS_MAX 4

struct pages *pages_new(const struct pages_options *options)
{
    struct pages *p = mem_new_of(struct pages);
    p->arena = arena_new();
    p->checks = arena_array_of(p->arena, struct health_check, options->check_count);
    p->check_count = options->check_count;
    for (size_t i = 0; i < options->check_count; i++)
        p->checks[i] = options->checks[i];
    p->registry = options->registry;
    p->documents.arena = p->arena;
    ops__build_documents(&p->documents, p->registry);
    p->openapi = arena_new_of(p->arena, struct page_openapi);
    p->openapi->documents.arena = p->arena;
    (void)pthread_mutex_init(&p->openapi->lock, NULL);
    return p;
}

void pages_free(struct pages *p)
{
    if (!p)
        return;
    (void)pthread_mutex_destroy(&p->openapi->lock);
    arena_free(p->arena);
    mem_free(p);
}

/* ---- OpenAPI ---------------------------------------------------------------------------------------------------- */

static bool is_openapi(str path)
{
    return str_has_prefix(path, S("/openapi/"));
}

bool pages_is_slow(const struct pages *p, str path)
{
    return is_openapi(path) && !atomic_load(&p->openapi->is_built);
}

/* Whoever asks first builds them, and whoever asks meanwhile waits for that. */
static const struct page_documents *openapi_documents(const struct pages *p)
{
    struct page_openapi *o = p->openapi;
    if (atomic_load(&o->is_built))
        return &o->documents;
    (void)pthread_mutex_lock(&o->lock);
    if (!atomic_load(&o->is_built))
        ops__build_openapi(&o->documents, p->registry);
    atomic_store(&o->is_built, true);
    (void)pthread_mutex_unlock(&o->lock);
    return &o->documents;
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

void ops__add_header(struct page_answer *answer, str name, str value)
{
    if (answer->header_count < PAGE_HEADERS_MAX)
        answer->headers[answer->header_count++] = (struct api_header) { name, value };
}

/* If-None-Match names this hash: `"A", W/"B"`. */
static bool is_known(str if_none_match, str hash)
{
    for (str one; str_next_field(&if_none_match, ',', &one);) {
        one = str_trim(one);
        if (str_has_prefix(one, S("W/")))
            one = str_from_offset(one, 2);
        bool is_quoted = one.len >= 2 && one.ptr[0] == '"' && one.ptr[one.len - 1] == '"';
        if (is_quoted && str_eq(str_of(one.ptr + 1, one.len - 2), hash))
            return true;
    }
    return false;
}

/* A document of OpenAPI v3 that was asked for by its hash never changes under that address. */
static bool is_asked_by_hash(const struct page_document *d, str query)
{
    for (str one; str_next_field(&query, '&', &one);) {
        str name;
        str value;
        if (str_cut(one, '=', &name, &value) && str_eq(name, S("hash")))
            return str_eq(value, d->hash);
    }
    return false;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", a year from now. */
static str next_year(struct arena *a)
{
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t then = (time_t)(clock_realtime_ns() / NS_PER_S) + (time_t)365 * 24 * 3600;
    struct tm t;
    if (!gmtime_r(&then, &t))
        return S("0");
    return arena_printf(a, "%s, %02d %s %d %02d:%02d:%02d GMT", days[t.tm_wday], t.tm_mday, months[t.tm_mon],
                        t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

static void serve_document(const struct page_document *d, struct arena *a, const struct page_request *req,
                           struct page_answer *ret)
{
    bool is_fixed = is_asked_by_hash(d, req->query);
    ops__add_header(ret, S("etag"), arena_printf(a, "\"%.*s\"", STR_ARG(d->hash)));
    ops__add_header(ret, S("vary"), S("Accept"));
    ops__add_header(ret, S("cache-control"), is_fixed ? S("public, immutable") : S("public"));
    if (is_fixed)
        ops__add_header(ret, S("expires"), next_year(a));
    ret->code = 304;
    if (is_known(req->if_none_match, d->hash))
        return;
    ret->code = 200;
    ret->content_type = d->content_type;
    ret->body = d->body;
}

static void refuse(struct arena *a, struct page_answer *ret)
{
    struct status *s =
        status_new(a, STATUS_NOT_ACCEPTABLE, "only the following media types are accepted: application/json");
    ret->code = s->code;
    ret->content_type = S("application/json");
    ret->body = json_text(a, status_to_json(a, s));
}

/* False: no document has this path. */
static bool find_document(const struct pages *p, struct arena *a, const struct page_request *req,
                          struct page_answer *ret)
{
    struct accept_offer offers[FORMS_MAX];
    const struct page_document *forms[FORMS_MAX];
    size_t count = 0;
    str path = req->path;
    if (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    const struct page_documents *documents = is_openapi(path) ? openapi_documents(p) : &p->documents;
    for (size_t i = 0; i < documents->count && count < FORMS_MAX; i++) {
        const struct page_document *d = &documents->items[i];
        if (!str_eq(d->path, path))
            continue;
        offers[count] = (struct accept_offer) { d->type, d->as, d->group, d->version };
        forms[count++] = d;
    }
    if (count == 0)
        return false;
    int chosen = accept_choose(req->accept, offers, count);
    if (chosen < 0)
        refuse(a, ret);
    else
        serve_document(forms[chosen], a, req, ret);
    return true;
}

bool pages_serve(const struct pages *p, struct arena *a, const struct page_request *req, struct page_answer *ret)
{
    *ret = (struct page_answer) { .code = 200 };
    if (find_document(p, a, req, ret) || ops__serve_health(p, a, req, ret))
        return true;
    if (!str_eq(req->path, S("/metrics")))
        return false;
    ops__serve_metrics(a, ret);
    return true;
}
