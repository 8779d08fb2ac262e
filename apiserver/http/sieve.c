/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What h2o does not get to see of the frames of HTTP/2.
 *
 * Bodies over HTTP/2 that are larger than LIMIT_BODY_BYTES. h2o resets their streams with REFUSED_STREAM, which says
 * "nothing happened, try again": clients send the whole body several times and never learn why. So it never sees such a
 * body: the frame that crosses the limit becomes the last one, the handler is called with body_too_large and answers,
 * and what still arrives for that stream until it has its answer is taken out of the input.
 *
 * Frames of unknown types: h2o ignores them as it should, but prints a line for each on standard error, where nobody
 * bounds it, and whoever can connect may send them.
 */
#include <h2o.h>
#include <h2o/http2.h>
#include <h2o/http2_internal.h>
#include <h2o/version.h>

#include "base/limits.h"
#include "internal.h"

/* It looks into structures that are h2o's own. */
_Static_assert(H2O_LIBRARY_VERSION_MAJOR == 0 && H2O_LIBRARY_VERSION_MINOR == 13, "another h2o: look at this again");

/* A frame that is longer is an error, as is the preface when it is read as one; both are h2o's to judge. */
#define FRAME_MAX 16384
/* h2o allows 100 streams. */
#define STREAMS_MAX 128
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* How much of a body stands in the input; only for streams that may cross the limit within it. */
struct arriving {
    uint32_t stream;
    size_t bytes;
    bool is_cut;
};

struct intake {
    struct conn *conn;
    h2o_http2_conn_t *http2; /* NULL: not begun */
    h2o_buffer_t *input;
    struct arriving arriving[STREAMS_MAX];
    size_t count;
};

enum verdict { FRAME_PASSES, FRAME_IS_LAST, FRAME_IS_DROPPED, FRAME_IS_UNKNOWN };

/* Without a constructor's zeros for all of `arriving`: made for each read. */
static void intake_begin(struct intake *in, struct conn *c, h2o_http2_conn_t *http2)
{
    in->conn = c;
    in->http2 = http2;
    in->input = c->socket->input;
    in->count = 0;
}

/* NULL: more streams than there can be. */
static struct arriving *arriving_of(struct intake *in, uint32_t stream)
{
    size_t i = 0;
    while (i < in->count && in->arriving[i].stream != stream)
        i++;
    if (i == STREAMS_MAX)
        return NULL;
    if (i == in->count)
        in->arriving[in->count++] = (struct arriving) { .stream = stream };
    return &in->arriving[i];
}

static enum verdict judge_data(struct intake *in, uint32_t id, size_t bytes)
{
    if (!in->http2)
        return FRAME_PASSES;
    h2o_http2_stream_t *stream = h2o_http2_conn_get_stream(in->http2, id);
    if (!stream || stream->state < H2O_HTTP2_STREAM_STATE_RECV_BODY)
        return FRAME_PASSES;
    if (stream->state > H2O_HTTP2_STREAM_STATE_RECV_BODY)
        return FRAME_IS_DROPPED;
    size_t before = stream->_req_body ? stream->_req_body->size : 0;
    if (before + in->input->size <= LIMIT_BODY_BYTES)
        return FRAME_PASSES;
    struct arriving *a = arriving_of(in, id);
    if (!a)
        return FRAME_PASSES;
    if (a->is_cut)
        return FRAME_IS_DROPPED;
    a->bytes += bytes;
    if (before + a->bytes <= LIMIT_BODY_BYTES)
        return FRAME_PASSES;
    a->is_cut = true;
    stream->_expected_content_length = SIZE_MAX; /* h2o would miss the rest */
    return FRAME_IS_LAST;
}

/* The sender may send as much again as was dropped; else the connection would run out of window. */
static void give_window_back(struct conn *c, h2o_http2_conn_t *http2, size_t bytes)
{
    if (bytes == 0 || http2->state == H2O_HTTP2_CONN_STATE_IS_CLOSING)
        return;
    c->credited_bytes += bytes; /* it belongs to a request that was seen */
    h2o_http2_encode_window_update_frame(&http2->_write.buf, 0, (int32_t)bytes);
    h2o_http2_conn_request_write(http2);
}

/* Amid a block of headers any other frame is an error, which is h2o's to answer. */
static enum verdict judge(struct intake *in, const uint8_t *frame, size_t length)
{
    struct conn *c = in->conn;
    uint8_t type = frame[3];
    if (type > H2O_HTTP2_FRAME_TYPE_CONTINUATION)
        return c->is_in_headers ? FRAME_PASSES : FRAME_IS_UNKNOWN;
    if (type == H2O_HTTP2_FRAME_TYPE_HEADERS || type == H2O_HTTP2_FRAME_TYPE_CONTINUATION)
        c->is_in_headers = !(frame[4] & H2O_HTTP2_FRAME_FLAG_END_HEADERS);
    if (type != H2O_HTTP2_FRAME_TYPE_DATA)
        return FRAME_PASSES;
    uint32_t id = (uint32_t)frame[5] << 24 | (uint32_t)frame[6] << 16 | (uint32_t)frame[7] << 8 | frame[8];
    return judge_data(in, id & INT32_MAX, length);
}

/* Walks over the frames in the input; dropped ones leave it. The bytes of bodies among these. */
static size_t sieve(struct intake *in)
{
    uint8_t *from = (uint8_t *)in->input->bytes, *to, *end = from + in->input->size;
    size_t dropped = 0;
    if (str_has_prefix(str_of((const char *)from, in->input->size), S(PREFACE)))
        from += sizeof(PREFACE) - 1;
    to = from;
    while ((size_t)(end - from) >= H2O_HTTP2_FRAME_HEADER_SIZE) {
        size_t length = (size_t)from[0] << 16 | (size_t)from[1] << 8 | from[2];
        size_t whole = H2O_HTTP2_FRAME_HEADER_SIZE + length;
        if (length > FRAME_MAX || whole > (size_t)(end - from))
            break; /* the rest of it is awaited; looked at again then */
        enum verdict verdict = judge(in, from, length);
        if (verdict == FRAME_IS_LAST)
            from[4] |= H2O_HTTP2_FRAME_FLAG_END_STREAM;
        if (verdict == FRAME_IS_DROPPED)
            dropped += length;
        if (verdict == FRAME_PASSES || verdict == FRAME_IS_LAST) {
            if (to != from)
                memmove(to, from, whole);
            to += whole;
        }
        from += whole;
    }
    if (to != from) {
        memmove(to, from, (size_t)(end - from));
        in->input->size = (size_t)(to - (uint8_t *)in->input->bytes) + (size_t)(end - from);
    }
    return dropped;
}

static void on_read(h2o_socket_t *socket, const char *err)
{
    struct conn *c = http__conn_of(socket);
    if (!err && socket->input->size > 0) {
        struct intake in;
        intake_begin(&in, c, socket->data);
        give_window_back(c, in.http2, sieve(&in));
    }
    c->library_read(socket, err);
}

void http__sieve_first(struct conn *c)
{
    struct intake in;
    intake_begin(&in, c, NULL);
    if (in.input->size > 0)
        (void)sieve(&in);
}

void http__sieve_begin(struct conn *c)
{
    /* Before the settings reached the client it may send 64 KiB: none of what was read so far was too much. */
    c->library_read = c->socket->_cb.read;
    c->socket->_cb.read = on_read;
}
