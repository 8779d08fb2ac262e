/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of postgres-apiserver: one table, from which --help, the man page and shell completion come too. */
#ifndef APISERVER_OPTIONS_H
#define APISERVER_OPTIONS_H

#include "base/cli.h"

struct options {
    /* serving */
    bool is_standalone;
    const char *data_dir;
    const char *bind_address;
    int64_t secure_port;
    int64_t http_loops;
    const char *tls_cert_file, *tls_private_key_file;
    int64_t shutdown_delay_ns, shutdown_timeout_ns;
    /* who may do what */
    const char *client_ca_file, *token_auth_file;
    int64_t max_requests_inflight, max_mutating_requests_inflight, request_timeout_ns, min_request_timeout_ns;
    /* storage */
    const char *storage;
    /* reconciling */
    struct cli_list controllers;
    int64_t concurrent_cluster_syncs, cluster_signing_duration_ns;
    const char *local_address_range, *local_launcher, *instance_user, *agent_program;
    /* logging */
    const char *log_level, *log_format;
    /* snapshot, restore */
    bool is_forced;
};

/* Parses or ends the process (help, mistakes). *ret_call says which command was named. */
void options_parse(struct arena *a, char *const *argv, struct options *ret, struct cli_call *ret_call);

/* Is the controller on? `*` in the list is all, `-name` leaves one out, an empty list none (kube-controller-manager's
 * rule). */
bool options_runs_controller(const struct options *o, str name);

#endif
