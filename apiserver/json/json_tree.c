/* SPDX-License-Identifier: Apache-2.0 */
/* The stack on which both parsers build a tree: limits, duplicate keys and paths are judged here, once. */
#include <stdio.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "json/internal.h"

#define NOTES_MAX 64
#define NODES_PER_BLOCK 32

void json_notes_add(struct arena *a, struct json_notes *notes, str text)
{
    if (!notes || notes->count == NOTES_MAX)
        return;
    if (notes->count == notes->cap) {
        notes->cap = notes->cap ? notes->cap * 2 : 4;
        str *bigger = arena_array_of(a, str, notes->cap);
        if (notes->count)
            memcpy(bigger, notes->texts, notes->count * sizeof(*bigger));
        notes->texts = bigger;
    }
    notes->texts[notes->count++] = arena_str(a, text);
}

/* Not one assignment of a compound literal: that would clear the whole first stack each time. */
void json__tree_init(struct json__tree *t, struct arena *a, struct json_notes *notes, struct error *err)
{
    t->arena = a;
    t->notes = notes;
    t->err = err;
    t->rc = 0;
    t->values = 0;
    t->root = NULL;
    t->depth = 0;
    t->pool = NULL;
    t->pool_left = 0;
    t->used = 0;
    t->cap = sizeof(t->first_stack) / sizeof(t->first_stack[0]);
    t->stack = t->first_stack;
}

void json__tree_release(struct json__tree *t)
{
    if (t->stack != t->first_stack)
        mem_free(t->stack);
}

static struct json *new_node(struct json__tree *t)
{
    if (t->pool_left == 0) {
        t->pool_left = NODES_PER_BLOCK;
        t->pool = arena_array_of(t->arena, struct json, NODES_PER_BLOCK);
    }
    t->pool_left--;
    return t->pool++;
}

static bool count_value(struct json__tree *t)
{
    if (++t->values <= LIMIT_JSON_VALUES)
        return true;
    t->rc = error_set(t->err, ERRC_TOO_LARGE, "document has more than %u values", LIMIT_JSON_VALUES);
    return false;
}

static void push(struct json__tree *t, str key, const struct json *value)
{
    if (t->used == t->cap) {
        struct json_member *old = t->stack == t->first_stack ? NULL : t->stack;
        t->cap *= 2;
        t->stack = mem_realloc(old, t->cap * sizeof(*t->stack));
        if (!old)
            memcpy(t->stack, t->first_stack, sizeof(t->first_stack));
    }
    t->stack[t->used++] = (struct json_member) { key, value };
}

/* Where the value belongs: into the member whose key came before, to the end of an array, or the root. */
static void attach(struct json__tree *t, const struct json *value)
{
    if (t->depth == 0)
        t->root = value;
    else if (t->frames[t->depth - 1].is_object)
        t->stack[t->used - 1].value = value;
    else
        push(t, S(""), value);
}

bool json__tree_begin(struct json__tree *t, bool is_object)
{
    if (t->depth == LIMIT_JSON_DEPTH) {
        t->rc = error_set(t->err, ERRC_INVALID, "document is nested deeper than %d levels", LIMIT_JSON_DEPTH);
        return false;
    }
    if (!count_value(t))
        return false;
    t->frames[t->depth++] = (struct json__frame) { t->used, is_object };
    return true;
}

bool json__tree_key(struct json__tree *t, str key)
{
    push(t, key, NULL);
    return true;
}

bool json__tree_add(struct json__tree *t, const struct json *value)
{
    if (!count_value(t))
        return false;
    attach(t, value);
    return true;
}

bool json__tree_text(struct json__tree *t, enum json_type type, str text)
{
    if (!count_value(t))
        return false;
    struct json *v = new_node(t);
    v->type = type;
    v->text = text;
    attach(t, v);
    return true;
}

str json__tree_path(const struct json__tree *t, str key)
{
    STRBUF_AUTO path = STRBUF_INIT(1024);
    for (size_t i = 0; i < t->depth; i++) {
        size_t start = t->frames[i].start;
        size_t next = i + 1 < t->depth ? t->frames[i + 1].start : t->used;
        bool is_innermost = i + 1 == t->depth;
        if (!t->frames[i].is_object) {
            strbuf_addf(&path, "[%zu]", next - start);
        } else if (!is_innermost) {
            strbuf_addf(&path, "%s%.*s", path.len ? "." : "", STR_ARG(t->stack[next - 1].key));
        }
    }
    if (key.len)
        strbuf_addf(&path, "%s%.*s", path.len ? "." : "", STR_ARG(key));
    return strbuf_to_arena(&path, t->arena);
}

static void note_duplicate(void *self, str key)
{
    struct json__tree *t = self;
    if (!t->notes || t->notes->count == NOTES_MAX)
        return;
    str path = json__tree_path(t, key);
    json_notes_add(t->arena, t->notes, arena_printf(t->arena, "duplicate field \"%.*s\"", STR_ARG(path)));
}

static const struct json *end_object(struct json__tree *t, const struct json_member *found, size_t count)
{
    if (count == 0)
        return &json_empty_object;
    struct json *v = new_node(t);
    struct json_member *members = arena_array_of(t->arena, struct json_member, count);
    memcpy(members, found, count * sizeof(*members));
    json__seal_object(t->arena, v, members, count, note_duplicate, t);
    return v;
}

static const struct json *end_array(struct json__tree *t, const struct json_member *found, size_t count)
{
    if (count == 0)
        return &json_empty_array;
    struct json *v = new_node(t);
    const struct json **items = arena_array_of(t->arena, const struct json *, count);
    for (size_t i = 0; i < count; i++)
        items[i] = found[i].value;
    v->type = JSON_ARRAY;
    v->count = count;
    v->items = items;
    return v;
}

bool json__tree_end(struct json__tree *t)
{
    struct json__frame frame = t->frames[t->depth - 1];
    const struct json_member *found = t->stack + frame.start;
    size_t count = t->used - frame.start;
    const struct json *v = frame.is_object ? end_object(t, found, count) : end_array(t, found, count);
    t->used = frame.start;
    t->depth--;
    attach(t, v);
    return true;
}
