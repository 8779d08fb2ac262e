/* SPDX-License-Identifier: Apache-2.0 */
/* PostgresCluster: what may be created, what may change, and what is warned about. */
#include "base/strbuf.h"
#include "resources_test.h"

/* A cluster with `spec` (YAML in braces, storage included) under version 15. */
static const struct json *cluster(struct arena *a, const char *spec)
{
    str text = arena_printf(
        a, "apiVersion: postgres.example.io/v1\nkind: PostgresCluster\nmetadata: {name: pg1}\nspec: %s", spec);
    return yaml(a, text.ptr);
}

struct row {
    const char *spec, *errors;
};

static void check_creates(const struct row *rows, size_t count)
{
    ARENA_AUTO(a);
    const struct resource *r = kind(a, "postgresclusters");
    for (size_t i = 0; i < count; i++) {
        str text = write_errors(a, r, cluster(a, rows[i].spec), NULL, NULL);
        cr_expect(str_eq_z(text, rows[i].errors), "%s: got '%.*s'", rows[i].spec, STR_ARG(text));
    }
}

Test(postgrescluster, fills_defaults_and_the_newest_major)
{
    ARENA_AUTO(a);
    const struct json *made = NULL;
    str errors = write_errors(a, kind(a, "postgresclusters"), cluster(a, "{storage: {size: 1Gi}}"), NULL, &made);
    cr_assert(str_is_empty(errors), "%.*s", STR_ARG(errors));
    cr_assert_eq(json_int_at(made, "spec.postgresVersion", 0), 15);
    cr_assert_eq(json_int_at(made, "spec.instances", 0), 1);
    cr_assert(str_eq_z(json_str_at(made, "spec.storage.reclaimPolicy"), "Retain"));
    cr_assert(str_eq_z(json_str_at(made, "spec.bootstrap.initdb.database"), "app"));
    cr_assert(json_bool_at(made, "spec.failover.automatic", false));
}

Test(postgrescluster, is_refused_when_it_cannot_work)
{
    static const struct row rows[] = {
        { "{storage: {size: 1Gi}}", "" },
        { "{}", "spec.storage: Required value" },
        { "{storage: {}}", "spec.storage.size: Required value" },
        { "{storage: {size: big}}",
          "spec.storage.size: Invalid value: \"big\": must be a quantity such as 500Mi, 10Gi or 1e9" },
        { "{storage: {size: '0'}}", "spec.storage.size: Invalid value: \"0\": must be more than 0" },
        { "{storage: {size: -1Gi}}", "spec.storage.size: Invalid value: \"-1Gi\": must be more than 0" },
        { "{instances: 0, storage: {size: 1Gi}}",
          "spec.instances: Invalid value: 0: must be greater than or equal to 1" },
        { "{instances: 17, storage: {size: 1Gi}}",
          "spec.instances: Invalid value: 17: must be less than or equal to 16" },
        { "{instances: three, storage: {size: 1Gi}}",
          "spec.instances: Invalid value: \"three\": must be of type integer: \"string\"" },
        { "{postgresVersion: 14, storage: {size: 1Gi}}", "" },
        { "{postgresVersion: 17, storage: {size: 1Gi}}",
          "spec.postgresVersion: Unsupported value: 17: supported values: 14, 15" },
        { "{instances: 3, storage: {size: 1Gi}, postgresql: {synchronous: {number: 2}}}", "" },
        { "{instances: 2, storage: {size: 1Gi}, postgresql: {synchronous: {number: 2}}}",
          "spec.postgresql.synchronous.number: Invalid value: 2: must be less than spec.instances (2): each of these "
          "standbys is an instance besides the primary" },
        { "{storage: {size: 1Gi}, postgresql: {synchronous: {}}}",
          "spec.postgresql.synchronous.number: Required value" },
        { "{storage: {size: 1Gi}, bootstrap: {initdb: {database: My-DB}}}",
          "spec.bootstrap.initdb.database: Invalid value: \"My-DB\": must match '^[a-z_][a-z0-9_]*$'" },
        { "{storage: {size: 1Gi}, backup: {repositories: [{name: main, volume: {path: /backup}}]}}", "" },
        { "{storage: {size: 1Gi}, backup: {repositories: [{name: main, volume: {path: /a/../etc}}]}}",
          "spec.backup.repositories[0].volume.path: Invalid value: \"/a/../etc\": must be the path of a folder without "
          "'.' and '..' in it" },
        { "{storage: {size: 1Gi}, backup: {repositories: [{name: main, volume: {path: //}}]}}",
          "spec.backup.repositories[0].volume.path: Invalid value: \"//\": must be the path of a folder without '.' "
          "and '..' in it" },
        { "{storage: {size: 1Gi}, backup: {repositories: [{name: a, volume: {}}, {name: b, volume: {}}]}}",
          "spec.backup.repositories: Too many: 2: must have at most 1 items" },
        { "{storage: {size: 1Gi}, postgresql: {pgHBA: ['host all all all md5', 'host all all all peer']}}",
          "spec.postgresql.pgHBA[1]: Invalid value: \"host all all all peer\": peer works for local only" },
    };
    check_creates(rows, ARRAY_LEN(rows));
}

Test(postgrescluster, checks_each_parameter)
{
    static const struct {
        const char *parameters, *errors;
    } rows[] = {
        { "{work_mem: 64MB}", "" },
        { "{Work_Mem: 64MB}", "[Work_Mem]: Invalid value: \"64MB\": the parameter must be written work_mem" },
        { "{TimeZone: UTC}", "" },
        { "{timezone: UTC}", "" },
        { "{archive_timeout: 5min}", "" },
        { "{wal_level: logical}", "" },
        { "{wal_level: minimal}",
          "[wal_level]: Invalid value: \"minimal\": must be replica or logical: standbys need it" },
        { "{wal_level: LOGICAL}", "" },
        { "{wal_level: Minimal}",
          "[wal_level]: Invalid value: \"Minimal\": must be replica or logical: standbys need it" },
        { "{max_wal_senders: '5'}", "" },
        { "{max_wal_senders: '4'}",
          "[max_wal_senders]: Invalid value: 4: must be at least spec.instances and 4 more (5)" },
        { "{max_replication_slots: '0'}",
          "[max_replication_slots]: Invalid value: 0: must be at least spec.instances and 4 more (5)" },
        { "{auto_explain.log_min_duration: 1s}", "" },
        { "{shared_preload_libraries: pg_stat_statements}", "" },
        { "{wrok_mem: 64MB}", "[wrok_mem]: Invalid value: \"64MB\": PostgreSQL 15 has no such parameter" },
        { "{work_mem: 64mb}", "[work_mem]: Invalid value: \"64mb\": must be a whole number from 64kB to 2147483647kB; "
                              "units are B, kB, MB, GB and TB" },
        { "{work_mem: 64}", "[work_mem]: Invalid value: 64: must be of type string: \"number\"" },
        { "{jit: maybe}", "[jit]: Invalid value: \"maybe\": must be on or off" },
        { "{server_version: '16'}", "[server_version]: Forbidden: it only shows a value and cannot be set" },
        { "{block_size: '8192'}", "[block_size]: Forbidden: it only shows a value and cannot be set" },
        { "{log_line_prefix: \"a\\nb\"}",
          "[log_line_prefix]: Invalid value: \"a\\nb\": must not hold control characters" },
        { "{timezone: UTC, TimeZone: UTC}", "[TimeZone]: Duplicate value: \"TimeZone\"" },
        { "{max_connections: '3'}",
          "[max_connections]: Invalid value: 3: must be more than the reserved connections (3)" },
        { "{max_connections: '4'}", "" },
        { "{max_connections: '262143'}", "[max_connections]: Invalid value: 262143: must be at most 262099 beside 44 "
                                         "background processes" },
        { "{superuser_reserved_connections: '100'}",
          "[max_connections]: Invalid value: 100: must be more than the reserved connections (100)" },
        { "{max_wal_size: 16MB}", "[max_wal_size]: Invalid value: 16: must be at least 32MB, two segments" },
        { "{'': x}", "[]: Invalid value: \"x\": PostgreSQL 15 has no such parameter" },
    };
    ARENA_AUTO(a);
    const struct resource *r = kind(a, "postgresclusters");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        str spec = arena_printf(a, "{storage: {size: 1Gi}, postgresql: {parameters: %s}}", rows[i].parameters);
        str expected = S("");
        if (rows[i].errors[0])
            expected = arena_printf(a, "spec.postgresql.parameters%s", rows[i].errors);
        str text = write_errors(a, r, cluster(a, spec.ptr), NULL, NULL);
        cr_expect(str_eq(text, expected), "%s: got '%.*s'", rows[i].parameters, STR_ARG(text));
    }
}

Test(postgrescluster, refuses_the_parameters_of_the_operator)
{
    static const char *const names[] = {
        "listen_addresses",
        "port",
        "unix_socket_directories",
        "ssl",
        "SSL",
        "ssl_cert_file",
        "ssl_min_protocol_version",
        "archive_mode",
        "archive_command",
        "postgres_agent.configuration",
        "archive_library",
        "restore_command",
        "password_encryption",
        "wal_log_hints",
        "fsync",
        "full_page_writes",
        "hot_standby",
        "primary_conninfo",
        "primary_slot_name",
        "cluster_name",
        "synchronous_standby_names",
        "recovery_target",
        "recovery_target_time",
        "recovery_end_command",
        "promote_trigger_file",
        "data_directory",
        "hba_file",
        "ident_file",
        "config_file",
        "logging_collector",
        "log_directory",
        "restart_after_crash",
        "transaction_isolation",
    };
    ARENA_AUTO(a);
    const struct resource *r = kind(a, "postgresclusters");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        str spec = arena_printf(a, "{storage: {size: 1Gi}, postgresql: {parameters: {%s: x}}}", names[i]);
        str text = write_errors(a, r, cluster(a, spec.ptr), NULL, NULL);
        str expected = arena_printf(a, "spec.postgresql.parameters[%s]: Forbidden: ", names[i]);
        cr_expect(str_has_prefix(text, expected) && text.len > expected.len + 10, "%s: got '%.*s'", names[i],
                  STR_ARG(text));
    }
}

Test(postgrescluster, lets_grow_but_not_shrink_and_keeps_what_is_immutable)
{
    static const struct {
        const char *old, *now, *errors;
    } rows[] = {
        { "{storage: {size: 1Gi}}", "{storage: {size: 2Gi}}", "" },
        { "{storage: {size: 1Gi}}", "{storage: {size: 1024Mi}}", "" },
        { "{storage: {size: 1Gi}}", "{storage: {size: 1023Mi}}",
          "spec.storage.size: Forbidden: a volume can grow, never shrink: it is 1Gi" },
        { "{storage: {size: 1Gi}, postgresVersion: 14}", "{storage: {size: 1Gi}}", "" },
        { "{storage: {size: 1Gi}, postgresVersion: 14}", "{storage: {size: 1Gi}, postgresVersion: 15}",
          "spec.postgresVersion: Invalid value: 15: field is immutable" },
        { "{storage: {size: 1Gi}}", "{storage: {size: 1Gi}, bootstrap: {initdb: {database: other}}}",
          "spec.bootstrap: Invalid value: "
          "{\"initdb\":{\"database\":\"other\",\"encoding\":\"UTF8\",\"locale\":\"C.UTF-8\",\"owner\":\"app\"}}: field "
          "is immutable" },
        { "{storage: {size: 1Gi}}", "{storage: {size: 1Gi}, bootstrap: {initdb: {database: app}}}", "" },
        { "{storage: {size: 1Gi}, backup: {repositories: [{name: a, volume: {path: /x}}]}}",
          "{storage: {size: 1Gi}, backup: {repositories: [{name: a, volume: {path: /y}}]}}",
          "spec.backup.repositories[0].volume.path: Invalid value: \"/y\": field is immutable" },
        { "{storage: {size: 1Gi}, backup: {repositories: [{name: a, volume: {path: /x}}]}}",
          "{storage: {size: 1Gi}, backup: {repositories: [{name: a, volume: {path: /x}, retention: {full: 2}}]}}", "" },
        { "{storage: {size: 1Gi}, backup: {repositories: [{name: a, volume: {path: /x}}]}}", "{storage: {size: 1Gi}}",
          "" },
        { "{instances: 3, storage: {size: 1Gi}, postgresql: {synchronous: {number: 1}}}",
          "{instances: 1, storage: {size: 1Gi}, postgresql: {synchronous: {number: 1}}}",
          "spec.postgresql.synchronous.number: Invalid value: 1: must be less than spec.instances (1): each of these "
          "standbys is an instance besides the primary" },
    };
    ARENA_AUTO(a);
    const struct resource *r = kind(a, "postgresclusters");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct json *old = NULL;
        cr_assert(str_is_empty(write_errors(a, r, cluster(a, rows[i].old), NULL, &old)), "%s", rows[i].old);
        str text = write_errors(a, r, cluster(a, rows[i].now), old, NULL);
        cr_expect(str_eq_z(text, rows[i].errors), "%s: got '%.*s'", rows[i].now, STR_ARG(text));
    }
}

Test(postgrescluster, says_that_nothing_is_installed)
{
    ARENA_AUTO(a);
    struct environment none = { NULL, 0 };
    struct resource r = *kind(a, "postgresclusters");
    r.environment = &none;
    str text = write_errors(a, &r, cluster(a, "{storage: {size: 1Gi}}"), NULL, NULL);
    cr_assert(str_eq_z(text, "spec.postgresVersion: Invalid value: no PostgreSQL is installed here"), "%.*s",
              STR_ARG(text));
}

Test(postgrescluster, refuses_to_be_deleted_while_protected)
{
    ARENA_AUTO(a);
    const struct resource *r = kind(a, "postgresclusters");
    cr_assert_null(r->strategy->check_delete(a, r, cluster(a, "{storage: {size: 1Gi}}")));
    struct status *s = r->strategy->check_delete(a, r, cluster(a, "{deletionProtection: true}"));
    cr_assert_not_null(s);
    cr_assert_eq(s->code, 403);
    cr_assert(str_eq_z(s->message, "postgresclusters.postgres.example.io \"pg1\" is forbidden: "
                                   "spec.deletionProtection is true: set it to false first"),
              "%.*s", STR_ARG(s->message));
}

Test(postgrescluster, warns_about_settings_that_work_against_each_other)
{
    ARENA_AUTO(a);
    const struct resource *r = kind(a, "postgresclusters");
    struct json_notes notes = { .texts = NULL };
    const struct json *weak = cluster(a, "{postgresVersion: 15, postgresql: {synchronous: {number: 1}, parameters: "
                                         "{synchronous_commit: local}}}");
    r->strategy->warn(a, r, weak, NULL, &notes);
    cr_assert_eq(notes.count, 1);
    r->strategy->warn(a, r, weak, weak, &notes);
    cr_assert_eq(notes.count, 1, "an unchanged spec is not warned about again");
    r->strategy->warn(a, r, cluster(a, "{postgresVersion: 14, postgresql: {parameters: {work_mem: 1MB}}}"), NULL,
                      &notes);
    cr_assert_eq(notes.count, 2);
    cr_assert(str_eq_z(notes.texts[1], "spec.postgresql.parameters: not checked, the parameters of PostgreSQL 14 are "
                                       "not known to this server"));
}

Test(postgrescluster, takes_unknown_parameters_of_an_unknown_major_but_not_the_operators)
{
    static const struct row rows[] = {
        { "{postgresVersion: 14, storage: {size: 1Gi}, postgresql: {parameters: {anything: x}}}", "" },
        { "{postgresVersion: 14, storage: {size: 1Gi}, postgresql: {parameters: {any thing: x}}}",
          "spec.postgresql.parameters[any thing]: Invalid value: \"x\": is no name of a parameter" },
        { "{postgresVersion: 14, storage: {size: 1Gi}, postgresql: {parameters: {port: '1'}}}",
          "spec.postgresql.parameters[port]: Forbidden: the operator decides where instances listen; status.endpoints "
          "has the address" },
    };
    check_creates(rows, ARRAY_LEN(rows));
}

Test(postgrescluster, checks_the_bodies_of_its_actions)
{
    static const struct {
        const char *action, *body, *errors;
    } rows[] = {
        { "failover", "{}", "" },
        { "failover", "{target: pg1-2}", "" },
        { "failover", "{target: pg2-1}",
          "target: Invalid value: \"pg2-1\": must be an instance of this cluster: pg1-N" },
        { "switchover", "{target: pg1-x}",
          "target: Invalid value: \"pg1-x\": must be an instance of this cluster: pg1-N" },
        { "restart", "{instance: pg1}",
          "instance: Invalid value: \"pg1\": must be an instance of this cluster: pg1-N" },
        { "backup", "{repository: main}", "" },
        { "backup", "{repository: other}", "repository: Not found: \"other\"" },
    };
    ARENA_AUTO(a);
    const struct resource *r = kind(a, "postgresclusters");
    const struct json *owner = cluster(a, "{backup: {repositories: [{name: main, volume: {}}]}}");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct field_errors errors;
        field_errors_init(&errors, a);
        for (size_t k = 0; k < r->action_count; k++)
            if (str_eq_z(r->actions[k].name, rows[i].action))
                r->actions[k].validate(owner, yaml(a, rows[i].body), &errors);
        str text = errors_text(&errors);
        cr_expect(str_eq_z(text, rows[i].errors), "%s %s: got '%.*s'", rows[i].action, rows[i].body, STR_ARG(text));
    }
}

Test(postgrescluster, has_names_that_leave_room_for_those_made_from_them)
{
    ARENA_AUTO(a);
    const struct resource *r = kind(a, "postgresclusters");
    cr_assert_null(r->check_name(S("pg1")));
    cr_assert_null(r->check_name(S("a234567890123456789012345678901234567890")));
    cr_assert_not_null(r->check_name(S("a2345678901234567890123456789012345678901")));
    cr_assert_not_null(r->check_name(S("1pg")));
    cr_assert_not_null(r->check_name(S("Pg")));
    cr_assert_not_null(r->check_name(S("pg.1")));
}
