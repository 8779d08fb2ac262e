/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What others may see of the agent, under one lock, and its way to the leader: the status as one line, made once and
 * sent to every open stream on its loop.
 */
#include <stdarg.h>
#include <stdio.h>

#include "agent.h"
#include "base/blob.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "http.h"
#include "json/json_write.h"

void board_say(struct agent *ag, enum agent_phase phase, const char *fmt, ...)
{
    char text[sizeof(ag->board.message)];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    pthread_mutex_lock(&ag->lock);
    bool changed = ag->board.phase != phase || strcmp(ag->board.message, text) != 0;
    ag->board.phase = phase;
    memcpy(ag->board.message, text, sizeof(text));
    ag->board.progress[0] = '\0';
    pthread_mutex_unlock(&ag->lock);
    if (changed)
        log_info("phase", LOG_Z("phase", agent_phase_name(phase)), LOG_Z("message", text));
    board_update(ag);
}

void board_progress(struct agent *ag, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    pthread_mutex_lock(&ag->lock);
    (void)vsnprintf(ag->board.progress, sizeof(ag->board.progress), fmt, args);
    pthread_mutex_unlock(&ag->lock);
    va_end(args);
    board_publish(ag);
}

/* The prober's words about a server that is gone are no longer true; its last position stays the last word. */
static void clear_probed(struct board *b)
{
    b->streaming = b->health_ok = b->write_probe_ok = false;
    b->sessions = 0;
    b->lag_seconds = 0;
    b->pending = (struct pending) { 0 };
    b->loaded_mark[0] = b->config_error[0] = b->health_error[0] = b->archive_failing[0] = '\0';
    b->not_replicated[0] = '\0';
    b->prepared = -1;
    b->replication = NULL;
}

/* With the lock held. Whether the status says something else than the newest line did; the newest is this one then. */
static bool has_news(struct board *b, struct arena *a, struct agent_status s)
{
    STRBUF_AUTO text = STRBUF_INIT(256u << 10);
    s.nonce = 0;
    json_write(&text, agent_status_to_json(a, &s));
    if (b->published && str_eq(blob_str(b->published), strbuf_str(&text)))
        return false;
    (void)blob_unref(b->published);
    b->published = blob_new(strbuf_str(&text));
    return true;
}

static void publish(struct agent *ag, bool is_heartbeat)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    STRBUF_AUTO line = STRBUF_INIT(256u << 10);
    pthread_mutex_lock(&ag->lock);
    struct agent_status s = board_status(ag, a);
    bool is_due = has_news(&ag->board, a, s) || is_heartbeat;
    if (is_due) {
        s.nonce = ++ag->board.nonce;
        json_write(&line, agent_status_to_json(a, &s));
        strbuf_add_char(&line, '\n');
    }
    /* Still locked: lines are sent in the order of their nonces, whichever threads write them. */
    if (is_due && !line.is_full) /* never full: every part has its own limit */
        agent_http_broadcast(ag, blob_new(strbuf_str(&line)));
    pthread_mutex_unlock(&ag->lock);
}

void board_update(struct agent *ag)
{
    pthread_mutex_lock(&ag->lock);
    struct board *b = &ag->board;
    b->term = ag->durable.term;
    b->granted = ag->durable.granted;
    b->config_version = ag->has_config ? ag->config.version : 0;
    b->running = ag->pm.pid != 0;
    b->is_ready = ag->pm.is_ready;
    b->started_at_s = ag->pm.started_at_s;
    b->start_ns = ag->pm.start_ns;
    b->usable = ag->durable.usable && ag->durable.has_data;
    b->frozen = ag->is_frozen;
    b->failed_starts = ag->failed_starts;
    if (b->is_ready)
        b->recovery_bytes = 0;
    if (ag->pm.pid == 0 || ag->pm.as_standby)
        b->in_recovery = ag->pm.pid != 0;
    else if (ag->pm.is_ready)
        b->in_recovery = false;
    b->wal_term = state_term_of(&ag->durable, b->timeline);
    (void)snprintf(b->last_restart_id, sizeof(b->last_restart_id), "%s", ag->durable.last_restart_id);
    if (!b->is_ready)
        clear_probed(b);
    pthread_mutex_unlock(&ag->lock);
    publish(ag, false);
}

static str lsn_or_empty(struct arena *a, uint64_t lsn)
{
    return lsn > 0 ? lsn_format(a, lsn) : S("");
}

static str archive_error(struct arena *a, const struct board *b)
{
    if (b->archive_failing[0] == '\0')
        return S("");
    return arena_printf(a, "WAL %s cannot be archived, %lld files wait and keep their room on the volume%s%s",
                        b->archive_failing, (long long)b->archive_waiting, b->archive_words[0] ? ": " : "",
                        b->archive_words);
}

/* The worker's words; where it has none, what the disk says. */
static str message(struct arena *a, const struct board *b)
{
    if (b->message[0] == '\0' && b->write_probe_failed)
        return S("the volume does not take a write in time: it hangs, is full or broken");
    return arena_str(a, str_from(b->message));
}

str board_postmaster_name(const struct agent *ag, struct arena *a, int64_t start_ns)
{
    if (start_ns == 0)
        return S("");
    return arena_printf(a, "%.8s-%lld", ag->incarnation, (long long)start_ns);
}

struct agent_status board_status(struct agent *ag, struct arena *a)
{
    const struct board *b = &ag->board;
    return (struct agent_status) {
        .protocol = AGENT_PROTOCOL,
        .incarnation = str_from(ag->incarnation),
        .previous_incarnation = str_from(ag->previous_incarnation),
        .instance = ag->boot.instance,
        .cluster_uid = ag->boot.cluster_uid,
        .term = b->term,
        .granted_to = b->granted ? ag->boot.instance : S(""),
        .phase = str_from(agent_phase_name(b->phase)),
        .message = message(a, b),
        .progress = arena_str(a, str_from(b->progress)),
        .config_version = b->config_version,
        .loaded_version = loaded_is_all(b) ? b->written_version : 0,
        .postgres_running = b->running,
        .in_recovery = b->in_recovery,
        .usable = b->usable,
        .system_identifier = arena_str(a, str_from(b->system_identifier)),
        .timeline = b->timeline,
        .wal_term = b->wal_term,
        .lsn = lsn_or_empty(a, b->lsn),
        .flush_lsn = lsn_or_empty(a, b->flush_lsn),
        .replay_lsn = lsn_or_empty(a, b->replay_lsn),
        .streaming = b->streaming,
        .frozen = b->frozen,
        .lag_seconds = b->lag_seconds,
        .sessions = b->sessions,
        .started_at_s = b->started_at_s,
        .postgres_version = arena_str(a, str_from(b->version)),
        .postmaster = board_postmaster_name(ag, a, b->start_ns),
        .failed_starts = b->failed_starts,
        .recovery_bytes = b->recovery_bytes,
        .pending_restart = b->pending.needs_restart,
        .pending_restart_names = arena_str(a, str_from(b->pending.names)),
        .restart_primary_first = b->pending.primary_first,
        .restart_standbys_first = b->pending.standbys_first,
        .pending_elsewhere_names = arena_str(a, str_from(b->pending.elsewhere_names)),
        .config_error =
            arena_printf(a, "%s%s%s", b->demanded, b->demanded[0] && b->config_error[0] ? "; " : "", b->config_error),
        .write_probe_ok = b->write_probe_ok,
        .health_ok = b->health_ok,
        .health_error = arena_str(a, str_from(b->health_error)),
        .archive_error = archive_error(a, b),
        .not_replicated = arena_str(a, str_from(b->not_replicated)),
        .data_used_bytes = b->data_used_bytes,
        .data_free_bytes = b->data_free_bytes,
        .replication = b->replication,
        .last_restart_id = arena_str(a, str_from(b->last_restart_id)),
        .task = b->task,
    };
}

void board_publish(struct agent *ag)
{
    publish(ag, true);
}
