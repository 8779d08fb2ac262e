/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_load: load on a running server, and what it cost that server's process. The first line of the result has
 * name=value pairs.
 *
 *   bench_load ADDRESS PORT PKI PID requests PATH COUNT CONNS STREAMS [gzip]
 *   bench_load ADDRESS PORT PKI PID create|patch|delete PATH COUNT CONNS STREAMS [FIRST]
 *   bench_load ADDRESS PORT PKI PID watch PATH CONNS STREAMS ROUNDS
 *   bench_load ADDRESS PORT PKI PID print PATH
 *
 * PKI is a folder with ca.crt, admin.crt and admin.key. create posts PostgresClusters of about 1.4 KB (as stored),
 * patch changes an annotation of each, delete removes them. client_us is what the load itself cost, on the same
 * machine.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench/h2.h"
#include "harness/race.h"

enum { STREAMS_MAX = 4096, DEADLINE_S = 60, PAD_BYTES = 760, EXCERPT_BYTES = 4096 };

struct load {
    struct h2 *h;
    clockid_t server_cpu;
    const char *pid, *path;
    size_t conns, streams;
    size_t wanted, begun, ended;
    const struct change *change; /* what is sent; NULL: reads */
    bool is_done;
    size_t first; /* number of the first object */
    struct h2_stream *all;
    struct arena **arenas; /* of each stream's request: the load must not grow while it is measured */
    int64_t *latency_ns;
    struct arena *arena;
};

static int64_t server_cpu_ns(const struct load *l)
{
    struct timespec t;
    CHECK(clock_gettime(l->server_cpu, &t) == 0);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static double resident_kib(const struct load *l)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    char line[128];
    long kib = 0;
    FILE *f = fopen(arena_printf(a, "/proc/%s/status", l->pid).ptr, "r");
    CHECK(f);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "VmRSS: %ld kB", &kib) == 1)
            break;
    (void)fclose(f);
    return (double)kib;
}

static size_t number(const char *text)
{
    uint64_t n = 0;
    CHECK(str_to_u64(str_from(text), &n));
    return (size_t)n;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static const char *cluster_json(struct arena *a, size_t n)
{
    static char pad[PAD_BYTES + 1];
    memset(pad, 'x', PAD_BYTES);
    return arena_printf(a,
                        "{\"apiVersion\":\"postgres.example.io/v1\",\"kind\":\"PostgresCluster\",\"metadata\":{"
                        "\"name\":\"bench-%06zu\",\"labels\":{\"app\":\"bench\"},\"annotations\":{\"pad\":\"%s\"}},"
                        "\"spec\":{\"instances\":3,\"postgresVersion\":15,\"storage\":{\"size\":\"1Gi\"},"
                        "\"postgresql\":{\"parameters\":{\"max_connections\":\"100\",\"shared_buffers\":\"64MB\"}}}}",
                        n, pad)
        .ptr;
}

static const char *annotation_json(struct arena *a, size_t n)
{
    return arena_printf(a, "{\"metadata\":{\"annotations\":{\"changed\":\"%zu\"}}}", n).ptr;
}

static const struct change {
    const char *name, *method, *content_type;
    int status;
    bool is_named;                                  /* the path names the object */
    const char *(*body)(struct arena *a, size_t n); /* NULL: none */
} changes[] = {
    { "create", "POST", "application/json", 201, false, cluster_json },
    { "patch", "PATCH", "application/merge-patch+json", 200, true, annotation_json },
    { "delete", "DELETE", NULL, 200, true, NULL },
};

static const struct change *find_change(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(changes); i++)
        if (strcmp(changes[i].name, name) == 0)
            return &changes[i];
    return NULL;
}

static void begin(struct load *l, struct h2_conn *c, struct h2_stream *s)
{
    size_t n = l->first + l->begun++;
    if (l->change) {
        struct arena *a = l->arenas[s - l->all];
        arena_clear(a);
        s->body = l->change->body ? l->change->body(a, n) : NULL;
        s->body_len = s->body ? strlen(s->body) : 0;
        s->path = l->change->is_named ? arena_printf(a, "%s/bench-%06zu", l->path, n).ptr : l->path;
    }
    h2_send(c, s);
}

static void on_end(struct h2_stream *s)
{
    struct load *l = s->self;
    l->latency_ns[l->ended++] = clock_monotonic_ns() - s->sent_ns;
    if (l->begun < l->wanted)
        begin(l, s->conn, s);
    l->is_done = l->ended == l->wanted;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_ms(const struct load *l, size_t percent)
{
    return (double)l->latency_ns[(l->wanted - 1) * percent / 100] / (double)NS_PER_MS;
}

/* Fills the streams, and keeps them filled until `wanted` requests are answered. */
static void run(struct load *l, struct h2_conn **conns, struct h2_stream *streams, size_t wanted)
{
    l->wanted = wanted;
    l->begun = l->ended = 0;
    l->is_done = false;
    for (size_t i = 0; i < l->conns * l->streams && l->begun < wanted; i++)
        begin(l, conns[i % l->conns], &streams[i]);
    h2_run(l->h, &l->is_done, DEADLINE_S);
}

static void measure(struct load *l, size_t count, const char *accept_encoding)
{
    CHECK(l->conns * l->streams <= STREAMS_MAX);
    struct h2_conn *conns[64];
    struct h2_stream *streams = mem_array_of(struct h2_stream, l->conns * l->streams);
    for (size_t i = 0; i < l->conns; i++)
        conns[i] = h2_connect(l->h);
    for (size_t i = 0; i < l->conns * l->streams; i++)
        streams[i] = (struct h2_stream) { .method = l->change ? l->change->method : "GET",
                                          .path = l->path,
                                          .accept = "application/json",
                                          .accept_encoding = accept_encoding,
                                          .content_type = l->change ? l->change->content_type : NULL,
                                          .wanted_status = l->change ? l->change->status : 200,
                                          .on_end = on_end,
                                          .self = l };
    l->all = streams;
    l->arenas = mem_array_of(struct arena *, l->conns * l->streams);
    for (size_t i = 0; i < l->conns * l->streams; i++)
        l->arenas[i] = arena_new();
    l->latency_ns = mem_array_of(int64_t, count);
    if (!l->change) /* warm */
        run(l, conns, streams, count / 10 + 1);
    int64_t begun = clock_monotonic_ns(), cpu = server_cpu_ns(l), own = clock_process_cpu_ns();
    run(l, conns, streams, count);
    double seconds = (double)(clock_monotonic_ns() - begun) / (double)NS_PER_S;
    double cpu_us = (double)(server_cpu_ns(l) - cpu) / 1000 / (double)count;
    double client_us = (double)(clock_process_cpu_ns() - own) / 1000 / (double)count;
    qsort(l->latency_ns, count, sizeof(int64_t), compare);
    (void)printf("count=%zu per_s=%.0f cpu_us=%.2f client_us=%.2f p50_ms=%.3f p99_ms=%.3f bytes=%zu rss_kib=%.0f\n",
                 count, (double)count / seconds, cpu_us, client_us, percentile_ms(l, 50), percentile_ms(l, 99),
                 streams[0].received, resident_kib(l));
    for (size_t i = 0; i < l->conns * l->streams; i++)
        arena_free(l->arenas[i]);
    mem_free(l->arenas);
    mem_free(l->latency_ns);
    mem_free(streams);
}

/* ---- watches -------------------------------------------------------------------------------------------------------
 */

struct excerpt {
    char text[EXCERPT_BYTES];
    size_t len;
};

static void on_excerpt(struct h2_stream *s, const uint8_t *bytes, size_t len)
{
    struct excerpt *e = s->self;
    size_t room = sizeof(e->text) - 1 - e->len;
    memcpy(e->text + e->len, bytes, len < room ? len : room);
    e->len += len < room ? len : room;
}

struct one_shot {
    struct h2_stream stream;
    struct excerpt excerpt;
    bool is_done;
};

static void on_one_shot_end(struct h2_stream *s)
{
    CONTAINER_OF(s, struct one_shot, stream)->is_done = true;
}

/* One request on a connection of its own. */
static void one_shot(struct load *l, struct h2_conn *c, const char *method, const char *path, const char *body,
                     int status, struct one_shot *ret)
{
    *ret = (struct one_shot) { .stream = { .method = method,
                                           .path = path,
                                           .content_type = body ? "application/merge-patch+json" : NULL,
                                           .accept = "application/json",
                                           .body = body,
                                           .body_len = body ? strlen(body) : 0,
                                           .wanted_status = status,
                                           .on_data = on_excerpt,
                                           .on_end = on_one_shot_end } };
    ret->stream.self = &ret->excerpt;
    h2_send(c, &ret->stream);
    h2_run(l->h, &ret->is_done, DEADLINE_S);
}

struct watching {
    size_t wanted, heard;
    int64_t first_ns, last_ns;
    bool is_done;
};

/* An event is a line. */
static void on_event(struct h2_stream *s, const uint8_t *bytes, size_t len)
{
    struct watching *w = s->self;
    const uint8_t *end = bytes + len;
    for (const uint8_t *p = bytes; (p = memchr(p, '\n', (size_t)(end - p))); p++) {
        if (w->heard++ == 0)
            w->first_ns = clock_monotonic_ns();
        w->last_ns = clock_monotonic_ns();
    }
    w->is_done = w->heard >= w->wanted;
}

static void on_watch_end(struct h2_stream *s)
{
    (void)fprintf(stderr, "bench: a watch ended: %s\n", s->path);
    exit(1);
}

static void on_watch_begins(struct h2_stream *s)
{
    struct watching *w = s->self;
    w->is_done = ++w->heard == w->wanted;
}

static void open_watches(struct load *l, struct h2_conn **conns, struct h2_stream *streams, struct watching *w,
                         const char *path)
{
    *w = (struct watching) { .wanted = l->conns * l->streams };
    for (size_t i = 0; i < w->wanted; i++) {
        streams[i] = (struct h2_stream) { .method = "GET",
                                          .path = path,
                                          .accept = "application/json",
                                          .wanted_status = 200,
                                          .on_head = on_watch_begins,
                                          .on_data = on_event,
                                          .on_end = on_watch_end,
                                          .self = w };
        h2_send(conns[i % l->conns], &streams[i]);
    }
    h2_run(l->h, &w->is_done, DEADLINE_S);
}

/* The revision to watch from, so that nothing comes but what is new. */
static unsigned long long newest_revision(struct load *l, struct h2_conn *c)
{
    struct one_shot answer;
    unsigned long long revision = 0;
    one_shot(l, c, "GET", arena_printf(l->arena, "%s?limit=1", l->path).ptr, NULL, 200, &answer);
    const char *at = strstr(answer.excerpt.text, "\"resourceVersion\":\"");
    CHECK(at && sscanf(at, "\"resourceVersion\":\"%llu", &revision) == 1);
    return revision;
}

/* One change to all watches: from the moment it is sent until the last of them has it. */
static double change_once(struct load *l, struct h2_conn *writer, struct watching *w, size_t round)
{
    struct one_shot answer;
    *w = (struct watching) { .wanted = l->conns * l->streams };
    const char *object = arena_printf(l->arena, "%s/bench-000000", l->path).ptr;
    const char *body = arena_printf(l->arena, "{\"metadata\":{\"annotations\":{\"round\":\"%zu\"}}}", round).ptr;
    int64_t begun = clock_monotonic_ns();
    one_shot(l, writer, "PATCH", object, body, 200, &answer);
    h2_run(l->h, &w->is_done, DEADLINE_S);
    l->latency_ns[round] = w->last_ns - begun;
    return (double)(w->last_ns - w->first_ns) / (double)NS_PER_MS;
}

static void watch(struct load *l, size_t rounds)
{
    size_t count = l->conns * l->streams;
    struct h2_conn *conns[64], *writer = h2_connect(l->h);
    struct h2_stream *streams = mem_array_of(struct h2_stream, count);
    struct watching w;
    struct one_shot answer;
    const char *path =
        arena_printf(l->arena, "%s?watch=1&resourceVersion=%llu", l->path, newest_revision(l, writer)).ptr;
    double before = resident_kib(l);
    for (size_t i = 0; i < l->conns; i++) {
        conns[i] = h2_connect(l->h);
        one_shot(l, conns[i], "GET", "/version", NULL, 200, &answer);
    }
    double connected = resident_kib(l);
    open_watches(l, conns, streams, &w, path);
    double open = resident_kib(l);

    l->latency_ns = mem_array_of(int64_t, rounds);
    l->wanted = rounds;
    double spread_ms = 0;
    int64_t cpu = server_cpu_ns(l);
    for (size_t i = 0; i < rounds; i++)
        spread_ms += change_once(l, writer, &w, i) / (double)rounds;
    double cpu_us = (double)(server_cpu_ns(l) - cpu) / 1000 / (double)(rounds * count);
    qsort(l->latency_ns, rounds, sizeof(int64_t), compare);
    (void)printf("watches=%zu rounds=%zu last_p50_ms=%.2f last_max_ms=%.2f spread_ms=%.2f cpu_us=%.2f "
                 "kib_per_watch=%.2f kib_per_connection=%.1f kib_after_events=%.2f\n",
                 count, rounds, percentile_ms(l, 50), percentile_ms(l, 100), spread_ms, cpu_us,
                 (open - before) / (double)count, (connected - before) / (double)l->conns,
                 (resident_kib(l) - before) / (double)count);
    mem_free(l->latency_ns);
    mem_free(streams);
}

static void on_printed(struct h2_stream *s, const uint8_t *bytes, size_t len)
{
    (void)s;
    (void)fwrite(bytes, 1, len, stdout);
}

static void print(struct load *l)
{
    struct one_shot answer = { .stream = { .method = "GET",
                                           .path = l->path,
                                           .wanted_status = 200,
                                           .on_data = on_printed,
                                           .on_end = on_one_shot_end } };
    h2_send(h2_connect(l->h), &answer.stream);
    h2_run(l->h, &answer.is_done, DEADLINE_S);
}

static void run_load(struct load *l, int argc, char **argv)
{
    bool is_watch = strcmp(argv[5], "watch") == 0;
    CHECK(argc >= 10);
    l->conns = number(argv[is_watch ? 7 : 8]);
    l->streams = number(argv[is_watch ? 8 : 9]);
    CHECK(l->conns > 0 && l->conns < 64 && l->streams > 0 && l->streams <= 100);
    if (is_watch) {
        watch(l, number(argv[9]));
        return;
    }
    l->change = find_change(argv[5]);
    if (l->change && argc > 10)
        l->first = number(argv[10]);
    measure(l, number(argv[7]), !l->change && argc > 10 ? argv[10] : NULL);
}

int main(int argc, char **argv)
{
    CHECK(argc >= 7);
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct load l = { .pid = argv[4], .path = argv[6], .arena = a };
    CHECK(clock_getcpuclockid((pid_t)number(argv[4]), &l.server_cpu) == 0);
    const struct h2_options options = { .address = argv[1],
                                        .port = (uint16_t)number(argv[2]),
                                        .ca = arena_printf(a, "%s/ca.crt", argv[3]).ptr,
                                        .certificate = arena_printf(a, "%s/admin.crt", argv[3]).ptr,
                                        .key = arena_printf(a, "%s/admin.key", argv[3]).ptr };
    l.h = h2_new(&options);
    if (strcmp(argv[5], "print") == 0)
        print(&l);
    else
        run_load(&l, argc, argv);
    h2_free(l.h);
    return 0;
}
