/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of the cluster controller. A key ("namespace/name") is worked on by one worker at a time, so a
 * runtime's fields need no lock, except the few that other threads touch.
 */
#ifndef RECONCILE_CLUSTER_INTERNAL_H
#define RECONCILE_CLUSTER_INTERNAL_H

#include <pthread.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "kube/actions.h"
#include "pki/pki.h"
#include "plan.h"
#include "reconcile/events.h"
#include "reconcile/informer.h"
#include "reconcile/manager.h"
#include "reconcile/text.h"
#include "reconcile/workqueue.h"

#define CLUSTER_FINALIZER "postgres.example.io/instances"
#define CLUSTER_LABEL "postgres.example.io/cluster"

/* A certificate from the cluster's CA, of the leader or an instance. */
struct identity {
    struct arena *arena; /* holds the pair; NULL: there is none */
    struct pki_pair pair;
    int64_t from_s, renew_s; /* unix seconds: it is replaced by a new one outside of these */
};

/* What this process knows of an instance beyond its record. */
struct instance_runtime {
    struct cluster_runtime *cluster;
    struct link *link; /* the publisher reads it, and the next two, under cluster->lock */
    bool is_primary;
    char endpoint[80]; /* "host:port" */
    int64_t launched_ns;
    char launch_error[ERROR_TEXT_MAX]; /* of the newest launch; empty: it worked */
    struct arena *sent;                /* holds the texts below; NULL: nothing was sent by this process */
    str sent_config;                   /* content without version */
    str sent_sync_names;
    int64_t sent_version, sent_ns;
    char backup_incarnation[64]; /* of the agent that accepted the newest backup; empty: none by this process */
    int64_t backup_nonce;        /* its statuses up to this one may be older than that */
    int64_t removing_since_ns, shutdown_sent_ns;
    bool was_crashed;
    int64_t crash_ns[8]; /* CLOCK_MONOTONIC of the newest crashes, a ring */
    size_t crash_count;
    struct identity identity;
};

/* The status of a change that begins. A status that the worker writes itself takes its place. */
struct announcement {
    struct arena *arena; /* holds the status */
    const struct json *status;
    bool is_taken; /* the publisher is at it, or done */
};

/* A POST that waits for its answer. */
struct pending_action {
    struct arena *arena; /* holds everything below */
    str action, user;
    const struct json *body;
    bool is_dry_run, is_change;
    bool has_begun;     /* the record says so, or may in a moment; under the cluster's lock */
    bool is_answered;   /* under the cluster's lock: by the worker or by the clock, whoever was first */
    int64_t asked_term; /* in which it was asked for; 0: not known */
    int64_t tried_term; /* of the change it began, or tried to begin; 0: none */
    int64_t deadline_ns;
    action_done_fn done;
    void *done_self;
    struct pending_action *next; /* in `pending`, or in the hands of the worker */
    struct list in_all;          /* until it is freed */
};

struct cluster_runtime {
    struct manager *manager;
    char *key, *namespace_, *name, *uid;
    struct map *instances; /* name → struct instance_runtime */

    struct arena *arena; /* the texts below; they live as long as the runtime */
    bool has_ca, has_secrets;
    struct pki_pair ca;
    struct identity leader;
    str app_password;
    str ca_path;
    char secret_problem[ERROR_TEXT_MAX]; /* why a Secret is not as it should be; empty: all are */

    int64_t down_ns, down_term; /* the primary of that term does not serve since */
    int64_t status_written_ns;
    int64_t change_began_ns; /* of the change that is under way, for its event; 0: none seen by this process */
    int64_t served_term;     /* the newest in which this process saw the primary serve */
    int64_t told_term;       /* the newest change whose beginning was told as an event */
    int64_t outage_ms;       /* so long the primary did not serve until just now; 0: told, or none */
    bool has_told;
    int64_t made_ns;                /* CLOCK_MONOTONIC */
    char phase[32], told_phase[32]; /* of status; the newest that an event told */
    int64_t phase_since_ns;

    pthread_mutex_t lock; /* protects what follows, and the shape of `instances` against the publisher */
    struct pending_action *pending;
    struct list actions;               /* all that are not freed yet */
    size_t changes;                    /* changes of primary that were asked for and are not answered yet */
    int64_t term;                      /* as the newest pass saw it */
    char changing[ERROR_TEXT_MAX];     /* why no other action can begin now; empty: none is under way */
    struct announcement *announcement; /* a status that the publisher is to write, while the worker is at work */
};

struct manager {
    struct kube_client *client;
    struct platform platform;
    struct links *links;
    struct events *events;
    struct action_backend backend;
    bool runs_clusters, runs_backups;
    int64_t certificate_s;     /* 0: as long as is usual */
    struct workqueue *queue;   /* clusters to work on */
    struct workqueue *publish; /* clusters whose instances are to be shown */
    struct informer *clusters, *backups, *secrets;
    pthread_t workers[16];
    size_t worker_count;
    pthread_t publisher;
    bool has_publisher;
    pthread_mutex_t placing; /* held from the look at all placements until the new ones are written */
    pthread_mutex_t lock;    /* protects runtimes (the map, not what it points to); before a runtime's lock */
    struct map *runtimes;    /* key → struct cluster_runtime */
    bool is_stopping;        /* under lock */
};

/* ---- runtime.c ---- */
struct cluster_runtime *runtime__get(struct manager *m, str key, str uid);
struct cluster_runtime *runtime__find(struct manager *m, str key);
/* Answers what waits, closes the links. Only by the worker that has the key, or when no worker runs. */
void runtime__drop(struct manager *m, struct cluster_runtime *c);
struct instance_runtime *runtime__instance(struct cluster_runtime *c, str name);
/* How the platform knows it; in NULL: the cluster as a whole. */
struct platform_instance runtime__platform(const struct cluster_runtime *c, const struct record_instance *in);
/* Opens a link for each instance of the record and closes those of instances that are gone. */
int runtime__sync_links(struct cluster_runtime *c, const struct record *r, struct error *err) MUST_USE;
void runtime__drop_instance(struct cluster_runtime *c, str name);
void runtime__note_crashes(struct cluster_runtime *c, struct cluster_view *v);

/* ---- observe.c ---- */
int observe__cluster(struct cluster_runtime *c, struct arena *a, const struct json *object, struct cluster_view *ret,
                     struct error *err) MUST_USE;
int record__load(struct manager *m, struct arena *a, str uid, bool *ret_found, struct record *ret, struct error *err)
    MUST_USE;
/* Compare-and-swap: r (with the resource_version that was read) becomes the record; r gets the new one. */
int record__save(struct manager *m, struct arena *a, struct record *r, struct error *err) MUST_USE;

/* ---- secrets.c ---- */
/* Makes what is missing, in the record first (which it may save), then in the Secrets. A Secret that cannot be put
 * right stops nothing as long as the record has what stood in it: see secret_problem. */
int secrets__ensure(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct error *err) MUST_USE;
/* For a cluster that is being deleted: the CA if it is still there, to talk to agents; nothing is made. See has_ca. */
int secrets__find_ca(struct cluster_runtime *c, struct arena *a, const struct record *record, struct error *err)
    MUST_USE;
/* Those that are the cluster's own. */
int secrets__remove(struct cluster_runtime *c, struct arena *a, struct error *err) MUST_USE;
/* ---- identities.c ---- */
/* Makes the leader's certificate, and renews in time whichever there are. At the beginning of a pass, since it takes
 * the old ones away. */
int identities__renew(struct cluster_runtime *c, struct error *err) MUST_USE;
/* The certificate of an instance: made when it is asked for first. */
int identities__instance(struct cluster_runtime *c, const struct record_instance *in, struct pki_pair *ret,
                         struct error *err) MUST_USE;

/* ---- config.c ---- */
/* The configuration of one instance, without its version. */
int config__build(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v,
                  const struct record_instance *in, struct agent_config *ret, struct error *err) MUST_USE;
/* Sends every instance its configuration where it differs from what it has; *ret_is_sent: it did somewhere. */
int config__send_all(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, bool *ret_is_sent,
                     struct error *err) MUST_USE;

/* The same for one of them. */
int config__send_one(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, str instance,
                     struct error *err) MUST_USE;

/* ---- act.c, change.c, remove.c ---- */
/* What an agent refuses is no lost race for a record, which nobody needs to hear of. */
static inline int act__refusal(int result)
{
    return result == ERRC_CONFLICT ? ERRC_UNAVAILABLE : result;
}
int act__steps(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, const struct plan *p,
               struct error *err) MUST_USE;
int change__begin(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, const struct step *s,
                  struct error *err) MUST_USE;
int change__continue(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct error *err) MUST_USE;
int change__promote(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct error *err) MUST_USE;
int remove__instance(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, str name, struct error *err)
    MUST_USE;
/* All of a cluster that is being deleted; *ret_done when nothing is left and the finalizer is off. */
int remove__cluster(struct cluster_runtime *c, struct arena *a, const struct json *object, struct cluster_view *v,
                    bool *ret_done, struct error *err) MUST_USE;

/* ---- actions.c ---- */
void actions__submit(void *self, const struct action_request *request, action_done_fn done, void *done_self);
/* Admits, begins or finishes what waits. False: the record was changed, so the view is out of date. */
bool actions__work(struct cluster_runtime *c, struct arena *a, struct cluster_view *v);
/* Answers what waited for too long, whatever the worker is doing meanwhile. On the publisher's thread. */
void actions__expire(struct manager *m, str key);
/* Whether one waits for its end. */
bool actions__is_waiting(struct cluster_runtime *c);
/* While a change of primary is under way others are refused at once. */
void actions__note_change(struct cluster_runtime *c, const struct record *r, bool is_changing);
/* Each answers what waits once; the clock may have been faster. */
void actions__answer(struct cluster_runtime *c, struct pending_action *p, int code, const struct json *body);
void actions__refuse(struct cluster_runtime *c, struct pending_action *p, enum status_reason reason, str why);
/* Answers everything that waits with 503. */
void actions__refuse_all(struct cluster_runtime *c, const char *why);

/* ---- status.c, instances.c, backups.c ---- */
/* Shows that a change begins, written by the publisher: the change itself does not wait for it. */
void status__announce(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v, const struct plan *p);
/* Writes what was announced, unless it is out of date. On the publisher's thread. */
void status__publish(struct manager *m, str key);
void status__drop_announcement(struct cluster_runtime *c);
int status__write(struct cluster_runtime *c, struct arena *a, const struct json *object, const struct cluster_view *v,
                  const struct plan *p, struct error *err) MUST_USE;
/* What keeps a pass from seeing the cluster at all, for people. */
void status__say_blocked(struct cluster_runtime *c, struct arena *a, const struct json *object, str why);
void instances__publish(struct manager *m, str key);
int backups__work(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v, struct error *err) MUST_USE;
/* POST …/backup: makes the PostgresBackup. */
void backups__request(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v,
                      struct pending_action *p);

/* ---- paths ---- */
str path__cluster(struct arena *a, const struct cluster_runtime *c, str subresource);

#endif
