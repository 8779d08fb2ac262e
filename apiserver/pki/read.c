/* SPDX-License-Identifier: Apache-2.0 */
/* Reads PEM: what a certificate says, whether a key or a CA belongs to it. Makes nothing. */
#include "pki/pki.h"

#include <arpa/inet.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/rand.h"
#include "internal.h"

int pki__fail(struct error *err, enum err code, const char *what)
{
    unsigned long reason = ERR_peek_last_error();
    const char *text = reason ? ERR_reason_error_string(reason) : NULL;
    ERR_clear_error();
    return error_set(err, code, "%s: %s", what, text ? text : "failed");
}

BIO *pki__open(str pem)
{
    return pem.len > PKI_PEM_MAX ? NULL : BIO_new_mem_buf(pem.len ? pem.ptr : "", (int)pem.len);
}

/* No pass phrase is ever asked for: an encrypted key is simply not readable. */
static int no_password(char *buf, int size, int rwflag, void *u)
{
    (void)buf, (void)size, (void)rwflag, (void)u;
    return -1;
}

X509 *pki__read_certificate(str pem, struct error *err)
{
    CLEANUP(pki__bio_freep) BIO *bio = pki__open(pem);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
    if (!certificate)
        (void)pki__fail(err, ERRC_INVALID, "certificate");
    ERR_clear_error();
    return certificate;
}

EVP_PKEY *pki__read_key(str pem, struct error *err)
{
    CLEANUP(pki__bio_freep) BIO *bio = pki__open(pem);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    if (!key)
        (void)pki__fail(err, ERRC_INVALID, "private key");
    ERR_clear_error();
    return key;
}

/* The text of a name entry as UTF-8; a NUL inside is a forgery ("good\0evil"), never a name. */
static int asn1_text(struct arena *a, const ASN1_STRING *s, str *ret, struct error *err)
{
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, s);
    if (len < 0)
        return pki__fail(err, ERRC_INVALID, "certificate: name");
    *ret = arena_str(a, (str) { (const char *)utf8, (size_t)len });
    OPENSSL_free(utf8);
    if (memchr(ret->ptr, '\0', ret->len))
        return error_set(err, ERRC_INVALID, "certificate: name contains a NUL");
    return 0;
}

static int read_subject(struct arena *a, X509 *certificate, struct pki_certificate *c, struct error *err)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    str *organizations = arena_array_of(a, str, (size_t)X509_NAME_entry_count(subject));
    for (int i = 0; i < X509_NAME_entry_count(subject); i++) {
        X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, i);
        int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
        str *target = nid == NID_commonName         ? &c->common_name
                      : nid == NID_organizationName ? &organizations[c->organization_count++]
                                                    : NULL;
        int r = target ? asn1_text(a, X509_NAME_ENTRY_get_data(entry), target, err) : 0;
        if (r < 0)
            return r;
    }
    c->organizations = organizations;
    return 0;
}

static int read_ip(struct arena *a, const ASN1_OCTET_STRING *ip, str *ret, struct error *err)
{
    char text[INET6_ADDRSTRLEN];
    int len = ASN1_STRING_length(ip);
    if (len != 4 && len != 16)
        return error_set(err, ERRC_INVALID, "certificate: IP address of %d bytes", len);
    if (!inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), text, sizeof(text)))
        return error_set(err, ERRC_INVALID, "certificate: IP address");
    *ret = arena_str(a, str_from(text));
    return 0;
}

static int read_alternative_names(struct arena *a, X509 *certificate, struct pki_certificate *c, struct error *err)
{
    CLEANUP(pki__names_freep) GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int count = names ? sk_GENERAL_NAME_num(names) : 0;
    str *dns = arena_array_of(a, str, (size_t)count);
    str *ips = arena_array_of(a, str, (size_t)count);
    for (int i = 0; i < count; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        int r = 0;
        if (name->type == GEN_DNS)
            r = asn1_text(a, name->d.dNSName, &dns[c->dns_count++], err);
        else if (name->type == GEN_IPADD)
            r = read_ip(a, name->d.iPAddress, &ips[c->ip_count++], err);
        if (r < 0)
            return r;
    }
    c->dns_names = dns;
    c->ip_addresses = ips;
    return 0;
}

static int read_time(const ASN1_TIME *t, int64_t *ret_s, struct error *err)
{
    struct tm tm = { 0 };
    if (ASN1_TIME_to_tm(t, &tm) != 1)
        return pki__fail(err, ERRC_INVALID, "certificate: validity");
    *ret_s = (int64_t)timegm(&tm);
    return 0;
}

static void read_serial(struct arena *a, X509 *certificate, struct pki_certificate *c)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *hex = number ? BN_bn2hex(number) : NULL;
    c->serial = arena_str(a, str_from(hex));
    OPENSSL_free(hex);
    BN_free(number);
}

static int read_fingerprint(struct arena *a, X509 *certificate, struct pki_certificate *c, struct error *err)
{
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);
    if (len < 0)
        return pki__fail(err, ERRC_INVALID, "certificate");
    c->fingerprint = hash_sha256_hex(a, (str) { (const char *)der, (size_t)len });
    OPENSSL_free(der);
    return 0;
}

int pki_parse(struct arena *a, str pem, struct pki_certificate *ret, struct error *err)
{
    CLEANUP(pki__x509_freep) X509 *certificate = pki__read_certificate(pem, err);
    if (!certificate)
        return ERRC_INVALID;
    struct pki_certificate c = { .is_ca = X509_check_ca(certificate) > 0 };
    int r = read_subject(a, certificate, &c, err);
    if (r == 0)
        r = read_alternative_names(a, certificate, &c, err);
    if (r == 0)
        r = read_time(X509_get0_notBefore(certificate), &c.not_before_s, err);
    if (r == 0)
        r = read_time(X509_get0_notAfter(certificate), &c.not_after_s, err);
    if (r == 0)
        r = read_fingerprint(a, certificate, &c, err);
    ERR_clear_error();
    if (r < 0)
        return r;
    read_serial(a, certificate, &c);
    *ret = c;
    return 0;
}

int pki_check_pair(str certificate_pem, str private_key_pem, struct error *err)
{
    CLEANUP(pki__x509_freep) X509 *certificate = pki__read_certificate(certificate_pem, err);
    if (!certificate)
        return ERRC_INVALID;
    CLEANUP(pki__key_freep) EVP_PKEY *key = pki__read_key(private_key_pem, err);
    if (!key)
        return ERRC_INVALID;
    if (X509_check_private_key(certificate, key) != 1) {
        ERR_clear_error();
        return error_set(err, ERRC_INVALID, "private key: does not belong to the certificate");
    }
    return 0;
}

/* RFC 6125 6.4.3: `*` stands for the whole leftmost label and nothing else. */
static bool dns_matches(str pattern, str host)
{
    if (str_eq_nocase(pattern, host))
        return true;
    ptrdiff_t dot = str_index(host, '.');
    return str_has_prefix(pattern, S("*.")) && dot > 0 &&
           str_eq_nocase(str_from_offset(pattern, 1), str_from_offset(host, (size_t)dot));
}

static bool is_same_address(str a, str b)
{
    unsigned char x[16], y[16];
    char az[INET6_ADDRSTRLEN] = "", bz[INET6_ADDRSTRLEN] = "";
    if (a.len >= sizeof(az) || b.len >= sizeof(bz))
        return false;
    memcpy(az, a.ptr, a.len);
    memcpy(bz, b.ptr, b.len);
    for (int family = AF_INET;; family = AF_INET6) {
        if (inet_pton(family, az, x) == 1 && inet_pton(family, bz, y) == 1)
            return memcmp(x, y, family == AF_INET ? 4 : 16) == 0;
        if (family == AF_INET6)
            return false;
    }
}

bool pki_certificate_covers(const struct pki_certificate *certificate, str host)
{
    for (size_t i = 0; i < certificate->ip_count; i++)
        if (is_same_address(certificate->ip_addresses[i], host))
            return true;
    for (size_t i = 0; i < certificate->dns_count; i++)
        if (dns_matches(certificate->dns_names[i], host))
            return true;
    return false;
}
