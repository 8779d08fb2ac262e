/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the client is: reads the certificate it presented and tries it against each set of CAs. The handshake goes on in
 * any case, unless certificates are required: authentication answers 401 later, in words.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/attr.h"
#include "internal.h"

#define CHAIN_DEPTH 8

DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free, ctx_freep);

/* False for what is no text, or hides something behind a NUL. */
static bool read_text(struct arena *a, const ASN1_STRING *s, str *ret)
{
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, s);
    if (len < 0)
        return false;
    *ret = arena_str(a, (str) { (const char *)utf8, (size_t)len });
    OPENSSL_free(utf8);
    return memchr(ret->ptr, '\0', ret->len) == NULL;
}

static bool read_subject(struct arena *a, X509 *leaf, struct http_peer *peer)
{
    X509_NAME *subject = X509_get_subject_name(leaf);
    str *organizations = arena_array_of(a, str, (size_t)X509_NAME_entry_count(subject));
    peer->organizations = organizations;
    for (int i = 0; i < X509_NAME_entry_count(subject); i++) {
        X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, i);
        int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
        str *target = nid == NID_commonName         ? &peer->common_name
                      : nid == NID_organizationName ? &organizations[peer->organization_count++]
                                                    : NULL;
        if (target && !read_text(a, X509_NAME_ENTRY_get_data(entry), target))
            return false;
    }
    return true;
}

static bool read_leaf(struct arena *a, X509 *leaf, struct http_peer *peer)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct tm end = { 0 };
    if (!read_subject(a, leaf, peer) || ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &end) != 1 ||
        X509_digest(leaf, EVP_sha256(), digest, &len) != 1)
        return false;
    static const char digits[] = "0123456789abcdef";
    char *hex = arena_alloc(a, 2 * (size_t)len + 1);
    for (unsigned i = 0; i < len; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    peer->not_after_s = (int64_t)timegm(&end);
    peer->fingerprint = str_from(hex);
    return true;
}

static bool chains_to(X509_STORE *store, X509 *leaf, STACK_OF(X509) * untrusted)
{
    CLEANUP(ctx_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (!ctx || X509_STORE_CTX_init(ctx, store, leaf, untrusted) != 1 ||
        X509_STORE_CTX_set_default(ctx, "ssl_client") != 1)
        return false;
    X509_VERIFY_PARAM_set_depth(X509_STORE_CTX_get0_param(ctx), CHAIN_DEPTH);
    return X509_verify_cert(ctx) == 1;
}

int http__peer_verify(X509_STORE_CTX *presented, void *arg)
{
    struct tls *t = arg;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(presented, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct conn *c = http__conn_of(BIO_get_data(SSL_get_rbio(ssl)));
    X509 *leaf = X509_STORE_CTX_get0_cert(presented);
    if (!c->arena)
        c->arena = arena_new();
    struct http_peer *peer = &c->peer;
    peer->has_certificate = true;
    if (read_leaf(c->arena, leaf, peer)) {
        for (size_t i = 0; i < t->store_count; i++)
            if (chains_to(t->stores[i], leaf, X509_STORE_CTX_get0_untrusted(presented)))
                peer->verified_by |= UINT32_C(1) << i;
    }
    ERR_clear_error();
    bool is_accepted = peer->verified_by != 0 || !t->is_required;
    X509_STORE_CTX_set_error(presented, is_accepted ? X509_V_OK : X509_V_ERR_CERT_UNTRUSTED);
    return is_accepted;
}
