/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may connect to PostgreSQL: pg_hba.conf, pg_ident.conf, and pgBackRest's own file. Pure functions of the
 * configuration. Nobody has a password but the users of the database; the agent comes over its private socket, the
 * other instances by their certificates.
 */
#include "agent.h"
#include "base/strbuf.h"

#define HBA_MAX_BYTES (1u << 20)

str hba_text(struct arena *a, const struct conf_input *in)
{
    STRBUF_AUTO b = STRBUF_INIT(HBA_MAX_BYTES);
    strbuf_add(&b, S("# Written by postgres-agent: changes made here are overwritten.\n"));
    /* The socket's folder is 0700 already. A container may run as a user without a name: then that has to do. */
    strbuf_addf(&b, "local all %s %s\n", AGENT_SUPERUSER, in->has_os_user ? "peer map=agent" : "trust");
    strbuf_add(&b, S("hostssl replication,postgres " AGENT_REPLICA_ROLE " all cert map=instances\n"
                     "host all " AGENT_REPLICA_ROLE " all reject\n"
                     "host all " AGENT_SUPERUSER " all reject\n"));
    for (size_t i = 0; i < json_count(in->config->hba); i++) {
        str line = json_str(json_item(in->config->hba, i));
        if (str_index(line, '\n') < 0 && str_index(line, '\r') < 0)
            strbuf_addf(&b, "%.*s\n", STR_ARG(line));
    }
    strbuf_add(&b, S("hostssl all all all scram-sha-256\n"));
    return strbuf_to_arena(&b, a);
}

/* One entry; a name with a quote or a leading slash (a regular expression) is none of ours. */
static void add_map(struct strbuf *b, const char *map, str system_user, const char *role)
{
    if (system_user.len > 0 && str_index(system_user, '"') < 0 && system_user.ptr[0] != '/')
        strbuf_addf(b, "%s \"%.*s\" %s\n", map, STR_ARG(system_user), role);
}

str ident_text(struct arena *a, const struct conf_input *in)
{
    STRBUF_AUTO b = STRBUF_INIT(HBA_MAX_BYTES);
    strbuf_add(&b, S("# Written by postgres-agent: changes made here are overwritten.\n"));
    if (in->has_os_user)
        add_map(&b, "agent", in->os_user, AGENT_SUPERUSER);
    for (size_t i = 0; i < json_count(in->config->peers); i++)
        add_map(&b, "instances", json_str_at(json_item(in->config->peers, i), "name"), AGENT_REPLICA_ROLE);
    return strbuf_to_arena(&b, a);
}

str pgbackrest_text(struct arena *a, const struct conf_input *in)
{
    STRBUF_AUTO b = STRBUF_INIT(HBA_MAX_BYTES);
    strbuf_addf(&b,
                "# Written by postgres-agent: changes made here are overwritten.\n[global]\n"
                "lock-path=%s/pgbackrest\nspool-path=%s/pgbackrest-spool\nlog-level-file=off\nlog-level-console=off\n"
                "log-level-stderr=warn\nstart-fast=y\nprotocol-timeout=120\ndb-timeout=100\narchive-timeout=60\n",
                in->path->run, in->path->run);
    for (size_t i = 0; i < json_count(in->config->repositories); i++) {
        const struct json *repository = json_item(in->config->repositories, i);
        strbuf_addf(&b, "repo%zu-path=%.*s\nrepo%zu-retention-full=%lld\n", i + 1,
                    STR_ARG(json_str_at(repository, "path")), i + 1,
                    (long long)json_int_at(repository, "retention_full", 7));
    }
    strbuf_addf(&b, "[%.*s]\npg1-path=%s\npg1-socket-path=%s\npg1-port=%lld\npg1-user=%s\npg1-database=postgres\n",
                STR_ARG(in->config->cluster_name), in->path->pgdata, in->path->sock, (long long)in->config->port,
                AGENT_SUPERUSER);
    return strbuf_to_arena(&b, a);
}
