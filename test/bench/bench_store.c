/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_store [WRITES]: durable creations of 1.4 KB objects with 64 in flight through a store, against a bare SQLite
 * loop (synchronous FULL, WAL, otherwise as SQLite comes; same table, index, keys and values, nothing but INSERT) that
 * commits batches of the same average size; in turns in one run on one disk, so that the ratio counts and the machine
 * does not. Then how long a store with that many objects takes to open, and what it holds in memory.
 *
 * bench_store bare WRITES BATCH BYTES: only the bare loop, with values of so many bytes, for figures of the whole
 * server; its result as name=value pairs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/process.h"
#include "base/queue.h"
#include "harness/race.h"
#include "harness/temp_dir.h"
#include "storage/store.h"

enum { ROUNDS = 3, IN_FLIGHT = 64, VALUE_BYTES_MAX = 4096, HEAD_BYTES = 150 };

struct figures {
    double seconds, cpu_us; /* of all writes, per write */
    double batch;           /* writes per transaction */
};

static uint64_t writes = 10000;
static size_t value_bytes = 1400;
static char pad[VALUE_BYTES_MAX];
static struct queue *done;

static void on_done(void *self, int result, struct object *object, const struct error *err)
{
    CHECK(result == 0 && object && !err);
    CHECK(queue_push(done, self));
}

static str value_of(struct arena *a, uint64_t n)
{
    return arena_printf(
        a,
        "{\"apiVersion\":\"postgres.example.io/v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"t%06" PRIu64
        "\",\"namespace\":\"default\",\"labels\":{\"app\":\"bench\"}},\"spec\":{\"text\":\"%.*s\"}}",
        n, (int)(value_bytes - HEAD_BYTES), pad);
}

static str key_of(struct arena *a, uint64_t n)
{
    return arena_printf(a, "/postgres.example.io/postgresclusters/default/bench-%06" PRIu64, n);
}

static void send(struct store *store, uint64_t n, void *token)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct error err;
    struct storage_write w = {
        .kind = STORAGE_PUT, .expect = STORAGE_EXPECT_ABSENT, .key = key_of(a, n), .value = value_of(a, n)
    };
    CHECK(store_write(store, &w, on_done, token, &err) == 0);
}

static const struct storage_ops *inner_ops;
static uint64_t transactions;

static int count_transaction(struct storage *s, struct storage_write *w, size_t count, struct error *err)
{
    transactions++;
    return inner_ops->write(s, w, count, err);
}

static struct figures run_store(const char *path)
{
    static char tokens[IN_FLIGHT];
    static struct storage_ops counting;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct storage *driver = NULL;
    struct store *store = NULL;
    struct error err;
    struct store_options options = { .batch_max = IN_FLIGHT };
    CHECK(storage_open(arena_printf(a, "sqlite:%s", path), &driver, &err) == 0);
    inner_ops = driver->ops;
    counting = *inner_ops;
    counting.write = count_transaction;
    driver->ops = &counting;
    transactions = 0;
    CHECK(store_open_on(driver, &options, &store, &err) == 0);
    done = queue_new(IN_FLIGHT);

    int64_t begin = clock_monotonic_ns();
    int64_t cpu = clock_process_cpu_ns();
    for (uint64_t n = 0; n < writes; n++)
        send(store, n, n < IN_FLIGHT ? &tokens[n] : queue_pop(done, INT64_MAX));
    for (uint64_t n = 0; n < IN_FLIGHT; n++)
        (void)queue_pop(done, INT64_MAX);
    struct figures f = {
        .seconds = (double)(clock_monotonic_ns() - begin) / (double)NS_PER_S,
        .cpu_us = (double)(clock_process_cpu_ns() - cpu) / 1000.0 / (double)writes,
        .batch = (double)writes / (double)transactions,
    };
    store_close(store);
    queue_free(done);
    return f;
}

static void exec(sqlite3 *db, const char *sql)
{
    CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
}

static void insert(sqlite3_stmt *st, uint64_t n)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str key = key_of(a, n);
    str value = value_of(a, n);
    CHECK(sqlite3_bind_int64(st, 1, (sqlite3_int64)n + 2) == SQLITE_OK);
    CHECK(sqlite3_bind_text(st, 2, key.ptr, (int)key.len, SQLITE_STATIC) == SQLITE_OK);
    CHECK(sqlite3_bind_text(st, 3, value.ptr, (int)value.len, SQLITE_STATIC) == SQLITE_OK);
    CHECK(sqlite3_step(st) == SQLITE_DONE);
    CHECK(sqlite3_reset(st) == SQLITE_OK);
}

static struct figures run_bare(const char *path, double batch)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
             "CREATE TABLE log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value TEXT NOT NULL,"
             " is_delete INTEGER NOT NULL, create_revision INTEGER NOT NULL, old_revision INTEGER NOT NULL) STRICT;"
             "CREATE UNIQUE INDEX log_key ON log (key, revision)");
    CHECK(sqlite3_prepare_v2(db, "INSERT INTO log VALUES (?1, ?2, ?3, 0, ?1, 0)", -1, &st, NULL) == SQLITE_OK);
    int64_t begin = clock_monotonic_ns();
    int64_t cpu = clock_process_cpu_ns();
    uint64_t commits = 0;
    for (uint64_t n = 0; n < writes;) {
        commits++;
        uint64_t until = (uint64_t)((double)commits * batch);
        exec(db, "BEGIN IMMEDIATE");
        for (; n < writes && n < until; n++)
            insert(st, n);
        exec(db, "COMMIT");
    }
    struct figures f = {
        .seconds = (double)(clock_monotonic_ns() - begin) / (double)NS_PER_S,
        .cpu_us = (double)(clock_process_cpu_ns() - cpu) / 1000.0 / (double)writes,
        .batch = (double)writes / (double)commits,
    };
    CHECK(sqlite3_finalize(st) == SQLITE_OK);
    CHECK(sqlite3_close(db) == SQLITE_OK);
    return f;
}

static long resident_kib(void)
{
    char line[128];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    CHECK(f);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "VmRSS: %ld kB", &kib) == 1)
            break;
    (void)fclose(f);
    return kib;
}

/* In a process of its own, so that what the runs before left behind does not count. */
static int show_opening(const char *path)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct store *store = NULL;
    struct error err;
    struct store_options options = { .url = arena_printf(a, "sqlite:%s", path) };
    long before = resident_kib();
    int64_t begin = clock_monotonic_ns();
    CHECK(store_open(&options, &store, &err) == 0);
    double ms = (double)(clock_monotonic_ns() - begin) / (double)NS_PER_MS;
    struct store_list list;
    store_list(store, a, S("/postgres.example.io/postgresclusters/"), S(""), 0, &list);
    (void)printf("open with %zu objects: %.0f ms, resident %.1f MiB (%.1f before)\n", list.count, ms,
                 (double)resident_kib() / 1024, (double)before / 1024);
    arena_free(TAKE(a));
    store_close(store);
    return 0;
}

static void run_rounds(const char *folder, const char *self)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    double store_seconds = 0;
    double bare_seconds = 0;
    const char *path = NULL;
    for (int i = 0; i < ROUNDS; i++) {
        path = arena_printf(a, "%s/store%d.db", folder, i).ptr;
        struct figures s = run_store(path);
        struct figures b = run_bare(arena_printf(a, "%s/bare%d.db", folder, i).ptr, s.batch);
        (void)printf(
            "store: %.0f/s, %.1f us CPU per write, %.1f per transaction; bare: %.0f/s, %.1f us, %.1f; ratio %.0f %%\n",
            (double)writes / s.seconds, s.cpu_us, s.batch, (double)writes / b.seconds, b.cpu_us, b.batch,
            100 * b.seconds / s.seconds);
        store_seconds += s.seconds;
        bare_seconds += b.seconds;
    }
    (void)printf("durable creations, 64 in flight: %.0f %% of a bare SQLite loop with equal batches\n",
                 100 * bare_seconds / store_seconds);
    (void)fflush(stdout);
    const char *const argv[] = { self, "open", path, NULL };
    struct process_result result;
    struct error err;
    CHECK(process_run(a, &(struct process_spec) { .argv = argv }, deadline_in_ms(60000), 4096, NULL, NULL, &result,
                      &err) == 0);
    (void)printf("%.*s", STR_ARG(result.out));
}

static int show_bare(const char *folder, const char *batch)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct figures b = run_bare(arena_printf(a, "%s/bare.db", folder).ptr, strtod(batch, NULL));
    (void)printf("per_s=%.0f cpu_us=%.1f batch=%.1f\n", (double)writes / b.seconds, b.cpu_us, b.batch);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "open") == 0)
        return show_opening(argv[2]);
    bool is_bare = argc == 5 && strcmp(argv[1], "bare") == 0;
    if (argc == 2 || is_bare)
        CHECK(str_to_u64(str_from(argv[argc == 2 ? 1 : 2]), &writes) && writes >= IN_FLIGHT);
    if (is_bare)
        CHECK(str_to_u64(str_from(argv[4]), &value_bytes) && value_bytes > HEAD_BYTES && value_bytes < sizeof(pad));
    TEMP_DIR(dir);
    memset(pad, 'x', sizeof(pad));
    if (is_bare)
        return show_bare(dir.path, argv[3]);
    run_rounds(dir.path, "/proc/self/exe");
    return 0;
}
