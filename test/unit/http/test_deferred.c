/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are answered later and from elsewhere. */
#include "rig.h"

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

TestSuite(http_deferred, .init = setup, .fini = teardown);

static bool wait_deferred(size_t n)
{
    return BECOMES(rig->deferred_count == n);
}

Test(http_deferred, another_thread_answers)
{
    for (int is_http2 = 0; is_http2 < 2; is_http2++) {
        struct client *c = client_open(rig, is_http2, NULL);
        struct frame frame;
        if (is_http2) {
            h2_start(c, 0);
            h2_get(c, 1, "/defer");
        } else {
            client_write_z(c, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        cr_assert(wait_deferred((size_t)is_http2 + 1));
        cr_assert_eq(http_server_active_requests(rig->server), 1);
        struct http_deferred *d = rig->deferred[is_http2];
        cr_assert_not(http_deferred_is_cancelled(d));
        rig_answer(d, 200, "from afar");
        if (is_http2) {
            cr_assert(h2_read_until(c, FRAME_DATA, 1, &frame));
            cr_assert(str_eq((str) { frame.payload, frame.len }, S("from afar")));
        } else {
            cr_assert(client_read_until(c, "from afar"));
        }
        cr_assert(BECOMES(http_server_active_requests(rig->server) == 0));
        client_free(c);
    }
}

static void answer_with_blobs(struct http_deferred *d, struct blob *b)
{
    char name[] = "x-name", value[] = "value", body[] = "head ";
    struct http_header headers[] = { { str_from(name), str_from(value) } };
    struct blob *blobs[] = { blob_ref(b), blob_ref(b) };
    http_deferred_respond(d, &(struct http_response) { .status = 201,
                                                       .headers = headers,
                                                       .header_count = 1,
                                                       .body = str_from(body),
                                                       .blobs = blobs,
                                                       .blob_count = 2 });
    /* All of it was copied or taken over. */
    memset(name, '!', sizeof(name));
    memset(value, '!', sizeof(value));
    memset(body, '!', sizeof(body));
    memset(blobs, 0, sizeof(blobs));
}

Test(http_deferred, the_memory_of_an_answer_is_the_callers_again_at_once)
{
    struct client *c = client_open(rig, false, NULL);
    struct blob *b = blob_new(S("[blob]"));
    client_write_z(c, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(wait_deferred(1));
    answer_with_blobs(rig->deferred[0], b);
    cr_assert(client_read_until(c, "head [blob][blob]"));
    CHECK_HAS(str_from(c->buffer), "HTTP/1.1 201 Created");
    CHECK_HAS(str_from(c->buffer), "x-name: value");
    cr_assert(BECOMES(atomic_load(&b->refs) == 1));
    (void)blob_unref(b);
    client_free(c);
}

static void post_body(struct client *c, bool is_http2)
{
    char block[256];
    if (is_http2) {
        h2_start(c, 0);
        size_t len = h2_block(block, sizeof(block), "POST", "/defer?a=b");
        h2_frame(c, FRAME_HEADERS, FLAG_END_HEADERS, 1, block, len);
        h2_frame(c, FRAME_DATA, FLAG_END_STREAM, 1, "the body", 8);
    } else {
        client_write_z(
            c, "POST /defer?a=b HTTP/1.1\r\nHost: x\r\nX-Long: 0123456789\r\nContent-Length: 8\r\n\r\nthe body");
    }
}

Test(http_deferred, a_request_stays_readable_after_its_client_hung_up)
{
    for (int is_http2 = 0; is_http2 < 2; is_http2++) {
        struct client *c = client_open(rig, is_http2, NULL);
        post_body(c, is_http2);
        cr_assert(wait_deferred((size_t)is_http2 + 1));
        struct http_deferred *d = rig->deferred[is_http2];
        client_free(c);
        cr_assert(BECOMES(http_deferred_is_cancelled(d)));
        cr_assert(BECOMES(http_server_connections(rig->server) == 0));
        struct http_request *req = http_deferred_request(d);
        CHECK_STR(req->method, "POST");
        CHECK_STR(req->target, "/defer?a=b");
        CHECK_STR(req->path, "/defer");
        CHECK_STR(req->query, "a=b");
        CHECK_STR(req->body, "the body");
        CHECK_STR(req->peer->address, "127.0.0.1");
        if (!is_http2)
            CHECK_STR(http_request_header(req, S("x-long")), "0123456789");
        struct blob *b = blob_new(S("nobody reads this"));
        answer_with_blobs(d, b);
        cr_assert(BECOMES(atomic_load(&b->refs) == 1));
        (void)blob_unref(b);
    }
    cr_assert(BECOMES(http_server_active_requests(rig->server) == 0));
}

Test(http_deferred, a_client_that_closes_politely_is_noticed_too)
{
    struct client *c = client_open(rig, false, NULL);
    client_write_z(c, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(wait_deferred(1));
    (void)SSL_shutdown(c->ssl);
    client_free(c);
    cr_assert(BECOMES(http_deferred_is_cancelled(rig->deferred[0])));
    cr_assert(BECOMES(http_server_connections(rig->server) == 0));
    rig_answer(rig->deferred[0], 200, "");
}

Test(http_deferred, a_reset_stream_cancels_and_its_connection_goes_on)
{
    struct client *c = client_open(rig, true, NULL);
    struct frame frame;
    h2_start(c, 0);
    h2_get(c, 1, "/defer");
    cr_assert(wait_deferred(1));
    h2_reset(c, 1);
    cr_assert(BECOMES(http_deferred_is_cancelled(rig->deferred[0])));
    rig_answer(rig->deferred[0], 200, "late");
    h2_get(c, 3, "/hello");
    cr_assert(h2_read_until(c, FRAME_DATA, 0, &frame));
    cr_assert_eq(frame.stream, 3);
    client_free(c);
}

/* ---- resume -------------------------------------------------------------------------------------------------- */

struct resumption {
    struct rig *rig;
    pthread_t thread;
    bool is_gone;
    struct http_stream *stream;
    atomic_int drained, closed, is_done;
};

static void on_drained(void *self)
{
    atomic_fetch_add(&((struct resumption *)self)->drained, 1);
}

static void on_close(void *self)
{
    struct resumption *r = self;
    r->stream = NULL;
    atomic_fetch_add(&r->closed, 1);
}

static void on_resume_stream(void *self, struct http_request *req)
{
    static const struct http_stream_ops ops = { on_drained, on_close };
    struct resumption *r = self;
    r->thread = pthread_self();
    r->is_gone = req == NULL;
    if (req) {
        r->stream = http_stream_begin(req, &(struct http_response) { .status = 200, .body = S("first ") }, &ops, r);
        struct blob *b = blob_new(S("second\n"));
        (void)http_stream_send(r->stream, b);
        (void)blob_unref(b);
        http_stream_end(r->stream, false);
    }
    r->is_done = 1;
}

Test(http_deferred, a_resumed_request_may_become_a_stream_on_its_loop)
{
    struct client *c = client_open(rig, false, NULL);
    struct resumption r = { .rig = rig };
    client_write_z(c, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(wait_deferred(1));
    http_deferred_resume(rig->deferred[0], on_resume_stream, &r);
    cr_assert(client_read_until(c, "\r\n0\r\n\r\n"));
    CHECK_HAS(str_from(c->buffer), "first second\n");
    cr_assert(BECOMES(r.closed == 1));
    cr_assert_not(pthread_equal(r.thread, pthread_self()));
    cr_assert(BECOMES(http_server_active_requests(rig->server) == 0));
    cr_assert(BECOMES(http_server_active_streams(rig->server) == 0));
    client_free(c);
}

Test(http_deferred, a_request_whose_client_is_gone_resumes_as_null)
{
    struct client *c = client_open(rig, true, NULL);
    struct resumption r = { .rig = rig };
    h2_start(c, 0);
    h2_get(c, 1, "/defer");
    cr_assert(wait_deferred(1));
    client_free(c);
    cr_assert(BECOMES(http_deferred_is_cancelled(rig->deferred[0])));
    http_deferred_resume(rig->deferred[0], on_resume_stream, &r);
    cr_assert(BECOMES(r.is_done == 1));
    cr_assert(r.is_gone);
}

static void on_resume_again(void *self, struct http_request *req)
{
    struct rig *g = self;
    g->deferred[g->deferred_count] = http_defer(req);
    atomic_fetch_add(&g->deferred_count, 1);
}

Test(http_deferred, a_resumed_request_may_be_deferred_again)
{
    struct client *c = client_open(rig, false, NULL);
    client_write_z(c, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
    for (size_t i = 0; i < 5; i++) {
        cr_assert(wait_deferred(i + 1));
        cr_assert_eq(http_server_active_requests(rig->server), 1 + 0 * i);
        http_deferred_resume(rig->deferred[i], on_resume_again, rig);
    }
    cr_assert(wait_deferred(6));
    rig_answer(rig->deferred[5], 200, "at last");
    cr_assert(client_read_until(c, "at last"));
    client_free(c);
}

Test(http_deferred, requests_taken_along_outlive_the_server)
{
    struct client *one = client_open(rig, false, NULL), *two = client_open(rig, true, NULL);
    struct resumption r = { .rig = rig };
    client_write_z(one, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
    h2_start(two, 0);
    h2_get(two, 1, "/defer");
    h2_get(two, 3, "/defer");
    cr_assert(wait_deferred(3));
    http_server_free(rig->server);
    rig->server = NULL;
    for (int i = 0; i < 3; i++) {
        cr_assert(http_deferred_is_cancelled(rig->deferred[i]));
        CHECK_STR(http_deferred_request(rig->deferred[i])->path, "/defer");
    }
    rig_answer(rig->deferred[0], 200, "x");
    rig_answer(rig->deferred[1], 200, "y");
    http_deferred_resume(rig->deferred[2], on_resume_stream, &r);
    cr_assert(r.is_gone);
    client_free(one);
    client_free(two);
}

Test(http_deferred, pipelined_requests_are_answered_in_order)
{
    struct client *c = client_open(rig, false, NULL);
    client_write_z(c, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(wait_deferred(1));
    rig_answer(rig->deferred[0], 200, "one");
    cr_assert(client_read_until(c, "hello\n"));
    cr_assert(str_find((str) { c->buffer, c->len }, S("one")) > 0);
    client_free(c);
}

static void start_bounded(struct client *c, bool is_http2)
{
    if (is_http2) {
        h2_start(c, 0);
        h2_get(c, 1, "/bounded");
    } else {
        client_write_z(c, "GET /bounded HTTP/1.1\r\nHost: x\r\n\r\n");
    }
}

Test(http_deferred, a_deadline_is_answered_and_what_comes_later_goes_nowhere)
{
    for (int is_http2 = 0; is_http2 < 2; is_http2++) {
        struct client *c = client_open(rig, is_http2, NULL);
        struct frame frame;
        start_bounded(c, is_http2);
        if (is_http2) {
            cr_assert(h2_read_until(c, FRAME_DATA, 1, &frame));
            cr_assert(str_eq((str) { frame.payload, frame.len }, S("overdue")));
        } else {
            cr_assert(client_read_until(c, "\r\n\r\noverdue"));
            CHECK_HAS(str_from(c->buffer), "HTTP/1.1 504 Gateway Timeout");
            CHECK_HAS(str_from(c->buffer), "x-made-by: overdue");
        }
        struct http_deferred *d = rig->deferred[is_http2];
        cr_assert(http_deferred_is_cancelled(d));
        CHECK_STR(http_deferred_request(d)->path, "/bounded");
        struct blob *b = blob_new(S("nobody reads this"));
        answer_with_blobs(d, b);
        cr_assert(BECOMES(atomic_load(&b->refs) == 1));
        (void)blob_unref(b);
        cr_assert(BECOMES(http_server_active_requests(rig->server) == 0));
        /* The connection is as good as before. */
        if (is_http2) {
            h2_get(c, 3, "/hello");
            cr_assert(h2_read_until(c, FRAME_DATA, 3, &frame));
        } else {
            client_write_z(c, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
            cr_assert(client_read_until(c, "hello"));
        }
        client_free(c);
    }
    cr_assert_eq(atomic_load(&rig->overdue), 2);
}

Test(http_deferred, an_answer_in_time_leaves_nothing_to_a_deadline)
{
    struct client *c = client_open(rig, true, NULL);
    struct frame frame;
    rig->bound_ms = 3000;
    start_bounded(c, true);
    cr_assert(wait_deferred(1));
    rig_answer(rig->deferred[0], 200, "in time");
    cr_assert(h2_read_until(c, FRAME_DATA, 1, &frame));
    cr_assert(str_eq((str) { frame.payload, frame.len }, S("in time")));
    /* Another one's deadline passes meanwhile, and this one's with it. */
    h2_get(c, 3, "/bounded");
    cr_assert(h2_read_until(c, FRAME_DATA, 3, &frame));
    cr_assert_eq(atomic_load(&rig->overdue), 1);
    rig_answer(rig->deferred[1], 200, "late");
    client_free(c);
}

Test(http_deferred, a_client_that_leaves_before_the_deadline_needs_no_answer)
{
    struct client *c = client_open(rig, false, NULL), *other = client_open(rig, true, NULL);
    struct frame frame;
    start_bounded(c, false);
    cr_assert(wait_deferred(1));
    client_free(c);
    cr_assert(BECOMES(http_server_connections(rig->server) == 1));
    start_bounded(other, true);
    cr_assert(h2_read_until(other, FRAME_DATA, 1, &frame));
    rig_answer(rig->deferred[0], 200, "late");
    rig_answer(rig->deferred[1], 200, "late");
    client_free(other);
}
