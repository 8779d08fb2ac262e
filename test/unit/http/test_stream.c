/* SPDX-License-Identifier: Apache-2.0 */
/* Answers without an end. */
#include "rig.h"

#include <sys/socket.h>

#include "base/strbuf.h"

static struct rig *rig;

static void setup(void)
{
    rig = rig_new();
    rig_start(rig, (struct http_server_options) { .write_stall_timeout_ms = 1000 });
}

static void teardown(void)
{
    rig_free(rig);
}

TestSuite(http_stream, .init = setup, .fini = teardown);

static struct client *open_stream(bool is_http2, uint32_t window)
{
    struct client *c = client_open(rig, is_http2, NULL);
    size_t before = rig->stream_count;
    struct frame frame;
    if (is_http2) {
        h2_start(c, window);
        h2_get(c, 1, "/stream");
        cr_assert(h2_read_until(c, FRAME_HEADERS, 1, &frame));
    } else {
        client_write_z(c, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
        cr_assert(client_read_until(c, "\r\n\r\n"));
    }
    cr_assert(BECOMES(rig->stream_count == before + 1));
    return c;
}

Test(http_stream, headers_are_sent_before_there_is_anything_to_say)
{
    for (int i = 0; i < 2; i++) {
        struct client *c = open_stream(i, 0);
        cr_assert_eq(http_server_active_streams(rig->server), 1);
        rig_send(&rig->streams[i], "event\n");
        struct frame frame;
        if (i) {
            cr_assert(h2_read_until(c, FRAME_DATA, 1, &frame));
            cr_assert(str_eq((str) { frame.payload, frame.len }, S("event\n")));
        } else {
            cr_assert(client_read_until(c, "6\r\nevent\n\r\n"));
        }
        client_free(c);
        cr_assert(BECOMES(http_server_active_streams(rig->server) == 0));
    }
}

Test(http_stream, the_preamble_over_http1_is_one_newline)
{
    struct client *c = open_stream(false, 0);
    if (!strstr(c->buffer, "1\r\n\n\r\n"))
        cr_assert(client_read_until(c, "1\r\n\n\r\n"));
    client_free(c);
}

Test(http_stream, a_client_that_hangs_up_is_noticed)
{
    for (int i = 0; i < 2; i++) {
        struct client *c = open_stream(i, 0);
        client_free(c);
        cr_assert(BECOMES(rig->streams[i].closed == 1));
        cr_assert(BECOMES(http_server_connections(rig->server) == 0));
    }
}

Test(http_stream, a_reset_connection_is_noticed)
{
    for (int i = 0; i < 2; i++) {
        struct client *c = open_stream(i, 0);
        struct linger hard = { .l_onoff = 1 };
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        client_free(c);
        cr_assert(BECOMES(rig->streams[i].closed == 1));
    }
}

Test(http_stream, hundreds_of_killed_http1_streams_leave_nothing)
{
    enum { COUNT = 200 };
    struct client *clients[COUNT];
    for (int i = 0; i < COUNT; i++)
        clients[i] = open_stream(false, 0);
    for (int i = 0; i < COUNT; i++)
        client_free(clients[i]);
    cr_assert(BECOMES(http_server_connections(rig->server) == 0));
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(rig->streams[i].closed, 1);
}

Test(http_stream, an_end_is_clean_and_closes_once)
{
    for (int i = 0; i < 2; i++) {
        struct client *c = open_stream(i, 0);
        struct frame frame;
        rig_send(&rig->streams[i], "last\n");
        rig_end(&rig->streams[i], false);
        cr_assert(BECOMES(rig->streams[i].closed == 1));
        if (i) {
            cr_assert(h2_read_until(c, FRAME_DATA, 1, &frame));
            cr_assert(str_eq((str) { frame.payload, frame.len }, S("last\n")));
            while (!(frame.flags & FLAG_END_STREAM))
                cr_assert(h2_read_until(c, FRAME_DATA, 1, &frame));
            h2_get(c, 3, "/hello");
            cr_assert(h2_read_until(c, FRAME_DATA, 3, &frame));
        } else {
            cr_assert(client_read_until(c, "last\n\r\n0\r\n\r\n"));
            client_write_z(c, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
            cr_assert(client_read_until(c, "hello\n"));
        }
        client_free(c);
        cr_assert_eq(rig->streams[i].closed, 1);
    }
}

Test(http_stream, an_error_resets)
{
    for (int i = 0; i < 2; i++) {
        struct client *c = open_stream(i, 0);
        struct frame frame;
        rig_end(&rig->streams[i], true);
        if (i)
            cr_assert(h2_read_until(c, FRAME_RST, 1, &frame));
        else
            cr_assert_not(client_read_until(c, "\r\n0\r\n"));
        cr_assert(BECOMES(rig->streams[i].closed == 1));
        client_free(c);
    }
}

static void send_hundred(void *arg)
{
    struct rig_stream *s = arg;
    for (int i = 0; i < 100; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%06d\n", i);
        struct blob *b = blob_new(str_from(text));
        size_t backlog = http_stream_send(s->stream, b);
        cr_assert_eq(backlog, 7u * (unsigned)(i + 1));
        (void)blob_unref(b);
    }
    cr_assert_eq(http_stream_backlog(s->stream), 700);
}

Test(http_stream, what_is_sent_in_one_turn_travels_together)
{
    for (int i = 0; i < 2; i++) {
        struct client *c = open_stream(i, 0);
        struct frame frame;
        cr_assert(BECOMES(rig->streams[i].drained == 1));
        rig_on_loop(rig, send_hundred, &rig->streams[i]);
        if (i) {
            cr_assert(h2_read_until(c, FRAME_DATA, 1, &frame));
            cr_assert_eq(frame.len, 700);
        } else {
            cr_assert(client_read_until(c, "000099\n\r\n"));
            CHECK_HAS(str_from(c->buffer), "2bc\r\n000000\n000001\n");
        }
        cr_assert(BECOMES(rig->streams[i].drained == 2));
        client_free(c);
    }
}

static void send_megabytes(void *arg)
{
    struct rig_stream *s = arg;
    struct blob *b = blob_new_size(1u << 20);
    memset(b->bytes, 'm', b->len);
    for (int i = 0; i < 16; i++)
        (void)http_stream_send(s->stream, b);
    (void)blob_unref(b);
    cr_assert_eq(http_stream_backlog(s->stream), 16u << 20);
}

Test(http_stream, a_client_that_stops_reading_is_ended)
{
    for (int i = 0; i < 2; i++) {
        struct client *c = open_stream(i, 1u << 20);
        int64_t start = clock_realtime_ns(); /* by which libh2o goes */
        rig_on_loop(rig, send_megabytes, &rig->streams[i]);
        cr_assert(BECOMES(rig->streams[i].closed == 1));
        cr_assert_gt(clock_realtime_ns() - start, 900 * NS_PER_MS);
        cr_assert(BECOMES(http_server_connections(rig->server) == 0));
        client_free(c);
    }
}

Test(http_stream, a_client_that_gives_no_window_is_ended)
{
    struct client *c = open_stream(true, 1);
    rig_send(&rig->streams[0], "more than one byte");
    cr_assert(BECOMES(rig->streams[0].closed == 1));
    client_free(c);
}

Test(http_stream, an_idle_stream_lives_longer_than_the_stall_timeout)
{
    struct client *one = open_stream(false, 0), *two = open_stream(true, 0);
    struct frame frame;
    cr_assert_not(WAIT_FOR(rig->streams[0].closed || rig->streams[1].closed, 2500));
    rig_send(&rig->streams[0], "alive\n");
    rig_send(&rig->streams[1], "alive\n");
    cr_assert(client_read_until(one, "alive\n"));
    cr_assert(h2_read_until(two, FRAME_DATA, 1, &frame));
    client_free(one);
    client_free(two);
}

static struct blob *shared;

static void send_to_all(void *arg)
{
    struct rig *g = arg;
    for (size_t i = 0; i < g->stream_count; i++)
        (void)http_stream_send(g->streams[i].stream, shared);
}

Test(http_stream, one_event_reaches_many_streams_on_many_connections)
{
    enum { H2 = 5, STREAMS = 60, H1 = 300 };
    struct client *h2[H2], *h1[H1];
    struct frame frame;
    for (uint32_t i = 0; i < H2; i++) {
        h2[i] = open_stream(true, 0);
        for (uint32_t k = 1; k < STREAMS; k++) {
            h2_get(h2[i], 2 * k + 1, "/stream");
            cr_assert(h2_read_until(h2[i], FRAME_HEADERS, 2 * k + 1, &frame));
        }
    }
    for (int i = 0; i < H1; i++)
        h1[i] = open_stream(false, 0);
    shared = blob_new(S("to all of you\n"));
    for (int round = 0; round < 3; round++) {
        rig_on_loop(rig, send_to_all, rig);
        for (int i = 0; i < H2; i++)
            for (int k = 0; k < STREAMS; k++)
                cr_assert(h2_read_until(h2[i], FRAME_DATA, 0, &frame) && frame.len == 14);
        for (int i = 0; i < H1; i++)
            cr_assert(client_read_until(h1[i], "to all of you\n"));
    }
    for (int i = 0; i < H2; i++)
        client_free(h2[i]);
    for (int i = 0; i < H1; i++)
        client_free(h1[i]);
    cr_assert(BECOMES(atomic_load(&shared->refs) == 1));
    (void)blob_unref(shared);
}

Test(http_stream, head_of_a_stream_is_answered_and_over)
{
    for (int i = 0; i < 2; i++) {
        struct rig_answer a =
            rig_call(rig, &(struct rig_call) { .path = "/stream", .method = "HEAD", .is_http1 = i == 0 });
        cr_assert_eq(a.curl_code, 0);
        cr_assert_eq(a.status, 200);
        cr_assert(BECOMES(rig->streams[i].closed == 1));
    }
}

Test(http_stream, an_http10_client_gets_a_stream_that_ends_with_the_connection)
{
    struct client *c = client_open(rig, false, NULL);
    client_write_z(c, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    cr_assert(BECOMES(rig->stream_count == 1));
    rig_send(&rig->streams[0], "old\n");
    cr_assert(client_read_until(c, "\r\n\r\n\nold\n"));
    rig_end(&rig->streams[0], false);
    cr_assert(client_sees_close(c, PATIENCE_MS));
    client_free(c);
}

Test(http_stream, open_streams_do_not_keep_the_server_from_being_freed)
{
    struct client *one = open_stream(false, 0), *two = open_stream(true, 1u << 20);
    rig_on_loop(rig, send_megabytes, &rig->streams[0]);
    rig_on_loop(rig, send_megabytes, &rig->streams[1]);
    http_server_free(rig->server);
    rig->server = NULL;
    cr_assert_eq(rig->streams[0].closed, 1);
    cr_assert_eq(rig->streams[1].closed, 1);
    client_free(one);
    client_free(two);
}
