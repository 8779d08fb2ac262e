/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens are kept by their SHA-256: a look-up compares hashes, so that its time tells nothing about a token. A thread
 * waits for inotify on the folder (editors and kubelets replace files by rename) and puts a new table in place.
 */
#include "auth/token_file.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/thread.h"

#define TOKEN_FILE_MAX (1u << 20)

struct table {
    struct arena *arena;
    struct map *users; /* hex SHA-256 of the token → struct api_user * of the arena */
};

struct token_file {
    char *path;
    pthread_rwlock_t lock; /* guards table */
    struct table *table;
    int inotify_fd, stop_fd;
    pthread_t thread;
};

static void table_free(struct table *t)
{
    if (!t)
        return;
    map_free(t->users, NULL);
    arena_free(t->arena);
    mem_free(t);
}
DEFINE_CLEANUP(struct table *, table_free, table_freep);

static void add_entry(void *self, const struct token_entry *entry)
{
    struct table *t = self;
    struct api_user *user = arena_new_of(t->arena, struct api_user);
    *user = entry->user;
    (void)map_put(t->users, hash_sha256_hex(t->arena, entry->token), user); /* the last line of a token counts */
}

static int table_read(const char *path, struct table **ret, struct error *err)
{
    CLEANUP(table_freep) struct table *t = mem_new_of(struct table);
    t->arena = arena_new();
    t->users = map_new();
    str text;
    int r = fs_read(t->arena, path, TOKEN_FILE_MAX, &text, err);
    if (r == 0)
        r = token_file_parse(t->arena, text, add_entry, t, err);
    if (r < 0)
        return error_wrap(err, r, "token file %s", path);
    *ret = TAKE(t);
    return 0;
}

static void reload(struct token_file *f)
{
    struct table *fresh;
    struct error err;
    if (table_read(f->path, &fresh, &err) < 0) {
        log_warn("token file not read, the old one stays", LOG_ERROR(&err));
        return;
    }
    pthread_rwlock_wrlock(&f->lock);
    struct table *old = f->table;
    f->table = fresh;
    pthread_rwlock_unlock(&f->lock);
    log_info("token file read", LOG_Z("path", f->path), LOG_INT("tokens", map_count(fresh->users)));
    table_free(old);
}

/* Ours, or the link that kubelets swing round when a mounted Secret changes. */
static bool is_about(const struct token_file *f, const struct inotify_event *event)
{
    str path = str_from(f->path), name = str_from(event->len > 0 ? event->name : NULL);
    str own = str_from_offset(path, (size_t)(str_rindex(path, '/') + 1));
    return str_eq(name, own) || str_eq(name, S("..data"));
}

/* True when any of them is about our file. */
static bool drain_events(const struct token_file *f)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool any = false;
    for (ssize_t n; (n = read(f->inotify_fd, buffer, sizeof(buffer))) > 0 || (n < 0 && errno == EINTR);)
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)(buffer + at);
            any |= is_about(f, event);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    return any;
}

static void *watch_file(void *arg)
{
    struct token_file *f = arg;
    struct pollfd fds[2] = { { .fd = f->inotify_fd, .events = POLLIN }, { .fd = f->stop_fd, .events = POLLIN } };
    for (;;) {
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[1].revents)
            return NULL;
        if (drain_events(f))
            reload(f);
    }
}

static int start_watching(struct token_file *f, struct error *err)
{
    f->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    f->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (f->inotify_fd < 0 || f->stop_fd < 0)
        return error_set_sys(err, errno, "watching %s", f->path);
    CLEANUP(arena_freep) struct arena *a = arena_new();
    ptrdiff_t slash = str_rindex(str_from(f->path), '/');
    const char *folder = slash < 0 ? "." : slash == 0 ? "/" : arena_z(a, str_of(f->path, (size_t)slash));
    if (inotify_add_watch(f->inotify_fd, folder, IN_CLOSE_WRITE | IN_MOVED_TO) < 0)
        return error_set_sys(err, errno, "watching %s", folder);
    return thread_start(&f->thread, "token-file", watch_file, f, err);
}

static void release(struct token_file *f)
{
    fs_closep(&f->inotify_fd);
    fs_closep(&f->stop_fd);
    table_free(f->table);
    pthread_rwlock_destroy(&f->lock);
    mem_free(f->path);
    mem_free(f);
}

int token_file_open(const char *path, struct token_file **ret, struct error *err)
{
    struct table *table;
    int r = table_read(path, &table, err);
    if (r < 0)
        return r;
    struct token_file *f = mem_new_of(struct token_file);
    f->path = mem_strdup(path);
    f->table = table;
    f->inotify_fd = f->stop_fd = -1;
    pthread_rwlock_init(&f->lock, NULL);
    r = start_watching(f, err);
    if (r < 0) {
        release(f);
        return r;
    }
    *ret = f;
    return 0;
}

void token_file_close(struct token_file *f)
{
    if (!f)
        return;
    uint64_t one = 1;
    while (write(f->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    pthread_join(f->thread, NULL);
    release(f);
}

bool token_file_find(struct token_file *f, struct arena *a, str token, struct api_user *ret)
{
    str hash = hash_sha256_hex(a, token);
    pthread_rwlock_rdlock(&f->lock);
    const struct api_user *user = map_get(f->table->users, hash);
    if (user) {
        str *groups = arena_array_of(a, str, user->group_count);
        for (size_t i = 0; i < user->group_count; i++)
            groups[i] = arena_str(a, user->groups[i]);
        *ret = (struct api_user) {
            .name = arena_str(a, user->name),
            .uid = arena_str(a, user->uid),
            .groups = groups,
            .group_count = user->group_count,
        };
    }
    pthread_rwlock_unlock(&f->lock);
    return user != NULL;
}
