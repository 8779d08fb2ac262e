/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The change of primary, rules 14–28: raise the term, make the old primary stop (or have proof that it is dead), freeze
 * and ask the others, choose, record, promote. Each step can be repeated: a process that dies in between is followed by
 * one that finds the record and goes on in the same term (16).
 */
#include "base/clock.h"
#include "base/log.h"
#include "internal.h"
#include "meta/rfc3339.h"

#define STOP_DEADLINE_MS 15000
#define PATIENCE_MS 10000  /* for a clean stop: everything that was written reaches the standbys */
#define IMPATIENCE_MS 2000 /* it does not work anyway */
#define FREEZE_DEADLINE_MS 3000
#define PROMOTE_DEADLINE_MS 10000
#define OLD_PATIENCE_MS 10000 /* for the last word of an old primary that died in the middle of a switchover */

static const struct json *prepare_body(struct arena *a, const struct record *r, const char *want)
{
    return JSON_OBJECT_OF(a, JSON_MEMBER("protocol", json_int(a, AGENT_PROTOCOL)),
                          JSON_MEMBER("term", json_int(a, r->term)), JSON_MEMBER("version", json_int(a, r->version)),
                          JSON_MEMBER("want", json_string(a, str_from(want))),
                          JSON_MEMBER("patience_ms", json_int(a, r->is_switchover ? PATIENCE_MS : IMPATIENCE_MS)),
                          JSON_MEMBER("reason", json_string(a, r->reason)));
}

/* The old primary: stopped by its own word (20, 44a), or proved dead by the platform (44b). Else wait, unless forced.
 */
static int settle_old(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v, struct candidate *ret,
                      struct error *err)
{
    const struct record *r = &v->record;
    const struct record_instance *in = record_instance_of(r, r->old);
    *ret = (struct candidate) { .name = r->old };
    if (!in)
        return 0; /* it was removed: nothing of it is left */
    struct instance_runtime *rt = runtime__instance(c, r->old);
    const struct json *answer;
    struct error why;
    int result = link_command(rt->link, a, "/v1/prepare", prepare_body(a, r, "stop"), deadline_in_ms(STOP_DEADLINE_MS),
                              &answer, &why);
    if (result == 0)
        result = agent_report_from_json(a, answer, &ret->report, &why);
    if (result == 0 && ret->report.stopped) {
        ret->answered = true;
        return 0;
    }
    const struct platform_instance p = runtime__platform(c, in);
    enum platform_state state;
    if (c->manager->platform.ops->state(c->manager->platform.self, &p, &state, NULL) == 0 && state == PLATFORM_DEAD)
        return 0;
    if (r->is_forced) {
        log_warn("old primary is passed over by force", LOG_Z("cluster", c->key), LOG_STR("instance", r->old));
        return 0;
    }
    return error_set(err, ERRC_UNAVAILABLE, "waiting for proof that old primary \"%.*s\" has stopped: %s",
                     STR_ARG(r->old), result < 0 ? why.text : "it has not stopped yet");
}

/* Freezes and asks everybody else, at once (17, 19). */
static size_t ask_others(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v,
                         struct candidate *ret)
{
    const struct record *r = &v->record;
    struct link_call *calls = arena_array_of(a, struct link_call, r->instance_count);
    size_t count = 0;
    for (size_t k = 0; k < r->instance_count; k++) {
        const struct record_instance *in = &r->instances[k];
        if (str_eq(in->name, r->old) || record_is_leaving(r, in))
            continue;
        ret[count].name = in->name;
        calls[count++] = (struct link_call) { .link = runtime__instance(c, in->name)->link,
                                              .path = "/v1/prepare",
                                              .body = prepare_body(a, r, "freeze") };
    }
    link_command_all(c->manager->links, calls, count, deadline_in_ms(FREEZE_DEADLINE_MS));
    for (size_t k = 0; k < count; k++) {
        if (calls[k].result == 0)
            ret[k].answered = agent_report_from_json(a, json_copy(a, calls[k].answer), &ret[k].report, NULL) == 0;
        else
            log_warn("member did not answer prepare", LOG_STR("instance", ret[k].name), LOG_ERROR(&calls[k].error));
        arena_free(calls[k].arena);
    }
    return count;
}

/* Rule 25 held for every set, and in each of them somebody had to confirm: whatever was acknowledged is there. */
static bool is_covered(const struct record *r)
{
    for (size_t i = 0; i < r->sync_count; i++)
        if (r->sync[i].wait == 0)
            return false;
    return r->sync_count > 0 && !r->is_forced;
}

/*
 * A switchover loses nothing, so what the old primary wrote last must be known: when it died instead of stopping (on a
 * full disk for one), it is given time to come back and to look. After that the switchover has become a failover. Where
 * commits are synchronous and enough others answered, they have it all, and nothing is waited for.
 */
static int await_last_word(struct cluster_runtime *c, struct arena *a, const struct record *r,
                           const struct candidate *all, size_t count, struct error *err)
{
    const struct candidate *old = &all[0];
    size_t chosen;
    if (!r->is_switchover || r->is_forced || (old->answered && old->report.usable))
        return 0;
    if (is_covered(r) && plan_choose(a, r, all, count, &chosen, NULL) == 0)
        return 0;
    if (c->change_began_ns == 0)
        c->change_began_ns = clock_monotonic_ns();
    if ((clock_monotonic_ns() - c->change_began_ns) / NS_PER_MS >= OLD_PATIENCE_MS)
        return 0;
    return error_set(err, ERRC_UNAVAILABLE, "old primary \"%.*s\" has not said yet what it wrote last",
                     STR_ARG(r->old));
}

/* A bound of the acknowledged WAL that the chosen one lacks; all[0] is the old primary. */
static int64_t lost_bytes(const struct record *r, const struct candidate *all, size_t chosen)
{
    const struct candidate *old = &all[0];
    uint64_t had, has;
    if (chosen == 0)
        return 0;
    if (old->answered && old->report.clean_shutdown && lsn_parse(old->report.flush_lsn, &had) &&
        lsn_parse(all[chosen].report.flush_lsn, &has))
        return had > has ? (int64_t)(had - has) : 0;
    /* It ended without a word: nobody knows what it wrote last. */
    return is_covered(r) ? 0 : RECORD_LOSS_UNKNOWN;
}

static int64_t next_timeline(const struct record *r, const struct candidate *all, size_t count)
{
    int64_t tli = r->tli;
    for (size_t i = 0; i < count; i++)
        if (all[i].answered && all[i].report.timeline > tli)
            tli = all[i].report.timeline;
    return tli + 1;
}

static int record_choice(struct cluster_runtime *c, struct arena *a, struct cluster_view *v,
                         const struct candidate *all, size_t count, size_t chosen, struct error *err)
{
    struct record *r = &v->record, before = *r;
    r->last_lost_bytes = lost_bytes(r, all, chosen);
    r->tli = next_timeline(r, all, count);
    r->last_from = r->old;
    r->last_to = r->primary = all[chosen].name;
    r->last_reason = r->reason;
    r->last_term = r->term;
    r->last_at = rfc3339_seconds(a, clock_realtime_ns());
    r->old = r->primary;
    r->target = S("");
    r->is_forced = r->is_in_doubt = false; /* is_switchover stays: the phase until the chosen one serves */
    /* It was to go, but has what nobody else has: another one will. */
    record_set_removing(a, r, r->primary, false);
    struct record_sync sync = plan_wanted_sync(a, v);
    if (sync.wait > 0 || r->sync_count > 0)
        record_push_sync(a, r, sync);
    int result = record__save(c->manager, a, r, err);
    if (result < 0)
        *r = before;
    return result;
}

int change__promote(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct error *err)
{
    const struct record *r = &v->record;
    const struct json *body =
        JSON_OBJECT_OF(a, JSON_MEMBER("protocol", json_int(a, AGENT_PROTOCOL)),
                       JSON_MEMBER("term", json_int(a, r->term)), JSON_MEMBER("timeline", json_int(a, r->tli)));
    struct instance_runtime *i = runtime__instance(c, r->primary);
    link_set_word(i->link, r->term, true, true);
    /* Its configuration first: whom a commit of this term waits for must be known before there is one (25). */
    int result = config__send_one(c, a, v, r->primary, err);
    if (result < 0)
        return result;
    return act__refusal(link_command(i->link, a, "/v1/promote", body, deadline_in_ms(PROMOTE_DEADLINE_MS), NULL, err));
}

int change__continue(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct error *err)
{
    struct candidate *all = arena_array_of(a, struct candidate, v->record.instance_count + 1);
    if (v->record.is_in_doubt && !v->record.is_forced)
        return error_set(err, ERRC_UNAVAILABLE,
                         "%.*s; no instance that is reached says who was primary since: bring the others back, or POST "
                         "to /failover with force: true to choose among those that are reached",
                         STR_ARG(v->record.reason));
    int r = settle_old(c, a, v, &all[0], err);
    if (r < 0)
        return r;
    size_t count = 1 + ask_others(c, a, v, &all[1]), chosen;
    r = await_last_word(c, a, &v->record, all, count, err);
    if (r == 0)
        r = plan_choose(a, &v->record, all, count, &chosen, err);
    if (r < 0)
        return error_wrap(err, r, "term %lld", (long long)v->record.term);
    str from = v->record.old;
    r = record_choice(c, a, v, all, count, chosen, err);
    if (r < 0)
        return r;
    log_info("primary chosen", LOG_Z("cluster", c->key), LOG_STR("from", from), LOG_STR("to", v->record.primary),
             LOG_INT("term", v->record.term), LOG_INT("timeline", v->record.tli),
             LOG_INT("lost_bytes", v->record.last_lost_bytes));
    r = change__promote(c, a, v, err);
    if (r < 0)
        return r;
    /* The others follow at once; whoever is late is told again by the next pass. */
    bool is_sent;
    return config__send_all(c, a, v, &is_sent, err);
}

/* Rule 14; with s->term rule 49a. */
static void raise_term(struct record *r, const struct step *s)
{
    if (s->term > r->term || r->primary.len) {
        r->term = s->term > r->term ? s->term : r->term + 1;
        r->old = r->primary.len ? r->primary : r->old;
        r->primary = S("");
    }
    if (s->old.len)
        r->old = s->old;
    r->target = s->instance;
    r->reason = s->reason;
    r->is_switchover = s->is_switchover;
    r->is_forced = s->is_forced;
    r->is_in_doubt = s->is_in_doubt || (r->is_in_doubt && s->old.len == 0);
}

/* Told at once, written behind the back of the change. */
static void tell_begin(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v, const struct step *s)
{
    const struct record *r = &v->record;
    struct plan p = { .phase = r->is_switchover ? "SwitchingOver" : "FailingOver", .message = r->reason };
    status__announce(c, a, v, &p);
    if (s->term)
        events_emit(c->manager->events, v->object, true, "StoreWentBack", "%.*s; the term becomes %lld",
                    STR_ARG(r->reason), (long long)r->term);
    else
        events_emit(c->manager->events, v->object, !r->is_switchover, p.phase, "from %.*s%s%.*s, term %lld: %.*s",
                    STR_ARG(r->old), r->target.len ? " to " : "", STR_ARG(r->target), (long long)r->term,
                    STR_ARG(r->reason));
    c->told_term = r->term;
}

int change__begin(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, const struct step *s,
                  struct error *err)
{
    struct record *r = &v->record, before = *r;
    raise_term(r, s);
    actions__note_change(c, r, true);
    int result = record__save(c->manager, a, r, err);
    if (result < 0) {
        *r = before; /* nobody is to be shown what may never have been written */
        return result;
    }
    c->change_began_ns = clock_monotonic_ns();
    for (size_t k = 0; k < r->instance_count; k++) { /* no word of the old term any more (8) */
        struct instance_runtime *i = runtime__instance(c, r->instances[k].name);
        link_set_word(i->link, r->term, false, false);
    }
    log_info("change of primary begins", LOG_Z("cluster", c->key), LOG_STR("old", r->old), LOG_INT("term", r->term),
             LOG_STR("reason", r->reason));
    tell_begin(c, a, v, s);
    return change__continue(c, a, v, err);
}
