/* SPDX-License-Identifier: Apache-2.0 */
/* One table of names and reasons; the agent writes the values. */
#include "resources/postgrescluster/owned.h"

#include <string.h>
#include <strings.h>

#include "base/attr.h"

static const char where_it_listens[] = "the operator decides where instances listen; status.endpoints has the address";
static const char own_tls[] = "the operator issues and rotates the cluster's certificates";
static const char own_archive[] = "the operator archives the write-ahead log; use spec.backup.repositories";
static const char own_replication[] = "the operator runs replication between the instances";
static const char own_synchronous[] = "use spec.postgresql.synchronous";
static const char own_recovery[] = "the operator decides about recovery and promotion";
static const char own_files[] = "the operator decides where files are; use spec.postgresql.pgHBA for rules of access";
static const char own_passwords[] = "passwords are kept for SCRAM-SHA-256, which the rules of access ask for";
static const char own_logs[] = "the agent collects what PostgreSQL logs";
static const char keeps_data[] = "another value than the default risks the data or stops pg_rewind";
static const char own_restart[] = "the agent decides when PostgreSQL starts again";
static const char per_transaction[] = "it belongs to one transaction, not to a configuration file";

/* A name that ends with '*' stands for all that begin like it. */
static const struct {
    const char *name, *reason;
} owned[] = {
    { "listen_addresses", where_it_listens },
    { "port", where_it_listens },
    { "unix_socket_*", where_it_listens },
    { "bonjour*", where_it_listens },
    { "ssl", own_tls },
    { "ssl_*", own_tls },
    { "krb_server_keyfile", own_tls },
    { "archive_mode", own_archive },
    { "archive_command", own_archive },
    { "archive_library", own_archive },
    { "archive_cleanup_command", own_archive },
    { "restore_command", own_archive },
    { "wal_log_hints", keeps_data },
    { "full_page_writes", keeps_data },
    { "fsync", keeps_data },
    { "data_sync_retry", keeps_data },
    { "hot_standby", own_replication },
    { "primary_*", own_replication },
    { "wal_receiver_create_temp_slot", own_replication },
    { "cluster_name", own_replication },
    { "sync_replication_slots", own_replication },
    { "synchronized_standby_slots", own_replication },
    { "synchronous_standby_names", own_synchronous },
    { "recovery_target*", own_recovery },
    { "recovery_end_command", own_recovery },
    { "recovery_min_apply_delay", own_recovery },
    { "promote_trigger_file", own_recovery },
    { "restart_after_crash", own_restart },
    { "data_directory", own_files },
    { "config_file", own_files },
    { "hba_file", own_files },
    { "ident_file", own_files },
    { "external_pid_file", own_files },
    { "allow_alter_system", own_files },
    { "password_encryption", own_passwords },
    { "logging_collector", own_logs },
    { "log_destination", own_logs },
    { "log_directory", own_logs },
    { "log_filename", own_logs },
    { "log_file_mode", own_logs },
    { "log_rotation_*", own_logs },
    { "log_truncate_on_rotation", own_logs },
    { "syslog_*", own_logs },
    { "event_source", own_logs },
    { "transaction_deferrable", per_transaction },
    { "transaction_isolation", per_transaction },
    { "transaction_read_only", per_transaction },
};

const char *owned_reason(str name)
{
    for (size_t i = 0; i < ARRAY_LEN(owned); i++) {
        const char *pattern = owned[i].name;
        size_t len = strlen(pattern);
        bool is_prefix = pattern[len - 1] == '*';
        len -= is_prefix;
        if ((is_prefix ? name.len >= len : name.len == len) && strncasecmp(name.ptr, pattern, len) == 0)
            return owned[i].reason;
    }
    return NULL;
}
