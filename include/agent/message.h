/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What leader and agent say to each other (JSON over mutual TLS, HTTP/2). The leader dials. Every body and answer is an
 * object; a refusal has {message} and, with 409, also {term}: the agent's own promise.
 *
 * GET  /v1/stream     agent → leader: one `status` per line, at every change and each 0.5 s, as long as the leader
 *                     stays. Each carries a nonce.
 * POST /v1/exchange   {nonce, term, grant, mayStart}: the leader's answer to a status; later the lease rides here.
 *                     grant: the record says that this instance is the primary of this term. mayStart: it may start
 *                     PostgreSQL writable in place. A new incarnation starts it only on this word (rule 6).
 * POST /v1/configure  agent_config, the whole wanted state. Level-triggered: kept on disk (0600), worked towards also
 *                     after a restart and without a leader. Answers {version, term} once it is on disk.
 * POST /v1/prepare    {term, reason, want: "freeze" | "stop", patience_ms}, rules 17–20: persist the term, then end the
 *                     WAL receiver for good (standby, freeze) or stop PostgreSQL (a primary, or stop), only then answer
 *                     agent_report. patience_ms: what a clean stop may take before it becomes an immediate one.
 *                     An answer whose position is not known yet is not usable; the agent looks for it, ask again.
 *                     409 {decided: true} when this term has a primary already (18).
 * POST /v1/promote    {term, timeline}, rules 27–28; answers {term} when it is on disk and begun; phase and timeline of
 *                     the status say when it is done, or phase "failed" why not.
 * POST /v1/restart    {term, id, postmaster?}: restart PostgreSQL once per id. postmaster: only that one of the status;
 *                     nothing happens when another one runs by now, or none. Also ends the wait after a crash.
 * POST /v1/backup     {term, id, type: "full" | "differential" | "incremental", repository}: pgBackRest as a child;
 *                     progress and result in status.task. Answers {term, incarnation, nonce}: each status of that
 *                     incarnation with a greater nonce has the task; an older one may still be on its way.
 * POST /v1/shutdown   {term, mode: "fast" | "immediate", remove_data}: answers, then stops PostgreSQL and the agent.
 * GET  /v1/health     200 while the agent lives; needs no certificate of the leader, only one of the cluster.
 *
 * Rules that hold for every message (model/README.md numbers): 2 nothing is answered before what the answer says is on
 * disk; 3 a lower term is refused; only the certificate with CN "leader" of the cluster's CA may command. Unknown
 * fields are ignored on both sides and every message carries {protocol: N}, so that one side may be a version older.
 *
 * A crash of PostgreSQL alone: phase "crashed" is said as soon as every process was reaped. It is a statement about
 * that moment, not a promise: the agent starts PostgreSQL in the same term when the leader's word (mayStart, or
 * restart) comes, or by itself after crash_grace_ms without any word. To replace that primary the leader asks it to
 * prepare: its answer is the proof of rule 44a.
 *
 * Texts and trees of a decoded message lie where the JSON value has them; those of an encoded one where the struct has
 * them. Nothing is copied.
 */
#ifndef AGENT_MESSAGE_H
#define AGENT_MESSAGE_H

#include "base/error.h"
#include "json/json.h"

#define AGENT_PROTOCOL 1
#define AGENT_LEADER_CN "leader"
#define AGENT_HEARTBEAT_MS 500
#define AGENT_CRASH_GRACE_MS 1000

enum agent_phase {
    AGENT_STARTING,     /* no configuration yet, or PostgreSQL is coming up */
    AGENT_INITIALIZING, /* initdb */
    AGENT_COPYING,      /* pg_basebackup */
    AGENT_REWINDING,    /* pg_rewind */
    AGENT_RUNNING,
    AGENT_STOPPED, /* PostgreSQL is down because it was told so */
    AGENT_CRASHED, /* PostgreSQL is down although it should run; every process of it was reaped (rule 44a) */
    AGENT_FAILED,  /* cannot go on: message says why */
};

/* agent → leader, one per line of the stream. Zero and empty mean unknown. */
struct agent_status {
    int64_t protocol;
    int64_t nonce;
    str incarnation;          /* random per start of the agent (rule 4) */
    str previous_incarnation; /* of the same data folder; with the folder's lock held this proves its death (rule 44b)
                               */
    str instance;
    str cluster_uid;
    int64_t term;   /* promised, durable */
    str granted_to; /* instance name this term's promote made primary here, or empty (rule 7) */
    str phase;      /* agent_phase_name */
    str message;
    str progress;           /* "copied 120 MiB of 480 MiB" */
    int64_t config_version; /* of the configuration that was accepted: it is on disk, and worked towards */
    int64_t loaded_version; /* of the one that is in force: PostgreSQL has loaded everything that was written for it,
                               and what follows about restarts is about it; 0: not (yet) */

    bool postgres_running;
    bool in_recovery;
    bool usable; /* rule 24/33 */
    str system_identifier;
    int64_t timeline;
    int64_t wal_term; /* term whose primary wrote its last WAL record, as far as it knows (rule 23) */
    str lsn;          /* primary: written; standby: received and flushed — "0/3000060" */
    str flush_lsn;
    str replay_lsn;
    bool streaming; /* standby: its WAL receiver streams from the configured primary */
    bool frozen;
    double lag_seconds;
    int64_t sessions;
    int64_t started_at_s;   /* unix, of the postmaster */
    str postgres_version;   /* "15.20" */
    str postmaster;         /* names this very start of PostgreSQL; empty: it does not run */
    int64_t failed_starts;  /* how often in a row it died before it served; each makes the next start later */
    int64_t recovery_bytes; /* a primary that died: WAL since its last checkpoint, which a restart replays */
    bool pending_restart;   /* a restart puts more of the configuration in force, at once or once the primary has
                               restarted */
    str pending_restart_names;
    /* Limits that a standby may not have below its primary's. Primary first: one falls; on a standby: and it must keep
     * the old one, since the WAL that it has replayed still demands it. Standbys first: one rises. */
    bool restart_primary_first, restart_standbys_first;
    str pending_elsewhere_names; /* wait for a restart, but not because of the configuration (ALTER SYSTEM) */
    str config_error;            /* what PostgreSQL refuses of the configuration */
    bool write_probe_ok;         /* primary: a bounded write+fsync worked */
    bool health_ok;              /* the last libpq probe answered in time */
    str health_error;
    str archive_error;  /* primary: why WAL is not archived and piles up; empty: it is, or there is no repository */
    str not_replicated; /* primary: what of it no other instance has or can have; empty: nothing */
    int64_t data_used_bytes, data_free_bytes;
    /* standbys that stream from here: [{name, sent_lsn, flush_lsn, replay_lsn, state, sync_state}] */
    const struct json *replication;
    str last_restart_id;
    /* newest task: {id, kind:"backup", state:"running"|"succeeded"|"failed", progress, error, result:{…}} or NULL */
    const struct json *task;
};

/* Answer to prepare (rule 19d, 20). */
struct agent_report {
    int64_t term;
    bool stopped; /* nothing here takes writes: PostgreSQL is down, or up as a frozen standby */
    bool frozen;  /* standby: no receiver runs, the position is final */
    bool usable;  /* may be chosen and counts: the data are whole and the position is known, not guessed */
    int64_t wal_term;
    int64_t timeline;
    str flush_lsn; /* final; after a clean stop: end of the shutdown checkpoint */
    bool clean_shutdown;
    str incarnation;
    str system_identifier;
};

struct agent_peer { /* another instance of the cluster */
    str name;
    str host; /* numeric address */
    int64_t port;
};

/* leader → agent: everything that the instance needs to know. Persisted by the agent, mode 0600. */
struct agent_config {
    int64_t protocol;
    int64_t version;  /* grows with every change; an older one is refused */
    int64_t term;     /* rule 3 */
    int64_t timeline; /* the record's, of `primary`; 0: not known yet. Tells which term wrote which WAL (rule 28) */
    str cluster_uid, cluster_name, namespace_, instance;
    str host; /* where PostgreSQL listens */
    int64_t port;
    int64_t postgres_major;
    str primary;                   /* name of the instance that is primary in `term`; empty: none now */
    const struct json *members;    /* names */
    const struct json *peers;      /* [{name, host, port}], this one included */
    str system_identifier;         /* empty until the first initdb reported one */
    bool may_initialize;           /* this instance creates the cluster: initdb is allowed (only once, by the record) */
    const struct json *initdb;     /* {database, owner, encoding, locale} */
    const struct json *parameters; /* name → text */
    const struct json *hba;        /* lines */
    str synchronous_standby_names; /* what the primary sets; empty: asynchronous */
    const struct json *slots;      /* physical slots this instance must have: names of the other instances */
    const struct json *repositories;          /* [{name, path, retention_full}] */
    str app_user, app_password, app_database; /* password: SCRAM verifier is made by PostgreSQL; never logged */
    str certificate_pem, private_key_pem,
        ca_pem;             /* PostgreSQL's server certificate; also client certificate for replication */
    str stopped_reason;     /* not empty: PostgreSQL must stay down (paused delete, fencing later) */
    bool data_checksums;    /* always true now */
    int64_t crash_grace_ms; /* 0: AGENT_CRASH_GRACE_MS */
};

const char *agent_phase_name(enum agent_phase p);

const struct json *agent_status_to_json(struct arena *a, const struct agent_status *s);
int agent_status_from_json(struct arena *a, const struct json *v, struct agent_status *ret, struct error *err) MUST_USE;
const struct json *agent_report_to_json(struct arena *a, const struct agent_report *r);
int agent_report_from_json(struct arena *a, const struct json *v, struct agent_report *ret, struct error *err) MUST_USE;
const struct json *agent_config_to_json(struct arena *a, const struct agent_config *c);
int agent_config_from_json(struct arena *a, const struct json *v, struct agent_config *ret, struct error *err) MUST_USE;

/* "0/3000060" ↔ number; false when malformed. */
bool lsn_parse(str text, uint64_t *ret);
str lsn_format(struct arena *a, uint64_t lsn);

#endif
