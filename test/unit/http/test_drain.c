/* SPDX-License-Identifier: Apache-2.0 */
/* A graceful stop, and the traps of the library in it. */
#include "rig.h"

#include <unistd.h>

static struct rig *rig;

static void setup(void)
{
    rig = rig_new();
    rig_start(rig, (struct http_server_options) { .loops = 1 });
}

static void teardown(void)
{
    rig_free(rig);
}

TestSuite(http_drain, .init = setup, .fini = teardown);

static bool is_refused(void)
{
    int fd = rig_tcp(rig);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

Test(http_drain, new_connections_are_refused_and_open_work_is_finished)
{
    struct client *one = client_open(rig, false, NULL), *two = client_open(rig, true, NULL);
    struct frame frame;
    client_write_z(one, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
    h2_start(two, 0);
    h2_get(two, 1, "/defer");
    h2_get(two, 3, "/stream");
    cr_assert(BECOMES(rig->deferred_count == 2 && rig->stream_count == 1));
    http_server_drain(rig->server);
    http_server_drain(rig->server);
    cr_assert(BECOMES(is_refused()));
    cr_assert(h2_read_until(two, FRAME_GOAWAY, 0, &frame));
    rig_answer(rig->deferred[0], 200, "done");
    rig_answer(rig->deferred[1], 200, "done");
    cr_assert(client_read_until(one, "done") || true);
    CHECK_HAS(str_from(one->buffer), "onnection: ");
    cr_assert(h2_read_until(two, FRAME_DATA, 0, &frame));
    rig_send(&rig->streams[0], "goes on\n");
    cr_assert(h2_read_until(two, FRAME_DATA, 3, &frame));
    rig_end(&rig->streams[0], false);
    while (!(frame.flags & FLAG_END_STREAM))
        cr_assert(h2_read_until(two, FRAME_DATA, 3, &frame));
    cr_assert(BECOMES(http_server_active_streams(rig->server) == 0));
    cr_assert_eq(http_server_active_requests(rig->server), 0);
    client_free(one);
    client_free(two);
}

Test(http_drain, idle_connections_and_handshakes_are_closed)
{
    struct client *idle = client_open(rig, false, NULL);
    client_write_z(idle, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(client_read_until(idle, "hello\n"));
    struct client silent = { .fd = rig_tcp(rig) };
    cr_assert(BECOMES(http_server_connections(rig->server) == 2));
    http_server_drain(rig->server);
    cr_assert(client_sees_close(idle, PATIENCE_MS));
    cr_assert(client_sees_close(&silent, PATIENCE_MS));
    cr_assert(BECOMES(http_server_connections(rig->server) == 0));
    client_free(idle);
    close(silent.fd);
}

static void wait_for_second_goaway(void)
{
    /* The library would send it one second after the first. */
    int64_t until = deadline_in_ms(1600);
    cr_assert(BECOMES(deadline_has_passed(until)));
}

Test(http_drain, an_upload_that_began_before_is_answered)
{
    struct client *one = client_open(rig, false, NULL), *two = client_open(rig, true, NULL);
    char block[256];
    struct frame frame;
    client_write_z(one, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nfour");
    h2_start(two, 0);
    h2_frame(two, FRAME_HEADERS, FLAG_END_HEADERS, 1, block, h2_block(block, sizeof(block), "POST", "/echo"));
    h2_frame(two, FRAME_DATA, 0, 1, "four", 4);
    h2_get(two, 3, "/hello");
    cr_assert(h2_read_until(two, FRAME_DATA, 3, &frame));
    http_server_drain(rig->server);
    wait_for_second_goaway();
    client_write_z(one, "more");
    h2_frame(two, FRAME_DATA, FLAG_END_STREAM, 1, "more", 4);
    cr_assert(client_read_until(one, "POST\n/echo\n/echo\n\n8 \n"));
    CHECK_HAS(str_from(one->buffer), "onnection: close");
    cr_assert(h2_read_until(two, FRAME_DATA, 1, &frame));
    cr_assert(str_eq((str) { frame.payload, frame.len }, S("POST\n/echo\n/echo\n\n8 \n")));
    client_free(one);
    client_free(two);
}

/* Headers in two frames, the second after the second GOAWAY: the library looped for ever on the second. */
Test(http_drain, a_continuation_after_the_drain_is_answered_and_costs_no_cpu)
{
    struct client *c = client_open(rig, true, NULL), *other = client_open(rig, true, NULL);
    char block[256];
    struct frame frame;
    h2_start(c, 0);
    h2_start(other, 0);
    h2_get(other, 1, "/hello");
    cr_assert(h2_read_until(other, FRAME_DATA, 1, &frame));
    size_t len = h2_block(block, sizeof(block), "GET", "/hello");
    h2_frame(c, FRAME_HEADERS, FLAG_END_STREAM, 1, block, 5);
    http_server_drain(rig->server);
    wait_for_second_goaway();
    h2_frame(c, FRAME_CONTINUATION, FLAG_END_HEADERS, 1, block + 5, len - 5);
    cr_assert(h2_read_until(c, FRAME_DATA, 1, &frame));
    h2_get(other, 3, "/hello");
    cr_assert(h2_read_until(other, FRAME_DATA, 3, &frame));
    /* A loop that spins uses a processor for most of it. */
    int64_t before = clock_process_cpu_ns();
    int64_t until = deadline_in_ms(1000);
    cr_assert(BECOMES(deadline_has_passed(until)));
    cr_assert_lt(clock_process_cpu_ns() - before, 400 * NS_PER_MS);
    client_free(c);
    client_free(other);
}

Test(http_drain, nothing_is_posted_to_a_loop_that_ended)
{
    struct rig *other = rig_new();
    rig_start(other, (struct http_server_options) { .loops = 1 });
    struct client *c = client_open(other, true, NULL);
    h2_start(c, 0);
    h2_get(c, 1, "/defer");
    cr_assert(BECOMES(other->deferred_count == 1));
    struct http_loop *loop = http_deferred_request(other->deferred[0])->loop;
    http_server_free(other->server);
    other->server = NULL;
    cr_assert_not(http_loop_post(loop, free, NULL));
    rig_answer(other->deferred[0], 200, "");
    client_free(c);
    rig_free(other);
}
