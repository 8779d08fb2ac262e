/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which instance is restarted next, if any: because it was asked for, or because changed parameters need it. One at a
 * time, in an order in which no hot standby is left with less than its primary demands.
 */
#include "plan_internal.h"

#include "base/rand.h"
#include "json/json_write.h"

#define SETTLE_MS 1500 /* after a new configuration an instance has said by then whether it must restart */

/* POST …/restart is about it, whether it is done or not. */
static bool is_asked_to_restart(const struct cluster_view *v, const struct instance_view *i)
{
    const struct record *r = &v->record;
    return r->restart_id.len && !i->in->is_removing && i->in->serial < r->restart_serial &&
           (r->restart_instance.len == 0 || str_eq(r->restart_instance, i->in->name));
}

/* Names the restart that these parameters need: the same parameters never restart an instance twice, also not after
 * this process was restarted. */
static str parameters_id(struct arena *a, const struct cluster_view *v, const struct instance_view *i)
{
    str names = i->link.status.pending_restart_names;
    str parameters = v->spec.parameters ? json_text(a, v->spec.parameters) : S("");
    str hash = hash_sha256_hex(a, arena_printf(a, "%.*s\n%.*s", STR_ARG(names), STR_ARG(parameters)));
    return arena_printf(a, "parameters-%.*s", 16, hash.ptr);
}

/* Empty: it needs none. */
static str wanted_restart(struct arena *a, const struct cluster_view *v, const struct instance_view *i)
{
    const struct agent_status *s = &i->link.status;
    if (i->in->is_removing || !i->link.is_connected || !i->link.has_status)
        return S("");
    str id = S("");
    if (is_asked_to_restart(v, i)) /* applies parameters, too */
        id = v->record.restart_id;
    else if (s->pending_restart)
        id = parameters_id(a, v, i);
    return str_eq(id, s->last_restart_id) ? S("") : id;
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

/* The next to restart: standbys first, unless the primary must lead (a hot-standby limit falls). NULL: nobody. */
static const struct instance_view *next_restart(struct arena *a, const struct cluster_view *v,
                                                const struct instance_view *primary)
{
    const struct agent_status *s = &primary->link.status;
    bool primary_wants = wanted_restart(a, v, primary).len > 0;
    if (primary_wants && s->pending_restart && s->restart_primary_first)
        return primary;
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (i != primary && !starts_anew(i) && wanted_restart(a, v, i).len)
            return i;
    }
    return primary_wants ? primary : NULL;
}

/* Not while another one is down: a restart must not be the second outage. */
static bool others_are_ready(const struct cluster_view *v, const struct instance_view *but)
{
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        if (i != but && record_has_member(&v->record, i->in->name) && !view_is_ready(v, i))
            return false;
    }
    return true;
}

/* Who goes first is known when everybody has said what the newest configuration means for it: PostgreSQL loads it some
 * time after it was accepted. 0: all did, or so many ms to wait. */
static int64_t unsettled_ms(const struct cluster_view *v)
{
    int64_t wait_ms = 0;
    for (size_t k = 0; k < v->instance_count; k++) {
        const struct instance_view *i = &v->instances[k];
        int64_t sent_ms = plan__ms_since(v, i->sent_ns);
        if (i->link.is_connected && sent_ms < SETTLE_MS && SETTLE_MS - sent_ms > wait_ms)
            wait_ms = SETTLE_MS - sent_ms;
    }
    return wait_ms;
}

/* One instance at a time, each awaited. */
void plan__restarts(struct arena *a, const struct cluster_view *v, struct plan *p)
{
    const struct instance_view *primary = view_primary(v);
    if (!primary || !view_is_serving_primary(v, primary))
        return;
    if (v->record.restart_id.len && asked_restart_is_done(v))
        plan__add(p, STEP_FORGET_RESTART, S(""));
    const struct instance_view *next = next_restart(a, v, primary);
    if (!next)
        return;
    int64_t wait_ms = unsettled_ms(v);
    if (wait_ms > 0 && next->link.status.pending_restart) {
        plan__look_again(p, wait_ms);
        return;
    }
    if (!others_are_ready(v, next)) {
        plan__say(p, "Restarting", S("waits until every other instance is ready"));
        plan__look_again(p, 1000);
        return;
    }
    struct step *s = plan__add(p, STEP_RESTART, next->in->name);
    if (!s)
        return;
    s->restart_id = wanted_restart(a, v, next);
    s->reason = str_eq(s->restart_id, v->record.restart_id) ? S("restart was asked for")
                                                            : S("changed parameters need a restart");
    plan__say(p, "Restarting", s->reason);
}
