/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole request against a whole API: lines of method, target, Accept and Content-Type, the rest is the body. It is
 * answered once, errors are Status documents with the code they are sent with, and the server goes on.
 */
#include <assert.h>

#include "test/harness/api_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *line(struct arena *a, str *rest)
{
    str head;
    (void)str_cut(*rest, '\n', &head, rest);
    return arena_z(a, head);
}

static bool is_watch(const char *target)
{
    return str_find(str_from(target), S("watch")) >= 0; /* answered by a stream: test_watch.c */
}

/* Waits of three seconds make no progress. */
static bool waits(const char *target)
{
    return str_find(str_from(target), S("resourceVersion")) >= 0;
}

static void check(const struct env_answer *a)
{
    assert(a->code >= 200 && a->code < 600);
    if (a->code < 400 || !a->json)
        return;
    assert(str_eq(env_text(a, "kind"), S("Status")));
    assert(json_int_at(a->json, "code", 0) == a->code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static size_t runs;
    static struct env *env;
    if (runs++ % 1000 == 0) { /* answers live in its arena */
        if (env)
            env_free(env);
        env = env_new(NULL);
        (void)env_cluster(env, "pg1");
    }
    struct arena *a = env->arena;
    str rest = str_of((const char *)data, size);
    struct env_request r = { .method = line(a, &rest), .target = line(a, &rest) };
    r.accept = line(a, &rest);
    r.content_type = line(a, &rest);
    r.raw = rest;
    if (is_watch(r.target) || waits(r.target))
        return 0;
    struct env_answer answer = env_call(env, &r);
    check(&answer);
    return 0;
}
