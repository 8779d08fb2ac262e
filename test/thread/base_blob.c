/* SPDX-License-Identifier: Apache-2.0 */
/* References taken and dropped by many threads; the last one frees after everybody has read. */
#include "base/blob.h"
#include "harness/race.h"

enum { THREADS = 8, ROUNDS = 20000 };

static void *use(void *arg)
{
    struct blob *b = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct blob *mine = blob_ref(b);
        CHECK(str_eq(blob_str(mine), S("shared bytes")));
        (void)blob_unref(mine);
    }
    /* Gives up the reference that main took for this thread. */
    CHECK(b->bytes[0] == 's');
    (void)blob_unref(b);
    return NULL;
}

int main(void)
{
    for (int round = 0; round < 10; round++) {
        struct blob *b = blob_new(S("shared bytes"));
        for (int i = 1; i < THREADS; i++)
            (void)blob_ref(b);
        race(THREADS, use, b);
    }
    return 0;
}
