/* SPDX-License-Identifier: Apache-2.0 */
/* A Criterion test that reads one byte past its memory. */
#include <criterion/criterion.h>
#include <stdlib.h>

static volatile size_t size = 16;

Test(canary, reads_past_the_end)
{
    char *bytes = calloc(1, size);
    cr_assert_not_null(bytes);
    cr_expect_lt(((volatile char *)bytes)[size], 127);
    free(bytes);
}
