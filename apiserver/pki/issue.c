/* SPDX-License-Identifier: Apache-2.0 */
/* Makes keys and signs certificates. */
#include "pki/pki.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "internal.h"

#define DAYS_MAX 36500
#define SERIAL_BITS 127 /* RFC 5280 4.1.2.2: positive, at most 20 octets */
/* X.520 upper bounds; OpenSSL refuses longer names anyway, but without saying which. */
#define NAME_MAX_BYTES 64

static int write_certificate(struct arena *a, X509 *certificate, str *ret, struct error *err)
{
    CLEANUP(pki__bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    if (!bio || PEM_write_bio_X509(bio, certificate) != 1)
        return pki__fail(err, ERRC_INTERNAL, "certificate");
    long len = BIO_get_mem_data(bio, &data);
    *ret = arena_str(a, (str) { data, (size_t)len });
    return 0;
}

static int write_key(struct arena *a, EVP_PKEY *key, str *ret, struct error *err)
{
    CLEANUP(pki__bio_freep) BIO *bio = BIO_new(BIO_s_secmem());
    char *data = NULL;
    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return pki__fail(err, ERRC_INTERNAL, "private key");
    long len = BIO_get_mem_data(bio, &data);
    *ret = arena_str(a, (str) { data, (size_t)len });
    return 0;
}

static int add_name(X509_NAME *name, int nid, str value, const char *field, struct error *err)
{
    if (value.len == 0 || value.len > NAME_MAX_BYTES || memchr(value.ptr, '\0', value.len))
        return error_set(err, ERRC_INVALID, "%s: must have 1 to %d bytes and no NUL", field, NAME_MAX_BYTES);
    if (X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const unsigned char *)value.ptr, (int)value.len, -1, 0) !=
        1)
        return pki__fail(err, ERRC_INVALID, field);
    return 0;
}

static int add_extension(X509 *certificate, X509 *issuer, int nid, const char *value, struct error *err)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool is_added = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added ? 0 : pki__fail(err, ERRC_INVALID, OBJ_nid2sn(nid));
}

static int set_serial(X509 *certificate, struct error *err)
{
    BIGNUM *number = BN_new();
    bool is_set = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return is_set ? 0 : pki__fail(err, ERRC_INTERNAL, "serial number");
}

/* From five minutes ago, for so many seconds from now; not longer than `limit` when there is one. */
static int set_validity(X509 *certificate, int64_t seconds, const ASN1_TIME *limit, struct error *err)
{
    time_t now = (time_t)(clock_realtime_ns() / NS_PER_S);
    if (seconds < 0 || seconds > (int64_t)DAYS_MAX * PKI_DAY_S)
        return error_set(err, ERRC_INVALID, "validity: must be between 0 and %d days", DAYS_MAX);
    time_t end = now + (time_t)seconds;
    bool is_set =
        ASN1_TIME_set(X509_getm_notBefore(certificate), now - PKI_BACKDATE_S) &&
        (limit && X509_cmp_time(limit, &end) < 0 ? X509_set1_notAfter(certificate, limit) == 1
                                                 : ASN1_TIME_set(X509_getm_notAfter(certificate), end) != NULL);
    return is_set ? 0 : pki__fail(err, ERRC_INTERNAL, "validity");
}

/* A certificate with version, serial, validity and key, still without names and signature. */
static X509 *start_certificate(EVP_PKEY *key, int64_t seconds, const ASN1_TIME *limit, struct error *err)
{
    CLEANUP(pki__x509_freep) X509 *certificate = X509_new();
    if (!certificate || X509_set_version(certificate, X509_VERSION_3) != 1 || X509_set_pubkey(certificate, key) != 1) {
        (void)pki__fail(err, ERRC_INTERNAL, "certificate");
        return NULL;
    }
    if (set_serial(certificate, err) < 0 || set_validity(certificate, seconds, limit, err) < 0)
        return NULL;
    return TAKE(certificate);
}

static int finish(struct arena *a, X509 *certificate, EVP_PKEY *signer, EVP_PKEY *key, struct pki_pair *ret,
                  struct error *err)
{
    if (X509_sign(certificate, signer, EVP_sha256()) == 0)
        return pki__fail(err, ERRC_INTERNAL, "signature");
    struct pki_pair pair;
    int r = write_certificate(a, certificate, &pair.certificate_pem, err);
    if (r == 0)
        r = write_key(a, key, &pair.private_key_pem, err);
    if (r == 0)
        *ret = pair;
    return r;
}

static EVP_PKEY *make_key(struct error *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (!key)
        (void)pki__fail(err, ERRC_INTERNAL, "key pair");
    return key;
}

int pki_make_ca(struct arena *a, str common_name, int64_t days, struct pki_pair *ret, struct error *err)
{
    CLEANUP(pki__key_freep) EVP_PKEY *key = make_key(err);
    if (!key)
        return ERRC_INTERNAL;
    CLEANUP(pki__x509_freep)
    X509 *certificate = start_certificate(key, (days ? days : PKI_CA_DAYS) * PKI_DAY_S, NULL, err);
    if (!certificate)
        return ERRC_INVALID;
    X509_NAME *subject = X509_get_subject_name(certificate);
    int r = add_name(subject, NID_commonName, common_name, "common name", err);
    if (r < 0)
        return r;
    if (X509_set_issuer_name(certificate, subject) != 1)
        return pki__fail(err, ERRC_INTERNAL, "issuer");
    static const struct {
        int nid;
        const char *value;
    } extensions[] = {
        { NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
        { NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature" },
        { NID_subject_key_identifier, "hash" },
    };
    for (size_t i = 0; i < ARRAY_LEN(extensions); i++)
        if ((r = add_extension(certificate, certificate, extensions[i].nid, extensions[i].value, err)) < 0)
            return r;
    return finish(a, certificate, key, key, ret, err);
}

/* Values go into GENERAL_NAMEs directly, not through OpenSSL's configuration syntax, so that no comma can add a name.
 */
static int add_alternative_name(GENERAL_NAMES *names, int type, const void *data, int len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();
    if (!name || !value || ASN1_STRING_set(value, data, len) != 1) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return -1;
    }
    GENERAL_NAME_set0_value(name, type, value);
    return sk_GENERAL_NAME_push(names, name) > 0 ? 0 : -1;
}

static bool is_dns_name(str name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    str rest = str_has_prefix(name, S("*.")) ? str_from_offset(name, 2) : name;
    return rest.len > 0 && name.len <= 253 && str_is_all_of(rest, str_from(allowed));
}

static int add_dns_names(GENERAL_NAMES *names, const struct pki_request *request, struct error *err)
{
    for (size_t i = 0; i < request->dns_count; i++) {
        str name = request->dns_names[i];
        if (!is_dns_name(name))
            return error_set(err, ERRC_INVALID, "dns name \"%.*s\": not a host name", STR_ARG(name));
        if (add_alternative_name(names, GEN_DNS, name.ptr, (int)name.len) < 0)
            return pki__fail(err, ERRC_INTERNAL, "dns name");
    }
    return 0;
}

static int add_addresses(GENERAL_NAMES *names, const struct pki_request *request, struct error *err)
{
    for (size_t i = 0; i < request->ip_count; i++) {
        str ip = request->ip_addresses[i];
        char text[INET6_ADDRSTRLEN] = "";
        unsigned char bytes[16];
        if (ip.len < sizeof(text))
            memcpy(text, ip.ptr, ip.len);
        int len = inet_pton(AF_INET, text, bytes) == 1 ? 4 : inet_pton(AF_INET6, text, bytes) == 1 ? 16 : 0;
        if (len == 0)
            return error_set(err, ERRC_INVALID, "ip address \"%.*s\": not an address", STR_ARG(ip));
        if (add_alternative_name(names, GEN_IPADD, bytes, len) < 0)
            return pki__fail(err, ERRC_INTERNAL, "ip address");
    }
    return 0;
}

static int add_alternative_names(X509 *certificate, const struct pki_request *request, struct error *err)
{
    if (request->dns_count + request->ip_count == 0)
        return 0;
    if (request->dns_count + request->ip_count > PKI_SANS_MAX)
        return error_set(err, ERRC_TOO_LARGE, "alternative names: more than %d", PKI_SANS_MAX);
    CLEANUP(pki__names_freep) GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    if (!names)
        return pki__fail(err, ERRC_INTERNAL, "alternative names");
    int r = add_dns_names(names, request, err);
    if (r == 0)
        r = add_addresses(names, request, err);
    if (r == 0 && X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0) != 1)
        r = pki__fail(err, ERRC_INTERNAL, "alternative names");
    return r;
}

static int add_subject(X509 *certificate, const struct pki_request *request, struct error *err)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    int r = 0;
    for (size_t i = 0; r == 0 && i < request->organization_count; i++)
        r = add_name(subject, NID_organizationName, request->organizations[i], "organization", err);
    if (r == 0)
        r = add_name(subject, NID_commonName, request->common_name, "common name", err);
    return r;
}

static int add_leaf_extensions(X509 *certificate, X509 *issuer, const struct pki_request *request, struct error *err)
{
    const char *purposes = request->is_server && request->is_client ? "serverAuth,clientAuth"
                           : request->is_server                     ? "serverAuth"
                                                                    : "clientAuth";
    int r = add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE", err);
    if (r == 0)
        r = add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature", err);
    if (r == 0)
        r = add_extension(certificate, issuer, NID_ext_key_usage, purposes, err);
    if (r == 0)
        r = add_extension(certificate, issuer, NID_subject_key_identifier, "hash", err);
    if (r == 0)
        r = add_extension(certificate, issuer, NID_authority_key_identifier, "keyid", err);
    return r;
}

int pki_issue(struct arena *a, const struct pki_pair *ca, const struct pki_request *request, struct pki_pair *ret,
              struct error *err)
{
    if (!request->is_server && !request->is_client)
        return error_set(err, ERRC_INVALID, "purpose: neither server nor client");
    CLEANUP(pki__x509_freep) X509 *issuer = pki__read_certificate(ca->certificate_pem, err);
    if (!issuer)
        return error_wrap(err, ERRC_INVALID, "ca");
    CLEANUP(pki__key_freep) EVP_PKEY *signer = pki__read_key(ca->private_key_pem, err);
    if (!signer)
        return error_wrap(err, ERRC_INVALID, "ca");
    if (X509_check_ca(issuer) <= 0 || X509_check_private_key(issuer, signer) != 1) {
        ERR_clear_error();
        return error_set(err, ERRC_INVALID, "ca: not a CA, or the key does not belong to it");
    }
    CLEANUP(pki__key_freep) EVP_PKEY *key = make_key(err);
    if (!key)
        return ERRC_INTERNAL;
    CLEANUP(pki__x509_freep)
    X509 *certificate = start_certificate(key, request->seconds ? request->seconds : (int64_t)PKI_LEAF_DAYS * PKI_DAY_S,
                                          X509_get0_notAfter(issuer), err);
    if (!certificate)
        return ERRC_INVALID;
    int r = add_subject(certificate, request, err);
    if (r == 0 && X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) != 1)
        r = pki__fail(err, ERRC_INTERNAL, "issuer");
    if (r == 0)
        r = add_leaf_extensions(certificate, issuer, request, err);
    if (r == 0)
        r = add_alternative_names(certificate, request, err);
    return r < 0 ? r : finish(a, certificate, signer, key, ret, err);
}
