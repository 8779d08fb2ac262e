/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bed for real agents: a cluster CA, instances on ports of their own, and a leader made of three calls (configure,
 * command, wait for a status). It answers every heartbeat as a leader does. For tests only.
 */
#ifndef INTEGRATION_AGENT_BED_H
#define INTEGRATION_AGENT_BED_H

#include <pthread.h>
#include <sys/types.h>

#include "agent/message.h"
#include "base/process.h"
#include "harness/wait.h"
#include "kube/http_client.h"
#include "pki/pki.h"

#define BED_INSTANCES_MAX 4
#define BED_TEST_S 1200 /* only a test that hangs is ended by it */

struct bed;

struct instance {
    struct bed *bed;
    char name[16], host[32], dir[128];
    int port, agent_port;
    pid_t pid; /* of the agent, 0: not running */
    struct http_client_stream *stream;
    int64_t config_version;
    pthread_mutex_t lock; /* protects what follows */
    struct arena *status_arena;
    struct agent_status status;
    int64_t heard_ns, crashed_ns; /* when a status came; when the first that says "crashed" came */
    size_t heard_count;           /* statuses so far */
    bool is_answered;
    bool stream_ended;
};

struct bed {
    struct arena *arena;
    char dir[64];
    uid_t uid;
    gid_t gid;
    bool has_user;
    struct pki_pair ca, leader;
    struct http_client *client;
    struct instance instances[BED_INSTANCES_MAX];
    size_t count;
    /* what the leader says */
    int64_t term, timeline;
    const char *primary;
    bool may_start;         /* the word that lets a primary start in place */
    bool is_silent;         /* answers no heartbeat */
    int64_t crash_grace_ms; /* so long that no test is overtaken by it, unless it asks for less */
    bool is_initialized;
    const char *sync_names;
    const char *postgres_bin; /* NULL: Debian's */
    int64_t log_max_bytes;    /* 0: as the agent has it */
    const struct json *parameters, *repositories;
};

void bed_open(struct bed *b, size_t instances);
/* A folder in the bed's that belongs to the instances' user; its path. */
str bed_make_folder(struct bed *b, const char *name);
/* Ends every agent and removes the folder. */
void bed_close(struct bed *b);

void instance_launch(struct instance *i);
/* By a shell that runs this before it becomes the agent: `… exec "$@"`. */
void instance_launch_by(struct instance *i, const char *script);
/* SIGKILL to the agent alone. */
void instance_kill_agent(struct instance *i);
void instance_connect(struct instance *i);
void instance_configure(struct instance *i);
void bed_configure_all(struct bed *b);

/* Opens the bed, starts every agent, the first instance as primary, the others as standbys that stream. */
void bed_bring_up(struct bed *b, size_t count);
/* The same for a bed that is open already. */
void bed_start(struct bed *b);
/* A new agent for one that is dead. */
void instance_relaunch(struct instance *i);
/* SIGKILL to the agent and its postmaster. */
void instance_kill_all(struct instance *i);
void instance_wait_rows(struct instance *i, const char *wanted);
/* What stands in "agent.log" or another file of its folder. */
str instance_log(struct instance *i, const char *name);

/* A new certificate with its key, as the real leader makes them; of the bed's arena. */
struct pki_pair instance_identity(const struct instance *i);

/* One command; the answer in the bed's arena. Returns the HTTP code, 0 when there was none. */
int instance_command(struct instance *i, const char *path, const struct json *body, const struct json **ret);
struct agent_report instance_prepare(struct instance *i, const char *want);
void instance_promote(struct instance *i, int64_t timeline);

/* SIGKILL to PostgreSQL; returns after how many milliseconds its agent said so. No heartbeat is answered meanwhile. */
int64_t instance_crash(struct instance *i);

typedef bool (*status_fn)(const struct agent_status *s);
/* Answers heartbeats until the condition holds of the newest status; false: not within this time. */
bool instance_becomes(struct instance *i, status_fn is_so, int64_t ms);
/* The same, or fails the test. */
void instance_wait(struct instance *i, const char *what, status_fn is_so);
bool is_running_primary(const struct agent_status *s);
bool is_streaming_standby(const struct agent_status *s);
bool is_crashed(const struct agent_status *s);
bool is_stopped(const struct agent_status *s);
/* A copy that stays. */
struct agent_status instance_status(struct instance *i);

/* psql as the superuser over the private socket; fails the test on an error. */
str instance_sql(struct instance *i, const char *database, const char *sql);
/* The same as the application over TLS with its password. */
str instance_app_sql(struct instance *i, const char *sql);
/* A zombie that nobody reaps does not count. */
bool process_lives(pid_t pid);
pid_t instance_postmaster(struct instance *i);
/* True when nobody holds the lock of the folder. */
bool instance_is_free(struct instance *i);
/* How the instances' user runs a program. */
struct process_spec bed_spec(const struct bed *b, const char *const *argv);
/* The program as the instances' user; its standard output. */
str bed_run(struct bed *b, const char *const *argv, const char *const *env);

#endif
