/* SPDX-License-Identifier: Apache-2.0 */
/* POST, PUT, PATCH and DELETE: what is kept, what is refused, what is written at all. */
#include "base/clock.h"
#include "test/harness/api_env.h"
#include "test/harness/check.h"
#include "json/json_write.h"

#define C ENV_CLUSTERS
#define SPEC "\"spec\":{\"instances\":2,\"storage\":{\"size\":\"1Gi\"}}"

static struct env *env;

static void set_up(void)
{
    env = env_new(NULL);
}

static void tear_down(void)
{
    env_free(env);
}

TestSuite(write, .init = set_up, .fini = tear_down, .timeout = 60);

static struct env_answer create(const char *body)
{
    return env_send(env, "POST", C, body);
}

static struct env_answer patch(const char *target, const char *body)
{
    return env_send(env, "PATCH", target, body);
}

static struct env_answer put(const char *target, const struct json *tree)
{
    return env_send(env, "PUT", target, json_text(env->arena, tree).ptr);
}

static const struct json *stored(const char *name)
{
    struct env_answer a = env_get(env, arena_printf(env->arena, C "/%s", name).ptr);
    cr_assert_eq(a.code, 200, "%s: %d", name, a.code);
    return a.json;
}

static const struct json *text(const char *z)
{
    return json_string(env->arena, str_from(z));
}

/* ---- create --------------------------------------------------------------------------------------------------------
 */

Test(write, create_fills_what_only_the_server_knows)
{
    struct env_answer a =
        create("{\"metadata\":{\"name\":\"x\",\"uid\":\"mine\",\"generation\":7,\"creationTimestamp\":"
               "null,\"deletionTimestamp\":\"2020-01-01T00:00:00Z\",\"selfLink\":\"/x\",\"managedFields"
               "\":[{}]}," SPEC ",\"status\":{\"phase\":\"Running\"}}");
    cr_assert_eq(a.code, 201);
    cr_assert_eq(env_text(&a, "metadata.uid").len, 36);
    cr_assert_eq(json_int_at(a.json, "metadata.generation", 0), 1);
    cr_assert_eq(env_text(&a, "metadata.creationTimestamp").len, 20);
    cr_assert_null(json_at(a.json, "metadata.deletionTimestamp"));
    cr_assert_null(json_at(a.json, "metadata.selfLink"));
    cr_assert_null(json_at(a.json, "metadata.managedFields"));
    cr_assert_null(json_at(a.json, "status"));
    CHECK_STR(env_text(&a, "metadata.namespace"), "default");
    CHECK_STR(env_text(&a, "spec.storage.reclaimPolicy"), "Retain");
    cr_assert(json_equal(a.json, stored("x")), "the answer is what is stored");
    cr_assert_eq(env_header(&a, "warning").len, 0);
}

Test(write, generate_name_makes_different_names)
{
    struct env_answer a = create("{\"metadata\":{\"generateName\":\"pg-\"}," SPEC "}");
    struct env_answer b = create("{\"metadata\":{\"generateName\":\"pg-\"}," SPEC "}");
    cr_assert_eq(a.code, 201);
    cr_assert_eq(b.code, 201);
    cr_assert_eq(env_text(&a, "metadata.name").len, 8);
    cr_assert_not(str_eq(env_text(&a, "metadata.name"), env_text(&b, "metadata.name")));
}

Test(write, unknown_fields_are_dropped_with_a_warning_or_in_silence)
{
    struct env_answer a = create("{\"metadata\":{\"name\":\"x\"},\"spec\":{\"storage\":{\"size\":\"1Gi\"},\"foo\":1}}");
    cr_assert_eq(a.code, 201);
    CHECK_STR(env_header(&a, "warning"), "299 - \"unknown field \\\"spec.foo\\\"\"");
    cr_assert_null(json_at(a.json, "spec.foo"));
    a = env_send(env, "POST", C "?fieldValidation=Ignore",
                 "{\"metadata\":{\"name\":\"y\"},\"spec\":{\"storage\":{\"size\":\"1Gi\"},\"foo\":1}}");
    cr_assert_eq(a.code, 201);
    cr_assert_eq(env_header(&a, "warning").len, 0);
}

Test(write, yaml_comes_in_and_goes_out)
{
    struct env_answer a =
        env_call(env, &(struct env_request) { .method = "POST",
                                              .target = C,
                                              .content_type = "application/yaml",
                                              .accept = "application/yaml",
                                              .body = "metadata:\n  name: x\nspec:\n  storage: {size: 1Gi}\n" });
    cr_assert_eq(a.code, 201);
    CHECK_STR(a.content_type, "application/yaml");
    CHECK_HAS(a.body, "  name: x\n");
    (void)stored("x");
}

Test(write, a_body_without_content_type_is_json)
{
    struct env_answer a = env_call(
        env,
        &(struct env_request) { .method = "POST", .target = C, .body = "{\"metadata\":{\"name\":\"x\"}," SPEC "}" });
    cr_assert_eq(a.code, 201);
}

Test(write, a_dry_run_says_what_would_be_and_writes_nothing)
{
    (void)env_cluster(env, "old");
    rv before = env_revision(env);
    struct env_answer a = env_send(env, "POST", C "?dryRun=All", "{\"metadata\":{\"name\":\"x\"}," SPEC "}");
    cr_assert_eq(a.code, 201);
    CHECK_STR(env_text(&a, "metadata.name"), "x");
    cr_assert_null(json_at(a.json, "metadata.resourceVersion"));
    a = env_send(env, "POST", C "?dryRun=All", "{\"metadata\":{\"name\":\"old\"}," SPEC "}");
    cr_assert_eq(a.code, 409);
    a = patch(C "/old?dryRun=All", "{\"spec\":{\"instances\":5}}");
    cr_assert_eq(a.code, 200);
    cr_assert_eq(json_int_at(a.json, "spec.instances", 0), 5);
    cr_assert_eq(json_int_at(a.json, "metadata.generation", 0), 2);
    a = patch(C "/old/scale?dryRun=All", "{\"spec\":{\"replicas\":6}}");
    cr_assert_eq(json_int_at(a.json, "spec.replicas", 0), 6);
    a = env_send(env, "DELETE", C "/old?dryRun=All", "");
    cr_assert_eq(a.code, 200);
    a = env_send(env, "DELETE", C "?dryRun=All", "");
    cr_assert_eq(a.code, 200);
    cr_assert_eq(env_revision(env), before);
}

Test(write, protobuf_comes_in_for_the_kinds_of_v1)
{
    /* What kubectl 1.32 sends for `create namespace foo`. */
    static const char body[] = "k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x1b\x0a\x13\x0a\x03"
                               "foo\x12\x00\x1a\x00\"\x00*\x00"
                               "2\x00"
                               "8\x00"
                               "B\x00\x12\x00\x1a\x02\x0a\x00\x1a\x00\"\x00";
    struct env_answer a =
        env_call(env, &(struct env_request) { .method = "POST",
                                              .target = "/api/v1/namespaces",
                                              .raw = { body, sizeof(body) - 1 },
                                              .content_type = "application/vnd.kubernetes.protobuf",
                                              .accept = "application/vnd.kubernetes.protobuf,application/json" });
    cr_assert_eq(a.code, 201, "%.*s", STR_ARG(a.body));
    CHECK_STR(env_text(&a, "metadata.name"), "foo");
    CHECK_STR(env_text(&a, "status.phase"), "Active");
}

/* ---- update
 * ---------------------------------------------------------------------------------------------------------- */

Test(write, generation_counts_changes_of_the_spec_alone)
{
    (void)env_cluster(env, "x");
    (void)patch(C "/x", "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
    cr_assert_eq(json_int_at(stored("x"), "metadata.generation", 0), 1);
    (void)patch(C "/x/status", "{\"status\":{\"phase\":\"Running\"}}");
    cr_assert_eq(json_int_at(stored("x"), "metadata.generation", 0), 1);
    (void)patch(C "/x", "{\"spec\":{\"instances\":3}}");
    cr_assert_eq(json_int_at(stored("x"), "metadata.generation", 0), 2);
}

Test(write, what_changes_nothing_writes_nothing)
{
    (void)env_cluster(env, "x");
    const struct json *tree = stored("x");
    rv before = env_revision(env);
    struct env_answer a = put(C "/x", tree);
    cr_assert_eq(a.code, 200);
    cr_assert(json_equal(a.json, tree));
    cr_assert_eq(patch(C "/x", "{\"spec\":{\"instances\":2}}").code, 200);
    cr_assert_eq(patch(C "/x", "{\"status\":{\"phase\":\"Failed\"}}").code, 200, "status is not this endpoint's");
    cr_assert_eq(patch(C "/x/status", "{\"spec\":{\"instances\":9}}").code, 200, "nor spec that one's");
    cr_assert_eq(patch(C "/x/scale", "{\"spec\":{\"replicas\":2}}").code, 200);
    cr_assert_eq(env_revision(env), before);
}

Test(write, put_replaces_and_keeps_what_the_client_may_not_change)
{
    (void)env_cluster(env, "x");
    (void)patch(C "/x/status", "{\"status\":{\"phase\":\"Running\"}}");
    const struct json *old = stored("x"), *tree = old;
    struct arena *a = env->arena;
    tree = json_with_at(a, tree, "metadata.creationTimestamp", text("2000-01-01T00:00:00Z"));
    tree = json_with_at(a, tree, "metadata.generation", json_int(a, 99));
    tree = json_with_at(a, tree, "metadata.deletionTimestamp", text("2000-01-01T00:00:00Z"));
    tree = json_with_at(a, tree, "spec.instances", json_int(a, 4));
    tree = json_with_at(a, tree, "status.phase", text("Failed"));
    struct env_answer answer = put(C "/x", tree);
    cr_assert_eq(answer.code, 200);
    cr_assert_eq(json_int_at(answer.json, "spec.instances", 0), 4);
    cr_assert_eq(json_int_at(answer.json, "metadata.generation", 0), 2);
    cr_assert(str_eq(env_text(&answer, "metadata.creationTimestamp"), json_str_at(old, "metadata.creationTimestamp")));
    cr_assert_null(json_at(answer.json, "metadata.deletionTimestamp"));
    CHECK_STR(env_text(&answer, "status.phase"), "Running");
}

Test(write, status_changes_by_its_own_endpoint_alone)
{
    (void)env_cluster(env, "x");
    const struct json *tree = json_with_at(env->arena, stored("x"), "status.phase", text("Running"));
    tree = json_with_at(env->arena, tree, "spec.instances", json_int(env->arena, 9));
    tree = json_with_at(env->arena, tree, "metadata.labels.a", text("b"));
    struct env_answer a = put(C "/x/status", tree);
    cr_assert_eq(a.code, 200);
    CHECK_STR(env_text(&a, "status.phase"), "Running");
    cr_assert_eq(json_int_at(a.json, "spec.instances", 0), 2);
    cr_assert_null(json_at(a.json, "metadata.labels"));
}

Test(write, a_stale_put_is_a_conflict_and_v1_takes_one_without_revision)
{
    (void)env_cluster(env, "x");
    const struct json *tree = stored("x");
    (void)patch(C "/x", "{\"spec\":{\"instances\":3}}");
    cr_assert_eq(put(C "/x", tree).code, 409);
    const char *secret = "{\"metadata\":{\"name\":\"s\"},\"stringData\":{\"a\":\"b\"}}";
    cr_assert_eq(env_send(env, "POST", "/api/v1/namespaces/default/secrets", secret).code, 201);
    const char *other = "{\"metadata\":{\"name\":\"s\"},\"stringData\":{\"c\":\"d\"}}";
    struct env_answer a = env_send(env, "PUT", "/api/v1/namespaces/default/secrets/s", other);
    cr_assert_eq(a.code, 200);
    CHECK_STR(env_text(&a, "data.c"), "ZA==");
    cr_assert_null(json_at(a.json, "data.a"));
    cr_assert_null(json_at(a.json, "metadata.generation"));
}

Test(write, json_patch_and_merge_patch_change_what_they_name)
{
    (void)env_cluster(env, "x");
    struct env_answer a =
        env_call(env, &(struct env_request) {
                          .method = "PATCH",
                          .target = C "/x",
                          .content_type = "application/json-patch+json",
                          .body = "[{\"op\":\"test\",\"path\":\"/spec/instances\",\"value\":2},"
                                  "{\"op\":\"add\",\"path\":\"/metadata/annotations\",\"value\":{\"a\":\"b\"}}]" });
    cr_assert_eq(a.code, 200);
    CHECK_STR(env_text(&a, "metadata.annotations.a"), "b");
    a = patch(C "/x", "{\"metadata\":{\"annotations\":{\"a\":null,\"c\":\"d\"}}}");
    cr_assert_null(json_at(a.json, "metadata.annotations.a"));
    CHECK_STR(env_text(&a, "metadata.annotations.c"), "d");
}

Test(write, a_patch_with_the_right_revision_is_applied)
{
    str version = env_cluster(env, "x");
    str body = arena_printf(env->arena, "{\"metadata\":{\"resourceVersion\":\"%.*s\"},\"spec\":{\"instances\":3}}",
                            STR_ARG(version));
    cr_assert_eq(patch(C "/x", body.ptr).code, 200);
    cr_assert_eq(patch(C "/x", body.ptr).code, 409, "the second time it is an old one");
}

/* ---- scale
 * ------------------------------------------------------------------------------------------------------------- */

Test(write, scale_is_a_view_of_the_instances)
{
    (void)env_cluster(env, "x");
    (void)patch(C "/x/status", "{\"status\":{\"instances\":2,\"selector\":\"a=b\"}}");
    struct env_answer a = env_get(env, C "/x/scale");
    CHECK_STR(env_text(&a, "kind"), "Scale");
    CHECK_STR(env_text(&a, "apiVersion"), "autoscaling/v1");
    CHECK_STR(env_text(&a, "status.selector"), "a=b");
    cr_assert_eq(json_int_at(a.json, "spec.replicas", 0), 2);
    cr_assert_eq(json_int_at(a.json, "status.replicas", 0), 2);
    cr_assert(str_eq(env_text(&a, "metadata.uid"), json_str_at(stored("x"), "metadata.uid")));

    a = put(C "/x/scale", json_with_at(env->arena, a.json, "spec.replicas", json_int(env->arena, 3)));
    cr_assert_eq(a.code, 200);
    cr_assert_eq(json_int_at(a.json, "spec.replicas", 0), 3);
    cr_assert_eq(json_int_at(stored("x"), "metadata.generation", 0), 2);
    a = env_send(env, "PUT", C "/x/scale", "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"replicas\":4}}");
    cr_assert_eq(a.code, 200, "without a resourceVersion it is unconditional");
    a = env_send(env, "PUT", C "/x/scale",
                 "{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"1\"},\"spec\":{\"replicas\":5}}");
    cr_assert_eq(a.code, 409);
    a = patch(C "/x/scale", "{\"spec\":{\"replicas\":5}}");
    cr_assert_eq(json_int_at(stored("x"), "spec.instances", 0), 5);
}

Test(write, unknown_and_repeated_fields_of_a_scale_are_noticed)
{
    static const char *const bodies[] = { "{\"spec\":{\"replicas\":2,\"foo\":1}}",
                                          "{\"spec\":{\"replicas\":2,\"replicas\":2}}" };
    static const char *const texts[] = { "unknown field \\\"spec.foo\\\"", "duplicate field \\\"spec.replicas\\\"" };
    (void)env_cluster(env, "x");
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct env_answer a = patch(C "/x/scale?fieldValidation=Strict", bodies[i]);
        cr_assert_eq(a.code, 400);
        a = env_send(env, "PUT", C "/x/scale?fieldValidation=Strict", bodies[i]);
        cr_assert_eq(a.code, 400);
        CHECK_HAS(env_text(&a, "message"),
                  "Scale in version \"v1\" cannot be handled as a Scale: strict decoding error: ");
        a = env_send(env, "PUT", C "/x/scale", bodies[i]);
        cr_assert_eq(a.code, 200);
        CHECK_HAS(env_header(&a, "warning"), texts[i]);
        a = env_send(env, "PUT", C "/x/scale?fieldValidation=Ignore", bodies[i]);
        cr_assert_eq(env_header(&a, "warning").len, 0);
    }
}

Test(write, scale_comes_as_a_table_too)
{
    (void)env_cluster(env, "x");
    struct env_answer a =
        env_call(env, &(struct env_request) { .target = C "/x/scale",
                                              .accept = "application/json;as=Table;v=v1;g=meta.k8s.io" });
    CHECK_STR(env_text(&a, "kind"), "Table");
    CHECK_STR(json_str_at(json_item(json_at(a.json, "columnDefinitions"), 1), "name"), "Desired");
}

/* ---- delete
 * -------------------------------------------------------------------------------------------------------------- */

Test(write, delete_removes_and_says_what)
{
    (void)env_cluster(env, "x");
    str uid = json_str_at(stored("x"), "metadata.uid");
    struct env_answer a = env_send(env, "DELETE", C "/x", "");
    cr_assert_eq(a.code, 200);
    CHECK_STR(env_text(&a, "status"), "Success");
    CHECK_STR(env_text(&a, "details.name"), "x");
    CHECK_STR(env_text(&a, "details.kind"), "postgresclusters");
    cr_assert(str_eq(env_text(&a, "details.uid"), uid));
    cr_assert_eq(env_get(env, C "/x").code, 404);
}

Test(write, finalizers_keep_an_object_until_the_last_is_gone)
{
    (void)env_cluster(env, "x");
    (void)patch(C "/x", "{\"metadata\":{\"finalizers\":[\"a.b/c\",\"a.b/d\"]}}");
    struct env_answer a = env_send(env, "DELETE", C "/x", "");
    cr_assert_eq(a.code, 200);
    CHECK_STR(env_text(&a, "kind"), "PostgresCluster");
    cr_assert_eq(env_text(&a, "metadata.deletionTimestamp").len, 20);
    cr_assert_eq(json_int_at(a.json, "metadata.generation", 0), 2);
    cr_assert_eq(json_int_at(a.json, "metadata.deletionGracePeriodSeconds", -1), 0);
    rv before = env_revision(env);
    cr_assert_eq(env_send(env, "DELETE", C "/x", "").code, 200, "once more is fine");
    cr_assert_eq(env_revision(env), before);

    a = create("{\"metadata\":{\"name\":\"x\"}," SPEC "}");
    cr_assert_eq(a.code, 409);
    CHECK_HAS(env_text(&a, "message"), "object is being deleted: ");
    a = patch(C "/x", "{\"metadata\":{\"finalizers\":[\"a.b/c\",\"a.b/e\"]}}");
    cr_assert_eq(a.code, 422);
    CHECK_HAS(env_text(&a, "message"), "no new finalizers can be added if the object is being deleted");

    cr_assert_eq(patch(C "/x", "{\"metadata\":{\"finalizers\":[\"a.b/d\"]}}").code, 200);
    cr_assert_eq(env_get(env, C "/x").code, 200);
    a = patch(C "/x", "{\"metadata\":{\"finalizers\":null}}");
    cr_assert_eq(a.code, 200);
    CHECK_STR(env_text(&a, "metadata.name"), "x");
    cr_assert_null(json_at(a.json, "metadata.finalizers"), "the object as it was asked for");
    CHECK_STR(env_text(&a, "metadata.resourceVersion"),
              arena_printf(env->arena, "%llu", (unsigned long long)env_revision(env)).ptr);
    cr_assert_eq(env_get(env, C "/x").code, 404);
}

Test(write, kinds_without_a_generation_get_none_when_they_are_marked)
{
    (void)env_send(env, "POST", "/api/v1/namespaces/default/secrets",
                   "{\"metadata\":{\"name\":\"s\",\"finalizers\":[\"a.b/c\"]}}");
    struct env_answer a = env_send(env, "DELETE", "/api/v1/namespaces/default/secrets/s", "");
    cr_assert_eq(a.code, 200);
    cr_assert_eq(env_text(&a, "metadata.deletionTimestamp").len, 20);
    cr_assert_null(json_at(a.json, "metadata.generation"));
}

Test(write, preconditions_that_hold_let_it_go)
{
    (void)env_cluster(env, "x");
    const struct json *o = stored("x");
    str body =
        arena_printf(env->arena, "{\"preconditions\":{\"uid\":\"%.*s\",\"resourceVersion\":\"%.*s\"}}",
                     STR_ARG(json_str_at(o, "metadata.uid")), STR_ARG(json_str_at(o, "metadata.resourceVersion")));
    cr_assert_eq(env_send(env, "DELETE", C "/x", body.ptr).code, 200);
}

Test(write, a_protected_cluster_is_not_deleted)
{
    (void)env_cluster(env, "x");
    (void)patch(C "/x", "{\"spec\":{\"deletionProtection\":true}}");
    rv before = env_revision(env);
    struct env_answer a = env_send(env, "DELETE", C "/x", "");
    cr_assert_eq(a.code, 403);
    cr_assert_eq(env_revision(env), before);
    (void)patch(C "/x", "{\"spec\":{\"deletionProtection\":false}}");
    cr_assert_eq(env_send(env, "DELETE", C "/x", "").code, 200);
}

Test(write, deletecollection_takes_what_the_selectors_name)
{
    for (int i = 0; i < 5; i++) {
        str body = arena_printf(env->arena, "{\"metadata\":{\"name\":\"s%d\",\"labels\":{\"odd\":\"%s\"}}}", i,
                                i % 2 ? "yes" : "no");
        (void)env_send(env, "POST", "/api/v1/namespaces/default/secrets", body.ptr);
    }
    struct env_answer a =
        env_send(env, "DELETE", "/api/v1/namespaces/default/secrets?labelSelector=odd%3Dyes",
                 "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"propagationPolicy\":\"Background\"}");
    cr_assert_eq(a.code, 200);
    CHECK_STR(env_text(&a, "kind"), "SecretList");
    cr_assert_eq(json_count(json_at(a.json, "items")), 2);
    a = env_get(env, "/api/v1/namespaces/default/secrets");
    cr_assert_eq(json_count(json_at(a.json, "items")), 3);
    cr_assert_eq(env_send(env, "DELETE", "/api/v1/namespaces/default/secrets", "").code, 200);
    a = env_get(env, "/api/v1/namespaces/default/secrets");
    cr_assert_eq(json_count(json_at(a.json, "items")), 0);
}

/* ---- namespaces
 * ------------------------------------------------------------------------------------------------------------ */

static void wait_gone(const char *target)
{
    int64_t deadline = deadline_in_ms(120000);
    while (env_get(env, target).code != 404) {
        cr_assert_not(deadline_has_passed(deadline), "%s is still there", target);
        env_pump(env, 5);
    }
}

Test(write, a_deleted_namespace_empties_itself_and_goes)
{
    cr_assert_eq(env_send(env, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"foo\"}}").code, 201);
    for (int i = 0; i < 3; i++) {
        str body = arena_printf(env->arena, "{\"metadata\":{\"name\":\"s%d\"}}", i);
        cr_assert_eq(env_send(env, "POST", "/api/v1/namespaces/foo/secrets", body.ptr).code, 201);
    }
    cr_assert_eq(env_send(env, "POST", ENV_GROUP "/namespaces/foo/postgresclusters",
                          "{\"metadata\":{\"name\":\"x\",\"finalizers\":[\"a.b/c\"]}," SPEC "}")
                     .code,
                 201);
    struct env_answer a = env_send(env, "DELETE", "/api/v1/namespaces/foo", "");
    cr_assert_eq(a.code, 200);
    CHECK_STR(env_text(&a, "status.phase"), "Terminating");

    a = env_send(env, "POST", "/api/v1/namespaces/foo/secrets", "{\"metadata\":{\"name\":\"late\"}}");
    cr_assert_eq(a.code, 403);
    CHECK_HAS(env_text(&a, "message"), "because it is being terminated");
    const struct json *cause = json_item(json_at(a.json, "details.causes"), 0);
    CHECK_STR(json_str_at(cause, "reason"), "NamespaceTerminating");
    CHECK_STR(json_str_at(cause, "field"), "metadata.namespace");
    CHECK_STR(json_str_at(cause, "message"), "namespace foo is being terminated");

    wait_gone("/api/v1/namespaces/foo/secrets/s2");
    cr_assert_eq(env_get(env, "/api/v1/namespaces/foo").code, 200, "a finalizer holds its content");
    (void)patch(ENV_GROUP "/namespaces/foo/postgresclusters/x", "{\"metadata\":{\"finalizers\":null}}");
    wait_gone("/api/v1/namespaces/foo");
    cr_assert_eq(env_send(env, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"foo\"}}").code, 201);
}

Test(write, a_protected_cluster_holds_its_namespace_until_it_is_released)
{
    cr_assert_eq(env_send(env, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"foo\"}}").code, 201);
    const char *cluster = ENV_GROUP "/namespaces/foo/postgresclusters/x";
    cr_assert_eq(env_send(env, "POST", ENV_GROUP "/namespaces/foo/postgresclusters",
                          "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"deletionProtection\":true,\"storage\":{\"size\":"
                          "\"1Gi\"}}}")
                     .code,
                 201);
    cr_assert_eq(env_send(env, "DELETE", "/api/v1/namespaces/foo", "").code, 200);
    env_pump(env, 100);
    cr_assert_eq(env_get(env, cluster).code, 200);
    (void)patch(cluster, "{\"spec\":{\"deletionProtection\":false}}");
    wait_gone("/api/v1/namespaces/foo");
}

/* ---- owners
 * ---------------------------------------------------------------------------------------------------------------- */

#define SECRETS "/api/v1/namespaces/default/secrets"

static void owned_secret(const char *name, str uid, bool blocks)
{
    str body =
        arena_printf(env->arena,
                     "{\"metadata\":{\"name\":\"%s\",\"ownerReferences\":[{\"apiVersion\":\"postgres.example.io/"
                     "v1\",\"kind\":\"PostgresCluster\",\"name\":\"x\",\"uid\":\"%.*s\",\"blockOwnerDeletion\":%s}"
                     "]}}",
                     name, STR_ARG(uid), blocks ? "true" : "false");
    cr_assert_eq(env_send(env, "POST", SECRETS, body.ptr).code, 201);
}

Test(write, what_is_owned_goes_with_its_last_owner)
{
    (void)env_cluster(env, "x");
    owned_secret("s", json_str_at(stored("x"), "metadata.uid"), false);
    (void)env_send(env, "POST", SECRETS, "{\"metadata\":{\"name\":\"free\"}}");
    cr_assert_eq(env_send(env, "DELETE", C "/x?propagationPolicy=Background", "").code, 200);
    cr_assert_eq(env_get(env, C "/x").code, 404);
    wait_gone(SECRETS "/s");
    cr_assert_eq(env_get(env, SECRETS "/free").code, 200);
}

Test(write, foreground_deletion_waits_for_what_blocks_it)
{
    (void)env_cluster(env, "x");
    owned_secret("s", json_str_at(stored("x"), "metadata.uid"), true);
    (void)patch(SECRETS "/s", "{\"metadata\":{\"finalizers\":[\"a.b/c\"]}}");
    struct env_answer a = env_send(env, "DELETE", C "/x", "{\"propagationPolicy\":\"Foreground\"}");
    cr_assert_eq(a.code, 200);
    CHECK_STR(json_str(json_item(json_at(a.json, "metadata.finalizers"), 0)), "foregroundDeletion");
    int64_t deadline = deadline_in_ms(120000);
    while (!json_at(env_get(env, SECRETS "/s").json, "metadata.deletionTimestamp")) {
        cr_assert_not(deadline_has_passed(deadline));
        env_pump(env, 5);
    }
    cr_assert_eq(env_get(env, C "/x").code, 200, "it waits");
    (void)patch(SECRETS "/s", "{\"metadata\":{\"finalizers\":null}}");
    wait_gone(C "/x");
}

Test(write, orphaning_cuts_the_references)
{
    (void)env_cluster(env, "x");
    owned_secret("s", json_str_at(stored("x"), "metadata.uid"), true);
    cr_assert_eq(env_send(env, "DELETE", C "/x?propagationPolicy=Orphan", "").code, 200);
    wait_gone(C "/x");
    struct env_answer a = env_get(env, SECRETS "/s");
    cr_assert_eq(a.code, 200);
    cr_assert_null(json_at(a.json, "metadata.ownerReferences"));
}

Test(write, the_first_namespaces_are_there)
{
    cr_assert_eq(env_get(env, "/api/v1/namespaces/default").code, 200);
    cr_assert_eq(env_get(env, "/api/v1/namespaces/kube-system").code, 200);
    cr_assert_eq(env_send(env, "DELETE", "/api/v1/namespaces/kube-system", "").code, 403, "and stay");
}

Test(write, a_namespace_is_labelled_with_its_name)
{
    static const char *const changes[] = {
        "{\"metadata\":{\"labels\":null}}",
        "{\"metadata\":{\"labels\":{\"kubernetes.io/metadata.name\":\"other\",\"a\":\"b\"}}}"
    };
    struct env_answer a = env_send(env, "POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"prod\"}}");
    cr_assert_eq(a.code, 201);
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        const struct json *labels = json_at(a.json, "metadata.labels");
        CHECK_STR(json_str(json_get(labels, S("kubernetes.io/metadata.name"))), "prod");
        a = patch("/api/v1/namespaces/prod", changes[i]);
        cr_assert_eq(a.code, 200);
    }
    cr_assert_eq(json_count(json_at(a.json, "metadata.labels")), 2);
}

/* ---- who
 * ----------------------------------------------------------------------------------------------------------------------
 */

Test(write, the_server_itself_writes_what_users_may_not)
{
    struct env_request r = {
        .method = "POST",
        .target = ENV_GROUP "/namespaces/default/postgresinstances",
        .body = "{\"metadata\":{\"name\":\"i\"},\"spec\":{\"cluster\":\"x\"},\"status\":{\"ready\":true}}",
        .user = &env_internal
    };
    struct env_answer a = env_call(env, &r);
    cr_assert_eq(a.code, 201, "%.*s", STR_ARG(a.body));
    a = env_get(env, ENV_GROUP "/namespaces/default/postgresinstances/i");
    cr_assert_eq(a.code, 200, "users read it");
    r.target = "/apis/internal.postgres.example.io/v1/clusterrecords";
    r.body = "{\"metadata\":{\"name\":\"u\"},\"spec\":{\"term\":3}}";
    a = env_call(env, &r);
    cr_assert_eq(a.code, 201);
    cr_assert_eq(json_int_at(a.json, "spec.term", 0), 3);
}

/* ---- actions
 * --------------------------------------------------------------------------------------------------------------------
 */

static struct action_request seen;

static void submit(void *self, const struct action_request *request, action_done_fn done, void *done_self)
{
    struct arena *a = self;
    seen = *request;
    if (request->dry_run) {
        done(done_self, 0, NULL,
             status_conflict(a, S("postgres.example.io"), S("postgresclusters"), request->name,
                             S("another action runs")));
        return;
    }
    done(done_self, 201, JSON_OBJECT_OF(a, JSON_MEMBER("to", json_get(request->body, S("target")))), NULL);
}

Test(write, an_action_reaches_its_backend_decoded_and_comes_back)
{
    const struct action_backend backend = { .self = env->arena, .submit = submit };
    api_set_actions(env->api, &backend);
    (void)env_cluster(env, "x");
    struct env_answer a =
        env_call(env, &(struct env_request) {
                          .method = "POST", .target = C "/x/failover", .body = "{\"target\":\"x-2\",\"extra\":1}" });
    cr_assert_eq(a.code, 400, "what is not understood is not guessed");
    a = env_send(env, "POST", C "/x/failover?fieldValidation=Warn", "{\"target\":\"x-2\",\"extra\":1}");
    cr_assert_eq(a.code, 201);
    CHECK_STR(env_text(&a, "to"), "x-2");
    CHECK_STR(env_text(&a, "kind"), "FailoverResult");
    CHECK_STR(env_text(&a, "apiVersion"), "postgres.example.io/v1");
    CHECK_HAS(env_header(&a, "warning"), "extra");
    cr_assert_eq(env_send(env, "POST", C "/x/failover", "").code, 201, "an empty body takes the defaults");
    a = env_send(env, "POST", C "/x/failover?dryRun=All", "{}");
    cr_assert_eq(a.code, 409);
    CHECK_HAS(env_text(&a, "message"), "another action runs");
    CHECK_STR(seen.action, "failover");
    api_set_actions(env->api, NULL);
}

Test(write, core_kinds_take_a_strategic_merge_patch_that_is_a_merge_patch)
{
    const char *target = "/api/v1/namespaces/default/secrets/s";
    (void)env_send(env, "POST", "/api/v1/namespaces/default/secrets",
                   "{\"metadata\":{\"name\":\"s\"},\"data\":{\"a\":\"YQ==\",\"b\":\"Yg==\"}}");
    struct env_request r = { .method = "PATCH", .target = target, .body = "{\"data\":{\"a\":null,\"c\":\"Yw==\"}}" };
    r.headers[0] = (struct env_header) { "content-type", "application/strategic-merge-patch+json" };
    struct env_answer a = env_call(env, &r);
    cr_assert_eq(a.code, 200);
    CHECK_STR(env_text(&a, "data.c"), "Yw==");
    cr_expect_null(json_at(a.json, "data.a"));
    static const char *const more[] = { "{\"data\":{\"$patch\":\"replace\"}}", "{\"$retainKeys\":[]}",
                                        "{\"metadata\":{\"finalizers\":[\"example.io/a\"]}}" };
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        r.body = more[i];
        cr_expect_eq(env_call(env, &r).code, 415, "%s", more[i]);
    }
}
