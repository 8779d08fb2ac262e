/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one pass knows of a cluster: its wish (spec), its record, and what each instance says. plan.c decides on this
 * alone, so every decision can be tested with a struct.
 */
#ifndef RECONCILE_CLUSTER_VIEW_H
#define RECONCILE_CLUSTER_VIEW_H

#include "reconcile/link.h"
#include "reconcile/platform.h"
#include "record.h"

struct cluster_spec {
    int64_t instances;
    int64_t postgres_major;
    bool is_paused, is_failover_automatic;
    int64_t sync_number; /* 0: asynchronous */
    bool is_sync_required;
    bool removes_data; /* reclaimPolicy Delete */
    const struct json *parameters, *hba, *repositories, *initdb;
    str database, owner;
};

struct instance_view {
    const struct record_instance *in;
    struct link_view link;
    enum platform_state platform; /* looked up only while the link is down */
    int64_t launched_ns;          /* when it was last launched by this process; 0: not */
    str launch_error;             /* why it could not be launched last; empty: it could */
    int64_t crashes;              /* of its PostgreSQL in the last minute, … */
    int64_t crash_ns;             /* … the newest of all; 0: none */
    bool is_in_force;             /* PostgreSQL has loaded the configuration that this process sent last */
    str sent_sync_names;          /* synchronous_standby_names of the configuration it accepted last */
    bool has_sent;
};

/* An action that waits to be admitted or finished. */
enum action_kind { ACTION_NONE, ACTION_SWITCHOVER, ACTION_FAILOVER };

struct cluster_view {
    const struct json *object; /* the cluster as it was read; NULL in tests of decisions */
    str namespace_, name, uid;
    int64_t generation;
    bool is_deleting;
    struct cluster_spec spec;
    bool has_record;
    struct record record;
    struct instance_view *instances; /* in the order of record.instances */
    size_t instance_count;
    int64_t now_ns;     /* CLOCK_MONOTONIC */
    int64_t down_ns;    /* since when this process sees the primary of this term not serving; 0: it serves */
    bool is_changing;   /* the primary is being replaced: nobody was chosen, or the chosen one did not serve yet */
    bool is_first_look; /* this process has just begun, and has not heard those yet who live */
    str secret_problem; /* why a Secret is not as it should be; empty: all are */
};

struct instance_view *view_instance(const struct cluster_view *v, str name);
/* The record's primary, or NULL. */
struct instance_view *view_primary(const struct cluster_view *v);

/* The agent is heard, PostgreSQL runs and takes writes in the record's term. */
bool view_is_serving_primary(const struct cluster_view *v, const struct instance_view *i);
/* It streams from the record's primary and may be chosen. */
bool view_is_streaming_standby(const struct cluster_view *v, const struct instance_view *i);
/* Why an instance that runs is in no good state: its probes fail, its disk is full. For people; empty: nothing known.
 * No reason to replace it without being asked. */
str view_trouble(const struct agent_status *s);
/* One of both, and without trouble. */
bool view_is_ready(const struct cluster_view *v, const struct instance_view *i);
/* Bytes that a standby is behind the primary's newest position; -1: unknown. */
int64_t view_lag_bytes(const struct cluster_view *v, const struct instance_view *i);

void cluster_spec_from_json(const struct json *object, struct cluster_spec *ret);

#endif
