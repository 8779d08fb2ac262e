/* SPDX-License-Identifier: Apache-2.0 */
/* Each keyword with values on both sides of its border, and the words of its error. */
#include "schema_test.h"

struct row {
    const char *schema, *value, *errors; /* errors "": valid */
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ARENA_AUTO(a);
        struct field_errors errors;
        field_errors_init(&errors, a);
        schema_validate(must_compile(a, rows[i].schema), S("f"), yaml(a, rows[i].value), &errors);
        str text = errors_text(&errors);
        cr_expect(str_eq_z(text, rows[i].errors), "%s with %s: got '%.*s'", rows[i].schema, rows[i].value,
                  STR_ARG(text));
    }
}

Test(validate, checks_types)
{
    static const struct row rows[] = {
        { "type: string", "text", "" },
        { "type: string", "7", "f: Invalid value: 7: must be of type string: \"number\"" },
        { "type: string", "null", "f: Invalid value: null: must be of type string: \"null\"" },
        { "{type: string, nullable: true}", "null", "" },
        { "type: boolean", "true", "" },
        { "type: boolean", "'true'", "f: Invalid value: \"true\": must be of type boolean: \"string\"" },
        { "type: number", "1.5", "" },
        { "type: integer", "5", "" },
        { "type: integer", "5.0", "" },
        { "type: integer", "1.5", "f: Invalid value: 1.5: must be of type integer: \"number\"" },
        { "type: object", "[]", "f: Invalid value: []: must be of type object: \"array\"" },
        { "{type: array, items: {type: string}}", "{}", "f: Invalid value: {}: must be of type array: \"object\"" },
        { "x-kubernetes-int-or-string: true", "5", "" },
        { "x-kubernetes-int-or-string: true", "50%", "" },
        { "x-kubernetes-int-or-string: true", "true",
          "f: Invalid value: true: must be of type integer or string: \"boolean\"" },
        { "x-kubernetes-preserve-unknown-fields: true", "{a: [1, null]}", "" },
    };
    check(rows, ARRAY_LEN(rows));
}

Test(validate, checks_ranges_of_numbers)
{
    static const struct row rows[] = {
        { "{type: integer, minimum: 1, maximum: 16}", "1", "" },
        { "{type: integer, minimum: 1, maximum: 16}", "16", "" },
        { "{type: integer, minimum: 1}", "0", "f: Invalid value: 0: must be greater than or equal to 1" },
        { "{type: integer, maximum: 16}", "17", "f: Invalid value: 17: must be less than or equal to 16" },
        { "{type: integer, format: int32}", "2147483647", "" },
        { "{type: integer, format: int32}", "2147483648", "f: Invalid value: 2147483648: must fit into 32 bits" },
        { "{type: integer, format: int32}", "-2147483649", "f: Invalid value: -2147483649: must fit into 32 bits" },
        { "{type: integer, format: int64}", "9223372036854775807", "" },
        { "{type: integer, format: int64}", "9223372036854775808",
          "f: Invalid value: 9223372036854775808: must fit into 64 bits" },
        { "{type: number, minimum: 0.5}", "0.25", "f: Invalid value: 0.25: must be greater than or equal to 0.5" },
    };
    check(rows, ARRAY_LEN(rows));
}

Test(validate, checks_lengths_in_characters_and_patterns)
{
    static const struct row rows[] = {
        { "{type: string, minLength: 1}", "''", "f: Invalid value: \"\": must be at least 1 characters long" },
        { "{type: string, maxLength: 3}", "abcd", "f: Too long: may not be more than 3 characters" },
        { "{type: string, maxLength: 3}", "\"\xC3\xA4\xC3\xB6\xC3\xBC\"", "" },
        { "{type: string, maxLength: 2}", "\"\xC3\xA4\xC3\xB6\xC3\xBC\"",
          "f: Too long: may not be more than 2 characters" },
        { "{type: string, maxLength: 9, pattern: '^[a-z_][a-z0-9_]*$'}", "ab_1", "" },
        { "{type: string, maxLength: 9, pattern: '^[a-z_][a-z0-9_]*$'}", "1ab",
          "f: Invalid value: \"1ab\": must match '^[a-z_][a-z0-9_]*$'" },
        { "{type: string, maxLength: 9, pattern: '^a'}", "\"a\\0b\"",
          "f: Invalid value: \"a\\u0000b\": must match '^a'" },
        { "{type: string, maxLength: 9, pattern: '^a$'}", "\"a\\nb\"",
          "f: Invalid value: \"a\\nb\": must match '^a$'" },
    };
    check(rows, ARRAY_LEN(rows));
}

Test(validate, checks_enums)
{
    static const struct row rows[] = {
        { "{type: string, enum: [full, incremental]}", "full", "" },
        { "{type: string, enum: [full, incremental]}", "partial",
          "f: Unsupported value: \"partial\": supported values: \"full\", \"incremental\"" },
        { "{type: integer, enum: [1, 2]}", "3", "f: Unsupported value: 3: supported values: 1, 2" },
    };
    check(rows, ARRAY_LEN(rows));
}

Test(validate, checks_formats_and_does_not_repeat_secrets)
{
    static const struct row rows[] = {
        { "{type: string, format: quantity}", "10Gi", "" },
        { "{type: string, format: quantity}", "10 GB",
          "f: Invalid value: \"10 GB\": must be a quantity such as 500Mi, 10Gi or 1e9" },
        { "{type: string, format: date-time}", "'2026-01-02T15:04:05Z'", "" },
        { "{type: string, format: date-time}", "yesterday",
          "f: Invalid value: \"yesterday\": must be a date and time as in RFC 3339: 2006-01-02T15:04:05Z" },
        { "{type: string, format: byte}", "aGVsbG8=", "" },
        { "{type: string, format: byte}", "secret!", "f: Invalid value: must be base64" },
    };
    check(rows, ARRAY_LEN(rows));
}

Test(validate, checks_required_fields_and_names_paths)
{
    static const struct row rows[] = {
        { "{type: object, required: [a], properties: {a: {type: string}}}", "{}", "f.a: Required value" },
        { "{type: object, properties: {a: {type: object, required: [b], properties: {b: {type: string}}}}}", "{a: {}}",
          "f.a.b: Required value" },
        { "{type: object, additionalProperties: {type: string, maxLength: 1}}", "{k: ab}",
          "f[k]: Too long: may not be more than 1 characters" },
        { "{type: array, items: {type: object, properties: {m: {type: integer}}}}", "[{m: 1}, {m: x}]",
          "f[1].m: Invalid value: \"x\": must be of type integer: \"string\"" },
        { "{type: object, properties: {a: {type: integer}, b: {type: integer}}}", "{a: x, b: z}",
          "f.a: Invalid value: \"x\": must be of type integer: \"string\"; "
          "f.b: Invalid value: \"z\": must be of type integer: \"string\"" },
    };
    check(rows, ARRAY_LEN(rows));
}

Test(validate, checks_numbers_of_items_and_entries)
{
    static const struct row rows[] = {
        { "{type: array, maxItems: 1, items: {type: string}}", "[a, b]", "f: Too many: 2: must have at most 1 items" },
        { "{type: array, minItems: 1, items: {type: string}}", "[]",
          "f: Invalid value: []: must have at least 1 items" },
        { "{type: object, maxProperties: 1, additionalProperties: {type: string}}", "{a: x, b: z}",
          "f: Too many: 2: must have at most 1 items" },
        { "{type: object, minProperties: 1, additionalProperties: {type: string}}", "{}",
          "f: Invalid value: {}: must have at least 1 items" },
    };
    check(rows, ARRAY_LEN(rows));
}

Test(validate, finds_duplicates_in_sets_and_keyed_lists)
{
    static const struct row rows[] = {
        { "{type: array, x-kubernetes-list-type: set, items: {type: string}}", "[a, b, a]",
          "f[2]: Duplicate value: \"a\"" },
        { "{type: array, items: {type: string}}", "[a, a]", "" },
        { "{type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [name], items: {type: object, "
          "properties: {name: {type: string}, v: {type: integer}}}}",
          "[{name: a, v: 1}, {name: b}, {name: a, v: 2}]", "f[2]: Duplicate value: {\"name\":\"a\"}" },
    };
    check(rows, ARRAY_LEN(rows));
}

Test(validate, names_the_root_when_the_path_is_empty)
{
    ARENA_AUTO(a);
    struct field_errors errors;
    field_errors_init(&errors, a);
    schema_validate(must_compile(a, "type: object"), S(""), yaml(a, "7"), &errors);
    cr_assert(str_eq_z(errors_text(&errors), "<nil>: Invalid value: 7: must be of type object: \"number\""));
}

Test(validate, does_not_compare_all_items_of_a_long_list)
{
    ARENA_AUTO(a);
    struct field_errors errors;
    field_errors_init(&errors, a);
    struct json_builder b;
    json_builder_init(&b, a);
    for (int i = 0; i < 5000; i++)
        json_builder_add(&b, S(""), json_string(a, S("x")));
    schema_validate(must_compile(a, "{type: array, x-kubernetes-list-type: set, items: {type: string}}"), S("f"),
                    json_builder_array(&b), &errors);
    cr_assert(str_eq_z(errors_text(&errors), "f: Too many: 5000: must have at most 512 items"));
}
