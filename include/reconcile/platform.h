/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How instances come to be: as local processes, later as StatefulSets. The reconciler decides what should exist; a
 * platform makes it so and says what is proved about it. All calls block for a short, bounded time and are made on
 * reconcile workers; calls for different instances may run at once.
 */
#ifndef RECONCILE_PLATFORM_H
#define RECONCILE_PLATFORM_H

#include "base/error.h"
#include "json/json.h"

/* Where an instance lives. Kept in the cluster's record, so that it never moves by itself. */
struct placement {
    str host; /* numeric */
    int64_t port;
    int64_t agent_port;
};

/* Names one instance; texts are valid during the call. */
struct platform_instance {
    str namespace_, cluster, cluster_uid, name;
    struct placement at;
};

/* What the agent needs before anybody can talk to it: its identity on the agent port. */
struct platform_identity {
    str ca_pem, certificate_pem, private_key_pem;
};

enum platform_state {
    PLATFORM_ABSENT, /* was never launched here, or was removed */
    PLATFORM_LIVE,   /* some process of it exists (its lock is held) */
    PLATFORM_DEAD,   /* proved: no process of it exists (rule 44) */
};

struct platform_ops {
    const char *name;

    /* Chooses a free place. `taken` are the placements of all instances that exist, of every cluster. */
    int (*place)(void *self, struct arena *a, const struct platform_instance *instance, const struct placement *taken,
                 size_t taken_count, struct placement *ret, struct error *err);

    /* Makes the agent run. Running already: success. */
    int (*launch)(void *self, const struct platform_instance *instance, const struct platform_identity *identity,
                  struct error *err);

    int (*state)(void *self, const struct platform_instance *instance, enum platform_state *ret, struct error *err);

    /* After the agent was told to stop: makes sure that nothing of it runs, and removes its data when asked to. */
    int (*remove)(void *self, const struct platform_instance *instance, bool remove_data, struct error *err);

    /* What is left of a cluster whose instances are all removed; data that were kept stay. */
    int (*forget_cluster)(void *self, const struct platform_instance *cluster, bool remove_data, struct error *err);

    /* Puts the cluster's CA where clients of this platform find it; the path for URIs, or empty. */
    int (*publish_ca)(void *self, struct arena *a, const struct platform_instance *cluster, str ca_pem, str *ret_path,
                      struct error *err);

    /* Folder (or other address) of a repository whose spec gives none. */
    int (*repository_path)(void *self, struct arena *a, const struct platform_instance *cluster, str repository,
                           str wanted_path, str *ret_path, struct error *err);

    void (*free)(void *self);
};

struct platform {
    const struct platform_ops *ops;
    void *self;
};

struct platform_local_options {
    str data_dir;      /* "<data_dir>/instances/<namespace>/<cluster>.<uid>/<instance>" */
    str agent_program; /* absolute path of postgres-agent */
    str launcher;      /* optional program put before it, for network namespaces: gets the host as its first argument */
    str address_range; /* "127.77.0.0/16"; empty: a /16 of 127.64.0.0/10 chosen from data_dir */
    str run_as;        /* user name when started as root; empty: "postgres" */
};
int platform_local_new(const struct platform_local_options *options, struct platform *ret, struct error *err) MUST_USE;

#endif
