/* SPDX-License-Identifier: Apache-2.0 */
/* An SSL_CTX from PEM texts. Certificates of clients are asked for and judged in peer.c. */
#include <limits.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/attr.h"
#include "base/mem.h"
#include "internal.h"

#define PEM_MAX (2u << 20)
#define CIPHERS_TLS12                                                                                                  \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                         \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

DEFINE_CLEANUP(BIO *, BIO_free_all, bio_freep);
DEFINE_CLEANUP(X509 *, X509_free, x509_freep);
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free, key_freep);
DEFINE_CLEANUP(struct tls *, http__tls_unref, tls_unrefp);

static int fail(struct error *err, const char *what)
{
    unsigned long reason = ERR_peek_last_error();
    const char *text = reason ? ERR_reason_error_string(reason) : NULL;
    if (ERR_GET_LIB(reason) == ERR_LIB_PEM && ERR_GET_REASON(reason) == PEM_R_NO_START_LINE)
        text = "holds no such PEM text";
    ERR_clear_error();
    return error_set(err, ERRC_INVALID, "%s: %s", what, text ? text : "not usable");
}

static BIO *open_pem(str pem)
{
    return pem.len > PEM_MAX ? NULL : BIO_new_mem_buf(pem.len ? pem.ptr : "", (int)pem.len);
}

/* An encrypted key is not readable; nobody is there to be asked for a pass phrase. */
static int no_password(char *buf, int size, int rwflag, void *u)
{
    (void)buf, (void)size, (void)rwflag, (void)u;
    return -1;
}

static int use_certificate(SSL_CTX *ctx, str pem, struct error *err)
{
    CLEANUP(bio_freep) BIO *bio = open_pem(pem);
    CLEANUP(x509_freep) X509 *leaf = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
    if (!leaf || SSL_CTX_use_certificate(ctx, leaf) != 1)
        return fail(err, "serving certificate");
    for (X509 *c; (c = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL;) {
        bool is_added = SSL_CTX_add1_chain_cert(ctx, c) == 1;
        X509_free(c);
        if (!is_added)
            return fail(err, "chain of the serving certificate");
    }
    ERR_clear_error(); /* the end of the file */
    return 0;
}

static int use_key(SSL_CTX *ctx, str pem, struct error *err)
{
    CLEANUP(bio_freep) BIO *bio = open_pem(pem);
    CLEANUP(key_freep) EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    if (!key)
        return fail(err, "serving key");
    if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        return fail(err, "serving key");
    return 0;
}

/* One set of CAs. As in Go each of its certificates is trusted, whether self-signed or not. */
static int add_store(struct tls *t, STACK_OF(X509_NAME) * names, str pem, struct error *err)
{
    X509_STORE *store = t->stores[t->store_count++] = X509_STORE_new();
    if (str_is_empty(pem))
        return 0;
    CLEANUP(bio_freep) BIO *bio = open_pem(pem);
    size_t count = 0;
    for (X509 *c; bio && (c = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL; count++) {
        bool is_added =
            X509_STORE_add_cert(store, c) == 1 && sk_X509_NAME_push(names, X509_NAME_dup(X509_get_subject_name(c))) > 0;
        X509_free(c);
        if (!is_added)
            return fail(err, "client CA");
    }
    bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (count == 0 || !is_end)
        return fail(err, "client CA");
    ERR_clear_error();
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    return 0;
}

static int ask_for_certificates(struct tls *t, const struct http_tls_config *config, struct error *err)
{
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    int r = 0;
    for (size_t i = 0; r == 0 && i < config->client_ca_count; i++)
        r = add_store(t, names, config->client_cas_pem[i], err);
    SSL_CTX_set_client_CA_list(t->ctx, names); /* takes them */
    if (r < 0)
        return r;
    t->is_required = config->require_client_certificate;
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER | (t->is_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    SSL_CTX_set_cert_verify_callback(t->ctx, http__peer_verify, t);
    return 0;
}

static void on_state(const SSL *ssl, int where, int ret)
{
    (void)ret;
    if (!(where & SSL_CB_HANDSHAKE_DONE))
        return;
    const unsigned char *protocol = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(ssl, &protocol, &len);
    struct conn *c = http__conn_of(BIO_get_data(SSL_get_rbio(ssl)));
    c->is_handshaken = true;
    c->in = SSL_get_rbio(ssl);
    c->is_http2 = len >= 2 && memcmp(protocol, "h2", 2) == 0; /* and the drafts that h2o offers */
}

static int set_up(struct tls *t, const struct http_tls_config *config, struct error *err)
{
    SSL_CTX *ctx = t->ctx;
    if (SSL_CTX_set_min_proto_version(ctx, config->min_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, CIPHERS_TLS12) != 1)
        return fail(err, "TLS");
    /* A resumed session would bring the identity of its peer back without asking http__peer_verify. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_info_callback(ctx, on_state);
    h2o_ssl_register_alpn_protocols(ctx, h2o_http2_alpn_protocols);
    int r = use_certificate(ctx, config->certificate_pem, err);
    if (r == 0)
        r = use_key(ctx, config->private_key_pem, err);
    if (r == 0 && config->client_ca_count > 0)
        r = ask_for_certificates(t, config, err);
    return r;
}

struct tls *http__tls_new(const struct http_tls_config *config, struct error *err)
{
    if (config->client_ca_count > HTTP_CA_SETS ||
        (config->require_client_certificate && config->client_ca_count == 0)) {
        (void)error_set(err, ERRC_INVALID, "client CAs: %zu sets", config->client_ca_count);
        return NULL;
    }
    CLEANUP(tls_unrefp) struct tls *t = mem_new_of(struct tls);
    atomic_init(&t->refs, 1);
    ERR_clear_error();
    t->ctx = SSL_CTX_new(TLS_server_method());
    if (!t->ctx) {
        (void)fail(err, "TLS");
        return NULL;
    }
    return set_up(t, config, err) < 0 ? NULL : TAKE(t);
}

struct tls *http__tls_ref(struct tls *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void http__tls_unref(struct tls *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(t->ctx);
    for (size_t i = 0; i < t->store_count; i++)
        X509_STORE_free(t->stores[i]);
    mem_free(t);
}
