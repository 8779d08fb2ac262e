/* SPDX-License-Identifier: Apache-2.0 */
/* Structs out of JSON and back, and the errors that name the place. */
#include "json/json_fields.h"

#include "json_test.h"

struct disk {
    str name;
    int64_t size;
};

static const struct json_field disk_list[] = {
    JSON_FIELD_STR(struct disk, name, "name", JSON_FIELD_REQUIRED),
    JSON_FIELD_INT(struct disk, size, "size", 0),
};
static const struct json_fields disk_fields = JSON_FIELDS(struct disk, disk_list, JSON_FIELDS_STRICT);

struct storage {
    str class;
    struct disk *disks;
    size_t disk_count;
};

static const struct json_field storage_list[] = {
    JSON_FIELD_STR(struct storage, class, "class", JSON_FIELD_OMIT_EMPTY),
    JSON_FIELD_ARRAY(struct storage, disks, disk_count, "disks", JSON_FIELD_OMIT_EMPTY, struct disk, &disk_fields),
};
static const struct json_fields storage_fields = JSON_FIELDS(struct storage, storage_list, 0);

struct machine {
    str name;
    bool is_on;
    int64_t cores;
    double load;
    const struct json *extra;
    struct storage storage;
    struct disk *boot;
    str *tags;
    size_t tag_count;
};

static const struct json_field machine_list[] = {
    JSON_FIELD_STR(struct machine, name, "name", JSON_FIELD_REQUIRED),
    JSON_FIELD_BOOL(struct machine, is_on, "on", JSON_FIELD_OMIT_EMPTY),
    JSON_FIELD_INT(struct machine, cores, "cores", 0),
    JSON_FIELD_DOUBLE(struct machine, load, "load", JSON_FIELD_OMIT_EMPTY),
    JSON_FIELD_JSON(struct machine, extra, "extra", 0),
    JSON_FIELD_OBJECT(struct machine, storage, "storage", JSON_FIELD_OMIT_EMPTY, struct storage, &storage_fields),
    JSON_FIELD_POINTER(struct machine, boot, "boot", 0, struct disk, &disk_fields),
    JSON_FIELD_STRINGS(struct machine, tags, tag_count, "tags", JSON_FIELD_OMIT_EMPTY),
};
static const struct json_fields machine_fields = JSON_FIELDS(struct machine, machine_list, 0);

Test(json_fields, what_was_read_is_written_the_same)
{
    static const char *const table[] = {
        "{\"name\":\"m\",\"cores\":0}",
        "{\"name\":\"\",\"on\":true,\"cores\":-9223372036854775808,\"load\":0.1,\"extra\":[1,{\"a\":null}],"
        "\"storage\":{\"class\":\"fast\",\"disks\":[{\"name\":\"a\",\"size\":1},{\"name\":\"b\",\"size\":2}]},"
        "\"boot\":{\"name\":\"c\",\"size\":3},\"tags\":[\"x\",\"\"]}",
        "{\"name\":\"m\",\"cores\":1,\"extra\":false}",
        "{\"name\":\"m\",\"cores\":1,\"storage\":{\"disks\":[{\"name\":\"a\",\"size\":0}]}}",
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct machine m = { 0 };
        struct error err;
        error_clear(&err);
        cr_assert_eq(json_fields_decode(a, must_parse(a, table[i]), &machine_fields, &m, &err), 0, "%s", err.text);
        assert_text(a, json_fields_encode(a, &machine_fields, &m), table[i]);
    }
}

Test(json_fields, the_struct_has_the_values)
{
    ARENA_AUTO(a);
    struct machine m = { 0 };
    const struct json *v =
        must_parse(a, "{\"name\":\"m\",\"on\":true,\"cores\":4.0,\"load\":2,\"unknown\":1,\"tags\":[\"x\",\"y\"],"
                      "\"boot\":{\"name\":\"c\"},\"storage\":{\"disks\":[{\"name\":\"a\",\"size\":7}]}}");
    cr_assert_eq(json_fields_decode(a, v, &machine_fields, &m, NULL), 0);
    cr_assert(str_eq_z(m.name, "m") && m.is_on);
    cr_assert_eq(m.cores, 4);
    cr_assert_eq(m.load, 2);
    cr_assert_null(m.extra);
    cr_assert_eq(m.tag_count, 2);
    cr_assert(str_eq_z(m.tags[1], "y"));
    cr_assert(m.boot && str_eq_z(m.boot->name, "c") && m.boot->size == 0);
    cr_assert_eq(m.storage.disk_count, 1);
    cr_assert_eq(m.storage.disks[0].size, 7);
}

Test(json_fields, absent_and_null_fields_keep_their_defaults)
{
    ARENA_AUTO(a);
    struct disk boot = { S("sda"), 1 };
    struct machine m = { .cores = 8, .is_on = true, .load = 1.5, .boot = &boot, .storage.class = S("slow") };
    const struct json *v =
        must_parse(a, "{\"name\":\"m\",\"cores\":null,\"boot\":null,\"storage\":{\"class\":null},\"extra\":null}");
    cr_assert_eq(json_fields_decode(a, v, &machine_fields, &m, NULL), 0);
    cr_assert(m.cores == 8 && m.is_on && m.load == 1.5 && m.boot == &boot && !m.extra);
    cr_assert(str_eq_z(m.storage.class, "slow"));
}

Test(json_fields, errors_name_the_path_and_what_was_expected)
{
    static const struct {
        const char *text, *expected;
    } table[] = {
        { "[]", "expected an object, found an array" },
        { "{}", "name: is required" },
        { "{\"name\":null}", "name: is required" },
        { "{\"name\":1}", "name: expected a string, found a number" },
        { "{\"name\":\"m\",\"on\":\"yes\"}", "on: expected a boolean, found a string" },
        { "{\"name\":\"m\",\"cores\":\"4\"}", "cores: expected an integer, found a string" },
        { "{\"name\":\"m\",\"cores\":1.5}", "cores: expected an integer of 64 bits" },
        { "{\"name\":\"m\",\"cores\":9223372036854775808}", "cores: expected an integer of 64 bits" },
        { "{\"name\":\"m\",\"load\":true}", "load: expected a number, found a boolean" },
        { "{\"name\":\"m\",\"load\":1e999}", "load: number is out of range" },
        { "{\"name\":\"m\",\"storage\":[]}", "storage: expected an object, found an array" },
        { "{\"name\":\"m\",\"storage\":{\"disks\":{}}}", "storage.disks: expected an array, found an object" },
        { "{\"name\":\"m\",\"storage\":{\"disks\":[{\"name\":\"a\"},null]}}",
          "storage.disks[1]: expected an object, found null" },
        { "{\"name\":\"m\",\"storage\":{\"disks\":[{\"name\":\"a\"},{\"name\":\"b\",\"size\":\"x\"}]}}",
          "storage.disks[1].size: expected an integer, found a string" },
        { "{\"name\":\"m\",\"storage\":{\"disks\":[{\"size\":1}]}}", "storage.disks[0].name: is required" },
        { "{\"name\":\"m\",\"boot\":{\"name\":\"b\",\"speed\":1}}", "boot.speed: unknown field" },
        { "{\"name\":\"m\",\"boot\":7}", "boot: expected an object, found a number" },
        { "{\"name\":\"m\",\"tags\":\"x\"}", "tags: expected an array, found a string" },
        { "{\"name\":\"m\",\"tags\":[\"x\",2]}", "tags[1]: expected a string, found a number" },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct machine m = { 0 };
        struct error err;
        error_clear(&err);
        cr_expect_eq(json_fields_decode(a, must_parse(a, table[i].text), &machine_fields, &m, &err), ERRC_INVALID, "%s",
                     table[i].text);
        cr_expect_str_eq(err.text, table[i].expected);
    }
    struct machine m;
    struct error err;
    cr_assert_eq(json_fields_decode(a, NULL, &machine_fields, &m, &err), ERRC_INVALID);
    cr_assert_str_eq(err.text, "expected an object, found nothing");
}

Test(json_fields, a_long_unknown_name_is_cut_in_the_error)
{
    ARENA_AUTO(a);
    char *name = arena_alloc(a, 100000);
    memset(name, 'x', 100000);
    struct json_member members[] = { { S("name"), json_string(a, S("a")) },
                                     { str_of(name, 100000), &json_null_value } };
    struct disk d;
    struct error err;
    cr_assert_eq(json_fields_decode(a, json_object(a, members, 2), &disk_fields, &d, &err), ERRC_INVALID);
    cr_assert(str_has_suffix(str_from(err.text), S("unknown field")), "%s", err.text);
}

Test(json_fields, empty_values_are_left_out_only_when_the_table_says_so)
{
    ARENA_AUTO(a);
    struct disk none = { 0 };
    struct machine m = { .boot = &none };
    assert_text(a, json_fields_encode(a, &machine_fields, &m),
                "{\"name\":\"\",\"cores\":0,\"boot\":{\"name\":\"\",\"size\":0}}");
    m.storage.class = S("x");
    m.load = 0.5;
    assert_text(
        a, json_fields_encode(a, &machine_fields, &m),
        "{\"name\":\"\",\"cores\":0,\"load\":0.5,\"storage\":{\"class\":\"x\"},\"boot\":{\"name\":\"\",\"size\":0}}");
}
