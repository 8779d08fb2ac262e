/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the SQLite driver. The file holds one table of versions, `log`, keyed by revision (the layout that a
 * PostgreSQL driver can share), and `meta`. An event's old value is the row of old_revision, so no value is stored
 * twice.
 *
 * Threads: whoever writes holds write_mutex; readers borrow a connection of the pool; the checkpointer and the
 * integrity check have a thread and a connection each. Lock order: write_mutex, checkpoint_mutex; pool and care mutexes
 * are leaves.
 */
#ifndef STORAGE_SQLITE_SQLITE_H
#define STORAGE_SQLITE_SQLITE_H

#include <pthread.h>
#include <stdatomic.h>

#include <sqlite3.h>

#include "storage/driver.h"

#define SQLITE_STORE_APPLICATION_ID 0x50474150 /* "PGAP" */
#define SQLITE_STORE_SCHEMA 1
#define SQLITE_READERS_MAX 4

enum sqlite_statement {
    SQL_BEGIN_READ,
    SQL_BEGIN_WRITE,
    SQL_COMMIT,
    SQL_BOUNDS,
    SQL_NEWEST,
    SQL_INSERT,
    SQL_GET,
    SQL_LIST,
    SQL_LIST_COUNT,
    SQL_CHANGES,
    SQL_PROBE,
    SQL_COMPACT_REPLACED,
    SQL_COMPACT_DELETED,
    SQL_SET_OLDEST,
    SQL_STATEMENT_COUNT,
};

/* One connection with its prepared statements; one thread at a time. */
struct sqlite_connection {
    sqlite3 *db;
    const char *path; /* for error texts; the owner's */
    sqlite3_stmt *statements[SQL_STATEMENT_COUNT];
};

struct sqlite_pool {
    pthread_mutex_t mutex; /* protects the rest of this struct */
    pthread_cond_t is_freed;
    struct sqlite_connection *idle[SQLITE_READERS_MAX];
    size_t idle_count;
    size_t open_count;
};

struct sqlite_care {
    pthread_mutex_t mutex; /* protects the rest of this struct, up to the threads */
    pthread_cond_t is_changed;
    uint64_t wal_pages;        /* in the WAL after the last commit */
    uint64_t checkpoint_pages; /* in it when the last checkpoint began */
    bool has_rest;             /* a checkpoint ended well: the writer may copy what came during it */
    bool is_closing;
    char damage[200]; /* what the integrity check found, or "" */

    pthread_mutex_t checkpoint_mutex; /* held during a checkpoint: SQLite would refuse a second one */
    atomic_bool is_interrupted;       /* stops the integrity check */
    pthread_t checkpointer, checker;
    bool has_checkpointer, has_checker;
    struct sqlite_connection checkpoint_connection, check_connection;
    uint64_t truncate_pages; /* the writer truncates the WAL when it is longer; write_mutex */
};

struct sqlite_store {
    struct storage super;
    char *path;
    int lock_fd;
    pthread_mutex_t write_mutex; /* protects writer, and the order in which revisions are given */
    struct sqlite_connection writer;
    _Atomic rv revision; /* newest committed */
    _Atomic rv oldest;
    char id[40];
    uint64_t restored;
    struct sqlite_pool pool;
    struct sqlite_care care;
};

/* ---- connection.c: opening, statements, errors ------------------------------------------------------------------ */

int sqlite__connect(struct sqlite_connection *c, const char *path, int flags, struct error *err) MUST_USE;
void sqlite__disconnect(struct sqlite_connection *c);
/* A prepared statement, reset and without bindings. */
int sqlite__statement(struct sqlite_connection *c, enum sqlite_statement which, sqlite3_stmt **ret, struct error *err)
    MUST_USE;
/* Steps a statement that gives no rows, and resets it. */
int sqlite__run(struct sqlite_connection *c, sqlite3_stmt *st, struct error *err) MUST_USE;
int sqlite__run_plain(struct sqlite_connection *c, enum sqlite_statement which, struct error *err) MUST_USE;
/* One or more statements of SQL without parameters or results. */
int sqlite__exec(struct sqlite_connection *c, const char *sql, struct error *err) MUST_USE;
/* The first column of the first row as text in the arena; ERRC_NOT_FOUND without a row. */
int sqlite__query_text(struct sqlite_connection *c, struct arena *a, const char *sql, str *ret, struct error *err)
    MUST_USE;
int sqlite__query_u64(struct sqlite_connection *c, const char *sql, uint64_t *ret, struct error *err) MUST_USE;
/* The error of the last call on c, as ours: disk full and I/O errors are ERRC_UNAVAILABLE. */
int sqlite__error(struct sqlite_connection *c, int rc, struct error *err);
void sqlite__bind_rv(sqlite3_stmt *st, int column, rv value);
void sqlite__bind_str(sqlite3_stmt *st, int column, str value); /* must outlive the next step */
static inline rv sqlite__column_rv(sqlite3_stmt *st, int column)
{
    return (rv)sqlite3_column_int64(st, column);
}
str sqlite__column_str(sqlite3_stmt *st, int column); /* valid until the next step */
/* Newest and oldest revision, as this connection's transaction sees them. */
int sqlite__bounds(struct sqlite_connection *c, rv *ret_current, rv *ret_oldest, struct error *err) MUST_USE;

/* ---- schema.c --------------------------------------------------------------------------------------------------- */

/* Whether the file has no tables at all. */
int sqlite__is_empty(struct sqlite_connection *c, bool *ret, struct error *err) MUST_USE;
/* Makes the tables in an empty file; else checks that it is a store of a schema we know. */
int sqlite__prepare_schema(struct sqlite_connection *c, struct error *err) MUST_USE;
int sqlite__check_schema(struct sqlite_connection *c, struct error *err) MUST_USE;
/* `PRAGMA quick_check` or `PRAGMA integrity_check`: ERRC_INTERNAL with the first damage found. */
int sqlite__check_file(struct sqlite_connection *c, const char *pragma, struct error *err) MUST_USE;

/* ---- read.c ------------------------------------------------------------------------------------------------------ */

void sqlite__pool_init(struct sqlite_pool *p);
void sqlite__pool_release(struct sqlite_pool *p);
int sqlite__get(struct storage *s, struct arena *a, str key, rv at, struct storage_row *ret, struct error *err);
int sqlite__list(struct storage *s, struct arena *a, str prefix, str start_after, size_t limit, rv at,
                 struct storage_list_result *ret, struct error *err);
int sqlite__changes(struct storage *s, struct arena *a, rv after, size_t limit, struct storage_event **ret_events,
                    size_t *ret_count, struct error *err);

/* ---- write.c ----------------------------------------------------------------------------------------------------- */

int sqlite__write(struct storage *s, struct storage_write *writes, size_t count, struct error *err);
int sqlite__compact(struct storage *s, rv keep_from, rv *ret_oldest, struct error *err);
/* One step on a connection in no transaction: forgets up to STEP revisions. Updates *oldest. */
int sqlite__compact_step(struct sqlite_connection *c, rv keep_from, rv *oldest, struct error *err) MUST_USE;

/* ---- care.c: checkpoints and the integrity check -------------------------------------------------------------------
 */

int sqlite__care_start(struct sqlite_store *s, struct error *err) MUST_USE;
void sqlite__care_stop(struct sqlite_store *s);
/* Before a transaction, under write_mutex: lets the WAL begin anew, and empties it when it grew beyond its bound. */
void sqlite__care_bound_wal(struct sqlite_store *s);
int sqlite__health(struct storage *s, struct error *err);

/* ---- copy.c and lock.c ------------------------------------------------------------------------------------------- */

int sqlite__snapshot(struct storage *s, const char *path, struct error *err);
/* Takes the store file for this process until the descriptor is closed; ERRC_UNAVAILABLE when another one has it. */
int sqlite__lock(const char *path, int *ret_fd, struct error *err) MUST_USE;
/* Notes in the lock file that so much may have been acknowledged; 0 after a restore. */
void sqlite__mark(int lock_fd, rv revision);
/* ERRC_INTERNAL: more was acknowledged than the store has. */
int sqlite__check_mark(const char *path, int lock_fd, rv revision, struct error *err) MUST_USE;
/* fsync of the folder of path. */
int sqlite__sync_folder_of(const char *path, struct error *err) MUST_USE;

#endif
