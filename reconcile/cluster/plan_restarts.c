/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which instance is restarted next, if any: because it was asked for, or because changed parameters need it. One at a
 * time, in an order in which no hot standby is left with less than its primary demands. What parameters need is decided
 * on facts alone: what each PostgreSQL has loaded, and what it says of that.
 */
#include "plan_internal.h"

#include "base/strbuf.h"

/* POST …/restart is about it, whether it is done or not. */
static bool is_asked_to_restart(const struct cluster_view *v, const struct instance_view *i)
{
    const struct record *r = &v->record;
    return r->restart_id.len && !i->in->is_removing && i->in->serial < r->restart_serial &&
           (r->restart_instance.len == 0 || str_eq(r->restart_instance, i->in->name));
}

/* Why it should be restarted. An asked restart applies changed parameters, too. */
enum wish { WISH_NONE, WISH_ASKED, WISH_PARAMETERS };

static enum wish wish_of(const struct cluster_view *v, const struct instance_view *i)
{
    const struct agent_status *s = &i->link.status;
    if (i->in->is_removing || !i->link.is_connected || !i->link.has_status)
        return WISH_NONE;
    if (is_asked_to_restart(v, i))
        return str_eq(v->record.restart_id, s->last_restart_id) ? WISH_NONE : WISH_ASKED;
    return s->pending_restart && s->postgres_running ? WISH_PARAMETERS : WISH_NONE;
}

/* Its PostgreSQL will be started anew anyway. */
static bool starts_anew(const struct instance_view *i)
{
    if (!i->link.is_connected)
        return i->platform != PLATFORM_LIVE;
    return plan__is_phase(i, AGENT_COPYING) || plan__is_phase(i, AGENT_REWINDING) ||
           plan__is_phase(i, AGENT_INITIALIZING);
}

static bool asked_restart_is_done(const struct cluster_view *v)
{
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        bool done = i->link.is_connected && str_eq(i->link.status.last_restart_id, v->record.restart_id);
        if (is_asked_to_restart(v, i) && !done && !starts_anew(i))
            return false;
    }
    return true;
}

/* A limit falls: a standby has nothing from a restart before its primary had one and it has replayed that. */
static bool waits_for_primary(const struct cluster_view *v, const struct instance_view *i,
                              const struct instance_view *primary)
{
    const struct agent_status *s = &i->link.status, *of_primary = &primary->link.status;
    if (s->restart_standbys_first)
        return false; /* another one rises: then it restarts twice */
    bool primary_falls =
        wish_of(v, primary) != WISH_NONE && of_primary->pending_restart && of_primary->restart_primary_first;
    return primary_falls || (s->restart_primary_first && wish_of(v, i) == WISH_PARAMETERS);
}

/* The next to restart: standbys before the primary, except those that wait for it. NULL: nobody. */
static const struct instance_view *next_restart(const struct cluster_view *v, const struct instance_view *primary)
{
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (i != primary && !starts_anew(i) && wish_of(v, i) != WISH_NONE && !waits_for_primary(v, i, primary))
            return i;
    }
    return wish_of(v, primary) != WISH_NONE ? primary : NULL;
}

/* Not while another one is down: a restart must not be the second outage. NULL: nobody is. */
static const struct instance_view *find_not_ready(const struct cluster_view *v, const struct instance_view *but)
{
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (i != but && record_has_member(&v->record, i->in->name) && !view_is_ready(v, i))
            return i;
    }
    return NULL;
}

/* One that runs and has not loaded the newest configuration yet: what it needs, and so who goes first, is not known.
 * One that does not run will start with it. */
static const struct instance_view *find_not_loaded(const struct cluster_view *v)
{
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (!i->in->is_removing && i->link.is_connected && i->link.status.postgres_running && !starts_anew(i) &&
            !i->is_in_force)
            return i;
    }
    return NULL;
}

/* One instance at a time, each awaited. */
void plan__restarts(struct arena *a, const struct cluster_view *v, struct plan *p)
{
    const struct instance_view *primary = view_primary(v);
    if (!primary || !view_is_serving_primary(v, primary))
        return;
    if (v->record.restart_id.len && asked_restart_is_done(v))
        plan__add(p, STEP_FORGET_RESTART, S(""));
    const struct instance_view *next = next_restart(v, primary);
    if (!next)
        return;
    bool is_asked = wish_of(v, next) == WISH_ASKED;
    const struct instance_view *unknown = is_asked ? NULL : find_not_loaded(v);
    if (unknown) { /* its next status brings the next pass */
        plan__say(p, "Restarting",
                  arena_printf(a, "waits until %.*s has loaded the newest configuration%.*s",
                               STR_ARG(unknown->in->name), STR_ARG(plan__parameters_note(a, v))));
        return;
    }
    const struct instance_view *other = find_not_ready(v, next);
    if (other) {
        str why = other->link.is_connected ? other->link.status.message : S("");
        plan__say(p, "Restarting",
                  arena_printf(a, "%.*s waits for its restart until %.*s is ready%s%.*s", STR_ARG(next->in->name),
                               STR_ARG(other->in->name), why.len ? ": " : "", STR_ARG(why)));
        plan__look_again(p, 1000);
        return;
    }
    struct step *s = plan__add(p, STEP_RESTART, next->in->name);
    if (!s)
        return;
    /* For parameters: this very start of PostgreSQL needs it. Once it runs anew it says anew what it needs. */
    if (!is_asked)
        s->postmaster = next->link.status.postmaster;
    s->restart_id = is_asked ? v->record.restart_id : arena_printf(a, "parameters-%.*s", STR_ARG(s->postmaster));
    s->reason = is_asked ? S("restart was asked for")
                         : arena_printf(a, "changed parameters need a restart: %.*s",
                                        STR_ARG(next->link.status.pending_restart_names));
    plan__say(p, "Restarting", s->reason);
}

str plan__parameters_note(struct arena *a, const struct cluster_view *v)
{
    STRBUF_AUTO b = STRBUF_INIT(4096);
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct agent_status *s = &v->instances[k].link.status;
        if (!v->instances[k].link.is_connected)
            continue;
        if (s->pending_elsewhere_names.len)
            strbuf_addf(&b,
                        "; %.*s: %.*s waits for a restart, but not because of spec (ALTER SYSTEM?): POST …/restart if "
                        "that is wanted",
                        STR_ARG(v->instances[k].in->name), STR_ARG(s->pending_elsewhere_names));
        if (s->config_error.len)
            strbuf_addf(&b, "; %.*s does not take all of its configuration: %.*s", STR_ARG(v->instances[k].in->name),
                        STR_ARG(s->config_error));
    }
    return strbuf_to_arena(&b, a);
}
