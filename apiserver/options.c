/* SPDX-License-Identifier: Apache-2.0 */
/* The table of flags. Names follow kube-apiserver and kube-controller-manager where they have the same thing. */
#include "options.h"

#include "base/clock.h"

static const char *const log_levels[] = { "error", "warn", "info", "debug", NULL };
static const char *const log_formats[] = { "auto", "json", "text", NULL };
static const char *const controller_names[] = { "*", "clusters", "-clusters", "backups", "-backups", NULL };

#define DATA_DIR_OPTION                                                                                                \
    {                                                                                                                  \
        .name = "data-dir", CLI_DIR_AT(struct options, data_dir), .value = "DIR", .group = "Storage",                  \
        .is_required = true,                                                                                           \
        .help = "Folder of everything: the store, certificates, admin.kubeconfig, and the instances with their data."  \
    }

#define STORAGE_OPTION                                                                                                 \
    {                                                                                                                  \
        .name = "storage", CLI_TEXT_AT(struct options, storage), .value = "URL", .group = "Storage",                   \
        .help = "Where objects are kept: sqlite:FILE, or memory: for trials that forget everything. Default: "         \
                "sqlite:DIR/store.db."                                                                                 \
    }

static const struct cli_option server_options[] = {
    { .name = "standalone",
      CLI_BOOL_AT(struct options, is_standalone),
      .group = "Serving",
      .help =
          "Run on one machine without Kubernetes: own certificates, embedded store, instances as local processes." },
    { .name = "bind-address",
      CLI_TEXT_AT(struct options, bind_address),
      .value = "IP",
      .default_value = "127.0.0.1",
      .group = "Serving",
      .help = "Address to listen on. 0.0.0.0 is every address of the machine." },
    { .name = "secure-port",
      CLI_INT_AT(struct options, secure_port),
      .value = "PORT",
      .min = 0,
      .max = 65535,
      .default_value = "6443",
      .group = "Serving",
      .help = "Port that serves HTTPS. 0 takes a free one." },
    { .name = "tls-cert-file",
      CLI_FILE_AT(struct options, tls_cert_file),
      .value = "FILE",
      .group = "Serving",
      .help = "Serving certificate with its chain, PEM. Read again when it changes. Default: one of our own CA under "
              "the data folder." },
    { .name = "tls-private-key-file",
      CLI_FILE_AT(struct options, tls_private_key_file),
      .value = "FILE",
      .group = "Serving",
      .help = "Key of --tls-cert-file." },
    { .name = "http-loops",
      CLI_INT_AT(struct options, http_loops),
      .value = "N",
      .min = 1,
      .max = 64,
      .default_value = "1",
      .group = "Serving",
      .help = "Threads that serve connections. One fills two cores." },
    { .name = "shutdown-delay-duration",
      CLI_DURATION_AT(struct options, shutdown_delay_ns),
      .value = "DURATION",
      .max = 600 * NS_PER_S,
      .default_value = "0s",
      .group = "Serving",
      .help =
          "After SIGTERM /readyz fails for so long before connections are refused, so that load balancers notice." },
    { .name = "shutdown-timeout",
      CLI_DURATION_AT(struct options, shutdown_timeout_ns),
      .value = "DURATION",
      .min = NS_PER_S,
      .max = 600 * NS_PER_S,
      .default_value = "30s",
      .group = "Serving",
      .help = "Running requests have so long to finish." },

    { .name = "client-ca-file",
      CLI_FILE_AT(struct options, client_ca_file),
      .value = "FILE",
      .group = "Access",
      .help =
          "Client certificates of these CAs are users too: the common name is the user, organizations are groups." },
    { .name = "token-auth-file",
      CLI_FILE_AT(struct options, token_auth_file),
      .value = "FILE",
      .group = "Access",
      .help = "CSV of bearer tokens: token,user,uid,\"group1,group2\". Read again when it changes." },
    { .name = "max-requests-inflight",
      CLI_INT_AT(struct options, max_requests_inflight),
      .value = "N",
      .min = 1,
      .max = 100000,
      .default_value = "400",
      .group = "Access",
      .help = "Reads at once; more are answered with 429." },
    { .name = "max-mutating-requests-inflight",
      CLI_INT_AT(struct options, max_mutating_requests_inflight),
      .value = "N",
      .min = 1,
      .max = 100000,
      .default_value = "200",
      .group = "Access",
      .help = "Writes at once; more are answered with 429." },
    { .name = "request-timeout",
      CLI_DURATION_AT(struct options, request_timeout_ns),
      .value = "DURATION",
      .min = NS_PER_S,
      .max = 600 * NS_PER_S,
      .default_value = "1m",
      .group = "Access",
      .help =
          "A request that is no watch is answered within this, by 504 if need be; it may ask for less by `timeout`." },
    { .name = "min-request-timeout",
      CLI_DURATION_AT(struct options, min_request_timeout_ns),
      .value = "DURATION",
      .min = NS_PER_S,
      .max = 86400 * NS_PER_S,
      .default_value = "30m",
      .group = "Access",
      .help = "A watch without a time of its own lasts between one and two times this." },

    DATA_DIR_OPTION,
    STORAGE_OPTION,

    { .name = "controllers",
      CLI_LIST_AT(struct options, controllers),
      .value = "LIST",
      .default_value = "*",
      .choices = controller_names,
      .group = "Reconciling",
      .help = "Controllers that run: * is all, -NAME leaves one out, the empty list is the API alone. Names: clusters, "
              "backups." },
    { .name = "concurrent-cluster-syncs",
      CLI_INT_AT(struct options, concurrent_cluster_syncs),
      .value = "N",
      .min = 1,
      .max = 16,
      .default_value = "4",
      .group = "Reconciling",
      .help = "Clusters that are worked on at once." },
    { .name = "cluster-signing-duration",
      CLI_DURATION_AT(struct options, cluster_signing_duration_ns),
      .value = "DURATION",
      .min = NS_PER_S * 60,
      .max = NS_PER_S * 86400 * 3650,
      .default_value = "8760h0m0s",
      .group = "Reconciling",
      .help =
          "How long the certificates of instances are valid. They are renewed when a third of it is left, without an "
          "interruption." },
    { .name = "local-address-range",
      CLI_TEXT_AT(struct options, local_address_range),
      .value = "CIDR",
      .group = "Reconciling",
      .help = "Loopback network that local instances get their addresses from. Default: a /16 of 127.64.0.0/9 that "
              "follows from the "
              "data folder's name." },
    { .name = "local-launcher",
      CLI_FILE_AT(struct options, local_launcher),
      .value = "PROGRAM",
      .group = "Reconciling",
      .help = "Program that starts agents, for network namespaces: gets the instance's address, then the command." },
    { .name = "instance-user",
      CLI_TEXT_AT(struct options, instance_user),
      .value = "USER",
      .default_value = "postgres",
      .group = "Reconciling",
      .help = "User that instances run as when the server is started by root." },
    { .name = "agent-program",
      CLI_FILE_AT(struct options, agent_program),
      .value = "FILE",
      .group = "Reconciling",
      .help = "The postgres-agent to start. Default: the one beside this program." },

    { .name = "log-level",
      CLI_TEXT_AT(struct options, log_level),
      .value = "LEVEL",
      .default_value = "info",
      .choices = log_levels,
      .group = "Logging",
      .help = "Least important messages to write." },
    { .name = "log-format",
      CLI_TEXT_AT(struct options, log_format),
      .value = "FORMAT",
      .default_value = "auto",
      .choices = log_formats,
      .group = "Logging",
      .help = "json, text, or auto: text on a terminal." },
};

static const struct cli_option snapshot_options[] = {
    DATA_DIR_OPTION,
    STORAGE_OPTION,
};

static const struct cli_option restore_options[] = {
    DATA_DIR_OPTION,
    STORAGE_OPTION,
    { .name = "force",
      CLI_BOOL_AT(struct options, is_forced),
      .group = "Storage",
      .help = "Replace a store that exists; the old file is kept beside it." },
};

static const struct cli_command commands[] = {
    { .name = "snapshot",
      .summary = "Write a consistent copy of the store to a file, also while the server runs",
      .arguments = "FILE",
      .arguments_min = 1,
      .arguments_max = 1,
      .options = snapshot_options,
      .option_count = ARRAY_LEN(snapshot_options) },
    { .name = "restore",
      .summary = "Make a store from a snapshot; the server must not run",
      .description = "Revisions go on far above those of the snapshot and the store is marked as restored, so that "
                     "clients and the "
                     "reconciler notice that time went back.",
      .arguments = "FILE",
      .arguments_min = 1,
      .arguments_max = 1,
      .options = restore_options,
      .option_count = ARRAY_LEN(restore_options) },
};

static const struct cli_program program = {
    .name = "postgres-apiserver",
    .version = PROJECT_VERSION,
    .man_section = 8,
    .main = { .summary = "Kubernetes API server for PostgreSQL clusters, and the reconciler that runs them",
              .description =
                  "Serves postgres.example.io and turns PostgresCluster objects into highly available PostgreSQL.\n\n"
                  "postgres-apiserver --standalone --data-dir DIR is all that it takes on one machine; then: "
                  "kubectl --kubeconfig DIR/admin.kubeconfig get pgc.",
              .options = server_options,
              .option_count = ARRAY_LEN(server_options) },
    .commands = commands,
    .command_count = ARRAY_LEN(commands),
};

void options_parse(struct arena *a, char *const *argv, struct options *ret, struct cli_call *ret_call)
{
    memset(ret, 0, sizeof(*ret));
    *ret_call = (struct cli_call) { .argv = argv, .target = ret };
    cli_parse_or_exit(a, &program, ret_call);
}

bool options_runs_controller(const struct options *o, str name)
{
    bool all = false;
    for (size_t i = 0; i < o->controllers.count; i++) {
        str item = o->controllers.items[i];
        if (str_eq(item, name))
            return true;
        if (item.len && item.ptr[0] == '-' && str_eq(str_from_offset(item, 1), name))
            return false;
        all |= str_eq(item, S("*"));
    }
    return all;
}
