/* SPDX-License-Identifier: Apache-2.0 */
/* The authenticators in their order: x509, token file, anonymous (k8s.io/apiserver authentication/request/union). */
#include "auth/auth.h"

#include "auth/token_file.h"
#include "base/clock.h"
#include "base/mem.h"

#define GROUP_AUTHENTICATED S("system:authenticated")

struct auth {
    struct token_file *tokens; /* NULL: none */
};

int auth_new(const char *token_file, struct auth **ret, struct error *err)
{
    struct token_file *tokens = NULL;
    int r = token_file ? token_file_open(token_file, &tokens, err) : 0;
    if (r < 0)
        return r;
    struct auth *auth = mem_new_of(struct auth);
    auth->tokens = tokens;
    *ret = auth;
    return 0;
}

void auth_free(struct auth *auth)
{
    if (!auth)
        return;
    token_file_close(auth->tokens);
    mem_free(auth);
}

static struct status *unauthorized(struct arena *a)
{
    return status_new(a, STATUS_UNAUTHORIZED, "Unauthorized");
}

/* user = CN, groups = O (kube-apiserver's x509 CommonNameUserConversion). */
static void from_certificate(struct arena *a, const struct auth_certificate *certificate, struct api_user *ret)
{
    str *groups = arena_array_of(a, str, certificate->organization_count + 1);
    for (size_t i = 0; i < certificate->organization_count; i++)
        groups[i] = certificate->organizations[i];
    groups[certificate->organization_count] = GROUP_AUTHENTICATED;
    *ret = (struct api_user) {
        .name = certificate->common_name,
        .groups = groups,
        .group_count = certificate->organization_count + 1,
    };
}

static bool bearer_token(str authorization, str *ret)
{
    str scheme, token;
    if (!str_cut(str_trim(authorization), ' ', &scheme, &token) || !str_eq_nocase(scheme, S("bearer")))
        return false;
    *ret = str_trim(token);
    return !str_is_empty(*ret);
}

static bool from_token(struct auth *auth, struct arena *a, str token, struct api_user *ret)
{
    if (!auth->tokens || !token_file_find(auth->tokens, a, token, ret))
        return false;
    str *groups = arena_array_of(a, str, ret->group_count + 1);
    for (size_t i = 0; i < ret->group_count; i++)
        groups[i] = ret->groups[i];
    groups[ret->group_count] = GROUP_AUTHENTICATED;
    ret->groups = groups;
    ret->group_count++;
    return true;
}

static void anonymous(struct api_user *ret)
{
    static const str groups[] = { S_INIT("system:unauthenticated") };
    *ret = (struct api_user) { .name = S("system:anonymous"), .groups = groups, .group_count = ARRAY_LEN(groups) };
}

struct status *auth_user(struct auth *auth, struct arena *a, const struct auth_certificate *certificate,
                         str authorization, struct api_user *ret)
{
    /* As kube-apiserver: what was presented and is no good does not make somebody nobody. */
    bool is_wrong = certificate && !certificate->is_verified;
    if (certificate && certificate->is_verified && !str_is_empty(certificate->common_name)) {
        /* Verified at the handshake; a long connection may outlive the certificate. */
        if (certificate->not_after_s > clock_realtime_ns() / NS_PER_S) {
            from_certificate(a, certificate, ret);
            return NULL;
        }
        is_wrong = true;
    }
    str token;
    if (bearer_token(authorization, &token)) {
        if (from_token(auth, a, token, ret))
            return NULL;
        is_wrong = true;
    }
    if (is_wrong)
        return unauthorized(a);
    anonymous(ret);
    return NULL;
}
