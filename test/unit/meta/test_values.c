/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of names, quantities, times and ages. */
#include "meta/names.h"
#include "meta/quantity.h"
#include "meta/rfc3339.h"
#include "meta_test.h"

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10
#define X63 X60 "xxx"

struct name_case {
    const char *text;
    bool subdomain, label, dns1035, qualified, value, segment;
};

Test(names, follow_their_rules)
{
    static const struct name_case table[] = {
        { "a", true, true, true, true, true, true },
        { "my-name", true, true, true, true, true, true },
        { "1a", true, true, false, true, true, true },
        { "a1", true, true, true, true, true, true },
        { "123", true, true, false, true, true, true },
        { "a.b", true, false, false, true, true, true },
        { "a..b", false, false, false, true, true, true },
        { ".a", false, false, false, false, false, true },
        { "a.", false, false, false, false, false, true },
        { "a.-b", false, false, false, true, true, true },
        { "-a", false, false, false, false, false, true },
        { "a-", false, false, false, false, false, true },
        { "A", false, false, false, true, true, true },
        { "a_b", false, false, false, true, true, true },
        { "", false, false, false, false, true, true },
        { "a/b", false, false, false, true, false, false },
        { "example.com/Name_1.x", false, false, false, true, false, false },
        { "Example.com/a", false, false, false, false, false, false },
        { "/a", false, false, false, false, false, false },
        { "a/", false, false, false, false, false, false },
        { "a/b/c", false, false, false, false, false, false },
        { ".", false, false, false, false, false, false },
        { "..", false, false, false, false, false, false },
        { "a%2fb", false, false, false, false, false, false },
        { "a b", false, false, false, false, false, true },
        { "\xC3\xA4", false, false, false, false, false, true },
        { X63, true, true, true, true, true, true },
        { X63 "x", true, false, false, false, false, true },
        { X60 "." X60 "." X60 "." X60 ".xxxxxxxxx", true, false, false, false, false, true },
        { X60 "." X60 "." X60 "." X60 ".xxxxxxxxxx", false, false, false, false, false, true },
        { "example.com/" X63, false, false, false, true, false, false },
        { "example.com/" X63 "x", false, false, false, false, false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct name_case *c = &table[i];
        str s = str_from(c->text);
        cr_expect_eq(!names_check_dns1123_subdomain(s), c->subdomain, "subdomain '%s'", c->text);
        cr_expect_eq(!names_check_dns1123_label(s), c->label, "label '%s'", c->text);
        cr_expect_eq(!names_check_dns1035_label(s), c->dns1035, "RFC 1035 label '%s'", c->text);
        cr_expect_eq(!names_check_qualified(s), c->qualified, "qualified '%s'", c->text);
        cr_expect_eq(!names_check_label_value(s), c->value, "label value '%s'", c->text);
        cr_expect_eq(!names_check_path_segment(s), c->segment, "path segment '%s'", c->text);
    }
    cr_assert(names_check_dns1123_label(str_of("a\0b", 3)), "an embedded NUL is no letter");
}

Test(names, generated_names_are_valid_and_differ)
{
    ARENA_AUTO(a);
    str one = names_generate(a, S("pg-")), other = names_generate(a, S("pg-"));
    cr_assert_eq(one.len, 8);
    cr_assert(str_has_prefix(one, S("pg-")));
    cr_assert_null(names_check_dns1123_label(one));
    cr_assert(!str_eq(one, other));
    cr_assert(str_is_all_of(str_from_offset(one, 3), S("bcdfghjklmnpqrstvwxz2456789")));
    str cut = names_generate(a, S(X60 X60));
    cr_assert_eq(cut.len, 63);
}

Test(quantity, values_are_read_and_rounded_up)
{
    static const struct {
        const char *text;
        int64_t expected;
    } table[] = {
        { "0", 0 },
        { "-0", 0 },
        { "1", 1 },
        { "+1", 1 },
        { "-1", -1 },
        { "1.", 1 },
        { ".5", 1 },
        { "1.5", 2 },
        { "-1.5", -2 },
        { "1.000", 1 },
        { "10Ki", 10240 },
        { "10Gi", 10737418240 },
        { "1.5Gi", 1610612736 },
        { "0.5Ki", 512 },
        { "0.1Ki", 103 },
        { "500m", 1 },
        { "1500m", 2 },
        { "2000m", 2 },
        { "1n", 1 },
        { "1000000000n", 1 },
        { "1u", 1 },
        { "5k", 5000 },
        { "5M", 5000000 },
        { "5G", 5000000000 },
        { "1T", 1000000000000 },
        { "1P", 1000000000000000 },
        { "1E", 1000000000000000000 },
        { "1Ei", 1152921504606846976 },
        { "7Ei", 8070450532247928832 },
        { "1e3", 1000 },
        { "1E3", 1000 },
        { "1e+3", 1000 },
        { "1e-3", 1 },
        { "12.5e1", 125 },
        { "0e999", 0 },
        { "0Ei", 0 },
        { "9223372036854775807", INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
        { "9223372036854775806.5", INT64_MAX },
        { "000000000000000000000000000000000000000001", 1 },
        { "1.00000000000000000000000000000000000000000000", 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int64_t n = 77;
        cr_expect(quantity_is_valid(str_from(table[i].text)), "%s", table[i].text);
        cr_expect(quantity_to_int(str_from(table[i].text), &n), "%s", table[i].text);
        cr_expect_eq(n, table[i].expected, "%s gave %lld", table[i].text, (long long)n);
    }
}

Test(quantity, malformed_and_too_big_ones_are_refused)
{
    static const char *const bad[] = {
        "",      " ",     "x",   ".",   "+",     "-",     "1 Gi",  "1gi", "1ki",  "1KI", "Gi",  "1GiB", "1e",
        "1e3Ki", "1.2.3", "--1", "+-1", "1e--3", "1e+-3", "1e++3", "1mm", "0x10", "1_0", "1,5", "1i",   "1e9999999999",
        "1K",    " 1",    "1 ",
    };
    static const char *const big[] = {
        "8Ei",  "10E",    "9223372036854775808",   "-9223372036854775809",
        "1e19", "1e1000", "9223372036854775807.5", "999999999999999999999999999999999999999999999"
    };
    int64_t n;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        cr_expect(!quantity_is_valid(str_from(bad[i])), "'%s'", bad[i]);
        cr_expect(!quantity_to_int(str_from(bad[i]), &n), "'%s'", bad[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(big); i++) {
        cr_expect(quantity_is_valid(str_from(big[i])), "'%s'", big[i]);
        cr_expect(!quantity_to_int(str_from(big[i]), &n), "'%s'", big[i]);
    }
}

Test(quantity, bytes_are_written_for_people)
{
    static const struct {
        int64_t bytes;
        const char *people;
    } table[] = {
        { 0, "0 B" },
        { 1, "1 B" },
        { 1023, "1023 B" },
        { 1024, "1.0 KiB" },
        { 1500, "1.5 KiB" },
        { 1048575, "1.0 MiB" },
        { 1073741824, "1.0 GiB" },
        { 1610612736, "1.5 GiB" },
        { -2048, "-2.0 KiB" },
        { INT64_MAX, "8.0 EiB" },
        { INT64_MIN, "-8.0 EiB" },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        expect_str(quantity_for_people(a, table[i].bytes), table[i].people);
}

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

Test(rfc3339, times_are_read)
{
    static const struct {
        const char *text;
        int64_t expected;
    } table[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01t00:00:01z", SECOND },
        { "1985-04-12T23:20:50.52Z", 482196050520000000 },
        { "1996-12-19T16:39:57-08:00", 851042397 * SECOND },
        { "1937-01-01T12:00:27.87+00:20", -1041337172130000000 },
        { "2026-01-01T00:00:00.000001Z", 1767225600000001000 },
        { "2026-01-01T00:00:00.1234567891Z", 1767225600123456789 },
        { "2024-02-29T12:00:00Z", 1709208000 * SECOND },
        { "2000-02-29T00:00:00+23:59", 951696060 * SECOND },
        { "2262-04-11T23:47:16Z", 9223372036 * SECOND },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int64_t ns = 0;
        cr_expect(rfc3339_parse(str_from(table[i].text), &ns), "%s", table[i].text);
        cr_expect_eq(ns, table[i].expected, "%s gave %lld", table[i].text, (long long)ns);
    }
}

Test(rfc3339, malformed_times_are_refused)
{
    static const char *const table[] = {
        "",
        "2026",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+01:60",
        "2026-01-01T00:00:00Zx",
        "26-01-01T00:00:00Z",
        "2026-1-1T00:00:00Z",
        "+2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00,5Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2026-01-01T00:00:00 Z",
    };
    int64_t ns;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        cr_expect(!rfc3339_parse(str_from(table[i]), &ns), "'%s'", table[i]);
}

Test(rfc3339, times_are_written_and_read_back)
{
    ARENA_AUTO(a);
    expect_str(rfc3339_seconds(a, 0), "1970-01-01T00:00:00Z");
    expect_str(rfc3339_micros(a, 1767225600000001999), "2026-01-01T00:00:00.000001Z");
    expect_str(rfc3339_seconds(a, 1767225600999999999), "2026-01-01T00:00:00Z");
    expect_str(rfc3339_micros(a, -1), "1969-12-31T23:59:59.999999Z");
    for (int64_t day = -100000; day < 106000; day += 97) {
        int64_t ns = day * DAY + (day & 0xFFFF) * 1000, back = 0;
        cr_assert(rfc3339_parse(rfc3339_micros(a, ns), &back));
        cr_assert_eq(back, ns);
    }
}

Test(rfc3339, ages_read_as_kubectl_prints_them)
{
    static const struct {
        int64_t ns;
        const char *expected;
    } table[] = {
        { -2 * SECOND, "<invalid>" },
        { -2 * SECOND + 1, "0s" },
        { 0, "0s" },
        { SECOND - 1, "0s" },
        { SECOND, "1s" },
        { 119 * SECOND, "119s" },
        { 2 * MINUTE, "2m" },
        { 2 * MINUTE + 5 * SECOND, "2m5s" },
        { 9 * MINUTE + 59 * SECOND, "9m59s" },
        { 10 * MINUTE + 5 * SECOND, "10m" },
        { 179 * MINUTE, "179m" },
        { 3 * HOUR, "3h" },
        { 3 * HOUR + 12 * MINUTE, "3h12m" },
        { 7 * HOUR + 59 * MINUTE, "7h59m" },
        { 8 * HOUR + 5 * MINUTE, "8h" },
        { 47 * HOUR, "47h" },
        { 48 * HOUR, "2d" },
        { 5 * DAY, "5d" },
        { 5 * DAY + 3 * HOUR, "5d3h" },
        { 8 * DAY + 3 * HOUR, "8d" },
        { 729 * DAY, "729d" },
        { 730 * DAY, "2y" },
        { 731 * DAY, "2y1d" },
        { (8 * 365 - 1) * DAY, "7y364d" },
        { 8 * 365 * DAY + 5 * DAY, "8y" },
        { 20 * 365 * DAY, "20y" },
    };
    ARENA_AUTO(a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        expect_str(rfc3339_age(a, table[i].ns), table[i].expected);
}
