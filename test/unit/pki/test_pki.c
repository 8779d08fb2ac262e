/* SPDX-License-Identifier: Apache-2.0 */
/* What the CA makes is read back by pki_parse and believed by OpenSSL's own verification. */
#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "pki/pki.h"

static struct arena *a;

static void setup(void)
{
    a = arena_new();
}

static void teardown(void)
{
    arena_free(a);
}

TestSuite(pki, .init = setup, .fini = teardown);

static struct pki_pair make_ca(void)
{
    struct pki_pair ca;
    struct error err = { 0 };
    cr_assert_eq(pki_make_ca(a, S("unit CA"), 0, &ca, &err), 0, "%s", err.text);
    return ca;
}

static struct pki_pair issue(const struct pki_pair *ca, const struct pki_request *request)
{
    struct pki_pair pair;
    struct error err = { 0 };
    cr_assert_eq(pki_issue(a, ca, request, &pair, &err), 0, "%s", err.text);
    return pair;
}

static X509 *read_x509(str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    cr_assert_not_null(certificate);
    return certificate;
}

/* Whether OpenSSL's own verification believes it, now. */
static bool is_issued_by(str pem, str ca_pem)
{
    X509 *certificate = read_x509(pem), *ca = read_x509(ca_pem);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    cr_assert(X509_STORE_add_cert(store, ca) == 1 && X509_STORE_CTX_init(ctx, store, certificate, NULL) == 1);
    bool is_good = X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(ca);
    X509_free(certificate);
    return is_good;
}

static struct pki_certificate parse(str pem)
{
    struct pki_certificate c;
    struct error err = { 0 };
    cr_assert_eq(pki_parse(a, pem, &c, &err), 0, "%s", err.text);
    return c;
}

Test(pki, a_ca_lives_ten_years_and_says_that_it_is_one)
{
    struct pki_pair ca = make_ca();
    struct pki_certificate c = parse(ca.certificate_pem);
    int64_t now = clock_realtime_ns() / NS_PER_S;
    cr_assert(c.is_ca);
    cr_assert(str_eq(c.common_name, S("unit CA")));
    cr_assert(c.not_before_s <= now - PKI_BACKDATE_S + 1 && c.not_before_s >= now - PKI_BACKDATE_S - 5);
    cr_assert(c.not_after_s >= now + INT64_C(3649) * 86400);
    cr_assert_eq(c.fingerprint.len, 64);
    cr_assert_eq(pki_check_pair(ca.certificate_pem, ca.private_key_pem, NULL), 0);
}

Test(pki, a_leaf_says_what_was_asked_and_chains_to_its_ca_only)
{
    struct pki_pair ca = make_ca(), other = make_ca();
    const str organizations[] = { S("system:masters"), S("second") };
    const str dns[] = { S("localhost"), S("*.example.io") };
    const str ips[] = { S("127.0.0.1"), S("::1") };
    struct pki_pair leaf = issue(&ca, &(struct pki_request) { .common_name = S("admin"),
                                                              .organizations = organizations,
                                                              .organization_count = 2,
                                                              .dns_names = dns,
                                                              .dns_count = 2,
                                                              .ip_addresses = ips,
                                                              .ip_count = 2,
                                                              .is_server = true,
                                                              .is_client = true,
                                                              .seconds = 30 * PKI_DAY_S });
    struct pki_certificate c = parse(leaf.certificate_pem);
    cr_assert_not(c.is_ca);
    cr_assert(str_eq(c.common_name, S("admin")));
    cr_assert_eq(c.organization_count, 2);
    cr_assert(str_eq(c.organizations[0], S("system:masters")) && str_eq(c.organizations[1], S("second")));
    cr_assert_eq(c.dns_count, 2);
    cr_assert(str_eq(c.dns_names[1], S("*.example.io")));
    cr_assert_eq(c.ip_count, 2);
    cr_assert(str_eq(c.ip_addresses[0], S("127.0.0.1")) && str_eq(c.ip_addresses[1], S("::1")));
    int64_t now = clock_realtime_ns() / NS_PER_S;
    cr_assert(c.not_after_s > now + 29 * 86400 && c.not_after_s <= now + 30 * 86400);
    cr_assert(is_issued_by(leaf.certificate_pem, ca.certificate_pem));
    cr_assert_not(is_issued_by(leaf.certificate_pem, other.certificate_pem));
}

Test(pki, a_leaf_never_outlives_its_ca)
{
    struct pki_pair ca;
    cr_assert_eq(pki_make_ca(a, S("short"), 2, &ca, NULL), 0);
    struct pki_pair leaf =
        issue(&ca, &(struct pki_request) { .common_name = S("x"), .is_client = true, .seconds = 400 * PKI_DAY_S });
    cr_assert(parse(leaf.certificate_pem).not_after_s == parse(ca.certificate_pem).not_after_s);
}

Test(pki, serials_and_keys_differ_each_time)
{
    struct pki_pair ca = make_ca();
    struct pki_request request = { .common_name = S("x"), .is_client = true };
    struct pki_pair one = issue(&ca, &request), two = issue(&ca, &request);
    struct pki_certificate c1 = parse(one.certificate_pem), c2 = parse(two.certificate_pem);
    cr_assert_not(str_eq(c1.serial, c2.serial));
    cr_assert_not(str_eq(c1.fingerprint, c2.fingerprint));
    cr_assert_eq(pki_check_pair(one.certificate_pem, two.private_key_pem, NULL), ERRC_INVALID);
}

Test(pki, wrong_requests_are_refused_by_name)
{
    struct pki_pair ca = make_ca(), pair;
    struct error err;
    const str bad_dns[] = { S("a,DNS:evil") }, bad_ip[] = { S("300.1.1.1") };
    const struct {
        struct pki_request request;
        const char *text;
    } cases[] = {
        { { .common_name = S("x") }, "purpose" },
        { { .is_client = true }, "common name" },
        { { .common_name = S("x"), .is_server = true, .dns_names = bad_dns, .dns_count = 1 }, "dns name" },
        { { .common_name = S("x"), .is_server = true, .ip_addresses = bad_ip, .ip_count = 1 }, "ip address" },
        { { .common_name = S("x"), .is_client = true, .seconds = -1 }, "validity" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cr_assert_lt(pki_issue(a, &ca, &cases[i].request, &pair, &err), 0, "case %zu", i);
        cr_assert(str_has_prefix(str_from(err.text), str_from(cases[i].text)), "case %zu: %s", i, err.text);
    }
    struct pki_pair leaf = issue(&ca, &(struct pki_request) { .common_name = S("x"), .is_client = true });
    cr_assert_eq(pki_issue(a, &leaf, &(struct pki_request) { .common_name = S("y"), .is_client = true }, &pair, &err),
                 ERRC_INVALID);
}

Test(pki, broken_text_is_an_error)
{
    struct pki_pair ca = make_ca();
    struct pki_certificate c;
    str half = str_first(ca.certificate_pem, ca.certificate_pem.len / 2);
    cr_assert_eq(pki_parse(a, S(""), &c, NULL), ERRC_INVALID);
    cr_assert_eq(pki_parse(a, S("hello"), &c, NULL), ERRC_INVALID);
    cr_assert_eq(pki_parse(a, half, &c, NULL), ERRC_INVALID);
    cr_assert_eq(pki_check_pair(ca.certificate_pem, S("no key"), NULL), ERRC_INVALID);
}

Test(pki, hosts_are_matched_by_address_and_by_whole_labels)
{
    struct pki_pair ca = make_ca();
    const str dns[] = { S("db.example.io"), S("*.pods.example.io") };
    const str ips[] = { S("127.0.0.2"), S("fd00::1") };
    struct pki_pair leaf = issue(&ca, &(struct pki_request) { .common_name = S("ignored.example.io"),
                                                              .dns_names = dns,
                                                              .dns_count = 2,
                                                              .ip_addresses = ips,
                                                              .ip_count = 2,
                                                              .is_server = true });
    struct pki_certificate c = parse(leaf.certificate_pem);
    cr_assert(pki_certificate_covers(&c, S("DB.example.io")));
    cr_assert(pki_certificate_covers(&c, S("a.pods.example.io")));
    cr_assert_not(pki_certificate_covers(&c, S("a.b.pods.example.io")));
    cr_assert_not(pki_certificate_covers(&c, S("pods.example.io")));
    cr_assert_not(pki_certificate_covers(&c, S("ignored.example.io")));
    cr_assert(pki_certificate_covers(&c, S("127.0.0.2")));
    cr_assert(pki_certificate_covers(&c, S("fd00:0:0::1")));
    cr_assert_not(pki_certificate_covers(&c, S("127.0.0.3")));
}
