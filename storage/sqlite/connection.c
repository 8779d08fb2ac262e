/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: settings, prepared statements, values, and SQLite's results as our errors. All SQL on rows stands here.
 */
#include <errno.h>
#include <string.h>

#include "storage/sqlite/sqlite.h"

#define BUSY_TIMEOUT_MS 5000

/*
 * The newest row of a key is the one with the highest revision; a key exists when that row is no deletion. Newest
 * revision: rows of the newest revisions may be compacted deletions, so `oldest` counts as well; thus it never goes
 * back.
 */
static const char *const sql_texts[SQL_STATEMENT_COUNT] = {
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_BOUNDS] = "SELECT coalesce((SELECT max(revision) FROM log), 0), CAST(value AS INTEGER) FROM meta"
                   " WHERE name = 'oldest'",
    [SQL_NEWEST] = "SELECT revision, create_revision, is_delete FROM log WHERE key = ?1 ORDER BY revision DESC LIMIT 1",
    [SQL_INSERT] = "INSERT INTO log (revision, key, value, is_delete, create_revision, old_revision)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_GET] = "SELECT key, value, create_revision, revision, is_delete FROM log WHERE key = ?1 AND revision <= ?2"
                " ORDER BY revision DESC LIMIT 1",
    [SQL_LIST] = "SELECT key, value, create_revision, revision FROM log AS l"
                 " WHERE key >= ?1 AND key < ?2 AND revision <= ?3 AND NOT EXISTS"
                 " (SELECT 1 FROM log AS n WHERE n.key = l.key AND n.revision > l.revision AND n.revision <= ?3)"
                 " AND NOT is_delete ORDER BY key LIMIT ?4",
    [SQL_LIST_COUNT] = "SELECT count(*) FROM log AS l"
                       " WHERE key > ?1 AND key < ?2 AND revision <= ?3 AND NOT EXISTS"
                       " (SELECT 1 FROM log AS n WHERE n.key = l.key AND n.revision > l.revision AND n.revision <= ?3)"
                       " AND NOT is_delete",
    [SQL_CHANGES] = "SELECT e.revision, e.is_delete, e.create_revision, e.key, e.value, e.old_revision, o.value"
                    " FROM log AS e LEFT JOIN log AS o ON o.revision = e.old_revision"
                    " WHERE e.revision > ?1 ORDER BY e.revision LIMIT ?2",
    [SQL_PROBE] = "INSERT INTO meta (name, value) VALUES ('probe', '1')"
                  " ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)",
    [SQL_COMPACT_REPLACED] = "DELETE FROM log WHERE revision IN"
                             " (SELECT old_revision FROM log WHERE revision > ?1 AND revision <= ?2)",
    [SQL_COMPACT_DELETED] = "DELETE FROM log WHERE revision > ?1 AND revision <= ?2 AND is_delete",
    [SQL_SET_OLDEST] = "UPDATE meta SET value = CAST(?1 AS TEXT) WHERE name = 'oldest'",
};

/*
 * FULL: a commit returns after fdatasync of the WAL. Checkpoints are ours (care.c): on the writer they would make the
 * slowest commits. cell_size_check and trusted_schema: a damaged or hostile file gives an error early. page_size is
 * that of a new file, and others keep theirs: five objects of usual size in 8 KB instead of two in 4 KB, and half the
 * calls.
 */
static const char settings[] = "PRAGMA page_size = 8192;"
                               "PRAGMA synchronous = FULL;"
                               "PRAGMA wal_autocheckpoint = 0;"
                               "PRAGMA cell_size_check = ON;"
                               "PRAGMA trusted_schema = OFF;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA cache_size = -1024;";

int sqlite__error(struct sqlite_connection *c, int rc, struct error *err)
{
    int sys = c->db ? sqlite3_system_errno(c->db) : 0;
    const char *text = c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);
    switch (rc & 0xff) {
    case SQLITE_FULL: return error_set(err, ERRC_UNAVAILABLE, "store file \"%s\": no space left: %s", c->path, text);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return error_set(err, ERRC_UNAVAILABLE, "store file \"%s\": %s%s%s", c->path, text, sys != 0 ? ": " : "",
                         sys != 0 ? strerrordesc_np(sys) : "");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(err, ERRC_UNAVAILABLE, "store file \"%s\" is locked by another program: %s", c->path, text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(err, ERRC_INTERNAL, "store file \"%s\" is damaged: %s; restore it from a snapshot", c->path,
                         text);
    default: return error_set(err, ERRC_INTERNAL, "store file \"%s\": %s", c->path, text);
    }
}

int sqlite__connect(struct sqlite_connection *c, const char *path, int flags, struct error *err)
{
    *c = (struct sqlite_connection) { .path = path };
    int rc = sqlite3_open_v2(path, &c->db,
                             flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE, NULL);
    int r = rc == SQLITE_OK ? 0 : sqlite__error(c, rc, err);
    if (r == 0) {
        (void)sqlite3_busy_timeout(c->db, BUSY_TIMEOUT_MS);
        (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        r = sqlite__exec(c, settings, err);
    }
    if (r != 0)
        sqlite__disconnect(c);
    return r;
}

void sqlite__disconnect(struct sqlite_connection *c)
{
    for (size_t i = 0; i < SQL_STATEMENT_COUNT; i++)
        (void)sqlite3_finalize(c->statements[i]);
    (void)sqlite3_close(c->db);
    *c = (struct sqlite_connection) { .path = c->path };
}

int sqlite__statement(struct sqlite_connection *c, enum sqlite_statement which, sqlite3_stmt **ret, struct error *err)
{
    sqlite3_stmt **slot = &c->statements[which];
    if (*slot) {
        (void)sqlite3_reset(*slot);
        (void)sqlite3_clear_bindings(*slot);
    } else {
        int rc = sqlite3_prepare_v3(c->db, sql_texts[which], -1, SQLITE_PREPARE_PERSISTENT, slot, NULL);
        if (rc != SQLITE_OK)
            return sqlite__error(c, rc, err);
    }
    *ret = *slot;
    return 0;
}

int sqlite__run(struct sqlite_connection *c, sqlite3_stmt *st, struct error *err)
{
    int rc = sqlite3_step(st);
    int r = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : sqlite__error(c, rc, err);
    (void)sqlite3_reset(st);
    return r;
}

int sqlite__run_plain(struct sqlite_connection *c, enum sqlite_statement which, struct error *err)
{
    sqlite3_stmt *st = NULL;
    int r = sqlite__statement(c, which, &st, err);
    return r == 0 ? sqlite__run(c, st, err) : r;
}

int sqlite__exec(struct sqlite_connection *c, const char *sql, struct error *err)
{
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : sqlite__error(c, rc, err);
}

static void finalizep(sqlite3_stmt **st)
{
    (void)sqlite3_finalize(*st);
}

int sqlite__query_text(struct sqlite_connection *c, struct arena *a, const char *sql, str *ret, struct error *err)
{
    CLEANUP(finalizep) sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_DONE)
        return error_set(err, ERRC_NOT_FOUND, "store file \"%s\": no answer to %s", c->path, sql);
    if (rc != SQLITE_ROW)
        return sqlite__error(c, rc, err);
    *ret = arena_str(a, sqlite__column_str(st, 0));
    return 0;
}

int sqlite__query_u64(struct sqlite_connection *c, const char *sql, uint64_t *ret, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str text;
    int r = sqlite__query_text(c, a, sql, &text, err);
    if (r == 0 && !str_to_u64(text, ret))
        r = error_set(err, ERRC_INTERNAL, "store file \"%s\" is damaged: \"%.*s\" is no number", c->path,
                      STR_ARG(text));
    return r;
}

void sqlite__bind_rv(sqlite3_stmt *st, int column, rv value)
{
    (void)sqlite3_bind_int64(st, column, (sqlite3_int64)value);
}

void sqlite__bind_str(sqlite3_stmt *st, int column, str value)
{
    (void)sqlite3_bind_text64(st, column, value.ptr ? value.ptr : "", value.len, SQLITE_STATIC, SQLITE_UTF8);
}

str sqlite__column_str(sqlite3_stmt *st, int column)
{
    const unsigned char *text = sqlite3_column_text(st, column);
    return str_of((const char *)text, (size_t)sqlite3_column_bytes(st, column));
}

int sqlite__bounds(struct sqlite_connection *c, rv *ret_current, rv *ret_oldest, struct error *err)
{
    sqlite3_stmt *st = NULL;
    int r = sqlite__statement(c, SQL_BOUNDS, &st, err);
    if (r != 0)
        return r;
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        rv newest = sqlite__column_rv(st, 0);
        *ret_oldest = sqlite__column_rv(st, 1);
        *ret_current = newest > *ret_oldest ? newest : *ret_oldest;
    } else if (rc == SQLITE_DONE) {
        r = error_set(err, ERRC_INTERNAL, "store file \"%s\" is damaged: no oldest revision", c->path);
    } else {
        r = sqlite__error(c, rc, err);
    }
    (void)sqlite3_reset(st);
    return r;
}
