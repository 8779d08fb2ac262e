/* SPDX-License-Identifier: Apache-2.0 */
/* Texts for people and for JSON: see reconcile/text.h. */
#include "reconcile/text.h"

#include "base/mem.h"
#include "base/strbuf.h"

#define LINE_MAX_BYTES 4096
#define LINES_MAX 16

const struct json *text_or_none(struct arena *a, str s)
{
    return s.len ? json_string(a, s) : NULL;
}

const struct json *text_array(struct arena *a, const str *texts, size_t count)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < count; i++)
        json_builder_add(&b, S(""), json_string(a, texts[i]));
    return json_builder_array(&b);
}

char *text_copy_z(str s)
{
    char *z = mem_alloc(s.len + 1);
    if (s.len)
        memcpy(z, s.ptr, s.len);
    return z;
}

static bool was_said(const str *lines, size_t count, str line)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(lines[i], line))
            return true;
    return false;
}

str text_one_line(struct arena *a, str text)
{
    text = str_trim(text);
    if (str_index(text, '\n') < 0 && str_index(text, '\r') < 0 && str_index(text, '\t') < 0)
        return text;
    STRBUF_AUTO b = STRBUF_INIT(LINE_MAX_BYTES);
    str lines[LINES_MAX];
    size_t count = 0;
    for (str rest = text, line; count < LINES_MAX && str_next_field(&rest, '\n', &line);) {
        line = str_trim(line);
        if (line.len == 0 || was_said(lines, count, line))
            continue;
        strbuf_add(&b, count ? S("; ") : S(""));
        for (size_t i = 0; i < line.len; i++)
            strbuf_add_char(&b, line.ptr[i] == '\t' || line.ptr[i] == '\r' ? ' ' : line.ptr[i]);
        lines[count++] = line;
    }
    return strbuf_to_arena(&b, a);
}
