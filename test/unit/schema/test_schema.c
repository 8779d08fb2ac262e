/* SPDX-License-Identifier: Apache-2.0 */
/* Which schemas compile, and why others do not. */
#include "schema_test.h"

Test(schema, refuses_what_it_would_not_enforce)
{
    static const struct {
        const char *schema, *error;
    } table[] = {
        { "[]", "schema must be an object" },
        { "{}", "schema has no type" },
        { "{type: text}", "schema keyword \"type\" must be object, array, string, integer, number or boolean" },
        { "{type: string, maxlength: 3}", "unknown schema keyword \"maxlength\"" },
        { "{type: string, oneOf: []}", "unknown schema keyword \"oneOf\"" },
        { "{type: string, format: email}",
          "schema keyword \"format\" must be int32, int64, date-time, quantity or byte" },
        { "{type: string, format: int32}", "schema has a format that does not fit its type" },
        { "{type: integer, format: quantity}", "schema has a format that does not fit its type" },
        { "{type: string, maxLength: -1}", "schema keyword \"maxLength\" must be a whole number that is not negative" },
        { "{type: integer, minimum: one}", "schema keyword \"minimum\" must be a number" },
        { "{type: string, enum: []}", "schema keyword \"enum\" must be a list of values" },
        { "{type: string, pattern: '^a$'}", "schema has a pattern without maxLength" },
        { "{type: string, maxLength: 9, pattern: '('}",
          "schema keyword \"pattern\" must be a POSIX extended regular expression" },
        { "{type: string, maxLength: 9, pattern: '^\\d+$'}",
          "schema keyword \"pattern\" must be without backslash classes" },
        { "{type: string, maxLength: 9, pattern: '(?:a)'}",
          "schema keyword \"pattern\" must be within the subset that POSIX and ECMA 262 share" },
        { "{type: array}", "schema needs items if and only if it is an array" },
        { "{type: string, items: {type: string}}", "schema needs items if and only if it is an array" },
        { "{type: array, items: {type: bool}}",
          "items: schema keyword \"type\" must be object, array, string, integer, number or boolean" },
        { "{type: array, items: {type: string}, x-kubernetes-list-type: map}",
          "schema needs x-kubernetes-list-map-keys if and only if it is a map list" },
        { "{type: array, items: {type: string}, x-kubernetes-list-type: bag}",
          "schema keyword \"x-kubernetes-list-type\" must be atomic, set or map" },
        { "{type: object, required: [a]}", "schema requires \"a\", which is no property" },
        { "{type: object, required: a}", "schema keyword \"required\" must be a list of names" },
        { "{type: string, properties: {a: {type: string}}}", "schema has properties but is no object" },
        { "{type: object, properties: {a: {type: string}}, additionalProperties: {type: string}}",
          "schema has both properties and additionalProperties" },
        { "{type: object, properties: {a: {type: object, properties: {b: {}}}}}", "a: b: schema has no type" },
        { "{type: object, properties: {a: {type: integer, default: x}}}",
          "a: default: Invalid value: \"x\": must be of type integer: \"string\"" },
        { "{type: object, properties: {a: {type: integer, default: 0, minimum: 1}}}",
          "a: default: Invalid value: 0: must be greater than or equal to 1" },
        { "{type: string, description: 7}", "schema keyword \"description\" must be a string" },
        { "{type: string, nullable: 1}", "schema keyword \"nullable\" must be true or false" },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct schema *s = NULL;
        struct error err = { .code = ERRC_OK };
        cr_expect_eq(schema_compile(a, yaml(a, table[i].schema), &s, &err), ERRC_INVALID, "%s", table[i].schema);
        cr_expect_str_eq(err.text, table[i].error, "%s: %s", table[i].schema, err.text);
    }
}

Test(schema, keeps_the_document_it_came_from)
{
    ARENA_AUTO(a);
    const char *text = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"default\":\"x\"}}}";
    assert_json(a, schema_document(must_compile(a, text)), text);
}
