/* SPDX-License-Identifier: Apache-2.0 */
/* The checks, texts and small tools that drivers share. */
#include "storage/driver.h"

#include <inttypes.h>
#include <string.h>

#include "base/limits.h"

int storage__option_u64(str options, str name, uint64_t fallback, uint64_t *ret, struct error *err)
{
    *ret = fallback;
    for (str rest = options, option; str_next_field(&rest, '&', &option);) {
        str key;
        str value;
        (void)str_cut(option, '=', &key, &value);
        if (!str_eq(key, name) || !str_to_u64(value, ret))
            return error_set(err, ERRC_INVALID, "store option \"%.*s\": only \"%.*s=<number>\" is known",
                             STR_ARG(option), STR_ARG(name));
    }
    return 0;
}

int storage__check_write(const struct storage_write *w, struct error *err)
{
    if (w->key.len < 2 || w->key.ptr[0] != '/' || memchr(w->key.ptr, '\0', w->key.len))
        return error_set(err, ERRC_INVALID, "store key \"%.*s\": must begin with a slash", STR_ARG(w->key));
    if (w->key.len > LIMIT_KEY_BYTES)
        return error_set(err, ERRC_TOO_LARGE, "store key of %zu bytes: the limit is %d", w->key.len, LIMIT_KEY_BYTES);
    if (w->kind == STORAGE_DELETE && w->expect == STORAGE_EXPECT_ABSENT)
        return error_set(err, ERRC_INVALID, "\"%.*s\": a deletion must expect a revision", STR_ARG(w->key));
    if (w->kind == STORAGE_PUT && str_is_empty(w->value))
        return error_set(err, ERRC_INVALID, "\"%.*s\": the value is empty", STR_ARG(w->key));
    if (w->kind == STORAGE_PUT && w->value.len > LIMIT_OBJECT_BYTES)
        return error_set(err, ERRC_TOO_LARGE, "\"%.*s\": %zu bytes, the limit is %u", STR_ARG(w->key), w->value.len,
                         LIMIT_OBJECT_BYTES);
    return 0;
}

int storage__not_found(str key, struct error *err)
{
    return error_set(err, ERRC_NOT_FOUND, "\"%.*s\" not found", STR_ARG(key));
}

int storage__check_expectation(const struct storage_write *w, rv revision, struct error *err)
{
    if (w->expect == STORAGE_EXPECT_ABSENT) {
        if (revision != 0)
            return error_set(err, ERRC_EXISTS, "\"%.*s\" already exists", STR_ARG(w->key));
        return 0;
    }
    if (revision == 0)
        return storage__not_found(w->key, err);
    if (revision != w->revision)
        return error_set(err, ERRC_CONFLICT, "\"%.*s\" is at revision %" PRIu64 ", not %" PRIu64, STR_ARG(w->key),
                         revision, w->revision);
    return 0;
}

int storage__check_revision(rv at, rv oldest, rv current, struct error *err)
{
    if (at < oldest)
        return error_set(err, ERRC_TOO_OLD, "revision %" PRIu64 " was compacted, the oldest is %" PRIu64, at, oldest);
    if (at > current)
        return error_set(err, ERRC_INVALID, "revision %" PRIu64 " is in the future, the newest is %" PRIu64, at,
                         current);
    return 0;
}

/* The first text behind all that begin with prefix: the last byte that can grow, grown, and nothing behind it. */
static str end_of(struct arena *a, str prefix)
{
    while (prefix.len > 0 && (unsigned char)prefix.ptr[prefix.len - 1] == 0xff)
        prefix.len--;
    if (prefix.len == 0)
        return prefix;
    char *end = arena_z(a, prefix);
    end[prefix.len - 1]++;
    return str_of(end, prefix.len);
}

struct storage__range storage__range_of(struct arena *a, str prefix, str start_after)
{
    struct storage__range range = { .from = prefix, .end = end_of(a, prefix) };
    /* The first text behind start_after is itself with a NUL added. */
    if (str_cmp(start_after, prefix) >= 0 && !str_is_empty(start_after)) {
        range.from = arena_str(a, start_after);
        range.from.len++;
    }
    return range;
}

int storage__rows_add(struct storage__rows *rows, const struct storage_row *row, struct error *err)
{
    rows->bytes += row->key.len + row->value.len;
    if (rows->bytes > LIMIT_LIST_BYTES)
        return error_set(err, ERRC_TOO_LARGE, "the list has more than %u bytes, ask for fewer at a time",
                         LIMIT_LIST_BYTES);
    if (rows->count == rows->cap) {
        size_t cap = rows->cap > 0 ? rows->cap * 2 : 16;
        struct storage_row *items = arena_array_of(rows->arena, struct storage_row, cap);
        if (rows->count > 0)
            memcpy(items, rows->items, rows->count * sizeof(*items));
        rows->items = items;
        rows->cap = cap;
    }
    struct storage_row *copy = &rows->items[rows->count++];
    *copy = *row;
    copy->key = arena_str(rows->arena, row->key);
    copy->value = arena_str(rows->arena, row->value);
    return 0;
}
