/* SPDX-License-Identifier: Apache-2.0 */
/* Names and values of parameters as PostgreSQL 15 takes them. */
#include "resources/postgrescluster/guc.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/process.h"
#include "resources_test.h"

struct row {
    const char *name, *value;
    bool is_valid;
};

/* Both sides of each border, and each way to write a value. */
static const struct row rows[] = {
    { "autovacuum", "on", true },
    { "autovacuum", "OFF", true },
    { "autovacuum", "t", true },
    { "autovacuum", "fal", true },
    { "autovacuum", "ye", true },
    { "autovacuum", "n", true },
    { "autovacuum", "of", true },
    { "autovacuum", "o", false },
    { "autovacuum", "1", true },
    { "autovacuum", "10", false },
    { "autovacuum", "trues", false },
    { "autovacuum", " on", false },
    { "autovacuum", "", false },
    { "max_connections", "1", true },
    { "max_connections", "262000", true },
    { "max_connections", "0", false },
    { "max_connections", "262144", false },
    { "max_connections", "1e2", true },
    { "max_connections", "100.4", true },
    { "max_connections", "0x64", true },
    { "max_connections", "0144", true },
    { "max_connections", "08", false },
    { "max_connections", ".6e1", true },
    { "max_connections", "1 0", false },
    { "max_connections", " 100 ", true },
    { "max_connections", "100kB", false },
    { "max_connections", "many", false },
    { "max_connections", "", false },
    { "max_connections", "99999999999999999999", false },
    { "max_connections", "-5", false },
    { "work_mem", "64", true },
    { "work_mem", "63", false },
    { "work_mem", "4MB", true },
    { "work_mem", "4 MB", true },
    { "work_mem", "4MB ", true },
    { "work_mem", "1.5GB", true },
    { "work_mem", "1TB", true },
    { "work_mem", "2TB", false },
    { "work_mem", "4mb", false },
    { "work_mem", "4MiB", false },
    { "work_mem", "4M", false },
    { "work_mem", "4 M B", false },
    { "work_mem", "65536B", true },
    { "work_mem", "10ms", false },
    { "shared_buffers", "16", true },
    { "shared_buffers", "15", false },
    { "shared_buffers", "128MB", true },
    { "shared_buffers", "100kB", false },
    { "shared_buffers", "0.001GB", true },
    { "wal_buffers", "-1", true },
    { "wal_buffers", "-2", false },
    { "statement_timeout", "5min", true },
    { "statement_timeout", "30s", true },
    { "statement_timeout", "1d", true },
    { "statement_timeout", "25d", false },
    { "statement_timeout", "1.5h", true },
    { "statement_timeout", "500us", true },
    { "statement_timeout", "1m", false },
    { "statement_timeout", "1 MIN", false },
    { "statement_timeout", "nan", false },
    { "checkpoint_timeout", "30", true },
    { "checkpoint_timeout", "29s", false },
    { "checkpoint_timeout", "1d", true },
    { "checkpoint_timeout", "25h", false },
    { "log_rotation_age", "90s", true },
    { "max_wal_size", "1GB", true },
    { "max_wal_size", "1", false },
    { "max_wal_size", "2048kB", true },
    { "random_page_cost", "1.1", true },
    { "random_page_cost", "-1", false },
    { "random_page_cost", "1e2", true },
    { "random_page_cost", "0x1p3", true },
    { "random_page_cost", "nan", false },
    { "random_page_cost", "inf", false },
    { "random_page_cost", "1,1", false },
    { "random_page_cost", "2ms", false },
    { "autovacuum_vacuum_cost_delay", "2ms", true },
    { "autovacuum_vacuum_cost_delay", "0.5", true },
    { "autovacuum_vacuum_cost_delay", "101ms", false },
    { "checkpoint_completion_target", "0.9", true },
    { "checkpoint_completion_target", "1.1", false },
    { "synchronous_commit", "remote_apply", true },
    { "synchronous_commit", "REMOTE_WRITE", true },
    { "synchronous_commit", "true", true },
    { "synchronous_commit", "tru", false },
    { "synchronous_commit", "sometimes", false },
    { "wal_compression", "lz4", true },
    { "wal_compression", "gzip", false },
    { "default_transaction_isolation", "repeatable read", true },
    { "default_transaction_isolation", "repeatable-read", false },
    { "client_min_messages", "debug", true },
    { "huge_pages", "try", true },
    { "log_line_prefix", "%m [%p] ", true },
    { "DateStyle", "ISO, DMY", true },
    { "datestyle", "ISO, DMY", true },
};

Test(guc, takes_the_values_that_postgresql_takes)
{
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct guc g;
        str why = S("");
        cr_assert(guc_find(15, str_from(rows[i].name), &g), "%s", rows[i].name);
        bool is_valid = guc_check_value(a, &g, str_from(rows[i].value), &why);
        cr_expect_eq(is_valid, rows[i].is_valid, "%s = '%s': %.*s", rows[i].name, rows[i].value, STR_ARG(why));
    }
}

/* The table above, put to a real server: `postgres -C` reads the value as the configuration file would. */
Test(guc, agrees_with_the_real_postgresql, .timeout = 120)
{
    static const char binary[] = "/usr/lib/postgresql/15/bin/postgres";
    char folder[] = "/tmp/guc-XXXXXX";
    if (access(binary, X_OK) != 0)
        cr_skip_test("PostgreSQL 15 is not installed");
    ARENA_AUTO(a);
    cr_assert_not_null(mkdtemp(folder));
    str file = arena_printf(a, "%s/postgresql.conf", folder);
    struct error err;
    cr_assert_eq(fs_write_atomic(file.ptr, S("# empty\n"), 0644, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        str setting = arena_printf(a, "%s=%s", rows[i].name, rows[i].value);
        const char *const argv[] = { binary, "-C", rows[i].name, "-D", folder, "-c", setting.ptr, NULL };
        struct process_spec spec = { .argv = argv };
        struct process_result result;
        int r = process_run(a, &spec, deadline_in_ms(120000), 4096, NULL, NULL, &result, &err);
        cr_expect_eq(r == 0, rows[i].is_valid, "%s", setting.ptr);
    }
    cr_assert_eq(fs_remove_all(folder, &err), 0);
}

Test(guc, finds_the_first_the_last_and_no_other_name)
{
    struct guc g;
    cr_assert(guc_find(15, S("allow_in_place_tablespaces"), &g));
    cr_assert(guc_find(15, S("zero_damaged_pages"), &g));
    cr_assert(guc_find(15, S("WORK_MEM"), &g));
    cr_assert(str_eq(g.name, S("work_mem")));
    static const char *const unknown[] = { "", "a", "zzz", "work_me", "work_memo", "#", "work_mem\tinteger", "wal" };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        cr_expect_not(guc_find(15, str_from(unknown[i]), &g), "%s", unknown[i]);
    cr_assert_not(guc_find(99, S("work_mem"), &g));
    cr_assert_not(guc_has_table(99));
}

Test(guc, has_a_table_that_is_complete_and_readable)
{
    ARENA_AUTO(a);
    static const char *const names[] = { "archive_mode", "wal_level",       "TimeZone",       "IntervalStyle",
                                         "port",         "max_wal_senders", "server_version", "jit" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct guc g;
        cr_assert(guc_find(15, str_from(names[i]), &g), "%s", names[i]);
        cr_assert(g.context.len > 0 && str_eq_z(g.name, names[i]), "%s", names[i]);
    }
}

Test(guc, knows_which_names_belong_to_extensions)
{
    static const char *const good[] = { "auto_explain.log_min_duration", "a.b.c", "_x.y1" };
    static const char *const bad[] = {
        "", ".", "a", "a.", ".b", "a..b", "1.b", "a.1", "a b.c", "a.b\n", "$a.b", "a.b$"
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        cr_expect(guc_is_qualified_name(str_from(good[i])), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_expect_not(guc_is_qualified_name(str_from(bad[i])), "%s", bad[i]);
}

Test(guc, says_what_a_value_must_be)
{
    ARENA_AUTO(a);
    static const struct {
        const char *name, *text;
    } table[] = {
        { "autovacuum", "must be on or off" },
        { "max_connections", "must be a whole number from 1 to 262143" },
        { "work_mem", "must be a whole number from 64kB to 2147483647kB; units are B, kB, MB, GB and TB" },
        { "shared_buffers",
          "must be a whole number from 16 to 1073741823 pages of 8kB; units are B, kB, MB, GB and TB" },
        { "statement_timeout", "must be a whole number from 0ms to 2147483647ms; units are us, ms, s, min, h and d" },
        { "random_page_cost", "must be a number from 0 to 1.79769e+308" },
        { "xmloption", "must be one of: content,document" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct guc g;
        str why = S("");
        cr_assert(guc_find(15, str_from(table[i].name), &g));
        cr_assert_not(guc_check_value(a, &g, S("?"), &why));
        cr_expect(str_eq_z(why, table[i].text), "%.*s", STR_ARG(why));
    }
}
