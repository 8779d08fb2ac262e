/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes an agent run: its folder and agent.json, then the program, which detaches itself. Nothing of an instance is a
 * child of the server, so instances outlive it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/bootstrap.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/process.h"
#include "internal.h"
#include "json/json_write.h"

#define LAUNCH_DEADLINE_MS 5000
#define OUTPUT_MAX 4096

static int write_bootstrap(const struct local *l, struct arena *a, const char *folder,
                           const struct platform_instance *in, const struct platform_identity *id, struct error *err)
{
    const struct json *v = JSON_OBJECT_OF(
        a, JSON_MEMBER("instance", json_string(a, in->name)), JSON_MEMBER("cluster", json_string(a, in->cluster)),
        JSON_MEMBER("namespace", json_string(a, in->namespace_)),
        JSON_MEMBER("clusterUID", json_string(a, in->cluster_uid)), JSON_MEMBER("host", json_string(a, in->at.host)),
        JSON_MEMBER("agentPort", json_int(a, in->at.agent_port)), JSON_MEMBER("caPEM", json_string(a, id->ca_pem)),
        JSON_MEMBER("certificatePEM", json_string(a, id->certificate_pem)),
        JSON_MEMBER("privateKeyPEM", json_string(a, id->private_key_pem)));
    str path = arena_printf(a, "%s/" AGENT_BOOTSTRAP_FILE, folder);
    int r = fs_write_atomic(path.ptr, json_text(a, v), 0600, err);
    if (r == 0 && l->has_user && chown(path.ptr, l->uid, l->gid) < 0)
        r = error_set_sys(err, errno, "giving %s to the user that instances run as", path.ptr);
    return r;
}

/* The agent holds the lock of its pid file for life. */
static bool agent_runs(struct arena *a, const char *folder)
{
    FD_AUTO fd = open(arena_printf(a, "%s/" AGENT_PID_FILE, folder).ptr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

int local__launch(void *self, const struct platform_instance *instance, const struct platform_identity *identity,
                  struct error *err)
{
    const struct local *l = self;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct platform_instance cluster = { .namespace_ = instance->namespace_,
                                               .cluster = instance->cluster,
                                               .cluster_uid = instance->cluster_uid };
    int r = fs_mkdir_all(local__folder(l, a, &cluster), 0711, err);
    char *folder = local__folder(l, a, instance);
    if (r == 0 && agent_runs(a, folder))
        return 0; /* of an earlier server, or slow to be reached */
    if (r == 0)
        r = local__make_folder(l, folder, 0700, err);
    if (r == 0)
        r = write_bootstrap(l, a, folder, instance, identity, err);
    if (r < 0)
        return r;
    const char *with_launcher[] = {
        arena_z(a, l->launcher), arena_z(a, instance->at.host), arena_z(a, l->agent_program), "--data-dir", folder, NULL
    };
    const struct process_spec spec = { .argv = l->launcher.len ? with_launcher : with_launcher + 2,
                                       .cwd = folder,
                                       .has_user = l->has_user,
                                       .uid = l->uid,
                                       .gid = l->gid,
                                       .own_session = true };
    struct process_result result;
    r = process_run(a, &spec, deadline_in_ms(LAUNCH_DEADLINE_MS), OUTPUT_MAX, NULL, NULL, &result, err);
    if (r == 0)
        log_info("agent launched", LOG_STR("namespace", instance->namespace_), LOG_STR("instance", instance->name));
    return r;
}
