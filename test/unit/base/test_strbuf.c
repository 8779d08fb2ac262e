/* SPDX-License-Identifier: Apache-2.0 */
/* The capped text: growth, the exact maximum, and what happens behind it. */
#include "base/strbuf.h"

#include <stdint.h>

#include "base/arena.h"
#include "harness/check.h"

Test(strbuf, nothing_is_allocated_before_the_first_byte)
{
    STRBUF_AUTO b = STRBUF_INIT(10);
    strbuf_add(&b, S(""));
    strbuf_grow(&b, 0);
    cr_assert_null(b.ptr);
    CHECK_STR(strbuf_str(&b), "");
    cr_assert_eq(strbuf_check(&b, NULL), 0);
}

Test(strbuf, the_exact_maximum_fits_and_one_more_byte_does_not)
{
    STRBUF_AUTO b = STRBUF_INIT(5);
    struct error e;
    strbuf_add(&b, S("abc"));
    strbuf_add(&b, S("de"));
    CHECK_OK(strbuf_check(&b, &e), e);
    cr_assert_eq(b.ptr[5], '\0');
    strbuf_add_char(&b, 'f');
    CHECK_FAILS(strbuf_check(&b, &e), ERRC_TOO_LARGE);
    CHECK_HAS(str_from(e.text), "5 bytes");
    CHECK_STR(strbuf_str(&b), "abcde");
}

Test(strbuf, after_a_drop_everything_is_dropped_so_that_a_prefix_remains)
{
    STRBUF_AUTO b = STRBUF_INIT(5);
    strbuf_add(&b, S("abc"));
    strbuf_add(&b, S("defg"));
    strbuf_add(&b, S("h"));
    strbuf_addf(&b, "%d", 1);
    cr_assert_null(strbuf_reserve(&b, 1));
    CHECK_STR(strbuf_str(&b), "abc");
    cr_assert(b.is_full);
}

Test(strbuf, a_reset_forgets_the_fullness)
{
    STRBUF_AUTO b = STRBUF_INIT(2);
    strbuf_add(&b, S("abc"));
    strbuf_reset(&b);
    strbuf_add(&b, S("ab"));
    CHECK_STR(strbuf_str(&b), "ab");
    cr_assert_eq(strbuf_check(&b, NULL), 0);
}

Test(strbuf, a_maximum_of_zero_takes_nothing)
{
    STRBUF_AUTO b = STRBUF_INIT(0);
    strbuf_addf(&b, "%s", "");
    cr_assert_not(b.is_full);
    strbuf_add_char(&b, 'a');
    cr_assert(b.is_full);
    cr_assert_eq(b.len, 0);
}

Test(strbuf, formatted_text_grows_to_the_maximum_and_is_all_or_nothing)
{
    STRBUF_AUTO b = STRBUF_INIT(100);
    strbuf_addf(&b, "%s-%d", "abc", 42);
    CHECK_STR(strbuf_str(&b), "abc-42");
    strbuf_addf(&b, "%0*d", 94, 7);
    cr_assert_eq(b.len, 100);
    cr_assert_not(b.is_full);
    strbuf_addf(&b, "%d", 1);
    cr_assert(b.is_full);
    cr_assert_eq(b.len, 100);
    cr_assert_eq(b.ptr[100], '\0');
}

Test(strbuf, formatted_text_that_passes_the_maximum_inside_the_capacity_is_dropped)
{
    STRBUF_AUTO b;
    strbuf_init(&b, 70);
    strbuf_addf(&b, "%060d", 1);
    strbuf_addf(&b, "%011d", 1);
    cr_assert(b.is_full);
    cr_assert_eq(b.len, 60);
    cr_assert_eq(b.ptr[60], '\0');
}

Test(strbuf, many_small_pieces_grow_it)
{
    STRBUF_AUTO b = STRBUF_INIT(SIZE_MAX);
    for (int i = 0; i < 10000; i++)
        strbuf_add(&b, S("0123456789"));
    cr_assert_eq(b.len, 100000);
    cr_assert_eq(b.ptr[100000], '\0');
    cr_assert(str_has_suffix(strbuf_str(&b), S("90123456789")));
    cr_assert_eq(strbuf_check(&b, NULL), 0);
}

Test(strbuf, embedded_nul_bytes_are_kept)
{
    STRBUF_AUTO b = STRBUF_INIT(10);
    strbuf_add(&b, S("a\0b"));
    cr_assert_eq(b.len, 3);
    cr_assert(str_eq(strbuf_str(&b), S("a\0b")));
}

Test(strbuf, reserved_room_counts_only_when_committed)
{
    STRBUF_AUTO b = STRBUF_INIT(10);
    char *room = strbuf_reserve(&b, 10);
    cr_assert_not_null(room);
    memcpy(room, "xyz", 3);
    CHECK_STR(strbuf_str(&b), "");
    strbuf_grow(&b, 3);
    CHECK_STR(strbuf_str(&b), "xyz");
    cr_assert_eq(b.ptr[3], '\0');
}

Test(strbuf, a_copy_in_the_arena_outlives_the_buffer)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct strbuf b = STRBUF_INIT(10);
    strbuf_add(&b, S("abc"));
    str copy = strbuf_to_arena(&b, a);
    strbuf_release(&b);
    CHECK_STR(copy, "abc");
    cr_assert_eq(b.max, 10, "a released buffer can be used again");
}
