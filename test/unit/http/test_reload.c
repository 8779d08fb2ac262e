/* SPDX-License-Identifier: Apache-2.0 */
/* Rotation of files under a running server. */
#include "rig.h"

#include <unistd.h>

#include "harness/temp_dir.h"
#include "http/reload.h"

static void write_file(struct rig *rig, const struct temp_dir *d, const char *name, str text)
{
    struct error e;
    CHECK_OK(fs_write_atomic(TEMP_PATH(rig->arena, *d, name), text, 0600, &e), e);
}

static void write_pair(struct rig *rig, const struct temp_dir *d, const struct pki_pair *pair)
{
    write_file(rig, d, "tls.crt", pair->certificate_pem);
    write_file(rig, d, "tls.key", pair->private_key_pem);
}

static struct http_reload *start(struct rig *rig, const struct temp_dir *d)
{
    struct error e;
    struct http_reload *r = NULL;
    write_pair(rig, d, &rig->serving);
    write_file(rig, d, "ca.crt", rig->ca.certificate_pem);
    struct http_reload_files files = { .certificate = TEMP_PATH(rig->arena, *d, "tls.crt"),
                                       .private_key = TEMP_PATH(rig->arena, *d, "tls.key"),
                                       .client_cas = { TEMP_PATH(rig->arena, *d, "ca.crt") },
                                       .client_ca_count = 1 };
    CHECK_OK(http_reload_new(&files, &r, &e), e);
    rig_start(rig, (struct http_server_options) { .tls = *http_reload_tls(r) });
    return r;
}

/* 1: changed; 0: not; negative: the error. */
static int check(struct http_reload *r, struct rig *rig, struct error *e)
{
    bool is_changed = true;
    int result = http_reload_check(r, rig->server, &is_changed, e);
    cr_assert(result == 0 || !is_changed);
    return result < 0 ? result : is_changed;
}

static str seen_name(struct rig *rig)
{
    struct client *c = client_open(rig, false, NULL);
    X509 *leaf = SSL_get1_peer_certificate(c->ssl);
    char name[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, name, sizeof(name));
    X509_free(leaf);
    client_free(c);
    return arena_str(rig->arena, str_from(name));
}

static bool is_served(struct rig *rig, const char *name)
{
    return BECOMES(str_eq_z(seen_name(rig), name));
}

Test(http_reload, a_rotated_pair_is_served_and_an_open_stream_goes_on)
{
    struct rig *rig = rig_new();
    struct error e;
    TEMP_DIR(d);
    struct http_reload *r = start(rig, &d);
    struct client *watcher = client_open(rig, false, &rig->client);
    client_write_z(watcher, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(client_read_until(watcher, "\r\n\r\n"));
    cr_assert_eq(check(r, rig, &e), 0);
    struct pki_pair next = rig_issue(rig, &rig->ca, "second", true);
    write_pair(rig, &d, &next);
    cr_assert_eq(check(r, rig, &e), 1, "%s", e.text);
    cr_assert_eq(check(r, rig, &e), 0);
    cr_assert(is_served(rig, "second"));
    rig_send(&rig->streams[0], "not cut\n");
    cr_assert(client_read_until(watcher, "not cut\n"));
    client_free(watcher);
    rig_free(rig);
    http_reload_free(r);
}

Test(http_reload, half_a_rotation_keeps_the_old_pair_and_is_reported_once)
{
    struct rig *rig = rig_new();
    struct error e;
    TEMP_DIR(d);
    struct http_reload *r = start(rig, &d);
    struct pki_pair next = rig_issue(rig, &rig->ca, "second", true);
    write_file(rig, &d, "tls.crt", next.certificate_pem);
    cr_assert_eq(check(r, rig, &e), ERRC_INVALID);
    CHECK_HAS(str_from(e.text), "serving key");
    cr_assert_eq(check(r, rig, &e), 0);
    cr_assert(str_eq(seen_name(rig), S("server")));
    write_file(rig, &d, "tls.crt", S("rubbish"));
    cr_assert_eq(check(r, rig, &e), ERRC_INVALID);
    CHECK_HAS(str_from(e.text), "serving certificate");
    (void)unlink(TEMP_PATH(rig->arena, d, "tls.crt"));
    cr_assert_eq(check(r, rig, &e), ERRC_NOT_FOUND);
    cr_assert_eq(check(r, rig, &e), 0);
    write_pair(rig, &d, &next);
    cr_assert_eq(check(r, rig, &e), 1);
    cr_assert(is_served(rig, "second"));
    rig_free(rig);
    http_reload_free(r);
}

Test(http_reload, a_new_client_ca_counts_for_new_connections)
{
    struct rig *rig = rig_new();
    struct error e;
    TEMP_DIR(d);
    struct http_reload *r = start(rig, &d);
    struct rig_call call = { .path = "/peer", .certificate = &rig->stranger };
    CHECK_HAS(rig_call(rig, &call).body, "0 mallory");
    write_file(
        rig, &d, "ca.crt",
        arena_printf(rig->arena, "%.*s%.*s", STR_ARG(rig->ca.certificate_pem), STR_ARG(rig->other_ca.certificate_pem)));
    cr_assert_eq(check(r, rig, &e), 1);
    cr_assert(BECOMES(str_has_prefix(rig_call(rig, &call).body, S("1 mallory"))));
    write_file(rig, &d, "ca.crt", S("no certificate at all"));
    cr_assert_eq(check(r, rig, &e), ERRC_INVALID);
    CHECK_HAS(str_from(e.text), "client CA");
    rig_free(rig);
    http_reload_free(r);
}

Test(http_reload, missing_files_are_an_error_at_the_start)
{
    struct error e;
    struct http_reload_files files = { .certificate = "/nonexistent/tls.crt", .private_key = "/nonexistent/tls.key" };
    struct http_reload *r = NULL;
    CHECK_FAILS(http_reload_new(&files, &r, &e), ERRC_NOT_FOUND);
    cr_assert(r == NULL);
    CHECK_HAS(str_from(e.text), "/nonexistent/tls.crt");
    files.client_ca_count = 5;
    CHECK_FAILS(http_reload_new(&files, &r, &e), ERRC_INVALID);
}
