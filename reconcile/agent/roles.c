/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must exist inside the primary's database: the role for the other instances, the application's role and database.
 * The password goes to the server as a SCRAM verifier only, so that no log can contain it.
 */
#include "agent.h"
#include "base/clock.h"

#define ROLES_MS 15000
#define LOCK_PATIENCE "1s"

static int run(struct pg *c, struct arena *a, str sql, int64_t deadline_ns, struct error *err)
{
    return pg_query(c, a, sql.ptr, NULL, deadline_ns, NULL, err);
}

static int exists(struct pg *c, struct arena *a, const char *sql, str name, int64_t deadline_ns, bool *ret,
                  struct error *err)
{
    struct pg_rows rows;
    const char *params[] = { arena_z(a, name), NULL };
    int r = pg_query(c, a, sql, params, deadline_ns, &rows, err);
    *ret = r == 0 && rows.rows > 0;
    return r;
}

/* The other instances stream, copy and rewind with it (the functions are those that pg_rewind reads files with). */
static int ensure_replica_role(struct pg *c, struct arena *a, int64_t deadline_ns, struct error *err)
{
    static const char *const grants[] = {
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO " AGENT_REPLICA_ROLE,
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO " AGENT_REPLICA_ROLE,
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO " AGENT_REPLICA_ROLE,
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) "
        "TO " AGENT_REPLICA_ROLE,
        "GRANT pg_monitor TO " AGENT_REPLICA_ROLE,
        "DO $$ BEGIN IF current_setting('server_version_num')::int >= 150000 THEN "
        "GRANT pg_checkpoint TO " AGENT_REPLICA_ROLE "; END IF; END $$",
    };
    bool is_there, is_good;
    int r = exists(c, a,
                   "SELECT 1 FROM pg_roles WHERE rolname = $1 AND rolcanlogin AND rolreplication AND rolconnlimit = -1 "
                   "AND pg_has_role(oid, 'pg_monitor', 'USAGE') "
                   "AND has_function_privilege(oid, 'pg_catalog.pg_read_binary_file(text)', 'EXECUTE')",
                   S(AGENT_REPLICA_ROLE), deadline_ns, &is_good, err);
    if (r != 0 || is_good)
        return r;
    r = exists(c, a, "SELECT 1 FROM pg_roles WHERE rolname = $1", S(AGENT_REPLICA_ROLE), deadline_ns, &is_there, err);
    if (r == 0)
        r = run(c, a, S("BEGIN"), deadline_ns, err);
    if (r == 0)
        r = run(c, a,
                is_there ? S("ALTER ROLE " AGENT_REPLICA_ROLE " LOGIN REPLICATION CONNECTION LIMIT -1")
                         : S("CREATE ROLE " AGENT_REPLICA_ROLE " LOGIN REPLICATION"),
                deadline_ns, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(grants); i++)
        r = run(c, a, str_from(grants[i]), deadline_ns, err);
    return r == 0 ? run(c, a, S("COMMIT"), deadline_ns, err) : r;
}

static int ensure_app_role(struct agent *ag, struct pg *c, struct arena *a, int64_t deadline_ns, struct error *err)
{
    str user = ag->config.app_user, verifier;
    bool is_there;
    int r = exists(c, a, "SELECT 1 FROM pg_roles WHERE rolname = $1", user, deadline_ns, &is_there, err);
    if (r == 0)
        r = pg_scram(c, a, user, ag->config.app_password, &verifier, err);
    if (r != 0)
        return r;
    str sql = arena_printf(a, "%s ROLE %s LOGIN PASSWORD %s", is_there ? "ALTER" : "CREATE",
                           pg_identifier(c, a, user).ptr, pg_literal(c, a, verifier).ptr);
    return run(c, a, sql, deadline_ns, err);
}

static int ensure_app_database(struct agent *ag, struct pg *c, struct arena *a, int64_t deadline_ns, struct error *err)
{
    str name = ag->config.app_database;
    bool is_there;
    int r = exists(c, a, "SELECT 1 FROM pg_database WHERE datname = $1", name, deadline_ns, &is_there, err);
    if (r != 0 || is_there)
        return r;
    str owner = ag->config.app_user.len > 0 ? ag->config.app_user : S(AGENT_SUPERUSER);
    str sql =
        arena_printf(a, "CREATE DATABASE %s OWNER %s", pg_identifier(c, a, name).ptr, pg_identifier(c, a, owner).ptr);
    return run(c, a, sql, deadline_ns, err);
}

int roles_open(struct agent *ag, struct pg **ret, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    int64_t deadline_ns = deadline_in_ms(ROLES_MS);
    int r = pg_connect_local(ag, "postgres", deadline_ns, ret, err);
    /* The replica role must not wait for standbys that need it to join, and the worker for nobody's transaction: a role
     * can be locked for as long as one is prepared. And whatever the user wants logged: a verifier can be tried against
     * guesses, so it stands in no log and in no view of what runs. */
    static const char *const settings[] = { "SET synchronous_commit = local",
                                            "SET lock_timeout = '" LOCK_PATIENCE "'",
                                            "SET log_statement = none",
                                            "SET log_min_error_statement = panic",
                                            "SET log_min_duration_statement = -1",
                                            "SET log_min_duration_sample = -1",
                                            "SET log_transaction_sample_rate = 0",
                                            "SET track_activities = off" };
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(settings); i++)
        r = run(*ret, a, str_from(settings[i]), deadline_ns, err);
    return r;
}

int roles_ensure(struct agent *ag, struct pg *c, bool all, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    int64_t deadline_ns = deadline_in_ms(ROLES_MS);
    int r = ensure_replica_role(c, a, deadline_ns, err);
    if (r == 0 && all && ag->config.app_user.len > 0 && ag->config.app_password.len > 0)
        r = ensure_app_role(ag, c, a, deadline_ns, err);
    if (r == 0 && all && ag->config.app_database.len > 0)
        r = ensure_app_database(ag, c, a, deadline_ns, err);
    return r == 0 ? 0 : error_wrap(err, r, "roles and databases");
}
