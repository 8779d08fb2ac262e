/* SPDX-License-Identifier: Apache-2.0 */
/* What a watch sees, from which revision, in which form, and how it ends. */
#include "base/clock.h"
#include "test/harness/api_env.h"
#include "test/harness/check.h"

#define ALL ENV_CLUSTERS "?watch=true"

static struct env *env;

static void set_up(void)
{
    env = env_new(NULL);
}

static void tear_down(void)
{
    env_free(env);
}

TestSuite(watch, .init = set_up, .fini = tear_down, .timeout = 60);

/* With environments of their own. */
TestSuite(watch_special, .timeout = 60);

static struct env_watch *open_watch(const char *target)
{
    return env_watch(env, &(struct env_request) { .target = target });
}

static const char *since(const char *target, str version)
{
    return arena_printf(env->arena, "%s&resourceVersion=%.*s", target, STR_ARG(version)).ptr;
}

static void check_frame(struct env_watch *w, const char *type, const char *name)
{
    const struct json *f = env_watch_next(w);
    cr_assert_not_null(f, "the watch ended");
    CHECK_STR(json_str_at(f, "type"), type);
    if (name)
        CHECK_STR(json_str_at(f, "object.metadata.name"), name);
}

static struct env_answer scale(const char *name, int instances)
{
    str body = arena_printf(env->arena, "{\"spec\":{\"instances\":%d}}", instances);
    return env_send(env, "PATCH", arena_printf(env->arena, ENV_CLUSTERS "/%s", name).ptr, body.ptr);
}

static struct env_answer label(const char *name, const char *value)
{
    str body = arena_printf(env->arena, "{\"metadata\":{\"labels\":{\"app\":%s}}}", value);
    return env_send(env, "PATCH", arena_printf(env->arena, ENV_CLUSTERS "/%s", name).ptr, body.ptr);
}

Test(watch, from_now_it_tells_what_is_there_and_then_each_change)
{
    (void)env_cluster(env, "a");
    struct env_watch *w = open_watch(ALL);
    check_frame(w, "ADDED", "a");
    (void)env_cluster(env, "b");
    (void)scale("a", 3);
    (void)env_send(env, "DELETE", ENV_CLUSTERS "/b", "");
    check_frame(w, "ADDED", "b");
    check_frame(w, "MODIFIED", "a");
    const struct json *gone = env_watch_next(w);
    CHECK_STR(json_str_at(gone, "type"), "DELETED");
    str revision = arena_printf(env->arena, "%llu", (unsigned long long)env_revision(env));
    cr_assert(str_eq(json_str_at(gone, "object.metadata.resourceVersion"), revision),
              "a deletion carries its own revision");
    cr_assert(env_watch_is_quiet(w));
    env_watch_close(w);
}

Test(watch, from_a_revision_it_tells_each_later_change_once_and_in_order)
{
    str first = env_cluster(env, "a");
    (void)env_cluster(env, "b");
    (void)scale("a", 3);
    struct env_watch *w = open_watch(since(ALL, first));
    check_frame(w, "ADDED", "b");
    check_frame(w, "MODIFIED", "a");
    (void)env_cluster(env, "c");
    check_frame(w, "ADDED", "c");
    cr_assert(env_watch_is_quiet(w));
    env_watch_close(w);
}

Test(watch, from_the_future_it_is_silent_until_then)
{
    str version = arena_printf(env->arena, "%llu", (unsigned long long)env_revision(env) + 2);
    struct env_watch *w = open_watch(since(ALL, version));
    (void)env_cluster(env, "a");
    (void)env_cluster(env, "b");
    (void)env_cluster(env, "c");
    check_frame(w, "ADDED", "c");
    env_watch_close(w);
}

Test(watch, of_live_objects_from_the_future_is_told_to_begin_anew)
{
    struct env_watch *w = open_watch(ENV_GROUP "/postgresinstances?watch=true&resourceVersion=9000000000000000000");
    const struct json *f = env_watch_next(w);
    CHECK_STR(json_str_at(f, "type"), "ERROR");
    cr_assert_eq(json_int_at(f, "object.code", 0), 410);
    CHECK_STR(json_str_at(f, "object.reason"), "Expired");
    cr_assert_null(env_watch_next(w));
    env_watch_close(w);
}

Test(watch, of_another_namespace_sees_nothing_of_this_one)
{
    struct env_watch *w = open_watch(ENV_GROUP "/namespaces/kube-system/postgresclusters?watch=1");
    struct env_watch *all = open_watch(ENV_GROUP "/postgresclusters?watch=1");
    (void)env_cluster(env, "a");
    check_frame(all, "ADDED", "a");
    cr_assert(env_watch_is_quiet(w));
    env_watch_close(w);
    env_watch_close(all);
}

Test(watch, selectors_turn_changes_into_comings_and_goings)
{
    (void)env_cluster(env, "a");
    struct env_watch *w = open_watch(ALL "&labelSelector=app%3Dx");
    (void)label("a", "\"x\"");
    check_frame(w, "ADDED", "a");
    (void)scale("a", 3);
    check_frame(w, "MODIFIED", "a");
    struct env_answer gone = label("a", "null");
    const struct json *f = env_watch_next(w);
    CHECK_STR(json_str_at(f, "type"), "DELETED");
    CHECK_STR(json_str_at(f, "object.metadata.labels.app"), "x");
    cr_assert(str_eq(json_str_at(f, "object.metadata.resourceVersion"), env_text(&gone, "metadata.resourceVersion")),
              "the state before, as of this change");
    (void)scale("a", 4);
    cr_assert(env_watch_is_quiet(w));
    env_watch_close(w);
}

Test(watch, of_one_name_by_field_or_by_the_old_path)
{
    struct env_watch *field = open_watch(ALL "&fieldSelector=metadata.name%3Db");
    struct env_watch *path = open_watch(ENV_GROUP "/watch/namespaces/default/postgresclusters/b");
    (void)env_cluster(env, "a");
    (void)env_cluster(env, "b");
    check_frame(field, "ADDED", "b");
    check_frame(path, "ADDED", "b");
    cr_assert(env_watch_is_quiet(field));
    env_watch_close(field);
    env_watch_close(path);
}

Test(watch, initial_events_end_with_one_annotated_bookmark)
{
    (void)env_cluster(env, "a");
    (void)env_cluster(env, "b");
    struct env_watch *w =
        open_watch(ALL "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
    check_frame(w, "ADDED", "a");
    check_frame(w, "ADDED", "b");
    const struct json *f = env_watch_next(w);
    CHECK_STR(json_str_at(f, "type"), "BOOKMARK");
    CHECK_STR(json_str_at(f, "object.kind"), "PostgresCluster");
    const struct json *annotations = json_at(f, "object.metadata.annotations");
    CHECK_STR(json_str(json_get(annotations, S("k8s.io/initial-events-end"))), "true");
    uint64_t version;
    cr_assert(str_to_u64(json_str_at(f, "object.metadata.resourceVersion"), &version));
    cr_assert_eq(version, env_revision(env));
    (void)env_cluster(env, "c");
    check_frame(w, "ADDED", "c");
    env_watch_close(w);
}

Test(watch, initial_events_without_bookmarks_have_no_mark)
{
    (void)env_cluster(env, "a");
    struct env_watch *w = open_watch(ALL "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    check_frame(w, "ADDED", "a");
    cr_assert(env_watch_is_quiet(w));
    env_watch_close(w);
}

Test(watch, without_initial_events_it_begins_now_also_without_a_version)
{
    static const char *const versions[] = { "", "&resourceVersion=", "&resourceVersion=0" };
    (void)env_cluster(env, "a");
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct env_watch *w = open_watch(arena_printf(env->arena,
                                                      ALL "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
                                                          "&allowWatchBookmarks=true%s",
                                                      versions[i])
                                             .ptr);
        cr_assert(env_watch_is_quiet(w));
        (void)label("a", i % 2 ? "\"x\"" : "\"y\"");
        check_frame(w, "MODIFIED", "a");
        env_watch_close(w);
    }
}

Test(watch, initial_events_of_the_future_time_out)
{
    struct env_watch *w = open_watch(
        ALL "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion=99999");
    cr_assert_null(env_watch_next(w));
    cr_assert_eq(w->refusal.code, 504);
    CHECK_STR(env_text(&w->refusal, "reason"), "Timeout");
    CHECK_HAS(env_text(&w->refusal, "message"), "Too large resource version: 99999");
    CHECK_STR(json_str_at(json_item(json_at(w->refusal.json, "details.causes"), 0), "reason"),
              "ResourceVersionTooLarge");
    CHECK_STR(env_header(&w->refusal, "retry-after"), "1");
    env_watch_close(w);
}

Test(watch_special, from_a_forgotten_revision_ends_with_an_error_frame)
{
    env = env_new(&(struct env_options) { .event_window = 4 });
    str first = env_cluster(env, "a");
    for (int i = 3; i < 12; i++)
        (void)scale("a", i);
    struct env_watch *w = open_watch(since(ALL, first));
    const struct json *f = env_watch_next(w);
    CHECK_STR(json_str_at(f, "type"), "ERROR");
    CHECK_STR(json_str_at(f, "object.reason"), "Expired");
    cr_assert_eq(json_int_at(f, "object.code", 0), 410);
    cr_assert_null(env_watch_next(w));
    cr_assert_not(w->is_error, "ends at a frame's boundary");
    env_watch_close(w);
    env_free(env);
}

Test(watch_special, bookmarks_come_when_it_is_time_and_promise_what_was_sent)
{
    env = env_new(&(struct env_options) { .bookmark_interval_ms = 100 });
    struct env_watch *w = open_watch(ALL "&allowWatchBookmarks=true");
    struct env_watch *without = open_watch(ALL);
    (void)env_send(env, "POST", "/api/v1/namespaces/default/secrets", "{\"metadata\":{\"name\":\"s\"}}");
    rv now = env_revision(env);
    uint64_t version = 0;
    while (version < now) { /* other kinds move the promise, too */
        const struct json *f = env_watch_next(w);
        CHECK_STR(json_str_at(f, "type"), "BOOKMARK");
        cr_assert_null(json_at(f, "object.metadata.annotations"));
        cr_assert(str_to_u64(json_str_at(f, "object.metadata.resourceVersion"), &version));
    }
    cr_assert_eq(version, now);
    cr_assert(env_watch_is_quiet(without));
    env_watch_close(w);
    env_watch_close(without);
    env_free(env);
}

Test(watch, ends_cleanly_after_timeout_seconds)
{
    struct env_watch *w = open_watch(ALL "&timeoutSeconds=1");
    cr_assert_null(env_watch_next(w));
    cr_assert_not(w->is_error);
    env_watch_close(w);
}

Test(watch, table_frames_have_their_columns_in_the_first_event_only)
{
    (void)env_cluster(env, "a");
    struct env_watch *w = env_watch(
        env, &(struct env_request) { .target = ALL, .accept = "application/json;as=Table;v=v1;g=meta.k8s.io" });
    const struct json *f = env_watch_next(w);
    CHECK_STR(json_str_at(f, "object.kind"), "Table");
    cr_assert_gt(json_count(json_at(f, "object.columnDefinitions")), 3);
    const struct json *row = json_item(json_at(f, "object.rows"), 0);
    CHECK_STR(json_str(json_item(json_get(row, S("cells")), 0)), "a");
    CHECK_STR(json_str_at(row, "object.kind"), "PartialObjectMetadata");
    (void)scale("a", 3);
    f = env_watch_next(w);
    CHECK_STR(json_str_at(f, "type"), "MODIFIED");
    cr_assert_eq(json_count(json_at(f, "object.columnDefinitions")), 0);
    cr_assert_eq(json_count(json_at(f, "object.rows")), 1);
    env_watch_close(w);
}

Test(watch, partial_frames_carry_metadata_alone)
{
    struct env_watch *w =
        env_watch(env, &(struct env_request) {
                           .target = ALL, .accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" });
    (void)env_cluster(env, "a");
    const struct json *f = env_watch_next(w);
    CHECK_STR(json_str_at(f, "object.kind"), "PartialObjectMetadata");
    CHECK_STR(json_str_at(f, "object.apiVersion"), "meta.k8s.io/v1");
    CHECK_STR(json_str_at(f, "object.metadata.name"), "a");
    cr_assert_null(json_at(f, "object.spec"));
    env_watch_close(w);
}

Test(watch, a_slow_client_gets_its_start_in_slices_and_loses_nothing)
{
    for (int i = 0; i < 30; i++) {
        char *big = arena_alloc(env->arena, 30001);
        memset(big, 'x', 30000);
        str body = arena_printf(env->arena,
                                "{\"metadata\":{\"name\":\"e%d\"},\"involvedObject\":{},\"message\":\"%s\"}", i, big);
        cr_assert_eq(env_send(env, "POST", "/api/v1/namespaces/default/events", body.ptr).code, 201);
    }
    struct env_watch *w = env_watch(
        env, &(struct env_request) { .target = "/api/v1/namespaces/default/events?watch=true", .body = "slow" });
    size_t first = w->text.len;
    cr_assert_lt(first, 30 * 30000, "it does not send all at once");
    cr_assert_eq(env_send(env, "DELETE", "/api/v1/namespaces/default/events/e0", "").code, 200);
    for (int i = 0; i < 30; i++) {
        const struct json *f;
        env_watch_drain(w);
        f = env_watch_next(w);
        CHECK_STR(json_str_at(f, "type"), "ADDED");
    }
    env_watch_drain(w);
    check_frame(w, "DELETED", "e0");
    env_watch_close(w);
}

Test(watch, a_client_that_stopped_reading_is_ended)
{
    struct env_watch *w = env_watch(
        env, &(struct env_request) { .target = "/api/v1/namespaces/default/events?watch=true", .body = "slow" });
    char *big = arena_alloc(env->arena, 1000001);
    memset(big, 'x', 1000000);
    for (int i = 0; i < 12 && !w->is_ended; i++) {
        str body = arena_printf(env->arena,
                                "{\"metadata\":{\"name\":\"e%d\"},\"involvedObject\":{},\"message\":\"%s\"}", i, big);
        cr_assert_eq(env_send(env, "POST", "/api/v1/namespaces/default/events", body.ptr).code, 201);
        env_pump(env, 10);
    }
    int64_t deadline = deadline_in_ms(120000);
    while (!w->is_ended && !deadline_has_passed(deadline))
        env_pump(env, 10);
    cr_assert(w->is_ended);
    env_watch_close(w);
}

Test(watch, all_watches_end_cleanly_when_the_server_stops)
{
    struct env_watch *w = open_watch(ALL);
    struct env_watch *other = open_watch("/api/v1/secrets?watch=1");
    (void)env_cluster(env, "a");
    api_end_watches(env->api);
    check_frame(w, "ADDED", "a");
    cr_assert_null(env_watch_next(w));
    cr_assert_null(env_watch_next(other));
    cr_assert_not(w->is_error);
    env_watch_close(w);
    env_watch_close(other);
    struct env_watch *late = open_watch(ALL);
    cr_assert_eq(late->refusal.code, 503);
    env_watch_close(late);
}

Test(watch, a_field_selector_beyond_the_name_looks_into_the_object)
{
    struct env_watch *w =
        open_watch("/api/v1/namespaces/default/events?watch=1&fieldSelector=involvedObject.name%3Dpg1");
    cr_assert_eq(w->refusal.code, 0, "%.*s", STR_ARG(w->refusal.body));
    (void)env_send(env, "POST", "/api/v1/namespaces/default/events",
                   "{\"metadata\":{\"name\":\"e1\"},\"involvedObject\":{\"name\":\"pg2\"}}");
    (void)env_send(env, "POST", "/api/v1/namespaces/default/events",
                   "{\"metadata\":{\"name\":\"e2\"},\"involvedObject\":{\"name\":\"pg1\"}}");
    check_frame(w, "ADDED", "e2");
    env_watch_close(w);
}

Test(watch, events_are_counted_as_they_are_sent)
{
    (void)env_cluster(env, "a");
    struct env_watch *w = open_watch(ALL), *other = open_watch(ALL "&labelSelector=app=x");
    check_frame(w, "ADDED", "a");
    (void)scale("a", 3);
    check_frame(w, "MODIFIED", "a");
    cr_assert(env_watch_is_quiet(other), "what a watch does not select is not sent");
    struct env_answer a = env_get(env, "/metrics");
    CHECK_HAS(a.body, "\napiserver_watch_events_total{group=\"postgres.example.io\",version=\"v1\","
                      "resource=\"postgresclusters\"} 2\n");
    CHECK_HAS(a.body, "\napiserver_watch_events_sizes_bucket{group=\"postgres.example.io\",version=\"v1\","
                      "resource=\"postgresclusters\",le=\"131072\"} 2\n");
    env_watch_close(w);
    env_watch_close(other);
}
