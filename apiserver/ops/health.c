/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /healthz, /livez and /readyz as k8s.io/apiserver words them: "ok", or with ?verbose (and when something fails) a line
 * per check. Why a check failed is not said: these pages are open to anonymous callers.
 */
#include "internal.h"

#define TEXT_MAX (64u << 10)

static const struct {
    const char *path;
    unsigned page;
} all_pages[] = {
    { "healthz", HEALTH_HEALTHZ },
    { "livez", HEALTH_LIVEZ },
    { "readyz", HEALTH_READYZ },
};

static bool is_ping_ok(void *self)
{
    (void)self;
    return true;
}

static const struct health_check ping = { "ping", HEALTH_ALL, is_ping_ok, NULL };

/* Check i of those of a page; NULL behind the last. */
static const struct health_check *check_at(const struct pages *p, unsigned page, size_t i)
{
    if (i == 0)
        return &ping;
    for (size_t k = 0; k < p->check_count; k++)
        if ((p->checks[k].pages & page) && --i == 0)
            return &p->checks[k];
    return NULL;
}

/* Query parameter `name` is there; with a value given: there with this value. */
static bool has_parameter(str query, const char *name, const char *value)
{
    for (str one; str_next_field(&query, '&', &one);) {
        str key;
        str text;
        (void)str_cut(one, '=', &key, &text);
        if (str_eq_z(key, name) && (!value || str_eq_z(text, value)))
            return true;
    }
    return false;
}

static void answer_text(struct page_answer *ret, int code, str body)
{
    ret->code = code;
    ret->content_type = S("text/plain; charset=utf-8");
    ret->body = body;
    ops__add_header(ret, S("x-content-type-options"), S("nosniff"));
}

static void warn_about_excludes(const struct pages *p, unsigned page, str query, struct strbuf *out)
{
    for (str one; str_next_field(&query, '&', &one);) {
        str key;
        str name;
        (void)str_cut(one, '=', &key, &name);
        bool is_found = !str_eq(key, S("exclude"));
        const struct health_check *c = NULL;
        for (size_t i = 0; !is_found && (c = check_at(p, page, i)); i++)
            is_found = str_eq_z(name, c->name);
        if (!is_found)
            strbuf_addf(out, "warn: some health checks cannot be excluded: no matches for \"%.*s\"\n", STR_ARG(name));
    }
}

static void serve_all(const struct pages *p, struct arena *a, size_t page_index, str query, struct page_answer *ret)
{
    unsigned page = all_pages[page_index].page;
    STRBUF_AUTO text = STRBUF_INIT(TEXT_MAX);
    bool is_healthy = true;
    const struct health_check *c = NULL;
    for (size_t i = 0; (c = check_at(p, page, i)); i++) {
        if (has_parameter(query, "exclude", c->name)) {
            strbuf_addf(&text, "[+]%s excluded: ok\n", c->name);
        } else if (c->is_ok(c->self)) {
            strbuf_addf(&text, "[+]%s ok\n", c->name);
        } else {
            strbuf_addf(&text, "[-]%s failed: reason withheld\n", c->name);
            is_healthy = false;
        }
    }
    warn_about_excludes(p, page, query, &text);
    strbuf_addf(&text, "%s check %s\n", all_pages[page_index].path, is_healthy ? "passed" : "failed");
    if (is_healthy && !has_parameter(query, "verbose", NULL))
        answer_text(ret, 200, S("ok"));
    else
        answer_text(ret, is_healthy ? 200 : 500, strbuf_to_arena(&text, a));
}

/* /readyz/store */
static bool serve_one(const struct pages *p, struct arena *a, unsigned page, str name, struct page_answer *ret)
{
    const struct health_check *c = NULL;
    for (size_t i = 0; (c = check_at(p, page, i)); i++) {
        if (!str_eq_z(name, c->name))
            continue;
        if (c->is_ok(c->self))
            answer_text(ret, 200, S("ok"));
        else
            answer_text(ret, 500, arena_printf(a, "internal server error: %s failed: reason withheld\n", c->name));
        return true;
    }
    return false;
}

bool ops__serve_health(const struct pages *p, struct arena *a, const struct page_request *req, struct page_answer *ret)
{
    if (!str_has_prefix(req->path, S("/")))
        return false;
    str page;
    str name;
    bool has_name = str_cut(str_from_offset(req->path, 1), '/', &page, &name);
    for (size_t i = 0; i < ARRAY_LEN(all_pages); i++) {
        if (!str_eq_z(page, all_pages[i].path))
            continue;
        if (has_name && name.len)
            return serve_one(p, a, all_pages[i].page, name, ret);
        serve_all(p, a, i, req->query, ret);
        return true;
    }
    return false;
}
