/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small certificate authority: makes CAs, issues certificates for servers and clients, reads what a PEM certificate
 * says. Keys are ECDSA P-256, because a handshake with them costs half of one with RSA-2048. Everything goes in and
 * out as PEM text in an arena; files are the caller's business. A private key never appears in an error text.
 *
 * Any thread. Making a key pair takes about 0.1 ms: fine for workers, not for a loop thread.
 */
#ifndef PKI_PKI_H
#define PKI_PKI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

#define PKI_DAY_S 86400
#define PKI_CA_DAYS 3650
#define PKI_LEAF_DAYS 365
/* New certificates are valid from five minutes ago, so that a peer with a slow clock takes them. */
#define PKI_BACKDATE_S 300

struct pki_pair {
    str certificate_pem;
    str private_key_pem; /* PKCS#8, unencrypted */
};

/* A self-signed CA that may sign leaves only (path length 0). days 0: PKI_CA_DAYS. */
int pki_make_ca(struct arena *a, str common_name, int64_t days, struct pki_pair *ret, struct error *err) MUST_USE;

/* What a new certificate says. At least one of is_server and is_client. */
struct pki_request {
    str common_name;
    const str *organizations;
    size_t organization_count;
    const str *dns_names; /* a leading `*.` is allowed */
    size_t dns_count;
    const str *ip_addresses; /* "127.0.0.1", "::1" */
    size_t ip_count;
    bool is_server;  /* extended key usage serverAuth */
    bool is_client;  /* extended key usage clientAuth */
    int64_t seconds; /* how long it is valid; 0: PKI_LEAF_DAYS. Never outlives the CA */
};

/* A new key and a certificate for it, signed by ca. ERRC_INVALID names the field that is wrong. */
int pki_issue(struct arena *a, const struct pki_pair *ca, const struct pki_request *request, struct pki_pair *ret,
              struct error *err) MUST_USE;

struct pki_certificate {
    str common_name; /* empty when there is none */
    const str *organizations;
    size_t organization_count;
    const str *dns_names;
    size_t dns_count;
    const str *ip_addresses; /* as inet_ntop writes them */
    size_t ip_count;
    int64_t not_before_s; /* unix seconds */
    int64_t not_after_s;
    bool is_ca;
    str serial;      /* upper-case hex */
    str fingerprint; /* lower-case hex SHA-256 of the DER */
};

/* The first certificate of the text. ERRC_INVALID when there is none, or when a name contains a NUL. */
int pki_parse(struct arena *a, str pem, struct pki_certificate *ret, struct error *err) MUST_USE;

/* ERRC_INVALID unless the key belongs to the first certificate. */
int pki_check_pair(str certificate_pem, str private_key_pem, struct error *err) MUST_USE;

/* True when the certificate names that host: an IP address or a DNS name, wildcards respected (RFC 6125). */
bool pki_certificate_covers(const struct pki_certificate *certificate, str host);

#endif
