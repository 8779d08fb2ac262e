/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of writes and steps of compaction: each one transaction on the one writing connection. */
#include "storage/sqlite/sqlite.h"

/* Revisions per step of compaction: some milliseconds, so that it fits between two batches. */
#define COMPACT_STEP 256

struct newest {
    rv revision; /* 0: the key does not exist */
    rv create_revision;
};

static int find_newest(struct sqlite_connection *c, str key, struct newest *ret, struct error *err)
{
    sqlite3_stmt *st = NULL;
    int r = sqlite__statement(c, SQL_NEWEST, &st, err);
    if (r != 0)
        return r;
    *ret = (struct newest) { .revision = 0 };
    sqlite__bind_str(st, 1, key);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW && sqlite3_column_int(st, 2) == 0)
        *ret = (struct newest) { .revision = sqlite__column_rv(st, 0), .create_revision = sqlite__column_rv(st, 1) };
    else if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        r = sqlite__error(c, rc, err);
    (void)sqlite3_reset(st);
    return r;
}

static int insert(struct sqlite_connection *c, const struct storage_write *w, const struct newest *newest, rv revision,
                  struct error *err)
{
    sqlite3_stmt *st = NULL;
    int r = sqlite__statement(c, SQL_INSERT, &st, err);
    if (r != 0)
        return r;
    sqlite__bind_rv(st, 1, revision);
    sqlite__bind_str(st, 2, w->key);
    sqlite__bind_str(st, 3, w->kind == STORAGE_PUT ? w->value : S(""));
    (void)sqlite3_bind_int(st, 4, w->kind == STORAGE_DELETE);
    sqlite__bind_rv(st, 5, newest->revision != 0 ? newest->create_revision : revision);
    sqlite__bind_rv(st, 6, newest->revision);
    return sqlite__run(c, st, err);
}

/* The write's own outcome goes into w; only what fails the whole batch is returned. */
static int apply(struct sqlite_connection *c, struct storage_write *w, rv revision, struct error *err)
{
    struct newest newest;
    w->result = storage__check_write(w, &w->error);
    if (w->result != 0)
        return 0;
    int r = find_newest(c, w->key, &newest, err);
    if (r != 0)
        return r;
    w->result = storage__check_expectation(w, newest.revision, &w->error);
    if (w->result != 0)
        return 0;
    w->new_revision = revision;
    return insert(c, w, &newest, revision, err);
}

static int apply_all(struct sqlite_connection *c, struct storage_write *writes, size_t count, rv *revision,
                     struct error *err)
{
    int r = count == 0 ? sqlite__run_plain(c, SQL_PROBE, err) : 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = apply(c, &writes[i], *revision + 1, err);
        if (r == 0 && writes[i].result == 0)
            ++*revision;
    }
    return r;
}

/* After an error; SQLite itself may have rolled back already. */
static void roll_back(struct sqlite_connection *c)
{
    for (size_t i = 0; i < SQL_STATEMENT_COUNT; i++)
        (void)sqlite3_reset(c->statements[i]);
    if (!sqlite3_get_autocommit(c->db))
        (void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
}

int sqlite__write(struct storage *super, struct storage_write *writes, size_t count, struct error *err)
{
    struct sqlite_store *s = (struct sqlite_store *)super;
    struct sqlite_connection *c = &s->writer;
    (void)pthread_mutex_lock(&s->write_mutex);
    sqlite__care_bound_wal(s);
    rv revision = atomic_load(&s->revision);
    int r = sqlite__run_plain(c, SQL_BEGIN_WRITE, err);
    if (r == 0)
        r = apply_all(c, writes, count, &revision, err);
    if (r == 0)
        r = sqlite__run_plain(c, SQL_COMMIT, err);
    if (r != 0)
        roll_back(c);
    else if (revision != atomic_exchange(&s->revision, revision))
        sqlite__mark(s->lock_fd, revision);
    (void)pthread_mutex_unlock(&s->write_mutex);
    return r;
}

/* Deletes what nobody sees at `to` or later. First the replaced rows: those that deletions replaced need the deletion.
 */
static int forget(struct sqlite_connection *c, rv after, rv to, struct error *err)
{
    static const enum sqlite_statement steps[] = { SQL_COMPACT_REPLACED, SQL_COMPACT_DELETED };
    sqlite3_stmt *st = NULL;
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(steps); i++) {
        r = sqlite__statement(c, steps[i], &st, err);
        if (r != 0)
            break;
        sqlite__bind_rv(st, 1, after);
        sqlite__bind_rv(st, 2, to);
        r = sqlite__run(c, st, err);
    }
    if (r == 0)
        r = sqlite__statement(c, SQL_SET_OLDEST, &st, err);
    if (r != 0)
        return r;
    sqlite__bind_rv(st, 1, to);
    return sqlite__run(c, st, err);
}

int sqlite__compact_step(struct sqlite_connection *c, rv keep_from, rv *oldest, struct error *err)
{
    rv to = keep_from - *oldest > COMPACT_STEP ? *oldest + COMPACT_STEP : keep_from;
    int r = sqlite__run_plain(c, SQL_BEGIN_WRITE, err);
    if (r == 0)
        r = forget(c, *oldest, to, err);
    if (r == 0)
        r = sqlite__run_plain(c, SQL_COMMIT, err);
    if (r == 0)
        *oldest = to;
    else
        roll_back(c);
    return r;
}

int sqlite__compact(struct storage *super, rv keep_from, rv *ret_oldest, struct error *err)
{
    struct sqlite_store *s = (struct sqlite_store *)super;
    (void)pthread_mutex_lock(&s->write_mutex);
    rv oldest = atomic_load(&s->oldest);
    int r = keep_from > oldest ? storage__check_revision(keep_from, oldest, atomic_load(&s->revision), err) : 0;
    if (r == 0 && keep_from > oldest) {
        sqlite__care_bound_wal(s);
        r = sqlite__compact_step(&s->writer, keep_from, &oldest, err);
        atomic_store(&s->oldest, oldest);
    }
    *ret_oldest = oldest;
    (void)pthread_mutex_unlock(&s->write_mutex);
    return r;
}
