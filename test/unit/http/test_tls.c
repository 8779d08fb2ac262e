/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of clients, protocol versions, reload. */
#include "rig.h"

#include <poll.h>
#include <unistd.h>

static struct rig *rig;

static void start(struct http_tls_config tls)
{
    rig = rig_new();
    if (!tls.certificate_pem.len) {
        struct http_tls_config base = rig_tls(rig);
        tls.certificate_pem = base.certificate_pem;
        tls.private_key_pem = base.private_key_pem;
    }
    rig_start(rig, (struct http_server_options) { .tls = tls });
}

static void teardown(void)
{
    rig_free(rig);
}

TestSuite(http_tls, .fini = teardown);

static void start_with_two_sets(bool is_required)
{
    rig = rig_new();
    struct http_tls_config tls = rig_tls(rig);
    tls.client_cas_pem[0] = rig->ca.certificate_pem;
    tls.client_cas_pem[1] = rig->other_ca.certificate_pem;
    tls.client_ca_count = is_required ? 1 : 2;
    tls.require_client_certificate = is_required;
    rig_start(rig, (struct http_server_options) { .tls = tls });
}

static void check_peer(const struct pki_pair *certificate, const char *wanted)
{
    for (int i = 0; i < 4; i++) {
        struct rig_call call = { .path = "/peer", .certificate = certificate, .is_http1 = i & 1, .is_tls12 = i & 2 };
        struct rig_answer a = rig_call(rig, &call);
        cr_assert_eq(a.curl_code, 0);
        CHECK_STR(a.body, wanted);
    }
}

Test(http_tls, each_certificate_is_tried_against_each_set_of_cas)
{
    start_with_two_sets(false);
    struct pki_pair rogue_ca, rogue, server_only;
    struct error e;
    CHECK_OK(pki_make_ca(rig->arena, S("rig CA"), 0, &rogue_ca, &e), e);
    rogue = rig_issue(rig, &rogue_ca, "eve", false);
    server_only = rig_issue(rig, &rig->ca, "wrong purpose", true);
    check_peer(&rig->client, "1 alice system:masters,ops certificate 64 127.0.0.1\n");
    check_peer(&rig->stranger, "2 mallory system:masters,ops certificate 64 127.0.0.1\n");
    check_peer(&rogue, "0 eve system:masters,ops certificate 64 127.0.0.1\n");
    check_peer(&server_only, "0 wrong purpose system:masters,ops certificate 64 127.0.0.1\n");
    check_peer(NULL, "0  -,- none 0 127.0.0.1\n");
}

Test(http_tls, without_cas_no_certificate_is_asked_for)
{
    start((struct http_tls_config) { .min_tls13 = false });
    check_peer(&rig->client, "0  -,- none 0 127.0.0.1\n");
}

Test(http_tls, a_required_certificate_must_chain_to_a_set)
{
    start_with_two_sets(true);
    check_peer(&rig->client, "1 alice system:masters,ops certificate 64 127.0.0.1\n");
    struct rig_call call = { .path = "/peer" };
    for (int i = 0; i < 4; i++) {
        call.certificate = i & 1 ? NULL : &rig->stranger;
        call.is_tls12 = i & 2;
        cr_assert_neq(rig_call(rig, &call).curl_code, 0);
    }
    cr_assert_eq(rig->handled, 4); /* of check_peer */
}

Test(http_tls, an_end_of_a_certificate_is_told)
{
    start_with_two_sets(false);
    struct pki_certificate c;
    struct error e;
    CHECK_OK(pki_parse(rig->arena, rig->client.certificate_pem, &c, &e), e);
    struct client *client = client_open(rig, false, &rig->client);
    client_write_z(client, "GET /defer HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(BECOMES(rig->deferred_count == 1));
    const struct http_peer *peer = http_deferred_request(rig->deferred[0])->peer;
    cr_assert_eq(peer->not_after_s, c.not_after_s);
    cr_assert(str_eq(peer->fingerprint, c.fingerprint));
    cr_assert_gt(peer->port, 0);
    rig_answer(rig->deferred[0], 200, "x");
    client_free(client);
}

Test(http_tls, sessions_are_never_resumed)
{
    start_with_two_sets(false);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct client *c = client_open(rig, false, &rig->client);
        client_write_z(c, "GET /peer HTTP/1.1\r\nHost: x\r\n\r\n");
        cr_assert(client_read_until(c, "1 alice"));
        SSL_SESSION *session = SSL_get1_session(c->ssl);
        cr_assert_not(SSL_SESSION_has_ticket(session));
        SSL *again = SSL_new(c->ctx);
        int fd = rig_tcp(rig);
        SSL_set_fd(again, fd);
        SSL_set_max_proto_version(again, version);
        SSL_set_session(again, session);
        cr_assert_eq(SSL_connect(again), 1);
        cr_assert_not(SSL_session_reused(again));
        SSL_free(again);
        close(fd);
        SSL_SESSION_free(session);
        client_free(c);
    }
}

Test(http_tls, old_protocols_are_refused)
{
    start((struct http_tls_config) { .min_tls13 = true });
    cr_assert_neq(rig_call(rig, &(struct rig_call) { .path = "/hello", .is_tls12 = true }).curl_code, 0);
    cr_assert_eq(rig_get(rig, "/hello", false).status, 200);
}

static str seen_fingerprint(struct rig *r)
{
    struct client *c = client_open(r, false, NULL);
    X509 *leaf = SSL_get1_peer_certificate(c->ssl);
    unsigned char digest[32];
    unsigned len = sizeof(digest);
    X509_digest(leaf, EVP_sha256(), digest, &len);
    X509_free(leaf);
    client_free(c);
    str hex = S("");
    for (unsigned i = 0; i < len; i++)
        hex = arena_printf(r->arena, "%.*s%02x", STR_ARG(hex), digest[i]);
    return hex;
}

static str fingerprint(const struct pki_pair *pair)
{
    struct pki_certificate c;
    struct error e;
    CHECK_OK(pki_parse(rig->arena, pair->certificate_pem, &c, &e), e);
    return c.fingerprint;
}

Test(http_tls, a_reload_changes_new_connections_and_leaves_open_streams_alone)
{
    start((struct http_tls_config) { .min_tls13 = false });
    struct client *old = client_open(rig, false, NULL);
    client_write_z(old, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(client_read_until(old, "\r\n\r\n"));
    cr_assert(str_eq(seen_fingerprint(rig), fingerprint(&rig->serving)));
    struct pki_pair next = rig_issue(rig, &rig->ca, "server 2", true);
    struct http_tls_config tls = { .certificate_pem = next.certificate_pem, .private_key_pem = next.private_key_pem };
    struct error e;
    CHECK_OK(http_server_set_tls(rig->server, &tls, &e), e);
    cr_assert(BECOMES(str_eq(seen_fingerprint(rig), fingerprint(&next))));
    rig_send(&rig->streams[0], "still here\n");
    cr_assert(client_read_until(old, "still here\n"));
    client_free(old);
}

Test(http_tls, a_wrong_reload_changes_nothing)
{
    start((struct http_tls_config) { .min_tls13 = false });
    struct http_tls_config tls = { .certificate_pem = rig->serving.certificate_pem,
                                   .private_key_pem = rig->client.private_key_pem };
    struct error e;
    CHECK_FAILS(http_server_set_tls(rig->server, &tls, &e), ERRC_INVALID);
    cr_assert(str_eq(seen_fingerprint(rig), fingerprint(&rig->serving)));
}

/* h2o keeps the bare SSL_CTX of a connection that has not said anything yet. */
Test(http_tls, a_connection_accepted_before_many_reloads_may_still_shake_hands)
{
    start((struct http_tls_config) { .min_tls13 = false });
    int fd = rig_tcp(rig);
    cr_assert(BECOMES(http_server_connections(rig->server) == 1));
    struct http_tls_config tls = rig_tls(rig);
    struct error e;
    for (int i = 0; i < 20; i++)
        CHECK_OK(http_server_set_tls(rig->server, &tls, &e), e);
    cr_assert_eq(rig_get(rig, "/hello", false).status, 200);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    cr_assert_eq(SSL_connect(ssl), 1);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
}

Test(http_tls, a_chain_is_sent_whole)
{
    rig = rig_new();
    struct http_tls_config tls = rig_tls(rig);
    tls.certificate_pem =
        arena_printf(rig->arena, "%.*s%.*s", STR_ARG(tls.certificate_pem), STR_ARG(rig->ca.certificate_pem));
    rig_start(rig, (struct http_server_options) { .tls = tls });
    struct client *c = client_open(rig, false, NULL);
    cr_assert_eq(sk_X509_num(SSL_get_peer_cert_chain(c->ssl)), 2);
    client_free(c);
}
