/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster's secrets: what stands in them, who may own them, how they come back; and that no password leaks. */
#include <fcntl.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/fs.h"
#include "harness/temp_dir.h"
#include "manager_bed.h"
#include "json/json_write.h"

static str secret(struct bed *b, const char *name, const char *key)
{
    const struct json *object = fake_kube_get(b->kube, b->a, arena_printf(b->a, BED_SECRETS "/%s", name).ptr);
    str data = S("");
    (void)base64_decode(b->a, json_str(json_get(json_get(object, S("data")), str_from(key))), &data);
    return data;
}

static const char *replace_entry(struct bed *b, const char *key, const char *value)
{
    const struct json *object = fake_kube_get(b->kube, b->a, BED_SECRETS "/pg-app");
    str coded = base64_encode(b->a, str_from(value));
    const struct json *data = json_with(b->a, json_get(object, S("data")), str_from(key), json_string(b->a, coded));
    return json_text(b->a, json_with(b->a, object, S("data"), data)).ptr;
}

Test(secrets, app_secret_has_all_that_clients_want)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2,\"bootstrap\":{\"initdb\":{\"database\":\"shop\",\"owner\":\"anna\"}}}");
    struct record r = bed_record(&b);
    str password = secret(&b, "pg-app", "password");
    cr_assert_eq(password.len, 32);
    CHECK_STR(secret(&b, "pg-app", "username"), "anna");
    CHECK_STR(secret(&b, "pg-app", "dbname"), "shop");
    int port1 = (int)r.instances[0].at.port, port2 = (int)r.instances[1].at.port;
    CHECK_STR(secret(&b, "pg-app", "host"), "127.0.0.1,127.0.0.1");
    CHECK_STR(secret(&b, "pg-app", "port"), arena_printf(b.a, "%d,%d", port1, port2).ptr);
    CHECK_STR(secret(&b, "pg-app", "uri"),
              arena_printf(b.a,
                           "postgresql://anna:%.*s@127.0.0.1:%d,127.0.0.1:%d/shop?target_session_attrs=read-write&"
                           "sslmode=verify-full&sslrootcert=/fake/ca.crt",
                           STR_ARG(password), port1, port2)
                  .ptr);
    CHECK_HAS(secret(&b, "pg-app", "jdbc-uri"), "jdbc:postgresql://127.0.0.1:");
    CHECK_HAS(secret(&b, "pg-app", "jdbc-uri"), "targetServerType=primary");
    CHECK_STR(secret(&b, "pg-app", "pgpass"), arena_printf(b.a, "*:*:shop:anna:%.*s\n", STR_ARG(password)).ptr);
    CHECK_STR(secret(&b, "pg-app", "ca.crt"), secret(&b, "pg-ca", "ca.crt").ptr);
    CHECK_HAS(str_from(fake_agent_look(b.fleet, "pg-1").config), password.ptr);
    bed_end(&b);
}

Test(secrets, chosen_password_is_taken_over_and_written_so_that_uris_still_parse)
{
    struct bed b;
    bed_run(&b, "{\"instances\":1}");
    fake_kube_put(b.kube, BED_SECRETS "/pg-app", replace_entry(&b, "password", "a:b/c@d %\\e"));
    BED_WAIT(&b, str_find(secret(&b, "pg-app", "uri"), S("a%3Ab%2Fc%40d%20%25%5Ce")) > 0);
    CHECK_HAS(secret(&b, "pg-app", "jdbc-uri"), "password=a%3Ab%2Fc%40d%20%25%5Ce");
    CHECK_HAS(secret(&b, "pg-app", "pgpass"), ":a\\:b/c@d %\\\\e\n");
    CHECK_STR(secret(&b, "pg-app", "password"), "a:b/c@d %\\e");
    BED_WAIT(&b, str_find(str_from(fake_agent_look(b.fleet, "pg-1").config), S("a:b/c@d %\\\\e")) > 0);
    bed_end(&b);
}

Test(secrets, deleted_secrets_come_back_as_they_were)
{
    struct bed b;
    bed_run(&b, "{\"instances\":1}");
    str password = secret(&b, "pg-app", "password"), key = secret(&b, "pg-ca", "ca.key");
    fake_kube_delete(b.kube, BED_SECRETS "/pg-app");
    BED_WAIT(&b, secret(&b, "pg-app", "password").len > 0);
    CHECK_STR(secret(&b, "pg-app", "password"), password.ptr);
    fake_kube_delete(b.kube, BED_SECRETS "/pg-ca");
    BED_WAIT(&b, secret(&b, "pg-ca", "ca.key").len > 0);
    CHECK_STR(secret(&b, "pg-ca", "ca.key"), key.ptr);
    bed_stop(&b);
    bed_start(&b);
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-1").config_version > 1);
    BED_RUNS(&b);
    CHECK_STR(secret(&b, "pg-app", "password"), password.ptr);
    bed_end(&b);
}

Test(secrets, what_was_deleted_or_changed_while_no_server_ran_comes_back)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    str password = secret(&b, "pg-app", "password"), key = secret(&b, "pg-ca", "ca.key");
    bed_stop(&b);
    int64_t version = fake_agent_look(b.fleet, "pg-1").config_version;
    fake_kube_delete(b.kube, BED_SECRETS "/pg-ca");
    fake_kube_delete(b.kube, BED_SECRETS "/pg-app");
    bed_start(&b);
    BED_WAIT(&b, secret(&b, "pg-ca", "ca.key").len > 0);
    CHECK_STR(secret(&b, "pg-ca", "ca.key"), key.ptr);
    BED_WAIT(&b, secret(&b, "pg-app", "password").len > 0);
    CHECK_STR(secret(&b, "pg-app", "password"), password.ptr);
    BED_WAIT(&b, bed_has_event(&b, "SecretRestored", "\"pg-ca\" had been deleted"));
    BED_WAIT(&b, bed_has_event(&b, "SecretRestored", "\"pg-app\" had been deleted"));
    BED_WAIT(&b, fake_agent_look(b.fleet, "pg-1").config_version > version); /* its agents are reached */
    BED_RUNS(&b);
    bed_stop(&b);
    const struct json *object = fake_kube_get(b.kube, b.a, BED_SECRETS "/pg-ca");
    fake_kube_put(b.kube, BED_SECRETS "/pg-ca",
                  json_text(b.a, json_with_at(b.a, object, "data", &json_empty_object)).ptr);
    bed_start(&b);
    BED_WAIT(&b, secret(&b, "pg-ca", "ca.key").len > 0);
    CHECK_STR(secret(&b, "pg-ca", "ca.key"), key.ptr);
    BED_WAIT(&b, bed_has_event(&b, "SecretRestored", "\"pg-ca\" had been changed"));
    BED_WAIT(&b, bed_post(&b, "switchover", "{}").code == 200); /* once its agents are reached */
    bed_end(&b);
}

Test(secrets, secret_that_somebody_else_took_stops_no_failover_and_is_told)
{
    struct bed b;
    bed_run(&b, "{\"instances\":2}");
    bed_stop(&b);
    fake_kube_put(b.kube, BED_SECRETS "/pg-ca", "{\"data\":{}}"); /* its owner is gone */
    fake_kube_put(b.kube, BED_SECRETS "/pg-app", "{\"data\":{}}");
    bed_start(&b);
    BED_WAIT(&b, json_count(json_get(json_get(bed_cluster(&b), S("status")), S("conditions"))) == 4);
    const struct json *told = json_item(json_at(bed_cluster(&b), "status.conditions"), 3);
    CHECK_STR(json_str_at(told, "type"), "SecretsCurrent");
    CHECK_STR(json_str_at(told, "status"), "False");
    CHECK_HAS(json_str_at(told, "message"), "does not belong to this cluster");
    fake_agent_kill(b.fleet, "pg-1", true);
    BED_WAIT(&b, fake_fleet_write(b.fleet));
    fake_kube_delete(b.kube, BED_SECRETS "/pg-ca");
    fake_kube_delete(b.kube, BED_SECRETS "/pg-app");
    BED_WAIT(&b, json_count(json_get(json_get(bed_cluster(&b), S("status")), S("conditions"))) == 3);
    bed_end(&b);
}

Test(secrets, own_entries_of_people_stay_and_cause_no_writes)
{
    struct bed b;
    bed_run(&b, "{\"instances\":1}");
    fake_kube_put(b.kube, BED_SECRETS "/pg-app", replace_entry(&b, "note", "mine"));
    wait_a_little();
    size_t before = fake_kube_calls(b.kube, "PATCH", "secrets/pg-app");
    for (int i = 0; i < 3; i++) { /* passes */
        bed_spec(&b, arena_printf(b.a, "{\"instances\":1,\"x\":%d}", i).ptr);
        BED_RUNS(&b);
    }
    cr_assert_eq(fake_kube_calls(b.kube, "PATCH", "secrets/pg-app"), before);
    CHECK_STR(secret(&b, "pg-app", "note"), "mine");
    bed_end(&b);
}

Test(secrets, foreign_secret_is_neither_used_nor_deleted)
{
    struct bed b;
    bed_make(&b);
    fake_kube_put(b.kube, BED_SECRETS "/pg-app", "{\"data\":{\"password\":\"aGVsbG8=\"}}");
    bed_spec(&b, "{\"instances\":1}");
    bed_start(&b);
    BED_WAIT(&b, fake_kube_calls(b.kube, "GET", "secrets/pg-app") > 2);
    cr_assert_eq(fake_fleet_alive(b.fleet), 0);
    BED_WAIT(&b, str_find(bed_status(&b, "message"), S("does not belong to this cluster")) >= 0);
    fake_kube_delete(b.kube, BED_CLUSTER);
    BED_WAIT(&b, bed_is_gone(&b));
    CHECK_STR(secret(&b, "pg-app", "password"), "hello");
    bed_end(&b);
}

Test(secrets, nothing_of_them_is_logged_or_shown)
{
    TEMP_DIR(dir);
    struct bed b;
    bed_make(&b);
    const char *path = TEMP_PATH(b.a, dir, "log");
    int saved = dup(STDERR_FILENO), file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert(saved >= 0 && file >= 0 && dup2(file, STDERR_FILENO) >= 0);
    bed_spec(&b, "{\"instances\":2}");
    bed_start(&b);
    BED_RUNS(&b);
    fake_agent_fault(b.fleet, &(struct fake_agent_fault) { .path = "/v1/configure", .times = 3, .code = 503 });
    bed_spec(&b, "{\"instances\":3}");
    cr_assert_eq(bed_post(&b, "switchover", "{}").code, 200);
    BED_RUNS(&b);
    bed_stop(&b);
    cr_assert(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    (void)close(file);
    str log, password = secret(&b, "pg-app", "password");
    struct error e;
    CHECK_OK(fs_read(b.a, path, 1 << 20, &log, &e), e);
    cr_assert_gt(log.len, 0);
    cr_assert_lt(str_find(log, password), 0);
    cr_assert_lt(str_find(log, S("PRIVATE KEY")), 0);
    cr_assert_lt(str_find(json_text(b.a, bed_cluster(&b)), password), 0);
    cr_assert_lt(str_find(json_text(b.a, bed_cluster(&b)), S("PRIVATE KEY")), 0);
    const struct json **list;
    size_t count = fake_kube_list(b.kube, b.a, BED_EVENTS, &list);
    for (size_t i = 0; i < count; i++)
        cr_assert_lt(str_find(json_text(b.a, list[i]), password), 0);
    bed_end(&b);
}
