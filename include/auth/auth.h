/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is calling: a client certificate, a bearer token of the token file, or nobody. The first that succeeds wins;
 * credentials that are wrong are refused (401), absent ones make an anonymous user.
 *
 * auth_user runs on any thread, without disk or network.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "apiserver/api.h"

struct auth;

/*
 * token_file: CSV lines `token,user,uid,"group1,group2"` (kube-apiserver's --token-auth-file), read again whenever it
 * changes; a broken one is logged and the old content stays. NULL: no tokens. Fails when the file cannot be read now.
 */
int auth_new(const char *token_file, struct auth **ret, struct error *err) MUST_USE;
/* Stops the thread that watches the file. NULL is allowed. */
void auth_free(struct auth *auth);
DEFINE_CLEANUP(struct auth *, auth_free, auth_freep);

/* What TLS found out about the peer. */
struct auth_certificate {
    bool is_verified; /* chains to the client CA */
    int64_t not_after_s;
    str common_name;
    const str *organizations;
    size_t organization_count;
};

/* NULL, or the 401. certificate may be NULL; authorization is the header's value. Texts live in the arena. */
struct status *auth_user(struct auth *auth, struct arena *a, const struct auth_certificate *certificate,
                         str authorization, struct api_user *ret);

#endif
