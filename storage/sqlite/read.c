/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: each in one read transaction on a borrowed connection, so that it sees one state of the store. */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"
#include "storage/sqlite/sqlite.h"

/* A reader waits so long for a free connection. */
#define BORROW_TIMEOUT_MS 10000

void sqlite__pool_init(struct sqlite_pool *p)
{
    pthread_condattr_t attr;
    (void)pthread_mutex_init(&p->mutex, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&p->is_freed, &attr);
    (void)pthread_condattr_destroy(&attr);
}

void sqlite__pool_release(struct sqlite_pool *p)
{
    for (size_t i = 0; i < p->idle_count; i++) {
        sqlite__disconnect(p->idle[i]);
        mem_free(p->idle[i]);
    }
    (void)pthread_cond_destroy(&p->is_freed);
    (void)pthread_mutex_destroy(&p->mutex);
}

static void give_back(struct sqlite_pool *p, struct sqlite_connection *c)
{
    (void)pthread_mutex_lock(&p->mutex);
    if (c)
        p->idle[p->idle_count++] = c;
    else
        p->open_count--;
    (void)pthread_cond_signal(&p->is_freed);
    (void)pthread_mutex_unlock(&p->mutex);
}

/* An idle connection, or the right to open one (*ret NULL). */
static int reserve(struct sqlite_pool *p, struct sqlite_connection **ret, struct error *err)
{
    struct timespec until = clock_to_timespec(deadline_in_ms(BORROW_TIMEOUT_MS));
    int waited = 0;
    int r = 0;
    *ret = NULL;
    (void)pthread_mutex_lock(&p->mutex);
    while (p->idle_count == 0 && p->open_count == SQLITE_READERS_MAX && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&p->is_freed, &p->mutex, &until);
    if (p->idle_count > 0)
        *ret = p->idle[--p->idle_count];
    else if (p->open_count < SQLITE_READERS_MAX)
        p->open_count++;
    else
        r = error_set(err, ERRC_UNAVAILABLE, "the store has too many readers");
    (void)pthread_mutex_unlock(&p->mutex);
    return r;
}

static void end_read(struct sqlite_store *s, struct sqlite_connection *c)
{
    /* Ends a read: nothing can be lost, and a connection that cannot end it is closed. */
    if (sqlite__run_plain(c, SQL_COMMIT, NULL) != 0) {
        sqlite__disconnect(c);
        mem_free(c);
        c = NULL;
    }
    give_back(&s->pool, c);
}

static int begin_read(struct sqlite_store *s, struct sqlite_connection **ret, struct error *err)
{
    struct sqlite_connection *c = NULL;
    int r = reserve(&s->pool, &c, err);
    if (r != 0)
        return r;
    if (!c) {
        c = mem_new_of(struct sqlite_connection);
        r = sqlite__connect(c, s->path, SQLITE_OPEN_READONLY, err);
    }
    if (r == 0)
        r = sqlite__run_plain(c, SQL_BEGIN_READ, err);
    if (r != 0) {
        sqlite__disconnect(c);
        mem_free(c);
        give_back(&s->pool, NULL);
        return r;
    }
    *ret = c;
    return 0;
}

/* `at` as a bound: itself when history reaches it, the newest when it is 0. */
static int resolve(struct sqlite_connection *c, rv at, rv *ret, struct error *err)
{
    rv current = 0;
    rv oldest = 0;
    int r = sqlite__bounds(c, &current, &oldest, err);
    if (r != 0)
        return r;
    *ret = at != 0 ? at : current;
    return storage__check_revision(*ret, oldest, current, err);
}

static struct storage_row row_of(sqlite3_stmt *st)
{
    return (struct storage_row) {
        .key = sqlite__column_str(st, 0),
        .value = sqlite__column_str(st, 1),
        .create_revision = sqlite__column_rv(st, 2),
        .mod_revision = sqlite__column_rv(st, 3),
    };
}

static int get_row(struct sqlite_connection *c, struct arena *a, str key, rv at, struct storage_row *ret,
                   struct error *err)
{
    sqlite3_stmt *st = NULL;
    rv bound = 0;
    int r = resolve(c, at, &bound, err);
    if (r == 0)
        r = sqlite__statement(c, SQL_GET, &st, err);
    if (r != 0)
        return r;
    sqlite__bind_str(st, 1, key);
    sqlite__bind_rv(st, 2, bound);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW && sqlite3_column_int(st, 4) == 0) {
        *ret = row_of(st);
        ret->key = arena_str(a, ret->key);
        ret->value = arena_str(a, ret->value);
    } else if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        r = storage__not_found(key, err);
    } else {
        r = sqlite__error(c, rc, err);
    }
    (void)sqlite3_reset(st);
    return r;
}

int sqlite__get(struct storage *super, struct arena *a, str key, rv at, struct storage_row *ret, struct error *err)
{
    struct sqlite_store *s = (struct sqlite_store *)super;
    struct sqlite_connection *c = NULL;
    int r = begin_read(s, &c, err);
    if (r != 0)
        return r;
    r = get_row(c, a, key, at, ret, err);
    end_read(s, c);
    return r;
}

/* Behind every key: they are no longer than LIMIT_KEY_BYTES and begin with a slash. */
static str end_or_last(str end)
{
    return str_is_empty(end) ? S("\xff\xff") : end;
}

static int list_rows(struct sqlite_connection *c, struct storage__rows *rows, struct storage__range range, size_t limit,
                     struct storage_list_result *ret, struct error *err)
{
    sqlite3_stmt *st = NULL;
    int r = sqlite__statement(c, SQL_LIST, &st, err);
    if (r != 0)
        return r;
    sqlite__bind_str(st, 1, range.from);
    sqlite__bind_str(st, 2, end_or_last(range.end));
    sqlite__bind_rv(st, 3, ret->revision);
    /* One more than asked for tells whether there are more. */
    (void)sqlite3_bind_int64(st, 4, limit > 0 ? (sqlite3_int64)limit + 1 : -1);
    int rc = SQLITE_ROW;
    while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        if (limit > 0 && rows->count == limit) {
            ret->has_more = true;
            break;
        }
        struct storage_row row = row_of(st);
        r = storage__rows_add(rows, &row, err);
    }
    if (r == 0 && rc != SQLITE_ROW && rc != SQLITE_DONE)
        r = sqlite__error(c, rc, err);
    (void)sqlite3_reset(st);
    ret->rows = rows->items;
    ret->count = rows->count;
    return r;
}

static int count_rest(struct sqlite_connection *c, str last, str end, struct storage_list_result *ret,
                      struct error *err)
{
    sqlite3_stmt *st = NULL;
    int r = sqlite__statement(c, SQL_LIST_COUNT, &st, err);
    if (r != 0)
        return r;
    sqlite__bind_str(st, 1, last);
    sqlite__bind_str(st, 2, end_or_last(end));
    sqlite__bind_rv(st, 3, ret->revision);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        ret->remaining = (uint64_t)sqlite3_column_int64(st, 0);
    else
        r = sqlite__error(c, rc, err);
    (void)sqlite3_reset(st);
    return r;
}

int sqlite__list(struct storage *super, struct arena *a, str prefix, str start_after, size_t limit, rv at,
                 struct storage_list_result *ret, struct error *err)
{
    struct sqlite_store *s = (struct sqlite_store *)super;
    struct sqlite_connection *c = NULL;
    struct storage__rows rows = { .arena = a };
    struct storage__range range = storage__range_of(a, prefix, start_after);
    *ret = (struct storage_list_result) { .revision = 0 };
    int r = begin_read(s, &c, err);
    if (r != 0)
        return r;
    r = resolve(c, at, &ret->revision, err);
    if (r == 0)
        r = list_rows(c, &rows, range, limit, ret, err);
    if (r == 0 && ret->has_more)
        r = count_rest(c, rows.items[rows.count - 1].key, range.end, ret, err);
    end_read(s, c);
    return r;
}

static struct storage_event event_of(struct arena *a, sqlite3_stmt *st)
{
    struct storage_event e = {
        .revision = sqlite__column_rv(st, 0),
        .is_delete = sqlite3_column_int(st, 1) != 0,
        .key = arena_str(a, sqlite__column_str(st, 3)),
        .value = arena_str(a, sqlite__column_str(st, 4)),
        .old_revision = sqlite__column_rv(st, 5),
        .old_value = arena_str(a, sqlite__column_str(st, 6)),
    };
    e.is_create = sqlite__column_rv(st, 2) == e.revision;
    if (e.is_delete)
        e.value = e.old_value;
    return e;
}

static int read_changes(struct sqlite_connection *c, struct arena *a, rv after, struct storage_event *events,
                        size_t *count, struct error *err)
{
    sqlite3_stmt *st = NULL;
    int r = sqlite__statement(c, SQL_CHANGES, &st, err);
    if (r != 0)
        return r;
    sqlite__bind_rv(st, 1, after);
    (void)sqlite3_bind_int64(st, 2, (sqlite3_int64)*count);
    size_t found = 0;
    int rc = SQLITE_DONE;
    while (found < *count && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        events[found] = event_of(a, st);
        found++;
        if (events[found - 1].revision != after + found) {
            r = error_set(err, ERRC_INTERNAL, "store file \"%s\" is damaged: revision %" PRIu64 " is missing", c->path,
                          after + found);
            break;
        }
    }
    if (r == 0 && found < *count)
        r = rc == SQLITE_DONE
                ? error_set(err, ERRC_INTERNAL, "store file \"%s\" is damaged: revision %" PRIu64 " is missing",
                            c->path, after + found + 1)
                : sqlite__error(c, rc, err);
    (void)sqlite3_reset(st);
    *count = found;
    return r;
}

int sqlite__changes(struct storage *super, struct arena *a, rv after, size_t limit, struct storage_event **ret_events,
                    size_t *ret_count, struct error *err)
{
    struct sqlite_store *s = (struct sqlite_store *)super;
    struct sqlite_connection *c = NULL;
    rv current = 0;
    rv oldest = 0;
    int r = begin_read(s, &c, err);
    if (r != 0)
        return r;
    r = sqlite__bounds(c, &current, &oldest, err);
    if (r == 0)
        r = storage__check_revision(after, oldest, current, err);
    if (r == 0) {
        *ret_count = current - after < limit ? current - after : limit;
        *ret_events = arena_array_of(a, struct storage_event, *ret_count);
        r = read_changes(c, a, after, *ret_events, ret_count, err);
    }
    end_read(s, c);
    return r;
}
