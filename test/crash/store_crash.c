/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_crash WRITER: runs the program store_writer, kills it with SIGKILL at a random moment, opens its store and
 * looks: every acknowledged write is there at its revision and whole, the log has no hole, revisions only go up, and
 * the file passes its checks. Again and again on one store.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/rand.h"
#include "harness/race.h"
#include "harness/temp_dir.h"
#include "meta/object.h"
#include "storage/storage.h"

#define ROUNDS 24
#define ACKS_MAX 600
#define ALL_ACKS_MAX (ROUNDS * 32 * ACKS_MAX) /* a reader that was held up finds a pipe full of them */
#define ROUND_MS 60000
#define PAD "1000"

struct ack {
    rv revision;
    char operation[40];
    int step; /* store_writer's: 3 is the deletion */
};

static struct ack *acks;
static size_t ack_count;
static struct map *operations; /* operation -> its ack or event; each happens once */

static void take_ack(const char *line)
{
    CHECK(ack_count < ALL_ACKS_MAX);
    struct ack *a = &acks[ack_count];
    unsigned long long revision = 0;
    CHECK(sscanf(line, "%llu %39s %d", &revision, a->operation, &a->step) == 3);
    a->revision = revision;
    ack_count++;
}

/* Reads acknowledgements until there are `enough` more of them, the deadline passed, or the writer is dead. */
static void read_acks(int fd, size_t enough, int64_t deadline_ns)
{
    static char buffer[65536];
    static size_t len; /* a line that was cut by the end of the buffer */
    size_t until = enough < ALL_ACKS_MAX ? ack_count + enough : ALL_ACKS_MAX;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    while (ack_count < until && !deadline_has_passed(deadline_ns) && poll(&p, 1, deadline_left_ms(deadline_ns)) == 1) {
        ssize_t got = read(fd, buffer + len, sizeof(buffer) - 1 - len);
        if (got <= 0)
            break;
        len += (size_t)got;
        buffer[len] = '\0';
        char *line = buffer;
        for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
            take_ack(line);
        len -= (size_t)(line - buffer);
        memmove(buffer, line, len);
    }
}

static void run_and_kill(const char *writer, const char *path, int round)
{
    char run[16];
    int ends[2];
    pid_t pid = 0;
    struct error err;
    (void)snprintf(run, sizeof(run), "%d", round);
    CHECK(pipe(ends) == 0);
    const char *const argv[] = { writer, path, run, "0", PAD, NULL };
    const struct process_spec spec = { .argv = argv, .stdout_fd = ends[1], .stderr_fd = STDERR_FILENO };
    CHECK(process_start(&spec, &pid, &err) == 0);
    (void)close(ends[1]);
    /* Every fourth round dies early, perhaps before the store is open; the others under load, and some time later. */
    if (round % 4 == 0) {
        read_acks(ends[0], SIZE_MAX, deadline_in_ms((int64_t)rand_below(20)));
    } else {
        read_acks(ends[0], rand_below(ACKS_MAX) + 1, deadline_in_ms(ROUND_MS));
        read_acks(ends[0], SIZE_MAX, deadline_in_ms((int64_t)rand_below(6)));
    }
    CHECK(kill(pid, SIGKILL) == 0);
    read_acks(ends[0], SIZE_MAX, deadline_in_ms(ROUND_MS));
    (void)close(ends[0]);
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The operation inside a value, and that the value is whole. */
static str operation_of(struct arena *a, str value)
{
    struct object *object = NULL;
    struct error err;
    CHECK(object_new(value, 1, &object, &err) == 0);
    const struct json *tree = object_parse(a, object);
    str operation = arena_str(a, json_str_at(tree, "op"));
    str end = json_str_at(tree, "end");
    CHECK(json_str_at(tree, "pad").len == strtoul(PAD, NULL, 10));
    uint64_t n = 0;
    CHECK(str_to_u64(end, &n));
    CHECK(str_has_suffix(operation, arena_printf(a, "-%06" PRIu64 ";", n)));
    (void)object_unref(object);
    return operation;
}

static struct storage_event *read_log(struct storage *s, struct arena *a, size_t *ret_count)
{
    rv current = 0;
    rv oldest = 0;
    struct storage_event *events = NULL;
    struct error err;
    CHECK(s->ops->revision(s, &current, &oldest, &err) == 0);
    CHECK(oldest == 1);
    CHECK(s->ops->changes(s, a, oldest, SIZE_MAX / 2, &events, ret_count, &err) == 0);
    CHECK(*ret_count == current - oldest);
    for (size_t i = 0; i < *ret_count; i++)
        CHECK(events[i].revision == oldest + 1 + i);
    return events;
}

static void check_ack(struct arena *a, const struct ack *ack, const struct storage_event *events, size_t count)
{
    CHECK(ack->revision >= 2 && ack->revision - 2 < count);
    const struct storage_event *e = &events[ack->revision - 2];
    CHECK(e->is_delete == (ack->step == 3));
    CHECK(e->is_create == (ack->step == 0));
    if (!e->is_delete)
        CHECK(str_eq_z(operation_of(a, e->value), ack->operation));
}

/* Each key's newest event is what get and list show. */
static void check_state(struct storage *s, struct arena *a, const struct storage_event *events, size_t count)
{
    struct map *newest = map_new();
    struct storage_list_result list;
    struct error err;
    size_t alive = 0;
    for (size_t i = 0; i < count; i++)
        (void)map_put(newest, events[i].key, (void *)(uintptr_t)events[i].revision);
    CHECK(s->ops->list(s, a, S("/"), S(""), 0, 0, &list, &err) == 0);
    for (size_t i = 0; i < list.count; i++)
        CHECK((rv)(uintptr_t)map_get(newest, list.rows[i].key) == list.rows[i].mod_revision);
    str key;
    void *revision = NULL;
    for (size_t i = 0; map_next(newest, &i, &key, &revision);)
        alive += !events[(uintptr_t)revision - 2].is_delete;
    CHECK(alive == list.count);
    map_free(newest, NULL);
}

static void check_operations_are_unique(struct arena *a, const struct storage_event *events, size_t count)
{
    operations = map_new();
    for (size_t i = 0; i < count; i++)
        if (!events[i].is_delete)
            CHECK(map_put(operations, operation_of(a, events[i].value), (void *)(uintptr_t)(i + 1)) == NULL);
    map_free(operations, NULL);
}

/* Returns the newest revision. */
static rv check_store(const char *path, rv newest_before, size_t first_ack)
{
    struct arena *a = arena_new();
    struct storage *s = NULL;
    struct error err;
    size_t count = 0;
    if (storage_open(arena_printf(a, "sqlite:%s", path), &s, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    struct storage_event *events = read_log(s, a, &count);
    rv newest = count + 1;
    CHECK(newest >= newest_before);
    for (size_t i = first_ack; i < ack_count; i++)
        CHECK(acks[i].revision > newest_before);
    for (size_t i = 0; i < ack_count; i++)
        check_ack(a, &acks[i], events, count);
    check_state(s, a, events, count);
    check_operations_are_unique(a, events, count);
    storage_close(s);
    arena_free(a);
    return newest;
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    TEMP_DIR(dir);
    struct arena *a = arena_new();
    const char *path = TEMP_PATH(a, dir, "store.db");
    rv newest = 1;
    acks = mem_array_of(struct ack, ALL_ACKS_MAX);
    for (int round = 1; round <= ROUNDS; round++) {
        size_t first_ack = ack_count;
        run_and_kill(argv[1], path, round);
        newest = check_store(path, newest, first_ack);
    }
    (void)printf("%d kills, %zu acknowledged writes, %" PRIu64 " revisions\n", ROUNDS, ack_count, newest);
    CHECK(ack_count > ROUNDS);
    mem_free(acks);
    arena_free(a);
    return 0;
}
