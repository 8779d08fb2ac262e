/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides what to do next for a cluster. Pure: a view in, an ordered list of steps out; act.c carries them out. A pass
 * does what it can and the next event (a status, a changed object, a time) brings the next pass.
 */
#ifndef RECONCILE_CLUSTER_PLAN_H
#define RECONCILE_CLUSTER_PLAN_H

#include "view.h"

enum step_kind {
    STEP_CREATE_RECORD,
    STEP_ADD_INSTANCE,    /* one more, by a compare-and-swap */
    STEP_LAUNCH,          /* make its agent run */
    STEP_SET_INITIALIZED, /* the first initdb is done: note the system identifier */
    STEP_BEGIN_CHANGE,    /* raise the term: the primary changes (rule 14) */
    STEP_CONTINUE_CHANGE, /* collect reports, choose, record, promote (16–27) */
    STEP_PROMOTE,         /* the record's primary was chosen, but does not serve yet */
    STEP_ADMIT_MEMBER,    /* a standby that streams takes part in decisions */
    STEP_SET_SYNC,        /* note a new synchronous set before the primary uses it (26) */
    STEP_FORGET_RESTART,  /* what POST …/restart asked for is done */
    STEP_FORGET_SYNC,     /* the newest set confirmed everything: older entries may go */
    STEP_CONFIGURE,       /* send every instance its configuration where it differs */
    STEP_RESTART,         /* restart PostgreSQL of one instance */
    STEP_MARK_REMOVING,   /* it is to go: out of the wanted synchronous set, but a member still */
    STEP_DROP_MEMBER,     /* no synchronous entry names it any more: out of the members (40–43) */
    STEP_REMOVE,          /* stop it, keep or remove its data, forget it; its slot goes last */
};

struct step {
    enum step_kind kind;
    str instance;                  /* where it is about one */
    str reason;                    /* for people; BEGIN_CHANGE, RESTART */
    str restart_id;                /* RESTART: an agent restarts once per id */
    str postmaster;                /* RESTART: only this start of PostgreSQL; empty: whichever runs */
    bool is_switchover, is_forced; /* BEGIN_CHANGE, and the next three */
    bool is_in_doubt;              /* see the record */
    int64_t term;                  /* the new one; 0: the record's and one */
    str old;                       /* whom it waits for; empty: the record's primary, or its old one */
    struct record_sync sync;       /* SET_SYNC */
};

#define PLAN_STEPS_MAX 64

struct plan {
    struct step steps[PLAN_STEPS_MAX];
    size_t count;
    int64_t look_again_ms; /* 0: only when something happens */
    const char *phase;     /* of status */
    str message;
};

void plan_make(struct arena *a, const struct cluster_view *v, struct plan *ret);
/* It begins or goes on with a change of primary, after which the view is one of the past. */
bool plan_changes_primary(const struct plan *p);

/* What a person asks for. */
struct change_wish {
    bool is_switchover, is_forced;
    str target, reason; /* may be empty */
};
/* May the primary change now? Fills *ret with the step, or answers with the reason (ERRC_CONFLICT: 409). */
int plan_admit_change(struct arena *a, const struct cluster_view *v, const struct change_wish *wish, struct step *ret,
                      struct error *err) MUST_USE;

/* ---- parts, for tests --------------------------------------------------------------------------------------- */

/* Who is asked to confirm commits, and how many: the names and number the primary should have now (rule 25's W). */
struct record_sync plan_wanted_sync(struct arena *a, const struct cluster_view *v);
/* 'ANY 1 ("pg-2","pg-3")', or empty. */
str plan_sync_names(struct arena *a, const struct record_sync *s);

/* What a member answered to prepare. */
struct candidate {
    str name;
    bool answered;
    struct agent_report report;
};
/*
 * Rules 23–25: the usable promised member with the greatest (wal term, flushed LSN), preferring `target` when it has
 * everything that the best one has. ERRC_UNAVAILABLE with the reason when none may be chosen; `is_forced` skips
 * rule 25.
 */
int plan_choose(struct arena *a, const struct record *r, const struct candidate *candidates, size_t count,
                size_t *ret_chosen, struct error *err) MUST_USE;

#endif
