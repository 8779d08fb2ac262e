/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom commits wait for: the set that is wanted, the way there in steps of which each is covered by the record (26),
 * and when older entries may go. Pure.
 */
#include "base/strbuf.h"
#include "plan_internal.h"

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
    if (!primary->has_sent || !primary->is_in_force || !str_eq(primary->sent_sync_names, names))
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

/* How many entries besides the newest ask anybody to confirm. One that asks nobody only says that not all is covered.
 */
static size_t older_sets(const struct record *r)
{
    size_t n = 0;
    for (size_t i = 0; i + 1 < r->sync_count; i++)
        n += r->sync[i].wait > 0;
    return n;
}

void plan__sync(struct arena *a, const struct cluster_view *v, struct plan *p)
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
    bool may_change = older_sets(r) == 0;
    if (newest && may_change)
        next = next_sync(a, newest, &wanted);
    if (is_new && (may_change || relief_sync(a, r, &wanted, &next))) {
        struct step *s = plan__add(p, STEP_SET_SYNC, S(""));
        if (s)
            s->sync = next;
    } else if (r->sync_count > 1) {
        plan__look_again(p, 500);
    }
}
