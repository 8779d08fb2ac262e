/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the file: tables, schema version, identity; and whether the file is whole. */
#include <inttypes.h>
#include <stdio.h>

#include "base/rand.h"
#include "storage/sqlite/sqlite.h"

/*
 * log: one row per write. value is '' for a deletion; old_revision is the row that this one replaced (0: none).
 * meta: schema, id, restored, oldest (the revision that history reaches back to), probe.
 */
static const char tables[] = "CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT;"
                             "CREATE TABLE log ("
                             " revision INTEGER PRIMARY KEY,"
                             " key TEXT NOT NULL,"
                             " value TEXT NOT NULL,"
                             " is_delete INTEGER NOT NULL,"
                             " create_revision INTEGER NOT NULL,"
                             " old_revision INTEGER NOT NULL) STRICT;"
                             "CREATE UNIQUE INDEX log_key ON log (key, revision);";

static int create(struct sqlite_connection *c, struct error *err)
{
    char id[37];
    char values[400];
    rand_uuid(id);
    (void)snprintf(values, sizeof(values),
                   "INSERT INTO meta (name, value) VALUES ('schema', '%d'), ('id', '%s'), ('restored', '0'),"
                   " ('oldest', '%d');"
                   "PRAGMA application_id = %d;",
                   SQLITE_STORE_SCHEMA, id, STORAGE_FIRST_REVISION, SQLITE_STORE_APPLICATION_ID);
    int r = sqlite__exec(c, "BEGIN IMMEDIATE", err);
    if (r == 0)
        r = sqlite__exec(c, tables, err);
    if (r == 0)
        r = sqlite__exec(c, values, err);
    if (r == 0)
        r = sqlite__exec(c, "COMMIT", err);
    return r;
}

int sqlite__is_empty(struct sqlite_connection *c, bool *ret, struct error *err)
{
    uint64_t tables_there = 0;
    int r = sqlite__query_u64(c, "SELECT count(*) FROM sqlite_schema", &tables_there, err);
    *ret = r == 0 && tables_there == 0;
    return r;
}

int sqlite__prepare_schema(struct sqlite_connection *c, struct error *err)
{
    bool is_empty = false;
    int r = sqlite__is_empty(c, &is_empty, err);
    if (r != 0)
        return r;
    return is_empty ? create(c, err) : sqlite__check_schema(c, err);
}

int sqlite__check_schema(struct sqlite_connection *c, struct error *err)
{
    uint64_t application = 0;
    uint64_t schema = 0;
    int r = sqlite__query_u64(c, "PRAGMA application_id", &application, err);
    if (r == 0 && application != SQLITE_STORE_APPLICATION_ID)
        return error_set(err, ERRC_INVALID, "\"%s\" is a database of another program, not a store", c->path);
    if (r == 0)
        r = sqlite__query_u64(c, "SELECT value FROM meta WHERE name = 'schema'", &schema, err);
    if (r == 0 && schema != SQLITE_STORE_SCHEMA)
        r = error_set(err, ERRC_INVALID,
                      "store file \"%s\" has schema %" PRIu64 ", this program knows %d: use the program that wrote it",
                      c->path, schema, SQLITE_STORE_SCHEMA);
    return r;
}

int sqlite__check_file(struct sqlite_connection *c, const char *pragma, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str answer;
    int r = sqlite__query_text(c, a, pragma, &answer, err);
    if (r == 0 && !str_eq(answer, S("ok")))
        r = error_set(err, ERRC_INTERNAL, "store file \"%s\" is damaged: %.*s; restore it from a snapshot", c->path,
                      STR_ARG(answer));
    return r;
}
