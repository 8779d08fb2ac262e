/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents without PostgreSQL: real TLS servers that speak agent/message.h, over instances whose data are lists of
 * numbered commits. A fleet is a machine full of them, and the platform that launches them. What the manager makes of
 * it can be checked to the commit: two writable instances at once, and acknowledged commits that the primary lacks, are
 * counted. Any thread. For tests only.
 */
#ifndef HARNESS_FAKE_AGENT_H
#define HARNESS_FAKE_AGENT_H

#include "agent/message.h"
#include "reconcile/platform.h"

struct fake_fleet;

struct fake_fleet *fake_fleet_new(void);
/* Ends all agents. */
void fake_fleet_free(struct fake_fleet *f);
struct platform fake_fleet_platform(struct fake_fleet *f);

/* Places are given in order from the first free one, as addresses are: to see whether two clusters get the same. */
void fake_fleet_use_few_places(struct fake_fleet *f);

/* ---- the client ----------------------------------------------------------------------------------------------- */

/* One commit. True when the primary acknowledged it, as its synchronous_standby_names want. */
bool fake_fleet_write(struct fake_fleet *f);
/* Acknowledged commits that the writable instance lacks; -1: there is none. */
int fake_fleet_lost(struct fake_fleet *f);
/* How often an instance became writable while another one was. Must stay 0 unless a test forces it. */
int fake_fleet_violations(struct fake_fleet *f);
/* Name of the writable instance; empty: none. */
const char *fake_fleet_writable(struct fake_fleet *f);
size_t fake_fleet_alive(struct fake_fleet *f);

/* ---- what happens to instances -------------------------------------------------------------------------------- */

/* PostgreSQL dies, the agent lives. may_restart: the leader's word brings it back. */
void fake_agent_crash(struct fake_fleet *f, const char *name, bool may_restart);
/* Agent and PostgreSQL die; the platform can prove it, and may launch it again unless `stays_dead`. */
void fake_agent_kill(struct fake_fleet *f, const char *name, bool stays_dead);
/* Nothing reaches it any more, but it lives (and PostgreSQL goes on): silence without proof. */
void fake_agent_cut(struct fake_fleet *f, const char *name, bool is_cut);
/* A standby gets no WAL while it is held. It goes on saying that it streams. */
void fake_agent_hold(struct fake_fleet *f, const char *name, bool is_held);
/* Parameters that wait for a restart; forever: a restart does not help. */
void fake_agent_want_restart(struct fake_fleet *f, const char *name, bool forever);
void fake_agent_fail(struct fake_fleet *f, const char *name, const char *message);
/* Its statuses lag: until it is over, the last one from before is sent again and again, whatever happens. */
void fake_agent_lag(struct fake_fleet *f, const char *name, bool is_lagging);
void fake_agent_end_backup(struct fake_fleet *f, const char *name, bool succeeded);
/* Text that its status says of its progress. */
void fake_agent_say(struct fake_fleet *f, const char *name, const char *progress);

/* Commands of that path are refused `times` times with the code (0: never answered), or carried out after delay_ms. */
struct fake_agent_fault {
    const char *name; /* NULL: any */
    const char *path; /* "/v1/promote" */
    int times;
    int code;
    int delay_ms;
    bool is_late; /* refused only after it was carried out: the answer is lost */
};
void fake_agent_fault(struct fake_fleet *f, const struct fake_agent_fault *fault);
void fake_agent_heal(struct fake_fleet *f);

/* ---- what is known -------------------------------------------------------------------------------------------- */

struct fake_agent_look {
    bool exists, is_alive, is_running, is_writable, is_streaming, is_frozen, has_data;
    int64_t term, timeline, config_version, config_term;
    size_t commits;
    int restarts, launches, copies;
    const char *config; /* as it came, JSON; valid until the next look */
    char sync_names[200];
    char last_restart_id[80];
};
struct fake_agent_look fake_agent_look(struct fake_fleet *f, const char *name);
/* Commands of that path that came to it (name NULL: to any). */
int fake_agent_commands(struct fake_fleet *f, const char *name, const char *path);

#endif
