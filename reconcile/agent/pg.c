/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's door to libpq, and the only file that includes it. Every call has a deadline of its own: libpq's
 * asynchronous calls wait for ever (connect_timeout counts only in the blocking ones).
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include <libpq-fe.h>

#include "agent.h"
#include "base/clock.h"
#include "base/mem.h"

#define RESULT_ROWS_MAX 100000

struct pg {
    PGconn *conn;
};

static int fail(struct pg *c, struct error *err, enum err code, const char *what)
{
    str text = str_trim(str_from(PQerrorMessage(c->conn)));
    return error_set(err, code, "%s: %.*s", what, STR_ARG(text));
}

/* True when the socket is ready. */
static bool wait_socket(struct pg *c, short events, int64_t deadline_ns)
{
    struct pollfd fd = { .fd = PQsocket(c->conn), .events = events };
    int n;
    do
        n = poll(&fd, 1, deadline_left_ms(deadline_ns));
    while (n < 0 && errno == EINTR);
    return n > 0;
}

static void ignore_notice(void *self, const char *message)
{
    (void)self;
    (void)message;
}

int pg_connect(const char *conninfo, int64_t deadline_ns, struct pg **ret, struct error *err)
{
    struct pg *c = mem_new_of(struct pg);
    c->conn = PQconnectStart(conninfo);
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    int r = c->conn && PQstatus(c->conn) != CONNECTION_BAD ? 0 : fail(c, err, ERRC_UNAVAILABLE, "connecting");
    while (r == 0 && state != PGRES_POLLING_OK) {
        if (!wait_socket(c, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ns))
            r = error_set(err, ERRC_TIMEOUT, "connecting to PostgreSQL took too long");
        else if ((state = PQconnectPoll(c->conn)) == PGRES_POLLING_FAILED)
            r = fail(c, err, ERRC_UNAVAILABLE, "connecting");
    }
    if (r != 0) {
        pg_close(c);
        return r;
    }
    (void)PQsetNoticeProcessor(c->conn, ignore_notice, NULL);
    (void)PQsetnonblocking(c->conn, 1);
    *ret = c;
    return 0;
}

void pg_close(struct pg *c)
{
    PQfinish(c->conn);
    mem_free(c);
}

/* Until the answer is complete; the connection is of no use after a failure. */
static int wait_result(struct pg *c, int64_t deadline_ns, struct error *err)
{
    for (;;) {
        int unsent = PQflush(c->conn);
        if (unsent < 0)
            return fail(c, err, ERRC_UNAVAILABLE, "sending a query");
        if (unsent == 0 && !PQisBusy(c->conn))
            return 0;
        if (!wait_socket(c, unsent ? POLLIN | POLLOUT : POLLIN, deadline_ns))
            return error_set(err, ERRC_TIMEOUT, "PostgreSQL does not answer in time");
        if (!PQconsumeInput(c->conn))
            return fail(c, err, ERRC_UNAVAILABLE, "waiting for PostgreSQL");
    }
}

static int take_rows(struct arena *a, PGresult *res, struct pg_rows *ret, struct error *err)
{
    ret->rows = (size_t)PQntuples(res);
    ret->columns = (size_t)PQnfields(res);
    if (ret->rows > RESULT_ROWS_MAX)
        return error_set(err, ERRC_TOO_LARGE, "the result has %zu rows", ret->rows);
    str *cells = arena_array_of(a, str, ret->rows * ret->columns + 1);
    for (size_t i = 0; i < ret->rows * ret->columns; i++) {
        int row = (int)(i / ret->columns), column = (int)(i % ret->columns);
        if (!PQgetisnull(res, row, column))
            cells[i] = arena_str(a, str_of(PQgetvalue(res, row, column), (size_t)PQgetlength(res, row, column)));
    }
    ret->cells = cells;
    return 0;
}

int pg_query(struct pg *c, struct arena *a, const char *sql, const char *const *params, int64_t deadline_ns,
             struct pg_rows *ret, struct error *err)
{
    int count = 0;
    while (params && params[count])
        count++;
    if (!PQsendQueryParams(c->conn, sql, count, NULL, params, NULL, NULL, 0))
        return fail(c, err, ERRC_UNAVAILABLE, "sending a query");
    int r = 0;
    struct pg_rows rows = { 0 };
    for (;;) {
        int waited = wait_result(c, deadline_ns, err);
        if (waited != 0)
            return waited;
        PGresult *res = PQgetResult(c->conn);
        if (!res)
            break;
        ExecStatusType status = PQresultStatus(res);
        if (r == 0 && status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
            r = error_set(err, ERRC_INTERNAL, "%.*s", STR_ARG(str_trim(str_from(PQresultErrorMessage(res)))));
        else if (r == 0)
            r = take_rows(a, res, &rows, err);
        PQclear(res);
    }
    if (r == 0 && ret)
        *ret = rows;
    return r;
}

str pg_cell(const struct pg_rows *rows, size_t row, size_t column)
{
    return row < rows->rows && column < rows->columns ? rows->cells[row * rows->columns + column] : (str) { NULL, 0 };
}

bool pg_is_true(const struct pg_rows *rows, size_t row, size_t column)
{
    return str_eq(pg_cell(rows, row, column), S("t"));
}

static str take_quoted(struct arena *a, char *quoted)
{
    str s = arena_str(a, str_from(quoted));
    PQfreemem(quoted);
    return s;
}

str pg_literal(struct pg *c, struct arena *a, str text)
{
    return take_quoted(a, PQescapeLiteral(c->conn, text.ptr, text.len));
}

str pg_identifier(struct pg *c, struct arena *a, str name)
{
    return take_quoted(a, PQescapeIdentifier(c->conn, name.ptr, name.len));
}

int pg_scram(struct pg *c, struct arena *a, str user, str password, str *ret, struct error *err)
{
    char *verifier = PQencryptPasswordConn(c->conn, arena_z(a, password), arena_z(a, user), "scram-sha-256");
    if (!verifier)
        return fail(c, err, ERRC_INTERNAL, "making a SCRAM verifier");
    *ret = take_quoted(a, verifier);
    return 0;
}

int pg_connect_local(struct agent *ag, const char *database, int64_t deadline_ns, struct pg **ret, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str conninfo = arena_printf(a, "host='%s' port=%lld user=%s dbname='%s' application_name=postgres-agent",
                                ag->path.sock, (long long)atomic_load(&ag->port), AGENT_SUPERUSER, database);
    return pg_connect(conninfo.ptr, deadline_ns, ret, err);
}

int pg_connect_peer(struct agent *ag, const struct json *peer, int64_t deadline_ns, struct pg **ret, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct conf_input in = { .path = &ag->path, .config = &ag->config };
    return pg_connect(conf_conninfo(a, &in, peer, "postgres").ptr, deadline_ns, ret, err);
}
