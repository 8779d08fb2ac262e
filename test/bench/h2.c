/* SPDX-License-Identifier: Apache-2.0 */
/* One epoll loop over connections: TLS bytes in, nghttp2 between, TLS bytes out. */
#include "bench/h2.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/mem.h"
#include "harness/race.h"

enum { CONNS_MAX = 64, READ_BYTES = 16 << 10, WRITE_BYTES = 64 << 10, WINDOW_BYTES = 1 << 30 };

struct h2_conn {
    SSL *ssl;
    nghttp2_session *session;
    uint8_t *out;
    size_t out_len, out_sent;
    bool wants_write;
};

struct h2 {
    struct h2_options options;
    SSL_CTX *ctx;
    int epoll;
    struct h2_conn *conns[CONNS_MAX];
    size_t count;
};

/* ---- nghttp2 ------------------------------------------------------------------------------------------------- */

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t len, uint8_t flags, void *user)
{
    (void)flags, (void)user;
    struct h2_stream *s = stream_of(session, frame->hd.stream_id);
    if (s && name_len == 7 && memcmp(name, ":status", 7) == 0 && len == 3)
        s->status = (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)user;
    struct h2_stream *s = frame->hd.type == NGHTTP2_HEADERS ? stream_of(session, frame->hd.stream_id) : NULL;
    if (s && s->on_head)
        s->on_head(s);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *user)
{
    (void)flags, (void)user;
    struct h2_stream *s = stream_of(session, id);
    s->received += len;
    if (s->status != s->wanted_status)
        (void)fprintf(stderr, "%.*s", (int)len, (const char *)bytes);
    if (s->on_data)
        s->on_data(s, bytes, len);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    (void)user;
    struct h2_stream *s = stream_of(session, id);
    if (error != 0 || s->status != s->wanted_status) {
        (void)fprintf(stderr, "%s %s: status %d, HTTP/2 error %u\n", s->method, s->path, s->status, error);
        exit(1);
    }
    if (s->on_end)
        s->on_end(s);
    return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t max, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
    (void)session, (void)id, (void)user;
    struct h2_stream *s = source->ptr;
    size_t n = s->body_len - s->body_sent;
    if (n > max)
        n = max;
    memcpy(to, s->body + s->body_sent, n);
    s->body_sent += n;
    if (s->body_sent == s->body_len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static nghttp2_session *session_new(struct h2_conn *c)
{
    nghttp2_session *session = NULL;
    nghttp2_session_callbacks *callbacks = NULL;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    CHECK(nghttp2_session_client_new(&session, callbacks, c) == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry window = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES };
    CHECK(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &window, 1) == 0);
    CHECK(nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES) == 0);
    return session;
}

/* ---- TLS ------------------------------------------------------------------------------------------------------- */

static void tls_failed(const char *what)
{
    (void)fprintf(stderr, "bench: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void poll_for(struct h2 *h, struct h2_conn *c, bool wants_write)
{
    if (c->wants_write == wants_write)
        return;
    c->wants_write = wants_write;
    struct epoll_event e = { .events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = c };
    CHECK(epoll_ctl(h->epoll, EPOLL_CTL_MOD, SSL_get_fd(c->ssl), &e) == 0);
}

/* Gathers small frames: one TLS record for many of them. */
static void fill(struct h2_conn *c)
{
    const uint8_t *bytes = NULL;
    c->out_len = c->out_sent = 0;
    while (c->out_len < WRITE_BYTES) {
        ssize_t n = nghttp2_session_mem_send(c->session, &bytes);
        CHECK(n >= 0);
        if (n == 0)
            return;
        memcpy(c->out + c->out_len, bytes, (size_t)n); /* a frame is at most 16 KiB: there is room for one more */
        c->out_len += (size_t)n;
    }
}

static void flush(struct h2 *h, struct h2_conn *c)
{
    for (;;) {
        if (c->out_sent == c->out_len)
            fill(c);
        if (c->out_len == 0)
            break;
        size_t n = 0;
        if (SSL_write_ex(c->ssl, c->out + c->out_sent, c->out_len - c->out_sent, &n) == 1) {
            c->out_sent += n;
            continue;
        }
        if (SSL_get_error(c->ssl, 0) != SSL_ERROR_WANT_WRITE)
            tls_failed("write");
        poll_for(h, c, true);
        return;
    }
    poll_for(h, c, false);
}

static void receive(struct h2_conn *c)
{
    uint8_t buffer[READ_BYTES];
    size_t n = 0;
    while (SSL_read_ex(c->ssl, buffer, sizeof(buffer), &n) == 1)
        CHECK(nghttp2_session_mem_recv(c->session, buffer, n) == (ssize_t)n);
    if (SSL_get_error(c->ssl, 0) != SSL_ERROR_WANT_READ)
        tls_failed("the server closed the connection");
}

/* ---- for users ----------------------------------------------------------------------------------------------------
 */

struct h2 *h2_new(const struct h2_options *options)
{
    static const unsigned char alpn[] = "\x02h2";
    struct h2 *h = mem_new_of(struct h2);
    h->options = *options;
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    h->ctx = SSL_CTX_new(TLS_client_method());
    CHECK(h->epoll >= 0 && h->ctx);
    SSL_CTX_set_mode(h->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_set_min_proto_version(h->ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_alpn_protos(h->ctx, alpn, sizeof(alpn) - 1) != 0 ||
        SSL_CTX_load_verify_file(h->ctx, options->ca) != 1)
        tls_failed(options->ca);
    if (options->certificate && (SSL_CTX_use_certificate_file(h->ctx, options->certificate, SSL_FILETYPE_PEM) != 1 ||
                                 SSL_CTX_use_PrivateKey_file(h->ctx, options->key, SSL_FILETYPE_PEM) != 1))
        tls_failed(options->certificate);
    SSL_CTX_set_verify(h->ctx, SSL_VERIFY_PEER, NULL);
    return h;
}

void h2_free(struct h2 *h)
{
    for (size_t i = 0; i < h->count; i++) {
        struct h2_conn *c = h->conns[i];
        int fd = SSL_get_fd(c->ssl);
        nghttp2_session_del(c->session);
        SSL_free(c->ssl);
        (void)close(fd);
        mem_free(c->out);
        mem_free(c);
    }
    SSL_CTX_free(h->ctx);
    (void)close(h->epoll);
    mem_free(h);
}

static int dial(const struct h2_options *options)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(options->port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    CHECK(fd >= 0 && inet_pton(AF_INET, options->address, &to.sin_addr) == 1);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        perror("bench: connect");
        exit(1);
    }
    return fd;
}

struct h2_conn *h2_connect(struct h2 *h)
{
    CHECK(h->count < CONNS_MAX);
    struct h2_conn *c = h->conns[h->count++] = mem_new_of(struct h2_conn);
    int fd = dial(&h->options);
    c->out = mem_alloc(WRITE_BYTES + READ_BYTES + 1024);
    c->ssl = SSL_new(h->ctx);
    CHECK(c->ssl && SSL_set_fd(c->ssl, fd) == 1 && SSL_set1_host(c->ssl, h->options.address) == 1);
    if (SSL_connect(c->ssl) != 1)
        tls_failed("handshake");
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    c->session = session_new(c);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
    CHECK(epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &e) == 0);
    flush(h, c);
    return c;
}

#define HEADER(n, v)                                                                                                   \
    {                                                                                                                  \
        .name = (uint8_t *)(uintptr_t)(n), .namelen = strlen(n), .value = (uint8_t *)(uintptr_t)(v),                   \
        .valuelen = strlen(v), .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME                                                   \
    }

void h2_send(struct h2_conn *c, struct h2_stream *s)
{
    nghttp2_nv headers[8] = { HEADER(":method", s->method), HEADER(":scheme", "https"), HEADER(":authority", "bench"),
                              HEADER(":path", s->path) };
    size_t n = 4;
    if (s->accept)
        headers[n++] = (nghttp2_nv)HEADER("accept", s->accept);
    if (s->accept_encoding)
        headers[n++] = (nghttp2_nv)HEADER("accept-encoding", s->accept_encoding);
    if (s->content_type)
        headers[n++] = (nghttp2_nv)HEADER("content-type", s->content_type);
    nghttp2_data_provider body = { .source.ptr = s, .read_callback = read_body };
    s->conn = c;
    s->body_sent = s->received = 0;
    s->status = 0;
    s->sent_ns = clock_monotonic_ns();
    CHECK(nghttp2_submit_request(c->session, NULL, headers, n, s->body ? &body : NULL, s) > 0);
}

void h2_run(struct h2 *h, const bool *is_done, int seconds)
{
    int64_t deadline = deadline_in_ms(INT64_C(1000) * seconds);
    struct epoll_event events[CONNS_MAX];
    for (size_t i = 0; i < h->count; i++)
        flush(h, h->conns[i]);
    while (!*is_done) {
        int n = epoll_wait(h->epoll, events, CONNS_MAX, deadline_left_ms(deadline));
        if (deadline_has_passed(deadline)) {
            (void)fprintf(stderr, "bench: not done after %d s\n", seconds);
            exit(1);
        }
        CHECK(n >= 0 || errno == EINTR);
        for (int i = 0; i < n; i++) {
            struct h2_conn *c = events[i].data.ptr;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                receive(c);
            flush(h, c);
        }
    }
}
