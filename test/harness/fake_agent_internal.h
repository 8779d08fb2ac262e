/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the fake agents. */
#ifndef HARNESS_FAKE_AGENT_INTERNAL_H
#define HARNESS_FAKE_AGENT_INTERNAL_H

#include <pthread.h>

#include "base/list.h"
#include "harness/fake_agent.h"
#include "http/server.h"

#define FAKE_AGENTS_MAX 24
#define FAKE_COMMITS_MAX 4096
#define FAKE_TICK_MS 20
#define FAKE_HEARTBEAT_MS 100

struct launching { /* of the thread that launches */
    const struct platform_identity *identity;
    bool is_done;
    int result;
    struct error error;
};

struct fake_agent {
    struct fake_fleet *fleet;
    char name[64], cluster_uid[64];
    int port;
    bool exists;

    /* durable */
    bool has_data, is_granted, is_usable;
    int64_t term, granted_timeline, timeline, wal_term;
    uint32_t commits[FAKE_COMMITS_MAX];
    size_t commit_count;
    struct arena *config_arena; /* NULL: none came yet */
    struct agent_config config;
    const char *config_text;
    char last_restart_id[80];

    /* dies with the agent */
    struct http_server *server;
    struct launching *launching; /* NULL: nobody waits for its start */
    bool is_alive, must_end, is_running, is_writable, is_streaming, is_frozen, is_crashed, is_failed, was_ordered_down;
    bool may_restart;
    int64_t may_write_term;
    int64_t down_until_ns; /* it restarts */
    char incarnation[20], message[200], progress[100];
    struct http_loop *loop;
    struct list streams, late; /* the loop's */
    bool has_dropped_late;
    int64_t nonce, sent_ns;
    bool is_changed;
    struct arena *line_arena; /* holds `line`, the newest status that was sent */
    str line;
    struct arena *task_arena;
    const struct json *task;

    /* the test's */
    bool stays_dead, is_held, is_cut, is_lagging, pending_restart, pending_for_ever, pending_elsewhere, is_loading;
    int restarts, launches, copies;
};

struct fake_fleet {
    pthread_mutex_t lock; /* all of it; never held while a server is started or freed */
    pthread_cond_t changed;
    pthread_t keeper;
    bool is_stopping, has_few_places;
    int few[64]; /* ports, chosen once */
    struct fake_agent *agents[FAKE_AGENTS_MAX];
    size_t count;
    uint32_t next_commit;
    bool is_acknowledged[FAKE_COMMITS_MAX];
    int violations;
    struct fake_agent_fault faults[16];
    size_t fault_count;
    struct {
        struct fake_agent *agent;
        char path[32];
    } commands[8192];
    size_t command_count;
};

/* ---- fake_agent.c: the state; with the lock held ---- */
struct fake_agent *fake__find(struct fake_fleet *f, const char *name);
void fake__settle(struct fake_fleet *f); /* lets all instances do what their configurations say */
int fake__command(struct fake_agent *ag, struct arena *a, str path, const struct json *body, const struct json **ret);
struct agent_status fake__status(struct fake_agent *ag, struct arena *a);
bool fake__take_fault(struct fake_agent *ag, str path, struct fake_agent_fault *ret);

#endif
