/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primary: whether it is left alone, waited for, told again that it is the primary, or replaced; and what happens
 * when the record is older than what the agents promised. Who takes over is choose.c's. Numbers in brackets are rules
 * of the failover protocol.
 */
#include "plan_internal.h"

#define RESTART_WAIT_MS 6000 /* a crashed primary that restarts in place has so long before it is replaced */
/* … and so long where the standbys have everything: they need half a second, and writes are to go on within 2 s. */
#define CRASH_WAIT_MS 1000
#define CRASHES_TOLERATED 2 /* in a minute; then it is replaced instead of restarted, if that loses nothing */
#define STARTS_TOLERATED 2  /* in a row, in which it dies before it serves */
#define RESTART_MUCH_BYTES (INT64_C(64) << 20) /* to replay it takes longer than a standby needs to take over */
#define REPLAY_LITTLE_BYTES (UINT64_C(16) << 20)

bool plan__has_candidate(const struct cluster_view *v)
{
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (!str_eq(i->in->name, v->record.primary) && record_has_member(&v->record, i->in->name) &&
            i->link.is_connected && i->link.has_status && i->link.status.usable && i->link.status.postgres_running)
            return true;
    }
    return false;
}

/* Every acknowledged commit is on a standby that can be chosen, or nobody is chosen (25). */
static bool is_synchronous(const struct record *r)
{
    for (size_t i = 0; i < r->sync_count; i++)
        if (r->sync[i].wait == 0)
            return false;
    return r->sync_count > 0 && r->sync[r->sync_count - 1].term == r->term;
}

/* As far as is known before it is asked: it answers, and has replayed all but little, so that it takes over at once. */
static bool is_caught_up(const struct cluster_view *v, const struct instance_view *i)
{
    const struct agent_status *s = &i->link.status;
    uint64_t has, replayed;
    return i->link.is_connected && i->link.has_status && record_has_member(&v->record, i->in->name) && s->usable &&
           s->postgres_running && s->in_recovery && s->term == v->record.term && lsn_parse(s->flush_lsn, &has) &&
           lsn_parse(s->replay_lsn, &replayed) && has <= replayed + REPLAY_LITTLE_BYTES;
}

/* The standbys alone can give a primary that has everything (25), and soon: a change of primary waits for nobody. */
static bool is_taken_over_soon(const struct cluster_view *v)
{
    const struct record *r = &v->record;
    for (size_t n = 0; n < r->sync_count; n++) {
        const struct record_sync *s = &r->sync[n];
        int64_t have = 0;
        for (size_t k = 0; k < v->instance_count; k++) {
            const struct instance_view *i = &v->instances[k];
            bool counts = str_eq(i->in->name, s->primary);
            for (size_t m = 0; m < s->set_count; m++)
                counts |= str_eq(i->in->name, s->set[m]);
            have += counts && !str_eq(i->in->name, r->primary) && is_caught_up(v, i);
        }
        if (have < (int64_t)s->set_count + 1 - s->wait)
            return false;
    }
    return is_synchronous(r);
}

/* It crashed, and its agent is heard. Asynchronous, it has what nobody else has: as long as it may come back, it is
 * waited for. Synchronous, whoever is faster goes on. */
static str why_replace_crashed(struct arena *a, const struct cluster_view *v, const struct instance_view *primary,
                               int64_t *ret_wait_ms)
{
    int64_t down_ms = plan__ms_since(v, v->down_ns);
    if (primary->link.status.failed_starts > STARTS_TOLERATED)
        return S("the primary dies whenever it is started");
    if (is_taken_over_soon(v)) {
        if (plan__is_phase(primary, AGENT_CRASHED) && primary->crashes > CRASHES_TOLERATED)
            return S("the primary crashes again and again");
        if (primary->link.status.recovery_bytes >= RESTART_MUCH_BYTES)
            return arena_printf(a, "the primary crashed, and a restart would replay %lld MiB of WAL first",
                                (long long)primary->link.status.recovery_bytes >> 20);
        if (down_ms >= CRASH_WAIT_MS)
            return S("the primary crashed, and a standby takes over sooner than it comes back");
        *ret_wait_ms = CRASH_WAIT_MS - down_ms;
    }
    return S("");
}

/* Its agent is heard: the old primary can be stopped by its own word, so replacing it needs no further proof. */
static str why_replace_heard(struct arena *a, const struct cluster_view *v, const struct instance_view *primary,
                             int64_t *ret_wait_ms)
{
    if (plan__is_phase(primary, AGENT_FAILED))
        return arena_printf(a, "the primary cannot go on: %.*s", STR_ARG(primary->link.status.message));
    if (!v->down_ns)
        return S("");
    int64_t down_ms = plan__ms_since(v, v->down_ns);
    if (down_ms >= RESTART_WAIT_MS)
        return S("the primary does not come back in time");
    *ret_wait_ms = RESTART_WAIT_MS - down_ms;
    /* Not one that was told to restart, and takes its time. */
    return primary->crash_ns >= v->down_ns ? why_replace_crashed(a, v, primary, ret_wait_ms) : S("");
}

/* Why the primary should be replaced now; empty: it should not (yet). *ret_wait_ms: look again then. */
static str why_replace(struct arena *a, const struct cluster_view *v, const struct instance_view *primary,
                       int64_t *ret_wait_ms)
{
    *ret_wait_ms = 0;
    if (primary->link.is_connected)
        return why_replace_heard(a, v, primary, ret_wait_ms);
    if (primary->platform != PLATFORM_DEAD)
        return S(""); /* silence proves nothing (44) */
    int64_t lost_ms = plan__ms_since(v, primary->link.lost_ns ? primary->link.lost_ns : v->down_ns);
    if (lost_ms < RESTART_WAIT_MS) {
        *ret_wait_ms = RESTART_WAIT_MS - lost_ms;
        return S("");
    }
    return S("the primary is dead and does not come back");
}

/* ---- rule 49: the store went back ------------------------------------------------------------------------------ */

static bool is_heard(const struct instance_view *i)
{
    return i->link.is_connected && i->link.has_status;
}

/* The highest term that anybody promised. */
static int64_t highest_term(const struct cluster_view *v, const struct instance_view **ret_who)
{
    int64_t highest = 0;
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (is_heard(i) && i->link.status.term > highest) {
            highest = i->link.status.term;
            *ret_who = i;
        }
    }
    return highest;
}

/* Who says that he is the primary of that term: one at most (S3). */
static const struct instance_view *granted_in(const struct cluster_view *v, int64_t term)
{
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (is_heard(i) && i->link.status.term == term && str_eq(i->link.status.granted_to, i->in->name))
            return i;
    }
    return NULL;
}

/* The record is older than what agents promised: it can command nobody. Whoever is primary by now hands over to itself
 * in a new term, which loses nothing. If nobody says that he is, one who is not reached may be: see is_in_doubt. */
static void raise_term(const struct cluster_view *v, struct plan *p, int64_t known, str reason)
{
    const struct instance_view *primary = granted_in(v, known);
    struct step *s = plan__add(p, STEP_BEGIN_CHANGE, primary ? primary->in->name : S(""));
    plan__say(p, "FailingOver", reason);
    if (!s)
        return;
    s->term = known + 1;
    s->reason = reason;
    s->old = s->instance;
    s->is_switchover = primary != NULL;
    s->is_in_doubt = primary == NULL;
}

/* True: the pass ends with it. */
static bool plan_term(struct arena *a, const struct cluster_view *v, struct plan *p)
{
    const struct record *r = &v->record;
    const struct instance_view *who = NULL;
    int64_t known = highest_term(v, &who);
    if (known > r->term) {
        raise_term(
            v, p, known,
            arena_printf(a, "%.*s has promised term %lld, the record says %lld: the store is older than the cluster",
                         STR_ARG(who->in->name), (long long)known, (long long)r->term));
        return true;
    }
    /* A promotion follows the record: who was promoted in a term in which the record has nobody, or another one, was so
     * by a record that is no more. */
    who = granted_in(v, r->term);
    if (who && !str_eq(who->in->name, r->primary)) {
        raise_term(v, p, r->term,
                   arena_printf(a,
                                "%.*s was made primary of term %lld, the record does not know it: the store is older "
                                "than the cluster",
                                STR_ARG(who->in->name), (long long)r->term));
        return true;
    }
    /* Raised already, in doubt who was primary: he came back. */
    who = r->is_in_doubt ? granted_in(v, r->term - 1) : NULL;
    if (who) {
        struct step *s = plan__add(p, STEP_BEGIN_CHANGE, who->in->name);
        plan__say(p, "FailingOver", r->reason);
        if (s) {
            s->reason = r->reason;
            s->old = s->instance;
            s->is_switchover = true;
        }
    }
    return who != NULL;
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

/* It is to come back, or to begin: says what is missing, and tells it again that it is the primary. */
static void wait_for(struct arena *a, const struct cluster_view *v, const struct instance_view *primary, struct plan *p)
{
    if (!v->record.is_initialized) {
        plan__say(p, "Creating", arena_printf(a, "instance %.*s is being initialised", STR_ARG(primary->in->name)));
        return;
    }
    if (!primary->link.is_connected && primary->platform != PLATFORM_DEAD) {
        plan__say(
            p, "WaitingForPrimary",
            arena_printf(a, "the agent of primary %.*s is silent, and nothing proves that its PostgreSQL is dead: %.*s",
                         STR_ARG(primary->in->name), STR_ARG(primary->link.last_error)));
        return;
    }
    if (v->is_changing)
        plan__say(p, v->record.is_switchover ? "SwitchingOver" : "FailingOver",
                  arena_printf(a, "%.*s is being promoted: %.*s", STR_ARG(primary->in->name),
                               STR_ARG(v->record.last_reason)));
    plan__say(p, "WaitingForPrimary",
              arena_printf(a, "primary %.*s is not serving: %.*s", STR_ARG(primary->in->name),
                           STR_ARG(primary->link.has_status ? primary->link.status.message : S("starting"))));
    /* Chosen, but its promotion was not begun or was forgotten by a restart: the word is repeated (16). */
    if (primary->link.is_connected && primary->link.has_status &&
        !(str_eq(primary->link.status.granted_to, primary->in->name) && primary->link.status.term == v->record.term))
        plan__add(p, STEP_PROMOTE, primary->in->name);
}

bool plan__primary(struct arena *a, const struct cluster_view *v, struct plan *p)
{
    if (plan_term(a, v, p))
        return true;
    if (v->record.primary.len == 0) {
        plan__say(p, v->record.is_switchover ? "SwitchingOver" : "FailingOver", v->record.reason);
        plan__add(p, STEP_CONTINUE_CHANGE, S(""));
        return true;
    }
    const struct instance_view *primary = view_primary(v);
    if (!primary || view_is_serving_primary(v, primary))
        return false;

    int64_t wait_ms;
    str why = why_replace(a, v, primary, &wait_ms);
    if (wait_ms)
        plan__look_again(p, wait_ms);
    if (why.len && plan__has_candidate(v) && v->record.is_initialized) {
        if (v->spec.is_failover_automatic) {
            struct step *s = plan__add(p, STEP_BEGIN_CHANGE, S(""));
            if (s)
                s->reason = why;
            plan__say(p, "FailingOver", why);
            return true;
        }
        plan__say(
            p, "WaitingForPrimary",
            arena_printf(a, "%.*s; spec.failover.automatic is false: POST …/failover to replace it", STR_ARG(why)));
        return false;
    }
    wait_for(a, v, primary, p);
    return false;
}
