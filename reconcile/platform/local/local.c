/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local platform: an agent process per instance on this machine, its folder under the server's data directory. This
 * file has the set-up, the folders, the published CA and repositories; placing, launching and removing have their own
 * files.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/rand.h"

#define DEFAULT_USER "postgres"

/* A new cluster of an old name gets a folder of its own: data that were kept are never taken over by mistake. */
static str cluster_name(struct arena *a, const struct platform_instance *c)
{
    return arena_printf(a, "%.*s.%.*s", STR_ARG(c->cluster), STR_ARG(str_first(c->cluster_uid, 8)));
}

char *local__folder(const struct local *l, struct arena *a, const struct platform_instance *instance)
{
    str cluster = arena_printf(a, "%.*s/instances/%.*s/%.*s", STR_ARG(l->data_dir), STR_ARG(instance->namespace_),
                               STR_ARG(cluster_name(a, instance)));
    if (instance->name.len == 0)
        return arena_z(a, cluster);
    return arena_z(a, arena_printf(a, "%.*s/%.*s", STR_ARG(cluster), STR_ARG(instance->name)));
}

int local__make_folder(const struct local *l, const char *path, mode_t mode, struct error *err)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return error_set_sys(err, errno, "creating folder %s", path);
    if (l->has_user && chown(path, l->uid, l->gid) < 0)
        return error_set_sys(err, errno, "giving %s to the user that instances run as", path);
    return 0;
}

static int publish_ca(void *self, struct arena *a, const struct platform_instance *cluster, str ca_pem, str *ret_path,
                      struct error *err)
{
    const struct local *l = self;
    const struct platform_instance c = { .namespace_ = cluster->namespace_,
                                         .cluster = cluster->cluster,
                                         .cluster_uid = cluster->cluster_uid };
    const char *folder = local__folder(l, a, &c);
    int r = fs_mkdir_all(folder, 0711, err);
    if (r < 0)
        return r;
    str path = arena_printf(a, "%s/ca.crt", folder);
    str old;
    if (fs_read(a, path.ptr, 1 << 16, &old, NULL) == 0 && str_eq(old, ca_pem)) {
        *ret_path = path;
        return 0;
    }
    r = fs_write_atomic(path.ptr, ca_pem, 0644, err);
    if (r == 0)
        *ret_path = path;
    return r;
}

static int forget_cluster(void *self, const struct platform_instance *cluster, bool remove_data, struct error *err)
{
    const struct local *l = self;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    if (!remove_data)
        return 0;
    const struct platform_instance whole = { .namespace_ = cluster->namespace_,
                                             .cluster = cluster->cluster,
                                             .cluster_uid = cluster->cluster_uid };
    return fs_remove_all(local__folder(l, a, &whole), err);
}

static int repository_path(void *self, struct arena *a, const struct platform_instance *cluster, str repository,
                           str wanted_path, str *ret_path, struct error *err)
{
    const struct local *l = self;
    str path = wanted_path;
    if (path.len == 0) {
        str parent = arena_printf(a, "%.*s/backups/%.*s", STR_ARG(l->data_dir), STR_ARG(cluster->namespace_));
        int r = fs_mkdir_all(parent.ptr, 0711, err);
        if (r < 0)
            return r;
        str own = arena_printf(a, "%.*s/%.*s", STR_ARG(parent), STR_ARG(cluster_name(a, cluster)));
        r = local__make_folder(l, own.ptr, 0700, err);
        if (r < 0)
            return r;
        path = arena_printf(a, "%.*s/%.*s", STR_ARG(own), STR_ARG(repository));
    }
    char *z = arena_z(a, path);
    if (!fs_exists(z)) {
        int r = local__make_folder(l, z, 0700, err);
        if (r < 0)
            return r;
    }
    *ret_path = path;
    return 0;
}

static void local_free(void *self)
{
    struct local *l = self;
    arena_free(l->arena);
    mem_free(l);
}

/* "127.77.0.0/16". Only loopback: an instance of this platform must not be reachable from elsewhere by mistake. */
static int parse_range(struct local *l, str text, struct error *err)
{
    str host, bits_text;
    uint64_t bits;
    struct in_addr addr;
    if (!str_cut(text, '/', &host, &bits_text) || !str_to_u64(bits_text, &bits) || bits < 8 || bits > 28 ||
        inet_pton(AF_INET, arena_z(l->arena, host), &addr) != 1)
        return error_set(err, ERRC_INVALID, "local address range \"%.*s\": expected a network such as 127.77.0.0/16",
                         STR_ARG(text));
    l->range_count = UINT32_C(1) << (32 - bits);
    l->range_first = ntohl(addr.s_addr) & ~(l->range_count - 1);
    return 0;
}

static int choose_user(struct local *l, str wanted, struct error *err)
{
    if (geteuid() != 0)
        return 0;
    char *name = arena_z(l->arena, wanted.len ? wanted : S(DEFAULT_USER));
    char *buffer = arena_alloc(l->arena, 16384);
    struct passwd pw, *found = NULL;
    if (getpwnam_r(name, &pw, buffer, 16384, &found) != 0 || !found)
        return error_set(
            err, ERRC_INVALID,
            "user \"%s\" does not exist: PostgreSQL does not run as root, so name a user for the instances", name);
    if (found->pw_uid == 0)
        return error_set(err, ERRC_INVALID, "user \"%s\" is root: PostgreSQL does not run as root", name);
    l->has_user = true;
    l->uid = found->pw_uid;
    l->gid = found->pw_gid;
    return 0;
}

/* Every folder on the way must let the instances' user pass, or PostgreSQL fails later with less to go by. */
static int check_way(const struct local *l, struct error *err)
{
    if (!l->has_user)
        return 0;
    for (size_t i = 1; i <= l->data_dir.len; i++) {
        if (i < l->data_dir.len && l->data_dir.ptr[i] != '/')
            continue;
        const char *prefix = arena_z(l->arena, str_first(l->data_dir, i));
        struct stat st;
        if (stat(prefix, &st) < 0)
            return error_set_sys(err, errno, "looking at folder %s", prefix);
        mode_t needed = st.st_uid == l->uid ? S_IXUSR : st.st_gid == l->gid ? S_IXGRP : S_IXOTH;
        if (!(st.st_mode & needed))
            return error_set(
                err, ERRC_DENIED,
                "folder %s (mode %04o) does not let the user that instances run as pass: chmod o+x %s, or choose "
                "another --data-dir",
                prefix, (unsigned)(st.st_mode & 07777), prefix);
    }
    return 0;
}

int platform_local_new(const struct platform_local_options *options, struct platform *ret, struct error *err)
{
    static const struct platform_ops ops = {
        .name = "local",
        .place = local__place,
        .launch = local__launch,
        .state = local__state,
        .remove = local__remove,
        .forget_cluster = forget_cluster,
        .publish_ca = publish_ca,
        .repository_path = repository_path,
        .free = local_free,
    };
    struct local *l = mem_new_of(struct local);
    l->arena = arena_new();
    l->data_dir = arena_str(l->arena, options->data_dir);
    l->agent_program = arena_str(l->arena, options->agent_program);
    l->launcher = arena_str(l->arena, options->launcher);
    str range = options->address_range;
    if (range.len == 0) {
        /* Two servers on one machine get different networks, the same server always the same. */
        unsigned char digest[32];
        hash_sha256(options->data_dir, digest);
        range = arena_printf(l->arena, "127.%d.0.0/16", 64 + digest[0] % 128);
    }
    int r = parse_range(l, range, err);
    if (r == 0)
        r = choose_user(l, options->run_as, err);
    if (r == 0)
        r = check_way(l, err);
    if (r == 0 && !fs_exists(l->agent_program.ptr))
        r = error_set(err, ERRC_NOT_FOUND, "agent program %.*s does not exist", STR_ARG(l->agent_program));
    if (r == 0)
        r = fs_mkdir_all(arena_printf(l->arena, "%.*s/instances", STR_ARG(l->data_dir)).ptr, 0711, err);
    if (r < 0) {
        local_free(l);
        return r;
    }
    *ret = (struct platform) { .ops = &ops, .self = l };
    return 0;
}
