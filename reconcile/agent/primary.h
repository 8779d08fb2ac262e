/* SPDX-License-Identifier: Apache-2.0 */
/* The primary's part of the worker (primary.c). */
#ifndef RECONCILE_AGENT_PRIMARY_H
#define RECONCILE_AGENT_PRIMARY_H

#include "agent.h"

/* The next thing towards serving as the primary of this term; *ret_wait_ms: when to look again. */
int primary_step(struct agent *ag, int64_t *ret_wait_ms, struct error *err) MUST_USE;

#endif
