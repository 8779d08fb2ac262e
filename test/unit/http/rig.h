/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server on a free port of the loopback with a CA of its own, and three clients for it: libcurl, TLS with bare bytes,
 * and hand-made HTTP/2 frames for what no well-behaved client does.
 */
#ifndef HTTP_RIG_H
#define HTTP_RIG_H

#include <openssl/ssl.h>

#include "harness/check.h"
#include "harness/wait.h"
#include "http/server.h"
#include "pki/pki.h"

#define RIG_KEPT_MAX 4096

/* What the handler does is said by the path:
 *   /hello    "hello\n"
 *   /echo     method, target, path, query, length of the body and whether it was too large, one a line
 *   /peer     mask, common name, organizations, has_certificate
 *   /blobs    options.blobs, each by reference
 *   /empty    204
 *   /bytes    options.body
 *   /defer    kept in rig.deferred
 *   /bounded  the same with a deadline of rig.bound_ms (0: 100 ms), and an answer 504 with `overdue`
 *   /stream   kept in rig.streams
 */
struct rig_stream {
    struct rig *rig;
    struct http_stream *stream;
    atomic_int drained, closed;
};

struct rig {
    struct arena *arena;
    struct pki_pair ca, other_ca, serving, client, stranger;
    struct http_server *server;
    uint16_t port;
    str body;
    struct blob **blobs;
    size_t blob_count;
    atomic_int handled, overdue, bound_ms;
    atomic_size_t deferred_count, stream_count;
    struct http_deferred *deferred[RIG_KEPT_MAX];
    struct rig_stream streams[RIG_KEPT_MAX];
};

struct rig *rig_new(void);
/* Fills in handler, address and TLS (where the options have none) and starts. */
void rig_start(struct rig *rig, struct http_server_options options);
void rig_free(struct rig *rig);
struct http_tls_config rig_tls(const struct rig *rig);
struct pki_pair rig_issue(struct rig *rig, const struct pki_pair *ca, const char *name, bool is_server);

/* Runs fn on the first loop and waits until it ran. */
void rig_on_loop(struct rig *rig, void (*fn)(void *arg), void *arg);
/* Sends text on the stream (on its loop, waits until it is queued). */
void rig_send(struct rig_stream *s, const char *text);
void rig_end(struct rig_stream *s, bool is_error);
void rig_answer(struct http_deferred *d, int status, const char *body);

/* ---- libcurl ------------------------------------------------------------------------------------------------ */

struct rig_call {
    const char *path, *method; /* method NULL: GET */
    bool is_http1;
    str body; /* sent with POST */
    const struct pki_pair *certificate;
    const char *header;
    bool is_tls12;
};

struct rig_answer {
    int curl_code;
    long status;
    long http_version; /* CURL_HTTP_VERSION_1_1 or _2_0 */
    str body, headers; /* in the rig's arena */
};

struct rig_answer rig_call(struct rig *rig, const struct rig_call *call);
struct rig_answer rig_get(struct rig *rig, const char *path, bool is_http1);

/* ---- bare TLS ----------------------------------------------------------------------------------------------- */

struct client {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
    char buffer[1 << 16];
    size_t start, len; /* frames: what was read and not yet taken */
};

int rig_tcp(const struct rig *rig);
/* Reads give up after PATIENCE_MS. NULL when the handshake fails. */
struct client *client_open(const struct rig *rig, bool is_http2, const struct pki_pair *certificate);
/* HTTP/1.1, and the data leave together with the last bytes of the handshake. */
struct client *client_open_with(const struct rig *rig, const void *data, size_t len);
void client_write(struct client *c, const void *data, size_t len);
void client_write_z(struct client *c, const char *text);
/* Reads until the text was seen (true), or the end or the deadline (false). What was read is in buffer, cleared before.
 */
bool client_read_until(struct client *c, const char *text);
/* True when the other side closes within so many milliseconds; throws away what comes meanwhile. */
bool client_sees_close(struct client *c, int ms);
void client_free(struct client *c);

/* ---- HTTP/2 frames ------------------------------------------------------------------------------------------ */

enum { FRAME_DATA, FRAME_HEADERS, FRAME_PRIORITY, FRAME_RST, FRAME_SETTINGS, FRAME_PUSH, FRAME_PING, FRAME_GOAWAY };
enum { FRAME_WINDOW_UPDATE = 8, FRAME_CONTINUATION };
enum { FLAG_END_STREAM = 1, FLAG_ACK = 1, FLAG_END_HEADERS = 4 };

struct frame {
    size_t len;
    uint8_t type, flags;
    uint32_t stream;
    const char *payload; /* until the next frame is read */
};

/* Preface and SETTINGS with that initial window (0: the default of 65535). */
void h2_start(struct client *c, uint32_t window);
void h2_frame(struct client *c, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len);
/* The header block of a request, uncompressed. */
size_t h2_block(char *out, size_t size, const char *method, const char *path);
/* One more header for it, its value so many `v`. */
size_t h2_header(char *out, const char *name, size_t value_len);
void h2_get(struct client *c, uint32_t stream, const char *path);
void h2_reset(struct client *c, uint32_t stream);
/* The next frame that is not SETTINGS, PING or WINDOW_UPDATE; false at the end or after PATIENCE_MS. */
bool h2_read(struct client *c, struct frame *ret);
/* True when the begin of another frame was read already. */
bool h2_has_more(const struct client *c);
/* Reads on until a frame of that type of that stream (0: any) comes. */
bool h2_read_until(struct client *c, uint8_t type, uint32_t stream, struct frame *ret);

#endif
