/* SPDX-License-Identifier: Apache-2.0 */
/* Values: look-ups, makers, edits, equality and numbers. */
#include "json/json.h"

#include <math.h>

#include "json_test.h"

Test(json, look_ups_take_null_and_wrong_types)
{
    ARENA_AUTO(a);
    const struct json *v = must_parse(a, "{\"s\":\"x\",\"n\":7,\"o\":{\"p\":{\"q\":true}},\"l\":[1,2]}");
    cr_assert_null(json_get(NULL, S("s")));
    cr_assert_null(json_get(json_get(v, S("l")), S("s")));
    cr_assert_null(json_get(v, S("missing")));
    cr_assert_null(json_at(v, "s.p.q"));
    cr_assert_null(json_item(v, 0));
    cr_assert_null(json_item(json_get(v, S("l")), 2));
    cr_assert_eq(json_count(json_get(v, S("l"))), 2);
    cr_assert_eq(json_count(json_get(v, S("s"))), 0);
    cr_assert(json_bool_at(v, "o.p.q", false));
    cr_assert(json_bool_at(v, "s", true), "a string is no boolean");
    cr_assert_eq(json_int_at(v, "n", -1), 7);
    cr_assert_eq(json_int_at(v, "s", -1), -1);
    cr_assert(str_eq_z(json_str_at(v, "s"), "x"));
    cr_assert(str_is_empty(json_str_at(v, "n")));
}

Test(json, objects_above_eight_members_find_every_key)
{
    ARENA_AUTO(a);
    struct json_builder b;
    json_builder_init(&b, a);
    for (int i = 0; i < 500; i++)
        json_builder_add(&b, arena_printf(a, "k%d", (i * 37) % 500), json_int(a, i));
    const struct json *v = json_builder_object(&b);
    cr_assert_eq(v->count, 500);
    for (int i = 0; i < 500; i++) {
        str key = arena_printf(a, "k%d", (i * 37) % 500);
        int64_t n = -1;
        cr_assert(json_to_int(json_get(v, key), &n));
        cr_assert_eq(n, i);
        cr_assert(str_eq(v->members[i].key, key), "members keep their order");
    }
    cr_assert_null(json_get(v, S("k500")));
    cr_assert_null(json_get(v, S("")));
}

Test(json, a_later_member_replaces_an_earlier_one_in_its_place)
{
    ARENA_AUTO(a);
    const struct json *few =
        JSON_OBJECT_OF(a, JSON_MEMBER("a", json_int(a, 1)), JSON_MEMBER("b", NULL), JSON_MEMBER("c", json_int(a, 2)),
                       JSON_MEMBER("a", json_int(a, 3)), JSON_MEMBER("a", json_int(a, 4)));
    assert_text(a, few, "{\"a\":4,\"c\":2}");
    struct json_builder b;
    json_builder_init(&b, a);
    for (int i = 0; i < 20; i++)
        json_builder_add(&b, arena_printf(a, "k%d", i % 10), json_int(a, i));
    assert_text(
        a, json_builder_object(&b),
        "{\"k0\":10,\"k1\":11,\"k2\":12,\"k3\":13,\"k4\":14,\"k5\":15,\"k6\":16,\"k7\":17,\"k8\":18,\"k9\":19}");
    cr_assert_not_null(json_get(json_builder_object(&b), S("k9")));
}

Test(json, makers_of_nothing_give_the_empty_values)
{
    ARENA_AUTO(a);
    struct json_builder b;
    json_builder_init(&b, a);
    json_builder_add(&b, S("x"), NULL);
    assert_text(a, json_builder_object(&b), "{}");
    assert_text(a, json_builder_array(&b), "[]");
    assert_text(a, json_array(a, NULL, 0), "[]");
    assert_text(a, json_object(a, NULL, 0), "{}");
    assert_text(a, JSON_ARRAY_OF(a, json_bool(true), &json_null_value, json_string(a, S("x"))), "[true,null,\"x\"]");
}

Test(json, an_edit_shares_what_it_does_not_touch)
{
    ARENA_AUTO(a);
    const struct json *v = must_parse(a, "{\"a\":1,\"b\":{\"c\":2}}");
    const struct json *w = json_with(a, v, S("a"), json_int(a, 9));
    assert_text(a, w, "{\"a\":9,\"b\":{\"c\":2}}");
    assert_text(a, v, "{\"a\":1,\"b\":{\"c\":2}}");
    cr_assert_eq(json_get(v, S("b")), json_get(w, S("b")));
    assert_text(a, json_with(a, v, S("b"), NULL), "{\"a\":1}");
    cr_assert_eq(json_with(a, v, S("x"), NULL), v);
    assert_text(a, json_with(a, NULL, S("x"), json_bool(true)), "{\"x\":true}");
    assert_text(a, json_with_at(a, v, "b.d.e", json_int(a, 3)), "{\"a\":1,\"b\":{\"c\":2,\"d\":{\"e\":3}}}");
    assert_text(a, json_with_at(a, v, "b.c", NULL), "{\"a\":1,\"b\":{}}");
    assert_text(a, json_with_at(a, v, "x.y.z", NULL), "{\"a\":1,\"b\":{\"c\":2}}");
    assert_text(a, json_with_at(a, v, "a.b", json_int(a, 1)), "{\"a\":{\"b\":1},\"b\":{\"c\":2}}");
}

Test(json, an_edit_of_a_big_object_keeps_its_index_right)
{
    ARENA_AUTO(a);
    const struct json *v = &json_empty_object;
    for (int i = 0; i < 40; i++)
        v = json_with(a, v, arena_printf(a, "k%d", i), json_int(a, i));
    for (int i = 0; i < 40; i += 2)
        v = json_with(a, v, arena_printf(a, "k%d", i), NULL);
    v = json_with(a, v, S("k1"), json_int(a, 100));
    cr_assert_eq(v->count, 20);
    for (int i = 0; i < 40; i++)
        cr_assert_eq(json_int_at(v, arena_printf(a, "k%d", i).ptr, -1), i % 2 == 0 ? -1 : i == 1 ? 100 : i);
}

Test(json, equality_is_by_value)
{
    static const struct {
        const char *x, *y;
        bool expected;
    } table[] = {
        { "1", "1.0", true },
        { "100", "1e2", true },
        { "1E+2", "100.00", true },
        { "0", "-0.0e5", true },
        { "0.05", "5e-2", true },
        { "1.5", "15e-1", true },
        { "-1", "1", false },
        { "9007199254740993", "9007199254740992", false },
        { "18446744073709551616", "18446744073709551616.0", true },
        { "12", "120", false },
        { "0.1", "0.10000000000000000001", false },
        { "1e99999999999999999999", "1e99999999999999999998", false },
        { "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true },
        { "{\"a\":1}", "{\"a\":1,\"b\":2}", false },
        { "{\"a\":1}", "{\"b\":1}", false },
        { "[1,2]", "[2,1]", false },
        { "[1,[2,{\"x\":null}]]", "[1.0,[2e0,{\"x\":null}]]", true },
        { "\"1\"", "1", false },
        { "null", "false", false },
        { "true", "true", true },
        { "true", "false", false },
        { "\"a\\u0000b\"", "\"a\\u0000c\"", false },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct json *x = must_parse(a, table[i].x), *y = must_parse(a, table[i].y);
        cr_expect_eq(json_equal(x, y), table[i].expected, "%s and %s", table[i].x, table[i].y);
        cr_expect_eq(json_equal(y, x), table[i].expected, "%s and %s", table[i].y, table[i].x);
        cr_expect(json_equal(x, json_copy(a, x)), "%s", table[i].x);
    }
    cr_assert(!json_equal(NULL, &json_null_value));
}

Test(json, a_copy_outlives_its_source)
{
    ARENA_AUTO(a);
    struct arena *source = arena_new();
    const char *text =
        "{\"a\":[1,\"x\\n\",null,true,{}],\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":[]}";
    const struct json *copy = json_copy(a, must_parse(source, text));
    arena_free(source);
    assert_text(a, copy, text);
    cr_assert_eq(json_int_at(copy, "i", 0), 1);
    cr_assert_null(json_copy(a, NULL));
}

Test(json, integers_are_read_exactly_or_refused)
{
    static const struct {
        const char *text;
        bool is_int;
        int64_t expected;
    } table[] = {
        { "0", true, 0 },
        { "-0", true, 0 },
        { "0.0", true, 0 },
        { "0e999", true, 0 },
        { "1", true, 1 },
        { "1.0", true, 1 },
        { "1e3", true, 1000 },
        { "1.5e1", true, 15 },
        { "1500e-2", true, 15 },
        { "9223372036854775807", true, INT64_MAX },
        { "-9223372036854775808", true, INT64_MIN },
        { "9.223372036854775807e18", true, INT64_MAX },
        { "9223372036854775808", false, 0 },
        { "-9223372036854775809", false, 0 },
        { "1e19", false, 0 },
        { "99999999999999999999999", false, 0 },
        { "1.5", false, 0 },
        { "0.1", false, 0 },
        { "1e-1", false, 0 },
        { "1e400", false, 0 },
        { "1e99999999999999999999999", false, 0 },
        { "\"1\"", false, 0 },
        { "null", false, 0 },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int64_t n = 0;
        cr_expect_eq(json_to_int(must_parse(a, table[i].text), &n), table[i].is_int, "%s", table[i].text);
        cr_expect_eq(n, table[i].expected, "%s gave %lld", table[i].text, (long long)n);
    }
    for (int64_t n = INT64_MAX; n > 0; n /= 7) {
        int64_t back = 0;
        cr_expect(json_to_int(json_int(a, -n), &back) && back == -n);
        cr_expect(json_to_int(json_int(a, n), &back) && back == n);
    }
    assert_text(a, json_int(a, INT64_MIN), "-9223372036854775808");
    assert_text(a, json_int(a, 0), "0");
}

Test(json, doubles_read_back_the_same)
{
    static const double values[] = { 0, 0.1, -0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, 1e21, 123456789.125, 2.5 };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        double n = -1;
        const struct json *v = json_double(a, values[i]);
        cr_assert(json_to_double(must_parse(a, json_text(a, v).ptr), &n));
        cr_expect_eq(n, values[i], "%.*s", STR_ARG(v->text));
    }
    assert_text(a, json_double(a, 0.1), "0.1");
    assert_text(a, json_double(a, 3), "3");
    assert_text(a, json_double(a, NAN), "null");
    assert_text(a, json_double(a, -INFINITY), "null");
}

Test(json, doubles_are_read_from_any_number)
{
    ARENA_AUTO(a);
    double n = 0;
    cr_assert(!json_to_double(must_parse(a, "1e400"), &n), "beyond the range");
    cr_assert(json_to_double(must_parse(a, "1e-400"), &n));
    cr_assert_eq(n, 0);
    char text[400];
    memset(text, '1', sizeof(text));
    memcpy(text, "-0.", 3);
    memcpy(text + sizeof(text) - 3, "e2", 3);
    cr_assert(json_to_double(must_parse(a, text), &n));
    cr_assert_float_eq(n, -11.1111111111111111, 1e-12);
    cr_assert(!json_to_double(&json_null_value, &n));
}
