/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tree to YAML block style, as kubectl shows it: lists at the indentation of their key, texts plain when every
 * reader takes them for texts, of several lines as literal blocks, and quoted in all other cases.
 */
#include "base/utf8.h"
#include "json/internal.h"
#include "json/json_write.h"

#define STEP 2
/* libyaml wants the ':' of a key within 1024 characters. */
#define KEY_MAX 1000

static void put_indent(struct strbuf *out, size_t indent)
{
    char *to = strbuf_reserve(out, indent);
    if (!to)
        return;
    memset(to, ' ', indent);
    strbuf_grow(out, indent);
}

static uint32_t decode(const char *p, size_t len)
{
    const unsigned char *u = (const unsigned char *)p;
    switch (len) {
    case 1: return u[0];
    case 2: return (uint32_t)(u[0] & 0x1F) << 6 | (u[1] & 0x3F);
    case 3: return (uint32_t)(u[0] & 0x0F) << 12 | (uint32_t)(u[1] & 0x3F) << 6 | (u[2] & 0x3F);
    default:
        return (uint32_t)(u[0] & 0x07) << 18 | (uint32_t)(u[1] & 0x3F) << 12 | (uint32_t)(u[2] & 0x3F) << 6 |
               (u[3] & 0x3F);
    }
}

/* What YAML reads as itself inside quotes: no control characters, no line ends, no byte order mark. */
static bool is_printable(uint32_t c)
{
    if (c < 0x7F)
        return c >= 0x20;
    return c >= 0xA0 && c != 0x2028 && c != 0x2029 && c != 0xFEFF && c != 0xFFFE && c != 0xFFFF;
}

static bool is_printable_text(str s, bool allows_line_ends)
{
    for (size_t i = 0, len; i < s.len; i += len) {
        len = utf8_len(str_from_offset(s, i));
        if (len == 0)
            return false;
        uint32_t c = decode(s.ptr + i, len);
        if (!is_printable(c) && !(allows_line_ends && c == '\n'))
            return false;
    }
    return true;
}

/* JSON's escapes are YAML's too; more characters need one. */
static void put_quoted(struct strbuf *out, str s)
{
    if (is_printable_text(s, true)) {
        json_write_string(out, s);
        return;
    }
    strbuf_add_char(out, '"');
    for (size_t i = 0, len; i < s.len; i += len) {
        len = utf8_len(str_from_offset(s, i));
        uint32_t c = len ? decode(s.ptr + i, len) : 0xFFFD;
        len = len ? len : 1;
        if (c == '"' || c == '\\')
            strbuf_addf(out, "\\%c", (char)c);
        else if (is_printable(c))
            strbuf_add(out, str_of(s.ptr + i, len));
        else
            strbuf_addf(out, "\\u%04x", c);
    }
    strbuf_add_char(out, '"');
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Starts like a number and has nothing in it but what numbers, dates and times have. */
static bool may_be_number(str s)
{
    bool starts_so = (s.ptr[0] >= '0' && s.ptr[0] <= '9') || s.ptr[0] == '-' || s.ptr[0] == '+' || s.ptr[0] == '.';
    return starts_so && str_is_all_of(s, S("0123456789abcdefABCDEFxXoO_+-.:tTzZ "));
}

static bool starts_plain(str s)
{
    char c = s.ptr[0];
    return is_alnum(c) || c == '_' || c == '/' || c == '$' || (c == '-' && s.len > 1 && is_alnum(s.ptr[1]));
}

/* False in doubt: quotes are always right. */
static bool is_plain(str s)
{
    if (s.len == 0 || s.len > KEY_MAX || json__yaml_is_word(s) || may_be_number(s) || !starts_plain(s))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i], next = i + 1 < s.len ? s.ptr[i + 1] : ' ';
        bool is_last = i + 1 == s.len;
        if (c < 0x20 || c > 0x7E || (c == ':' && next == ' ') || (c == ' ' && (next == '#' || is_last)))
            return false;
    }
    return true;
}

/* Several lines, none of which needs more than its indentation to be read back. */
static bool is_literal(str s)
{
    return str_index(s, '\n') > 0 && s.ptr[0] != ' ' && str_find(s, S(" \n")) < 0 && s.ptr[s.len - 1] != ' ' &&
           is_printable_text(s, true);
}

static void put_literal(struct strbuf *out, str s, size_t indent)
{
    bool ends_line = str_has_suffix(s, S("\n"));
    strbuf_add(out, !ends_line ? S("|-") : str_has_suffix(s, S("\n\n")) ? S("|+") : S("|"));
    str rest = ends_line ? str_first(s, s.len - 1) : s, line;
    bool has_more;
    do {
        has_more = str_cut(rest, '\n', &line, &rest);
        strbuf_add_char(out, '\n');
        if (line.len)
            put_indent(out, indent);
        strbuf_add(out, line);
    } while (has_more);
}

static void put_text(struct strbuf *out, str s, size_t indent)
{
    if (is_plain(s))
        strbuf_add(out, s);
    else if (is_literal(s))
        put_literal(out, s, indent);
    else
        put_quoted(out, s);
}

static void put_key(struct strbuf *out, str key, size_t indent)
{
    if (is_plain(key)) {
        strbuf_add(out, key);
        strbuf_add_char(out, ':');
        return;
    }
    STRBUF_AUTO quoted = STRBUF_INIT(LIMIT_LIST_BYTES);
    put_quoted(&quoted, key);
    bool is_long = quoted.len > KEY_MAX;
    strbuf_add(out, is_long ? S("? ") : S(""));
    strbuf_add(out, strbuf_str(&quoted));
    if (is_long) {
        strbuf_add_char(out, '\n');
        put_indent(out, indent);
    }
    strbuf_add_char(out, ':');
}

/* Of one line, or a literal block with its lines at indent. */
static void put_leaf(struct strbuf *out, const struct json *v, size_t indent)
{
    switch (v->type) {
    case JSON_STRING: put_text(out, v->text, indent); break;
    case JSON_OBJECT: strbuf_add(out, S("{}")); break;
    case JSON_ARRAY: strbuf_add(out, S("[]")); break;
    default: json_write(out, v); break;
    }
    strbuf_add_char(out, '\n');
}

static void put_array(struct strbuf *out, const struct json *v, size_t indent);

/* The first line is indented already. */
static void put_object(struct strbuf *out, const struct json *v, size_t indent)
{
    for (size_t i = 0; i < v->count; i++) {
        const struct json *value = v->members[i].value;
        if (i)
            put_indent(out, indent);
        put_key(out, v->members[i].key, indent);
        if (json_count(value) == 0) {
            strbuf_add_char(out, ' ');
            put_leaf(out, value, indent + STEP);
            continue;
        }
        bool is_object = value->type == JSON_OBJECT;
        strbuf_add_char(out, '\n');
        put_indent(out, is_object ? indent + STEP : indent);
        if (is_object)
            put_object(out, value, indent + STEP);
        else
            put_array(out, value, indent);
    }
}

static void put_array(struct strbuf *out, const struct json *v, size_t indent)
{
    for (size_t i = 0; i < v->count; i++) {
        const struct json *item = v->items[i];
        if (i)
            put_indent(out, indent);
        strbuf_add(out, S("- "));
        if (json_count(item) == 0)
            put_leaf(out, item, indent + STEP);
        else if (item->type == JSON_OBJECT)
            put_object(out, item, indent + STEP);
        else
            put_array(out, item, indent + STEP);
    }
}

void json_write_yaml(struct strbuf *out, const struct json *v)
{
    if (!v)
        v = &json_null_value;
    if (json_count(v) == 0)
        put_leaf(out, v, STEP);
    else if (v->type == JSON_OBJECT)
        put_object(out, v, 0);
    else
        put_array(out, v, 0);
}
