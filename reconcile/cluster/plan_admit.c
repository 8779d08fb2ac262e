/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the primary may change now because somebody asks for it, or the reason why not. Pure. */
#include "plan_internal.h"

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
        return plan__has_candidate(v);
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
    bool is_under_way = v->is_changing || v->record.primary.len == 0;
    if (is_under_way && (wish->is_switchover || !wish->is_forced))
        return error_set(
            err, ERRC_CONFLICT, "a change of primary is under way (term %lld: %.*s): wait until it is done",
            (long long)v->record.term, STR_ARG(v->record.primary.len ? v->record.last_reason : v->record.reason));
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
