/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON text to tree: the only file that knows yajl. yajl checks the grammar; what it lets pass is checked
 * before (UTF-8, lone surrogates) or while building (depth, number of values, duplicate keys).
 */
#include "json/json_parse.h"

#include <yajl/yajl_parse.h>

#include "base/mem.h"
#include "json/internal.h"

struct parser {
    struct json__tree tree;
    str text; /* our copy, which strings without escapes point into */
};

static void parser_release(struct parser *p)
{
    json__tree_release(&p->tree);
}

DEFINE_CLEANUP(yajl_handle, yajl_free, yajl_freep);

/* yajl unescapes into a buffer of its own, and what it hands out is only good during the call. */
static str keep(struct parser *p, const void *ptr, size_t len)
{
    str s = { ptr, len };
    uintptr_t at = (uintptr_t)ptr, start = (uintptr_t)p->text.ptr;
    if (at >= start && at - start < p->text.len)
        return s;
    return arena_str(p->tree.arena, s);
}

static int on_null(void *self)
{
    return json__tree_add(self, &json_null_value);
}

static int on_boolean(void *self, int value)
{
    return json__tree_add(self, json_bool(value));
}

static int on_number(void *self, const char *ptr, size_t len)
{
    struct parser *p = self;
    return json__tree_text(&p->tree, JSON_NUMBER, keep(p, ptr, len));
}

static int on_string(void *self, const unsigned char *ptr, size_t len)
{
    struct parser *p = self;
    return json__tree_text(&p->tree, JSON_STRING, keep(p, ptr, len));
}

static int on_key(void *self, const unsigned char *ptr, size_t len)
{
    struct parser *p = self;
    return json__tree_key(&p->tree, keep(p, ptr, len));
}

static int on_start_object(void *self)
{
    return json__tree_begin(self, true);
}

static int on_start_array(void *self)
{
    return json__tree_begin(self, false);
}

static int on_end(void *self)
{
    return json__tree_end(self);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_object,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end,
};

/* yajl does not look at what its allocator gives back; ours never gives NULL. */
static void *yajl_alloc_bytes(void *self UNUSED, size_t size)
{
    return mem_realloc(NULL, size);
}

static void *yajl_realloc_bytes(void *self UNUSED, void *p, size_t size)
{
    return mem_realloc(p, size);
}

static void yajl_free_bytes(void *self UNUSED, void *p)
{
    mem_free(p);
}

/* The four hex digits of an escape at p, or -1: then yajl will say what is wrong. */
static int escape_value(const char *p, const char *end)
{
    int value = 0;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'                     ? c - '0'
                    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                             : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/*
 * Offset of the first escape that is half a surrogate pair, or len. yajl would make "?" of it. A backslash
 * stands only in strings, so that no grammar is needed here.
 */
static size_t find_lone_surrogate(str s)
{
    const char *p = s.ptr, *end = s.ptr + s.len;
    while (p < end && (p = memchr(p, '\\', (size_t)(end - p)))) {
        int value = escape_value(p, end);
        if (value >= 0xDC00 && value <= 0xDFFF)
            return (size_t)(p - s.ptr);
        if (value >= 0xD800 && value <= 0xDBFF) {
            int low = escape_value(p + 6, end);
            if (low < 0xDC00 || low > 0xDFFF)
                return (size_t)(p - s.ptr);
            p += 12;
        } else {
            p += 2;
        }
    }
    return s.len;
}

static int check_text(str text, struct error *err)
{
    size_t at = json__utf8_valid_up_to(text);
    if (at < text.len)
        return error_set(err, ERRC_INVALID, "invalid JSON at byte %zu: text is not UTF-8", at);
    at = find_lone_surrogate(text);
    if (at < text.len)
        return error_set(err, ERRC_INVALID, "invalid JSON at byte %zu: lone surrogate in a \\u escape", at);
    return 0;
}

/* "lexical error: invalid char in json text.\n" without its first word, full stop and line end. */
static int report(struct parser *p, yajl_handle handle, struct error *err)
{
    if (p->tree.rc)
        return p->tree.rc;
    unsigned char *found = yajl_get_error(handle, 0, NULL, 0);
    str why = str_trim(str_from((const char *)found));
    ptrdiff_t colon = str_find(why, S(": "));
    if (colon >= 0)
        why = str_from_offset(why, (size_t)colon + 2);
    if (str_has_suffix(why, S(".")))
        why.len--;
    /* yajl counts from the start again when it is told that there is no more. */
    size_t at = str_eq(why, S("premature EOF")) ? p->text.len : yajl_get_bytes_consumed(handle);
    int rc = error_set(err, ERRC_INVALID, "invalid JSON at byte %zu: %.*s", at, STR_ARG(why));
    yajl_free_error(handle, found);
    return rc;
}

int json_parse(struct arena *a, str text, struct json_notes *notes, const struct json **ret, struct error *err)
{
    CLEANUP(parser_release) struct parser p;
    json__tree_init(&p.tree, a, notes, err);
    p.text = arena_str(a, text);
    int rc = check_text(p.text, err);
    if (rc)
        return rc;
    yajl_alloc_funcs functions = { yajl_alloc_bytes, yajl_realloc_bytes, yajl_free_bytes, NULL };
    CLEANUP(yajl_freep) yajl_handle handle = yajl_alloc(&callbacks, &functions, &p);
    yajl_config(handle, yajl_dont_validate_strings, 1);
    yajl_status status = yajl_parse(handle, (const unsigned char *)p.text.ptr, p.text.len);
    if (status == yajl_status_ok)
        status = yajl_complete_parse(handle);
    if (status != yajl_status_ok)
        return report(&p, handle, err);
    *ret = p.tree.root;
    return 0;
}
