/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the leader orders, on the worker's thread. A command puts its promise on disk, does what must be true before the
 * answer (rules 2, 19), answers, and leaves the rest to the supervisor, which works towards the new state.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json_parse.h"
#include "json/json_write.h"

#define EASE_STOP_MS 3000
#define STOP_PATIENCE_MS 10000
#define FREEZE_DEADLINE_MS 2500

struct call {
    struct agent *ag;
    struct arena *arena;
    const struct json *body;
    struct error err;
    const struct json *answer; /* of success; NULL: {term} */
    bool is_decided;
};

/* ---- promises ------------------------------------------------------------------------------------------------ */

/* A higher term clears what this instance was in a lower one (rule 7), before any answer. */
static int raise_term(struct call *c, int64_t term)
{
    struct agent *ag = c->ag;
    if (term == ag->durable.term)
        return 0;
    struct durable next = ag->durable;
    next.term = term;
    next.granted = false;
    next.granted_timeline = 0;
    int r = promote_undo(ag, &c->err);
    if (r == 0)
        r = state_write(ag, &next, &c->err);
    if (r != 0)
        return r;
    ag->durable = next;
    ag->stopped_by_order = ag->is_failed = ag->is_rewound = false;
    /* Whoever is primary next may have what the last one had not; data that a rewind broke stay broken. */
    ag->must_copy = ag->must_copy && !ag->durable.usable;
    log_info("term promised", LOG_INT("term", term));
    return 0;
}

static int check_term(struct call *c, int64_t *ret_term)
{
    int64_t term = json_int_at(c->body, "term", 0);
    if (term < c->ag->durable.term)
        return error_set(&c->err, ERRC_CONFLICT, "term %lld was promised", (long long)c->ag->durable.term);
    if (term <= 0)
        return error_set(&c->err, ERRC_INVALID, "term is missing");
    *ret_term = term;
    return 0;
}

/* Only in the very term, which must be known here. */
static int check_own_term(struct call *c)
{
    int64_t term = 0;
    int r = check_term(c, &term);
    if (r == 0 && term != c->ag->durable.term)
        r = error_set(&c->err, ERRC_CONFLICT, "term %lld is not known here yet", (long long)term);
    return r;
}

/* ---- configure ----------------------------------------------------------------------------------------------- */

static int check_config(struct call *c, const struct agent_config *n)
{
    struct agent *ag = c->ag;
    if (!str_eq(n->instance, ag->boot.instance) || !str_eq(n->cluster_uid, ag->boot.cluster_uid))
        return error_set(&c->err, ERRC_CONFLICT, "this is instance \"%.*s\" of another cluster",
                         STR_ARG(ag->boot.instance));
    if (ag->has_config && n->version < ag->config.version)
        return error_set(&c->err, ERRC_CONFLICT, "configuration %lld is older than %lld", (long long)n->version,
                         (long long)ag->config.version);
    if (n->host.len == 0 || n->port <= 0 || n->port > 65535 || n->certificate_pem.len == 0 || n->ca_pem.len == 0)
        return error_set(&c->err, ERRC_INVALID, "configuration lacks address, port or certificates");
    return 0;
}

static int configure(struct call *c)
{
    struct agent *ag = c->ag;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct json *tree = json_copy(a, c->body);
    struct agent_config next;
    int64_t term = 0;
    int r = agent_config_from_json(a, tree, &next, &c->err);
    if (r == 0)
        r = check_term(c, &term);
    if (r == 0)
        r = check_config(c, &next);
    if (r == 0)
        r = fs_write_atomic(ag->path.config, json_text(a, tree), 0600, &c->err);
    if (r == 0)
        r = raise_term(c, term);
    if (r != 0)
        return r;
    arena_free(ag->config_arena);
    ag->config_arena = TAKE(a);
    ag->config = next;
    ag->has_config = true;
    agent_http_renew(ag);
    atomic_store(&ag->port, next.port);
    ag->is_failed = false;
    ag->retry_ns = 0;
    c->answer = JSON_OBJECT_OF(c->arena, JSON_MEMBER("version", json_int(c->arena, next.version)),
                               JSON_MEMBER("term", json_int(c->arena, ag->durable.term)));
    return 0;
}

/* ---- prepare ------------------------------------------------------------------------------------------------- */

static bool is_decided(const struct agent *ag, int64_t term)
{
    return term == ag->durable.term &&
           (ag->durable.granted || (ag->has_config && ag->config.term == term && ag->config.primary.len > 0));
}

static int answer_report(struct call *c)
{
    struct agent_report report;
    report_fill(c->ag, c->arena, &report);
    c->answer = agent_report_to_json(c->arena, &report);
    return 0;
}

/*
 * While it still serves: what is dirty goes to disk and the archiver loses its work, so that the stop itself has little
 * left to do. The outage of a switchover is the time of that stop. Failing here only makes it longer.
 */
static void ease_stop(struct agent *ag)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    CLEANUP(pg_closep) struct pg *pg = NULL;
    struct error err;
    bool changed;
    int64_t deadline_ns = deadline_in_ms(EASE_STOP_MS);
    int r = pg_connect_local(ag, "postgres", deadline_ns, &pg, &err);
    if (r == 0)
        r = pg_query(pg, a, "CHECKPOINT", NULL, deadline_ns, NULL, &err);
    if (r == 0)
        r = conf_write(ag, CONF_STOPPING, &changed, &err);
    if (r != 0)
        log_warn("the stop is not eased", LOG_ERROR(&err));
    else if (changed)
        postgres_reload(ag);
}

static int prepare(struct call *c)
{
    struct agent *ag = c->ag;
    int64_t term = 0;
    int r = check_term(c, &term);
    if (r != 0)
        return r;
    if (is_decided(ag, term)) {
        c->is_decided = true;
        return error_set(&c->err, ERRC_CONFLICT, "term %lld has a primary", (long long)term);
    }
    r = raise_term(c, term);
    if (r != 0)
        return r;
    bool must_stop = str_eq(json_str_at(c->body, "want"), S("stop"));
    if (ag->pm.pid != 0 && ag->pm.as_standby && ag->is_frozen)
        return answer_report(c); /* it receives nothing and takes no writes, also while it still starts */
    if (ag->pm.pid != 0 && (must_stop || !ag->pm.as_standby || !ag->pm.is_ready)) {
        int64_t patience_ms = json_int_at(c->body, "patience_ms", STOP_PATIENCE_MS);
        bool serves = !ag->pm.as_standby && ag->pm.is_ready;
        if (serves)
            ease_stop(ag);
        /* Crash recovery that is broken off begins anew the next time: no clean end is worth waiting for. */
        r = postgres_stop(ag, serves || ag->pm.as_standby ? STOP_FAST : STOP_IMMEDIATE, patience_ms, &c->err);
    } else if (ag->pm.pid != 0) {
        r = freeze_run(ag, deadline_in_ms(FREEZE_DEADLINE_MS), &c->err);
    }
    if (r != 0)
        return r;
    ag->stopped_by_order = ag->stopped_by_order || must_stop || ag->pm.pid == 0;
    return answer_report(c);
}

/* ---- promote, restart, backup, shutdown ---------------------------------------------------------------------- */

static int promote(struct call *c)
{
    struct agent *ag = c->ag;
    int64_t term = 0, timeline = json_int_at(c->body, "timeline", 0);
    int r = check_term(c, &term);
    if (r != 0)
        return r;
    if (term == ag->durable.term && ag->durable.granted)
        return ag->durable.granted_timeline == timeline
                   ? 0
                   : error_set(&c->err, ERRC_CONFLICT, "promoted to timeline %lld in this term already",
                               (long long)ag->durable.granted_timeline);
    if (timeline <= 1)
        return error_set(&c->err, ERRC_INVALID, "timeline is missing");
    if (!ag->durable.has_data || !ag->durable.usable || ag->durable.rewinding || ag->is_busy)
        return error_set(&c->err, ERRC_CONFLICT, "the data here is not usable");
    if (term == ag->durable.term && ag->has_config && ag->config.term == term && ag->config.primary.len > 0 &&
        !str_eq(ag->config.primary, ag->boot.instance))
        return error_set(&c->err, ERRC_CONFLICT, "\"%.*s\" is the primary of this term", STR_ARG(ag->config.primary));
    struct durable next = ag->durable;
    next.term = term;
    next.granted = true;
    next.granted_timeline = timeline;
    state_note_timeline(&next, timeline, term);
    r = promote_undo(ag, &c->err);
    if (r == 0)
        r = state_write(ag, &next, &c->err);
    if (r != 0)
        return r;
    ag->durable = next;
    ag->may_write_term = term;
    ag->stopped_by_order = ag->is_failed = false;
    ag->retry_ns = 0;
    return 0;
}

static int restart(struct call *c)
{
    struct agent *ag = c->ag;
    str id = json_str_at(c->body, "id");
    int r = check_own_term(c);
    if (r != 0)
        return r;
    if (id.len == 0 || id.len >= sizeof(ag->restart_id))
        return error_set(&c->err, ERRC_INVALID, "id is missing or too long");
    if (str_eq_z(id, ag->durable.last_restart_id))
        return 0;
    str meant = json_str_at(c->body, "postmaster");
    if (meant.len > 0 && !str_eq(meant, board_postmaster_name(ag, c->arena, ag->pm.start_ns)))
        return 0; /* what it was needed for is done */
    (void)snprintf(ag->restart_id, sizeof(ag->restart_id), "%.*s", STR_ARG(id));
    ag->is_failed = false;
    return 0;
}

static int backup(struct call *c)
{
    struct agent *ag = c->ag;
    int r = check_own_term(c);
    if (r == 0 && (!ag->durable.granted || !ag->pm.is_ready || ag->pm.as_standby))
        r = error_set(&c->err, ERRC_CONFLICT, "a backup is taken on the primary, while it runs");
    if (r == 0)
        r = backup_begin(ag, c->body, &c->err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&ag->lock);
    int64_t nonce = ag->board.nonce;
    pthread_mutex_unlock(&ag->lock);
    struct arena *a = c->arena;
    c->answer = JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, ag->durable.term)),
                               JSON_MEMBER("incarnation", json_string(a, str_from(ag->incarnation))),
                               JSON_MEMBER("nonce", json_int(a, nonce)));
    return 0;
}

static int shutdown_agent(struct call *c)
{
    struct agent *ag = c->ag;
    ag->is_stopping = true;
    ag->shutdown_mode = str_eq(json_str_at(c->body, "mode"), S("immediate")) ? STOP_IMMEDIATE : STOP_FAST;
    ag->remove_data = json_bool_at(c->body, "remove_data", false);
    return 0;
}

/* ---- dispatch ------------------------------------------------------------------------------------------------ */

static const struct {
    str path;
    int (*fn)(struct call *c);
} routes[] = {
    { S_INIT("/v1/configure"), configure }, { S_INIT("/v1/prepare"), prepare },
    { S_INIT("/v1/promote"), promote },     { S_INIT("/v1/restart"), restart },
    { S_INIT("/v1/backup"), backup },       { S_INIT("/v1/shutdown"), shutdown_agent },
};

static int status_code(int r)
{
    switch (r) {
    case 0: return 200;
    case ERRC_CONFLICT: return 409;
    case ERRC_INVALID: return 400;
    case ERRC_NOT_FOUND: return 404;
    default: return 503;
    }
}

static void answer(struct call *c, struct http_deferred *d, int r)
{
    static const struct http_header type[] = { { S_INIT("content-type"), S_INIT("application/json") } };
    struct arena *a = c->arena;
    const struct json *term = json_int(a, c->ag->durable.term);
    const struct json *body = c->answer ? c->answer : JSON_OBJECT_OF(a, JSON_MEMBER("term", term));
    if (r != 0)
        body =
            JSON_OBJECT_OF(a, JSON_MEMBER("message", json_string(a, str_from(c->err.text))), JSON_MEMBER("term", term),
                           JSON_MEMBER("decided", c->is_decided ? &json_true_value : NULL));
    const struct http_response res = {
        .status = status_code(r), .headers = type, .header_count = ARRAY_LEN(type), .body = json_text(a, body)
    };
    http_deferred_respond(d, &res);
}

static int run_one(struct call *c, str path, str text)
{
    int r = json_parse(c->arena, text, NULL, &c->body, &c->err);
    if (r != 0)
        return ERRC_INVALID;
    if (!json_is(c->body, JSON_OBJECT))
        return error_set(&c->err, ERRC_INVALID, "the message must be an object");
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (str_eq(path, routes[i].path))
            return routes[i].fn(c);
    return error_set(&c->err, ERRC_NOT_FOUND, "no such page");
}

static void serve(struct agent *ag, struct command *command)
{
    if (command->is_shutdown) {
        ag->is_stopping = true;
        ag->shutdown_mode = STOP_FAST;
        return;
    }
    struct call c = { .ag = ag, .arena = arena_new() };
    const struct http_request *req = http_deferred_request(command->deferred);
    str path = arena_str(c.arena, req->path);
    int r = run_one(&c, path, req->body);
    if (r != 0)
        log_warn("refused", LOG_STR("command", path), LOG_ERROR(&c.err));
    answer(&c, command->deferred, r);
    arena_free(c.arena);
    board_update(ag);
}

void commands_run(struct agent *ag)
{
    uint64_t count;
    /* Not blocking: 0 or more wake-ups become one look at the queue. */
    (void)!read(ag->wake_fd, &count, sizeof(count));
    for (struct command *c; (c = queue_pop(ag->commands, 0));) {
        serve(ag, c);
        mem_free(c);
    }
}

bool commands_want_abort(const struct agent *ag)
{
    if (ag->is_stopping)
        return true;
    /* A copy from a primary that is none any more is of no use; one that may come back as primary is. */
    return ag->is_busy && ag->source[0] != '\0' && ag->has_config && ag->config.term == ag->durable.term &&
           ag->config.primary.len > 0 && !str_eq_z(ag->config.primary, ag->source);
}
