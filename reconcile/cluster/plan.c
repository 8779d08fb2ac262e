/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decisions of a pass, in the order in which they matter: first the primary (nothing else helps without one), then
 * instances that should run, configuration, synchronous sets, restarts, and at last fewer instances.
 */
#include "plan_internal.h"

#include "base/clock.h"

#define LAUNCH_AGAIN_MS 3000 /* a launched agent connects within this time, or is launched again */
#define LOST_GRACE_MS 150    /* a stream that reconnects at once is no reason to look at processes */

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
        if (i->link.is_connected || record_is_leaving(&v->record, i->in))
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

/* ---- members ------------------------------------------------------------------------------------------------- */

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

/* ---- fewer instances ----------------------------------------------------------------------------------------- */

static int use_of(const struct cluster_view *v, const struct instance_view *i)
{
    return view_is_ready(v, i) ? 2 : i->link.is_connected;
}

/* Whether x is to go rather than y: the one of less use (after a change of primary one that lives may not stream yet,
 * while one that is dead never will), else the youngest. */
static bool goes_first(const struct cluster_view *v, const struct instance_view *x, const struct instance_view *y)
{
    if (!y)
        return true;
    int x_use = use_of(v, x), y_use = use_of(v, y);
    return x_use == y_use ? x->in->serial > y->in->serial : x_use < y_use;
}

/*
 * An instance that is to go does so in steps: marked, it is out of the wanted synchronous set but takes part in
 * everything else; when no entry names it any more (26) it leaves the members, while a primary serves (41), which is
 * not it; then it is stopped and forgotten, and its slot with it. So a change of primary in between still asks it for
 * what only it has.
 */
static void plan_removal(const struct cluster_view *v, struct plan *p, const struct instance_view *i)
{
    const struct instance_view *primary = view_primary(v);
    if (record_is_leaving(&v->record, i->in))
        plan__add(p, STEP_REMOVE, i->in->name);
    else if (primary && primary != i && view_is_serving_primary(v, primary) &&
             !record_sync_names(&v->record, i->in->name))
        plan__add(p, STEP_DROP_MEMBER, i->in->name);
}

static void plan_removals(struct arena *a, const struct cluster_view *v, struct plan *p)
{
    size_t staying = 0;
    const struct instance_view *last = NULL;
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (i->in->is_removing) {
            plan_removal(v, p, i);
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
        plan__say(p, "Scaling", arena_printf(a, "%.*s is being removed", STR_ARG(last->in->name)));
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

/* "pg-2: copying, 120 of 480 MiB" */
static str what_it_does(struct arena *a, const struct instance_view *i)
{
    const struct agent_status *s = &i->link.status;
    if (!i->link.is_connected || !i->link.has_status)
        return arena_printf(a, "%.*s: not reached", STR_ARG(i->in->name));
    str trouble = view_trouble(s), more = trouble.len ? trouble : s->progress.len ? s->progress : s->message;
    if (str_has_prefix(more, s->phase)) /* "copying from pg-1" says it already */
        return arena_printf(a, "%.*s: %.*s", STR_ARG(i->in->name), STR_ARG(more));
    return arena_printf(a, "%.*s: %.*s%s%.*s", STR_ARG(i->in->name), STR_ARG(s->phase), more.len ? ", " : "",
                        STR_ARG(more));
}

static void say_state(struct arena *a, const struct cluster_view *v, struct plan *p)
{
    size_t ready = 0, staying = 0;
    bool is_growing = false;
    str waiting = S(""), leaving = S("");
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (i->in->is_removing) {
            leaving = i->in->name;
            continue;
        }
        staying++;
        if (view_is_ready(v, i)) {
            ready++;
            continue;
        }
        is_growing |= !record_has_member(&v->record, i->in->name);
        if (waiting.len == 0)
            waiting = what_it_does(a, i);
    }
    if (leaving.len)
        plan__say(p, "Scaling", arena_printf(a, "%.*s is being removed", STR_ARG(leaving)));
    if (staying < (size_t)v->spec.instances)
        plan__say(p, "Scaling", S("an instance is being added"));
    if (ready == (size_t)v->spec.instances && staying == ready)
        plan__say(
            p, "Running",
            arena_printf(a, "%zu of %zu instances are ready%.*s", ready, ready, STR_ARG(plan__parameters_note(a, v))));
    else if (is_growing)
        plan__say(p, "Scaling", waiting);
    else
        plan__say(p, "Degraded", waiting);
}

void plan_make(struct arena *a, const struct cluster_view *v, struct plan *p)
{
    memset(p, 0, sizeof(*p));
    if (v->spec.is_paused) {
        plan__say(p, "Paused",
                  v->is_changing
                      ? S("spec.paused is true: a change of primary that is under way waits, and there is no "
                          "primary until spec.paused is false")
                      : S("spec.paused is true: nothing is changed, and no failover happens"));
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
    if (plan__primary(a, v, p))
        return;
    plan_count(v, p);
    plan_members(v, p);
    plan__sync(a, v, p);
    plan__add(p, STEP_CONFIGURE, S(""));
    plan__restarts(a, v, p);
    plan_removals(a, v, p);
    say_state(a, v, p);
}

bool plan_changes_primary(const struct plan *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->steps[i].kind == STEP_BEGIN_CHANGE || p->steps[i].kind == STEP_CONTINUE_CHANGE)
            return true;
    return false;
}
