/* SPDX-License-Identifier: Apache-2.0 */
/* A pool fed by many threads and stopped while jobs wait: each accepted job runs exactly once, before pool_free
 * returns. */
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "base/rand.h"
#include "base/thread.h"
#include "harness/race.h"

static struct pool *pool;
static atomic_int accepted;
static atomic_int ran;

static void job(void *arg)
{
    CHECK(arg == &ran);
    atomic_fetch_add(&ran, 1);
}

static void *feed(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5000; i++) {
        if (pool_run(pool, job, &ran))
            atomic_fetch_add(&accepted, 1);
        if (i % 1000 == 0)
            log_debug("never shown", LOG_INT("random", rand_u64()));
    }
    return NULL;
}

int main(void)
{
    struct error e;
    for (int round = 0; round < 5; round++) {
        accepted = ran = 0;
        pool = pool_new("worker", 3, 64, &e);
        CHECK(pool != NULL);
        race(4, feed, NULL);
        pool_free(pool);
        CHECK(accepted > 0);
        CHECK(ran == accepted);
    }
    return 0;
}
