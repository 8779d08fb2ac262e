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
    ops__build_documents(p, options->registry);
    return p;
}

void pages_free(struct pages *p)
{
    if (!p)
        return;
    arena_free(p->arena);
    mem_free(p);
}

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
    for (size_t i = 0; i < p->count && count < FORMS_MAX; i++) {
        const struct page_document *d = &p->documents[i];
        if (!str_eq(d->path, path))
            continue;
        offers[count] = (struct accept_offer) { S("application/json"), d->as, d->group, d->version };
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
