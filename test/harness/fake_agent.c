/* SPDX-License-Identifier: Apache-2.0 */
/* What fake instances do: data, terms, grants, streaming; and what a test does to them. */
#include "harness/fake_agent.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "harness/fake_agent_internal.h"
#include "json/json_write.h"

#define RESTART_MS 30
#define COMMIT_BYTES 0x100

struct fake_agent *fake__find(struct fake_fleet *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->agents[i]->name, name) == 0)
            return f->agents[i];
    (void)fprintf(stderr, "fake_agent: no instance %s\n", name);
    abort();
}

static str position_of(struct arena *a, const struct fake_agent *ag)
{
    return lsn_format(a, 0x3000000 + (uint64_t)ag->commit_count * COMMIT_BYTES);
}

/* ---- working towards the configuration ------------------------------------------------------------------------ */

static void go_down(struct fake_agent *ag)
{
    ag->is_running = ag->is_writable = ag->is_streaming = ag->is_frozen = false;
}

static void become_writable(struct fake_agent *ag)
{
    for (size_t i = 0; i < ag->fleet->count; i++) {
        const struct fake_agent *other = ag->fleet->agents[i];
        ag->fleet->violations += other != ag && other->is_writable && strcmp(other->cluster_uid, ag->cluster_uid) == 0;
    }
    ag->is_running = ag->is_writable = true;
    ag->is_frozen = ag->is_streaming = false;
    ag->timeline = ag->granted_timeline;
    ag->wal_term = ag->term;
}

static void copy_from(struct fake_agent *ag, const struct fake_agent *source)
{
    memcpy(ag->commits, source->commits, source->commit_count * sizeof(source->commits[0]));
    ag->commit_count = source->commit_count;
    ag->timeline = source->timeline;
    ag->wal_term = source->wal_term;
    ag->has_data = ag->is_usable = true;
}

static bool is_ancestor(const struct fake_agent *ag, const struct fake_agent *source)
{
    return ag->commit_count <= source->commit_count &&
           memcmp(ag->commits, source->commits, ag->commit_count * sizeof(ag->commits[0])) == 0;
}

/* Of the same cluster; NULL: unknown. */
static struct fake_agent *peer(const struct fake_agent *ag, str name)
{
    for (size_t i = 0; i < ag->fleet->count; i++) {
        struct fake_agent *other = ag->fleet->agents[i];
        if (str_eq_z(name, other->name) && strcmp(other->cluster_uid, ag->cluster_uid) == 0)
            return other;
    }
    return NULL;
}

static void follow(struct fake_agent *ag, const struct fake_agent *source)
{
    bool can_stream = source && source->is_writable && source->term == ag->term;
    ag->is_granted = false;
    ag->is_writable = false;
    ag->is_streaming = false;
    if (can_stream && (!ag->has_data || (!ag->is_held && !is_ancestor(ag, source)))) {
        copy_from(ag, source);
        ag->copies++;
    }
    if (!ag->has_data)
        return;
    ag->is_running = true;
    ag->was_ordered_down = false;
    ag->is_frozen = false;
    ag->is_streaming = can_stream;
    if (can_stream && !ag->is_held)
        copy_from(ag, source);
}

static bool can_work(const struct fake_agent *ag)
{
    return ag->is_alive && !ag->must_end && ag->config_arena && !ag->is_crashed && !ag->is_failed &&
           (ag->down_until_ns == 0 || deadline_has_passed(ag->down_until_ns));
}

static void settle_one(struct fake_agent *ag)
{
    const struct agent_config *c = &ag->config;
    if (!can_work(ag))
        return;
    ag->down_until_ns = 0;
    if (c->stopped_reason.len) {
        go_down(ag);
        return;
    }
    if (c->term != ag->term || c->primary.len == 0) { /* frozen until somebody is primary of this term */
        if (!ag->is_running && ag->has_data && !ag->is_granted && !ag->was_ordered_down)
            ag->is_running = ag->is_frozen = true;
        return;
    }
    if (!str_eq_z(c->primary, ag->name)) {
        follow(ag, peer(ag, c->primary));
        return;
    }
    if (!ag->has_data && c->may_initialize) {
        ag->has_data = ag->is_usable = ag->is_granted = true;
        ag->granted_timeline = c->timeline;
        ag->may_write_term = ag->term;
    }
    if (ag->has_data && ag->is_granted && ag->may_write_term == ag->term && !ag->is_writable)
        become_writable(ag);
}

void fake__settle(struct fake_fleet *f)
{
    /* Primaries first, and a standby of a standby does not exist: two rounds are enough. */
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < f->count; i++) {
            struct fake_agent *ag = f->agents[i];
            bool running = ag->is_running, writable = ag->is_writable, streaming = ag->is_streaming;
            settle_one(ag);
            ag->is_changed |= running != ag->is_running || writable != ag->is_writable || streaming != ag->is_streaming;
        }
}

/* ---- status ---------------------------------------------------------------------------------------------------- */

static enum agent_phase phase_of(const struct fake_agent *ag)
{
    if (ag->is_failed)
        return AGENT_FAILED;
    if (ag->is_crashed)
        return AGENT_CRASHED;
    if (ag->is_running)
        return AGENT_RUNNING;
    if (!ag->has_data && ag->config_arena)
        return AGENT_COPYING;
    return ag->was_ordered_down ? AGENT_STOPPED : AGENT_STARTING;
}

static const struct json *replication_of(struct fake_agent *ag, struct arena *a)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < ag->fleet->count && ag->is_writable; i++) {
        struct fake_agent *s = ag->fleet->agents[i];
        if (s->is_streaming && strcmp(s->cluster_uid, ag->cluster_uid) == 0)
            json_builder_add(&b, S(""),
                             JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, str_from(s->name))),
                                            JSON_MEMBER("flush_lsn", json_string(a, position_of(a, s)))));
    }
    return json_builder_array(&b);
}

struct agent_status fake__status(struct fake_agent *ag, struct arena *a)
{
    str position = position_of(a, ag);
    return (struct agent_status) {
        .protocol = AGENT_PROTOCOL,
        .nonce = ++ag->nonce,
        .incarnation = str_from(ag->incarnation),
        .instance = str_from(ag->name),
        .cluster_uid = str_from(ag->cluster_uid),
        .term = ag->term,
        .granted_to = ag->is_granted ? str_from(ag->name) : S(""),
        .phase = str_from(agent_phase_name(phase_of(ag))),
        .message = str_from(ag->message),
        .progress = str_from(ag->progress),
        .config_version = ag->config_arena ? ag->config.version : 0,
        .loaded_version = ag->is_running && ag->config_arena && !ag->is_loading ? ag->config.version : 0,
        .postmaster = ag->is_running ? arena_printf(a, "%s-%d", ag->name, ag->restarts) : S(""),
        .postgres_running = ag->is_running,
        .in_recovery = ag->is_running && !ag->is_writable,
        .usable = ag->is_usable,
        .system_identifier = ag->has_data ? S("7000000000000000001") : S(""),
        .timeline = ag->timeline,
        .wal_term = ag->wal_term,
        .lsn = ag->is_running ? position : S(""),
        .flush_lsn = ag->is_running ? position : S(""),
        .replay_lsn = ag->is_running ? position : S(""),
        .streaming = ag->is_streaming,
        .frozen = ag->is_frozen,
        .postgres_version = S("15.20"),
        .pending_restart = ag->pending_restart,
        .pending_elsewhere_names = ag->pending_elsewhere ? S("work_elsewhere") : S(""),
        .health_ok = ag->is_running,
        .write_probe_ok = ag->is_writable,
        .replication = replication_of(ag, a),
        .last_restart_id = str_from(ag->last_restart_id),
        .task = ag->task,
    };
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

static int refuse(struct fake_agent *ag, struct arena *a, const struct json **ret, const char *why)
{
    *ret = JSON_OBJECT_OF(a, JSON_MEMBER("message", json_string(a, str_from(why))),
                          JSON_MEMBER("term", json_int(a, ag->term)));
    return 409;
}

static void raise_term(struct fake_agent *ag, int64_t term)
{
    if (term <= ag->term)
        return;
    ag->term = term;
    ag->is_granted = false;
    if (ag->is_writable)
        go_down(ag);
}

static int configure(struct fake_agent *ag, struct arena *a, const struct json *body, const struct json **ret)
{
    struct arena *own = arena_new();
    struct agent_config next;
    if (agent_config_from_json(own, json_copy(own, body), &next, NULL) < 0) {
        arena_free(own);
        return 400;
    }
    if (next.term < ag->term || (ag->config_arena && next.version < ag->config.version)) {
        arena_free(own);
        return refuse(ag, a, ret, "older than what is known here");
    }
    raise_term(ag, next.term);
    arena_free(ag->config_arena);
    ag->config_arena = own;
    ag->config = next;
    ag->config_text = json_text(own, body).ptr;
    *ret = JSON_OBJECT_OF(a, JSON_MEMBER("version", json_int(a, next.version)),
                          JSON_MEMBER("term", json_int(a, ag->term)));
    return 200;
}

static int prepare(struct fake_agent *ag, struct arena *a, const struct json *body, const struct json **ret)
{
    int64_t term = json_int_at(body, "term", 0);
    if (term < ag->term)
        return refuse(ag, a, ret, "lower term");
    if (term == ag->term && (ag->is_granted || (ag->config_arena && ag->config.term == term && ag->config.primary.len)))
        return refuse(ag, a, ret, "decided");
    bool was_crashed = ag->is_crashed, was_writable = ag->is_writable;
    raise_term(ag, term);
    if (str_eq(json_str_at(body, "want"), S("stop")) || was_writable || !ag->is_running) {
        go_down(ag);
        ag->was_ordered_down = true;
        ag->is_crashed = false;
    } else {
        ag->is_streaming = false;
        ag->is_frozen = true;
    }
    const struct agent_report report = { .term = ag->term,
                                         .stopped = !ag->is_running,
                                         .frozen = ag->is_frozen,
                                         .usable = ag->is_usable && !ag->is_failed,
                                         .wal_term = ag->wal_term,
                                         .timeline = ag->timeline,
                                         .flush_lsn = position_of(a, ag),
                                         .clean_shutdown = was_writable && !was_crashed };
    *ret = agent_report_to_json(a, &report);
    return 200;
}

static int promote(struct fake_agent *ag, struct arena *a, const struct json *body, const struct json **ret)
{
    int64_t term = json_int_at(body, "term", 0), timeline = json_int_at(body, "timeline", 0);
    if (term < ag->term || !ag->has_data || !ag->is_usable)
        return refuse(ag, a, ret, "not here");
    if (term == ag->term && ag->is_granted)
        return timeline == ag->granted_timeline ? 200 : refuse(ag, a, ret, "promoted to another timeline");
    if (timeline <= ag->timeline)
        return refuse(ag, a, ret, "timeline is not above mine");
    raise_term(ag, term);
    ag->is_granted = true;
    ag->granted_timeline = timeline;
    ag->may_write_term = term;
    ag->was_ordered_down = ag->is_crashed = ag->is_failed = false;
    become_writable(ag);
    return 200;
}

static int exchange(struct fake_agent *ag, struct arena *a, const struct json *body, const struct json **ret)
{
    int64_t term = json_int_at(body, "term", 0);
    if (term < ag->term)
        return refuse(ag, a, ret, "lower term");
    if (term == ag->term && json_bool_at(body, "mayStart", false) && ag->is_granted) {
        ag->may_write_term = term;
        if (ag->is_crashed && ag->may_restart) {
            ag->is_crashed = false;
            ag->down_until_ns = deadline_in_ms(RESTART_MS);
        }
    }
    return 200;
}

static int restart(struct fake_agent *ag, struct arena *a, const struct json *body, const struct json **ret)
{
    str id = json_str_at(body, "id");
    if (json_int_at(body, "term", 0) != ag->term)
        return refuse(ag, a, ret, "another term");
    if (str_eq_z(id, ag->last_restart_id))
        return 200;
    (void)snprintf(ag->last_restart_id, sizeof(ag->last_restart_id), "%.*s", STR_ARG(id));
    ag->restarts++;
    ag->pending_restart = false;
    ag->pending_elsewhere = ag->pending_for_ever;
    go_down(ag);
    ag->down_until_ns = deadline_in_ms(RESTART_MS);
    return 200;
}

static void set_task(struct fake_agent *ag, str id, const char *state)
{
    struct arena *old = ag->task_arena;
    ag->task_arena = arena_new();
    struct arena *a = ag->task_arena;
    const struct json *result = JSON_OBJECT_OF(a, JSON_MEMBER("label", json_string(a, S("20260101-000000F"))),
                                               JSON_MEMBER("sizeBytes", json_int(a, 4096)));
    ag->task = JSON_OBJECT_OF(
        a, JSON_MEMBER("id", json_string(a, arena_str(a, id))), JSON_MEMBER("kind", json_string(a, S("backup"))),
        JSON_MEMBER("state", json_string(a, str_from(state))),
        JSON_MEMBER("error", json_string(a, S("the disk is full"))), JSON_MEMBER("result", result));
    arena_free(old);
}

static int backup(struct fake_agent *ag, struct arena *a, const struct json *body, const struct json **ret)
{
    if (json_int_at(body, "term", 0) != ag->term || !ag->is_writable)
        return refuse(ag, a, ret, "not the primary");
    bool is_known = str_eq(json_str_at(ag->task, "id"), json_str_at(body, "id")); /* asked again */
    if (!is_known && str_eq(json_str_at(ag->task, "state"), S("running")))
        return refuse(ag, a, ret, "a backup runs");
    if (!is_known)
        set_task(ag, json_str_at(body, "id"), "running");
    *ret = JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, ag->term)),
                          JSON_MEMBER("incarnation", json_string(a, str_from(ag->incarnation))),
                          JSON_MEMBER("nonce", json_int(a, ag->nonce)));
    return 200;
}

static int shut_down(struct fake_agent *ag)
{
    go_down(ag);
    ag->must_end = true;
    pthread_cond_broadcast(&ag->fleet->changed);
    return 200;
}

int fake__command(struct fake_agent *ag, struct arena *a, str path, const struct json *body, const struct json **ret)
{
    struct fake_fleet *f = ag->fleet;
    int code = 404;
    *ret = JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, ag->term)));
    if (str_eq(path, S("/v1/configure")))
        code = configure(ag, a, body, ret);
    else if (str_eq(path, S("/v1/prepare")))
        code = prepare(ag, a, body, ret);
    else if (str_eq(path, S("/v1/promote")))
        code = promote(ag, a, body, ret);
    else if (str_eq(path, S("/v1/exchange")))
        code = exchange(ag, a, body, ret);
    else if (str_eq(path, S("/v1/restart")))
        code = restart(ag, a, body, ret);
    else if (str_eq(path, S("/v1/backup")))
        code = backup(ag, a, body, ret);
    else if (str_eq(path, S("/v1/shutdown")))
        code = shut_down(ag);
    if (!str_eq(path, S("/v1/exchange")))
        ag->is_changed = true;
    fake__settle(f);
    return code;
}

bool fake__take_fault(struct fake_agent *ag, str path, struct fake_agent_fault *ret)
{
    struct fake_fleet *f = ag->fleet;
    if (f->command_count < ARRAY_LEN(f->commands)) {
        f->commands[f->command_count].agent = ag;
        (void)snprintf(f->commands[f->command_count++].path, sizeof(f->commands[0].path), "%.*s", STR_ARG(path));
    }
    for (size_t i = 0; i < f->fault_count; i++) {
        struct fake_agent_fault *fault = &f->faults[i];
        if (!str_eq_z(path, fault->path) || (fault->name && strcmp(fault->name, ag->name) != 0))
            continue;
        *ret = *fault;
        if (--fault->times == 0)
            *fault = f->faults[--f->fault_count];
        return true;
    }
    return false;
}

/* ---- the client ----------------------------------------------------------------------------------------------- */

static struct fake_agent *writable(struct fake_fleet *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->agents[i]->is_writable)
            return f->agents[i];
    return NULL;
}

static bool is_confirmed(struct fake_agent *primary, uint32_t commit)
{
    str names = primary->config.synchronous_standby_names, k_text, rest;
    uint64_t needed;
    if (names.len == 0)
        return true;
    (void)str_cut(str_from_offset(names, 4), ' ', &k_text, &rest);
    if (!str_to_u64(k_text, &needed))
        abort();
    uint64_t have = 0;
    for (size_t i = 0; i < primary->fleet->count; i++) {
        const struct fake_agent *s = primary->fleet->agents[i];
        char quoted[80];
        (void)snprintf(quoted, sizeof(quoted), "\"%s\"", s->name);
        have += s->is_streaming && str_find(names, str_from(quoted)) >= 0 && s->commit_count > 0 &&
                s->commits[s->commit_count - 1] == commit;
    }
    return have >= needed;
}

bool fake_fleet_write(struct fake_fleet *f)
{
    pthread_mutex_lock(&f->lock);
    struct fake_agent *p = writable(f);
    bool is_acknowledged = false;
    if (p && f->next_commit + 1 < FAKE_COMMITS_MAX) {
        uint32_t commit = ++f->next_commit;
        p->commits[p->commit_count++] = commit;
        fake__settle(f);
        is_acknowledged = f->is_acknowledged[commit] = is_confirmed(p, commit);
    }
    pthread_mutex_unlock(&f->lock);
    return is_acknowledged;
}

int fake_fleet_lost(struct fake_fleet *f)
{
    pthread_mutex_lock(&f->lock);
    const struct fake_agent *p = writable(f);
    int lost = p ? 0 : -1;
    for (uint32_t c = 1; p && c <= f->next_commit; c++) {
        bool has = !f->is_acknowledged[c];
        for (size_t i = 0; i < p->commit_count && !has; i++)
            has = p->commits[i] == c;
        lost += !has;
    }
    pthread_mutex_unlock(&f->lock);
    return lost;
}

int fake_fleet_violations(struct fake_fleet *f)
{
    pthread_mutex_lock(&f->lock);
    int n = f->violations;
    pthread_mutex_unlock(&f->lock);
    return n;
}

const char *fake_fleet_writable(struct fake_fleet *f)
{
    pthread_mutex_lock(&f->lock);
    const struct fake_agent *p = writable(f);
    const char *name = p ? p->name : "";
    pthread_mutex_unlock(&f->lock);
    return name;
}

size_t fake_fleet_alive(struct fake_fleet *f)
{
    size_t n = 0;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->count; i++)
        n += f->agents[i]->is_alive;
    pthread_mutex_unlock(&f->lock);
    return n;
}

/* ---- what happens to instances -------------------------------------------------------------------------------- */

#define WITH(f, name, ag)                                                                                              \
    for (struct fake_agent *ag = (pthread_mutex_lock(&(f)->lock), fake__find(f, name)); ag;                            \
         ag->is_changed = true, fake__settle(f), pthread_mutex_unlock(&(f)->lock), ag = NULL)

void fake_agent_crash(struct fake_fleet *f, const char *name, bool may_restart)
{
    WITH(f, name, ag)
    {
        go_down(ag);
        ag->is_crashed = true;
        ag->may_restart = may_restart;
        ag->may_write_term = 0;
    }
}

void fake_agent_kill(struct fake_fleet *f, const char *name, bool stays_dead)
{
    WITH(f, name, ag)
    {
        ag->stays_dead = stays_dead;
        go_down(ag);
        ag->must_end = true;
        pthread_cond_broadcast(&f->changed);
        while (ag->is_alive) /* the keeper ends its server */
            pthread_cond_wait(&f->changed, &f->lock);
    }
}

void fake_agent_cut(struct fake_fleet *f, const char *name, bool is_cut)
{
    WITH(f, name, ag)
    ag->is_cut = is_cut;
}

void fake_agent_hold(struct fake_fleet *f, const char *name, bool is_held)
{
    WITH(f, name, ag)
    ag->is_held = is_held;
}

void fake_agent_lag(struct fake_fleet *f, const char *name, bool is_lagging)
{
    WITH(f, name, ag)
    ag->is_lagging = is_lagging;
}

void fake_agent_want_restart(struct fake_fleet *f, const char *name, bool forever)
{
    WITH(f, name, ag)
    {
        ag->pending_restart = true;
        ag->pending_for_ever = forever;
    }
}

void fake_agent_fail(struct fake_fleet *f, const char *name, const char *message)
{
    WITH(f, name, ag)
    {
        go_down(ag);
        ag->is_failed = true;
        (void)snprintf(ag->message, sizeof(ag->message), "%s", message);
    }
}

void fake_agent_end_backup(struct fake_fleet *f, const char *name, bool succeeded)
{
    WITH(f, name, ag)
    {
        char id[80];
        (void)snprintf(id, sizeof(id), "%.*s", STR_ARG(json_str_at(ag->task, "id")));
        set_task(ag, str_from(id), succeeded ? "succeeded" : "failed");
    }
}

void fake_agent_say(struct fake_fleet *f, const char *name, const char *progress)
{
    WITH(f, name, ag)
    (void)snprintf(ag->progress, sizeof(ag->progress), "%s", progress);
}

void fake_agent_fault(struct fake_fleet *f, const struct fake_agent_fault *fault)
{
    pthread_mutex_lock(&f->lock);
    if (f->fault_count == ARRAY_LEN(f->faults))
        abort();
    f->faults[f->fault_count++] = *fault;
    pthread_mutex_unlock(&f->lock);
}

void fake_agent_heal(struct fake_fleet *f)
{
    pthread_mutex_lock(&f->lock);
    f->fault_count = 0;
    pthread_mutex_unlock(&f->lock);
}

/* ---- what is known -------------------------------------------------------------------------------------------- */

struct fake_agent_look fake_agent_look(struct fake_fleet *f, const char *name)
{
    struct fake_agent_look look = { 0 };
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->count; i++) {
        const struct fake_agent *ag = f->agents[i];
        if (strcmp(ag->name, name) != 0)
            continue;
        look = (struct fake_agent_look) { .exists = ag->exists,
                                          .is_alive = ag->is_alive,
                                          .is_running = ag->is_running,
                                          .is_writable = ag->is_writable,
                                          .is_streaming = ag->is_streaming,
                                          .is_frozen = ag->is_frozen,
                                          .has_data = ag->has_data,
                                          .term = ag->term,
                                          .timeline = ag->timeline,
                                          .config_version = ag->config_arena ? ag->config.version : 0,
                                          .config_term = ag->config_arena ? ag->config.term : 0,
                                          .commits = ag->commit_count,
                                          .restarts = ag->restarts,
                                          .launches = ag->launches,
                                          .copies = ag->copies,
                                          .config = ag->config_arena ? ag->config_text : "" };
        (void)snprintf(look.last_restart_id, sizeof(look.last_restart_id), "%s", ag->last_restart_id);
        if (ag->config_arena)
            (void)snprintf(look.sync_names, sizeof(look.sync_names), "%.*s",
                           STR_ARG(ag->config.synchronous_standby_names));
    }
    pthread_mutex_unlock(&f->lock);
    return look;
}

int fake_agent_commands(struct fake_fleet *f, const char *name, const char *path)
{
    int n = 0;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->command_count; i++)
        n += strcmp(f->commands[i].path, path) == 0 && (!name || strcmp(f->commands[i].agent->name, name) == 0);
    pthread_mutex_unlock(&f->lock);
    return n;
}
