/* SPDX-License-Identifier: Apache-2.0 */
/* The whole manager over a fake API and fake agents, and one cluster "pg" in the namespace "default". */
#ifndef MANAGER_BED_H
#define MANAGER_BED_H

#include "harness/check.h"
#include "harness/fake_agent.h"
#include "harness/fake_kube.h"
#include "harness/wait.h"
#include "reconcile/cluster/record.h"
#include "reconcile/manager.h"

#define BED_CLUSTER "/apis/postgres.example.io/v1/namespaces/default/postgresclusters/pg"
#define BED_BACKUPS "/apis/postgres.example.io/v1/namespaces/default/postgresbackups"
#define BED_INSTANCES "/apis/postgres.example.io/v1/namespaces/default/postgresinstances"
#define BED_RECORDS "/apis/internal.postgres.example.io/v1/clusterrecords"
#define BED_SECRETS "/api/v1/namespaces/default/secrets"
#define BED_EVENTS "/api/v1/namespaces/default/events"
#define BED_MS 15000

struct bed {
    struct arena *a;
    struct fake_kube *kube;
    struct fake_fleet *fleet;
    struct manager *manager;
};

void bed_make(struct bed *b);
void bed_start(struct bed *b);
/* Stops the manager; instances go on. */
void bed_stop(struct bed *b);
void bed_end(struct bed *b);

/* Writes the cluster's spec: JSON, such as {"instances":3}. */
void bed_spec(struct bed *b, const char *spec);
/* make, start, a cluster of that spec, and wait until it runs. */
void bed_run(struct bed *b, const char *spec);
bool bed_is_phase(struct bed *b, const char *phase);
const struct json *bed_cluster(struct bed *b);
str bed_status(struct bed *b, const char *dotted);
struct record bed_record(struct bed *b);
bool bed_has_event(struct bed *b, const char *reason, const char *part);
bool bed_is_gone(struct bed *b);

#define BED_WAIT(b, condition)                                                                                         \
    cr_assert(BECOMES(condition), "never: %s; status: %.*s", #condition, STR_ARG(bed_status_text(b)))
str bed_status_text(struct bed *b);
#define BED_RUNS(b) BED_WAIT(b, bed_is_phase(b, "Running"))

/* POST …/action and its answer. */
struct bed_answer {
    bool is_done;
    int code;                /* of the answer or of the failure */
    const struct json *body; /* of the answer */
    str message;             /* of either */
};
/* Waits for the answer. */
struct bed_answer bed_post(struct bed *b, const char *action, const char *body);
/* Does not wait; *ret is filled when is_done becomes true (under its own lock). */
struct bed_post;
struct bed_post *bed_post_begin(struct bed *b, const char *action, const char *body, bool dry_run);
bool bed_post_is_done(struct bed_post *p);
/* Waits and frees. */
struct bed_answer bed_post_end(struct bed *b, struct bed_post *p);

#endif
