/* SPDX-License-Identifier: Apache-2.0 */
/* A Criterion test with undefined behaviour and nothing else wrong. */
#include <criterion/criterion.h>
#include <limits.h>

static volatile int number = INT_MAX;

Test(canary, overflows_a_signed_number)
{
    number = number + 1;
    cr_assert_neq(number, 0);
}
