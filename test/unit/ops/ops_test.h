/* SPDX-License-Identifier: Apache-2.0 */
/* The pages of a standalone server (or of one behind an aggregator), asked without a socket. */
#ifndef TEST_UNIT_OPS_OPS_TEST_H
#define TEST_UNIT_OPS_OPS_TEST_H

#include <criterion/criterion.h>

#include "apiserver/pages.h"
#include "apiserver/resources.h"
#include "base/arena.h"
#include "json/json_parse.h"
#include "json/json_write.h"

#define ARENA_AUTO(name) CLEANUP(arena_freep) struct arena *name = arena_new()

static const int test_majors[] = { 15 };
static const struct environment test_environment = { test_majors, 1 };

struct site {
    struct arena *arena;
    struct resource_registry registry;
    struct pages *pages;
};

static inline void site_close(struct site *s)
{
    pages_free(s->pages);
    arena_free(s->arena);
}
#define SITE_AUTO CLEANUP(site_close) struct site

static inline struct site site_with(bool is_standalone, const struct health_check *checks, size_t count)
{
    struct site s = { .arena = arena_new() };
    struct resources_options options = { &test_environment, is_standalone };
    struct resource **list = NULL;
    size_t n = 0;
    struct error err = { .code = ERRC_OK };
    cr_assert_eq(resources_load(s.arena, &options, &list, &n, &err), 0, "%s", err.text);
    s.registry = (struct resource_registry) { (const struct resource *const *)list, n };
    struct resource_registry *kept = arena_new_of(s.arena, struct resource_registry);
    *kept = s.registry;
    struct pages_options pages = { .registry = kept, .checks = checks, .check_count = count };
    s.pages = pages_new(&pages);
    return s;
}

static inline struct site site_open(void)
{
    return site_with(true, NULL, 0);
}

static inline struct page_answer ask(const struct site *s, const char *path, const char *query, const char *accept)
{
    struct page_request req = { .path = str_from(path), .query = str_from(query), .accept = str_from(accept) };
    struct page_answer answer;
    cr_assert(pages_serve(s->pages, s->arena, &req, &answer), "%s", path);
    return answer;
}

static inline str header(const struct page_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (str_eq_z(answer->headers[i].name, name))
            return answer->headers[i].value;
    return S("");
}

static inline const struct json *document(const struct site *s, const char *path, const char *accept)
{
    struct page_answer answer = ask(s, path, "", accept);
    const struct json *v = NULL;
    struct error err = { .code = ERRC_OK };
    cr_assert_eq(answer.code, 200);
    cr_assert_eq(json_parse(s->arena, answer.body, NULL, &v, &err), 0, "%s: %s", path, err.text);
    return v;
}

#endif
