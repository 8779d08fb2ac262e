/* SPDX-License-Identifier: Apache-2.0 */
/* Counted bytes, and the small helpers of attr.h and list.h that have no file of their own. */
#include "base/blob.h"

#include "base/list.h"
#include "harness/check.h"

Test(blob, bytes_are_copied_with_a_nul_behind_them)
{
    CLEANUP(blob_unrefp) struct blob *b = blob_new(S("a\0b"));
    cr_assert(str_eq(blob_str(b), S("a\0b")));
    cr_assert_eq(b->bytes[3], '\0');
    CLEANUP(blob_unrefp) struct blob *empty = blob_new(str_from(NULL));
    cr_assert_eq(empty->len, 0);
    cr_assert_eq(empty->bytes[0], '\0');
}

Test(blob, it_lives_until_the_last_reference_goes)
{
    struct blob *b = blob_new(S("abc"));
    struct blob *second = blob_ref(b);
    cr_assert_eq(second, b);
    cr_assert_null(blob_unref(b));
    CHECK_STR(blob_str(second), "abc");
    cr_assert_null(blob_unref(second));
    cr_assert_null(blob_unref(NULL));
}

Test(attr, take_moves_a_pointer_out_so_that_its_cleanup_does_nothing)
{
    struct blob *kept;
    {
        CLEANUP(blob_unrefp) struct blob *b = blob_new(S("abc"));
        kept = TAKE(b);
        cr_assert_null(b);
    }
    CHECK_STR(blob_str(kept), "abc");
    (void)blob_unref(kept);
}

struct item {
    int number;
    struct list node;
};

Test(list, keeps_order_and_allows_removal_while_walking)
{
    struct list head;
    struct item items[4];
    list_init(&head);
    cr_assert(list_is_empty(&head));
    for (int i = 0; i < 4; i++) {
        items[i].number = i;
        list_add_tail(&head, &items[i].node);
    }
    int expected = 0;
    LIST_FOREACH (&head, it) {
        cr_assert_eq(LIST_ENTRY(it, struct item, node)->number, expected++);
        list_remove(it);
        list_remove(it);
    }
    cr_assert_eq(expected, 4);
    cr_assert(list_is_empty(&head));
}
