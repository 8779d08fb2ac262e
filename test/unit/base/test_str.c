/* SPDX-License-Identifier: Apache-2.0 */
/* Views: comparing, searching, cutting and numbers at their limits. */
#include "base/str.h"

#include "harness/check.h"

Test(str, an_empty_view_and_a_null_view_are_equal_and_find_nothing)
{
    str null = str_from(NULL);
    cr_assert(str_eq(null, S("")));
    cr_assert(str_eq_nocase(null, S("")));
    cr_assert_eq(str_cmp(null, S("")), 0);
    cr_assert(str_is_empty(null));
    cr_assert_eq(str_index(null, 'a'), -1);
    cr_assert_eq(str_rindex(null, 'a'), -1);
    cr_assert_eq(str_find(null, S("a")), -1);
    cr_assert_eq(str_find(null, S("")), 0);
    cr_assert(str_has_prefix(null, null));
    cr_assert(str_has_suffix(S("a"), null));
    cr_assert(str_is_all_of(null, S("x")));
    cr_assert(str_is_empty(str_trim(null)));
    cr_assert(str_is_empty(str_from_offset(null, 3)));
    cr_assert(str_is_empty(str_first(null, 3)));
}

Test(str, order_is_bytewise_and_a_prefix_comes_first)
{
    cr_assert_lt(str_cmp(S("a"), S("b")), 0);
    cr_assert_gt(str_cmp(S("b"), S("a")), 0);
    cr_assert_lt(str_cmp(S("a"), S("aa")), 0);
    cr_assert_gt(str_cmp(S("aa"), S("a")), 0);
    cr_assert_lt(str_cmp(S("a"), S("\xff")), 0, "bytes are unsigned");
    cr_assert_lt(str_cmp(S("a\0a"), S("a\0b")), 0, "a NUL is a byte like any other");
    cr_assert_eq(str_cmp(S("a\0b"), S("a\0b")), 0);
}

Test(str, embedded_nul_bytes_count)
{
    cr_assert_not(str_eq(S("a\0b"), S("a\0c")));
    cr_assert_not(str_eq_z(S("a\0b"), "a"));
    cr_assert_eq(str_index(S("a\0b"), '\0'), 1);
    cr_assert_eq(str_find(S("x\0yz"), S("\0y")), 1);
}

Test(str, case_is_ignored_for_ascii_letters_only)
{
    cr_assert(str_eq_nocase(S("Content-TYPE"), S("content-type")));
    cr_assert_not(str_eq_nocase(S("a"), S("ab")));
    cr_assert_not(str_eq_nocase(S("@"), S("`")), "only letters fold");
    cr_assert_not(str_eq_nocase(S("\xc4"), S("\xe4")));
}

Test(str, prefix_suffix_and_sets)
{
    cr_assert(str_has_prefix(S("postgres"), S("post")));
    cr_assert_not(str_has_prefix(S("post"), S("postgres")));
    cr_assert(str_has_suffix(S("x.yaml"), S(".yaml")));
    cr_assert_not(str_has_suffix(S("yaml"), S(".yaml")));
    cr_assert(str_is_all_of(S("0110"), S("01")));
    cr_assert_not(str_is_all_of(S("012"), S("01")));
}

Test(str, positions_are_of_the_first_and_of_the_last)
{
    cr_assert_eq(str_index(S("a/b/c"), '/'), 1);
    cr_assert_eq(str_rindex(S("a/b/c"), '/'), 3);
    cr_assert_eq(str_find(S("aab"), S("ab")), 1);
    cr_assert_eq(str_find(S("ab"), S("abc")), -1);
}

Test(str, offsets_and_lengths_are_clamped)
{
    CHECK_STR(str_from_offset(S("abc"), 1), "bc");
    CHECK_STR(str_from_offset(S("abc"), 3), "");
    CHECK_STR(str_from_offset(S("abc"), SIZE_MAX), "");
    CHECK_STR(str_first(S("abc"), 2), "ab");
    CHECK_STR(str_first(S("abc"), SIZE_MAX), "abc");
}

Test(str, trimming_takes_blanks_from_both_ends_only)
{
    CHECK_STR(str_trim(S(" \t\r\n a b \n")), "a b");
    CHECK_STR(str_trim(S(" \t")), "");
    CHECK_STR(str_trim(S("\v")), "\v");
}

Test(str, cut_splits_at_the_first_separator)
{
    str head, tail;
    cr_assert(str_cut(S("a=b=c"), '=', &head, &tail));
    CHECK_STR(head, "a");
    CHECK_STR(tail, "b=c");
    cr_assert(str_cut(S("="), '=', &head, &tail));
    CHECK_STR(head, "");
    CHECK_STR(tail, "");
    cr_assert_not(str_cut(S("abc"), '=', &head, &tail));
    CHECK_STR(head, "abc");
    CHECK_STR(tail, "");
}

static void check_fields(str s, size_t count, const char *const *wanted)
{
    size_t n = 0;
    for (str rest = s, field; str_next_field(&rest, ',', &field); n++) {
        cr_assert_lt(n, count, "too many fields in \"%.*s\"", STR_ARG(s));
        CHECK_STR(field, wanted[n]);
    }
    cr_assert_eq(n, count, "%zu fields in \"%.*s\"", n, STR_ARG(s));
}
#define CHECK_FIELDS(s, ...)                                                                                           \
    check_fields((s), ARRAY_LEN(((const char *const[]) { __VA_ARGS__ })), (const char *const[]) { __VA_ARGS__ })

Test(str, fields_include_empty_ones_and_an_empty_text_has_none)
{
    check_fields(S(""), 0, NULL);
    check_fields(str_from(NULL), 0, NULL);
    CHECK_FIELDS(S("a"), "a");
    CHECK_FIELDS(S("a,b"), "a", "b");
    CHECK_FIELDS(S("a,"), "a", "");
    CHECK_FIELDS(S(",a"), "", "a");
    CHECK_FIELDS(S(","), "", "");
    CHECK_FIELDS(S("a,,b,"), "a", "", "b", "");
}

Test(str, fields_end_where_the_view_ends)
{
    check_fields(str_first(S("a,b,c"), 3), 2, (const char *const[]) { "a", "b" });
    check_fields(str_first(S("a,b,c"), 2), 2, (const char *const[]) { "a", "" });
}

Test(str, numbers_up_to_the_limits_are_read_and_none_beyond)
{
    uint64_t u = 7;
    int64_t i = 7;
    cr_assert(str_to_u64(S("18446744073709551615"), &u));
    cr_assert_eq(u, UINT64_MAX);
    cr_assert_not(str_to_u64(S("18446744073709551616"), &u));
    cr_assert_not(str_to_u64(S("99999999999999999999"), &u));
    cr_assert_eq(u, UINT64_MAX, "a failure writes nothing");
    cr_assert(str_to_i64(S("9223372036854775807"), &i));
    cr_assert_eq(i, INT64_MAX);
    cr_assert_not(str_to_i64(S("9223372036854775808"), &i));
    cr_assert(str_to_i64(S("-9223372036854775808"), &i));
    cr_assert_eq(i, INT64_MIN);
    cr_assert_not(str_to_i64(S("-9223372036854775809"), &i));
    cr_assert(str_to_i64(S("-0"), &i));
    cr_assert_eq(i, 0);
    cr_assert(str_to_u64(S("007"), &u));
    cr_assert_eq(u, 7);
}

Test(str, what_is_not_wholly_a_number_is_none)
{
    static const char *const bad[] = { "", "-", "+1", " 1", "1 ", "1.0", "0x1", "1e3", "--1", "a", "1a" };
    uint64_t u;
    int64_t i;
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        cr_assert_not(str_to_u64(str_from(bad[k]), &u), "\"%s\"", bad[k]);
        cr_assert_not(str_to_i64(str_from(bad[k]), &i), "\"%s\"", bad[k]);
    }
    cr_assert_not(str_to_u64(S("-1"), &u));
    cr_assert_not(str_to_u64(S("1\0"), &u));
}

Test(str, the_hash_is_fnv_1a_and_depends_on_the_seed)
{
    /* Vectors of the FNV page. */
    cr_assert_eq(str_hash(S(""), 0), UINT64_C(0xcbf29ce484222325));
    cr_assert_eq(str_hash(S("a"), 0), UINT64_C(0xaf63dc4c8601ec8c));
    cr_assert_eq(str_hash(S("foobar"), 0), UINT64_C(0x85944171f73967e8));
    cr_assert_neq(str_hash(S("a"), 1), str_hash(S("a"), 2));
}
