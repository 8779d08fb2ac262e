/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tree to JSON text. The writer keeps its place in the buffer in two pointers and asks the strbuf only for
 * more room, because responses and stored objects are made of many short tokens.
 */
#include "json/json_write.h"

#include "json/internal.h"

struct out {
    struct strbuf *buf;
    char *p, *end; /* room behind buf->len; both NULL at first and when the buffer is full */
    bool is_pretty;
    size_t indent;
};

static const char hex[] = "0123456789abcdef";

static void flush(struct out *o)
{
    if (!o->p)
        return;
    strbuf_grow(o->buf, (size_t)(o->p - (o->buf->ptr + o->buf->len)));
    o->p = o->end = NULL;
}

static bool refill(struct out *o, size_t n)
{
    flush(o);
    o->p = strbuf_reserve(o->buf, n);
    if (!o->p)
        return false;
    o->end = o->buf->ptr + o->buf->cap - 1;
    return true;
}

/* False when the text is full: what was to be written is dropped. */
static inline bool has_room(struct out *o, size_t n)
{
    return (size_t)(o->end - o->p) >= n || refill(o, n);
}

static inline void put(struct out *o, const char *bytes, size_t len)
{
    if (!has_room(o, len))
        return;
    memcpy(o->p, bytes, len);
    o->p += len;
}

static inline void put_char(struct out *o, char c)
{
    if (has_room(o, 1))
        *o->p++ = c;
}

static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

/* The high bit of each byte that is zero in x; borrows may add false ones behind a true one. */
static inline uint64_t zero_bytes(uint64_t x)
{
    return (x - ONES) & ~x & HIGHS;
}

/* Length of the run without anything to escape, eight bytes at a time. */
static size_t plain_run(const char *s, size_t len)
{
    size_t i = 0;
    for (; len - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, s + i, sizeof(word));
        uint64_t is_control = (word - ONES * 0x20) & ~word & HIGHS;
        if (is_control | zero_bytes(word ^ (ONES * '"')) | zero_bytes(word ^ (ONES * '\\')))
            break;
    }
    while (i < len && is_plain((unsigned char)s[i]))
        i++;
    return i;
}

static void put_escape(struct out *o, unsigned char c)
{
    char text[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
    size_t len = 2;
    switch (c) {
    case '"': text[1] = '"'; break;
    case '\\': text[1] = '\\'; break;
    case '\b': text[1] = 'b'; break;
    case '\f': text[1] = 'f'; break;
    case '\n': text[1] = 'n'; break;
    case '\r': text[1] = 'r'; break;
    case '\t': text[1] = 't'; break;
    default: len = sizeof(text);
    }
    put(o, text, len);
}

static void put_escaped(struct out *o, str s)
{
    put_char(o, '"');
    for (size_t i = 0; i < s.len;) {
        size_t run = plain_run(s.ptr + i, s.len - i);
        if (run)
            put(o, s.ptr + i, run);
        i += run;
        if (i < s.len)
            put_escape(o, (unsigned char)s.ptr[i++]);
    }
    put_char(o, '"');
}

static void put_string(struct out *o, str s)
{
    if (plain_run(s.ptr, s.len) < s.len) {
        put_escaped(o, s);
        return;
    }
    if (!has_room(o, s.len + 2))
        return;
    *o->p++ = '"';
    if (s.len)
        memcpy(o->p, s.ptr, s.len);
    o->p += s.len;
    *o->p++ = '"';
}

static void put_line(struct out *o)
{
    if (!o->is_pretty)
        return;
    put_char(o, '\n');
    for (size_t i = 0; i < o->indent; i++)
        put(o, "  ", 2);
}

static void put_value(struct out *o, const struct json *v);

static void put_object(struct out *o, const struct json *v)
{
    put_char(o, '{');
    o->indent++;
    for (size_t i = 0; i < v->count; i++) {
        if (i)
            put_char(o, ',');
        put_line(o);
        put_string(o, v->members[i].key);
        put(o, ": ", o->is_pretty ? 2 : 1);
        put_value(o, v->members[i].value);
    }
    o->indent--;
    if (v->count)
        put_line(o);
    put_char(o, '}');
}

static void put_array(struct out *o, const struct json *v)
{
    put_char(o, '[');
    o->indent++;
    for (size_t i = 0; i < v->count; i++) {
        if (i)
            put_char(o, ',');
        put_line(o);
        put_value(o, v->items[i]);
    }
    o->indent--;
    if (v->count)
        put_line(o);
    put_char(o, ']');
}

static void put_value(struct out *o, const struct json *v)
{
    switch (v->type) {
    case JSON_NULL: put(o, "null", 4); break;
    case JSON_BOOL: put(o, v->boolean ? "true" : "false", v->boolean ? 4 : 5); break;
    case JSON_NUMBER: put(o, v->text.ptr, v->text.len); break;
    case JSON_STRING: put_string(o, v->text); break;
    case JSON_ARRAY: put_array(o, v); break;
    case JSON_OBJECT: put_object(o, v); break;
    }
}

void json_write(struct strbuf *out, const struct json *v)
{
    struct out o = { .buf = out };
    put_value(&o, v ? v : &json_null_value);
    flush(&o);
}

void json_write_pretty(struct strbuf *out, const struct json *v)
{
    struct out o = { .buf = out, .is_pretty = true };
    put_value(&o, v ? v : &json_null_value);
    flush(&o);
}

void json_write_string(struct strbuf *out, str text)
{
    struct out o = { .buf = out };
    put_string(&o, text);
    flush(&o);
}

str json_text(struct arena *a, const struct json *v)
{
    STRBUF_AUTO text = STRBUF_INIT(LIMIT_LIST_BYTES);
    json_write(&text, v);
    return strbuf_to_arena(&text, a);
}
