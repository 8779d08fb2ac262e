/* SPDX-License-Identifier: Apache-2.0 */
/* Shared inside the module: cleanup of OpenSSL's objects, errors, PEM in and out. */
#ifndef PKI_INTERNAL_H
#define PKI_INTERNAL_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "pki/pki.h"

/* A PEM text larger than this is not looked at: 1,000 certificates of a bundle fit. */
#define PKI_PEM_MAX (2u << 20)
#define PKI_SANS_MAX 256

DEFINE_CLEANUP(BIO *, BIO_free_all, pki__bio_freep);
DEFINE_CLEANUP(X509 *, X509_free, pki__x509_freep);
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free, pki__key_freep);
DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free, pki__names_freep);

/* "<what>: <reason of OpenSSL>"; empties OpenSSL's error queue. */
int pki__fail(struct error *err, enum err code, const char *what);

/* NULL when the text is too large. */
BIO *pki__open(str pem);
X509 *pki__read_certificate(str pem, struct error *err);
EVP_PKEY *pki__read_key(str pem, struct error *err);

#endif
