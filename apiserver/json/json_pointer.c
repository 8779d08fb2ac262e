/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 6901: "/spec/list/0/a~1b". */
#include "json/internal.h"
#include "json/json_patch.h"

/* ~1 is '/', ~0 is '~', and nothing else follows a '~'. */
static bool unescape(struct arena *a, str token, str *ret)
{
    if (str_index(token, '~') < 0) {
        *ret = token;
        return true;
    }
    char *out = arena_alloc(a, token.len);
    size_t len = 0;
    for (size_t i = 0; i < token.len; i++) {
        char c = token.ptr[i];
        if (c == '~') {
            i++;
            if (i == token.len || (token.ptr[i] != '0' && token.ptr[i] != '1'))
                return false;
            c = token.ptr[i] == '0' ? '~' : '/';
        }
        out[len++] = c;
    }
    *ret = str_of(out, len);
    return true;
}

bool json__path_parse(struct arena *a, str pointer, struct json__path *ret)
{
    ret->count = 0;
    ret->is_too_deep = false;
    if (pointer.len == 0)
        return true;
    if (pointer.ptr[0] != '/')
        return false;
    str rest = str_from_offset(pointer, 1), token;
    bool has_more;
    do {
        str text;
        has_more = str_cut(rest, '/', &token, &rest);
        if (!unescape(a, token, &text))
            return false;
        if (ret->count < ARRAY_LEN(ret->tokens))
            ret->tokens[ret->count++] = text;
        else
            ret->is_too_deep = true;
    } while (has_more);
    return true;
}

bool json__path_index(str token, size_t count, size_t *ret)
{
    uint64_t n;
    if ((token.len > 1 && token.ptr[0] == '0') || !str_to_u64(token, &n) || n >= count)
        return false;
    *ret = (size_t)n;
    return true;
}
