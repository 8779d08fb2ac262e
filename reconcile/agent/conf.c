/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL's configuration as text, a pure function of the leader's configuration and the role; and the writing of
 * all files that differ. The files lie outside pgdata, so that neither a base backup nor pg_rewind touches them.
 */
#include <stdio.h>
#include <unistd.h>

#include "agent.h"
#include "base/fs.h"
#include "base/rand.h"
#include "base/strbuf.h"

#define CONF_MAX_BYTES (1u << 20)
#define MARK_LEN 16

const char *const conf_limit_names[CONF_LIMITS] = { "max_connections", "max_worker_processes", "max_wal_senders",
                                                    "max_prepared_transactions", "max_locks_per_transaction" };
/* PostgreSQL's own defaults of the same. */
static const int64_t limit_defaults[CONF_LIMITS] = { 100, 8, 32, 0, 64 };
#define SLOTS_DEFAULT 32

/* Ours unless the user says otherwise. */
static const char defaults_text[] = "max_wal_senders = 32\n"
                                    "max_replication_slots = 32\n"
                                    "wal_retrieve_retry_interval = 500ms\n"
                                    "wal_receiver_status_interval = 1s\n"
                                    "wal_receiver_timeout = 10s\n"
                                    "wal_sender_timeout = 10s\n"
                                    "tcp_keepalives_idle = 10\n"
                                    "tcp_keepalives_interval = 3\n"
                                    "tcp_keepalives_count = 3\n"
                                    "log_line_prefix = '%m [%p] %q%u@%d '\n"
                                    "log_timezone = 'UTC'\n";

int conf_limit_index(str name)
{
    for (size_t i = 0; i < ARRAY_LEN(conf_limit_names); i++)
        if (str_eq_z(name, conf_limit_names[i]))
            return (int)i;
    return -1;
}

const struct json *config_peer(const struct agent_config *c, str name)
{
    for (size_t i = 0; i < json_count(c->peers); i++)
        if (str_eq(json_str_at(json_item(c->peers, i), "name"), name))
            return json_item(c->peers, i);
    return NULL;
}

/* As PostgreSQL's configuration scanner reads it back: quotes doubled, backslashes escaped, no raw line end. */
static void add_quoted(struct strbuf *b, str value)
{
    strbuf_add_char(b, '\'');
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '\'')
            strbuf_add(b, S("''"));
        else if (c == '\\')
            strbuf_add(b, S("\\\\"));
        else if (c == '\n')
            strbuf_add(b, S("\\n"));
        else if (c == '\r')
            strbuf_add(b, S("\\r"));
        else
            strbuf_add_char(b, c);
    }
    strbuf_add_char(b, '\'');
}

static void add_setting(struct strbuf *b, const char *name, str value)
{
    strbuf_addf(b, "%s = ", name);
    add_quoted(b, value);
    strbuf_add_char(b, '\n');
}

static int add_parameters(struct strbuf *b, const struct json *parameters, struct error *err)
{
    for (size_t i = 0; i < json_count(parameters); i++) {
        const struct json_member *m = &parameters->members[i];
        if (m->key.len == 0 || !str_is_all_of(m->key, S("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                        "0123456789_.")))
            return error_set(err, ERRC_INVALID, "parameter \"%.*s\" is no name of a parameter", STR_ARG(m->key));
        if (m->value->type != JSON_STRING || memchr(m->value->text.ptr, '\0', m->value->text.len))
            return error_set(err, ERRC_INVALID, "parameter \"%.*s\" must be a text", STR_ARG(m->key));
        strbuf_addf(b, "%.*s = ", STR_ARG(m->key));
        add_quoted(b, m->value->text);
        strbuf_add_char(b, '\n');
    }
    return 0;
}

/* Names compare without case, as in PostgreSQL. */
static str parameter_of(const struct agent_config *c, const char *name)
{
    for (size_t i = 0; i < json_count(c->parameters); i++)
        if (str_eq_nocase(c->parameters->members[i].key, str_from(name)))
            return json_str(c->parameters->members[i].value);
    return S("");
}

bool conf_held_limits(const struct conf_input *in, bool ret[CONF_LIMITS])
{
    bool any = false;
    for (size_t i = 0; i < CONF_LIMITS; i++) {
        int64_t wanted = limit_defaults[i];
        (void)conf_integer(parameter_of(in->config, conf_limit_names[i]), &wanted);
        ret[i] =
            (in->role == CONF_STANDBY || in->role == CONF_FROZEN) && in->control && in->control->limits[i] > wanted;
        any |= ret[i];
    }
    return any;
}

/* A hot standby refuses to start below its primary's limits: what pg_control says is the floor. */
static void add_limit_floors(struct strbuf *b, const struct conf_input *in)
{
    bool held[CONF_LIMITS];
    (void)conf_held_limits(in, held);
    for (size_t i = 0; i < CONF_LIMITS; i++)
        if (held[i])
            strbuf_addf(b, "%s = %lld\n", conf_limit_names[i], (long long)in->control->limits[i]);
}

static int64_t wanted_of(const struct conf_input *in, const char *name, int64_t otherwise)
{
    (void)conf_integer(parameter_of(in->config, name), &otherwise);
    return otherwise;
}

static bool holds_slots(const struct conf_input *in)
{
    return in->demands.slots > wanted_of(in, "max_replication_slots", SLOTS_DEFAULT);
}

/* A standby's limit has a floor anyway. */
static bool holds_prepared(const struct conf_input *in)
{
    return (in->role == CONF_PRIMARY || in->role == CONF_STOPPING) &&
           in->demands.prepared > wanted_of(in, "max_prepared_transactions", 0);
}

static bool is_logical(const struct conf_input *in)
{
    return str_eq_nocase(parameter_of(in->config, "wal_level"), S("logical"));
}

static void add_demands(struct strbuf *b, const struct conf_input *in)
{
    if (holds_slots(in))
        strbuf_addf(b, "max_replication_slots = %lld\n", (long long)in->demands.slots);
    if (holds_prepared(in))
        strbuf_addf(b, "max_prepared_transactions = %lld\n", (long long)in->demands.prepared);
}

str conf_demanded(struct arena *a, const struct conf_input *in)
{
    STRBUF_AUTO b = STRBUF_INIT(1024);
    if (!is_logical(in) && in->demands.logical_slots > 0)
        strbuf_add(&b, S("wal_level stays at logical while there is a logical replication slot"));
    if (holds_slots(in))
        strbuf_addf(&b, "%smax_replication_slots stays at %lld, the number of slots", b.len > 0 ? "; " : "",
                    (long long)in->demands.slots);
    if (holds_prepared(in))
        strbuf_addf(&b, "%smax_prepared_transactions stays at %lld while transactions are prepared",
                    b.len > 0 ? "; " : "", (long long)in->demands.prepared);
    return strbuf_to_arena(&b, a);
}

str conf_slot_name(struct arena *a, str instance)
{
    str name = arena_printf(a, "pgi_%.*s", STR_ARG(instance));
    char *z = arena_z(a, str_first(name, 63));
    for (char *c = z; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9')))
            *c = '_';
    return str_from(z);
}

static void add_conninfo_value(struct strbuf *b, const char *key, str value)
{
    strbuf_addf(b, "%s%s='", b->len > 0 ? " " : "", key);
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '\'' || value.ptr[i] == '\\')
            strbuf_add_char(b, '\\');
        strbuf_add_char(b, value.ptr[i]);
    }
    strbuf_add_char(b, '\'');
}

str conf_conninfo(struct arena *a, const struct conf_input *in, const struct json *peer, const char *database)
{
    STRBUF_AUTO b = STRBUF_INIT(8192);
    add_conninfo_value(&b, "host", json_str_at(peer, "host"));
    strbuf_addf(&b, " port=%lld", (long long)json_int_at(peer, "port", 5432));
    add_conninfo_value(&b, "user", S(AGENT_REPLICA_ROLE));
    if (database)
        add_conninfo_value(&b, "dbname", str_from(database));
    add_conninfo_value(&b, "application_name", in->config->instance);
    strbuf_add(&b, S(" sslmode=verify-ca gssencmode=disable connect_timeout=3 keepalives_idle=5 keepalives_interval=2"
                     " keepalives_count=3 tcp_user_timeout=10000"));
    add_conninfo_value(&b, "sslrootcert", arena_printf(a, "%s/ca.crt", in->path->pki));
    add_conninfo_value(&b, "sslcert", arena_printf(a, "%s/server.crt", in->path->pki));
    add_conninfo_value(&b, "sslkey", arena_printf(a, "%s/server.key", in->path->pki));
    return strbuf_to_arena(&b, a);
}

static str pgbackrest_command(struct arena *a, const struct conf_input *in, const char *rest)
{
    return arena_printf(a, "pgbackrest --config=%s --stanza=%.*s %s", in->path->pgbackrest_file,
                        STR_ARG(in->config->cluster_name), rest);
}

static void add_wal(struct arena *a, struct strbuf *b, const struct conf_input *in)
{
    const struct agent_config *c = in->config;
    bool has_repository = json_count(c->repositories) > 0;
    bool follows = in->role == CONF_STANDBY && in->source;
    bool is_primary = in->role == CONF_PRIMARY || in->role == CONF_STOPPING;
    add_setting(b, "wal_level", is_logical(in) || in->demands.logical_slots > 0 ? S("logical") : S("replica"));
    /* On from the start, so that a repository can be added without a restart. */
    add_setting(b, "archive_mode", S("on"));
    str push = in->role == CONF_STOPPING ? S("") : pgbackrest_command(a, in, "archive-push \"%p\"");
    add_setting(b, "archive_command", has_repository ? push : S("/bin/true"));
    add_setting(b, "restore_command",
                has_repository && follows ? pgbackrest_command(a, in, "archive-get %f \"%p\"") : S(""));
    add_setting(b, "primary_conninfo", follows ? conf_conninfo(a, in, in->source, NULL) : S(""));
    add_setting(b, "primary_slot_name", follows ? conf_slot_name(a, c->instance) : S(""));
    add_setting(b, "recovery_target_timeline", S("latest"));
    add_setting(b, "synchronous_standby_names", is_primary ? c->synchronous_standby_names : S(""));
}

int conf_text(struct arena *a, const struct conf_input *in, str *ret, struct error *err)
{
    const struct agent_config *c = in->config;
    STRBUF_AUTO b = STRBUF_INIT(CONF_MAX_BYTES);
    strbuf_add(&b, S("# Written by postgres-agent: changes made here are overwritten.\n"));
    strbuf_add(&b, str_from(defaults_text));
    if (c->postgres_major >= 14) /* after a crash one syncfs instead of an fsync for each of a thousand files */
        add_setting(&b, "recovery_init_sync_method", S("syncfs"));
    int r = add_parameters(&b, c->parameters, err);
    if (r != 0)
        return r;
    strbuf_add(&b, S(CONF_OWN_LINE "\n"));
    add_limit_floors(&b, in);
    add_demands(&b, in);
    add_setting(&b, "cluster_name", c->instance);
    add_setting(&b, "listen_addresses", c->host);
    strbuf_addf(&b, "port = %lld\n", (long long)c->port);
    add_setting(&b, "unix_socket_directories", str_from(in->path->sock));
    add_setting(&b, "unix_socket_permissions", S("0700"));
    add_setting(&b, "data_directory", str_from(in->path->pgdata));
    add_setting(&b, "hba_file", str_from(in->path->hba_file));
    add_setting(&b, "ident_file", str_from(in->path->ident_file));
    add_setting(&b, "ssl", S("on"));
    add_setting(&b, "ssl_cert_file", arena_printf(a, "%s/server.crt", in->path->pki));
    add_setting(&b, "ssl_key_file", arena_printf(a, "%s/server.key", in->path->pki));
    add_setting(&b, "ssl_ca_file", arena_printf(a, "%s/ca.crt", in->path->pki));
    add_setting(&b, "password_encryption", S("scram-sha-256"));
    add_setting(&b, "hot_standby", S("on"));
    add_setting(&b, "fsync", S("on"));
    add_setting(&b, "full_page_writes", S("on"));
    add_setting(&b, "logging_collector", S("off"));
    add_setting(&b, "log_destination", S("stderr"));
    /* After a crash the agent says so before anything runs again (rules 34, 44). */
    add_setting(&b, "restart_after_crash", S("off"));
    add_wal(a, &b, in);
    if (in->mark.len > 0)
        add_setting(&b, LOADED_MARK_NAME, in->mark);
    *ret = strbuf_to_arena(&b, a);
    return strbuf_check(&b, err);
}

/* ---- files --------------------------------------------------------------------------------------------------- */

static int write_if_changed(struct arena *a, const char *path, str text, bool *changed, struct error *err)
{
    str old;
    if (fs_read(a, path, CONF_MAX_BYTES, &old, NULL) == 0 && str_eq(old, text))
        return 0;
    *changed = true;
    return fs_write_atomic(path, text, 0600, err);
}

static int write_pki(struct agent *ag, struct arena *a, bool *changed, struct error *err)
{
    const struct {
        const char *name;
        str text;
    } files[] = { { "ca.crt", ag->config.ca_pem },
                  { "server.crt", ag->config.certificate_pem },
                  { "server.key", ag->config.private_key_pem } };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        int r =
            write_if_changed(a, arena_printf(a, "%s/%s", ag->path.pki, files[i].name).ptr, files[i].text, changed, err);
        if (r != 0)
            return r;
    }
    return 0;
}

/* Stands for everything that PostgreSQL reads at a reload; a key comes with its certificate. */
static str mark_of(struct arena *a, const struct conf_input *in, str text)
{
    str all =
        arena_printf(a, "%.*s%.*s%.*s%.*s%.*s", STR_ARG(text), STR_ARG(hba_text(a, in)), STR_ARG(ident_text(a, in)),
                     STR_ARG(in->config->certificate_pem), STR_ARG(in->config->ca_pem));
    return str_first(hash_sha256_hex(a, all), MARK_LEN);
}

static int write_files(struct agent *ag, struct arena *a, const struct conf_input *in, str text, bool *ret_changed,
                       struct error *err)
{
    int r = write_pki(ag, a, ret_changed, err);
    if (r == 0)
        r = write_if_changed(a, ag->path.hba_file, hba_text(a, in), ret_changed, err);
    if (r == 0)
        r = write_if_changed(a, ag->path.ident_file, ident_text(a, in), ret_changed, err);
    if (r == 0)
        r = write_if_changed(a, ag->path.pgbackrest_file, pgbackrest_text(a, in), ret_changed, err);
    /* Last, because it names the others. */
    return r == 0 ? write_if_changed(a, ag->path.conf_file, text, ret_changed, err) : r;
}

static void note_demanded(struct agent *ag, str text)
{
    (void)snprintf(ag->demands_text, sizeof(ag->demands_text), "%.*s", STR_ARG(text));
    pthread_mutex_lock(&ag->lock);
    memcpy(ag->board.demanded, ag->demands_text, sizeof(ag->board.demanded));
    pthread_mutex_unlock(&ag->lock);
}

int conf_write(struct agent *ag, enum conf_role role, bool *ret_changed, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    demands_refresh(ag);
    struct conf_input in = {
        .path = &ag->path,
        .config = &ag->config,
        .role = role,
        .source = role == CONF_STANDBY ? config_peer(&ag->config, ag->config.primary) : NULL,
        .control = ag->has_control ? &ag->control : NULL,
        .demands = ag->demands,
        .has_os_user = ag->os_user[0] != '\0',
        .os_user = str_from(ag->os_user),
    };
    bool held[CONF_LIMITS];
    str text;
    *ret_changed = false;
    ag->is_held = conf_held_limits(&in, held);
    int r = conf_text(a, &in, &text, err);
    if (r != 0)
        return r;
    in.mark = mark_of(a, &in, text);
    r = conf_text(a, &in, &text, err);
    if (r == 0)
        r = write_files(ag, a, &in, text, ret_changed, err);
    if (r != 0)
        return r;
    loaded_note_written(ag, text, in.mark, held);
    note_demanded(ag, conf_demanded(a, &in));
    return 0;
}
