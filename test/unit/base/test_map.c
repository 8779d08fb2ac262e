/* SPDX-License-Identifier: Apache-2.0 */
/* The table against a plain model of it, and its promises. */
#include "base/map.h"

#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/rand.h"
#include "harness/check.h"

Test(map, an_empty_map_has_nothing)
{
    struct map *m = map_new();
    size_t i = 0;
    cr_assert_null(map_get(m, S("a")));
    cr_assert_null(map_remove(m, S("a")));
    cr_assert_eq(map_count(m), 0);
    cr_assert_not(map_next(m, &i, NULL, NULL));
    map_free(m, NULL);
    map_free(NULL, NULL);
}

Test(map, put_replaces_and_gives_the_former_value)
{
    struct map *m = map_new();
    int one, two;
    cr_assert_null(map_put(m, S("k"), &one));
    cr_assert_eq(map_put(m, S("k"), &two), &one);
    cr_assert_eq(map_get(m, S("k")), &two);
    cr_assert_eq(map_count(m), 1);
    cr_assert_eq(map_remove(m, S("k")), &two);
    cr_assert_null(map_get(m, S("k")));
    map_free(m, NULL);
}

Test(map, keys_are_copied_bytes_and_may_be_empty_or_hold_nul)
{
    struct map *m = map_new();
    char key[] = "abc";
    int a, b, c;
    map_put(m, str_from(key), &a);
    key[0] = 'x';
    cr_assert_eq(map_get(m, S("abc")), &a);
    map_put(m, S(""), &b);
    cr_assert_eq(map_get(m, str_from(NULL)), &b);
    map_put(m, S("a\0b"), &c);
    cr_assert_eq(map_get(m, S("a\0b")), &c);
    cr_assert_null(map_get(m, S("a\0c")));
    cr_assert_null(map_get(m, S("a")));
    map_free(m, NULL);
}

Test(map, iteration_is_in_the_order_of_insertion)
{
    struct map *m = map_new();
    static int numbers[100];
    for (int i = 0; i < 100; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        numbers[i] = i;
        map_put(m, str_from(key), &numbers[i]);
    }
    int expected = 0;
    str key;
    void *value;
    for (size_t i = 0; map_next(m, &i, &key, &value); expected++)
        cr_assert_eq(*(int *)value, expected);
    cr_assert_eq(expected, 100);
    map_free(m, NULL);
}

Test(map, a_long_random_history_agrees_with_a_plain_array)
{
    enum { KEYS = 300, STEPS = 100000 };
    struct map *m = map_new();
    static char values[STEPS];
    void *model[KEYS] = { 0 };
    size_t count = 0;
    for (size_t step = 0; step < STEPS; step++) {
        size_t k = rand_below(KEYS);
        char text[16];
        (void)snprintf(text, sizeof(text), "key-%zu", k);
        str key = str_from(text);
        cr_assert_eq(map_get(m, key), model[k]);
        bool puts = rand_below(2) != 0;
        void *before = puts ? map_put(m, key, &values[step]) : map_remove(m, key);
        cr_assert_eq(before, model[k], "step %zu", step);
        count = count + (puts && !before) - (!puts && before);
        model[k] = puts ? &values[step] : NULL;
        cr_assert_eq(map_count(m), count);
    }
    size_t seen = 0;
    for (size_t i = 0; map_next(m, &i, NULL, NULL);)
        seen++;
    cr_assert_eq(seen, count);
    map_free(m, NULL);
}

Test(map, freeing_hands_every_value_to_the_function)
{
    struct map *m = map_new();
    map_put(m, S("a"), mem_alloc(10));
    map_put(m, S("b"), mem_alloc(10));
    mem_free(map_remove(m, S("a")));
    map_free(m, mem_free);
}
