/* SPDX-License-Identifier: Apache-2.0 */
/* Who becomes primary: rules 23–25 over the answers to prepare. */
#include "plan.h"

/* Orders by (wal term, flushed LSN): timelines are no order (F5). */
static int compare_positions(const struct agent_report *x, const struct agent_report *y)
{
    if (x->wal_term != y->wal_term)
        return x->wal_term < y->wal_term ? -1 : 1;
    uint64_t a = 0, b = 0;
    (void)lsn_parse(x->flush_lsn, &a); /* unreadable counts as nothing */
    (void)lsn_parse(y->flush_lsn, &b);
    return a < b ? -1 : a > b;
}

static bool may_be_chosen(const struct record *r, const struct candidate *c)
{
    return c->answered && c->report.usable && c->report.term == r->term && (c->report.frozen || c->report.stopped) &&
           record_has_member(r, c->name);
}

static bool is_to_go(const struct record *r, str name)
{
    const struct record_instance *in = record_instance_of(r, name);
    return in && in->is_removing;
}

/* Rule 25: every set of {p} + set of which at least |set|+1-W answered holds every commit acknowledged under it. */
static int check_quorums(const struct record *r, const struct candidate *candidates, size_t count, struct error *err)
{
    for (size_t i = 0; i < r->sync_count; i++) {
        const struct record_sync *s = &r->sync[i];
        if (s->wait == 0)
            continue;
        int64_t have = 0, needed = (int64_t)s->set_count + 1 - s->wait;
        for (size_t c = 0; c < count; c++) {
            if (!may_be_chosen(r, &candidates[c]))
                continue;
            bool counts = str_eq(candidates[c].name, s->primary);
            for (size_t k = 0; k < s->set_count; k++)
                counts |= str_eq(candidates[c].name, s->set[k]);
            have += counts;
        }
        if (have < needed)
            return error_set(
                err, ERRC_UNAVAILABLE,
                "synchronous commits of term %lld may be on instances that do not answer: %lld of %lld needed "
                "instances answered",
                (long long)s->term, (long long)have, (long long)needed);
    }
    return 0;
}

/* With the old primary among them, or as if it had not answered. */
static int choose_among(const struct record *r, const struct candidate *candidates, size_t count, size_t *ret_chosen,
                        struct error *err)
{
    ptrdiff_t best = -1, target = -1, old = -1;
    for (size_t i = 0; i < count; i++) {
        if (!may_be_chosen(r, &candidates[i]))
            continue;
        if (str_eq(candidates[i].name, r->target))
            target = (ptrdiff_t)i;
        if (str_eq(candidates[i].name, r->old))
            old = (ptrdiff_t)i;
        int order = best < 0 ? 1 : compare_positions(&candidates[i].report, &candidates[best].report);
        /* At the same position a standby is preferred to the old primary, which would have to start first, and to one
         * that is to go. */
        if (order > 0 || (order == 0 && (best == old || ((ptrdiff_t)i != old && is_to_go(r, candidates[best].name)))))
            best = (ptrdiff_t)i;
    }
    if (best < 0)
        return error_set(err, ERRC_UNAVAILABLE, "no member answered that could become primary");
    if (!r->is_forced) {
        int result = check_quorums(r, candidates, count, err);
        if (result < 0)
            return result;
    }
    /* A wish is followed when it costs nothing. A switchover to a target goes there or nowhere (53e). */
    if (target >= 0 && (r->is_forced || compare_positions(&candidates[target].report, &candidates[best].report) >= 0))
        best = target;
    else if (r->is_switchover && r->target.len && old >= 0)
        best = old;
    *ret_chosen = (size_t)best;
    return 0;
}

int plan_choose(struct arena *a, const struct record *r, const struct candidate *candidates, size_t count,
                size_t *ret_chosen, struct error *err)
{
    /* One that is replaced because it does not work is the last choice, however much it has written: else it would be
     * chosen again and again. It may still be needed for what only it has (25). */
    if (!r->is_switchover) {
        struct candidate *others = arena_array_of(a, struct candidate, count);
        for (size_t i = 0; i < count; i++) {
            others[i] = candidates[i];
            others[i].answered &= !str_eq(candidates[i].name, r->old);
        }
        if (choose_among(r, others, count, ret_chosen, NULL) == 0)
            return 0;
    }
    return choose_among(r, candidates, count, ret_chosen, err);
}
