/* SPDX-License-Identifier: Apache-2.0 */
/* A Criterion test that leaks. Criterion itself lets it pass; our way of running tests must not. */
#include <criterion/criterion.h>
#include <stdlib.h>

static void *volatile lost;

Test(canary, leaks_64_bytes)
{
    lost = malloc(64);
    cr_assert_not_null(lost);
    lost = NULL;
}
