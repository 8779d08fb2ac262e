/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and kubeconfig of a standalone server. Private keys are 0600 and never leave the pki folder and the
 * kubeconfig. */
#include "standalone.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/fs.h"
#include "pki/pki.h"

#define PEM_MAX (64 << 10)
#define SERVER_DAYS 365
#define RENEW_BEFORE_S (INT64_C(120) * 86400)

static const char *path_of(struct arena *a, str data_dir, const char *name)
{
    return arena_printf(a, "%.*s/%s", STR_ARG(data_dir), name).ptr;
}

static void name_files(struct arena *a, str data_dir, struct standalone_files *ret)
{
    *ret = (struct standalone_files) { .ca_cert = path_of(a, data_dir, "pki/ca.crt"),
                                       .server_cert = path_of(a, data_dir, "pki/server.crt"),
                                       .server_key = path_of(a, data_dir, "pki/server.key"),
                                       .admin_cert = path_of(a, data_dir, "pki/admin.crt"),
                                       .admin_key = path_of(a, data_dir, "pki/admin.key"),
                                       .kubeconfig = path_of(a, data_dir, "admin.kubeconfig") };
}

static int read_pair(struct arena *a, const char *cert, const char *key, struct pki_pair *ret, struct error *err)
{
    int r = fs_read(a, cert, PEM_MAX, &ret->certificate_pem, err);
    if (r == 0)
        r = fs_read(a, key, PEM_MAX, &ret->private_key_pem, err);
    if (r == 0)
        r = pki_check_pair(ret->certificate_pem, ret->private_key_pem, err);
    return r < 0 && r != ERRC_NOT_FOUND ? error_wrap(err, r, "%s", cert) : r;
}

/* The key first: a certificate without its key would be taken for damage, a key without certificate is just made anew.
 */
static int write_pair(const struct pki_pair *pair, const char *cert, const char *key, struct error *err)
{
    int r = fs_write_atomic(key, pair->private_key_pem, 0600, err);
    return r == 0 ? fs_write_atomic(cert, pair->certificate_pem, 0644, err) : r;
}

static int ensure_ca(struct arena *a, str data_dir, struct pki_pair *ret, struct error *err)
{
    const char *cert = path_of(a, data_dir, "pki/ca.crt"), *key = path_of(a, data_dir, "pki/ca.key");
    int r = read_pair(a, cert, key, ret, err);
    if (r != ERRC_NOT_FOUND)
        return r;
    if (fs_exists(cert)) /* never replaced silently: every client trusts it */
        return error_set(err, ERRC_INVALID,
                         "%s exists, but its key %s is missing: restore the key, or remove the pki folder to start "
                         "with a new CA",
                         cert, key);
    r = pki_make_ca(a, S("postgres-apiserver"), 0, ret, err);
    return r == 0 ? write_pair(ret, cert, key, err) : r;
}

/* The key of a CA is only looked at when something is to be signed: reading keys is most of a start. */
static int check_ca(struct arena *a, str data_dir, struct error *err)
{
    struct pki_pair ca;
    if (fs_exists(path_of(a, data_dir, "pki/ca.crt")) && fs_exists(path_of(a, data_dir, "pki/ca.key")))
        return 0;
    return ensure_ca(a, data_dir, &ca, err);
}

static int issue_server(struct arena *a, const struct pki_pair *ca, str bind_address, struct pki_pair *ret,
                        struct error *err)
{
    char host[256] = "localhost";
    (void)gethostname(host, sizeof(host) - 1); /* keeps "localhost" when it fails */
    const str names[] = { S_INIT("localhost"), str_from(host), S_INIT("postgres-apiserver") };
    const str ips[] = { S_INIT("127.0.0.1"), S_INIT("::1"), bind_address };
    bool any = str_eq(bind_address, S("0.0.0.0")) || str_eq(bind_address, S("::")) || str_eq(bind_address, ips[0]);
    const struct pki_request request = { .common_name = S("postgres-apiserver"),
                                         .dns_names = names,
                                         .dns_count = str_eq(names[1], names[0]) ? 1 : ARRAY_LEN(names),
                                         .ip_addresses = ips,
                                         .ip_count = any ? 2 : 3,
                                         .is_server = true,
                                         .seconds = (int64_t)SERVER_DAYS * PKI_DAY_S };
    return pki_issue(a, ca, &request, ret, err);
}

static bool is_good_for_long(struct arena *a, str pem, str host)
{
    struct pki_certificate c;
    bool any = str_eq(host, S("0.0.0.0")) || str_eq(host, S("::"));
    return pki_parse(a, pem, &c, NULL) == 0 && c.not_after_s - clock_realtime_ns() / NS_PER_S > RENEW_BEFORE_S &&
           (any || host.len == 0 || pki_certificate_covers(&c, host));
}

int standalone_renew(struct arena *a, str data_dir, str bind_address, bool *ret_changed, struct error *err)
{
    struct standalone_files f;
    name_files(a, data_dir, &f);
    *ret_changed = false;
    struct pki_pair ca, pair;
    int r = check_ca(a, data_dir, err);
    if (r < 0)
        return r;
    r = read_pair(a, f.server_cert, f.server_key, &pair, err);
    if (r == 0 && is_good_for_long(a, pair.certificate_pem, bind_address))
        return 0;
    r = ensure_ca(a, data_dir, &ca, err);
    if (r == 0)
        r = issue_server(a, &ca, bind_address, &pair, err);
    if (r == 0)
        r = write_pair(&pair, f.server_cert, f.server_key, err);
    *ret_changed = r == 0;
    return r;
}

static int ensure_admin(struct arena *a, str data_dir, const struct standalone_files *f, struct error *err)
{
    static const str masters = S_INIT("system:masters");
    struct pki_pair ca, pair;
    int r = read_pair(a, f->admin_cert, f->admin_key, &pair, err);
    if (r == 0 && is_good_for_long(a, pair.certificate_pem, S("")))
        return 0;
    const struct pki_request request = {
        .common_name = S("admin"), .organizations = &masters, .organization_count = 1, .is_client = true
    };
    r = ensure_ca(a, data_dir, &ca, err);
    if (r == 0)
        r = pki_issue(a, &ca, &request, &pair, err);
    return r == 0 ? write_pair(&pair, f->admin_cert, f->admin_key, err) : r;
}

int standalone_prepare(struct arena *a, str data_dir, str bind_address, struct standalone_files *ret, struct error *err)
{
    char *dir = arena_z(a, data_dir);
    bool is_new = !fs_exists(dir);
    int r = fs_mkdir_all(dir, 0711, err);
    if (r == 0 && (is_new || !fs_exists(path_of(a, data_dir, "pki"))) && chmod(dir, 0711) < 0)
        r = error_set(err, ERRC_DENIED, "data folder %s belongs to somebody else", dir);
    if (r == 0)
        r = fs_mkdir_all(path_of(a, data_dir, "pki"), 0700, err);
    if (r < 0)
        return error_wrap(err, r, "preparing the data folder");
    name_files(a, data_dir, ret);
    bool changed;
    r = standalone_renew(a, data_dir, bind_address, &changed, err);
    if (r == 0)
        r = ensure_admin(a, data_dir, ret, err);
    return r < 0 ? error_wrap(err, r, "preparing certificates") : 0;
}

int standalone_write_kubeconfig(struct arena *a, const struct standalone_files *files, str bind_address, uint16_t port,
                                struct error *err)
{
    str ca, cert, key, host = bind_address;
    int r = fs_read(a, files->ca_cert, PEM_MAX, &ca, err);
    if (r == 0)
        r = fs_read(a, files->admin_cert, PEM_MAX, &cert, err);
    if (r == 0)
        r = fs_read(a, files->admin_key, PEM_MAX, &key, err);
    if (r < 0)
        return r;
    if (str_eq(host, S("0.0.0.0")) || str_eq(host, S("::")))
        host = S("127.0.0.1");
    bool is_v6 = str_index(host, ':') >= 0;
    str ca64 = base64_encode(a, ca), cert64 = base64_encode(a, cert), key64 = base64_encode(a, key);
    str text = arena_printf(a,
                            "apiVersion: v1\n"
                            "kind: Config\n"
                            "clusters:\n"
                            "- name: standalone\n"
                            "  cluster:\n"
                            "    server: https://%s%.*s%s:%d\n"
                            "    certificate-authority-data: %.*s\n"
                            "users:\n"
                            "- name: admin\n"
                            "  user:\n"
                            "    client-certificate-data: %.*s\n"
                            "    client-key-data: %.*s\n"
                            "contexts:\n"
                            "- name: standalone\n"
                            "  context:\n"
                            "    cluster: standalone\n"
                            "    user: admin\n"
                            "    namespace: default\n"
                            "current-context: standalone\n",
                            is_v6 ? "[" : "", STR_ARG(host), is_v6 ? "]" : "", (int)port, STR_ARG(ca64),
                            STR_ARG(cert64), STR_ARG(key64));
    str old;
    if (fs_read(a, files->kubeconfig, PEM_MAX, &old, NULL) == 0 && str_eq(old, text))
        return 0;
    return fs_write_atomic(files->kubeconfig, text, 0600, err);
}
