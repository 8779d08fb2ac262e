/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a request of HTTP/1.1, looked at before the library gets it. What the library can't read it refuses in
 * words of its own, straight into the socket, and it takes no more headers than H2O_MAX_HEADERS. So it only sees heads
 * that it can read: in the place of any other it finds a request that http__on_request refuses.
 *
 * The library takes its reader back for each request, and reads the head of the next one, if that has come already,
 * before anybody is asked. Therefore that one is looked at when the handler of the one before is called, and the reader
 * is replaced again at the end of the turn.
 */
#include <h2o.h>
#include <h2o/version.h>

#include "base/limits.h"
#include "internal.h"

_Static_assert(H2O_LIBRARY_VERSION_MAJOR == 0 && H2O_LIBRARY_VERSION_MINOR == 13, "another h2o: look at this again");
_Static_assert(LIMIT_HEADER_COUNT <= H2O_MAX_HEADERS && LIMIT_HEAD_BYTES < H2O_MAX_REQLEN, "the library takes less");
_Static_assert(LIMIT_HEAD_BYTES > LIMIT_PATH_BYTES + LIMIT_QUERY_BYTES + LIMIT_HEADER_BYTES, "these come first");

/* ---- the grammar (RFC 9112; a line may end by LF alone, as everywhere) ----------------------------------------- */

static bool is_token(unsigned char ch)
{
    return (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') ||
           (ch != '\0' && strchr("!#$%&'*+-.^_`|~", ch) != NULL);
}

static enum head_state in_version(struct head *h, unsigned char ch)
{
    static const char version[] = "HTTP/1.";
    size_t at = h->version_at++;
    if (at < sizeof(version) - 1)
        return ch == (unsigned char)version[at] ? HEAD_VERSION : HEAD_BAD;
    if (at == sizeof(version) - 1)
        return ch >= '0' && ch <= '9' ? HEAD_VERSION : HEAD_BAD;
    if (ch == '\n')
        return HEAD_LINE;
    return ch == '\r' ? HEAD_VERSION : HEAD_BAD;
}

static bool is_visible(unsigned char ch)
{
    return ch > ' ' && ch != 0x7f;
}

static enum head_state in_request_line(struct head *h, unsigned char ch, bool was_cr)
{
    switch (h->state) {
    case HEAD_START: /* one empty line may stand before */
        if (ch == '\r' && h->bytes == 0)
            return HEAD_START;
        if (ch == '\n' && h->bytes == was_cr)
            return HEAD_FIRST;
        return is_token(ch) ? HEAD_METHOD : HEAD_BAD;
    case HEAD_FIRST: return is_token(ch) ? HEAD_METHOD : HEAD_BAD;
    case HEAD_METHOD:
        if (ch == ' ')
            return HEAD_SPACE;
        return is_token(ch) ? HEAD_METHOD : HEAD_BAD;
    case HEAD_SPACE: return is_visible(ch) ? HEAD_TARGET : HEAD_BAD;
    default: /* HEAD_TARGET */
        if (ch == ' ')
            return HEAD_VERSION;
        return is_visible(ch) ? HEAD_TARGET : HEAD_BAD;
    }
}

static enum head_state in_fields(struct head *h, unsigned char ch)
{
    switch (h->state) {
    case HEAD_LINE:
        if (ch == '\r')
            return HEAD_LINE;
        if (ch == '\n')
            return HEAD_COMPLETE;
        h->count++;
        return is_token(ch) ? HEAD_NAME : HEAD_BAD; /* nor is a line continued: RFC 9112 §5.2 */
    case HEAD_NAME:
        if (ch == ':')
            return HEAD_VALUE;
        return is_token(ch) ? HEAD_NAME : HEAD_BAD;
    default: /* HEAD_VALUE */
        if (ch == '\n')
            return HEAD_LINE;
        return (ch >= ' ' && ch != 0x7f) || ch == '\t' || ch == '\r' ? HEAD_VALUE : HEAD_BAD;
    }
}

/* A CR stands before an LF only. */
static enum head_state step(struct head *h, unsigned char ch)
{
    bool was_cr = h->is_cr;
    h->is_cr = ch == '\r';
    if (was_cr && ch != '\n')
        return HEAD_BAD;
    if (h->state < HEAD_VERSION)
        return in_request_line(h, ch, was_cr);
    return h->state == HEAD_VERSION ? in_version(h, ch) : in_fields(h, ch);
}

size_t http__head_scan(struct head *h, str bytes)
{
    size_t i = 0;
    while (i < bytes.len && h->state < HEAD_COMPLETE) {
        h->state = step(h, (unsigned char)bytes.ptr[i++]);
        if (++h->bytes == LIMIT_HEAD_BYTES + 1)
            h->is_target_too_long = h->state <= HEAD_TARGET;
    }
    return i;
}

/* ---- the connection ---------------------------------------------------------------------------------------------- */

static void refuse(struct conn *c, int status, str text)
{
    c->refused_status = status;
    c->refused_text = text;
}

static void judge(struct conn *c)
{
    const struct head *h = &c->head;
    if (c->refused_status)
        return;
    if (h->is_target_too_long)
        refuse(c, 414, S("request target too long"));
    else if (h->bytes > LIMIT_HEAD_BYTES || h->count > LIMIT_HEADER_COUNT)
        refuse(c, 431, S("request header fields too large"));
    else if (h->state == HEAD_BAD)
        refuse(c, 400, S("malformed request"));
}

/* Looks at what is new in the input, where the head begins at `begin`. */
static void look(struct conn *c, size_t begin)
{
    const h2o_buffer_t *input = c->socket->input;
    size_t from = begin + c->head_in_input;
    if (from < input->size)
        c->head_in_input += http__head_scan(&c->head, str_of(input->bytes + from, input->size - from));
    judge(c);
}

/* A head that is too large is refused behind its end, since a client that still sends might miss the answer; nothing of
 * it is kept. There is an end to that, too. */
static bool is_decided(const struct conn *c)
{
    return c->head.state >= HEAD_COMPLETE || c->head.bytes > LIMIT_HEAD_DISCARD_BYTES;
}

/* Not shorter than what the library may have seen of the head: it goes on from there. */
static void put_refused(struct conn *c)
{
    static const char begin[] = "GET /", end[] = " HTTP/1.0\r\n\r\n";
    size_t begin_len = sizeof(begin) - 1, end_len = sizeof(end) - 1, before = c->socket->input->size;
    if (before > LIMIT_HEAD_BYTES)
        before = LIMIT_HEAD_BYTES; /* a longer one it has not seen */
    size_t filler = before > begin_len ? before - begin_len : 0;
    (void)h2o_buffer_reserve(&c->socket->input, begin_len + end_len); /* it aborts where there is no memory */
    h2o_buffer_t *input = c->socket->input;
    memcpy(input->bytes, begin, begin_len);
    memset(input->bytes + begin_len, '-', filler);
    memcpy(input->bytes + begin_len + filler, end, end_len);
    input->size = begin_len + filler + end_len;
    c->head.state = HEAD_COMPLETE;
}

/* True when the library may read what is in the input. */
static bool admit(struct conn *c)
{
    h2o_buffer_t *input = c->socket->input;
    look(c, 0);
    if (!c->refused_status)
        return c->head.state == HEAD_COMPLETE; /* if it was before, this is the body */
    if (is_decided(c)) {
        put_refused(c);
        return true;
    }
    if (input->size > LIMIT_HEAD_BYTES)
        input->size = LIMIT_HEAD_BYTES;
    c->head_in_input = input->size;
    return false;
}

static void on_read(h2o_socket_t *socket, const char *err)
{
    struct conn *c = http__conn_of(socket);
    if (!err && h2o_socket_is_writing(socket))
        http__conn_doom(c); /* only an answer that closes the connection leaves its reader on */
    else if (err || admit(c))
        c->library_read(socket, err);
}

void http__head_first(struct conn *c)
{
    if (!admit(c) && c->refused_status) /* the library would read it though it is not decided yet */
        c->socket->input->size = c->head_in_input = 0;
}

/* Where the request ends that is in the input now. */
static size_t end_of(const struct conn *c, const h2o_req_t *h2o)
{
    const h2o_iovec_t *body = &h2o->entity;
    return body->base ? (size_t)(body->base + body->len - c->socket->input->bytes) : c->head.bytes;
}

void http__head_next(struct conn *c, const h2o_req_t *h2o)
{
    size_t end = end_of(c, h2o);
    c->head = (struct head) { .state = HEAD_START };
    c->head_in_input = 0;
    look(c, end);
    if (!c->refused_status)
        return;
    c->socket->input->size = end;
    c->head_in_input = 0;
}

void http__head_again(struct conn *c)
{
    if (list_is_empty(&c->unhooked))
        list_add_tail(&c->loop->unhooked, &c->unhooked);
}

void http__head_begin(struct conn *c)
{
    h2o_socket_t *socket = c->socket;
    if (!socket->_cb.read || socket->_cb.read == on_read)
        return; /* the next request is being worked on, or it is done */
    c->library_read = socket->_cb.read;
    socket->_cb.read = on_read;
}

/* What was refused behind another request comes up only now. */
static bool take_up(struct conn *c)
{
    http__head_begin(c);
    if (!c->socket->_cb.read || !c->refused_status || !is_decided(c))
        return false;
    put_refused(c);
    c->library_read(c->socket, NULL);
    return true;
}

bool http__heads_hook(struct http_loop *loop)
{
    bool is_any = false;
    while (!list_is_empty(&loop->unhooked)) {
        struct conn *c = LIST_ENTRY(loop->unhooked.next, struct conn, unhooked);
        list_remove(&c->unhooked);
        is_any = take_up(c) || is_any;
    }
    return is_any;
}
