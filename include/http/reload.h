/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate, key and CA files that change while the server runs: looked at now and then, and used when the new
 * material is complete and fits together. Until then the old one serves. Blocking reads: main's thread, never a loop.
 */
#ifndef HTTP_RELOAD_H
#define HTTP_RELOAD_H

#include "http/server.h"

struct http_reload;

struct http_reload_files { /* copied */
    const char *certificate, *private_key;
    const char *client_cas[4]; /* index = bit in http_peer.verified_by */
    size_t client_ca_count;
};

/* Reads everything once. ERRC_INVALID names the file that is wrong. */
int http_reload_new(const struct http_reload_files *files, struct http_reload **ret, struct error *err) MUST_USE;
/* What is in use; valid until the next check. */
const struct http_tls_config *http_reload_tls(const struct http_reload *r);
/*
 * Reads again when a file changed (its identity, size or time) and gives the server the new material. *ret_changed: it
 * did. An error leaves the old material in use; it is reported again only when the files change again.
 */
int http_reload_check(struct http_reload *r, struct http_server *server, bool *ret_changed, struct error *err) MUST_USE;
/* NULL is allowed. */
void http_reload_free(struct http_reload *r);

#endif
