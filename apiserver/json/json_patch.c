/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 6902. Values are immutable, but ten thousand operations that each copied a big object would fill the
 * memory; so what an operation changes is opened once into a draft that later operations change in place,
 * and the drafts become values again at the end.
 */
#include "json/json_patch.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "json/internal.h"

/* Slots that may be shifted or looked through by one patch: well below a second. */
#define WORK_MAX 20000000u

struct draft;

/* A value: json, or open when it is being edited; neither: a member that was removed. */
struct slot {
    str key;
    const struct json *json;
    struct draft *open;
};

struct draft {
    bool is_object;
    /* An object keeps the positions of its base, so that the index of the base finds them. */
    const struct json *base;
    struct slot *slots;
    size_t count, cap;
    size_t removed; /* of count, unset */
};

struct patch {
    struct arena *arena;
    struct error *err;
    size_t operation; /* index of the current one, for errors */
    size_t work, copied_bytes;
    struct slot root;
};

static int fail(struct patch *p, enum err code, const char *fmt, ...) PRINTF(3, 4);

static int fail(struct patch *p, enum err code, const char *fmt, ...)
{
    char text[ERROR_TEXT_MAX - 32];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return error_set(p->err, code, "operation %zu: %s", p->operation, text);
}

static int missing(struct patch *p, str path)
{
    return fail(p, ERRC_CONFLICT, "path \"%.*s\" does not exist", STR_ARG(path));
}

static int spend(struct patch *p, size_t work)
{
    p->work += work;
    return p->work > WORK_MAX ? fail(p, ERRC_TOO_LARGE, "the patch moves too much") : 0;
}

/* --- drafts --- */

static struct slot slot_of(const struct json *v)
{
    return (struct slot) { .json = v };
}

static bool is_set(const struct slot *s)
{
    return s->json || s->open;
}

/* The draft of a container, made when there is none; NULL for anything else. */
static struct draft *open_slot(struct patch *p, struct slot *s)
{
    if (s->open || (!json_is(s->json, JSON_OBJECT) && !json_is(s->json, JSON_ARRAY)))
        return s->open;
    struct draft *d = arena_new_of(p->arena, struct draft);
    d->is_object = s->json->type == JSON_OBJECT;
    d->base = s->json;
    d->count = s->json->count;
    d->cap = d->count + 4;
    d->slots = arena_array_of(p->arena, struct slot, d->cap);
    for (size_t i = 0; i < d->count; i++) {
        if (d->is_object)
            d->slots[i].key = s->json->members[i].key;
        d->slots[i].json = d->is_object ? s->json->members[i].value : s->json->items[i];
    }
    s->json = NULL;
    s->open = d;
    return d;
}

static struct slot *find_member(struct draft *d, str key)
{
    ptrdiff_t i = json__find(d->base, key);
    if (i >= 0 && is_set(&d->slots[i]))
        return &d->slots[i];
    for (size_t j = d->base->count; j < d->count; j++)
        if (is_set(&d->slots[j]) && str_eq(d->slots[j].key, key))
            return &d->slots[j];
    return NULL;
}

static struct slot *find_slot(struct draft *d, str token)
{
    size_t i;
    if (d->is_object)
        return find_member(d, token);
    return json__path_index(token, d->count, &i) ? &d->slots[i] : NULL;
}

/* The value at the path without opening anything; an unset slot when there is none. */
static struct slot look_up(struct patch *p, const struct json__path *path)
{
    struct slot s = p->root;
    for (size_t i = 0; i < path->count; i++) {
        str token = path->tokens[i];
        size_t at;
        struct slot *found = s.open ? find_slot(s.open, token) : NULL;
        if (s.open)
            s = found ? *found : (struct slot) { 0 };
        else if (json_is(s.json, JSON_ARRAY))
            s = slot_of(json__path_index(token, s.json->count, &at) ? s.json->items[at] : NULL);
        else
            s = slot_of(json_get(s.json, token));
    }
    return path->is_too_deep ? (struct slot) { 0 } : s;
}

/* The open container of the last token; NULL when it does not exist. */
static struct draft *open_parent(struct patch *p, const struct json__path *path)
{
    struct slot *s = &p->root;
    struct draft *d = open_slot(p, s);
    for (size_t i = 0; d && i + 1 < path->count; i++) {
        s = find_slot(d, path->tokens[i]);
        d = s ? open_slot(p, s) : NULL;
    }
    return path->is_too_deep ? NULL : d;
}

static void make_room(struct patch *p, struct draft *d)
{
    if (d->count < d->cap)
        return;
    d->cap = d->cap * 2;
    struct slot *bigger = arena_array_of(p->arena, struct slot, d->cap);
    memcpy(bigger, d->slots, d->count * sizeof(*bigger));
    d->slots = bigger;
}

static const struct json *close_slot(struct arena *a, const struct slot *s)
{
    if (!s->open)
        return s->json;
    const struct draft *d = s->open;
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < d->count; i++)
        json_builder_add(&b, d->slots[i].key, close_slot(a, &d->slots[i]));
    return d->is_object ? json_builder_object(&b) : json_builder_array(&b);
}

/* --- measuring and comparing --- */

struct measure {
    size_t bytes, values, depth;
};

static void measure_slot(const struct slot *s, size_t level, struct measure *m);

static void measure_json(const struct json *v, size_t level, struct measure *m)
{
    bool is_container = v->type == JSON_OBJECT || v->type == JSON_ARRAY;
    m->values++;
    m->bytes += v->text.len + 2;
    m->depth = level + is_container > m->depth ? level + is_container : m->depth;
    for (size_t i = 0; is_container && i < v->count; i++) {
        if (v->type == JSON_OBJECT)
            m->bytes += v->members[i].key.len + 3;
        measure_json(v->type == JSON_OBJECT ? v->members[i].value : v->items[i], level + 1, m);
    }
}

static void measure_slot(const struct slot *s, size_t level, struct measure *m)
{
    if (s->json) {
        measure_json(s->json, level, m);
        return;
    }
    m->values++;
    m->bytes += 2;
    m->depth = level + 1 > m->depth ? level + 1 : m->depth;
    for (size_t i = 0; i < s->open->count; i++) {
        if (!is_set(&s->open->slots[i]))
            continue;
        m->bytes += s->open->slots[i].key.len + 3;
        measure_slot(&s->open->slots[i], level + 1, m);
    }
}

static bool slot_equals(const struct slot *s, const struct json *v)
{
    if (s->json)
        return json_equal(s->json, v);
    const struct draft *d = s->open;
    if (v->type != (d->is_object ? JSON_OBJECT : JSON_ARRAY) || v->count != d->count - d->removed)
        return false;
    for (size_t i = 0; i < d->count; i++) {
        if (!is_set(&d->slots[i]))
            continue;
        const struct json *other = d->is_object ? json_get(v, d->slots[i].key) : v->items[i];
        if (!other || !slot_equals(&d->slots[i], other))
            return false;
    }
    return true;
}

/* --- operations --- */

struct operation {
    str path_text, from_text;
    struct json__path path, from;
    const struct json *value;
};

/* Puts the value there: replaces a member, inserts into an array. */
static int add_at(struct patch *p, const struct operation *o, struct slot value)
{
    if (o->path.count == 0) {
        p->root = value;
        return 0;
    }
    struct draft *d = open_parent(p, &o->path);
    if (!d)
        return missing(p, o->path_text);
    str token = o->path.tokens[o->path.count - 1];
    if (d->is_object) {
        struct slot *found = find_member(d, token);
        if (!found) {
            make_room(p, d);
            found = &d->slots[d->count++];
        }
        value.key = token;
        *found = value;
        return 0; /* the search among new members is bounded by the number of operations */
    }
    size_t at = d->count;
    if (!str_eq_z(token, "-") && !json__path_index(token, d->count + 1, &at))
        return missing(p, o->path_text);
    make_room(p, d);
    memmove(d->slots + at + 1, d->slots + at, (d->count - at) * sizeof(*d->slots));
    d->count++;
    value.key = S("");
    d->slots[at] = value;
    return spend(p, d->count - at);
}

static int remove_at(struct patch *p, const struct json__path *path, str text, struct slot *ret)
{
    if (path->count == 0)
        return fail(p, ERRC_CONFLICT, "the whole document cannot be removed");
    struct draft *d = open_parent(p, path);
    struct slot *found = d ? find_slot(d, path->tokens[path->count - 1]) : NULL;
    if (!found)
        return missing(p, text);
    *ret = *found;
    if (d->is_object) {
        found->json = NULL;
        found->open = NULL;
        d->removed++;
        return 0;
    }
    size_t behind = (size_t)(d->slots + d->count - (found + 1));
    memmove(found, found + 1, behind * sizeof(*found));
    d->count--;
    return spend(p, behind);
}

/* The depth that the document would get; what a copy adds is counted. */
static int check_size(struct patch *p, const struct slot *value, size_t level, bool is_copy)
{
    struct measure m = { 0 };
    measure_slot(value, level, &m);
    if (m.depth > LIMIT_JSON_DEPTH)
        return fail(p, ERRC_TOO_LARGE, "the document would be nested deeper than %d levels", LIMIT_JSON_DEPTH);
    if (is_copy)
        p->copied_bytes += m.bytes;
    if (p->copied_bytes > LIMIT_BODY_BYTES)
        return fail(p, ERRC_TOO_LARGE, "the patch copies more than %u bytes", LIMIT_BODY_BYTES);
    return spend(p, m.values);
}

static int do_add(struct patch *p, struct operation *o)
{
    struct slot value = slot_of(o->value);
    int rc = check_size(p, &value, o->path.count, false);
    return rc ? rc : add_at(p, o, value);
}

static int do_remove(struct patch *p, struct operation *o)
{
    struct slot removed;
    return remove_at(p, &o->path, o->path_text, &removed);
}

static int do_replace(struct patch *p, struct operation *o)
{
    struct slot value = slot_of(o->value);
    int rc = check_size(p, &value, o->path.count, false);
    if (rc)
        return rc;
    if (o->path.count == 0) {
        p->root = value;
        return 0;
    }
    struct draft *d = open_parent(p, &o->path);
    struct slot *found = d ? find_slot(d, o->path.tokens[o->path.count - 1]) : NULL;
    if (!found)
        return missing(p, o->path_text);
    value.key = found->key;
    *found = value;
    return 0;
}

static int do_move(struct patch *p, struct operation *o)
{
    struct slot value = look_up(p, &o->from);
    if (!is_set(&value))
        return missing(p, o->from_text);
    if (str_eq(o->from_text, o->path_text))
        return 0;
    if (str_has_prefix(o->path_text, o->from_text) &&
        (o->from_text.len == 0 || o->path_text.ptr[o->from_text.len] == '/'))
        return fail(p, ERRC_INVALID, "a value cannot be moved into itself");
    int rc = check_size(p, &value, o->path.count, false);
    if (rc == 0)
        rc = remove_at(p, &o->from, o->from_text, &value);
    return rc ? rc : add_at(p, o, value);
}

static int do_copy(struct patch *p, struct operation *o)
{
    struct slot value = look_up(p, &o->from);
    if (!is_set(&value))
        return missing(p, o->from_text);
    int rc = check_size(p, &value, o->path.count, true);
    return rc ? rc : add_at(p, o, slot_of(close_slot(p->arena, &value)));
}

static int do_test(struct patch *p, struct operation *o)
{
    struct slot value = look_up(p, &o->path);
    if (!is_set(&value))
        return missing(p, o->path_text);
    if (!slot_equals(&value, o->value))
        return fail(p, ERRC_CONFLICT, "test of \"%.*s\" failed", STR_ARG(o->path_text));
    return 0;
}

static const struct {
    const char *name;
    bool has_value, has_from;
    int (*run)(struct patch *p, struct operation *o);
} operations[] = {
    { "add", true, false, do_add },   { "remove", false, false, do_remove }, { "replace", true, false, do_replace },
    { "move", false, true, do_move }, { "copy", false, true, do_copy },      { "test", true, false, do_test },
};

static int read_path(struct patch *p, const struct json *v, const char *name, str *ret_text, struct json__path *ret)
{
    const struct json *pointer = json_get(v, str_from(name));
    if (!json_is(pointer, JSON_STRING))
        return fail(p, ERRC_INVALID, "\"%s\" must be a string", name);
    *ret_text = pointer->text;
    if (!json__path_parse(p->arena, pointer->text, ret))
        return fail(p, ERRC_INVALID, "\"%s\" is no JSON pointer: \"%.*s\"", name, STR_ARG(pointer->text));
    return 0;
}

static int run_operation(struct patch *p, const struct json *v)
{
    struct operation o;
    if (!json_is(v, JSON_OBJECT))
        return fail(p, ERRC_INVALID, "must be an object");
    str name = json_str_at(v, "op");
    size_t kind = 0;
    while (kind < ARRAY_LEN(operations) && !str_eq_z(name, operations[kind].name))
        kind++;
    if (kind == ARRAY_LEN(operations))
        return fail(p, ERRC_INVALID, "\"op\" must be one of add, remove, replace, move, copy, test");
    int rc = read_path(p, v, "path", &o.path_text, &o.path);
    if (rc == 0 && operations[kind].has_from)
        rc = read_path(p, v, "from", &o.from_text, &o.from);
    if (rc)
        return rc;
    o.value = json_get(v, S("value"));
    if (operations[kind].has_value && !o.value)
        return fail(p, ERRC_INVALID, "\"value\" is missing");
    return operations[kind].run(p, &o);
}

int json_patch_apply(struct arena *a, const struct json *target, const struct json *patch, const struct json **ret,
                     struct error *err)
{
    if (!json_is(patch, JSON_ARRAY))
        return error_set(err, ERRC_INVALID, "a JSON patch must be an array of operations");
    if (patch->count > LIMIT_PATCH_OPERATIONS)
        return error_set(err, ERRC_TOO_LARGE, "the patch has %zu operations, at most %d are allowed", patch->count,
                         LIMIT_PATCH_OPERATIONS);
    struct patch p = { .arena = a, .err = err, .root = slot_of(target) };
    for (; p.operation < patch->count; p.operation++) {
        int rc = run_operation(&p, patch->items[p.operation]);
        if (rc)
            return rc;
    }
    *ret = close_slot(a, &p.root);
    return 0;
}
