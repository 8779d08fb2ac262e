/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The term record of a cluster: the one thing that says who is primary. An internal object of the store, keyed by the
 * cluster's UID and changed only by compare-and-swap (its resourceVersion); status mirrors it, no user can write it.
 * The numbers in brackets are rules of the failover protocol (test/model/README.md).
 */
#ifndef RECONCILE_CLUSTER_RECORD_H
#define RECONCILE_CLUSTER_RECORD_H

#include "base/error.h"
#include "pki/pki.h"
#include "reconcile/platform.h"
#include "json/json.h"

#define RECORD_LOSS_UNKNOWN (-1)
#define RECORD_MODE_LEADER "leader" /* the only source of a primary's right to write (rule 22) */

struct record_instance {
    str name;
    int64_t serial; /* never used again */
    struct placement at;
    bool is_removing; /* it is to go: see record_is_leaving */
};

/* Who had to confirm a commit in `term`: at least `wait` of `set` (rule 25). */
struct record_sync {
    int64_t term;
    str primary;
    const str *set;
    size_t set_count;
    int64_t wait;
};

struct record {
    str uid, namespace_, cluster;
    str resource_version; /* of the object that was read; empty: not yet written */

    int64_t term;
    str primary; /* empty: a change is under way (14) */
    str old;     /* whom a change waits for (15) */
    const str *members;
    size_t member_count;
    int64_t version; /* of members (40) */
    int64_t tli;     /* greatest timeline given to a term (27) */
    str mode;
    const struct record_sync *sync;
    size_t sync_count;

    /* The change under way; is_switchover: or the newest. */
    bool is_switchover, is_forced;
    bool is_in_doubt; /* the store went back, and nobody was heard who says that he was primary since (49) */
    str target, reason;

    const struct record_instance *instances;
    size_t instance_count;
    int64_t next_serial;
    bool is_initialized; /* the first initdb is done: never again (an empty folder is copied, not initialised) */
    str system_identifier;
    int64_t postgres_major;

    str restart_id;         /* newest POST …/restart; empty: none */
    str restart_instance;   /* only this one; empty: all */
    int64_t restart_serial; /* only instances with a lower serial: those that were there when it was asked for */

    /* The newest finished decision, for status. */
    str last_from, last_to, last_reason, last_at;
    int64_t last_term, last_lost_bytes;

    /* What agents and clients trust. Here, so that a Secret which people delete or change can be put right again, also
     * when it happened while no server ran. Never shown or logged. */
    struct pki_pair ca;
    str app_password;
};

/* last_lost_bytes for people, and as a number: NULL when it is not known. */
str record_loss_text(struct arena *a, const struct record *r);
const struct json *record_loss_json(struct arena *a, const struct record *r);

const struct json *record_to_json(struct arena *a, const struct record *r);
int record_from_json(struct arena *a, const struct json *object, struct record *ret, struct error *err) MUST_USE;

const struct record_instance *record_instance_of(const struct record *r, str name);
bool record_has_member(const struct record *r, str name);
/* Some entry of `sync` counts on it: as one of its set, or as the primary under which it was made (25). */
bool record_sync_names(const struct record *r, str name);
/* It is to go, and nothing counts on it any more: it may be stopped. Until then it takes part in everything (40–43). */
bool record_is_leaving(const struct record *r, const struct record_instance *in);

/* Copies with one change, in the arena; everything else is shared. */
void record_add_instance(struct arena *a, struct record *r, struct record_instance instance);
void record_remove_instance(struct arena *a, struct record *r, str name);
void record_set_removing(struct arena *a, struct record *r, str name, bool is_removing);
/* Both raise version. */
void record_add_member(struct arena *a, struct record *r, str name);
void record_remove_member(struct arena *a, struct record *r, str name);
/*
 * Becomes the newest. An older one that asks the same (of whatever term) goes: changes in a row add no end of them. The
 * first one of all comes behind one that asks nobody, since what was acknowledged before may be nowhere else: that goes
 * when the set has confirmed that it has it all (26).
 */
void record_push_sync(struct arena *a, struct record *r, struct record_sync entry);
/* Keeps only the newest entry (26). */
void record_forget_old_sync(struct arena *a, struct record *r);

#endif
