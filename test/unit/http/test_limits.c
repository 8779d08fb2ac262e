/* SPDX-License-Identifier: Apache-2.0 */
/* What hostile or unlucky clients do: too many connections, resets, slowness, silence. */
#include "rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/limits.h"

static struct rig *rig;

static void teardown(void)
{
    rig_free(rig);
}

TestSuite(http_limits, .fini = teardown);

static void start(struct http_server_options options)
{
    rig = rig_new();
    rig_start(rig, options);
}

/* For a second, in which a loop that spins would use a processor for most of it, there are no more connections. */
static void check_sleep(size_t connections)
{
    int64_t before = clock_process_cpu_ns();
    int64_t until = deadline_in_ms(1000);
    cr_assert(BECOMES(deadline_has_passed(until)));
    cr_assert_lt(clock_process_cpu_ns() - before, 400 * NS_PER_MS);
    cr_assert_leq(http_server_connections(rig->server), connections);
}

Test(http_limits, connections_above_the_cap_wait_until_others_close)
{
    start((struct http_server_options) { .max_connections = 3 });
    struct client *c[3];
    for (int i = 0; i < 3; i++) {
        c[i] = client_open(rig, false, NULL);
        cr_assert(c[i] != NULL);
    }
    int waiting = rig_tcp(rig);
    check_sleep(3);
    close(waiting);
    client_free(c[0]);
    cr_assert_eq(rig_get(rig, "/hello", false).status, 200);
    client_free(c[1]);
    client_free(c[2]);
}

Test(http_limits, above_the_cap_idle_connections_make_room_and_busy_ones_stay)
{
    start((struct http_server_options) { .max_connections = 2 });
    struct client *busy = client_open(rig, false, NULL), *used = client_open(rig, true, NULL);
    client_write_z(busy, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    h2_start(used, 0);
    h2_get(used, 1, "/hello");
    cr_assert(BECOMES(rig->handled == 2 && http_server_connections(rig->server) == 2));
    cr_assert_eq(rig_get(rig, "/hello", true).status, 200);
    cr_assert(client_sees_close(used, PATIENCE_MS));
    cr_assert_not(client_sees_close(busy, 100));
    client_free(busy);
    client_free(used);
}

/* Half a request, half a body, an answer that nobody lets through. */
static void hold_a_place(struct client *c, int how)
{
    char block[256];
    if (how == 0) {
        client_write_z(c, "GET /hello HTTP/1.1\r\nHost: ");
        return;
    }
    h2_start(c, how == 1 ? 0 : 1);
    size_t len = h2_block(block, sizeof(block), how == 1 ? "POST" : "GET", "/hello");
    h2_frame(c, FRAME_HEADERS, FLAG_END_HEADERS | (how == 2 ? FLAG_END_STREAM : 0), 1, block, len);
}

Test(http_limits, above_the_cap_those_that_are_slow_on_purpose_make_room)
{
    start((struct http_server_options) { .max_connections = 2 });
    for (int how = 0; how < 3; how++) {
        struct client *c[2];
        for (int i = 0; i < 2; i++) {
            c[i] = client_open(rig, how > 0, NULL);
            cr_assert(c[i] != NULL);
            hold_a_place(c[i], how);
        }
        cr_assert_eq(rig_get(rig, "/hello", true).status, 200, "case %d", how);
        client_free(c[0]);
        client_free(c[1]);
        cr_assert(BECOMES(http_server_connections(rig->server) == 0));
    }
}

Test(http_limits, above_the_cap_a_body_that_is_on_its_way_is_given_time)
{
    start((struct http_server_options) { .max_connections = 1 });
    /* An idle one would be cut after 2 s, this one after 5 s: again where the machine took longer. */
    for (bool is_conclusive = false; !is_conclusive;) {
        struct client *c = client_open(rig, false, NULL);
        int64_t begin = clock_monotonic_ns();
        client_write_z(c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
        int waiting = rig_tcp(rig);
        bool is_cut = client_sees_close(c, 3000);
        client_write_z(c, "cd");
        bool is_answered = !is_cut && client_read_until(c, "/echo");
        is_conclusive = is_answered || clock_monotonic_ns() - begin < 5 * NS_PER_S;
        cr_assert(is_answered || !is_conclusive);
        close(waiting);
        client_free(c);
    }
}

Test(http_limits, a_full_table_of_descriptors_does_not_spin)
{
    start((struct http_server_options) { .loops = 1 });
    struct client *open_before = client_open(rig, false, NULL);
    int late = socket(AF_INET, SOCK_STREAM, 0);
    int fds[512], count = 0;
    setrlimit(RLIMIT_NOFILE, &(struct rlimit) { .rlim_cur = 256, .rlim_max = 4096 });
    while ((fds[count] = open("/dev/null", O_RDONLY)) >= 0)
        count++;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(rig->port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cr_assert_eq(connect(late, (struct sockaddr *)&address, sizeof(address)), 0);
    client_write_z(open_before, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(client_read_until(open_before, "hello\n"));
    check_sleep(1);
    while (count > 0)
        close(fds[--count]);
    cr_assert(BECOMES(http_server_connections(rig->server) == 2));
    close(late);
    client_free(open_before);
}

Test(http_limits, work_is_counted_until_it_is_done_not_until_it_is_reset)
{
    start((struct http_server_options) { .max_requests_per_connection = 20 });
    struct client *c = client_open(rig, true, NULL);
    struct frame frame;
    h2_start(c, 0);
    for (uint32_t i = 0; i < 20; i++) {
        h2_get(c, 2 * i + 1, "/defer");
        h2_reset(c, 2 * i + 1);
    }
    h2_get(c, 101, "/hello");
    cr_assert(h2_read_until(c, FRAME_DATA, 101, &frame));
    CHECK_HAS(((str) { frame.payload, frame.len }), "too many requests");
    cr_assert_eq(rig->deferred_count, 20);
    rig_answer(rig->deferred[0], 200, "");
    cr_assert(BECOMES(http_server_active_requests(rig->server) == 19));
    h2_get(c, 103, "/hello");
    cr_assert(h2_read_until(c, FRAME_DATA, 103, &frame));
    cr_assert(str_eq((str) { frame.payload, frame.len }, S("hello\n")));
    for (int i = 1; i < 20; i++)
        rig_answer(rig->deferred[i], 200, "");
    client_free(c);
}

Test(http_limits, rapid_resets_end_the_connection_and_bound_the_work)
{
    start((struct http_server_options) { .loops = 1 });
    struct client *c = client_open(rig, true, NULL);
    h2_start(c, 0);
    for (uint32_t i = 0; i < 5000; i++) {
        h2_get(c, 2 * i + 1, "/defer");
        h2_reset(c, 2 * i + 1);
    }
    cr_assert(BECOMES(http_server_connections(rig->server) == 0));
    cr_assert_eq(rig->deferred_count, 200);
    for (int i = 0; i < 200; i++)
        rig_answer(rig->deferred[i], 200, "");
    client_free(c);
}

Test(http_limits, answers_that_are_reset_again_and_again_end_the_connection)
{
    start((struct http_server_options) { .loops = 1 });
    struct client *c = client_open(rig, true, NULL);
    h2_start(c, 0);
    for (uint32_t i = 0; i < 20000; i++) {
        h2_get(c, 2 * i + 1, "/hello");
        h2_reset(c, 2 * i + 1);
    }
    cr_assert(BECOMES(http_server_connections(rig->server) == 0));
    cr_assert_lt(rig->handled, 20000);
    client_free(c);
}

Test(http_limits, a_client_that_cancels_now_and_then_is_left_alone)
{
    start((struct http_server_options) { .loops = 1 });
    struct client *c = client_open(rig, true, NULL);
    struct frame frame;
    h2_start(c, 0);
    for (uint32_t i = 0; i < 100; i++)
        h2_get(c, 2 * i + 1, "/stream");
    cr_assert(BECOMES(rig->stream_count == 100));
    for (uint32_t i = 0; i < 100; i++)
        h2_reset(c, 2 * i + 1);
    h2_get(c, 301, "/hello");
    cr_assert(h2_read_until(c, FRAME_DATA, 301, &frame));
    client_free(c);
}

Test(http_limits, an_idle_connection_is_closed_after_its_timeout)
{
    start((struct http_server_options) { .idle_timeout_ms = 500 });
    for (int i = 0; i < 2; i++) {
        int64_t begin = clock_realtime_ns(); /* by which libh2o goes */
        struct client *c = client_open(rig, i, NULL);
        if (i)
            h2_start(c, 0);
        cr_assert(client_sees_close(c, PATIENCE_MS));
        cr_assert_gt(clock_realtime_ns() - begin, 300 * NS_PER_MS);
        client_free(c);
    }
}

Test(http_limits, half_a_request_is_closed_after_the_timeout_too)
{
    start((struct http_server_options) { .idle_timeout_ms = 500 });
    struct client *c = client_open(rig, false, NULL);
    client_write_z(c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
    cr_assert(client_sees_close(c, PATIENCE_MS));
    client_free(c);
}

Test(http_limits, a_slow_handshake_is_closed_after_ten_seconds)
{
    start((struct http_server_options) { .loops = 1 });
    int64_t begin = clock_realtime_ns(); /* by which libh2o goes */
    struct client silent = { .fd = rig_tcp(rig) }, slow = { .fd = rig_tcp(rig) };
    cr_assert_eq(write(slow.fd, "\26\3\1\2\0\1", 6), 6); /* the begin of a ClientHello */
    cr_assert(BECOMES(http_server_connections(rig->server) == 2));
    cr_assert(client_sees_close(&silent, PATIENCE_MS));
    cr_assert(client_sees_close(&slow, PATIENCE_MS));
    cr_assert_gt(clock_realtime_ns() - begin, 8 * NS_PER_S);
    close(silent.fd);
    close(slow.fd);
}

Test(http_limits, a_get_whose_answer_nobody_reads_is_ended)
{
    start((struct http_server_options) { .write_stall_timeout_ms = 800 });
    struct blob *b = blob_new_size(16u << 20);
    memset(b->bytes, 'b', b->len);
    rig->blobs = &b;
    rig->blob_count = 1;
    for (int i = 0; i < 3; i++) {
        struct client *c = client_open(rig, i > 0, NULL);
        if (i == 0) {
            client_write_z(c, "GET /blobs HTTP/1.1\r\nHost: x\r\n\r\n");
        } else {
            h2_start(c, i == 1 ? 1u << 30 : 1); /* TCP fills up; the window is empty at once */
            h2_frame(c, FRAME_WINDOW_UPDATE, 0, 0, "\77\0\0\0", 4);
            h2_get(c, 1, i == 1 ? "/blobs" : "/hello");
        }
        cr_assert(BECOMES(rig->handled == i + 1));
        cr_assert(BECOMES(http_server_connections(rig->server) == 0), "case %d", i);
        cr_assert(BECOMES(atomic_load(&b->refs) == 1));
        client_free(c);
    }
    (void)blob_unref(b);
}

Test(http_limits, a_body_far_too_large_is_refused_by_the_library)
{
    start((struct http_server_options) { .loops = 1 });
    static char data[6u << 20];
    struct rig_call call = { .path = "/echo", .is_http1 = true, .body = { data, sizeof(data) } };
    struct rig_answer a = rig_call(rig, &call);
    /* It closes while the client still sends, so the answer may be lost. */
    cr_assert(a.status == 413 || a.curl_code != 0);
    cr_assert_eq(rig->handled, 0);
    cr_assert_eq(rig_get(rig, "/hello", true).status, 200);
}

static void word_refusal(void *self, struct arena *a, struct http_refusal *refusal)
{
    (void)self;
    refusal->content_type = S("application/x-refusal");
    refusal->body = arena_printf(a, "<%d %.*s>", refusal->status, STR_ARG(refusal->text));
}

Test(http_limits, refusals_are_worded_by_whoever_serves)
{
    static const char *const requests[] = {
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    };
    static const char *const answers[] = { "<413 request entity is too large>",
                                           "<400 more than one length of the body>" };
    start((struct http_server_options) { .word_refusal = word_refusal });
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct client *c = client_open(rig, false, NULL);
        client_write_z(c, requests[i]);
        cr_assert(client_read_until(c, answers[i]), "case %zu: %s", i, c->buffer);
        CHECK_HAS(str_from(c->buffer), "content-type: application/x-refusal");
        CHECK_HAS(str_from(c->buffer), arena_printf(rig->arena, "Content-Length: %zu\r\n", strlen(answers[i])).ptr);
        client_free(c);
    }
    cr_assert_eq(rig->handled, 0);
}

Test(http_limits, a_body_too_large_in_chunks_is_refused_in_the_same_words)
{
    static char chunk[65536];
    start((struct http_server_options) { .word_refusal = word_refusal });
    struct client *c = client_open(rig, false, NULL);
    client_write_z(c, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t sent = 0; sent <= LIMIT_BODY_LIBRARY_BYTES; sent += sizeof(chunk)) {
        client_write_z(c, "10000\r\n");
        client_write(c, chunk, sizeof(chunk));
        client_write_z(c, "\r\n");
    }
    cr_assert(client_read_until(c, "<413 request entity is too large>"));
    client_free(c);
}

Test(http_limits, over_http2_a_body_of_any_size_above_the_limit_reaches_the_handler_as_a_flag)
{
    static char data[40u << 20];
    static const size_t sizes[] = { LIMIT_BODY_BYTES + 1, LIMIT_BODY_LIBRARY_BYTES, LIMIT_BODY_LIBRARY_BYTES + 1,
                                    6u << 20, sizeof(data) };
    start((struct http_server_options) { .loops = 1 });
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct rig_answer a = rig_call(rig, &(struct rig_call) { .path = "/echo", .body = { data, sizes[i] } });
        cr_assert_eq(a.curl_code, 0, "%zu bytes: curl says %d", sizes[i], a.curl_code);
        cr_assert_eq(a.status, 413);
        CHECK_HAS(a.body, "0 too large");
        cr_assert_eq(rig->handled, i + 1, "nobody tries again");
    }
}

static void post_begin(struct client *c, uint32_t stream)
{
    char block[256];
    size_t len = h2_block(block, sizeof(block), "POST", "/echo");
    h2_frame(c, FRAME_HEADERS, FLAG_END_HEADERS, stream, block, len);
}

static void post_mib(struct client *c, uint32_t stream)
{
    static char data[16384];
    for (size_t i = 0; i < 64; i++)
        h2_frame(c, FRAME_DATA, 0, stream, data, sizeof(data));
}

Test(http_limits, too_large_bodies_leave_others_of_their_connection_alone)
{
    start((struct http_server_options) { .loops = 1 });
    struct client *c = client_open(rig, true, NULL);
    struct frame frame;
    h2_start(c, 0);
    for (uint32_t stream = 1; stream <= 5; stream += 2)
        post_begin(c, stream);
    for (size_t mib = 0; mib < 6; mib++) { /* the first two grow in turns, the third stays small */
        post_mib(c, 1);
        post_mib(c, 3);
        if (mib == 0)
            post_mib(c, 5);
    }
    for (size_t i = 0; i < 2; i++) {
        cr_assert(h2_read_until(c, FRAME_DATA, 0, &frame));
        cr_assert(frame.stream == 1 || frame.stream == 3);
        CHECK_HAS(((str) { frame.payload, frame.len }), "0 too large");
    }
    h2_frame(c, FRAME_DATA, FLAG_END_STREAM, 5, "", 0);
    cr_assert(h2_read_until(c, FRAME_DATA, 5, &frame));
    CHECK_HAS(((str) { frame.payload, frame.len }), "1048576");
    post_mib(c, 1); /* its answer has gone: now it is told to stop */
    cr_assert(h2_read_until(c, FRAME_RST, 1, &frame));
    h2_get(c, 7, "/hello");
    cr_assert(h2_read_until(c, FRAME_DATA, 7, &frame));
    client_free(c);
}

static void post_half(struct client *c, uint32_t stream, size_t mib)
{
    static char data[16384];
    char block[256];
    size_t len = h2_block(block, sizeof(block), "POST", "/echo");
    h2_frame(c, FRAME_HEADERS, FLAG_END_HEADERS, stream, block, len);
    for (size_t i = 0; i < mib << 6; i++)
        h2_frame(c, FRAME_DATA, 0, stream, data, sizeof(data));
}

Test(http_limits, bodies_that_only_pile_up_end_the_connection_that_sent_most)
{
    start((struct http_server_options) { .max_intake_bytes = 16u << 20 });
    struct client *small = client_open(rig, true, NULL), *large = client_open(rig, true, NULL);
    struct frame frame;
    h2_start(small, 0);
    h2_start(large, 0);
    post_half(small, 1, 2);
    for (uint32_t i = 0; i < 8; i++)
        post_half(large, 2 * i + 1, 3);
    cr_assert(BECOMES(http_server_connections(rig->server) == 1));
    h2_frame(small, FRAME_DATA, FLAG_END_STREAM, 1, "", 0);
    cr_assert(h2_read_until(small, FRAME_DATA, 1, &frame));
    CHECK_HAS(((str) { frame.payload, frame.len }), "2097152");
    client_free(small);
    client_free(large);
}

Test(http_limits, bodies_over_http1_pile_up_no_higher)
{
    start((struct http_server_options) { .max_intake_bytes = 5u << 20 });
    struct client *c[3];
    char *half = calloc(1, 3u << 20);
    for (int i = 0; i < 3; i++) {
        c[i] = client_open(rig, false, NULL);
        client_write_z(c[i], "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n");
        client_write(c[i], half, 3u << 20);
    }
    cr_assert(BECOMES(http_server_connections(rig->server) == 1));
    for (int i = 0; i < 3; i++)
        client_free(c[i]);
    free(half);
}

Test(http_limits, many_whole_bodies_on_one_connection_are_fine)
{
    start((struct http_server_options) { .max_intake_bytes = 4u << 20 });
    struct client *c = client_open(rig, true, NULL);
    struct frame frame;
    h2_start(c, 0);
    post_half(c, 1, 1); /* always one that is arriving, so that the count never starts anew */
    for (uint32_t i = 1; i < 20; i++) {
        post_half(c, 2 * i + 1, 1);
        h2_frame(c, FRAME_DATA, FLAG_END_STREAM, 2 * i + 1, "", 0);
        cr_assert(h2_read_until(c, FRAME_DATA, 2 * i + 1, &frame));
        cr_assert_not(WAIT_FOR(http_server_connections(rig->server) == 0, 40));
    }
    client_free(c);
}

/* ---- frames that mean nothing ---------------------------------------------------------------------------------- */

#define FRAME_OF_THE_FUTURE 0x20

/* What the process prints meanwhile; the server is part of it. */
static size_t printed_by(void (*fn)(struct client *c), struct client *c)
{
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    cr_assert(dup2(fileno(file), STDERR_FILENO) >= 0);
    fn(c);
    cr_assert(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    size_t size = (size_t)lseek(fileno(file), 0, SEEK_END);
    (void)fclose(file);
    return size;
}

static void send_strange_frames(struct client *c)
{
    struct frame frame;
    static const char payload[100];
    /* The first of them travels with the preface. */
    static const char start[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\3\40\0\0\0\0\0abc";
    client_write(c, start, sizeof(start) - 1);
    for (int i = 0; i < 100; i++)
        h2_frame(c, FRAME_OF_THE_FUTURE, 0, 0, payload, (size_t)i);
    h2_get(c, 1, "/hello");
    cr_assert(h2_read_until(c, FRAME_DATA, 1, &frame));
}

Test(http_limits, frames_of_unknown_types_are_ignored_without_a_word)
{
    start((struct http_server_options) { .loops = 1 });
    struct client *c = client_open(rig, true, NULL);
    cr_assert_eq(printed_by(send_strange_frames, c), 0);
    client_free(c);
}

Test(http_limits, amid_a_block_of_headers_a_frame_of_unknown_type_is_an_error)
{
    start((struct http_server_options) { .loops = 1 });
    struct client *c = client_open(rig, true, NULL);
    struct frame frame;
    char block[256];
    size_t len = h2_block(block, sizeof(block), "GET", "/hello");
    h2_start(c, 0);
    h2_frame(c, FRAME_HEADERS, FLAG_END_STREAM, 1, block, len);
    h2_frame(c, FRAME_OF_THE_FUTURE, 0, 0, "", 0);
    cr_assert(h2_read_until(c, FRAME_GOAWAY, 0, &frame));
    client_free(c);
}
