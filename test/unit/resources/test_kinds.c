/* SPDX-License-Identifier: Apache-2.0 */
/* All kinds load, and the smaller ones follow their rules. */
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "resources_test.h"

/* NULL when there is none. */
static const struct resource *find(const struct resource_registry *reg, str group, str plural)
{
    for (size_t i = 0; i < reg->count; i++)
        if (str_eq(reg->resources[i]->plural, plural) && str_eq(reg->resources[i]->group, group))
            return reg->resources[i];
    return NULL;
}

Test(kinds, load_with_names_columns_and_verbs)
{
    ARENA_AUTO(a);
    struct resource_registry reg = must_load(a);
    cr_assert_eq(reg.count, 7);
    for (size_t i = 0; i < reg.count; i++) {
        const struct resource *r = reg.resources[i];
        cr_expect(r->kind.len && r->plural.len && r->schema && r->check_name, "%zu", i);
        cr_expect(r->is_internal || r->column_count > 2, "%.*s", STR_ARG(r->kind));
        cr_expect_eq(r->internal_verbs & r->verbs, r->verbs);
        for (size_t c = 0; c < r->column_count; c++)
            cr_expect_neq(r->columns[c].path == NULL, r->columns[c].cell == NULL);
    }
    const struct resource *r = find(&reg, S("postgres.example.io"), S("postgresclusters"));
    cr_assert_not_null(r);
    cr_assert_eq(r->verbs, VERBS_ALL);
    cr_assert_eq(r->action_count, 4);
    cr_assert_str_eq(r->scale_spec_path, "spec.instances");
    cr_assert(r->has_status && r->is_namespaced);
    cr_assert_null(find(&reg, S(""), S("pods")));
    const struct resource *instances = find(&reg, S("postgres.example.io"), S("postgresinstances"));
    cr_assert(instances->is_virtual && instances->verbs == VERBS_READ);
}

Test(kinds, of_the_core_group_are_for_standalone_servers_alone)
{
    ARENA_AUTO(a);
    struct resources_options options = { &test_environment, false };
    struct resource **list = NULL;
    size_t count = 0;
    cr_assert_eq(resources_load(a, &options, &list, &count, NULL), 0);
    cr_assert_eq(count, 4);
    for (size_t i = 0; i < count; i++)
        cr_assert(list[i]->group.len > 0);
}

Test(kinds, load_quickly)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        ARENA_AUTO(a);
        int64_t before = clock_process_cpu_ns();
        (void)must_load(a);
        int64_t took = clock_process_cpu_ns() - before;
        best = took < best ? took : best;
    }
    cr_log_info("%lld us", (long long)best / 1000);
    cr_assert_lt(best, 100 * NS_PER_MS, "also under sanitizers: %lld us", (long long)best / 1000);
}

Test(kinds, have_keys_that_nest_by_resource_and_namespace)
{
    ARENA_AUTO(a);
    struct resource_registry reg = must_load(a);
    const struct resource *pgc = find(&reg, S("postgres.example.io"), S("postgresclusters"));
    const struct resource *ns = find(&reg, S(""), S("namespaces"));
    cr_assert(str_eq_z(resource_key(a, pgc, S("n"), S("x")), "/postgres.example.io/postgresclusters/n/x"));
    cr_assert(str_eq_z(resource_key(a, pgc, S("n"), S("")), "/postgres.example.io/postgresclusters/n/"));
    cr_assert(str_eq_z(resource_key(a, pgc, S(""), S("")), "/postgres.example.io/postgresclusters/"));
    cr_assert(str_eq_z(resource_key(a, ns, S(""), S("default")), "/core/namespaces/default"));
    cr_assert(str_eq_z(resource_key(a, ns, S(""), S("")), "/core/namespaces/"));
}

Test(environment, finds_the_majors_that_have_a_server_program)
{
    ARENA_AUTO(a);
    char root[] = "/tmp/majors-XXXXXX";
    cr_assert_not_null(mkdtemp(root));
    static const char *const folders[] = { "16/bin", "15/bin", "9.6/bin", "14/lib", "x/bin", "017/bin" };
    struct error err;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        str folder = arena_printf(a, "%s/%s", root, folders[i]);
        cr_assert_eq(fs_mkdir_all(folder.ptr, 0755, &err), 0);
        str program = arena_printf(a, "%.*s/postgres", STR_ARG(folder));
        if (i != 3)
            cr_assert_eq(fs_write_atomic(program.ptr, S("x"), 0755, &err), 0);
    }
    struct environment e;
    environment_scan(a, root, &e);
    cr_assert_eq(e.postgres_major_count, 2);
    cr_assert_eq(e.postgres_majors[0], 15);
    cr_assert_eq(environment_newest_major(&e), 16);
    cr_assert(environment_has_major(&e, 15) && !environment_has_major(&e, 14));
    cr_assert_eq(fs_remove_all(root, &err), 0);
    environment_scan(a, "/nonexistent", &e);
    cr_assert_eq(environment_newest_major(&e), 0);
}

struct row {
    const char *plural, *old, *now, *errors; /* old NULL: a create */
};

static void check(const struct row *rows, size_t count)
{
    ARENA_AUTO(a);
    for (size_t i = 0; i < count; i++) {
        const struct resource *r = kind(a, rows[i].plural);
        const struct json *old = NULL;
        if (rows[i].old)
            cr_assert(str_is_empty(write_errors(a, r, yaml(a, rows[i].old), NULL, &old)), "%s", rows[i].old);
        str text = write_errors(a, r, yaml(a, rows[i].now), old, NULL);
        cr_expect(str_eq_z(text, rows[i].errors), "%s: got '%.*s'", rows[i].now, STR_ARG(text));
    }
}

Test(postgresbackup, cannot_be_changed_after_it_was_asked_for)
{
    static const struct row rows[] = {
        { "postgresbackups", NULL, "{spec: {cluster: pg1}}", "" },
        { "postgresbackups", NULL, "{spec: {}}", "spec.cluster: Required value" },
        { "postgresbackups", NULL, "{spec: {cluster: pg1, type: partial}}",
          "spec.type: Unsupported value: \"partial\": supported values: \"full\", \"differential\", \"incremental\"" },
        { "postgresbackups", "{spec: {cluster: pg1}}", "{spec: {cluster: pg1, type: full}}", "" },
        { "postgresbackups", "{spec: {cluster: pg1}}", "{spec: {cluster: pg2}}",
          "spec: Invalid value: {\"cluster\":\"pg2\",\"type\":\"full\"}: field is immutable" },
    };
    check(rows, ARRAY_LEN(rows));
    ARENA_AUTO(a);
    str text = write_errors(a, kind(a, "postgresbackups"), yaml(a, "{spec: {cluster: PG}}"), NULL, NULL);
    cr_assert(str_has_prefix(text, S("spec.cluster: Invalid value: \"PG\": ")), "%.*s", STR_ARG(text));
}

Test(secret, writes_texts_into_data_and_keeps_what_is_immutable)
{
    ARENA_AUTO(a);
    const struct resource *r = kind(a, "secrets");
    const struct json *made = NULL;
    str errors = write_errors(a, r, yaml(a, "{data: {a: eA==}, stringData: {a: hello, b: ''}}"), NULL, &made);
    cr_assert(str_is_empty(errors), "%.*s", STR_ARG(errors));
    str text = json_text(a, made);
    cr_assert(str_eq_z(text, "{\"data\":{\"a\":\"aGVsbG8=\",\"b\":\"\"},\"type\":\"Opaque\"}"), "%.*s", STR_ARG(text));
    cr_assert_eq(json_int_at(JSON_OBJECT_OF(a, JSON_MEMBER("n", r->columns[2].cell(a, made))), "n", 0), 2);
    static const struct row rows[] = {
        { "secrets", NULL, "{data: {k: not base64}}", "data[k]: Invalid value: must be base64" },
        { "secrets", NULL, "{data: {'a/b': eA==}}",
          "data[a/b]: Invalid value: \"a/b\": a valid key consists of alphanumeric characters, '-', '_' or '.'" },
        { "secrets", "{data: {k: eA==}}", "{data: {k: eQ==}}", "" },
        { "secrets", "{immutable: true, data: {k: eA==}}", "{immutable: true, data: {k: eA==}}", "" },
        { "secrets", "{immutable: true, data: {k: eA==}}", "{immutable: true, data: {k: eQ==}}",
          "data: Forbidden: field is immutable when `immutable` is set" },
        { "secrets", "{immutable: true}", "{immutable: false}",
          "immutable: Forbidden: field is immutable when `immutable` is set" },
        { "secrets", "{type: a}", "{type: b}", "type: Invalid value: \"b\": field is immutable" },
    };
    check(rows, ARRAY_LEN(rows));
}

Test(namespace, begins_active)
{
    ARENA_AUTO(a);
    const struct json *made = NULL;
    str errors = write_errors(a, kind(a, "namespaces"), yaml(a, "{metadata: {name: n}}"), NULL, &made);
    cr_assert(str_is_empty(errors));
    cr_assert(str_eq_z(json_str_at(made, "status.phase"), "Active"));
}

Test(event, shows_what_it_is_about_and_how_old_it_is)
{
    ARENA_AUTO(a);
    const struct resource *r = kind(a, "events");
    const struct json *event = yaml(a, "{involvedObject: {kind: PostgresCluster, name: pg1}, eventTime: null, "
                                       "lastTimestamp: '2020-01-01T00:00:00Z'}");
    cr_assert(str_is_empty(write_errors(a, r, event, NULL, NULL)));
    for (size_t i = 0; i < r->column_count; i++) {
        str name = r->columns[i].name;
        if (str_eq(name, S("Object")))
            cr_expect(str_eq_z(json_str(r->columns[i].cell(a, event)), "postgrescluster/pg1"));
        if (str_eq(name, S("Last Seen")))
            cr_expect(str_has_suffix(json_str(r->columns[i].cell(a, event)), S("d")));
    }
    str missing = write_errors(a, r, yaml(a, "{reason: X}"), NULL, NULL);
    cr_assert(str_eq_z(missing, "involvedObject: Required value"));
}
