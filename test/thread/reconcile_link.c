/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links in a storm: opened, closed, looked at, told words and used for commands by several threads, while agents die
 * and are launched again. No race, no callback after a link was closed, every command answered by its deadline.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "harness/fake_agent.h"
#include "harness/race.h"
#include "harness/wait.h"
#include "pki/pki.h"
#include "reconcile/link.h"

#define AGENTS 3
#define ROUNDS 25
#define COMMAND_MS 1500
#define WORKERS 3

static struct arena *memory;
static struct fake_fleet *fleet;
static struct platform platform;
static struct links *links;
static struct pki_pair ca, leader;
static struct platform_instance instances[AGENTS];
static struct pki_pair identities[AGENTS];
static atomic_int next_role, finished, statuses;

/* What a link calls back on; closed ones are never called. */
struct watcher {
    atomic_bool is_closed;
};

static void on_status(void *self, bool is_change)
{
    struct watcher *w = self;
    (void)is_change;
    CHECK(!atomic_load(&w->is_closed));
    atomic_fetch_add(&statuses, 1);
}

static void launch(size_t i)
{
    const struct platform_identity identity = { .ca_pem = ca.certificate_pem,
                                                .certificate_pem = identities[i].certificate_pem,
                                                .private_key_pem = identities[i].private_key_pem };
    struct error err;
    CHECK(platform.ops->launch(platform.self, &instances[i], &identity, &err) == 0);
}

static struct link *open_link(size_t i, struct watcher *w)
{
    const struct link_target target = { .instance = instances[i].name,
                                        .host = instances[i].at.host,
                                        .agent_port = instances[i].at.agent_port,
                                        .ca_pem = ca.certificate_pem,
                                        .certificate_pem = leader.certificate_pem,
                                        .private_key_pem = leader.private_key_pem };
    struct link *l;
    struct error err;
    CHECK(link_open(links, &target, on_status, w, &l, &err) == 0);
    return l;
}

static void look(struct link *l)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct link_view view;
    link_view(l, a, &view);
    CHECK(!view.has_status || view.status.protocol == AGENT_PROTOCOL);
    CHECK(!view.is_connected || view.has_status);
}

static const struct json *body_of(struct arena *a, int64_t term)
{
    return JSON_OBJECT_OF(a, JSON_MEMBER("protocol", json_int(a, AGENT_PROTOCOL)),
                          JSON_MEMBER("term", json_int(a, term)), JSON_MEMBER("want", json_string(a, S("freeze"))));
}

/* One command to each at once; whoever is dead must not hold the others up for long. */
static void command_all(struct link *const *list, int64_t term)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct link_call calls[AGENTS];
    int64_t began_ns = clock_monotonic_ns();
    for (size_t i = 0; i < AGENTS; i++)
        calls[i] = (struct link_call) { .link = list[i], .path = "/v1/prepare", .body = body_of(a, term) };
    link_command_all(links, calls, AGENTS, deadline_in_ms(COMMAND_MS));
    CHECK(clock_monotonic_ns() - began_ns < 60 * NS_PER_S);
    for (size_t i = 0; i < AGENTS; i++)
        arena_free(calls[i].arena);
}

static void use_links(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct watcher watchers[AGENTS] = { 0 };
        struct link *list[AGENTS];
        for (size_t i = 0; i < AGENTS; i++)
            list[i] = open_link(i, &watchers[i]);
        for (int n = 0; n < round % 4; n++) {
            CLEANUP(arena_freep) struct arena *a = arena_new();
            struct error err;
            size_t i = (size_t)(round + n) % AGENTS;
            link_set_word(list[i], round, n % 2, n % 2);
            look(list[i]);
            (void)!link_command(list[i], a, "/v1/restart", body_of(a, round), deadline_in_ms(COMMAND_MS), NULL, &err);
            wait_a_little();
        }
        command_all(list, round + 1);
        for (size_t i = 0; i < AGENTS; i++) {
            link_close(list[i]);
            atomic_store(&watchers[i].is_closed, true);
        }
    }
    atomic_fetch_add(&finished, 1);
}

static void make_trouble(void)
{
    for (size_t i = 0; atomic_load(&finished) < WORKERS; i++) {
        size_t victim = i % AGENTS;
        fake_agent_kill(fleet, arena_z(memory, instances[victim].name), false);
        for (int n = 0; n < 20; n++)
            wait_a_little();
        launch(victim);
        for (int n = 0; n < 60; n++)
            wait_a_little();
    }
}

static void *take_part(void *arg)
{
    (void)arg;
    if (atomic_fetch_add(&next_role, 1) == 0)
        make_trouble();
    else
        use_links();
    return NULL;
}

static void make_agents(void)
{
    struct error err;
    CHECK(pki_make_ca(memory, S("test"), 0, &ca, &err) == 0);
    const struct pki_request request = { .common_name = S(AGENT_LEADER_CN), .is_client = true };
    CHECK(pki_issue(memory, &ca, &request, &leader, &err) == 0);
    for (size_t i = 0; i < AGENTS; i++) {
        struct platform_instance *in = &instances[i];
        *in = (struct platform_instance) { .namespace_ = S("default"), .cluster = S("pg"), .cluster_uid = S("u") };
        in->name = arena_printf(memory, "pg-%zu", i + 1);
        CHECK(platform.ops->place(platform.self, memory, in, NULL, 0, &in->at, &err) == 0);
        const struct pki_request own = { .common_name = in->name,
                                         .dns_names = &in->name,
                                         .dns_count = 1,
                                         .ip_addresses = &in->at.host,
                                         .ip_count = 1,
                                         .is_server = true,
                                         .is_client = true };
        CHECK(pki_issue(memory, &ca, &own, &identities[i], &err) == 0);
        launch(i);
    }
}

int main(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    struct error err;
    memory = arena_new();
    fleet = fake_fleet_new();
    platform = fake_fleet_platform(fleet);
    CHECK(links_new(&links, &err) == 0);
    make_agents();
    race(1 + WORKERS, take_part, NULL);
    CHECK(atomic_load(&statuses) > 0);

    /* The end while a link is open and a command is under way. */
    struct watcher w = { 0 };
    struct link *l = open_link(0, &w);
    CHECK(BECOMES(fake_agent_look(fleet, "pg-1").is_alive));
    links_cancel(links);
    CLEANUP(arena_freep) struct arena *a = arena_new();
    CHECK(link_command(l, a, "/v1/restart", body_of(a, 1), deadline_in_ms(COMMAND_MS), NULL, &err) == ERRC_CANCELLED);
    link_close(l);
    links_free(links);
    fake_fleet_free(fleet);
    arena_free(memory);
    return 0;
}
