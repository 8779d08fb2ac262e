/* SPDX-License-Identifier: Apache-2.0 */
/* A hand-made view of a cluster for tests of the plan: no store, no agent, no clock. */
#ifndef UNIT_RECONCILE_PLAN_BED_H
#define UNIT_RECONCILE_PLAN_BED_H

#include "base/clock.h"
#include "reconcile/cluster/plan.h"

#define NOW (1000 * NS_PER_S)

struct bed {
    struct arena *a;
    struct cluster_view v;
    struct record_instance ins[4];
    struct instance_view views[4];
    str members[4];
    struct plan p;
};

/* n instances: the first is a serving primary of term 3, the others stream; all are members. */
static inline void bed_make(struct bed *b, size_t n)
{
    static const str names[] = { S_INIT("pg-1"), S_INIT("pg-2"), S_INIT("pg-3"), S_INIT("pg-4") };
    memset(b, 0, sizeof(*b));
    b->a = arena_new();
    for (size_t i = 0; i < n; i++) {
        b->members[i] = names[i];
        b->ins[i] = (struct record_instance) { .name = names[i],
                                               .serial = (int64_t)i + 1,
                                               .at = { .host = S("127.0.0.1"), .port = 1, .agent_port = 2 } };
        b->views[i].in = &b->ins[i];
        b->views[i].platform = PLATFORM_LIVE;
        b->views[i].has_sent = b->views[i].is_in_force = true;
        b->views[i].link = (struct link_view) { .is_connected = true, .has_status = true, .heard_ns = NOW };
        b->views[i].link.status = (struct agent_status) { .term = 3,
                                                          .granted_to = i == 0 ? names[0] : S(""),
                                                          .phase = str_from(agent_phase_name(AGENT_RUNNING)),
                                                          .postgres_running = true,
                                                          .postmaster = arena_printf(b->a, "start-%zu", i + 1),
                                                          .in_recovery = i > 0,
                                                          .streaming = i > 0,
                                                          .usable = true,
                                                          .system_identifier = S("7"),
                                                          .lsn = S("0/3000000"),
                                                          .flush_lsn = S("0/3000000"),
                                                          .replay_lsn = S("0/3000000") };
    }
    b->v = (struct cluster_view) { .namespace_ = S("default"),
                                   .name = S("pg"),
                                   .uid = S("u"),
                                   .has_record = true,
                                   .instances = b->views,
                                   .instance_count = n,
                                   .now_ns = NOW };
    b->v.spec = (struct cluster_spec) { .instances = (int64_t)n, .is_failover_automatic = true };
    b->v.record = (struct record) { .uid = S("u"),
                                    .term = 3,
                                    .primary = names[0],
                                    .old = names[0],
                                    .members = b->members,
                                    .member_count = n,
                                    .instances = b->ins,
                                    .instance_count = n,
                                    .is_initialized = true,
                                    .next_serial = (int64_t)n + 1,
                                    .tli = 3 };
}

static inline void bed_end(struct bed *b)
{
    arena_free(b->a);
}

static inline const struct step *find(const struct bed *b, enum step_kind kind)
{
    for (size_t i = 0; i < b->p.count; i++)
        if (b->p.steps[i].kind == kind)
            return &b->p.steps[i];
    return NULL;
}

static inline void set_phase(struct bed *b, size_t i, enum agent_phase phase)
{
    struct agent_status *s = &b->views[i].link.status;
    s->phase = str_from(agent_phase_name(phase));
    s->postgres_running = s->streaming = false;
}

static inline void lose(struct bed *b, size_t i, enum platform_state state, int64_t ms_ago)
{
    b->views[i].link.is_connected = false;
    b->views[i].link.lost_ns = NOW - ms_ago * NS_PER_MS;
    b->views[i].platform = state;
}

#endif
