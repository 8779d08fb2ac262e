/* SPDX-License-Identifier: Apache-2.0 */
/* GET and LIST through the whole chain. */
#include "test/harness/api_env.h"
#include "test/harness/check.h"

static struct env *env;

static void set_up(void)
{
    env = env_new(NULL);
}

static void tear_down(void)
{
    env_free(env);
}

TestSuite(read, .init = set_up, .fini = tear_down, .timeout = 60);

Test(read, get_gives_the_stored_object)
{
    str version = env_cluster(env, "pg1");
    struct env_answer a = env_get(env, ENV_CLUSTERS "/pg1");
    cr_assert_eq(a.code, 200);
    CHECK_STR(a.content_type, "application/json");
    CHECK_STR(env_text(&a, "kind"), "PostgresCluster");
    CHECK_STR(env_text(&a, "apiVersion"), "postgres.example.io/v1");
    cr_assert(str_eq(env_text(&a, "metadata.resourceVersion"), version));
    CHECK_STR(env_header(&a, "cache-control"), "no-cache, private");
    cr_assert_eq(env_header(&a, "audit-id").len, 36);
}

Test(read, get_of_nothing_is_404)
{
    struct env_answer a = env_get(env, ENV_CLUSTERS "/none");
    cr_assert_eq(a.code, 404);
    CHECK_STR(env_text(&a, "message"), "postgresclusters.postgres.example.io \"none\" not found");
    CHECK_STR(env_text(&a, "details.kind"), "postgresclusters");
}
