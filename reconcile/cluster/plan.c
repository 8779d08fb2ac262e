/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decisions of a pass, in the order in which they matter: first the primary (nothing else helps without one), then
 * instances that should run, configuration, synchronous sets, restarts, and at last fewer instances.
 */
#include "plan_internal.h"

#include "base/clock.h"
#include "base/strbuf.h"

#define LAUNCH_AGAIN_MS 3000 /* a launched agent connects within this time, or is launched again */
#define LOST_GRACE_MS 150    /* a stream that reconnects at once is no reason to look at processes */
#define RESTART_WAIT_MS 6000 /* a crashed primary that restarts in place has so long before it is replaced */
#define CRASHES_TOLERATED 2  /* in a minute; then it is replaced instead of restarted */

struct step *plan__add(struct plan *p, enum step_kind kind, str instance)
{
    if (p->count == PLAN_STEPS_MAX)
        return NULL;
    struct step *s = &p->steps[p->count++];
    *s = (struct step) { .kind = kind, .instance = instance };
    return s;
}

void plan__look_again(struct plan *p, int64_t ms)
{
    if (p->look_again_ms == 0 || ms < p->look_again_ms)
        p->look_again_ms = ms > 0 ? ms : 1;
}

void plan__say(struct plan *p, const char *phase, str message)
{
    if (p->phase)
        return; /* the first one is the most important one */
    p->phase = phase;
    p->message = message;
}

bool plan__is_phase(const struct instance_view *i, enum agent_phase phase)
{
    return i->link.has_status && str_eq_z(i->link.status.phase, agent_phase_name(phase));
}

int64_t plan__ms_since(const struct cluster_view *v, int64_t then_ns)
{
    return then_ns ? (v->now_ns - then_ns) / NS_PER_MS : INT64_MAX;
}

/* ---- agents run ---------------------------------------------------------------------------------------------- */

static void plan_launches(const struct cluster_view *v, struct plan *p)
{
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (i->link.is_connected || i->in->is_removing)
            continue;
        int64_t lost_ms = plan__ms_since(v, i->link.lost_ns), launched_ms = plan__ms_since(v, i->launched_ns);
        if (i->link.lost_ns && lost_ms < LOST_GRACE_MS)
            plan__look_again(p, LOST_GRACE_MS - lost_ms);
        else if (launched_ms < LAUNCH_AGAIN_MS)
            plan__look_again(p, LAUNCH_AGAIN_MS - launched_ms);
        else
            plan__add(p, STEP_LAUNCH, i->in->name);
    }
}

/* What keeps an agent from running is what people need to read first. */
static void say_launch_errors(const struct cluster_view *v, struct plan *p)
{
    for (size_t k = 0; k < v->instance_count; k++)
        if (!v->instances[k].link.is_connected && v->instances[k].launch_error.len)
            plan__say(p, v->record.is_initialized ? "Degraded" : "Creating", v->instances[k].launch_error);
}

static void plan_count(const struct cluster_view *v, struct plan *p)
{
    size_t staying = 0;
    for (size_t k = 0; k < v->instance_count; k++)
        staying += !v->instances[k].in->is_removing;
    for (; staying < (size_t)v->spec.instances; staying++)
        plan__add(p, STEP_ADD_INSTANCE, S(""));
}

/* ---- the primary --------------------------------------------------------------------------------------------- */

static bool has_candidate(const struct cluster_view *v)
{
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (!str_eq(i->in->name, v->record.primary) && record_has_member(&v->record, i->in->name) &&
            i->link.is_connected && i->link.has_status && i->link.status.usable && i->link.status.postgres_running)
            return true;
    }
    return false;
}

/* Its agent is heard: the old primary can be stopped by its own word, so replacing it needs no further proof. */
static str why_replace_heard(const struct cluster_view *v, const struct instance_view *primary, int64_t *ret_wait_ms)
{
    if (plan__is_phase(primary, AGENT_FAILED))
        return S("the primary cannot go on");
    if (plan__is_phase(primary, AGENT_CRASHED) && primary->crashes > CRASHES_TOLERATED)
        return S("the primary crashes again and again");
    int64_t down_ms = v->down_ns ? plan__ms_since(v, v->down_ns) : 0;
    if (v->down_ns && down_ms >= RESTART_WAIT_MS)
        return S("the primary does not come back in time");
    if (v->down_ns)
        *ret_wait_ms = RESTART_WAIT_MS - down_ms;
    return S("");
}

/* Why the primary should be replaced now; empty: it should not (yet). *ret_wait_ms: look again then. */
static str why_replace(const struct cluster_view *v, const struct instance_view *primary, int64_t *ret_wait_ms)
{
    *ret_wait_ms = 0;
    if (primary->link.is_connected)
        return why_replace_heard(v, primary, ret_wait_ms);
    if (primary->platform != PLATFORM_DEAD)
        return S(""); /* silence proves nothing (44) */
    int64_t lost_ms = plan__ms_since(v, primary->link.lost_ns ? primary->link.lost_ns : v->down_ns);
    if (lost_ms < RESTART_WAIT_MS) {
        *ret_wait_ms = RESTART_WAIT_MS - lost_ms;
        return S("");
    }
    return S("the primary is dead and does not come back");
}

/* True when the rest of the pass must wait for the primary. */
static bool plan_primary(struct arena *a, const struct cluster_view *v, struct plan *p)
{
    if (v->record.primary.len == 0) {
        plan__say(p, v->record.is_switchover ? "SwitchingOver" : "FailingOver", v->record.reason);
        plan__add(p, STEP_CONTINUE_CHANGE, S(""));
        return true;
    }
    const struct instance_view *primary = view_primary(v);
    if (!primary || view_is_serving_primary(v, primary))
        return false;

    int64_t wait_ms;
    str why = why_replace(v, primary, &wait_ms);
    if (wait_ms)
        plan__look_again(p, wait_ms);
    if (why.len && has_candidate(v) && v->record.is_initialized) {
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
    if (!v->record.is_initialized) {
        plan__say(p, "Creating", arena_printf(a, "instance %.*s is being initialised", STR_ARG(primary->in->name)));
        return false;
    }
    if (!primary->link.is_connected && primary->platform != PLATFORM_DEAD) {
        plan__say(
            p, "WaitingForPrimary",
            arena_printf(a, "the agent of primary %.*s is silent, and nothing proves that its PostgreSQL is dead: %.*s",
                         STR_ARG(primary->in->name), STR_ARG(primary->link.last_error)));
        return false;
    }
    plan__say(p, "WaitingForPrimary",
              arena_printf(a, "primary %.*s is not serving: %.*s", STR_ARG(primary->in->name),
                           STR_ARG(primary->link.has_status ? primary->link.status.message : S("starting"))));
    /* Chosen, but its promotion was not begun or was forgotten by a restart: the word is repeated (16). */
    if (primary->link.is_connected && primary->link.has_status &&
        !(str_eq(primary->link.status.granted_to, primary->in->name) && primary->link.status.term == v->record.term))
        plan__add(p, STEP_PROMOTE, primary->in->name);
    return false;
}

/* ---- members and synchronous sets ---------------------------------------------------------------------------- */

static void plan_members(const struct cluster_view *v, struct plan *p)
{
    const struct instance_view *primary = view_primary(v);
    if (!primary || !view_is_serving_primary(v, primary))
        return; /* rule 41 */
    if (!v->record.is_initialized && primary->link.status.system_identifier.len)
        plan__add(p, STEP_SET_INITIALIZED, primary->in->name);
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (!i->in->is_removing && view_is_streaming_standby(v, i) && !record_has_member(&v->record, i->in->name))
            plan__add(p, STEP_ADMIT_MEMBER, i->in->name);
    }
}

struct record_sync plan_wanted_sync(struct arena *a, const struct cluster_view *v)
{
    struct record_sync s = { .term = v->record.term, .primary = v->record.primary };
    if (v->spec.sync_number == 0)
        return s;
    str *set = arena_array_of(a, str, v->record.member_count);
    int64_t streaming = 0;
    for (size_t k = 0; k < v->record.member_count; k++) {
        str name = v->record.members[k];
        const struct instance_view *i = view_instance(v, name);
        if (str_eq(name, v->record.primary) || !i || i->in->is_removing)
            continue;
        bool streams = view_is_streaming_standby(v, i);
        streaming += streams;
        if (v->spec.is_sync_required || streams)
            set[s.set_count++] = name;
    }
    s.set = set;
    s.wait = v->spec.sync_number;
    if (!v->spec.is_sync_required && streaming < s.wait)
        s.wait = streaming; /* preferred: never waits for somebody who is not there */
    return s;
}

str plan_sync_names(struct arena *a, const struct record_sync *s)
{
    if (s->wait == 0)
        return S("");
    STRBUF_AUTO b = STRBUF_INIT(64 << 10);
    strbuf_addf(&b, "ANY %lld (", (long long)s->wait);
    for (size_t i = 0; i < s->set_count; i++)
        strbuf_addf(&b, "%s\"%.*s\"", i ? "," : "", STR_ARG(s->set[i]));
    /* `required` with too few members: a name that nobody has keeps commits waiting instead of letting them through. */
    for (int64_t i = (int64_t)s->set_count; i < s->wait; i++)
        strbuf_addf(&b, "%s\"missing %lld\"", i ? "," : "", (long long)i);
    strbuf_add(&b, S(")"));
    return strbuf_to_arena(&b, a);
}

static bool sync_has(const struct record_sync *s, str name)
{
    for (size_t i = 0; i < s->set_count; i++)
        if (str_eq(s->set[i], name))
            return true;
    return false;
}

/* All of x is in y. */
static bool is_subset(const struct record_sync *x, const struct record_sync *y)
{
    for (size_t i = 0; i < x->set_count; i++)
        if (!sync_has(y, x->set[i]))
            return false;
    return true;
}

static bool same_sync(const struct record_sync *x, const struct record_sync *y)
{
    return x->term == y->term && x->wait == y->wait && x->set_count == y->set_count && str_eq(x->primary, y->primary) &&
           is_subset(x, y);
}

/* The names of both, as a set of x. */
static void add_names(struct arena *a, struct record_sync *x, const struct record_sync *y)
{
    str *set = arena_array_of(a, str, x->set_count + y->set_count);
    size_t n = 0;
    for (size_t i = 0; i < x->set_count; i++)
        set[n++] = x->set[i];
    for (size_t i = 0; i < y->set_count; i++)
        if (!sync_has(x, y->set[i]))
            set[n++] = y->set[i];
    x->set = set;
    x->set_count = n;
}

/*
 * The next one on the way from `now` to `wanted`. While WAL senders change over, one may count by the old number over
 * names of the new set: a commit that such a mixture lets through must be covered by one of both entries. So one thing
 * at a time (26): names come, then the number changes, then names go.
 */
static struct record_sync next_sync(struct arena *a, const struct record_sync *now, const struct record_sync *wanted)
{
    if (now->wait == 0 || wanted->wait == 0 || now->term != wanted->term)
        return *wanted;
    struct record_sync next = *now;
    if (!is_subset(wanted, now))
        add_names(a, &next, wanted);
    else if (now->wait != wanted->wait)
        next.wait = wanted->wait;
    else
        next = *wanted;
    return next;
}

/*
 * The number falls while an earlier change is not confirmed yet (and may never be, since the standbys that should are
 * gone): allowed when the entry covers whatever the ones before let through. False: wait.
 */
static bool relief_sync(struct arena *a, const struct record *r, const struct record_sync *wanted,
                        struct record_sync *ret)
{
    *ret = *wanted;
    if (wanted->wait == 0)
        return r->sync[r->sync_count - 1].wait > 0;
    for (size_t i = 0; i < r->sync_count; i++) {
        if (r->sync[i].term != wanted->term)
            continue;
        if (r->sync[i].wait <= wanted->wait)
            return false;
        add_names(a, ret, &r->sync[i]);
    }
    return true;
}

/* Whether W of the newest set flushed everything that the primary had written when it reported the new names. */
static bool newest_set_confirmed(const struct cluster_view *v, const struct instance_view *primary)
{
    const struct record_sync *s = &v->record.sync[v->record.sync_count - 1];
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str names = plan_sync_names(a, s);
    if (!primary->has_sent || !primary->is_configured || !str_eq(primary->sent_sync_names, names))
        return false;
    uint64_t position;
    if (!lsn_parse(primary->link.status.flush_lsn, &position))
        return false;
    int64_t confirmed = 0;
    const struct json *rows = primary->link.status.replication;
    for (size_t i = 0; i < json_count(rows); i++) {
        const struct json *row = json_item(rows, i);
        uint64_t flushed;
        if (!lsn_parse(json_str_at(row, "flush_lsn"), &flushed) || flushed < position)
            continue;
        for (size_t k = 0; k < s->set_count; k++)
            confirmed += str_eq(json_str_at(row, "name"), s->set[k]);
    }
    return confirmed >= s->wait;
}

static void plan_sync(struct arena *a, const struct cluster_view *v, struct plan *p)
{
    const struct instance_view *primary = view_primary(v);
    if (!primary || !view_is_serving_primary(v, primary))
        return;
    const struct record *r = &v->record;
    struct record_sync wanted = plan_wanted_sync(a, v), next = wanted;
    const struct record_sync *newest = r->sync_count ? &r->sync[r->sync_count - 1] : NULL;
    bool is_new = newest ? !same_sync(newest, &wanted) : wanted.wait > 0;
    if (r->sync_count > 1 && newest_set_confirmed(v, primary)) {
        plan__add(p, STEP_FORGET_SYNC, S(""));
        return;
    }
    /* One change at a time: the one before must be confirmed first. A record without entries has nothing to wait for.
     */
    if (r->sync_count == 1)
        next = next_sync(a, newest, &wanted);
    if (is_new && (r->sync_count < 2 || relief_sync(a, r, &wanted, &next))) {
        struct step *s = plan__add(p, STEP_SET_SYNC, S(""));
        if (s)
            s->sync = next;
    } else if (r->sync_count > 1) {
        plan__look_again(p, 500);
    }
}

/* ---- fewer instances ----------------------------------------------------------------------------------------- */

/* A set that has not been replaced for good still counts on it (26). */
static bool is_in_old_sync(const struct record *r, str name)
{
    for (size_t i = 0; i < r->sync_count; i++)
        for (size_t k = 0; k < r->sync[i].set_count; k++)
            if (r->sync[i].wait > 0 && str_eq(r->sync[i].set[k], name))
                return true;
    return false;
}

/* Whether x is to go rather than y: one that is of no use, else the youngest. */
static bool goes_first(const struct cluster_view *v, const struct instance_view *x, const struct instance_view *y)
{
    if (!y)
        return true;
    bool x_ready = view_is_ready(v, x), y_ready = view_is_ready(v, y);
    return x_ready == y_ready ? x->in->serial > y->in->serial : y_ready;
}

static void plan_removals(const struct cluster_view *v, struct plan *p)
{
    size_t staying = 0;
    const struct instance_view *last = NULL;
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (i->in->is_removing) {
            if (!is_in_old_sync(&v->record, i->in->name))
                plan__add(p, STEP_REMOVE, i->in->name);
            continue;
        }
        staying++;
        /* The primary stays where it is: any standby can go. */
        if (!str_eq(i->in->name, v->record.primary) && goes_first(v, i, last))
            last = i;
    }
    const struct instance_view *primary = view_primary(v);
    if (staying > (size_t)v->spec.instances && last && primary && view_is_serving_primary(v, primary)) {
        plan__add(p, STEP_MARK_REMOVING, last->in->name);
        plan__say(p, "Scaling", S("an instance is being removed"));
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

/* "pg-2: copying, 120 of 480 MiB" */
static str what_it_does(struct arena *a, const struct instance_view *i)
{
    const struct agent_status *s = &i->link.status;
    if (!i->link.is_connected || !i->link.has_status)
        return arena_printf(a, "%.*s: not reached", STR_ARG(i->in->name));
    str more = s->progress.len ? s->progress : s->message;
    return arena_printf(a, "%.*s: %.*s%s%.*s", STR_ARG(i->in->name), STR_ARG(s->phase), more.len ? ", " : "",
                        STR_ARG(more));
}

static void say_state(struct arena *a, const struct cluster_view *v, struct plan *p)
{
    size_t ready = 0, staying = 0;
    bool is_growing = false;
    str waiting = S("");
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (i->in->is_removing)
            continue;
        staying++;
        if (view_is_ready(v, i)) {
            ready++;
            continue;
        }
        is_growing |= plan__is_phase(i, AGENT_COPYING) || !record_has_member(&v->record, i->in->name);
        if (waiting.len == 0)
            waiting = what_it_does(a, i);
    }
    if (staying < v->instance_count)
        plan__say(p, "Scaling", S("an instance is being removed"));
    if (staying < (size_t)v->spec.instances)
        plan__say(p, "Scaling", S("an instance is being added"));
    if (ready == (size_t)v->spec.instances && staying == ready)
        plan__say(p, "Running", arena_printf(a, "%zu of %zu instances are ready", ready, ready));
    else if (is_growing)
        plan__say(p, "Scaling", waiting);
    else
        plan__say(p, "Degraded", waiting);
}

void plan_make(struct arena *a, const struct cluster_view *v, struct plan *p)
{
    memset(p, 0, sizeof(*p));
    if (v->spec.is_paused) {
        plan__say(p, "Paused", S("spec.paused is true: nothing is changed, and no failover happens"));
        return;
    }
    if (!v->has_record) {
        plan__say(p, "Creating", S("the cluster is being set up"));
        plan__add(p, STEP_CREATE_RECORD, S(""));
        return;
    }
    plan_launches(v, p);
    if (v->record.primary.len)
        say_launch_errors(v, p);
    if (plan_primary(a, v, p))
        return;
    plan_count(v, p);
    plan_members(v, p);
    plan_sync(a, v, p);
    plan__add(p, STEP_CONFIGURE, S(""));
    plan__restarts(a, v, p);
    plan_removals(v, p);
    say_state(a, v, p);
}

/* ---- asked for ----------------------------------------------------------------------------------------------- */

static int check_target(const struct cluster_view *v, str target, bool needs_streaming, struct error *err)
{
    const struct instance_view *t = view_instance(v, target);
    if (!t || !record_has_member(&v->record, target))
        return error_set(err, ERRC_CONFLICT, "target \"%.*s\" is no member of the cluster", STR_ARG(target));
    if (str_eq(target, v->record.primary))
        return error_set(err, ERRC_CONFLICT, "target \"%.*s\" is the primary already", STR_ARG(target));
    if (t->in->is_removing)
        return error_set(err, ERRC_CONFLICT, "target \"%.*s\" is being removed", STR_ARG(target));
    if (needs_streaming && !view_is_streaming_standby(v, t))
        return error_set(err, ERRC_CONFLICT, "target \"%.*s\" does not stream from the primary: %.*s", STR_ARG(target),
                         STR_ARG(t->link.has_status ? t->link.status.message : S("its agent is not reached")));
    return 0;
}

/* The state of the cluster in which no change can begin. */
static int check_state(const struct cluster_view *v, struct error *err)
{
    if (v->spec.is_paused)
        return error_set(err, ERRC_CONFLICT, "the cluster is paused: set spec.paused to false first");
    if (!v->has_record || !v->record.is_initialized)
        return error_set(err, ERRC_CONFLICT, "the cluster is still being created");
    return 0;
}

/* A healthy primary hands over whatever the verb: nothing is lost. A dead one needs proof, or force (44). */
static int check_old(const struct cluster_view *v, const struct instance_view *primary, bool is_switchover, bool force,
                     struct error *err)
{
    if (is_switchover)
        return error_set(err, ERRC_CONFLICT,
                         "the primary \"%.*s\" is not serving, so a switchover could lose commits: POST to /failover",
                         STR_ARG(v->record.primary));
    bool can_answer = primary && primary->link.is_connected && primary->link.has_status;
    if (can_answer || force || (primary && primary->platform == PLATFORM_DEAD))
        return 0;
    return error_set(err, ERRC_CONFLICT,
                     "primary \"%.*s\" does not answer, and nothing proves that it is dead: two primaries could exist. "
                     "Stop it for sure and repeat with force: true",
                     STR_ARG(v->record.primary));
}

static bool any_can_take_over(const struct cluster_view *v, bool is_healthy)
{
    if (!is_healthy)
        return has_candidate(v);
    for (size_t k = 0; k < v->instance_count; k++)
        if (view_is_streaming_standby(v, &v->instances[k]) && record_has_member(&v->record, v->instances[k].in->name))
            return true;
    return false;
}

int plan_admit_change(struct arena *a, const struct cluster_view *v, const struct change_wish *wish, struct step *ret,
                      struct error *err)
{
    int r = check_state(v, err);
    if (r < 0)
        return r;
    /* One that is under way and waits for a proof can be forced, nothing else. */
    bool is_under_way = v->record.primary.len == 0;
    if (is_under_way && (wish->is_switchover || !wish->is_forced))
        return error_set(err, ERRC_CONFLICT, "a change of primary is under way (term %lld): wait until it is done",
                         (long long)v->record.term);
    const struct instance_view *primary = view_primary(v);
    bool is_healthy = primary && view_is_serving_primary(v, primary);
    if (!is_healthy && !is_under_way)
        r = check_old(v, primary, wish->is_switchover, wish->is_forced, err);
    if (r == 0 && !any_can_take_over(v, is_healthy))
        r = error_set(err, ERRC_CONFLICT, "no standby can take over%s",
                      is_healthy ? ": none streams from the primary" : "");
    if (r == 0 && wish->target.len)
        r = check_target(v, wish->target, is_healthy && !wish->is_forced, err);
    if (r < 0)
        return r;
    str verb = wish->is_switchover ? S("switchover was asked for") : S("failover was asked for");
    *ret = (struct step) { .kind = STEP_BEGIN_CHANGE,
                           .instance = arena_str(a, wish->target),
                           .reason = wish->reason.len ? arena_str(a, wish->reason) : verb,
                           .is_switchover = is_healthy,
                           .is_forced = wish->is_forced };
    return 0;
}
