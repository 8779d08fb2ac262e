/* SPDX-License-Identifier: Apache-2.0 */
/* The client that the reconciler uses, over the API itself. */
#include "apiserver/inprocess.h"
#include "base/clock.h"
#include "test/harness/api_env.h"
#include "test/harness/check.h"

static struct env *env;
static struct inprocess *transport;
static struct kube_client *client;
static struct error err;

static void set_up(void)
{
    env = env_new(&(struct env_options) { .event_window = 8 });
    CHECK_OK(inprocess_new(env->api, &transport, &err), err);
    client = inprocess_client(transport);
}

static void tear_down(void)
{
    inprocess_free(transport);
    env_free(env);
}

TestSuite(inprocess, .init = set_up, .fini = tear_down, .timeout = 60);

static const struct json *secret(const char *name)
{
    struct arena *a = env->arena;
    return JSON_OBJECT_OF(
        a, JSON_MEMBER("metadata", JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, str_from(name))))));
}

static str path(const char *name)
{
    return kube_path(env->arena, (str) { 0 }, S("secrets"), S("default"), str_from(name), (str) { 0 });
}

Test(inprocess, paths_are_those_of_the_api)
{
    CHECK_STR(path("s"), "/api/v1/namespaces/default/secrets/s");
    CHECK_STR(
        kube_path(env->arena, S("postgres.example.io"), S("postgresclusters"), (str) { 0 }, (str) { 0 }, (str) { 0 }),
        "/apis/postgres.example.io/v1/postgresclusters");
    CHECK_STR(kube_path(env->arena, S("postgres.example.io"), S("postgresclusters"), S("n"), S("x"), S("status")),
              "/apis/postgres.example.io/v1/namespaces/n/postgresclusters/x/status");
}

Test(inprocess, objects_are_made_read_changed_and_deleted)
{
    const struct json *o;
    CHECK_OK(kube_create(client, env->arena, path(""), secret("s"), &o, &err), err);
    CHECK_FAILS(kube_create(client, env->arena, path(""), secret("s"), NULL, &err), ERRC_EXISTS);
    CHECK_HAS(str_from(err.text), "secrets \"s\" already exists");
    str uid = json_str_at(o, "metadata.uid");
    const struct json *old = o;
    const struct json *patch =
        JSON_OBJECT_OF(env->arena, JSON_MEMBER("type", json_string(env->arena, S("Opaque"))),
                       JSON_MEMBER("metadata", JSON_OBJECT_OF(env->arena, JSON_MEMBER("labels", secret("x")))));
    CHECK_FAILS(kube_merge_patch(client, env->arena, path("s"), patch, &o, &err), ERRC_INVALID);
    patch = json_with_at(env->arena, &json_empty_object, "metadata.labels.a", json_string(env->arena, S("b")));
    CHECK_OK(kube_merge_patch(client, env->arena, path("s"), patch, &o, &err), err);
    CHECK_FAILS(kube_update(client, env->arena, path("s"),
                            json_with_at(env->arena, old, "metadata.labels.c", json_string(env->arena, S("d"))), NULL,
                            &err),
                ERRC_CONFLICT);
    CHECK_OK(kube_update(client, env->arena, path("s"), o, &o, &err), err);
    CHECK_OK(kube_get(client, env->arena, path("s"), &o, &err), err);
    CHECK_STR(json_str_at(o, "metadata.labels.a"), "b");
    CHECK_FAILS(kube_delete(client, env->arena, path("s"), S("another"), &err), ERRC_CONFLICT);
    CHECK_OK(kube_delete(client, env->arena, path("s"), uid, &err), err);
    CHECK_OK(kube_delete(client, env->arena, path("s"), (str) { 0 }, &err), err);
    CHECK_FAILS(kube_get(client, env->arena, path("s"), &o, &err), ERRC_NOT_FOUND);
}

Test(inprocess, a_call_ends_at_its_deadline)
{
    const struct kube_request r = { .method = "GET",
                                    .path = path(""),
                                    .query = S("resourceVersion=999999&resourceVersionMatch=NotOlderThan"),
                                    .deadline_ns = deadline_in_ms(50) };
    struct kube_response response;
    CHECK_FAILS(kube_call(client, env->arena, &r, &response, &err), ERRC_TIMEOUT);
}

struct seen {
    atomic_int events, ends;
    enum kube_event_type last;
    int end_code;
};

static void on_event(void *self, enum kube_event_type type, str object)
{
    struct seen *s = self;
    cr_assert(str_has_prefix(object, S("{")) && str_has_suffix(object, S("}")));
    s->last = type;
    atomic_fetch_add(&s->events, 1);
}

static void on_end(void *self, const struct error *e)
{
    struct seen *s = self;
    s->end_code = e ? (int)e->code : 0;
    atomic_fetch_add(&s->ends, 1);
}

static const struct kube_watch_ops ops = { .on_event = on_event, .on_end = on_end };

static void wait_for(atomic_int *value, int wanted)
{
    int64_t deadline = deadline_in_ms(120000);
    while (atomic_load(value) < wanted)
        cr_assert_not(deadline_has_passed(deadline), "%d of %d", atomic_load(value), wanted);
}

Test(inprocess, a_watch_tells_what_happens_and_how_it_ends)
{
    struct seen s = { 0 };
    struct kube_watch *w;
    str now = arena_printf(env->arena, "%llu", (unsigned long long)env_revision(env));
    CHECK_OK(kube_watch_start(client, path(""), now, &ops, &s, &w, &err), err);
    CHECK_OK(kube_create(client, env->arena, path(""), secret("a"), NULL, &err), err);
    CHECK_OK(kube_create(client, env->arena, path(""), secret("b"), NULL, &err), err);
    CHECK_OK(kube_delete(client, env->arena, path("a"), (str) { 0 }, &err), err);
    wait_for(&s.events, 3);
    cr_assert_eq(s.last, KUBE_DELETED);
    api_end_watches(env->api);
    wait_for(&s.ends, 1);
    cr_assert_eq(s.end_code, 0);
    kube_watch_stop(w);
}

Test(inprocess, a_watch_from_too_far_back_says_so)
{
    for (int i = 0; i < 20; i++)
        CHECK_OK(kube_create(client, env->arena, path(""), secret(arena_printf(env->arena, "s%d", i).ptr), NULL, &err),
                 err);
    struct seen s = { 0 };
    struct kube_watch *w;
    CHECK_OK(kube_watch_start(client, path(""), S("1"), &ops, &s, &w, &err), err);
    wait_for(&s.ends, 1);
    cr_assert_eq(s.end_code, (int)ERRC_TOO_OLD);
    kube_watch_stop(w);
    CHECK_OK(kube_watch_start(client, S("/apis/none/v1/things"), S("1"), &ops, &s, &w, &err), err);
    wait_for(&s.ends, 2);
    cr_assert_eq(s.events, 0);
    kube_watch_stop(w);
}
