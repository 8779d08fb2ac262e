/* SPDX-License-Identifier: Apache-2.0 */
/* What the platform left in the folder (agent/bootstrap.h), and where everything of the instance lies. */
#include "agent/bootstrap.h"

#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "base/fs.h"
#include "json/json_parse.h"

#define BOOTSTRAP_MAX_BYTES (256u << 10)
/* sun_path of a Unix socket. */
#define SOCKET_PATH_MAX 107

/* Paths stand in commands that PostgreSQL hands to a shell and in settings: nothing that needs quoting. */
static bool is_plain_path(const char *path)
{
    for (const char *c = path; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("/._-+@=,:", *c))
            return false;
    return path[0] == '/';
}

static const char *below(struct agent *ag, const char *name)
{
    return arena_printf(ag->arena, "%s/%s", ag->path.dir, name).ptr;
}

static int fill_paths(struct agent *ag, const char *dir, struct error *err)
{
    struct paths *p = &ag->path;
    char *real = realpath(dir, NULL);
    if (!real)
        return error_set(err, ERRC_NOT_FOUND, "data directory \"%s\" does not exist", dir);
    p->dir = arena_str(ag->arena, str_from(real)).ptr;
    free(real);
    if (!is_plain_path(p->dir))
        return error_set(err, ERRC_INVALID, "data directory \"%s\": only letters, digits and /._-+@=,: are supported",
                         p->dir);
    p->pgdata = below(ag, "pgdata");
    p->pgdata_new = below(ag, "pgdata.new");
    p->sock = below(ag, "sock");
    p->conf = below(ag, "conf");
    p->pki = below(ag, "pki");
    p->run = below(ag, "run");
    p->state = below(ag, "state.json");
    p->config = below(ag, "config.json");
    p->lock = below(ag, AGENT_LOCK_FILE);
    p->pid_file = below(ag, AGENT_PID_FILE);
    p->agent_log = below(ag, "agent.log");
    p->postgres_log = below(ag, "postgres.log");
    p->conf_file = below(ag, "conf/postgresql.conf");
    p->hba_file = below(ag, "conf/pg_hba.conf");
    p->ident_file = below(ag, "conf/pg_ident.conf");
    p->pgbackrest_file = below(ag, "conf/pgbackrest.conf");
    if (strlen(p->sock) + strlen("/.s.PGSQL.65535") > SOCKET_PATH_MAX)
        return error_set(err, ERRC_INVALID, "data directory \"%s\": the path is too long for a Unix socket", p->dir);
    return 0;
}

static int make_folders(struct agent *ag, struct error *err)
{
    const char *const folders[] = { ag->path.sock, ag->path.conf, ag->path.pki, ag->path.run };
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        int r = fs_mkdir_all(folders[i], 0700, err);
        if (r != 0)
            return r;
        if (chmod(folders[i], 0700) != 0)
            return error_set(err, ERRC_DENIED, "\"%s\" is not ours", folders[i]);
    }
    return 0;
}

static void find_user(struct agent *ag)
{
    struct passwd pw, *found = NULL;
    char buffer[4096];
    if (getpwuid_r(geteuid(), &pw, buffer, sizeof(buffer), &found) == 0 && found)
        (void)snprintf(ag->os_user, sizeof(ag->os_user), "%s", found->pw_name);
}

int bootstrap_read(struct agent *ag, const char *dir, struct error *err)
{
    int r = fill_paths(ag, dir, err);
    if (r != 0)
        return r;
    const char *path = below(ag, AGENT_BOOTSTRAP_FILE);
    str text;
    const struct json *v = NULL;
    r = fs_read(ag->arena, path, BOOTSTRAP_MAX_BYTES, &text, err);
    if (r == 0)
        r = json_parse(ag->arena, text, NULL, &v, err);
    if (r != 0)
        return error_wrap(err, r, "\"%s\"", path);
    ag->boot = (struct bootstrap) {
        .instance = json_str_at(v, "instance"),
        .cluster = json_str_at(v, "cluster"),
        .namespace_ = json_str_at(v, "namespace"),
        .cluster_uid = json_str_at(v, "clusterUID"),
        .host = json_str_at(v, "host"),
        .agent_port = json_int_at(v, "agentPort", -1),
        .ca_pem = json_str_at(v, "caPEM"),
        .certificate_pem = json_str_at(v, "certificatePEM"),
        .private_key_pem = json_str_at(v, "privateKeyPEM"),
        .postgres_bin = json_str_at(v, "postgresBin"),
        .log_max_bytes = json_int_at(v, "logMaxBytes", 0),
    };
    const struct bootstrap *b = &ag->boot;
    if (b->instance.len == 0 || b->cluster_uid.len == 0 || b->host.len == 0 || b->agent_port < 0 ||
        b->agent_port > 65535 || b->ca_pem.len == 0 || b->certificate_pem.len == 0 || b->private_key_pem.len == 0)
        return error_set(err, ERRC_INVALID, "\"%s\": instance, clusterUID, host, agentPort or a PEM is missing", path);
    find_user(ag);
    return make_folders(ag, err);
}

const char *agent_bin(struct agent *ag, struct arena *a, const char *program)
{
    if (ag->boot.postgres_bin.len > 0)
        return arena_printf(a, "%.*s/%s", STR_ARG(ag->boot.postgres_bin), program).ptr;
    long long major = ag->has_config && ag->config.postgres_major > 0 ? (long long)ag->config.postgres_major : 15;
    return arena_printf(a, "/usr/lib/postgresql/%lld/bin/%s", major, program).ptr;
}
