/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_writer FILE RUN COUNT PAD: opens the store, writes with IN_FLIGHT writes under way, and tells each acknowledged
 * one on standard output, at once and in one write: "<revision> <operation> <kind>\n". Ends after COUNT
 * acknowledgements (0: never; its parent kills it). RUN names the run in the operations, PAD is how many bytes fill
 * each value.
 *
 * Some writes create, some change what the same slot created before, some delete it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/queue.h"
#include "storage/store.h"

#define IN_FLIGHT 64

enum step { CREATE, CHANGE, CHANGE_AGAIN, DELETE, STEPS };

struct slot {
    struct queue *done; /* slots whose write was answered */
    size_t number;
    enum step step;
    uint64_t operation;
    rv revision; /* of its object */
};

static char *pad;
static const char *run;

static void die(const char *what, const struct error *err)
{
    (void)fprintf(stderr, "store_writer: %s: %s\n", what, err ? err->text : "");
    exit(1);
}

static void on_done(void *self, int result, struct object *object, const struct error *err)
{
    struct slot *slot = self;
    if (result != 0)
        die("write", err);
    slot->revision = object->resource_version;
    char line[100];
    int len = snprintf(line, sizeof(line), "%llu op-%s-%06llu; %d\n", (unsigned long long)slot->revision, run,
                       (unsigned long long)slot->operation, (int)slot->step);
    if (write(STDOUT_FILENO, line, (size_t)len) != len)
        exit(0);
    (void)queue_push(slot->done, slot);
}

static void send_next(struct store *store, struct slot *slot, uint64_t operation)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct error err;
    slot->operation = operation;
    str name = arena_printf(a, "r%s-s%zu", run, slot->number);
    struct storage_write w = {
        .kind = slot->step == DELETE ? STORAGE_DELETE : STORAGE_PUT,
        .expect = slot->step == CREATE ? STORAGE_EXPECT_ABSENT : STORAGE_EXPECT_REVISION,
        .revision = slot->revision,
        .key = arena_printf(a, "/g/things/ns/%.*s", STR_ARG(name)),
        .value = arena_printf(
            a, "{\"metadata\":{\"name\":\"%.*s\"},\"op\":\"op-%s-%06llu;\",\"pad\":\"%s\",\"end\":\"%llu\"}",
            STR_ARG(name), run, (unsigned long long)operation, pad, (unsigned long long)operation),
    };
    if (store_write(store, &w, on_done, slot, &err) != 0)
        die("store_write", &err);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    struct error err;
    struct store *store = NULL;
    uint64_t count = 0;
    uint64_t pad_len = 0;
    run = argv[2];
    if (!str_to_u64(str_from(argv[3]), &count) || !str_to_u64(str_from(argv[4]), &pad_len))
        return 2;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    pad = arena_alloc(a, pad_len + 1);
    memset(pad, 'x', pad_len);
    struct store_options options = { .url = arena_printf(a, "sqlite:%s", argv[1]) };
    if (store_open(&options, &store, &err) != 0)
        die("store_open", &err);

    struct queue *done = queue_new(IN_FLIGHT);
    struct slot slots[IN_FLIGHT] = { 0 };
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        slots[i] = (struct slot) { .done = done, .number = i };
        (void)queue_push(done, &slots[i]);
    }
    uint64_t sent = 0;
    while (count == 0 || sent < count) {
        struct slot *slot = queue_pop(done, INT64_MAX);
        if (slot->operation != 0)
            slot->step = (slot->step + 1) % STEPS;
        send_next(store, slot, ++sent);
    }
    /* Waits for the writes that are still under way. */
    store_close(store);
    queue_free(done);
    return 0;
}
