/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reconciler: what is wished (objects of the API) becomes PostgreSQL that runs (a platform's instances). It sees
 * the API through kube/client.h and the machine through platform.h alone.
 */
#ifndef RECONCILE_MANAGER_H
#define RECONCILE_MANAGER_H

#include "kube/actions.h"
#include "kube/client.h"
#include "reconcile/platform.h"

struct manager;

struct manager_options {
    struct kube_client *client; /* outlives the manager */
    struct platform platform;   /* outlives the manager */
    size_t workers;             /* 0: 4 */
    int64_t certificate_s;      /* how long certificates of instances are valid; 0: PKI_LEAF_DAYS */
    bool runs_clusters;         /* controllers that run; with none the manager only refuses actions */
    bool runs_backups;
};

int manager_start(const struct manager_options *options, struct manager **ret, struct error *err) MUST_USE;
/*
 * Stops deciding; instances keep serving. Actions that wait are answered with 503. NULL is allowed.
 */
void manager_stop(struct manager *m);

/* The door for POST …/<action>. Lives as long as the manager. */
const struct action_backend *manager_actions(struct manager *m);
/* The first lists are in: for readyz. */
bool manager_has_synced(struct manager *m);

#endif
