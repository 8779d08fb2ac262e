/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP as a client: one thread, one curl_multi, the only user of libcurl. Owns connections, deadlines and the way of
 * bytes into answers or lines; knows no Kubernetes.
 *
 * A transfer is made by its caller, handed to the thread through the list `incoming`, and from then on touched by the
 * thread alone until it is `done`. Only the thread calls into curl_multi, but for curl_multi_wakeup. The mutex protects
 * the lists, the flags and nothing of curl; it is never held while a callback runs.
 */
#include "kube/http_client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/thread.h"

#define DEFAULT_CONNECT_TIMEOUT_MS 2000
#define DEFAULT_RESPONSE_BYTES (4u << 20)
/* A peer that acknowledges nothing for this long is gone: the connection must not swallow later calls. */
#define TCP_USER_TIMEOUT_MS 5000
#define ERROR_BODY_MAX 200
#define POLL_MAX_MS 1000

struct http_client {
    atomic_uint refs;
    CURLM *multi;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* a transfer is done */
    struct list incoming;   /* to be added */
    struct list running;    /* thread only */
    bool stopping;
};

struct transfer {
    struct list link;
    struct http_client *client;
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    struct strbuf body; /* a call's whole answer; a stream's unfinished line */
    struct error error;
    int code;
    char curl_text[CURL_ERROR_SIZE];
    bool is_cancelled; /* under the mutex: the thread removes it soon */
    bool is_done;      /* under the mutex: the thread is through with it */
    int64_t last_byte_ns, idle_timeout_ns;
    struct http_client_stream_ops ops; /* streams: on_line is set */
    void *self;
};

struct http_client_stream {
    struct transfer transfer;
};

/* ---- making a transfer (caller's thread) --------------------------------------------------------------------- */

static int on_socket(void *self, curl_socket_t fd, curlsocktype purpose)
{
    (void)self;
    (void)purpose;
    unsigned timeout = TCP_USER_TIMEOUT_MS;
    /* Best effort: without it a dead peer is noticed by each call's own deadline. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
    return CURL_SOCKOPT_OK;
}

static bool is_ok_code(struct transfer *t)
{
    long code = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &code);
    t->code = (int)code;
    return code >= 200 && code < 300;
}

/* Gives out every whole line that stands in t->body after `data`. False when a line is longer than allowed. */
static bool give_lines(struct transfer *t, str data)
{
    ptrdiff_t end;
    while ((end = str_index(data, '\n')) >= 0) {
        str line = str_first(data, (size_t)end);
        if (t->body.len > 0) {
            strbuf_add(&t->body, line);
            line = strbuf_str(&t->body);
        }
        if (t->body.is_full)
            return false;
        if (line.len > 0)
            t->ops.on_line(t->self, line);
        strbuf_reset(&t->body);
        data = str_from_offset(data, (size_t)end + 1);
    }
    strbuf_add(&t->body, data);
    return !t->body.is_full;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *self)
{
    struct transfer *t = self;
    str data = str_of(bytes, size * count);
    t->last_byte_ns = clock_monotonic_ns();
    bool fits;
    if (t->ops.on_line && is_ok_code(t)) {
        fits = give_lines(t, data);
    } else {
        strbuf_add(&t->body, data);
        fits = !t->body.is_full;
    }
    return fits ? data.len : 0;
}

static CURLcode set_blob(CURL *easy, CURLoption option, str data)
{
    struct curl_blob blob = { .data = (void *)(uintptr_t)data.ptr, .len = data.len, .flags = CURL_BLOB_COPY };
    return curl_easy_setopt(easy, option, &blob);
}

static CURLcode set_tls(struct transfer *t, const struct http_client_tls *tls)
{
    CURLcode r = CURLE_OK;
    if (tls->ca_pem.len > 0)
        r = set_blob(t->easy, CURLOPT_CAINFO_BLOB, tls->ca_pem);
    if (r == CURLE_OK && tls->certificate_pem.len > 0)
        r = set_blob(t->easy, CURLOPT_SSLCERT_BLOB, tls->certificate_pem);
    if (r == CURLE_OK && tls->private_key_pem.len > 0)
        r = set_blob(t->easy, CURLOPT_SSLKEY_BLOB, tls->private_key_pem);
    if (r == CURLE_OK)
        r = curl_easy_setopt(t->easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    return r;
}

/*
 * The URL as given, or, to verify another name than the host in it, a URL with that name which connects to the host
 * all the same.
 */
static CURLcode set_url(struct transfer *t, const char *url, str server_name)
{
    if (server_name.len == 0)
        return curl_easy_setopt(t->easy, CURLOPT_URL, url);
    char *host = NULL, *port = NULL, *renamed = NULL;
    char name[256], target[512];
    (void)snprintf(name, sizeof(name), "%.*s", STR_ARG(server_name));
    CURLU *u = curl_url();
    CURLcode r = CURLE_URL_MALFORMAT;
    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_HOST, name, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_URL, &renamed, 0) == CURLUE_OK) {
        (void)snprintf(target, sizeof(target), "::%s:%s", host, port);
        t->connect_to = curl_slist_append(NULL, target);
        r = curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to);
        if (r == CURLE_OK)
            r = curl_easy_setopt(t->easy, CURLOPT_URL, renamed);
    }
    curl_free(host);
    curl_free(port);
    curl_free(renamed);
    curl_url_cleanup(u);
    return r;
}

/* Values of one kind each, so that a table can set them. */
static CURLcode set_numbers(CURL *easy, const struct http_client_request *q)
{
    long connect_ms = q->connect_timeout_ms > 0 ? (long)q->connect_timeout_ms : DEFAULT_CONNECT_TIMEOUT_MS;
    const struct {
        CURLoption option;
        long value;
    } numbers[] = {
        { CURLOPT_NOSIGNAL, 1 },       { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS },
        { CURLOPT_PIPEWAIT, 1 },       { CURLOPT_TCP_KEEPALIVE, 1 },
        { CURLOPT_TCP_NODELAY, 1 },    { CURLOPT_CONNECTTIMEOUT_MS, connect_ms },
        { CURLOPT_FOLLOWLOCATION, 0 }, { CURLOPT_NETRC, CURL_NETRC_IGNORED },
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        CURLcode r = curl_easy_setopt(easy, numbers[i].option, numbers[i].value);
        if (r != CURLE_OK)
            return r;
    }
    /* A proxy of the environment must not stand between a leader and its agents. */
    return curl_easy_setopt(easy, CURLOPT_PROXY, "");
}

static CURLcode set_body(struct transfer *t, const struct http_client_request *q)
{
    CURLcode r = curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, q->method);
    if (r == CURLE_OK && strcmp(q->method, "HEAD") == 0)
        r = curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    if (r == CURLE_OK && (q->body.len > 0 || strcmp(q->method, "POST") == 0)) {
        r = curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.len);
        if (r == CURLE_OK)
            r = curl_easy_setopt(t->easy, CURLOPT_COPYPOSTFIELDS, q->body.ptr ? q->body.ptr : "");
    }
    char type[256];
    (void)snprintf(type, sizeof(type), "Content-Type: %.*s", STR_ARG(q->content_type));
    t->headers = curl_slist_append(t->headers, q->content_type.len > 0 ? type : "Content-Type:");
    t->headers = curl_slist_append(t->headers, "Expect:");
    return r == CURLE_OK ? curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers) : r;
}

static CURLcode set_callbacks(struct transfer *t)
{
    CURLcode r = curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    if (r == CURLE_OK)
        r = curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    if (r == CURLE_OK)
        r = curl_easy_setopt(t->easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
    if (r == CURLE_OK)
        r = curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->curl_text);
    if (r == CURLE_OK)
        r = curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    return r;
}

static void transfer_release(struct transfer *t)
{
    if (t->easy)
        curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->connect_to);
    strbuf_release(&t->body);
}

static int transfer_init(struct transfer *t, struct http_client *c, const struct http_client_request *q,
                         struct error *err)
{
    list_init(&t->link);
    t->client = c;
    strbuf_init(&t->body, q->max_response_bytes > 0 ? q->max_response_bytes : DEFAULT_RESPONSE_BYTES);
    t->easy = curl_easy_init();
    if (!t->easy)
        return error_set(err, ERRC_INTERNAL, "no curl handle");
    CLEANUP(arena_freep) struct arena *a = arena_new();
    CURLcode r = set_numbers(t->easy, q);
    if (r == CURLE_OK)
        r = set_callbacks(t);
    if (r == CURLE_OK)
        r = set_body(t, q);
    if (r == CURLE_OK && q->tls)
        r = set_tls(t, q->tls);
    if (r == CURLE_OK)
        r = set_url(t, arena_z(a, q->url), q->tls ? q->tls->server_name : S(""));
    if (r != CURLE_OK)
        return error_set(err, ERRC_INVALID, "request to \"%.*s\": %s", STR_ARG(q->url), curl_easy_strerror(r));
    return 0;
}

/* ---- the thread ---------------------------------------------------------------------------------------------- */

static enum err code_of(CURLcode r)
{
    switch (r) {
    case CURLE_OPERATION_TIMEDOUT: return ERRC_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_USE_SSL_FAILED: return ERRC_DENIED;
    case CURLE_WRITE_ERROR: return ERRC_TOO_LARGE; /* on_bytes refuses for no other reason */
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return ERRC_INVALID;
    default: return ERRC_UNAVAILABLE;
    }
}

static void client_unref(struct http_client *c)
{
    if (atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    (void)pthread_mutex_destroy(&c->mutex);
    (void)pthread_cond_destroy(&c->changed);
    mem_free(c);
}

/* Takes it out of curl, tells a stream's owner, and lets the waiting thread go on: nothing touches t afterwards. */
static void finish(struct transfer *t)
{
    struct http_client *c = t->client;
    (void)is_ok_code(t);
    (void)curl_multi_remove_handle(c->multi, t->easy);
    list_remove(&t->link);
    if (t->ops.on_end)
        t->ops.on_end(t->self, t->code, t->error.code != ERRC_OK ? &t->error : NULL);
    pthread_mutex_lock(&c->mutex);
    t->is_done = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
}

static void finish_with(struct transfer *t, enum err code, const char *text)
{
    (void)error_set(&t->error, code, "%s", text);
    finish(t);
}

/* "Failed to connect to x port 1 after 12 ms: Connection refused" without the time: the same failure has the same text,
 * so that a status which quotes it does not change with each try. */
static void drop_time(char *text)
{
    char *from = strstr(text, " after "), *to = from;
    if (!from)
        return;
    to += strlen(" after ");
    size_t digits = strspn(to, "0123456789");
    to += digits;
    if (digits > 0 && strncmp(to, " milliseconds", 13) == 0)
        to += 13;
    else if (digits > 0 && strncmp(to, " ms", 3) == 0)
        to += 3;
    else
        return;
    memmove(from, to, strlen(to) + 1);
}

static void on_completed(struct transfer *t, CURLcode r)
{
    drop_time(t->curl_text);
    if (r != CURLE_OK) {
        (void)error_set(&t->error, code_of(r), "%s", t->curl_text[0] ? t->curl_text : curl_easy_strerror(r));
    } else if (t->ops.on_line && !is_ok_code(t)) {
        (void)error_set(&t->error, ERRC_UNAVAILABLE, "answered %d: %.*s", t->code,
                        STR_ARG(str_first(str_trim(strbuf_str(&t->body)), ERROR_BODY_MAX)));
    }
    finish(t);
}

static void take_incoming(struct http_client *c)
{
    for (;;) {
        pthread_mutex_lock(&c->mutex);
        struct transfer *t = NULL;
        if (!list_is_empty(&c->incoming)) {
            t = LIST_ENTRY(c->incoming.next, struct transfer, link);
            list_remove(&t->link);
            list_add_tail(&c->running, &t->link);
        }
        pthread_mutex_unlock(&c->mutex);
        if (!t)
            return;
        t->last_byte_ns = clock_monotonic_ns();
        CURLMcode r = curl_multi_add_handle(c->multi, t->easy);
        if (r != CURLM_OK)
            finish_with(t, ERRC_INTERNAL, curl_multi_strerror(r));
    }
}

/* Ends what was cancelled or idle for too long; returns how long the loop may sleep. */
static int check_running(struct http_client *c)
{
    int sleep_ms = POLL_MAX_MS;
    LIST_FOREACH (&c->running, it) {
        struct transfer *t = LIST_ENTRY(it, struct transfer, link);
        pthread_mutex_lock(&c->mutex);
        bool is_cancelled = t->is_cancelled;
        pthread_mutex_unlock(&c->mutex);
        if (is_cancelled) {
            finish_with(t, ERRC_CANCELLED, "cancelled");
            continue;
        }
        if (t->idle_timeout_ns == 0)
            continue;
        int left = deadline_left_ms(t->last_byte_ns + t->idle_timeout_ns);
        if (left == 0)
            finish_with(t, ERRC_TIMEOUT, "nothing came within the idle timeout");
        else if (left < sleep_ms)
            sleep_ms = left;
    }
    return sleep_ms;
}

static void end_everything(struct http_client *c)
{
    take_incoming(c);
    LIST_FOREACH (&c->running, it)
        finish_with(LIST_ENTRY(it, struct transfer, link), ERRC_CANCELLED, "the client ends");
}

static void *thread_main(void *arg)
{
    struct http_client *c = arg;
    for (;;) {
        pthread_mutex_lock(&c->mutex);
        bool stopping = c->stopping;
        pthread_mutex_unlock(&c->mutex);
        if (stopping)
            break;
        take_incoming(c);
        int running = 0, left = 0;
        (void)curl_multi_perform(c->multi, &running);
        for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left));) {
            char *private = NULL;
            if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private) == CURLE_OK)
                on_completed((struct transfer *)(void *)private, m->data.result);
        }
        int sleep_ms = check_running(c);
        (void)curl_multi_poll(c->multi, NULL, 0, sleep_ms, NULL);
    }
    end_everything(c);
    return NULL;
}

/* ---- what callers use ---------------------------------------------------------------------------------------- */

int http_client_new(struct http_client **ret, struct error *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(err, ERRC_INTERNAL, "libcurl does not initialise");
    struct http_client *c = mem_new_of(struct http_client);
    atomic_init(&c->refs, 1);
    list_init(&c->incoming);
    list_init(&c->running);
    (void)pthread_mutex_init(&c->mutex, NULL);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&c->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    c->multi = curl_multi_init();
    int r = c->multi ? 0 : error_set(err, ERRC_INTERNAL, "no curl_multi handle");
    if (r == 0)
        r = thread_start(&c->thread, "http-client", thread_main, c, err);
    if (r != 0) {
        (void)curl_multi_cleanup(c->multi);
        client_unref(c);
        return r;
    }
    *ret = c;
    return 0;
}

void http_client_cancel(struct http_client *c)
{
    pthread_mutex_lock(&c->mutex);
    c->stopping = true;
    (void)curl_multi_wakeup(c->multi);
    pthread_mutex_unlock(&c->mutex);
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    http_client_cancel(c);
    (void)pthread_join(c->thread, NULL);
    pthread_mutex_lock(&c->mutex);
    (void)curl_multi_cleanup(c->multi);
    c->multi = NULL;
    pthread_mutex_unlock(&c->mutex);
    client_unref(c);
}

/* Hands it to the thread; false when the client ends. */
static bool submit(struct transfer *t)
{
    struct http_client *c = t->client;
    pthread_mutex_lock(&c->mutex);
    bool accepted = !c->stopping;
    if (accepted) {
        list_add_tail(&c->incoming, &t->link);
        (void)curl_multi_wakeup(c->multi);
    }
    pthread_mutex_unlock(&c->mutex);
    return accepted;
}

/* Waits until the thread is through with it; after the deadline (INT64_MIN: at once) it is told to end it. */
static void await(struct transfer *t, int64_t deadline_ns)
{
    struct http_client *c = t->client;
    struct timespec until = clock_to_timespec(deadline_ns > 0 ? deadline_ns : 0);
    pthread_mutex_lock(&c->mutex);
    while (!t->is_done) {
        if (!t->is_cancelled && deadline_has_passed(deadline_ns)) {
            t->is_cancelled = true;
            if (c->multi)
                (void)curl_multi_wakeup(c->multi);
        }
        if (t->is_cancelled)
            (void)pthread_cond_wait(&c->changed, &c->mutex);
        else
            (void)pthread_cond_timedwait(&c->changed, &c->mutex, &until);
    }
    pthread_mutex_unlock(&c->mutex);
}

static int take_answer(struct transfer *t, struct arena *a, const struct http_client_request *request,
                       struct http_client_response *ret, struct error *err)
{
    if (t->error.code == ERRC_CANCELLED && t->is_cancelled)
        return error_set(err, ERRC_TIMEOUT, "%s %.*s: no answer in time", request->method, STR_ARG(request->url));
    if (t->error.code != ERRC_OK)
        return error_set(err, t->error.code, "%s %.*s: %s", request->method, STR_ARG(request->url), t->error.text);
    char *type = NULL;
    (void)curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    ret->code = t->code;
    ret->content_type = arena_str(a, str_from(type));
    ret->body = strbuf_to_arena(&t->body, a);
    return 0;
}

int http_client_call(struct http_client *c, struct arena *a, const struct http_client_request *request,
                     struct http_client_response *ret, struct error *err)
{
    struct transfer t = { 0 };
    int r = transfer_init(&t, c, request, err);
    if (r == 0 && !submit(&t))
        r = error_set(err, ERRC_CANCELLED, "the client ends");
    if (r == 0) {
        await(&t, request->deadline_ns);
        r = take_answer(&t, a, request, ret, err);
    }
    transfer_release(&t);
    return r;
}

int http_client_stream_open(struct http_client *c, const struct http_client_request *request, int64_t idle_timeout_ms,
                            const struct http_client_stream_ops *ops, void *self, struct http_client_stream **ret,
                            struct error *err)
{
    struct http_client_stream *s = mem_new_of(struct http_client_stream);
    int r = transfer_init(&s->transfer, c, request, err);
    s->transfer.idle_timeout_ns = idle_timeout_ms * NS_PER_MS;
    s->transfer.ops = *ops;
    s->transfer.self = self;
    atomic_fetch_add(&c->refs, 1);
    /* Before the thread knows it: its first callback may look at *ret. */
    *ret = s;
    if (r == 0 && !submit(&s->transfer))
        r = error_set(err, ERRC_CANCELLED, "the client ends");
    if (r == 0)
        return 0;
    *ret = NULL;
    transfer_release(&s->transfer);
    mem_free(s);
    client_unref(c);
    return r;
}

void http_client_stream_close(struct http_client_stream *s)
{
    struct http_client *c = s->transfer.client;
    await(&s->transfer, INT64_MIN);
    transfer_release(&s->transfer);
    mem_free(s);
    client_unref(c);
}
