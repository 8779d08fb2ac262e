/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent must not forget (rule 1): a small JSON file, replaced by write + fsync + rename + fsync of the folder.
 * Nothing is answered to the leader before it stands there (rule 2).
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "agent.h"
#include "base/fs.h"
#include "json/json_parse.h"
#include "json/json_write.h"

#define STATE_MAX_BYTES 65536
#define RESERVE_BYTES (256 << 10)

static void copy_text(char *to, size_t size, str from)
{
    (void)snprintf(to, size, "%.*s", STR_ARG(from));
}

static int read_wal_terms(struct durable *d, const struct json *list, struct error *err)
{
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *pair = json_item(list, i);
        int64_t timeline, term;
        if (!json_to_int(json_item(pair, 0), &timeline) || !json_to_int(json_item(pair, 1), &term))
            return error_set(err, ERRC_INVALID, "state: walTerms[%zu] is no pair of numbers", i);
        state_note_timeline(d, timeline, term);
    }
    return 0;
}

int state_read(struct agent *ag, struct durable *ret, bool *ret_found, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    *ret = (struct durable) { .usable = true };
    *ret_found = false;
    str text;
    int r = fs_read(a, ag->path.state, STATE_MAX_BYTES, &text, err);
    if (r == ERRC_NOT_FOUND)
        return 0;
    const struct json *v = NULL;
    if (r == 0)
        r = json_parse(a, text, NULL, &v, err);
    if (r == 0 && !json_is(v, JSON_OBJECT))
        r = error_set(err, ERRC_INVALID, "it must be an object");
    if (r != 0)
        return error_wrap(err, r, "state file");
    str cluster = json_str_at(v, "clusterUID"), instance = json_str_at(v, "instance"), need = json_str_at(v, "need");
    if (!str_eq(cluster, ag->boot.cluster_uid) || !str_eq(instance, ag->boot.instance))
        return error_set(err, ERRC_INVALID, "the folder belongs to instance \"%.*s\" of another cluster or name",
                         STR_ARG(instance));
    ret->term = json_int_at(v, "term", 0);
    ret->granted = json_bool_at(v, "granted", false);
    ret->granted_timeline = json_int_at(v, "grantedTimeline", 0);
    ret->has_data = json_bool_at(v, "hasData", false);
    ret->rewinding = json_bool_at(v, "rewinding", false);
    ret->usable = json_bool_at(v, "usable", false);
    if (need.len > 0 && !lsn_parse(need, &ret->need))
        return error_set(err, ERRC_INVALID, "state: need \"%.*s\" is no position", STR_ARG(need));
    copy_text(ret->incarnation, sizeof(ret->incarnation), json_str_at(v, "incarnation"));
    copy_text(ret->last_restart_id, sizeof(ret->last_restart_id), json_str_at(v, "lastRestartID"));
    *ret_found = true;
    return read_wal_terms(ret, json_get(v, S("walTerms")), err);
}

static const struct json *wal_terms_json(struct arena *a, const struct durable *d)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < d->wal_term_count; i++)
        json_builder_add(&b, S(""),
                         JSON_ARRAY_OF(a, json_int(a, d->wal_terms[i].timeline), json_int(a, d->wal_terms[i].term)));
    return json_builder_array(&b);
}

/*
 * Room that is given up when the disk is full: a primary that cannot promise a higher term could not be replaced, which
 * is what a full disk needs most.
 */
static const char *reserve_path(struct agent *ag, struct arena *a)
{
    return arena_printf(a, "%s/reserve", ag->path.run).ptr;
}

static void make_reserve(struct agent *ag, struct arena *a)
{
    const char *path = reserve_path(ag, a);
    if (fs_exists(path))
        return;
    FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && posix_fallocate(fd, 0, RESERVE_BYTES) != 0)
        (void)unlink(path); /* no room now: the next promise tries again */
}

int state_write(struct agent *ag, const struct durable *d, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct json *v = JSON_OBJECT_OF(
        a, JSON_MEMBER("clusterUID", json_string(a, ag->boot.cluster_uid)),
        JSON_MEMBER("instance", json_string(a, ag->boot.instance)),
        JSON_MEMBER("incarnation", json_string(a, str_from(ag->incarnation))),
        JSON_MEMBER("term", json_int(a, d->term)), JSON_MEMBER("granted", json_bool(d->granted)),
        JSON_MEMBER("grantedTimeline", json_int(a, d->granted_timeline)),
        JSON_MEMBER("hasData", json_bool(d->has_data)), JSON_MEMBER("rewinding", json_bool(d->rewinding)),
        JSON_MEMBER("usable", json_bool(d->usable)), JSON_MEMBER("need", json_string(a, lsn_format(a, d->need))),
        JSON_MEMBER("lastRestartID", json_string(a, str_from(d->last_restart_id))),
        JSON_MEMBER("walTerms", wal_terms_json(a, d)));
    str text = json_text(a, v);
    int r = fs_write_atomic(ag->path.state, text, 0600, err);
    if (r == 0)
        make_reserve(ag, a);
    else if (unlink(reserve_path(ag, a)) == 0)
        r = fs_write_atomic(ag->path.state, text, 0600, err);
    return r;
}

void state_note_timeline(struct durable *d, int64_t timeline, int64_t term)
{
    if (timeline <= 0 || term <= 0 || state_term_of(d, timeline) == term)
        return;
    size_t keep = 0;
    for (size_t i = 0; i < d->wal_term_count; i++)
        if (d->wal_terms[i].timeline != timeline)
            d->wal_terms[keep++] = d->wal_terms[i];
    d->wal_term_count = keep;
    if (d->wal_term_count == AGENT_WAL_TERMS_MAX) {
        d->wal_term_count--;
        memmove(&d->wal_terms[0], &d->wal_terms[1], d->wal_term_count * sizeof(d->wal_terms[0]));
    }
    d->wal_terms[d->wal_term_count].timeline = timeline;
    d->wal_terms[d->wal_term_count++].term = term;
}

int64_t state_term_of(const struct durable *d, int64_t timeline)
{
    for (size_t i = d->wal_term_count; i-- > 0;)
        if (d->wal_terms[i].timeline == timeline)
            return d->wal_terms[i].term;
    return 0;
}
