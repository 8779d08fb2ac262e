/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's inside: what its files share. One worker thread owns PostgreSQL, the durable state and the configuration
 * and works towards what the leader wants; the HTTP loop only queues commands for it; the prober measures. What others
 * may see stands on the `board`, under its lock.
 */
#ifndef RECONCILE_AGENT_AGENT_H
#define RECONCILE_AGENT_AGENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "agent/message.h"
#include "base/arena.h"
#include "base/list.h"
#include "base/queue.h"
#include "base/thread.h"
#include "http/server.h"

#define AGENT_SUPERUSER "postgres"
#define AGENT_REPLICA_ROLE "streaming_replica"
#define AGENT_WAL_TERMS_MAX 64
#define AGENT_LOG_MAX_BYTES (INT64_C(8) << 20)
#define CONF_LIMITS 5 /* what a hot standby must have at least as much of as its primary: conf_limit_names */

/* ---- what is known from the start (main.c, bootstrap.c) -------------------------------------------------------- */

struct bootstrap {
    str instance, cluster, namespace_, cluster_uid, host;
    int64_t agent_port;
    str ca_pem, certificate_pem, private_key_pem;
    str postgres_bin;      /* optional: folder of PostgreSQL's programs */
    int64_t log_max_bytes; /* optional: a log is rotated at this size */
};

struct paths {
    const char *dir, *pgdata, *pgdata_new, *sock, *conf, *pki, *run;
    const char *state, *config, *lock, *pid_file, *agent_log, *postgres_log;
    const char *conf_file, *hba_file, *ident_file, *pgbackrest_file;
};

/* ---- durable state, rule 1 (state.c) --------------------------------------------------------------------------- */

struct durable {
    int64_t term;             /* promised */
    bool granted;             /* this instance is the primary of `term` (rule 7) */
    int64_t granted_timeline; /* T of that promote, 0: that of the initdb */
    bool has_data;            /* pgdata was made by us and is complete */
    bool rewinding;           /* pg_rewind was begun and not finished: pgdata must not be started */
    bool usable;              /* rule 33 */
    uint64_t need;            /* usable again once this is flushed here */
    char incarnation[40];     /* of the agent that wrote this */
    char last_restart_id[128];
    struct {
        int64_t timeline, term;
    } wal_terms[AGENT_WAL_TERMS_MAX]; /* which term wrote which timeline (rule 28), newest last */
    size_t wal_term_count;
};

struct agent;

/* Both ERRC_NOT_FOUND when there is none. */
int state_read(struct agent *ag, struct durable *ret, bool *ret_found, struct error *err) MUST_USE;
/* On disk before it returns. On failure nothing was promised. */
int state_write(struct agent *ag, const struct durable *d, struct error *err) MUST_USE;
void state_note_timeline(struct durable *d, int64_t timeline, int64_t term);
int64_t state_term_of(const struct durable *d, int64_t timeline); /* 0: unknown */

/* ---- PostgreSQL's control file (control.c) --------------------------------------------------------------------- */

struct control {
    char state[48];
    char system_identifier[24];
    uint64_t checkpoint, redo, min_recovery;
    int64_t timeline; /* the newest of checkpoint and minimum recovery point */
    int64_t wal_segment_bytes;
    int64_t limits[CONF_LIMITS]; /* what a hot standby must have at least, in the order of conf_limit_names */
};
/* Runs pg_controldata. ERRC_INVALID: the file is missing or broken; anything else says nothing about the data. */
int control_read(struct agent *ag, struct control *ret, struct error *err) MUST_USE;
bool control_was_primary(const struct control *c);
bool control_is_clean_primary(const struct control *c);
/* The end of the record that begins at c->checkpoint: read from the WAL itself. */
int control_checkpoint_end(struct agent *ag, const struct control *c, uint64_t *ret, struct error *err) MUST_USE;
/* The greatest timeline of any WAL segment in pgdata; at least `least`. */
int64_t control_wal_timeline(struct agent *ag, int64_t least);

/* ---- configuration files (conf.c, hba.c) ----------------------------------------------------------------------- */

/* What the data demand of the configuration, so that PostgreSQL starts at all (demands.c). */
struct data_demands {
    int64_t slots, logical_slots, prepared;
};
struct data_demands demands_read(const char *pgdata);
/* Before the configuration is written. Worker only. */
void demands_refresh(struct agent *ag);

/* CONF_STOPPING: a primary about to be stopped; its archiver has nothing to do, or the stop would wait for it. */
enum conf_role { CONF_PRIMARY, CONF_STOPPING, CONF_STANDBY, CONF_FROZEN };

struct conf_input {
    const struct paths *path;
    const struct agent_config *config;
    enum conf_role role;
    const struct json *source;     /* CONF_STANDBY: the peer to stream from */
    const struct control *control; /* standbys: floors of the hot-standby limits; may be NULL */
    bool has_os_user;              /* the name below is known: peer authentication */
    str os_user;
    struct data_demands demands;
    str mark; /* empty: none (loaded.c) */
};
/* Which parameters stay above what is wanted because of `demands`, for people; empty: none. */
str conf_demanded(struct arena *a, const struct conf_input *in);
int conf_text(struct arena *a, const struct conf_input *in, str *ret, struct error *err) MUST_USE;
str hba_text(struct arena *a, const struct conf_input *in);
str ident_text(struct arena *a, const struct conf_input *in);
str pgbackrest_text(struct arena *a, const struct conf_input *in);
/* Key words for libpq and for primary_conninfo: as a conninfo string (values quoted). */
str conf_conninfo(struct arena *a, const struct conf_input *in, const struct json *peer, const char *database);
/* "pg-1" → "pgi_pg_1" */
str conf_slot_name(struct arena *a, str instance);
const struct json *config_peer(const struct agent_config *c, str name);
/* A parameter that standbys need at least as high as their primary: its position in control.limits, or -1. */
int conf_limit_index(str name);
extern const char *const conf_limit_names[CONF_LIMITS];
/* Which of them a standby must keep above what is wanted, because the WAL that it has replayed demands it. False: none.
 */
bool conf_held_limits(const struct conf_input *in, bool ret[CONF_LIMITS]);
/* Writes all files that differ; *ret_changed tells whether a reload is due. */
int conf_write(struct agent *ag, enum conf_role role, bool *ret_changed, struct error *err) MUST_USE;

/* ---- what ALTER SYSTEM must not change (altered.c) ------------------------------------------------------------- */

/* Below this line of postgresql.conf stands what is the agent's own. */
#define CONF_OWN_LINE "# What follows is the agent's and wins."
/* Whether that text (conf_text) sets it as the agent's own. */
bool conf_owns(str text, str name);
/* Of postgresql.auto.conf all lines but those that set such; *ret_taken: their names; empty: none. */
str altered_without_own(struct arena *a, str file, str text, str *ret_taken);
/* Before PostgreSQL starts. */
int altered_clean(struct agent *ag, struct error *err) MUST_USE;
struct pg;
/* The prober's: what waits for a restart ("max_connections=100") and what comes from postgresql.auto.conf, by lines. */
void altered_reset(struct agent *ag, struct pg *c, str waiting, str altered, int64_t deadline_ns);

/* ---- what of it is in force (loaded.c) ------------------------------------------------------------------------- */

#define LOADED_MARK_NAME "postgres_agent.configuration"

struct pending_input {
    str waiting;          /* what pg_settings says, a line each: "max_connections=100" */
    str written, started; /* the configuration as written and as PostgreSQL was started with */
    const bool *held;     /* of conf_limit_names */
    bool is_standby;
};
struct pending {
    bool needs_restart, primary_first, standbys_first; /* as in agent_status */
    char names[256], elsewhere_names[256];
};
void pending_of(const struct pending_input *in, struct pending *ret);
/* An integer parameter without unit. */
bool conf_integer(str text, int64_t *ret);

struct board;
/* The worker's: this text (and all that its mark stands for) is on disk; PostgreSQL starts with what is written. */
void loaded_note_written(struct agent *ag, str text, str mark, const bool held[CONF_LIMITS]);
void loaded_note_start(struct agent *ag);
/* The prober's, with the lock held: the mark that PostgreSQL shows, and what it says waits for a restart. */
void loaded_take(struct board *b, str mark, str waiting);
/* With the lock held: everything that was written is in force. */
bool loaded_is_all(const struct board *b);

/* ---- the postmaster (postgres_proc.c) -------------------------------------------------------------------------- */

enum stop_mode { STOP_FAST, STOP_IMMEDIATE };

struct postmaster {
    pid_t pid; /* 0: none */
    int pid_fd;
    bool is_ready;        /* accepts connections … */
    int64_t ready_ns;     /* … since then */
    bool as_standby;      /* started in recovery and not promoted since */
    bool is_promoting;    /* was asked to, and may become writable any moment */
    int64_t started_at_s; /* for people */
    int64_t start_ns;     /* CLOCK_MONOTONIC: no clock that is set makes two starts look like one */
    off_t log_offset;     /* where its own words begin, counted from where postgres.log began when we did */
    char wanted[32];      /* starting: the WAL segment that it waits for, */
    int64_t wanted_ns;    /* too long from then on, */
    int64_t look_ns;      /* and when to look again */
};

int postgres_start(struct agent *ag, bool as_standby, struct error *err) MUST_USE;
/* Until it accepts connections; commands are served meanwhile. ERRC_CANCELLED: a command stopped it; ERRC_UNAVAILABLE:
 * it died. ERRC_UNAVAILABLE: it waits for WAL (pm.wanted) that does not come. */
int postgres_wait_ready(struct agent *ag, int64_t deadline_ns, struct error *err) MUST_USE;
/* It starts as a standby and waited for too long for one WAL segment (pm.wanted); all that is here is replayed. */
bool postgres_is_stuck(struct agent *ag);
/* True when it died by itself since the last look: every process of it was reaped. *ret_why: by what, and its own
 * words. */
bool postgres_has_died(struct agent *ag, struct arena *a, str *ret_why);
/* What this run of PostgreSQL wrote in its log about its own end; empty when nothing. */
str postgres_last_words(struct arena *a, str log, pid_t postmaster);
/* Escalates: fast → immediate after patience_ms → SIGKILL of everything. When it returns nothing of it runs. */
int postgres_stop(struct agent *ag, enum stop_mode mode, int64_t patience_ms, struct error *err) MUST_USE;
void postgres_reload(struct agent *ag);

/*
 * lock.c. The lock of a file, which may be somebody's for an instant more: a platform tries it now and then, and a
 * child of an agent that was killed has what it inherited until it runs its own program. False, with errno: it stays
 * another's.
 */
bool lock_take_soon(int fd) MUST_USE;
/* Nothing of the instance but us is left when this returns 0. */
int lock_end_holders(struct agent *ag, struct error *err) MUST_USE;
/* What a PostgreSQL that is gone for sure left, and would keep the next one from starting. */
int lock_remove_files(struct agent *ag, struct error *err) MUST_USE;
/* Processes of an earlier agent: ended; then the lock is ours. */
int postgres_take_lock(struct agent *ag, struct error *err) MUST_USE;

/* ---- long children (child.c) ----------------------------------------------------------------------------------- */

struct child_options {
    const char *const *argv;
    int64_t deadline_ns;
    bool (*on_line)(struct agent *ag, str line); /* of its standard error; may be NULL; true: not worth a log line */
    bool is_reading;    /* it changes nothing in the data: what is here stays as good as it was meanwhile */
    int *ret_exit_code; /* may be NULL; untouched when it did not exit by itself */
};
/* Runs to its end while commands go on being served. ERRC_CANCELLED: one of them made it pointless. */
int child_run(struct agent *ag, const struct child_options *o, struct error *err) MUST_USE;

/* ---- libpq (pg.c) ---------------------------------------------------------------------------------------------- */

struct pg;
struct pg_rows {
    size_t rows, columns;
    const str *cells; /* row by row; a NULL has ptr NULL */
};
int pg_connect(const char *conninfo, int64_t deadline_ns, struct pg **ret, struct error *err) MUST_USE;
void pg_close(struct pg *c);
DEFINE_CLEANUP(struct pg *, pg_close, pg_closep);
int pg_query(struct pg *c, struct arena *a, const char *sql, const char *const *params, int64_t deadline_ns,
             struct pg_rows *ret, struct error *err) MUST_USE;
str pg_cell(const struct pg_rows *rows, size_t row, size_t column);
bool pg_is_true(const struct pg_rows *rows, size_t row, size_t column);
/* Quoted for SQL. */
str pg_literal(struct pg *c, struct arena *a, str text);
str pg_identifier(struct pg *c, struct arena *a, str name);
/* The SCRAM verifier of a password: what the server stores; the password itself never travels. */
int pg_scram(struct pg *c, struct arena *a, str user, str password, str *ret, struct error *err) MUST_USE;
/* The own server, as superuser over its socket. Any thread. */
int pg_connect_local(struct agent *ag, const char *database, int64_t deadline_ns, struct pg **ret, struct error *err)
    MUST_USE;
/* Another instance's database `postgres` with our certificate. */
int pg_connect_peer(struct agent *ag, const struct json *peer, int64_t deadline_ns, struct pg **ret, struct error *err)
    MUST_USE;

/* ---- operations of the worker ---------------------------------------------------------------------------------- */

int initdb_run(struct agent *ag, struct error *err) MUST_USE; /* initdb.c */
/* data.c: pgdata_new is on disk, whole, when this returns. */
int data_sync(struct agent *ag, struct error *err) MUST_USE;
/* Puts pgdata_new in the place of pgdata, which is no more before it. */
int data_replace(struct agent *ag, struct error *err) MUST_USE;
int data_remove(struct agent *ag, const char *path, struct error *err) MUST_USE;
/* roles.c: a session of the primary in which nothing secret is logged and no lock is waited for long. */
int roles_open(struct agent *ag, struct pg **ret, struct error *err) MUST_USE;
/* The role of the other instances, repaired where somebody took it, or a right of it, away; with `all` the
 * application's role and database, too. */
int roles_ensure(struct agent *ag, struct pg *c, bool all, struct error *err) MUST_USE;
int slots_ensure(struct agent *ag, struct error *err) MUST_USE; /* slots.c */
int slots_ensure_in(struct agent *ag, struct pg *c, struct error *err) MUST_USE;
int slots_advance(struct agent *ag, struct error *err) MUST_USE; /* slots.c: standby */
/* A rewind begins, with PostgreSQL down: persists usable = false, and what the source has flushed as need (rule 33). */
int unusable_until_caught_up(struct agent *ag, const struct json *source, struct error *err) MUST_USE;
int source_flushed(struct agent *ag, const struct json *source, uint64_t *ret, struct error *err) MUST_USE;
/* Received and flushed, of the running standby; *ret_is_all: no WAL here that it has not seen is beyond it. */
bool position_ask(struct agent *ag, uint64_t *ret, bool *ret_is_all);
int join_copy(struct agent *ag, const struct json *source, struct error *err) MUST_USE;  /* join.c */
int rewind_run(struct agent *ag, const struct json *source, struct error *err) MUST_USE; /* rewind.c */

/* What a standby may do about its WAL before it follows a primary (follow.c). */
enum follow_verdict { FOLLOW_OK, FOLLOW_REWIND, FOLLOW_COPY, FOLLOW_WAIT };
/* FOLLOW_WAIT: the source cannot be asked or is not the primary of this term yet; err says why. */
enum follow_verdict follow_check(struct agent *ag, const struct json *source, struct error *err);

/* gap.c: a look at a standby that does not stream. True: nobody has the WAL that it needs, must_copy is set. */
bool gap_look(struct agent *ag, const struct json *source);
/* The same for one that waits for WAL before it can serve: pm.wanted. */
bool gap_look_starting(struct agent *ag, const struct json *source);
/* Whether a standby has lost its folder pg_wal, up or down: must_copy is set. */
bool gap_lost_folder(struct agent *ag);

/* history.c: rule 28 */
bool history_is_comment(str text);
/* Where `timeline` ends according to a history file; false when it is no ancestor. */
bool history_fork(str text, int64_t timeline, uint64_t *ret_lsn);
/* Puts comment-only files on every number between own and target. */
int history_skip(struct agent *ag, int64_t own, int64_t target, struct error *err) MUST_USE;
/* Removes every file of a timeline on which nothing was ever written. */
int history_forget(struct agent *ag, int64_t timeline, struct error *err) MUST_USE;
/* Before a start in recovery: removes such files above own, unless a real one above them has it as an ancestor. */
int history_prune(struct agent *ag, int64_t own, struct error *err) MUST_USE;

/* promote.c */
int freeze_run(struct agent *ag, int64_t deadline_ns, struct error *err) MUST_USE;
int promote_run(struct agent *ag, struct error *err) MUST_USE;
/*
 * Before a grant is given up or tried again: ends a promotion under way, and takes away what one left behind that died
 * before its timeline counted. Else its files would make the next attempt take another number, and a report claim WAL
 * of that term.
 */
int promote_undo(struct agent *ag, struct error *err) MUST_USE;
/* Reads pg_control when it is not known; errors as control_read, ERRC_NOT_FOUND: there are no data. */
int control_refresh(struct agent *ag, struct error *err);
void report_fill(struct agent *ag, struct arena *a, struct agent_report *ret);

/* ---- commands (commands.c) ------------------------------------------------------------------------------------- */

struct command {
    struct http_deferred *deferred; /* NULL: from inside */
    bool is_shutdown;               /* inside: SIGTERM */
};
/* Serves what is queued. Worker only; may be called from inside a long operation. */
void commands_run(struct agent *ag);
/* An operation that a command made pointless must stop. */
bool commands_want_abort(const struct agent *ag);

/* ---- what others see (board.c) --------------------------------------------------------------------------------- */

struct board {
    int64_t nonce;          /* of the newest status line */
    struct blob *published; /* that line without its nonce; NULL: none yet */
    /* the worker's words */
    enum agent_phase phase;
    char message[480];
    char progress[120];
    int64_t term, config_version, started_at_s, start_ns, wal_term;
    bool granted, running, usable, frozen;
    int64_t failed_starts, recovery_bytes;
    bool is_ready; /* PostgreSQL accepts connections: worth probing */
    char last_restart_id[128];
    char system_identifier[24];
    /* the worker's, through loaded.c */
    struct arena *written_arena, *started_arena;
    str written, started;
    char written_mark[20];
    int64_t written_version;
    bool held_limits[CONF_LIMITS];
    char demanded[240]; /* conf_demanded */
    /* the prober's */
    char loaded_mark[20]; /* empty: not known */
    struct pending pending;
    char config_error[240];
    bool in_recovery, streaming, health_ok, write_probe_ok, write_probe_failed;
    int64_t timeline, sessions, data_used_bytes, data_free_bytes;
    uint64_t lsn, flush_lsn, replay_lsn;
    double lag_seconds;
    char version[32];
    char health_error[240];
    char not_replicated[900];
    int64_t prepared;         /* transactions; -1: not known */
    char archive_failing[32]; /* the WAL file that the archiver fails with; empty: it does not */
    int64_t archive_waiting;  /* files that wait for it */
    char archive_words[240];  /* of pgBackRest (logs.c) */
    struct arena *replication_arena;
    const struct json *replication;
    /* the backup's */
    struct arena *task_arena;
    const struct json *task;
    /* the leader's newest word (http.c) */
    int64_t word_term, word_ns;
    bool word_grant, word_may_start;
};

void board_say(struct agent *ag, enum agent_phase phase, const char *fmt, ...) PRINTF(3, 4);
void board_progress(struct agent *ag, const char *fmt, ...) PRINTF(2, 3);
/* Takes the worker's own facts over and sends the status when anything changed. */
void board_update(struct agent *ag);
/* Sends the status to every open stream now. Any thread. */
void board_publish(struct agent *ag);
struct agent_status board_status(struct agent *ag, struct arena *a); /* with the lock held */
/* The name of a start of PostgreSQL (its start_ns); empty for 0. */
str board_postmaster_name(const struct agent *ag, struct arena *a, int64_t start_ns);

/* ---- the whole ------------------------------------------------------------------------------------------------- */

struct agent {
    struct arena *arena;
    struct bootstrap boot;
    struct paths path;
    char os_user[64];
    char incarnation[40], previous_incarnation[40];
    int lock_fd, pid_file_fd;
    int wake_fd;  /* eventfd: the worker has something to do */
    int probe_fd; /* eventfd: the prober shall look now */
    struct queue *commands;
    struct http_server *_Atomic server; /* NULL until it listens */
    struct list streams;                /* the loop's: open status streams */
    size_t stream_count;
    struct pool *tasks; /* checkpoints, pgBackRest */
    atomic_bool is_backup_running;
    atomic_bool is_measuring;
    int64_t volume_ns; /* the prober's: when to measure the data folder again */
    atomic_bool is_rotating;
    int64_t logs_ns;                 /* the prober's: when to look at the logs again */
    _Atomic int64_t log_cut;         /* bytes that postgres.log lost at its head since we started */
    atomic_bool is_pushing;          /* leftovers of the archive are on their way */
    _Atomic int64_t stanza_ns;       /* when to try again to make the stanza; 0: it is there, or no repository */
    pthread_mutex_t pgbackrest_lock; /* backups and the making of stanzas: one at a time */
    _Atomic int64_t port;            /* of PostgreSQL, for every thread */
    atomic_bool is_ending;           /* all threads */

    /* the worker's alone */
    struct durable durable;
    struct arena *config_arena;
    struct agent_config config;
    bool has_config;
    struct postmaster pm;
    struct control control;
    bool has_control;
    bool is_busy;                /* a child of ours works on pgdata */
    bool is_stopping;            /* the agent ends */
    bool is_frozen;              /* the running standby has no source, checked */
    char served_fingerprint[80]; /* of the certificate that the HTTP server got from the configuration */
    struct data_demands demands;
    int64_t demands_version; /* of the configuration that they were read for */
    char demands_text[240];  /* what they hold (conf_demanded); empty: nothing */
    bool is_held;            /* a limit of the standby could not fall yet: conf_held_limits */
    bool stopped_by_order;   /* prepare(stop) of this term */
    bool is_failed;          /* phase failed until the leader says something new */
    bool remove_data;
    enum stop_mode shutdown_mode;
    int64_t may_write_term;       /* this incarnation may run writable in that term */
    int64_t crashed_ns;           /* when it died by itself; 0: it did not */
    int64_t ready_term;           /* roles and databases of the primary are in place for this configuration … */
    int64_t ready_config_version; /* … and version */
    int64_t retry_ns;             /* a failed operation is tried again then */
    int64_t retry_ms;
    int64_t failed_starts; /* how often in a row PostgreSQL died before it served */
    int64_t housekeeping_ns, limits_ns;
    int64_t hold_term, hold_ns; /* the term without a primary that is waited in, and since when long enough */
    int64_t followed_term;      /* the running standby was pointed to the primary of this term */
    int64_t lost_ns;            /* not streaming: look at the primary again then */
    bool must_copy;             /* the data here lead nowhere any more: copy_why */
    char copy_why[240];         /* for people; may be empty */
    uint64_t gap_lsn;           /* gap.c: where the standby stood at the last look, */
    int gap_looks;              /* how often in a row its next WAL was missing there, */
    char gap_text[400];         /* and what there is to say about it */
    bool is_rewound;            /* pg_rewind found or made the data an ancestor of the primary's: start it as standby */
    char source[256];           /* the primary that a copy or rewind takes from; empty: a child that needs none */
    char restart_id[128];       /* wanted, not yet done */

    pthread_mutex_t lock; /* protects the board */
    struct board board;
};

void agent_wake(struct agent *ag);
void agent_probe_now(struct agent *ag);
const char *agent_bin(struct agent *ag, struct arena *a, const char *program);
void *supervisor_main(void *arg);                                   /* supervisor.c: the worker */
void *probes_main(void *arg);                                       /* probes.c */
int agent_http_start(struct agent *ag, struct error *err) MUST_USE; /* http.c */
/* Serves with the certificate of the configuration from the next connection on. Worker only. */
void agent_http_renew(struct agent *ag);
int bootstrap_read(struct agent *ag, const char *dir, struct error *err) MUST_USE;
void checkpoint_in_background(struct agent *ag); /* backup.c */
int backup_begin(struct agent *ag, const struct json *body, struct error *err) MUST_USE;
/* How far a backup is according to a line of pgBackRest, in percent; -1: the line does not say. */
int backup_percent(str line);
/* archive.c */
void backup_prepare_repositories(struct agent *ag);
/* Looks in postgres.log for what pgBackRest said last, when the archiver fails. Reads the disk. */
void archive_find_words(struct agent *ag);
/* The prober's: measures the data folder and the room left, now and then, beside everything else (volume.c). */
void volume_look(struct agent *ag);
/* Room left for the instance; -1: unknown. */
int64_t volume_free_bytes(struct agent *ag);
/* The prober's: keeps the logs small, now and then, beside everything else (logs.c). */
void logs_look(struct agent *ag);
/* When the file is larger, all but its last block goes to NAME.1, what was there to NAME.2 …; *ret_cut: how much. */
int logs_rotate(const char *path, int64_t max_bytes, int64_t *ret_cut, struct error *err) MUST_USE;
/* Tries again when the last time failed long enough ago. */
void backup_retry_repositories(struct agent *ag);
/*
 * Segments that this instance finished as a primary and did not archive before it stopped: nobody else has them marked
 * for the archive, so they are pushed from here, in the background.
 */
void backup_push_leftovers(struct agent *ag);

#endif
