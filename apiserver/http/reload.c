/* SPDX-License-Identifier: Apache-2.0 */
/* Watches the TLS files by their stat, reads them whole when one changed, and swaps only what OpenSSL accepts together.
 */
#include "http/reload.h"

#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"

#define PEM_MAX (1u << 20)
#define FILES_MAX 6

struct stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct http_reload {
    char *paths[FILES_MAX]; /* certificate, key, CAs */
    size_t path_count;
    struct stamp stamps[FILES_MAX];   /* of what is in use */
    struct stamp rejected[FILES_MAX]; /* of what was last reported as being of no use */
    bool has_rejected;
    struct arena *arena; /* holds the texts of tls */
    struct http_tls_config tls;
};

static void take_stamps(const struct http_reload *r, struct stamp *ret)
{
    for (size_t i = 0; i < r->path_count; i++) {
        struct stat st;
        ret[i] = (struct stamp) { 0 };
        if (stat(r->paths[i], &st) == 0)
            ret[i] =
                (struct stamp) { .device = st.st_dev, .inode = st.st_ino, .size = st.st_size, .changed = st.st_mtim };
    }
}

static bool same_stamps(const struct http_reload *r, const struct stamp *then, const struct stamp *now)
{
    for (size_t i = 0; i < r->path_count; i++)
        if (now[i].device != then[i].device || now[i].inode != then[i].inode || now[i].size != then[i].size ||
            now[i].changed.tv_sec != then[i].changed.tv_sec || now[i].changed.tv_nsec != then[i].changed.tv_nsec)
            return false;
    return true;
}

static int read_all(const struct http_reload *r, struct arena *a, struct http_tls_config *ret, struct error *err)
{
    *ret = (struct http_tls_config) { .client_ca_count = r->path_count - 2 };
    int result = fs_read(a, r->paths[0], PEM_MAX, &ret->certificate_pem, err);
    if (result == 0)
        result = fs_read(a, r->paths[1], PEM_MAX, &ret->private_key_pem, err);
    for (size_t i = 2; i < r->path_count && result == 0; i++)
        result = fs_read(a, r->paths[i], PEM_MAX, &ret->client_cas_pem[i - 2], err);
    return result;
}

int http_reload_new(const struct http_reload_files *files, struct http_reload **ret, struct error *err)
{
    if (files->client_ca_count > FILES_MAX - 2)
        return error_set(err, ERRC_INVALID, "client CAs: more than %d files", FILES_MAX - 2);
    struct http_reload *r = mem_new_of(struct http_reload);
    r->paths[r->path_count++] = mem_strdup(files->certificate);
    r->paths[r->path_count++] = mem_strdup(files->private_key);
    for (size_t i = 0; i < files->client_ca_count; i++)
        r->paths[r->path_count++] = mem_strdup(files->client_cas[i]);
    r->arena = arena_new();
    take_stamps(r, r->stamps);
    int result = read_all(r, r->arena, &r->tls, err);
    if (result < 0) {
        http_reload_free(r);
        return error_wrap(err, result, "reading TLS files");
    }
    *ret = r;
    return 0;
}

const struct http_tls_config *http_reload_tls(const struct http_reload *r)
{
    return &r->tls;
}

static int load(struct http_reload *r, struct http_server *server, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct http_tls_config tls;
    int result = read_all(r, a, &tls, err);
    if (result == 0)
        result = http_server_set_tls(server, &tls, err);
    if (result < 0)
        return error_wrap(err, result, "the old certificates stay in use");
    arena_free(r->arena);
    r->arena = TAKE(a);
    r->tls = tls;
    return 0;
}

int http_reload_check(struct http_reload *r, struct http_server *server, bool *ret_changed, struct error *err)
{
    struct stamp now[FILES_MAX];
    *ret_changed = false;
    take_stamps(r, now);
    if (same_stamps(r, r->stamps, now))
        return 0;
    int result = load(r, server, err);
    if (result == 0) {
        memcpy(r->stamps, now, sizeof(now));
        r->has_rejected = false;
        *ret_changed = true;
        return 0;
    }
    /* Tried again each time, since the reason may have been ours (no memory, no descriptor), but said once. */
    if (r->has_rejected && same_stamps(r, r->rejected, now))
        return 0;
    memcpy(r->rejected, now, sizeof(now));
    r->has_rejected = true;
    return result;
}

void http_reload_free(struct http_reload *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->path_count; i++)
        mem_free(r->paths[i]);
    arena_free(r->arena);
    mem_free(r);
}
