/* SPDX-License-Identifier: Apache-2.0 */
/* What the SQLite driver does beyond the contract: the file, its lock, damage, full disks, the WAL, copies. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <sqlite3.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/thread.h"
#include "storage/restore.h"
#include "storage/storage.h"

static char folder[] = "/tmp/storage-sqlite-XXXXXX";
static char path[128];
static struct storage *store;
static struct arena *arena;
static struct error error;

static int open_at(const char *file, const char *options, struct storage **ret)
{
    char url[160];
    (void)snprintf(url, sizeof(url), "sqlite:%s%s", file, options);
    return storage_open(str_from(url), ret, &error);
}

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/data/store.db", folder);
    arena = arena_new();
    cr_assert_eq(open_at(path, "", &store), 0, "%s", error.text);
}

static void tear_down(void)
{
    storage_close(store);
    arena_free(arena);
    cr_assert_eq(fs_remove_all(folder, &error), 0, "%s", error.text);
}

TestSuite(sqlite, .init = set_up, .fini = tear_down);

/* ---- words of the tests -------------------------------------------------------------------------------------------
 */

static void close_store(void)
{
    storage_close(store);
    store = NULL;
}

static int try_put(const char *key, str value, rv expected, rv *ret)
{
    struct storage_write w = {
        .kind = STORAGE_PUT,
        .expect = expected != 0 ? STORAGE_EXPECT_REVISION : STORAGE_EXPECT_ABSENT,
        .revision = expected,
        .key = str_from(key),
        .value = value,
    };
    int r = store->ops->write(store, &w, 1, &error);
    if (r != 0)
        return r;
    cr_assert_eq(w.result, 0, "%s", w.error.text);
    *ret = w.new_revision;
    return 0;
}

static rv put(const char *key, str value, rv expected)
{
    rv revision = 0;
    cr_assert_eq(try_put(key, value, expected, &revision), 0, "%s", error.text);
    return revision;
}

static int get(const char *key, struct storage_row *ret)
{
    return store->ops->get(store, arena, str_from(key), 0, ret, &error);
}

static str text_of(size_t len)
{
    char *text = arena_alloc(arena, len);
    memset(text, 'x', len);
    return str_of(text, len);
}

/* SQL from outside, as a person with the sqlite3 program would do it. */
static void meddle(const char *sql)
{
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static off_t size_of(const char *suffix)
{
    char file[160];
    struct stat st;
    (void)snprintf(file, sizeof(file), "%s%s", path, suffix);
    return stat(file, &st) == 0 ? st.st_size : -1;
}

/* ---- the file
 * --------------------------------------------------------------------------------------------------------- */

Test(sqlite, only_the_owner_can_read_the_files)
{
    static const char *const suffixes[] = { "", "-wal", "-shm", "-lock" };
    (void)put("/g/a/x", S("1"), 0);
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char file[160];
        struct stat st;
        (void)snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
        cr_assert_eq(stat(file, &st), 0, "%s", file);
        cr_assert_eq(st.st_mode & 0777, 0600, "%s", file);
    }
}

Test(sqlite, a_file_in_use_is_refused_with_its_name_and_the_process)
{
    struct storage *second = NULL;
    char pid[32];
    (void)snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
    cr_assert_eq(open_at(path, "", &second), ERRC_UNAVAILABLE);
    cr_assert_not_null(strstr(error.text, path), "%s", error.text);
    cr_assert_not_null(strstr(error.text, pid), "%s", error.text);
    close_store();
    cr_assert_eq(open_at(path, "", &store), 0, "%s", error.text);
}

static char *file_with(const char *suffix)
{
    return (char *)(uintptr_t)arena_printf(arena, "%s%s", path, suffix).ptr;
}

/* As after kill -9: the files of the open store under another name, its lock file included. */
static void take_files_along(const char *to)
{
    static const char *const suffixes[] = { "", "-wal", "-lock" };
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        str bytes;
        cr_assert_eq(fs_read(arena, file_with(suffixes[i]), 64u << 20, &bytes, &error), 0, "%s", error.text);
        const char *copy = arena_printf(arena, "%s%s", to, suffixes[i]).ptr;
        cr_assert_eq(fs_write_atomic(copy, bytes, 0600, &error), 0, "%s", error.text);
    }
}

static void check_lost(const char *at)
{
    struct storage *other = NULL;
    cr_assert_eq(open_at(at, "", &other), ERRC_INTERNAL);
    cr_assert_not_null(strstr(error.text, "has lost writes"), "%s", error.text);
    cr_assert_eq(open_at(at, "", &other), ERRC_INTERNAL, "it stays so");
}

Test(sqlite, a_store_that_was_emptied_is_not_begun_anew)
{
    (void)put("/g/a/x", S("1"), 0);
    close_store();
    cr_assert_eq(truncate(path, 0), 0);
    check_lost(path);
    cr_assert_eq(unlink(path), 0);
    check_lost(path);
    cr_assert_eq(unlink(file_with("-lock")), 0); /* the way out that the error names */
    cr_assert_eq(open_at(path, "", &store), 0, "%s", error.text);
}

Test(sqlite, acknowledged_writes_that_went_with_the_wal_are_missed)
{
    const char *copy = file_with("-copy"), *wal = file_with("-copy-wal");
    struct storage *other = NULL;
    for (int i = 0; i < 20; i++)
        (void)put(arena_printf(arena, "/g/a/%d", i).ptr, text_of(2000), 0);
    take_files_along(copy);
    cr_assert_eq(open_at(copy, "", &other), 0, "%s", error.text); /* all is there */
    storage_close(other);
    take_files_along(copy);
    cr_assert_eq(truncate(wal, size_of("-wal") - 5000), 0);
    check_lost(copy);
    cr_assert_eq(size_of("-copy-wal"), size_of("-wal") - 5000, "what is left of it stays");
    take_files_along(copy);
    cr_assert_eq(unlink(wal), 0);
    check_lost(copy);
}

Test(sqlite, an_older_file_in_the_place_of_the_store_is_noticed)
{
    struct storage_row row;
    (void)put("/g/a/x", S("1"), 0);
    cr_assert_eq(storage_snapshot(path, file_with("-old"), &error), 0, "%s", error.text);
    (void)put("/g/a/y", S("2"), 0);
    close_store();
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(link(file_with("-old"), path), 0);
    check_lost(path);
    cr_assert_eq(unlink(path), 0); /* what `restore` is for */
    cr_assert_eq(storage_restore(file_with("-old"), path, &error), 0, "%s", error.text);
    cr_assert_eq(open_at(path, "", &store), 0, "%s", error.text);
    cr_assert_eq(get("/g/a/x", &row), 0);
}

Test(sqlite, a_database_of_another_program_is_refused_and_left_alone)
{
    close_store();
    cr_assert_eq(unlink(path), 0);
    meddle("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
    cr_assert_eq(open_at(path, "", &store), ERRC_INVALID);
    cr_assert_not_null(strstr(error.text, "database of another program"), "%s", error.text);
    meddle("SELECT x FROM theirs");
}

Test(sqlite, a_newer_schema_is_refused)
{
    close_store();
    meddle("UPDATE meta SET value = '2' WHERE name = 'schema'");
    cr_assert_eq(open_at(path, "", &store), ERRC_INVALID);
    cr_assert_not_null(strstr(error.text, "has schema 2, this program knows 1"), "%s", error.text);
}

Test(sqlite, a_file_that_is_no_database_is_refused)
{
    close_store();
    cr_assert_eq(fs_write_atomic(path, text_of(10000), 0600, &error), 0);
    cr_assert_eq(open_at(path, "", &store), ERRC_INTERNAL);
    cr_assert_not_null(strstr(error.text, "damaged"), "%s", error.text);
}

Test(sqlite, unknown_options_are_refused)
{
    struct storage *other = NULL;
    cr_assert_eq(open_at(path, "?sync=off", &other), ERRC_INVALID);
    cr_assert_eq(storage_open(S("sqlite:"), &other, &error), ERRC_INVALID);
    cr_assert_eq(storage_open(S("oracle:x"), &other, &error), ERRC_INVALID);
    cr_assert_eq(storage_open(S("memory:?first=1"), &other, &error), ERRC_INVALID);
    cr_assert_eq(storage_open(S("memory:?first=100"), &other, &error), 0);
    rv current = 0;
    rv oldest = 0;
    cr_assert_eq(other->ops->revision(other, &current, &oldest, &error), 0);
    cr_assert_eq(current, 99);
    storage_close(other);
}

/* ---- damage
 * -------------------------------------------------------------------------------------------------------------- */

static void overwrite(off_t offset, size_t len)
{
    FD_AUTO fd = open(path, O_WRONLY);
    cr_assert_geq(fd, 0);
    str junk = text_of(len);
    cr_assert_eq(pwrite(fd, junk.ptr, junk.len, offset), (ssize_t)len);
}

Test(sqlite, a_damaged_page_is_found_at_the_start)
{
    for (int i = 0; i < 50; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "/g/a/%d", i);
        (void)put(key, text_of(1000), 0);
    }
    close_store();
    overwrite(size_of("") - 3 * 4096, 4096);
    cr_assert_eq(open_at(path, "", &store), ERRC_INTERNAL);
    cr_assert_not_null(strstr(error.text, "damaged"), "%s", error.text);
    cr_assert_not_null(strstr(error.text, "snapshot"), "%s", error.text);
}

Test(sqlite, what_the_quick_check_cannot_see_is_found_in_the_background)
{
    (void)put("/g/a/x", S("1"), 0);
    (void)put("/g/a/y", S("2"), 0);
    close_store();
    /* An index that lacks a row: quick_check does not compare tables and indexes. */
    meddle("PRAGMA writable_schema = ON;"
           "UPDATE sqlite_schema SET type='table', name='i', tbl_name='i', sql='CREATE TABLE i(a,b,PRIMARY KEY(a,b))"
           " WITHOUT ROWID' WHERE name = 'log_key'");
    meddle("DELETE FROM i");
    meddle("PRAGMA writable_schema = ON;"
           "UPDATE sqlite_schema SET type='index', name='log_key', tbl_name='log',"
           " sql='CREATE UNIQUE INDEX log_key ON log (key, revision)' WHERE name = 'i'");
    cr_assert_eq(open_at(path, "", &store), 0, "%s", error.text);
    int64_t deadline = deadline_in_ms(120000);
    while (store->ops->health(store, &error) == 0 && !deadline_has_passed(deadline))
        (void)sched_yield();
    cr_assert_eq(store->ops->health(store, &error), ERRC_INTERNAL);
    cr_assert_not_null(strstr(error.text, "integrity check"), "%s", error.text);
}

/* ---- no space
 * -------------------------------------------------------------------------------------------------------------- */

/* Writes until one fails; every key before it must then be readable. Returns how many succeeded. */
static int fill_up(const char *prefix)
{
    rv revision = 0;
    for (int i = 0; i < 100000; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "/g/%s/%05d", prefix, i);
        int r = try_put(key, text_of(3000), 0, &revision);
        if (r != 0) {
            cr_assert_eq(r, ERRC_UNAVAILABLE, "%s", error.text);
            return i;
        }
    }
    cr_assert_fail("the disk was never full");
    return 0;
}

static void assert_filled(const char *prefix, int count)
{
    struct storage_list_result all;
    str keys = arena_printf(arena, "/g/%s/", prefix);
    cr_assert_eq(store->ops->list(store, arena, keys, S(""), 0, 0, &all, &error), 0, "%s", error.text);
    cr_assert_eq(all.count, count);
    for (size_t i = 0; i < all.count; i++)
        cr_assert_eq(all.rows[i].value.len, 3000);
}

Test(sqlite, a_file_that_may_not_grow_refuses_writes_serves_reads_and_recovers)
{
    close_store();
    cr_assert_eq(open_at(path, "?max_pages=100", &store), 0, "%s", error.text);
    int count = fill_up("a");
    cr_assert_gt(count, 50);
    cr_assert_not_null(strstr(error.text, "no space left"), "%s", error.text);
    assert_filled("a", count);
    /* Pages that are free inside the file can still be used: what is deleted and compacted makes room. */
    struct storage_row row;
    cr_assert_eq(get("/g/a/00000", &row), 0);
    close_store();
    cr_assert_eq(open_at(path, "?max_pages=200", &store), 0, "%s", error.text);
    assert_filled("a", count);
    (void)put("/g/b/x", S("1"), 0);
}

/* A small file system of our own, in a mount namespace of this test's process. */
static bool mount_small_disk(char *ret_folder, size_t size)
{
    (void)snprintf(ret_folder, size, "%s/disk", folder);
    return mkdir(ret_folder, 0700) == 0 && unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", ret_folder, "tmpfs", 0, "size=2m,mode=0700") == 0;
}

Test(sqlite, on_a_full_disk_writes_fail_reads_go_on_and_it_recovers_when_space_returns)
{
    char disk[96];
    char ballast[128];
    close_store();
    if (!mount_small_disk(disk, sizeof(disk)))
        cr_skip_test("mounting a small disk needs root");
    (void)snprintf(path, sizeof(path), "%s/store.db", disk);
    (void)snprintf(ballast, sizeof(ballast), "%s/ballast", disk);
    cr_assert_eq(fs_write_atomic(ballast, text_of(1 << 20), 0600, &error), 0, "%s", error.text);
    cr_assert_eq(open_at(path, "", &store), 0, "%s", error.text);
    int count = fill_up("a");
    cr_assert_gt(count, 20); /* each takes about three pages of the WAL */
    cr_assert_not_null(strstr(error.text, "no space left"), "%s", error.text);
    assert_filled("a", count);
    cr_assert_eq(store->ops->write(store, NULL, 0, NULL), ERRC_UNAVAILABLE, "the probe fails too");

    cr_assert_eq(unlink(ballast), 0);
    cr_assert_eq(store->ops->write(store, NULL, 0, &error), 0, "%s", error.text);
    rv revision = put("/g/b/x", S("1"), 0);
    cr_assert_eq(revision, (rv)count + 2, "no revision was lost or skipped");
    close_store();
    cr_assert_eq(open_at(path, "", &store), 0, "%s", error.text);
    assert_filled("a", count);
    rv current = 0;
    rv oldest = 0;
    cr_assert_eq(store->ops->revision(store, &current, &oldest, &error), 0);
    cr_assert_eq(current, revision);
    close_store();
    cr_assert_eq(umount(disk), 0);
}

/* ---- the WAL
 * ------------------------------------------------------------------------------------------------------------------ */

static void write_megabytes(const char *prefix, int megabytes)
{
    str value = text_of(1 << 20);
    for (int i = 0; i < megabytes; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "/g/%s/%05d", prefix, i);
        (void)put(key, value, 0);
    }
}

Test(sqlite, the_wal_stays_bounded_under_a_writer_that_never_pauses)
{
    off_t largest = 0;
    for (int i = 0; i < 10; i++) {
        char prefix[16];
        (void)snprintf(prefix, sizeof(prefix), "p%d", i);
        write_megabytes(prefix, 16);
        if (size_of("-wal") > largest)
            largest = size_of("-wal");
    }
    cr_assert_gt(largest, 0);
    cr_assert_leq(largest, 70 << 20, "%jd", (intmax_t)largest);
    cr_assert_geq(size_of(""), 90 << 20, "checkpoints filled the file while it was written: %jd",
                  (intmax_t)size_of(""));
    close_store();
    cr_assert_eq(size_of("-wal"), -1, "a clean stop leaves one file");
}

static int page_bytes(sqlite3 *db)
{
    sqlite3_stmt *st = NULL;
    cr_assert_eq(sqlite3_prepare_v2(db, "PRAGMA page_size", -1, &st, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(st), SQLITE_ROW);
    int bytes = sqlite3_column_int(st, 0);
    cr_assert_eq(sqlite3_finalize(st), SQLITE_OK);
    return bytes;
}

Test(sqlite, a_file_of_4_kb_pages_is_used_as_it_is)
{
    sqlite3 *db = NULL;
    (void)put("/g/a/old", S("1"), 0);
    close_store();
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(page_bytes(db), 8192);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA journal_mode = DELETE; PRAGMA page_size = 4096; VACUUM", NULL, NULL, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);

    cr_assert_eq(open_at(path, "", &store), 0, "%s", error.text);
    write_megabytes("b", 20);
    close_store();
    cr_assert_eq(open_at(path, "", &store), 0, "%s", error.text);
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct storage_row row;
    cr_assert_eq(store->ops->get(store, a, S("/g/a/old"), 0, &row, &error), 0, "%s", error.text);
    cr_assert(str_eq(row.value, S("1")));
    cr_assert_eq(store->ops->get(store, a, S("/g/b/00019"), 0, &row, &error), 0, "%s", error.text);
    cr_assert_eq(row.value.len, (size_t)1 << 20);
    close_store();
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(page_bytes(db), 4096);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

/* https://sqlite.org/fileformat2.html#walformat: how often the WAL was begun anew, big-endian. */
static unsigned wal_sequence(void)
{
    unsigned char header[16] = { 0 };
    char wal[300];
    (void)snprintf(wal, sizeof(wal), "%s-wal", path);
    FD_AUTO fd = open(wal, O_RDONLY | O_CLOEXEC);
    cr_assert_eq(read(fd, header, sizeof(header)), (ssize_t)sizeof(header));
    return (unsigned)header[12] << 24 | (unsigned)header[13] << 16 | (unsigned)header[14] << 8 | header[15];
}

Test(sqlite, the_wal_begins_anew_in_place_under_a_writer_that_never_pauses)
{
    enum { VALUE_BYTES = 16 << 10, WRITES_MAX = (48 << 20) / VALUE_BYTES };
    str value = text_of(VALUE_BYTES);
    (void)put("/g/a/first", S("1"), 0);
    unsigned first = wal_sequence();
    int writes = 0;
    while (wal_sequence() == first && writes < WRITES_MAX) {
        char key[32];
        (void)snprintf(key, sizeof(key), "/g/a/%05d", writes++);
        (void)put(key, value, 0);
    }
    cr_assert_lt(writes, WRITES_MAX, "48 MB, and it only grew");
    cr_assert_geq(size_of("-wal"), 4 << 20, "it kept its blocks: %jd", (intmax_t)size_of("-wal"));
}

/* ---- copies
 * --------------------------------------------------------------------------------------------------------------------
 */

struct busy_writer {
    atomic_bool stops;
    atomic_int count;
};

static void *write_busily(void *self)
{
    struct busy_writer *w = self;
    for (int i = 0; !atomic_load(&w->stops); i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "/g/busy/%06d", i);
        struct storage_write write = {
            .kind = STORAGE_PUT, .expect = STORAGE_EXPECT_ABSENT, .key = str_from(key), .value = S("v")
        };
        if (store->ops->write(store, &write, 1, NULL) != 0 || write.result != 0)
            return NULL;
        (void)atomic_fetch_add(&w->count, 1);
    }
    return NULL;
}

Test(sqlite, a_snapshot_while_writes_go_on_is_one_state)
{
    struct busy_writer w = { .count = 0 };
    pthread_t thread;
    char copy[128];
    (void)snprintf(copy, sizeof(copy), "%s/copy.db", folder);
    write_megabytes("a", 5);
    cr_assert_eq(thread_start(&thread, "busy", write_busily, &w, &error), 0);
    while (atomic_load(&w.count) < 20)
        (void)sched_yield();
    int r = store->ops->snapshot(store, copy, &error);
    atomic_store(&w.stops, true);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(r, 0, "%s", error.text);
    close_store();

    struct stat st;
    cr_assert_eq(stat(copy, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(open_at(copy, "", &store), 0, "%s", error.text);
    rv current = 0;
    rv oldest = 0;
    struct storage_event *events = NULL;
    size_t count = 0;
    cr_assert_eq(store->ops->revision(store, &current, &oldest, &error), 0);
    cr_assert_geq(current, 1 + 5 + 20);
    cr_assert_eq(store->ops->changes(store, arena, oldest, 1000000, &events, &count, &error), 0, "%s", error.text);
    cr_assert_eq(count, current - oldest, "no hole in the copy");
}

Test(sqlite, a_snapshot_can_be_taken_by_another_process_while_the_store_is_open)
{
    char copy[128];
    (void)snprintf(copy, sizeof(copy), "%s/copy.db", folder);
    /* It begins while nothing of SQLite is in use here: a lock that another thread holds would never open in the child.
     */
    close_store();
    int go[2];
    char word = '\0';
    cr_assert_eq(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(read(go[0], &word, 1) == 1 && storage_snapshot(path, copy, NULL) == 0 ? 0 : 1);
    cr_assert_eq(open_at(path, "", &store), 0, "%s", error.text);
    rv revision = put("/g/a/x", S("1"), 0);
    cr_assert_eq(write(go[1], &word, 1), 1);
    (void)close(go[0]);
    (void)close(go[1]);
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    close_store();
    cr_assert_eq(open_at(copy, "", &store), 0, "%s", error.text);
    struct storage_row row;
    cr_assert_eq(get("/g/a/x", &row), 0);
    cr_assert_eq(row.mod_revision, revision);
}

Test(sqlite, a_restored_store_is_recognised_and_gives_no_revision_twice)
{
    char copy[128];
    (void)snprintf(copy, sizeof(copy), "%s/copy.db", folder);
    rv first = put("/g/a/x", S("1"), 0);
    rv second = put("/g/a/x", S("2"), first);
    str id;
    str id_after;
    uint64_t restored = 0;
    cr_assert_eq(store->ops->identity(store, arena, &id, &restored, &error), 0);
    cr_assert_eq(store->ops->snapshot(store, copy, &error), 0, "%s", error.text);
    rv lost = put("/g/a/x", S("lost"), second);

    cr_assert_eq(storage_restore(copy, path, &error), ERRC_UNAVAILABLE, "a running server keeps its file");
    close_store();
    cr_assert_eq(storage_restore(copy, path, &error), ERRC_EXISTS, "nothing is overwritten");
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(storage_restore(copy, path, &error), 0, "%s", error.text);
    cr_assert_eq(open_at(path, "", &store), 0, "%s", error.text);

    cr_assert_eq(store->ops->identity(store, arena, &id_after, &restored, &error), 0);
    cr_assert(str_eq(id, id_after));
    cr_assert_eq(restored, 1);
    struct storage_row row;
    cr_assert_eq(get("/g/a/x", &row), 0);
    cr_assert(str_eq(row.value, S("2")));
    cr_assert_eq(row.mod_revision, second);
    struct storage_event *events = NULL;
    size_t count = 0;
    cr_assert_eq(store->ops->changes(store, arena, lost, 10, &events, &count, &error), ERRC_TOO_OLD,
                 "whoever saw what is lost must list anew");
    rv next = put("/g/a/x", S("3"), second);
    cr_assert_gt(next, lost + 1000000);
    cr_assert_eq(store->ops->changes(store, arena, next - 1, 10, &events, &count, &error), 0, "%s", error.text);
    cr_assert_eq(count, 1);
    cr_assert(str_eq(events[0].old_value, S("2")));
}

Test(sqlite, a_damaged_snapshot_is_not_restored)
{
    char copy[128];
    char target[128];
    (void)snprintf(copy, sizeof(copy), "%s/copy.db", folder);
    (void)snprintf(target, sizeof(target), "%s/new.db", folder);
    for (int i = 0; i < 50; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "/g/a/%d", i);
        (void)put(key, text_of(1000), 0);
    }
    cr_assert_eq(store->ops->snapshot(store, copy, &error), 0, "%s", error.text);
    (void)snprintf(path, sizeof(path), "%s", copy);
    overwrite(size_of("") - 3 * 4096, 4096);
    cr_assert_eq(storage_restore(copy, target, &error), ERRC_INTERNAL);
    cr_assert_not_null(strstr(error.text, "restoring the store"), "%s", error.text);
    cr_assert_not(fs_exists(target));
    cr_assert_eq(storage_restore("/nonexistent/copy", target, &error), ERRC_NOT_FOUND);
}
