/* SPDX-License-Identifier: Apache-2.0 */
/* Unknown fields go and are noted; defaults come. */
#include "schema_test.h"

static const char spec[] =
    "type: object\n"
    "properties:\n"
    "  spec:\n"
    "    type: object\n"
    "    default: {}\n"
    "    properties:\n"
    "      a: {type: integer, default: 1}\n"
    "      m: {type: string, nullable: true, default: x}\n"
    "      open: {type: object, x-kubernetes-preserve-unknown-fields: true}\n"
    "      map: {type: object, additionalProperties: {type: object, properties: {k: {type: string}}}}\n"
    "      list:\n"
    "        type: array\n"
    "        items: {type: object, properties: {k: {type: string, default: d}}}\n";

/* notes: one a line. */
static void assert_pruned(const char *value, const char *expected, const char *notes)
{
    ARENA_AUTO(a);
    struct json_notes found = { .texts = NULL };
    assert_json(a, schema_prune(a, must_compile(a, spec), yaml(a, value), &found), expected);
    str text = S("");
    for (size_t i = 0; i < found.count; i++)
        text = arena_printf(a, "%.*s%.*s\n", STR_ARG(text), STR_ARG(found.texts[i]));
    cr_assert(str_eq_z(text, notes), "%.*s", STR_ARG(text));
}

Test(prune, removes_unknown_fields_at_every_depth_and_notes_them)
{
    assert_pruned("{spec: {a: 2, b: 3}, extra: 1}", "{\"spec\":{\"a\":2}}",
                  "unknown field \"spec.b\"\nunknown field \"extra\"\n");
    assert_pruned("{spec: {list: [{k: v}, {k: v, z: 1}]}}", "{\"spec\":{\"list\":[{\"k\":\"v\"},{\"k\":\"v\"}]}}",
                  "unknown field \"spec.list[1].z\"\n");
    assert_pruned("{spec: {map: {one: {k: v, z: 1}}}}", "{\"spec\":{\"map\":{\"one\":{\"k\":\"v\"}}}}",
                  "unknown field \"spec.map.one.z\"\n");
}

Test(prune, keeps_type_and_metadata_of_the_root_alone)
{
    assert_pruned("{apiVersion: v1, kind: K, metadata: {anything: 1}, spec: {kind: K}}",
                  "{\"apiVersion\":\"v1\",\"kind\":\"K\",\"metadata\":{\"anything\":1},\"spec\":{}}",
                  "unknown field \"spec.kind\"\n");
}

Test(prune, keeps_what_is_open_and_what_has_a_wrong_type)
{
    ARENA_AUTO(a);
    const struct schema *s = must_compile(a, spec);
    static const char *const same[] = { "{\"spec\":{\"open\":{\"x\":{\"y\":1}}}}", "{\"spec\":{\"list\":{\"k\":1}}}",
                                        "{\"spec\":7}", "[1]", "{\"spec\":{\"list\":[1,null]}}" };
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        const struct json *v = yaml(a, same[i]);
        cr_assert_eq(schema_prune(a, s, v, NULL), v, "%s", same[i]);
    }
}

static void assert_defaulted(const char *value, const char *expected)
{
    ARENA_AUTO(a);
    assert_json(a, schema_default(a, must_compile(a, spec), yaml(a, value)), expected);
}

Test(defaults, fill_absent_fields_and_their_own_fields)
{
    assert_defaulted("{}", "{\"spec\":{\"a\":1,\"m\":\"x\"}}");
    assert_defaulted("{spec: {a: 5}}", "{\"spec\":{\"a\":5,\"m\":\"x\"}}");
    assert_defaulted("{spec: {a: 5, m: x2, list: [{}, {k: z}]}}",
                     "{\"spec\":{\"a\":5,\"m\":\"x2\",\"list\":[{\"k\":\"d\"},{\"k\":\"z\"}]}}");
}

Test(defaults, replace_a_null_that_is_not_allowed_and_keep_one_that_is)
{
    assert_defaulted("{spec: {a: null, m: null}}", "{\"spec\":{\"a\":1,\"m\":null}}");
    assert_defaulted("{spec: null}", "{\"spec\":{\"a\":1,\"m\":\"x\"}}");
    assert_defaulted("{spec: {a: 2, m: x, map: null}}", "{\"spec\":{\"a\":2,\"m\":\"x\"}}");
}

Test(defaults, share_a_value_that_needs_none)
{
    ARENA_AUTO(a);
    const struct json *v = yaml(a, "{spec: {a: 2, m: x, map: {one: {k: v}}}}");
    cr_assert_eq(schema_default(a, must_compile(a, spec), v), v);
}

Test(defaults, leave_wrong_types_to_validation)
{
    assert_defaulted("{spec: [1]}", "{\"spec\":[1]}");
    assert_defaulted("[]", "[]");
}
