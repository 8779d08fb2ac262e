/* SPDX-License-Identifier: Apache-2.0 */
/* The server side of the rig: certificates, handler, and calls onto the loop. */
#include "rig.h"

#include <signal.h>

#include "base/strbuf.h"

struct pki_pair rig_issue(struct rig *rig, const struct pki_pair *ca, const char *name, bool is_server)
{
    const str dns[] = { S("localhost") }, ips[] = { S("127.0.0.1") };
    const str organizations[] = { S("system:masters"), S("ops") };
    struct pki_pair pair;
    struct error e;
    struct pki_request request = { .common_name = str_from(name),
                                   .organizations = organizations,
                                   .organization_count = 2,
                                   .dns_names = dns,
                                   .dns_count = is_server,
                                   .ip_addresses = ips,
                                   .ip_count = is_server,
                                   .is_server = is_server,
                                   .is_client = !is_server };
    if (pki_issue(rig->arena, ca, &request, &pair, &e) < 0)
        abort();
    return pair;
}

struct rig *rig_new(void)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct error e;
    /* Clients write to servers that hung up. */
    (void)sigaction(SIGPIPE, &(struct sigaction) { .sa_handler = SIG_IGN }, NULL);
    rig->arena = arena_new();
    if (pki_make_ca(rig->arena, S("rig CA"), 0, &rig->ca, &e) < 0 ||
        pki_make_ca(rig->arena, S("other CA"), 0, &rig->other_ca, &e) < 0)
        abort();
    rig->serving = rig_issue(rig, &rig->ca, "server", true);
    rig->client = rig_issue(rig, &rig->ca, "alice", false);
    rig->stranger = rig_issue(rig, &rig->other_ca, "mallory", false);
    return rig;
}

struct http_tls_config rig_tls(const struct rig *rig)
{
    return (struct http_tls_config) { .certificate_pem = rig->serving.certificate_pem,
                                      .private_key_pem = rig->serving.private_key_pem };
}

void rig_free(struct rig *rig)
{
    http_server_free(rig->server);
    arena_free(rig->arena);
    free(rig);
}

/* ---- the handler --------------------------------------------------------------------------------------------- */

static void answer(struct http_request *req, int status, str body)
{
    const struct http_header headers[] = { { S("content-type"), S("application/json") }, { S("x-made-by"), S("rig") } };
    http_respond(req,
                 &(struct http_response) { .status = status, .headers = headers, .header_count = 2, .body = body });
}

static void answer_echo(struct http_request *req)
{
    answer(req, req->body_too_large ? 413 : 200,
           arena_printf(req->arena, "%.*s\n%.*s\n%.*s\n%.*s\n%zu %s\n", STR_ARG(req->method), STR_ARG(req->target),
                        STR_ARG(req->path), STR_ARG(req->query), req->body.len,
                        req->body_too_large ? "too large" : ""));
}

static void answer_peer(struct http_request *req)
{
    const struct http_peer *p = req->peer;
    str first = p->organization_count > 0 ? p->organizations[0] : S("-");
    str second = p->organization_count > 1 ? p->organizations[1] : S("-");
    answer(req, 200,
           arena_printf(req->arena, "%u %.*s %.*s,%.*s %s %zu %.*s\n", p->verified_by, STR_ARG(p->common_name),
                        STR_ARG(first), STR_ARG(second), p->has_certificate ? "certificate" : "none",
                        p->fingerprint.len, STR_ARG(p->address)));
}

static void answer_blobs(struct rig *rig, struct http_request *req)
{
    struct blob **blobs = arena_array_of(req->arena, struct blob *, rig->blob_count);
    for (size_t i = 0; i < rig->blob_count; i++)
        blobs[i] = blob_ref(rig->blobs[i]);
    http_respond(req, &(struct http_response) {
                          .status = 200, .body = rig->body, .blobs = blobs, .blob_count = rig->blob_count });
}

static void on_drained(void *self)
{
    struct rig_stream *s = self;
    atomic_fetch_add(&s->drained, 1);
}

static void on_close(void *self)
{
    struct rig_stream *s = self;
    s->stream = NULL;
    atomic_fetch_add(&s->closed, 1);
}

static void begin_stream(struct rig *rig, struct http_request *req)
{
    static const struct http_stream_ops ops = { on_drained, on_close };
    const struct http_header headers[] = { { S("content-type"), S("application/json") } };
    struct rig_stream *s = &rig->streams[rig->stream_count];
    s->rig = rig;
    s->stream = http_stream_begin(req, &(struct http_response) { .status = 200, .headers = headers, .header_count = 1 },
                                  &ops, s);
    atomic_fetch_add(&rig->stream_count, 1);
}

static void answer_overdue(void *self, struct arena *a, struct http_response *ret)
{
    struct http_header *header = arena_new_of(a, struct http_header);
    *header = (struct http_header) { S("x-made-by"), S("overdue") };
    *ret = (struct http_response) {
        .status = 504, .headers = header, .header_count = 1, .body = arena_str(a, S("overdue"))
    };
    atomic_fetch_add(&((struct rig *)self)->overdue, 1);
}

static void handle(void *self, struct http_request *req)
{
    struct rig *rig = self;
    atomic_fetch_add(&rig->handled, 1);
    if (str_eq(req->path, S("/echo")) || !str_has_prefix(req->path, S("/")) || str_find(req->path, S("%")) >= 0)
        answer_echo(req);
    else if (str_eq(req->path, S("/peer")))
        answer_peer(req);
    else if (str_eq(req->path, S("/blobs")))
        answer_blobs(rig, req);
    else if (str_eq(req->path, S("/bytes")))
        answer(req, 200, rig->body);
    else if (str_eq(req->path, S("/empty")))
        answer(req, 204, S(""));
    else if (str_eq(req->path, S("/stream")))
        begin_stream(rig, req);
    else if (str_eq(req->path, S("/defer"))) {
        rig->deferred[rig->deferred_count] = http_defer(req);
        atomic_fetch_add(&rig->deferred_count, 1);
    } else if (str_eq(req->path, S("/bounded"))) {
        rig->deferred[rig->deferred_count] = http_defer(req);
        http_deferred_bound(rig->deferred[rig->deferred_count], deadline_in_ms(rig->bound_ms ? rig->bound_ms : 100),
                            answer_overdue, rig);
        atomic_fetch_add(&rig->deferred_count, 1);
    } else
        answer(req, 200, S("hello\n"));
}

void rig_start(struct rig *rig, struct http_server_options options)
{
    struct error e = { 0 };
    if (!options.handler) {
        options.handler = handle;
        options.self = rig;
    }
    if (!options.bind_address.len)
        options.bind_address = S("127.0.0.1");
    if (!options.tls.certificate_pem.len)
        options.tls = rig_tls(rig);
    if (http_server_start(&options, &rig->server, &e) < 0) {
        (void)fprintf(stderr, "%s\n", e.text);
        abort();
    }
    rig->port = http_server_port(rig->server);
}

/* ---- onto the loop ------------------------------------------------------------------------------------------- */

struct visit {
    void (*fn)(void *arg);
    void *arg;
    atomic_bool is_done;
};

static void on_visit(void *arg)
{
    struct visit *v = arg;
    v->fn(v->arg);
    v->is_done = true;
}

void rig_on_loop(struct rig *rig, void (*fn)(void *arg), void *arg)
{
    struct visit v = { fn, arg, false };
    if (!http_loop_post(http_server_loop(rig->server, 0), on_visit, &v) || !BECOMES(v.is_done))
        abort();
}

struct sending {
    struct rig_stream *s;
    const char *text;
    bool is_error;
};

static void on_send(void *arg)
{
    struct sending *sending = arg;
    if (!sending->s->stream)
        return;
    struct blob *b = blob_new(str_from(sending->text));
    (void)http_stream_send(sending->s->stream, b);
    (void)blob_unref(b);
}

void rig_send(struct rig_stream *s, const char *text)
{
    rig_on_loop(s->rig, on_send, &(struct sending) { .s = s, .text = text });
}

static void on_end(void *arg)
{
    struct sending *sending = arg;
    if (sending->s->stream)
        http_stream_end(sending->s->stream, sending->is_error);
}

void rig_end(struct rig_stream *s, bool is_error)
{
    rig_on_loop(s->rig, on_end, &(struct sending) { .s = s, .is_error = is_error });
}

void rig_answer(struct http_deferred *d, int status, const char *body)
{
    http_deferred_respond(d, &(struct http_response) { .status = status, .body = str_from(body) });
}
