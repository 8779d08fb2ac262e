/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checking client: writes one row after the other through a published URI and remembers each acknowledged one.
 * Commands come as lines on standard input, answers go as lines to standard output:
 *
 *   mark          forget the gaps seen so far                 -> ok
 *   gap           longest time between two acknowledgements since mark, in ms  -> gap 41.3
 *   failures      attempts since mark that were not acknowledged               -> failures 3
 *   wait N        go on until N more rows are acknowledged    -> ok
 *   verify        read everything back                        -> verify ACKNOWLEDGED MISSING
 *   quit
 *
 * It reconnects 10 ms after a failure (libpq: connect_timeout 1 s, tcp_user_timeout 1 s). A row whose commit got no
 * answer is in doubt and counts as neither.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS 10
#define ROWS_MAX 20000000
#define GIVE_UP_S 120

struct writer {
    const char *uri;
    PGconn *conn;
    int64_t next;
    unsigned char *acked; /* one bit per row */
    int64_t acked_count, wanted, failures;
    double last_ack_s, max_gap_s;
    char line[256];
    size_t line_len;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "writer: %s: %s\n", what, why);
    exit(1);
}

/* False when the server could not be reached: try again later. */
static bool ensure_connected(struct writer *w)
{
    if (w->conn && PQstatus(w->conn) == CONNECTION_OK)
        return true;
    PQfinish(w->conn);
    const char *const keys[] = { "dbname", "connect_timeout", "tcp_user_timeout", NULL };
    const char *const values[] = { w->uri, "1", "1000", NULL };
    w->conn = PQconnectdbParams(keys, values, 1);
    return PQstatus(w->conn) == CONNECTION_OK;
}

static void note_ack(struct writer *w, int64_t row)
{
    double now = now_s();
    if (now - w->last_ack_s > w->max_gap_s)
        w->max_gap_s = now - w->last_ack_s;
    w->last_ack_s = now;
    w->acked[row / 8] |= (unsigned char)(1u << (row % 8));
    w->acked_count++;
}

static void write_one(struct writer *w)
{
    bool ok = false;
    int64_t row = w->next;
    if (ensure_connected(w)) {
        char text[32];
        snprintf(text, sizeof(text), "%lld", (long long)row);
        const char *const params[] = { text };
        w->next++;
        if (w->next >= ROWS_MAX)
            fail("too many rows", "the run is longer than this client was made for");
        PGresult *r = PQexecParams(w->conn, "INSERT INTO checked VALUES ($1::bigint)", 1, NULL, params, NULL, NULL, 0);
        ok = PQresultStatus(r) == PGRES_COMMAND_OK;
        /* "read-only" is an answer of a server that stopped being primary: go and look for the new one. */
        if (!ok) {
            PQfinish(w->conn);
            w->conn = NULL;
        }
        PQclear(r);
    }
    if (ok) {
        note_ack(w, row);
        return;
    }
    w->failures++;
    if (now_s() - w->last_ack_s > GIVE_UP_S)
        fail("no write was acknowledged for too long", w->conn ? PQerrorMessage(w->conn) : "refused");
    (void)poll(NULL, 0, RETRY_MS);
}

static void verify(struct writer *w)
{
    double until = now_s() + GIVE_UP_S;
    PGresult *r = NULL;
    for (;;) {
        if (ensure_connected(w)) {
            r = PQexec(w->conn, "SELECT i FROM checked");
            if (PQresultStatus(r) == PGRES_TUPLES_OK)
                break;
            PQclear(r);
        }
        if (now_s() > until)
            fail("verify", w->conn ? PQerrorMessage(w->conn) : "not connected");
        (void)poll(NULL, 0, RETRY_MS);
    }
    unsigned char *seen = calloc(ROWS_MAX / 8 + 1, 1);
    if (!seen)
        fail("verify", "out of memory");
    for (int i = 0; i < PQntuples(r); i++) {
        long long row = strtoll(PQgetvalue(r, i, 0), NULL, 10);
        if (row >= 0 && row < ROWS_MAX)
            seen[row / 8] |= (unsigned char)(1u << (row % 8));
    }
    PQclear(r);
    int64_t missing = 0;
    for (int64_t row = 0; row < w->next; row++)
        missing += (w->acked[row / 8] >> (row % 8) & 1) && !(seen[row / 8] >> (row % 8) & 1);
    free(seen);
    printf("verify %lld %lld\n", (long long)w->acked_count, (long long)missing);
}

static void obey(struct writer *w)
{
    if (!strcmp(w->line, "mark")) {
        w->max_gap_s = 0;
        w->failures = 0;
        puts("ok");
    } else if (!strcmp(w->line, "gap")) {
        printf("gap %.1f\n", w->max_gap_s * 1000);
    } else if (!strcmp(w->line, "failures")) {
        printf("failures %lld\n", (long long)w->failures);
    } else if (!strncmp(w->line, "wait ", 5)) {
        w->wanted = w->acked_count + strtoll(w->line + 5, NULL, 10);
    } else if (!strcmp(w->line, "verify")) {
        verify(w);
    } else if (!strcmp(w->line, "quit")) {
        exit(0);
    } else {
        fail("unknown command", w->line);
    }
}

/* Reads what is there without waiting; end of input ends the program. */
static void read_commands(struct writer *w)
{
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
    while (w->wanted == 0 && poll(&p, 1, 0) > 0) {
        char c;
        if (read(STDIN_FILENO, &c, 1) != 1)
            exit(0);
        if (c != '\n' && w->line_len + 1 < sizeof(w->line)) {
            w->line[w->line_len++] = c;
            continue;
        }
        w->line[w->line_len] = '\0';
        w->line_len = 0;
        obey(w);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2)
        fail("usage", "writer URI");
    struct writer w = { .uri = argv[1], .acked = calloc(ROWS_MAX / 8 + 1, 1), .last_ack_s = now_s() };
    if (!w.acked)
        fail("start", "out of memory");
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (!ensure_connected(&w)) {
        if (now_s() - w.last_ack_s > GIVE_UP_S)
            fail("connecting", PQerrorMessage(w.conn));
        (void)poll(NULL, 0, RETRY_MS);
    }
    PGresult *r = PQexec(w.conn, "DROP TABLE IF EXISTS checked; CREATE TABLE checked (i bigint PRIMARY KEY)");
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        fail("creating the table", PQerrorMessage(w.conn));
    PQclear(r);
    w.last_ack_s = now_s();
    for (;;) {
        write_one(&w);
        if (w.wanted && w.acked_count >= w.wanted) {
            w.wanted = 0;
            puts("ok");
        }
        read_commands(&w);
    }
}
