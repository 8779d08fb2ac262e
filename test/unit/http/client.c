/* SPDX-License-Identifier: Apache-2.0 */
/* The clients of the rig. */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/pem.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "rig.h"

/* ---- libcurl ------------------------------------------------------------------------------------------------- */

static size_t collect(char *data, size_t size, size_t n, void *into)
{
    strbuf_add(into, (str) { data, size * n });
    return size * n;
}

static struct curl_blob pem(str s)
{
    return (struct curl_blob) { .data = (void *)(uintptr_t)s.ptr, .len = s.len, .flags = CURL_BLOB_COPY };
}

static void set_certificates(CURL *curl, const struct rig *rig, const struct pki_pair *certificate)
{
    struct curl_blob ca = pem(rig->ca.certificate_pem);
    curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &ca);
    if (!certificate)
        return;
    struct curl_blob leaf = pem(certificate->certificate_pem), key = pem(certificate->private_key_pem);
    curl_easy_setopt(curl, CURLOPT_SSLCERT_BLOB, &leaf);
    curl_easy_setopt(curl, CURLOPT_SSLKEY_BLOB, &key);
}

static void set_request(CURL *curl, const struct rig *rig, const struct rig_call *call)
{
    str url = arena_printf(rig->arena, "https://127.0.0.1:%u%s", rig->port, call->path);
    curl_easy_setopt(curl, CURLOPT_URL, url.ptr);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)PATIENCE_MS);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, call->is_http1 ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS);
    if (call->is_tls12)
        curl_easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2);
    if (call->method && strcmp(call->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (call->method)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    if (call->body.ptr) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.ptr);
    }
}

struct rig_answer rig_call(struct rig *rig, const struct rig_call *call)
{
    struct rig_answer a = { 0 };
    STRBUF_AUTO body = STRBUF_INIT(256u << 20);
    STRBUF_AUTO headers = STRBUF_INIT(1u << 20);
    CURL *curl = curl_easy_init();
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    if (call->header)
        list = curl_slist_append(list, call->header);
    set_request(curl, rig, call);
    set_certificates(curl, rig, call->certificate);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &headers);
    a.curl_code = (int)curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &a.status);
    curl_easy_getinfo(curl, CURLINFO_HTTP_VERSION, &a.http_version);
    curl_easy_cleanup(curl);
    curl_slist_free_all(list);
    a.body = strbuf_to_arena(&body, rig->arena);
    a.headers = strbuf_to_arena(&headers, rig->arena);
    return a;
}

struct rig_answer rig_get(struct rig *rig, const char *path, bool is_http1)
{
    return rig_call(rig, &(struct rig_call) { .path = path, .is_http1 = is_http1 });
}

/* ---- bare TLS ------------------------------------------------------------------------------------------------ */

int rig_tcp(const struct rig *rig)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(rig->port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void use_pair(SSL_CTX *ctx, const struct pki_pair *pair)
{
    BIO *leaf_bio = BIO_new_mem_buf(pair->certificate_pem.ptr, (int)pair->certificate_pem.len);
    BIO *key_bio = BIO_new_mem_buf(pair->private_key_pem.ptr, (int)pair->private_key_pem.len);
    X509 *leaf = PEM_read_bio_X509(leaf_bio, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
    if (SSL_CTX_use_certificate(ctx, leaf) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1)
        abort();
    X509_free(leaf);
    EVP_PKEY_free(key);
    BIO_free(leaf_bio);
    BIO_free(key_bio);
}

struct client *client_open(const struct rig *rig, bool is_http2, const struct pki_pair *certificate)
{
    struct client *c = calloc(1, sizeof(*c));
    c->fd = rig_tcp(rig);
    c->ctx = SSL_CTX_new(TLS_client_method());
    if (certificate)
        use_pair(c->ctx, certificate);
    c->ssl = SSL_new(c->ctx);
    if (is_http2)
        (void)SSL_set_alpn_protos(c->ssl, (const unsigned char *)"\2h2", 3);
    SSL_set_fd(c->ssl, c->fd);
    if (c->fd < 0 || SSL_connect(c->ssl) != 1) {
        client_free(c);
        return NULL;
    }
    return c;
}

/* What the client has to say so far, in one piece. */
static bool send_all(const struct client *c)
{
    char *data;
    long len = BIO_get_mem_data(SSL_get_wbio(c->ssl), &data);
    for (long sent = 0, n; sent < len; sent += n)
        if ((n = send(c->fd, data + sent, (size_t)(len - sent), 0)) <= 0)
            return false;
    return BIO_reset(SSL_get_wbio(c->ssl)) == 1;
}

/* Over buffers in memory, since the library would send its Finished at once. */
static bool handshake_unsent(struct client *c)
{
    char flight[4096];
    SSL_set_bio(c->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    while (SSL_connect(c->ssl) != 1) {
        if (!send_all(c))
            return false;
        ssize_t n = recv(c->fd, flight, sizeof(flight), 0);
        if (n <= 0 || BIO_write(SSL_get_rbio(c->ssl), flight, (int)n) != (int)n)
            return false;
    }
    return SSL_version(c->ssl) == TLS1_3_VERSION; /* before, the server has the last word */
}

struct client *client_open_with(const struct rig *rig, const void *data, size_t len)
{
    struct client *c = calloc(1, sizeof(*c));
    c->fd = rig_tcp(rig);
    c->ctx = SSL_CTX_new(TLS_client_method());
    c->ssl = SSL_new(c->ctx);
    if (c->fd < 0 || !handshake_unsent(c))
        abort();
    client_write(c, data, len);
    if (!send_all(c))
        abort();
    SSL_set_fd(c->ssl, c->fd);
    return c;
}

void client_free(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

void client_write(struct client *c, const void *data, size_t len)
{
    /* A server that has hung up is what some tests wait for. */
    (void)SSL_write(c->ssl, data, (int)len);
}

void client_write_z(struct client *c, const char *text)
{
    client_write(c, text, strlen(text));
}

bool client_read_until(struct client *c, const char *text)
{
    c->start = c->len = 0;
    while (c->len < sizeof(c->buffer) - 1) {
        int n = SSL_read(c->ssl, c->buffer + c->len, (int)(sizeof(c->buffer) - 1 - c->len));
        if (n <= 0)
            return false;
        c->len += (size_t)n;
        c->buffer[c->len] = '\0';
        if (str_find((str) { c->buffer, c->len }, str_from(text)) >= 0)
            return true;
    }
    return false;
}

bool client_sees_close(struct client *c, int ms)
{
    int64_t deadline = deadline_in_ms(ms);
    char scratch[4096];
    while (!deadline_has_passed(deadline)) {
        struct pollfd p = { .fd = c->fd, .events = POLLIN };
        if (poll(&p, 1, deadline_left_ms(deadline)) == 1 && read(c->fd, scratch, sizeof(scratch)) <= 0)
            return true;
    }
    return false;
}

/* ---- HTTP/2 frames ------------------------------------------------------------------------------------------- */

static void put32(unsigned char *out, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        out[i] = (unsigned char)(v >> (24 - 8 * i));
}

void h2_frame(struct client *c, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len)
{
    unsigned char *frame = malloc(9 + len);
    put32(frame, (uint32_t)len << 8 | type);
    frame[4] = flags;
    put32(frame + 5, stream);
    if (len)
        memcpy(frame + 9, payload, len);
    client_write(c, frame, 9 + len);
    free(frame);
}

void h2_start(struct client *c, uint32_t window)
{
    unsigned char setting[6] = { 0, 4 };
    put32(setting + 2, window);
    client_write_z(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    h2_frame(c, FRAME_SETTINGS, 0, 0, setting, window ? sizeof(setting) : 0);
}

/* RFC 7541 6.2.2: a literal without indexing, its name in the static table. */
static size_t literal(char *out, char name, const char *value)
{
    size_t len = strlen(value);
    out[0] = name;
    if (len < 127) {
        out[1] = (char)len;
        memcpy(out + 2, value, len);
        return len + 2;
    }
    size_t rest = len - 127, n = 2;
    out[1] = 127;
    for (; rest >= 128; rest /= 128)
        out[n++] = (char)(rest % 128 | 128);
    out[n++] = (char)rest;
    memcpy(out + n, value, len);
    return n + len;
}

size_t h2_block(char *out, size_t size, const char *method, const char *path)
{
    if (size < strlen(path) + 64)
        abort();
    size_t n = literal(out, 2, method);
    n += literal(out + n, 4, path);
    out[n++] = (char)0x87; /* :scheme https */
    return n + literal(out + n, 1, "localhost");
}

size_t h2_header(char *out, const char *name, size_t value_len)
{
    char *value = malloc(value_len + 1);
    memset(value, 'v', value_len);
    value[value_len] = '\0';
    out[0] = 0;
    out[1] = (char)strlen(name);
    memcpy(out + 2, name, strlen(name));
    size_t n = 2 + strlen(name);
    char first = out[n - 1];
    n += literal(out + n - 1, first, value) - 1; /* its first byte is the last of the name */
    free(value);
    return n;
}

void h2_get(struct client *c, uint32_t stream, const char *path)
{
    char block[512];
    size_t len = h2_block(block, sizeof(block), "GET", path);
    h2_frame(c, FRAME_HEADERS, FLAG_END_STREAM | FLAG_END_HEADERS, stream, block, len);
}

void h2_reset(struct client *c, uint32_t stream)
{
    h2_frame(c, FRAME_RST, 0, stream, "\0\0\0\10", 4);
}

/* So many bytes from start on. */
static bool fill(struct client *c, size_t wanted)
{
    if (c->start + wanted > sizeof(c->buffer)) {
        memmove(c->buffer, c->buffer + c->start, c->len - c->start);
        c->len -= c->start;
        c->start = 0;
    }
    while (c->len - c->start < wanted) {
        int n = SSL_read(c->ssl, c->buffer + c->len, (int)(sizeof(c->buffer) - c->len));
        if (n <= 0)
            return false;
        c->len += (size_t)n;
    }
    return true;
}

bool h2_read(struct client *c, struct frame *ret)
{
    for (;;) {
        if (c->start == c->len)
            c->start = c->len = 0;
        if (!fill(c, 9))
            return false;
        const unsigned char *h = (const unsigned char *)c->buffer + c->start;
        *ret = (struct frame) { .len = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2], .type = h[3], .flags = h[4] };
        ret->stream = (uint32_t)h[5] << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8];
        if (ret->len > sizeof(c->buffer) - 9 || !fill(c, 9 + ret->len))
            return false;
        ret->payload = c->buffer + c->start + 9;
        c->start += 9 + ret->len;
        if (ret->type != FRAME_SETTINGS && ret->type != FRAME_PING && ret->type != FRAME_WINDOW_UPDATE)
            return true;
    }
}

bool h2_has_more(const struct client *c)
{
    return c->start < c->len;
}

bool h2_read_until(struct client *c, uint8_t type, uint32_t stream, struct frame *ret)
{
    while (h2_read(c, ret))
        if (ret->type == type && (stream == 0 || ret->stream == stream))
            return true;
    return false;
}
