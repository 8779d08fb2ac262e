/* SPDX-License-Identifier: Apache-2.0 */
/* One table of names and reasons; the agent writes the values. */
#include "resources/postgrescluster/owned.h"

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
static const char own_mark[] = "the agent marks with it what it has written";
static const char per_transaction[] = "it belongs to one transaction, not to a configuration file";

/* A name that ends with '*' stands for all that begin like it. */
static const struct {
    str name;
    const char *reason;
} owned[] = {
    { S_INIT("listen_addresses"), where_it_listens },
    { S_INIT("port"), where_it_listens },
    { S_INIT("unix_socket_*"), where_it_listens },
    { S_INIT("bonjour*"), where_it_listens },
    { S_INIT("ssl"), own_tls },
    { S_INIT("ssl_*"), own_tls },
    { S_INIT("krb_server_keyfile"), own_tls },
    { S_INIT("archive_mode"), own_archive },
    { S_INIT("archive_command"), own_archive },
    { S_INIT("archive_library"), own_archive },
    { S_INIT("archive_cleanup_command"), own_archive },
    { S_INIT("restore_command"), own_archive },
    { S_INIT("wal_log_hints"), keeps_data },
    { S_INIT("full_page_writes"), keeps_data },
    { S_INIT("fsync"), keeps_data },
    { S_INIT("data_sync_retry"), keeps_data },
    { S_INIT("hot_standby"), own_replication },
    { S_INIT("primary_*"), own_replication },
    { S_INIT("wal_receiver_create_temp_slot"), own_replication },
    { S_INIT("cluster_name"), own_replication },
    { S_INIT("sync_replication_slots"), own_replication },
    { S_INIT("synchronized_standby_slots"), own_replication },
    { S_INIT("synchronous_standby_names"), own_synchronous },
    { S_INIT("recovery_target*"), own_recovery },
    { S_INIT("recovery_end_command"), own_recovery },
    { S_INIT("recovery_min_apply_delay"), own_recovery },
    { S_INIT("promote_trigger_file"), own_recovery },
    { S_INIT("restart_after_crash"), own_restart },
    { S_INIT("data_directory"), own_files },
    { S_INIT("config_file"), own_files },
    { S_INIT("hba_file"), own_files },
    { S_INIT("ident_file"), own_files },
    { S_INIT("external_pid_file"), own_files },
    { S_INIT("allow_alter_system"), own_files },
    { S_INIT("password_encryption"), own_passwords },
    { S_INIT("logging_collector"), own_logs },
    { S_INIT("log_destination"), own_logs },
    { S_INIT("log_directory"), own_logs },
    { S_INIT("log_filename"), own_logs },
    { S_INIT("log_file_mode"), own_logs },
    { S_INIT("log_rotation_*"), own_logs },
    { S_INIT("log_truncate_on_rotation"), own_logs },
    { S_INIT("syslog_*"), own_logs },
    { S_INIT("event_source"), own_logs },
    { S_INIT("postgres_agent.*"), own_mark },
    { S_INIT("transaction_deferrable"), per_transaction },
    { S_INIT("transaction_isolation"), per_transaction },
    { S_INIT("transaction_read_only"), per_transaction },
};

const char *owned_reason(str name)
{
    for (size_t i = 0; i < ARRAY_LEN(owned); i++) {
        str pattern = owned[i].name;
        bool is_prefix = pattern.ptr[pattern.len - 1] == '*';
        pattern.len -= is_prefix;
        if ((is_prefix ? name.len >= pattern.len : name.len == pattern.len) &&
            str_eq_nocase(str_first(name, pattern.len), pattern))
            return owned[i].reason;
    }
    return NULL;
}
