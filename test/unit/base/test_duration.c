/* SPDX-License-Identifier: Apache-2.0 */
/* Durations as Go's time.ParseDuration and Duration.String have them. */
#include "base/duration.h"

#include "base/clock.h"
#include "harness/check.h"

Test(duration, texts_of_go_are_read)
{
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        { "0", 0 },
        { "+0", 0 },
        { "-0", 0 },
        { "0s", 0 },
        { "5s", 5 * NS_PER_S },
        { "-5s", -5 * NS_PER_S },
        { "+5s", 5 * NS_PER_S },
        { "1m30s", 90 * NS_PER_S },
        { "1.5h", 5400 * NS_PER_S },
        { ".5s", NS_PER_S / 2 },
        { "5.s", 5 * NS_PER_S },
        { "300ms", 300 * NS_PER_MS },
        { "10us", 10000 },
        { "10\xc2\xb5s", 10000 },
        { "10\xce\xbcs", 10000 },
        { "7ns", 7 },
        { "3h2m1s4ms5us6ns", INT64_C(10921004005006) },
        { "2s1m", 62 * NS_PER_S },
        { "0.000000001s", 1 },
        { "0.9ns", 0 },
        { "0.3333333333333333333h", INT64_C(1199999999999) },
        { "9223372036854775807ns", INT64_MAX },
        { "-9223372036854775808ns", INT64_MIN },
        { "2562047h47m16.854775807s", INT64_MAX },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ns = -1;
        cr_assert(duration_parse(str_from(cases[i].text), &ns), "%s", cases[i].text);
        cr_assert_eq(ns, cases[i].ns, "%s is %lld", cases[i].text, (long long)ns);
    }
}

Test(duration, what_go_refuses_is_refused)
{
    static const char *const bad[] = {
        "",
        "-",
        "+",
        "3",
        "s",
        ".",
        ".s",
        "-.s",
        "5 s",
        "5S",
        "1d",
        "1m30",
        "1,5s",
        "+-5s",
        "0x5s",
        "1e3s",
        "5s ",
        " 5s",
        "5ss",
        "1..5s",
        "1.5.5s",
        "9223372036854775808ns",
        "-9223372036854775809ns",
        "3000000h",
        "99999999999999999999s",
        "9223372036854775807ns1ns",
        "5s\xc2",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t ns = 77;
        cr_assert_not(duration_parse(str_from(bad[i]), &ns), "\"%s\"", bad[i]);
        cr_assert_eq(ns, 77, "a failure writes nothing");
    }
    int64_t ns;
    cr_assert_not(duration_parse(S("5s\0"), &ns));
}

Test(duration, texts_are_written_as_go_does_and_read_back)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        { 0, "0s" },
        { 1, "1ns" },
        { 1100, "1.1\xc2\xb5s" },
        { 2200000, "2.2ms" },
        { 999999999, "999.999999ms" },
        { 3300000000, "3.3s" },
        { 245 * NS_PER_S, "4m5s" },
        { 245 * NS_PER_S + NS_PER_MS, "4m5.001s" },
        { INT64_C(18367001000000), "5h6m7.001s" },
        { 7200 * NS_PER_S, "2h0m0s" },
        { -90 * NS_PER_S, "-1m30s" },
        { -5, "-5ns" },
        { INT64_MAX, "2562047h47m16.854775807s" },
        { INT64_MIN, "-2562047h47m16.854775808s" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[DURATION_TEXT_MAX];
        int64_t back;
        CHECK_STR(duration_format(cases[i].ns, text), cases[i].text);
        cr_assert(duration_parse(str_from(cases[i].text), &back));
        cr_assert_eq(back, cases[i].ns);
    }
}
