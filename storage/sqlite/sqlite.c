/* SPDX-License-Identifier: Apache-2.0 */
/* The SQLite driver: opening and closing a store file; the rest of the contract stands in the files beside. */
#include "storage/sqlite/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"

static int sqlite_revision(struct storage *super, rv *ret_current, rv *ret_oldest, struct error *err UNUSED)
{
    struct sqlite_store *s = (struct sqlite_store *)super;
    *ret_oldest = atomic_load(&s->oldest);
    *ret_current = atomic_load(&s->revision);
    return 0;
}

static int sqlite_identity(struct storage *super, struct arena *a, str *ret_id, uint64_t *ret_restored,
                           struct error *err UNUSED)
{
    struct sqlite_store *s = (struct sqlite_store *)super;
    *ret_id = arena_str(a, str_from(s->id));
    *ret_restored = s->restored;
    return 0;
}

static void sqlite_close(struct storage *super)
{
    struct sqlite_store *s = (struct sqlite_store *)super;
    sqlite__care_stop(s);
    sqlite__pool_release(&s->pool);
    /* The last connection: SQLite moves the WAL into the file and removes it. */
    sqlite__disconnect(&s->writer);
    (void)pthread_cond_destroy(&s->care.is_changed);
    (void)pthread_mutex_destroy(&s->care.checkpoint_mutex);
    (void)pthread_mutex_destroy(&s->care.mutex);
    (void)pthread_mutex_destroy(&s->write_mutex);
    fs_closep(&s->lock_fd);
    mem_free(s->path);
    mem_free(s);
}

static const struct storage_ops sqlite_ops = {
    .name = "sqlite",
    .is_durable = true,
    .write = sqlite__write,
    .get = sqlite__get,
    .list = sqlite__list,
    .changes = sqlite__changes,
    .revision = sqlite_revision,
    .compact = sqlite__compact,
    .snapshot = sqlite__snapshot,
    .identity = sqlite_identity,
    .health = sqlite__health,
    .close = sqlite_close,
};

/* Before SQLite does it: it would let everybody read, and the file holds secrets. */
static int make_file(const char *path, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    ptrdiff_t slash = str_rindex(str_from(path), '/');
    int r = slash > 0 ? fs_mkdir_all(arena_z(a, str_of(path, (size_t)slash)), 0700, err) : 0;
    if (r != 0)
        return r;
    FD_AUTO fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 ? 0 : error_set_sys(err, errno, "opening \"%s\"", path);
}

static int set_wal_mode(struct sqlite_connection *c, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str mode;
    int r = sqlite__query_text(c, a, "PRAGMA journal_mode = WAL", &mode, err);
    if (r == 0 && !str_eq(mode, S("wal")))
        r = error_set(err, ERRC_UNAVAILABLE, "store file \"%s\": its file system does not allow WAL mode", c->path);
    return r;
}

static int limit_pages(struct sqlite_connection *c, uint64_t max_pages, struct error *err)
{
    char sql[64];
    (void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %u", (unsigned)max_pages);
    return max_pages > 0 ? sqlite__exec(c, sql, err) : 0;
}

static int read_identity(struct sqlite_store *s, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str id;
    rv current = 0;
    rv oldest = 0;
    int r = sqlite__query_text(&s->writer, a, "SELECT value FROM meta WHERE name = 'id'", &id, err);
    if (r == 0)
        r = sqlite__query_u64(&s->writer, "SELECT value FROM meta WHERE name = 'restored'", &s->restored, err);
    if (r == 0)
        r = sqlite__bounds(&s->writer, &current, &oldest, err);
    if (r != 0)
        return r;
    (void)snprintf(s->id, sizeof(s->id), "%.*s", STR_ARG(id));
    atomic_store(&s->revision, current);
    atomic_store(&s->oldest, oldest);
    return 0;
}

/* What is left of a damaged WAL stays for whoever wants to save something. */
static int refuse_lost(struct sqlite_store *s, rv revision, struct error *err)
{
    int r = sqlite__check_mark(s->path, s->lock_fd, revision, err);
    if (r != 0)
        (void)sqlite3_db_config(s->writer.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return r;
}

/* A store was here, and the file is empty: no new one is made in its place. */
static int refuse_emptied(struct sqlite_store *s, struct error *err)
{
    bool is_empty = false;
    int r = sqlite__is_empty(&s->writer, &is_empty, err);
    return r == 0 && is_empty ? refuse_lost(s, 0, err) : r;
}

static int open_file(struct sqlite_store *s, uint64_t max_pages, struct error *err)
{
    struct sqlite_connection *c = &s->writer;
    int r = make_file(s->path, err);
    if (r == 0)
        r = sqlite__lock(s->path, &s->lock_fd, err);
    if (r == 0)
        r = sqlite__connect(c, s->path, SQLITE_OPEN_READWRITE, err);
    if (r == 0)
        r = refuse_emptied(s, err);
    if (r == 0)
        r = set_wal_mode(c, err);
    if (r == 0)
        r = limit_pages(c, max_pages, err);
    if (r == 0)
        r = sqlite__prepare_schema(c, err);
    if (r == 0)
        r = sqlite__check_file(c, "PRAGMA quick_check(1)", err);
    if (r == 0)
        r = sqlite__sync_folder_of(s->path, err);
    if (r == 0)
        r = read_identity(s, err);
    if (r == 0)
        r = refuse_lost(s, atomic_load(&s->revision), err);
    if (r == 0)
        sqlite__mark(s->lock_fd, atomic_load(&s->revision));
    return r == 0 ? sqlite__care_start(s, err) : r;
}

int storage__sqlite_open(str path, str options, struct storage **ret, struct error *err)
{
    uint64_t max_pages = 0;
    int r = storage__option_u64(options, S("max_pages"), 0, &max_pages, err);
    if (r != 0)
        return r;
    struct sqlite_store *s = mem_new_of(struct sqlite_store);
    s->super.ops = &sqlite_ops;
    s->lock_fd = -1;
    s->path = mem_alloc(path.len + 1);
    memcpy(s->path, path.ptr, path.len);
    (void)pthread_mutex_init(&s->write_mutex, NULL);
    (void)pthread_mutex_init(&s->care.mutex, NULL);
    (void)pthread_mutex_init(&s->care.checkpoint_mutex, NULL);
    (void)pthread_cond_init(&s->care.is_changed, NULL);
    sqlite__pool_init(&s->pool);
    r = open_file(s, max_pages, err);
    if (r != 0) {
        sqlite_close(&s->super);
        return error_wrap(err, r, "opening the store");
    }
    *ret = &s->super;
    return 0;
}
