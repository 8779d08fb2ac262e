/* SPDX-License-Identifier: Apache-2.0 */
/* What a view is asked, texts for people, and that the same facts give an instance the same configuration. */
#include "reconcile/cluster/view.h"

#include "harness/check.h"
#include "harness/fake_agent.h"
#include "reconcile/cluster/internal.h"
#include "reconcile/text.h"
#include "json/json_parse.h"
#include "json/json_write.h"

/* pg-1 is a serving primary of term 2, pg-2 streams from it. */
struct bed {
    struct arena *a;
    struct record_instance in[2];
    struct instance_view views[2];
    struct cluster_view v;
};

static void bed_make(struct bed *b)
{
    static const str names[] = { S_INIT("pg-1"), S_INIT("pg-2") };
    memset(b, 0, sizeof(*b));
    b->a = arena_new();
    for (size_t i = 0; i < 2; i++) {
        b->in[i] = (struct record_instance) {
            .name = names[i],
            .serial = (int64_t)i + 1,
            .at = { .host = arena_printf(b->a, "127.0.0.%zu", i + 1), .port = 5432, .agent_port = 8432 }
        };
        b->views[i].in = &b->in[i];
        b->views[i].link = (struct link_view) { .is_connected = true, .has_status = true };
        b->views[i].link.status = (struct agent_status) { .term = 2,
                                                          .granted_to = i == 0 ? names[0] : S(""),
                                                          .postgres_running = true,
                                                          .in_recovery = i == 1,
                                                          .streaming = i == 1,
                                                          .usable = true,
                                                          .lsn = i == 0 ? S("1/00000010") : S("0/FFFFFFF0") };
    }
    b->v = (struct cluster_view) { .namespace_ = S("default"),
                                   .name = S("pg"),
                                   .uid = S("u"),
                                   .has_record = true,
                                   .instances = b->views,
                                   .instance_count = 2 };
    b->v.record = (struct record) { .uid = S("u"),
                                    .term = 2,
                                    .tli = 2,
                                    .version = 1,
                                    .primary = names[0],
                                    .members = names,
                                    .member_count = 2,
                                    .instances = b->in,
                                    .instance_count = 2,
                                    .is_initialized = true,
                                    .postgres_major = 15,
                                    .system_identifier = S("7") };
}

static void bed_end(struct bed *b)
{
    arena_free(b->a);
}

Test(view, primary_serves_only_in_the_records_term_and_by_its_own_word)
{
    struct bed b;
    bed_make(&b);
    struct agent_status *s = &b.views[0].link.status;
    cr_assert_eq(view_primary(&b.v), &b.views[0]);
    cr_assert_eq(view_instance(&b.v, S("pg-2")), &b.views[1]);
    cr_assert_null(view_instance(&b.v, S("pg-3")));
    cr_assert(view_is_serving_primary(&b.v, &b.views[0]));
    cr_assert_not(view_is_serving_primary(&b.v, &b.views[1]));
    s->term = 1;
    cr_assert_not(view_is_serving_primary(&b.v, &b.views[0]), "an older term");
    s->term = 2;
    s->granted_to = S("");
    cr_assert_not(view_is_serving_primary(&b.v, &b.views[0]), "not promoted");
    s->granted_to = S("pg-1");
    s->in_recovery = true;
    cr_assert_not(view_is_serving_primary(&b.v, &b.views[0]), "still in recovery");
    s->in_recovery = false;
    b.views[0].link.is_connected = false;
    cr_assert_not(view_is_serving_primary(&b.v, &b.views[0]), "not heard");
    b.v.record.primary = S("");
    cr_assert_null(view_primary(&b.v));
    bed_end(&b);
}

Test(view, standby_streams_only_when_it_could_be_chosen)
{
    struct bed b;
    bed_make(&b);
    struct agent_status *s = &b.views[1].link.status;
    cr_assert(view_is_streaming_standby(&b.v, &b.views[1]));
    cr_assert(view_is_ready(&b.v, &b.views[1]));
    cr_assert_not(view_is_streaming_standby(&b.v, &b.views[0]));
    s->usable = false;
    cr_assert_not(view_is_streaming_standby(&b.v, &b.views[1]), "its data are not whole (24)");
    s->usable = true;
    s->streaming = false;
    cr_assert_not(view_is_ready(&b.v, &b.views[1]));
    s->streaming = true;
    s->term = 3;
    cr_assert_not(view_is_ready(&b.v, &b.views[1]), "another term");
    bed_end(&b);
}

Test(view, lag_is_counted_in_bytes_never_below_none_and_unknown_when_one_is_silent)
{
    struct bed b;
    bed_make(&b);
    cr_assert_eq(view_lag_bytes(&b.v, &b.views[1]), 0x20);
    b.views[1].link.status.lsn = S("2/0");
    cr_assert_eq(view_lag_bytes(&b.v, &b.views[1]), 0);
    b.views[1].link.status.lsn = S("nonsense");
    cr_assert_eq(view_lag_bytes(&b.v, &b.views[1]), -1);
    b.views[0].link.has_status = false;
    cr_assert_eq(view_lag_bytes(&b.v, &b.views[1]), -1);
    bed_end(&b);
}

Test(view, spec_is_read_with_its_defaults)
{
    struct arena *a = arena_new();
    const struct json *v;
    struct error e;
    struct cluster_spec s;
    CHECK_OK(json_parse(a, S("{\"spec\":{}}"), NULL, &v, &e), e);
    cluster_spec_from_json(v, &s);
    cr_assert_eq(s.instances, 1);
    cr_assert(s.is_failover_automatic && s.is_sync_required && !s.is_paused && !s.removes_data);
    CHECK_STR(s.database, "app");
    CHECK_OK(json_parse(a,
                        S("{\"spec\":{\"instances\":3,\"paused\":true,\"failover\":{\"automatic\":false},"
                          "\"storage\":{\"reclaimPolicy\":\"Delete\"},\"postgresql\":{\"synchronous\":{\"number\":1,"
                          "\"dataDurability\":\"preferred\"}},\"bootstrap\":{\"initdb\":{\"database\":\"shop\"}}}}"),
                        NULL, &v, &e),
             e);
    cluster_spec_from_json(v, &s);
    cr_assert(!s.is_failover_automatic && !s.is_sync_required && s.is_paused && s.removes_data);
    cr_assert_eq(s.sync_number, 1);
    CHECK_STR(s.database, "shop");
    CHECK_STR(s.owner, "app");
    arena_free(a);
}

Test(record, names_in_synchronous_entries_are_found_where_they_count)
{
    struct bed b;
    bed_make(&b);
    static const str set[] = { S_INIT("pg-2") };
    struct record_sync entries[] = { { .primary = S("pg-9"), .set = set, .set_count = 1 },
                                     { .primary = S("pg-1"), .set = set, .set_count = 1, .wait = 1 } };
    b.v.record.sync = entries;
    b.v.record.sync_count = 1;
    cr_assert_not(record_sync_names(&b.v.record, S("pg-2")), "nobody had to confirm anything");
    b.v.record.sync_count = 2;
    cr_assert(record_sync_names(&b.v.record, S("pg-2")));
    cr_assert(record_sync_names(&b.v.record, S("pg-1")), "it is the one that wrote");
    cr_assert_not(record_sync_names(&b.v.record, S("pg-9")));
    cr_assert_not(record_is_leaving(&b.v.record, &b.in[1]));
    b.in[1].is_removing = true;
    cr_assert_not(record_is_leaving(&b.v.record, &b.in[1]), "a member still");
    record_remove_member(b.a, &b.v.record, S("pg-2"));
    cr_assert(record_is_leaving(&b.v.record, &b.in[1]));
    bed_end(&b);
}

/* ---- configuration --------------------------------------------------------------------------------------------- */

static str config_text(struct cluster_runtime *c, struct bed *b, size_t i)
{
    struct agent_config config;
    struct error e;
    CHECK_OK(config__build(c, b->a, &b->v, &b->in[i], &config, &e), e);
    return json_text(b->a, agent_config_to_json(b->a, &config));
}

Test(config, same_facts_give_the_same_bytes)
{
    struct bed b;
    struct error e;
    bed_make(&b);
    struct fake_fleet *fleet = fake_fleet_new();
    struct manager m = { .platform = fake_fleet_platform(fleet), .runtimes = map_new(), .publish = workqueue_new("x") };
    pthread_mutex_init(&m.lock, NULL);
    struct cluster_runtime *c = runtime__get(&m, S("default/pg"), S("u"));
    CHECK_OK(pki_make_ca(c->arena, S("test"), 0, &c->ca, &e), e);
    c->app_password = S("secret");
    CHECK_OK(json_parse(b.a, S("{\"max_connections\":\"50\",\"work_mem\":\"8MB\"}"), NULL, &b.v.spec.parameters, &e),
             e);
    CHECK_OK(json_parse(b.a, S("[{\"name\":\"main\"}]"), NULL, &b.v.spec.repositories, &e), e);
    str first = config_text(c, &b, 0), standby = config_text(c, &b, 1);
    for (int i = 0; i < 3; i++) {
        cr_assert(str_eq(config_text(c, &b, 0), first));
        cr_assert(str_eq(config_text(c, &b, 1), standby));
    }
    /* What is measured is no fact of the configuration. */
    b.views[1].link.status.lsn = S("0/1");
    b.views[1].link.is_connected = false;
    b.v.now_ns = 12345;
    cr_assert(str_eq(config_text(c, &b, 0), first));
    /* An instance that is to go is told so only when nothing counts on it, and its slot stays until it is gone. */
    b.in[1].is_removing = true;
    cr_assert(str_eq(config_text(c, &b, 1), standby));
    record_remove_member(b.a, &b.v.record, S("pg-2"));
    CHECK_HAS(config_text(c, &b, 1), "the instance is being removed");
    CHECK_HAS(config_text(c, &b, 0), "\"slots\":[\"pg-2\"]");
    CHECK_HAS_NOT(config_text(c, &b, 0), "127.0.0.2");
    runtime__drop(&m, c);
    workqueue_free(m.publish);
    map_free(m.runtimes, NULL);
    pthread_mutex_destroy(&m.lock);
    fake_fleet_free(fleet);
    bed_end(&b);
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

Test(text, lines_of_libpq_become_one_without_repeats)
{
    struct arena *a = arena_new();
    CHECK_STR(text_one_line(a, S("connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  role \"x\" does not "
                                 "exist\n")),
              "connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  role \"x\" does not exist");
    CHECK_STR(text_one_line(a, S("ERROR:  no space\nDETAIL:\ta disk is full\r\n\nERROR:  no space\n")),
              "ERROR:  no space; DETAIL: a disk is full");
    CHECK_STR(text_one_line(a, S("")), "");
    CHECK_STR(text_one_line(a, S("\n\n")), "");
    str plain = S("one line");
    cr_assert_eq(text_one_line(a, plain).ptr, plain.ptr, "nothing is copied");
    arena_free(a);
}
