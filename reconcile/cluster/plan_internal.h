/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that make a plan (plan*.c): how they add to it, and the parts that stand in files of their own.
 */
#ifndef RECONCILE_CLUSTER_PLAN_INTERNAL_H
#define RECONCILE_CLUSTER_PLAN_INTERNAL_H

#include "plan.h"

/* NULL when the plan is full: the next pass goes on. */
struct step *plan__add(struct plan *p, enum step_kind kind, str instance);
/* The soonest counts. */
void plan__look_again(struct plan *p, int64_t ms);
/* Phase and message of status: the first word stays, so the most important comes first. */
void plan__say(struct plan *p, const char *phase, str message);

bool plan__is_phase(const struct instance_view *i, enum agent_phase phase);
/* INT64_MAX when it never was (0). */
int64_t plan__ms_since(const struct cluster_view *v, int64_t then_ns);

/* plan_primary.c: true when the rest of the pass must wait for the primary. */
bool plan__primary(struct arena *a, const struct cluster_view *v, struct plan *p);
/* Some standby could be chosen, as far as is known before they are asked. */
bool plan__has_candidate(const struct cluster_view *v);

/* plan_sync.c */
void plan__sync(struct arena *a, const struct cluster_view *v, struct plan *p);

/* plan_restarts.c */
void plan__restarts(struct arena *a, const struct cluster_view *v, struct plan *p);
/* What people should know of parameters that no restart of ours puts in force: "; …", or empty. */
str plan__parameters_note(struct arena *a, const struct cluster_view *v);

#endif
