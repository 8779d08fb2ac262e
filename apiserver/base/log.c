/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes one line in a buffer on the stack and writes it with one write(2), so that lines of several
 * threads do not mix and logging allocates nothing. A line that would be longer than 8 KiB loses the end
 * of its texts, stays well-formed and says `truncated`.
 */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

#define LINE_MAX_BYTES 8192u
/* Kept free while fields are written, for what closes a line. */
#define LINE_TAIL_BYTES 40u
#define LINE_BODY_BYTES (LINE_MAX_BYTES - LINE_TAIL_BYTES)

struct line {
    size_t len;
    bool is_json;
    bool is_cut;
    char bytes[LINE_MAX_BYTES];
};

static atomic_int current_level = LOG_LEVEL_INFO;
static atomic_bool wants_json = true;

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

void log_setup(enum log_level level, enum log_format format)
{
    bool is_json = format == LOG_FORMAT_JSON || (format == LOG_FORMAT_AUTO && !isatty(STDERR_FILENO));
    atomic_store_explicit(&wants_json, is_json, memory_order_relaxed);
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

bool log_is_on(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

/* All of s or nothing. */
static bool put(struct line *l, str s)
{
    if (s.len + l->len > LINE_BODY_BYTES) {
        l->is_cut = true;
        return false;
    }
    if (s.len)
        memcpy(l->bytes + l->len, s.ptr, s.len);
    l->len += s.len;
    return true;
}

static void put_tail(struct line *l, str s)
{
    memcpy(l->bytes + l->len, s.ptr, s.len);
    l->len += s.len;
}

/* Writes the first character of s and gives its length in s; 0 when the line is full. */
static size_t put_char(struct line *l, str s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    size_t len = utf8_len(s);
    char escape[8];
    if (len == 0)
        return put(l, S("\\ufffd")) ? 1 : 0;
    if (c == '"' || c == '\\')
        return put(l, c == '"' ? S("\\\"") : S("\\\\")) ? 1 : 0;
    if (c == '\n' || c == '\t' || c == '\r')
        return put(l, c == '\n' ? S("\\n") : c == '\t' ? S("\\t") : S("\\r")) ? 1 : 0;
    /* C1 controls too: a terminal may obey them. */
    bool is_c1 = c == 0xc2 && (unsigned char)s.ptr[1] < 0xa0;
    if (c < 0x20 || c == 0x7f || is_c1) {
        unsigned code = is_c1 ? (unsigned char)s.ptr[1] : c;
        (void)snprintf(escape, sizeof(escape), "\\u%04x", code);
        return put(l, str_from(escape)) ? len : 0;
    }
    return put(l, str_first(s, len)) ? len : 0;
}

static void put_quoted(struct line *l, str s)
{
    if (!put(l, S("\"")))
        return;
    for (size_t n; s.len; s = str_from_offset(s, n)) {
        n = put_char(l, s);
        if (n == 0)
            break;
    }
    /* Fits always: into the tail at worst, and then no other field follows. */
    put_tail(l, S("\""));
}

static bool is_plain(str s)
{
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=')
            return false;
    }
    return true;
}

static void put_value(struct line *l, const struct log_field *f)
{
    char number[24];
    switch (f->type) {
    case LOG_FIELD_INT:
        (void)snprintf(number, sizeof(number), "%lld", (long long)f->number);
        (void)put(l, str_from(number));
        break;
    case LOG_FIELD_BOOL: (void)put(l, f->number ? S("true") : S("false")); break;
    case LOG_FIELD_STR:
        if (l->is_json || !is_plain(f->text) || !put(l, f->text))
            put_quoted(l, f->text);
        break;
    }
}

static void put_field(struct line *l, const struct log_field *f)
{
    str key = str_from(f->key);
    /* A key never stands without its value: room for both, or at least for the start of a text. */
    if (l->is_cut || key.len + 40 + l->len > LINE_BODY_BYTES) {
        l->is_cut = true;
        return;
    }
    (void)put(l, l->is_json ? S(",\"") : S(" "));
    (void)put(l, key);
    (void)put(l, l->is_json ? S("\":") : S("="));
    put_value(l, f);
}

static void put_head(struct line *l, enum log_level level, const char *event)
{
    int64_t now = clock_realtime_ns();
    time_t seconds = (time_t)(now / NS_PER_S);
    struct tm tm;
    char time[64];
    (void)gmtime_r(&seconds, &tm);
    size_t len = strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(time + len, sizeof(time) - len, ".%06dZ", (int)(now % NS_PER_S / 1000));
    (void)put(l, l->is_json ? S("{\"time\":\"") : S(""));
    (void)put(l, str_from(time));
    (void)put(l, l->is_json ? S("\",\"level\":\"") : S(" "));
    (void)put(l, str_from(level_names[level]));
    (void)put(l, l->is_json ? S("\",\"msg\":") : S(" "));
    put_quoted(l, str_from(event));
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
    struct line l;
    l.len = 0;
    l.is_cut = false;
    l.is_json = atomic_load_explicit(&wants_json, memory_order_relaxed);
    int saved = errno;
    put_head(&l, level, event);
    for (size_t i = 0; i < count; i++)
        put_field(&l, &fields[i]);
    if (l.is_cut)
        put_tail(&l, l.is_json ? S(",\"truncated\":true") : S(" truncated=true"));
    put_tail(&l, l.is_json ? S("}\n") : S("\n"));
    /* A line that cannot be written is lost: there is nowhere to say so, and the program must go on. */
    while (write(STDERR_FILENO, l.bytes, l.len) < 0 && errno == EINTR)
        continue;
    errno = saved;
}
