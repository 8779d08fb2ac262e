/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that dies together: alignment, zeroing, big pieces, release in reverse order. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>

#include <signal.h>

#include "base/mem.h"
#include "harness/check.h"

Test(arena, memory_is_zeroed_aligned_and_does_not_overlap)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    unsigned char *last[1000];
    for (size_t i = 0; i < 1000; i++) {
        last[i] = arena_alloc(a, i);
        cr_assert_eq((uintptr_t)last[i] % alignof(max_align_t), 0);
        for (size_t k = 0; k < i; k++)
            cr_assert_eq(last[i][k], 0);
        memset(last[i], (int)(i & 0xff), i);
    }
    for (size_t i = 0; i < 1000; i++) {
        for (size_t k = 0; k < i; k++)
            cr_assert_eq(last[i][k], i & 0xff);
    }
}

Test(arena, big_pieces_do_not_waste_the_current_chunk)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    (void)arena_alloc(a, 100);
    size_t before = arena_size(a);
    (void)arena_alloc(a, 1 << 20);
    size_t with_big = arena_size(a);
    (void)arena_alloc(a, 100);
    cr_assert_geq(with_big - before, 1u << 20);
    cr_assert_eq(arena_size(a), with_big, "the small piece still fits the first chunk");
}

Test(arena, an_arena_that_starts_with_a_big_piece_works)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    unsigned char *big = arena_alloc(a, 1 << 20);
    memset(big, 1, 1 << 20);
    char *small = arena_alloc(a, 10);
    memset(small, 2, 10);
    cr_assert_eq(big[(1 << 20) - 1], 1);
}

Test(arena, copies_of_text_keep_nul_bytes_and_end_with_one)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str s = arena_str(a, S("a\0b"));
    cr_assert(str_eq(s, S("a\0b")));
    cr_assert_eq(s.ptr[3], '\0');
    str empty = arena_str(a, str_from(NULL));
    cr_assert_not_null(empty.ptr);
    cr_assert_eq(empty.len, 0);
    cr_assert_str_eq(arena_z(a, S("a\0b")), "a");
    cr_assert_str_eq(arena_z(a, str_first(S("abc"), 2)), "ab");
}

Test(arena, formatted_text_may_be_longer_than_a_chunk)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    CHECK_STR(arena_printf(a, "%s-%d", "x", 7), "x-7");
    CHECK_STR(arena_printf(a, "%s", ""), "");
    str wide = arena_printf(a, "%0*d", 100000, 1);
    cr_assert_eq(wide.len, 100000);
    cr_assert_eq(wide.ptr[99999], '1');
}

static int order[3];
static int released;

static void note(void *p)
{
    order[released++] = *(int *)p;
}

Test(arena, releases_run_once_in_reverse_order_while_the_memory_is_still_there)
{
    struct arena *a = arena_new();
    for (int i = 0; i < 3; i++) {
        int *n = arena_new_of(a, int);
        *n = i;
        arena_on_release(a, note, n);
    }
    cr_assert_eq(released, 0);
    arena_free(a);
    cr_assert_eq(released, 3);
    cr_assert(order[0] == 2 && order[1] == 1 && order[2] == 0);
    arena_free(NULL);
}

Test(arena, an_array_whose_size_overflows_aborts, .signal = SIGABRT)
{
    struct arena *a = arena_new();
    (void)arena_alloc_array(a, 16, SIZE_MAX / 8);
}

Test(arena, an_absurd_size_aborts, .signal = SIGABRT)
{
    struct arena *a = arena_new();
    (void)arena_alloc(a, SIZE_MAX - 8);
}

Test(mem, memory_is_zeroed_and_zero_bytes_may_be_freed)
{
    int *numbers = mem_array_of(int, 1000);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(numbers[i], 0);
    mem_free(numbers);
    mem_free(mem_alloc(0));
    mem_free(mem_array_of(int, 0));
    mem_free(NULL);
}

Test(mem, a_bigger_block_keeps_its_content)
{
    char *p = mem_realloc(NULL, 4);
    memcpy(p, "abc", 4);
    p = mem_realloc(p, 4000);
    cr_assert_str_eq(p, "abc");
    mem_free(p);
    p = mem_strdup("xyz");
    cr_assert_str_eq(p, "xyz");
    mem_free(p);
    cr_assert_null(mem_strdup(NULL));
}

Test(mem, an_array_whose_size_overflows_aborts, .signal = SIGABRT)
{
    (void)mem_alloc_array(SIZE_MAX / 2, 3);
}

static void count_release(void *p)
{
    (*(int *)p)++;
}

Test(arena, a_cleared_arena_is_as_good_as_new_and_keeps_one_chunk)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    int count = 0;
    arena_clear(a);
    cr_assert_eq(arena_size(a), 0, "nothing to keep");
    for (int round = 0; round < 3; round++) {
        arena_on_release(a, count_release, &count);
        for (size_t i = 0; i < 100; i++)
            memset(arena_alloc(a, 1000), 0xff, 1000);
        memset(arena_alloc(a, 1 << 20), 0xff, 1 << 20);
        cr_assert_geq(arena_size(a), (1u << 20) + 100000);
        arena_clear(a);
        cr_assert_eq(count, round + 1);
        cr_assert_leq(arena_size(a), 4096);
        size_t kept = arena_size(a);
        const unsigned char *fresh = arena_alloc(a, 1000);
        for (size_t i = 0; i < 1000; i++)
            cr_assert_eq(fresh[i], 0);
        cr_assert_eq(arena_size(a), kept, "it fits what was kept");
    }
}

Test(arena, texts_of_any_length_are_printed_in_full)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    for (int len = 250; len < 262; len++) {
        str s = arena_printf(a, "%*d", len, 7);
        cr_assert_eq(s.len, (size_t)len);
        cr_assert_eq(s.ptr[len - 1], '7');
        cr_assert_eq(s.ptr[len], '\0');
    }
}
