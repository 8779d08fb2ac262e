/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 4648 §10 vectors and everything a strict decoder must refuse. */
#include "base/base64.h"

#include "base/arena.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "harness/check.h"

Test(base64, the_vectors_of_the_rfc_go_both_ways)
{
    static const struct {
        const char *data, *text, *url;
    } cases[] = {
        { "", "", "" },
        { "f", "Zg==", "Zg" },
        { "fo", "Zm8=", "Zm8" },
        { "foo", "Zm9v", "Zm9v" },
        { "foob", "Zm9vYg==", "Zm9vYg" },
        { "fooba", "Zm9vYmE=", "Zm9vYmE" },
        { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
        { "\xfb\xff\xbf", "+/+/", "-_-_" },
    };
    CLEANUP(arena_freep) struct arena *a = arena_new();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        str back;
        CHECK_STR(base64_encode(a, str_from(cases[i].data)), cases[i].text);
        CHECK_STR(base64url_encode(a, str_from(cases[i].data)), cases[i].url);
        cr_assert(base64_decode(a, str_from(cases[i].text), &back));
        CHECK_STR(back, cases[i].data);
        cr_assert(base64url_decode(a, str_from(cases[i].url), &back));
        CHECK_STR(back, cases[i].data);
    }
}

Test(base64, what_is_not_exactly_base64_is_refused)
{
    static const char *const bad[] = { "Z",    "Zg",   "Zg=",   "Zg===", "Zg==Zg==",   "Z===",  "====",
                                       "=",    "==",   "Zh==",  "Zm9=",  "Zm8 ",       " Zm8=", "Zm8=\n",
                                       "Zm-v", "Zm_v", "Zm9v=", "Zm9vZ", "\xc3\xa4==", "Zg=a",  "Z=ga" };
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str out;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert_not(base64_decode(a, str_from(bad[i]), &out), "\"%s\"", bad[i]);
    cr_assert_not(base64_decode(a, S("Zm\0v"), &out));
}

Test(base64, the_url_form_takes_no_padding_and_only_its_alphabet)
{
    static const char *const bad[] = { "Zg==", "Zm8=", "Z", "Zh", "Zm9", "Zm+v", "Zm/v", "Zm9vZ", "Zg\n" };
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str out;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert_not(base64url_decode(a, str_from(bad[i]), &out), "\"%s\"", bad[i]);
}

Test(base64, random_bytes_of_every_length_come_back)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    char data[100];
    for (size_t len = 0; len <= sizeof(data); len++) {
        str back;
        rand_bytes(data, len);
        str in = str_of(data, len);
        cr_assert(base64_decode(a, base64_encode(a, in), &back));
        cr_assert(str_eq(back, in));
        cr_assert(base64url_decode(a, base64url_encode(a, in), &back));
        cr_assert(str_eq(back, in));
    }
}

Test(utf8, the_length_is_that_of_a_well_formed_character)
{
    cr_assert_eq(utf8_len(S("")), 0);
    cr_assert_eq(utf8_len(S("\0")), 1);
    cr_assert_eq(utf8_len(S("a")), 1);
    cr_assert_eq(utf8_len(S("\xc3\xa4x")), 2);
    cr_assert_eq(utf8_len(S("\xe2\x82\xac")), 3);
    cr_assert_eq(utf8_len(S("\xf0\x9f\x90\x98")), 4);
    cr_assert_eq(utf8_len(S("\xf4\x8f\xbf\xbf")), 4);
}

Test(utf8, overlong_surrogate_cut_and_too_big_forms_are_refused)
{
    static const char *const bad[] = { "\x80",
                                       "\xbf",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xc3",
                                       "\xc3(",
                                       "\xe0\x9f\xbf",
                                       "\xed\xa0\x80",
                                       "\xe2\x82",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xff",
                                       "\xf0\x9f\x90" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        cr_assert_eq(utf8_len(str_from(bad[i])), 0, "case %zu", i);
        cr_assert_not(utf8_is_valid(str_from(bad[i])), "case %zu", i);
    }
    cr_assert(utf8_is_valid(S("")));
    cr_assert(utf8_is_valid(S("\xc3\xa4 \0 \xf0\x9f\x90\x98")));
    cr_assert_not(utf8_is_valid(S("ok until here\xff")));
}
