/* SPDX-License-Identifier: Apache-2.0 */
/* The token between the pages of a list: k8s.io/apiserver's storage/continue.go form, opaque to clients. */
#include "base/base64.h"
#include "handlers/internal.h"
#include "meta/names.h"
#include "json/json_parse.h"
#include "json/json_write.h"

#define TOKEN_MAX 2048
#define TOKEN_VERSION S("meta.k8s.io/v1")

str continue_token_write(struct arena *a, const struct continue_token *t)
{
    /* The next key is behind the last one: its text and a NUL. */
    str start = { 0 };
    char *text = arena_alloc(a, t->start.len + 1);
    memcpy(text, t->start.ptr, t->start.len);
    start = str_of(text, t->start.len + 1);
    int64_t version = t->version == 0 ? -1 : (int64_t)t->version;
    return base64url_encode(a, json_text(a, JSON_OBJECT_OF(a, JSON_MEMBER("v", json_string(a, TOKEN_VERSION)),
                                                           JSON_MEMBER("rv", json_int(a, version)),
                                                           JSON_MEMBER("start", json_string(a, start)))));
}

/* One or two segments of a key: what follows the prefix of a resource or namespace. */
static bool is_relative_key(str key)
{
    str head, tail;
    if (!str_cut(key, '/', &head, &tail))
        return !str_is_empty(key) && !names_check_path_segment(key);
    return !str_is_empty(head) && !names_check_path_segment(head) && !str_is_empty(tail) &&
           !names_check_path_segment(tail);
}

int continue_token_read(struct arena *a, str text, struct continue_token *ret, struct error *err)
{
    str decoded;
    const struct json *tree;
    if (text.len > TOKEN_MAX || !base64url_decode(a, text, &decoded))
        return error_set(err, ERRC_INVALID, "continue key is not valid: not base64url");
    if (json_parse(a, decoded, NULL, &tree, NULL) < 0)
        return error_set(err, ERRC_INVALID, "continue key is not valid: not JSON");
    if (!str_eq(json_str_at(tree, "v"), TOKEN_VERSION))
        return error_set(err, ERRC_INVALID,
                         "continue key is not valid: server does not recognize this encoded version");
    int64_t version = json_int_at(tree, "rv", 0);
    if (version == 0 || version < -1)
        return error_set(err, ERRC_INVALID, "continue key is not valid: incorrect encoded start resourceVersion");
    str start = json_str_at(tree, "start");
    if (start.len < 2 || start.ptr[start.len - 1] != '\0' || !is_relative_key(str_first(start, start.len - 1)))
        return error_set(err, ERRC_INVALID, "continue key is not valid: incorrect encoded start key");
    *ret =
        (struct continue_token) { .version = version < 0 ? 0 : (rv)version, .start = str_first(start, start.len - 1) };
    return 0;
}
