/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager starts and stops over running agents while agents die, the store forgets its watches, people post actions
 * and a client writes: no race, no lost acknowledged commit, never two primaries, every action answered.
 */
#include <signal.h>
#include <stdatomic.h>

#include "base/attr.h"
#include "harness/fake_agent.h"
#include "harness/fake_kube.h"
#include "harness/race.h"
#include "harness/wait.h"
#include "reconcile/manager.h"

#define CLUSTER "/apis/postgres.example.io/v1/namespaces/default/postgresclusters/pg"
#define ROUNDS 3

static struct fake_kube *kube;
static struct fake_fleet *fleet;
static atomic_int next_role, asked, answered;
static atomic_bool is_over;

static void on_done(void *self UNUSED, int code UNUSED, const struct json *answer UNUSED,
                    const struct status *failure UNUSED)
{
    atomic_fetch_add(&answered, 1);
}

static void post(struct manager *m, const char *action)
{
    const struct action_request request = { .resource = S("postgresclusters"),
                                            .action = str_from(action),
                                            .namespace_ = S("default"),
                                            .name = S("pg"),
                                            .object = &json_empty_object,
                                            .body = &json_empty_object,
                                            .user = S("tester") };
    atomic_fetch_add(&asked, 1);
    manager_actions(m)->submit(manager_actions(m)->self, &request, on_done, NULL);
}

static struct manager *start(void)
{
    const struct manager_options options = { .client = fake_kube_client(kube),
                                             .platform = fake_fleet_platform(fleet),
                                             .runs_clusters = true,
                                             .runs_backups = true };
    struct manager *m;
    struct error err;
    CHECK(manager_start(&options, &m, &err) == 0);
    return m;
}

static void lead(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct manager *m = start();
        CHECK(BECOMES(fake_fleet_write(fleet)));
        post(m, "switchover");
        post(m, "restart");
        (void)WAIT_FOR(atomic_load(&answered) == atomic_load(&asked), 3000);
        post(m, "failover");
        manager_stop(m);
        CHECK(atomic_load(&answered) == atomic_load(&asked));
    }
    atomic_store(&is_over, true);
}

static void make_trouble(void)
{
    for (int i = 0; !atomic_load(&is_over); i++) {
        fake_kube_end_watches(kube, i % 2 ? ERRC_UNAVAILABLE : ERRC_OK);
        if (i % 7 == 3 && fake_agent_look(fleet, "pg-3").is_streaming)
            fake_agent_kill(fleet, "pg-3", false);
        for (int n = 0; n < 100; n++)
            wait_a_little();
    }
}

static void write_all(void)
{
    while (!atomic_load(&is_over)) {
        (void)fake_fleet_write(fleet);
        CHECK(fake_fleet_violations(fleet) == 0);
        for (int n = 0; n < 10; n++)
            wait_a_little();
    }
}

static void *take_part(void *arg UNUSED)
{
    switch (atomic_fetch_add(&next_role, 1)) {
    case 0: lead(); break;
    case 1: make_trouble(); break;
    default: write_all(); break;
    }
    return NULL;
}

int main(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    kube = fake_kube_new();
    fleet = fake_fleet_new();
    fake_kube_put(kube, CLUSTER, "{\"apiVersion\":\"postgres.example.io/v1\",\"spec\":{\"instances\":3}}");
    struct manager *m = start();
    CHECK(BECOMES(fake_agent_look(fleet, "pg-3").is_streaming));
    manager_stop(m);
    race(3, take_part, NULL);
    m = start();
    CHECK(BECOMES(fake_fleet_lost(fleet) == 0));
    CHECK(fake_fleet_violations(fleet) == 0);
    manager_stop(m);
    fake_fleet_free(fleet);
    fake_kube_free(kube);
    return 0;
}
