/* SPDX-License-Identifier: Apache-2.0 */
/* CSV (RFC 4180) of the token file: fields may be quoted, "" inside quotes is one quote. */
#include "auth/token_file.h"

#define FIELDS_MAX 4

struct fields {
    str items[FIELDS_MAX];
    size_t count;
};

/* One field from the front of *rest; what follows it (a comma or the end) stays. */
static bool take_field(struct arena *a, str *rest, str *ret)
{
    if (!str_has_prefix(*rest, S("\""))) {
        ptrdiff_t comma = str_index(*rest, ',');
        size_t len = comma < 0 ? rest->len : (size_t)comma;
        *ret = str_trim(str_first(*rest, len));
        *rest = str_from_offset(*rest, len);
        return true;
    }
    char *out = arena_alloc(a, rest->len + 1);
    size_t len = 0, i = 1;
    for (; i < rest->len; i++) {
        if (rest->ptr[i] != '"') {
            out[len++] = rest->ptr[i];
            continue;
        }
        if (i + 1 >= rest->len || rest->ptr[i + 1] != '"')
            break;
        out[len++] = '"';
        i++;
    }
    if (i >= rest->len)
        return false;
    *ret = str_of(out, len);
    *rest = str_from_offset(*rest, i + 1);
    return str_is_empty(*rest) || rest->ptr[0] == ',';
}

static bool split_line(struct arena *a, str line, struct fields *ret)
{
    ret->count = 0;
    for (str rest = line;;) {
        if (ret->count == FIELDS_MAX || !take_field(a, &rest, &ret->items[ret->count++]))
            return false;
        if (str_is_empty(rest))
            return true;
        rest = str_from_offset(rest, 1);
    }
}

static void split_groups(struct arena *a, str text, struct api_user *ret)
{
    size_t n = 1;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == ',';
    str *groups = arena_array_of(a, str, n);
    for (str rest = text, group; str_next_field(&rest, ',', &group);) {
        group = str_trim(group);
        if (!str_is_empty(group))
            groups[ret->group_count++] = group;
    }
    ret->groups = groups;
}

int token_file_parse(struct arena *a, str text, void (*on_entry)(void *self, const struct token_entry *entry),
                     void *self, struct error *err)
{
    size_t number = 0;
    for (str rest = text, line; str_next_field(&rest, '\n', &line);) {
        number++;
        line = str_trim(line);
        if (str_is_empty(line))
            continue;
        struct fields f;
        if (!split_line(a, line, &f) || f.count < 3)
            return error_set(err, ERRC_INVALID, "line %zu: must be token,user,uid,\"groups\"", number);
        if (str_is_empty(f.items[0]) || str_is_empty(f.items[1]))
            return error_set(err, ERRC_INVALID, "line %zu: token and user must not be empty", number);
        struct token_entry entry = { .token = f.items[0], .user = { .name = f.items[1], .uid = f.items[2] } };
        if (f.count == 4)
            split_groups(a, f.items[3], &entry.user);
        on_entry(self, &entry);
    }
    return 0;
}
