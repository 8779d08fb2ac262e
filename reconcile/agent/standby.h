/* SPDX-License-Identifier: Apache-2.0 */
/* The standby's part of the worker (standby.c) and what it shares with the supervisor. */
#ifndef RECONCILE_AGENT_STANDBY_H
#define RECONCILE_AGENT_STANDBY_H

#include "agent.h"

/* The next thing towards following the primary of this term; *ret_wait_ms: when to look again. */
int standby_step(struct agent *ag, int64_t *ret_wait_ms, struct error *err) MUST_USE;
/* Starts PostgreSQL as a standby of nobody: it replays what it has, and serves reads. */
int standby_start_frozen(struct agent *ag, struct error *err) MUST_USE;
/* Stops PostgreSQL when a restart is wanted and notes that it was done; the next step starts it. */
int supervisor_restart(struct agent *ag, struct error *err) MUST_USE;

#endif
