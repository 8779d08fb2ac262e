/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared inside the module. What belongs to whom:
 *
 *   http_server  starts and ends the loops; nothing else crosses it
 *   http_loop    one thread, one h2o context, a listener, the connections it accepted; counted, because a deferred
 *                request may be answered after the server was freed
 *   conn         one TCP connection from accept to close; counted, because requests outlive it
 *   request      one request; kept by h2o's memory pool and, while deferred, by whoever took it along
 *   http_stream  inside its request
 *
 * Everything is of its loop's thread, except: the mailbox (mutex), the counters (atomic), what the header of the server
 * says of deferred requests.
 */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include <h2o.h>
#include <openssl/ssl.h>

#include "base/list.h"
#include "http/server.h"

#define HTTP_CA_SETS 4
/* h2o encrypts all it is given at once and blocks the loop meanwhile: larger bodies go in slices. */
#define HTTP_SLICE_BYTES (128u << 10)
#define HTTP_SLICE_BUFFERS 256
#define HTTP_HANDSHAKE_TIMEOUT_MS 10000

struct message {
    struct message *next;
    void (*fn)(void *arg);
    void *arg;
    bool is_owned; /* made by http_loop_post, freed after fn */
};

struct mailbox {
    pthread_mutex_t mutex; /* protects what follows; a leaf, nothing is locked or called under it */
    struct message *first, **last;
    bool is_closed;
    int event_fd;
    h2o_socket_t *socket; /* of event_fd; loop thread */
};

/* The contexts of one configuration. Counted: each connection keeps the one it was accepted with, since h2o holds the
 * bare SSL_CTX until the first bytes of the client arrive. */
struct tls {
    atomic_uint refs;
    SSL_CTX *ctx;
    X509_STORE *stores[HTTP_CA_SETS];
    size_t store_count;
    bool is_required;
};

struct http_loop {
    struct http_server *server; /* not to be followed after the loop ended */
    size_t index;
    atomic_uint refs;
    atomic_size_t active_requests, active_streams, connections;
    atomic_size_t arriving; /* while draining: connections on which a request is still on its way */
    struct mailbox mailbox;

    pthread_t thread;
    h2o_evloop_t *evloop;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    struct tls *tls;
    h2o_socket_t *listener; /* NULL once draining */
    struct http_timer *listener_pause;
    struct list conns;
    struct list unread;   /* HTTP/1.1 requests that are being worked on or streamed: h2o does not read meanwhile */
    struct list inflight; /* requests with bytes on their way to the client, the longest waiting first */
    struct list bounded;  /* deferred requests with a deadline */
    struct list unhooked; /* connections whose reader h2o has set anew */
    struct list lingering;
    size_t lingering_count; /* those that will, too */
    struct list dirty;      /* streams with something to hand over at the end of this turn */
    h2o_timeout_entry_t flush;
    struct request *spare; /* requests to use again */
    size_t spare_count;
    struct http_timer *timers; /* the heap's root */
    struct http_timer *sweep;
    int64_t clock_offset_ms; /* wall clock less monotonic clock, when last looked at */
    char *gathered;          /* HTTP_SLICE_BYTES for what goes to TLS in one piece; made when first used */
    int64_t end_deadline_ns; /* 0: not ending */
    bool is_draining, is_ended;
};

/* In the order in which they come; behind HEAD_COMPLETE nothing is read any more. */
enum head_state {
    HEAD_START,
    HEAD_FIRST,
    HEAD_METHOD,
    HEAD_SPACE,
    HEAD_TARGET,
    HEAD_VERSION,
    HEAD_LINE,
    HEAD_NAME,
    HEAD_VALUE,
    HEAD_COMPLETE,
    HEAD_BAD
};

/* How far the head of a request of HTTP/1.1 was read. */
struct head {
    enum head_state state;
    bool is_cr;
    bool is_target_too_long; /* it reaches beyond LIMIT_HEAD_BYTES; so it is however the bytes arrive */
    size_t version_at;
    size_t bytes;
    size_t count; /* header fields */
};

struct conn {
    struct http_loop *loop;
    struct list node; /* in loop->conns */
    atomic_uint refs;
    h2o_socket_t *socket; /* NULL once closed */
    BIO *in;              /* what the client sends, once the handshake is done */
    struct tls *tls;
    struct arena *arena; /* texts of the peer; NULL without a certificate */
    struct http_peer peer;
    char address[INET6_ADDRSTRLEN];
    unsigned open_requests;    /* as h2o sees them */
    size_t deferred;           /* until they are really finished, not until the client resets them */
    unsigned partial_requests; /* that h2o is still receiving; counted by the sweep */
    uint64_t credited_bytes;   /* received and accounted for */
    uint64_t outstanding_bytes;
    int64_t arriving_since_ns; /* while there are outstanding_bytes */
    int64_t abuse_ns;          /* leaky bucket of resets: when it would be empty */
    int64_t idle_since_ns;     /* its last request was over, or it was opened */
    struct timeval connected_at;
    h2o_timeout_entry_t handshake; /* linked until it is done */
    h2o_socket_cb library_read;    /* h2o's own, which ours calls; set once the protocol has begun */
    /* HTTP/1.1: the head that is arriving, or the next one. */
    struct head head;
    size_t head_in_input; /* so much of it, as far as it was read */
    int refused_status;   /* why it is refused; 0: it is not */
    str refused_text;
    struct list unhooked; /* in loop->unhooked while h2o reads without us */
    int linger_fd;        /* the socket once more, when it will be closed behind a refusal; else -1 */
    bool is_handshaken, is_http2, is_doomed;
    bool is_in_headers; /* the next frame goes on with a block of headers */
};

enum request_state { REQUEST_NEW, REQUEST_DEFERRED, REQUEST_ANSWERED, REQUEST_STREAMING };

struct http_deferred {
    struct message message;
    atomic_bool is_cancelled;
    struct http_response response;
    void (*resume)(void *self, struct http_request *req_or_null);
    void *self;
    struct list bounded; /* in loop->bounded until it is answered */
    int64_t deadline_ns;
    http_overdue_fn overdue;
    void *overdue_self;
};

struct http_stream {
    struct request *request;
    const struct http_stream_ops *ops;
    void *self;
    struct list dirty;
    struct blob **ring; /* capacity is a power of two */
    size_t capacity, head, count;
    size_t backlog_bytes;
    size_t in_flight; /* so many from the head are with h2o */
    bool is_sending;  /* h2o will call proceed */
    bool is_ended, is_error, is_finished, is_closed;
};

#define REQUEST_HEADERS_INLINE 16
#define REQUEST_BUFFERS_INLINE 4

struct request {
    struct http_request pub;
    h2o_generator_t generator;
    h2o_req_t *h2o; /* NULL once the client is gone or has its answer */
    struct conn *conn;
    enum request_state state;
    unsigned refs;
    bool is_overdue; /* deferred, and answered by us meanwhile */
    bool is_orphan;  /* its loop ended: whoever took it along has it alone, and its loop and connection in common */
    struct list inflight;
    struct list unread;
    int64_t progress_ns;
    /* The body of an answer: what is still to be sent, and the references behind it. */
    h2o_iovec_t *buffers;
    size_t buffer_count, buffer_next;
    size_t body_bytes;
    struct blob **blobs;
    size_t blob_count;
    struct http_stream *stream;
    struct request *next_spare;
    struct http_deferred deferred;
    h2o_iovec_t buffers_inline[REQUEST_BUFFERS_INLINE];
    struct blob *blobs_inline[REQUEST_BUFFERS_INLINE];
    struct http_header headers_inline[REQUEST_HEADERS_INLINE];
};

struct handler {
    h2o_handler_t super;
    struct http_server *server;
};

struct http_server {
    struct http_server_options options;
    h2o_globalconf_t config;
    struct http_loop **loops;
    size_t loop_count;
    size_t started; /* loops with a thread */
    uint16_t port;
    atomic_size_t connections;
};

/* loop.c */
struct http_loop *http__loop_new(struct http_server *server, size_t index);
void *http__loop_main(void *loop);
bool http__post(struct http_loop *loop, struct message *message);
void http__loop_unref(struct http_loop *loop);
void http__loop_drain(void *loop);
void http__loop_end(void *loop);

/* timer.c */
/* Runs what is due; true when anything ran. */
bool http__timers_run(struct http_loop *loop);
/* Milliseconds until the next one, INT32_MAX without one. */
int32_t http__timers_wait_ms(const struct http_loop *loop);
void http__timers_free(struct http_loop *loop);

/* listener.c */
int http__listen(const struct http_server_options *options, uint16_t port, int *ret_fd, struct error *err) MUST_USE;
uint16_t http__listen_port(int fd);
void http__listener_start(struct http_loop *loop, int fd);
void http__listener_close(struct http_loop *loop);

/* conn.c */
void http__conn_open(struct http_loop *loop, h2o_socket_t *socket);
struct conn *http__conn_ref(struct conn *c);
void http__conn_unref(struct conn *c);
/* The server is full: cuts connections on which nothing happens, or too slowly, the oldest first. */
void http__conn_shed(struct http_loop *loop);
/* Cuts the connection; h2o notices and disposes of it. */
void http__conn_doom(struct conn *c);
/* True when the peer closed or reset it, though nobody reads from it. */
bool http__conn_is_gone(const struct conn *c);
/* One more request that the client gave up before it was answered. */
void http__conn_count_reset(struct conn *c);
static inline struct conn *http__conn_of(h2o_socket_t *socket)
{
    return socket->on_close.data;
}

/* handshake.c */
void http__handshake_begin(struct conn *c);
/* Whatever became of it. */
void http__handshake_end(struct conn *c);

/* head.c */
/* Reads on until the head ends, is bad, or there is no more; the bytes it took. */
size_t http__head_scan(struct head *h, str bytes);
/* What came with the handshake, before h2o gets it. */
void http__head_first(struct conn *c);
/* This request was read: what of the next one has come with it. */
void http__head_next(struct conn *c, const h2o_req_t *h2o);
/* h2o reads with its own reader: from here on, or since the begin of the next request, soon. */
void http__head_begin(struct conn *c);
void http__head_again(struct conn *c);
/* At the end of a turn; true when another one must follow at once. */
bool http__heads_hook(struct http_loop *loop);

/* linger.c */
/* The connection will be closed while its client may still send. */
void http__linger_prepare(struct conn *c);
/* It is closed. */
void http__linger_begin(struct conn *c);
void http__linger_end_all(struct http_loop *loop);

/* sieve.c */
/* What came with the handshake, before h2o gets it: http2 is not there yet. */
void http__sieve_first(struct conn *c);
/* The connection speaks HTTP/2 from now on. */
void http__sieve_begin(struct conn *c);

/* tls.c */
struct tls *http__tls_new(const struct http_tls_config *config, struct error *err) MUST_USE;
struct tls *http__tls_ref(struct tls *t);
void http__tls_unref(struct tls *t);

/* peer.c */
/* SSL_CTX_set_cert_verify_callback; arg is the struct tls. */
int http__peer_verify(X509_STORE_CTX *presented, void *arg);

/* request.c */
int http__on_request(h2o_handler_t *handler, h2o_req_t *h2o);
void http__request_unref(struct request *r);
/* The handler has returned, on the loop. */
void http__request_handled(struct request *r);
/* The client is gone or has to go: ends the request whatever its state. */
void http__request_abandon(struct request *r);
/* Bytes were handed to h2o: from now on progress is expected. */
void http__request_watch_progress(struct request *r, int64_t now_ns);
void http__request_watch_disconnect(struct request *r);
static inline struct request *http__request_of(struct http_request *req)
{
    return CONTAINER_OF(req, struct request, pub);
}

/* sweep.c */
/* While there are connections. */
/* Once, now. */
void http__sweep(struct http_loop *loop);
void http__sweep_start(struct http_loop *loop);
int64_t http__clock_offset_ms(const struct http_loop *loop);

/* response.c */
/* Status, headers and reason into h2o's response. */
void http__response_head(struct request *r, const struct http_response *res);
void http__response_send(struct request *r, const struct http_response *res);
/* Over HTTP/1.1 each buffer becomes a TLS record of its own, at 10 us: puts small ones together, into memory of the
 * loop, which is enough because TLS encrypts at once. */
void http__gather(struct request *r, h2o_iovec_t *buffers, size_t *count);
/* Drops the references that a response brought along. */
void http__response_drop(const struct http_response *res);

/* refuse.c */
/* A short answer of our own; the text is static. */
void http__response_refuse(struct request *r, int status, str text);
/* HTTP/1.1: where the next request begins nobody knows. */
void http__refuse_and_close(struct request *r, int status, str text);
/* What the library refuses before it knows the path is worded by us as well. */
void http__refuse_for_library(struct http_server *s, h2o_pathconf_t *path);

/* deferred.c */
void http__deferred_cancel(struct request *r);
/* Answers those whose deadline has passed. */
void http__deferred_end_overdue(struct http_loop *loop);

/* stream.c */
void http__stream_flush_all(struct http_loop *loop);
/* h2o's request goes away. */
void http__stream_gone(struct request *r);
void http__stream_free(struct http_stream *s);
/* Ends it with an error because the client is gone. */
void http__stream_abandon(struct request *r);

#endif
