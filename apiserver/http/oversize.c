/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies over HTTP/2 that are larger than LIMIT_BODY_BYTES. h2o resets their streams with REFUSED_STREAM, which says
 * "nothing happened, try again": clients send the whole body several times and never learn why. So it never sees such a
 * body: the frame that crosses the limit becomes the last one, the handler is called with body_too_large and answers,
 * and what still arrives for that stream until it has its answer is taken out of the input.
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

/* How much of a body stands in the input; only for streams that may cross the limit within it. */
struct arriving {
    uint32_t stream;
    size_t bytes;
    bool is_cut;
};

struct intake {
    h2o_http2_conn_t *http2;
    h2o_buffer_t *input;
    struct arriving arriving[STREAMS_MAX];
    size_t count;
};

enum verdict { FRAME_PASSES, FRAME_IS_LAST, FRAME_IS_DROPPED };

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

static enum verdict judge(struct intake *in, uint32_t id, size_t bytes)
{
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

/* Walks over the frames in the input; dropped ones leave it. */
static size_t sieve(struct intake *in)
{
    uint8_t *from = (uint8_t *)in->input->bytes, *to = from, *end = from + in->input->size;
    size_t dropped = 0;
    while ((size_t)(end - from) >= H2O_HTTP2_FRAME_HEADER_SIZE) {
        size_t length = (size_t)from[0] << 16 | (size_t)from[1] << 8 | from[2];
        uint32_t id =
            ((uint32_t)from[5] << 24 | (uint32_t)from[6] << 16 | (uint32_t)from[7] << 8 | from[8]) & INT32_MAX;
        size_t whole = H2O_HTTP2_FRAME_HEADER_SIZE + length;
        if (length > FRAME_MAX || whole > (size_t)(end - from))
            break; /* the rest of it is awaited; looked at again then */
        enum verdict verdict = from[3] == H2O_HTTP2_FRAME_TYPE_DATA ? judge(in, id, length) : FRAME_PASSES;
        if (verdict == FRAME_IS_LAST)
            from[4] |= H2O_HTTP2_FRAME_FLAG_END_STREAM;
        if (verdict == FRAME_IS_DROPPED) {
            dropped += length;
        } else {
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
        in.http2 = socket->data;
        in.input = socket->input;
        in.count = 0;
        give_window_back(c, in.http2, sieve(&in));
    }
    c->http2_read(socket, err);
}

void http__oversize_begin(struct conn *c)
{
    /* Before the settings reached the client it may send 64 KiB: none of what was read so far was too much. */
    c->http2_read = c->socket->_cb.read;
    c->socket->_cb.read = on_read;
}
