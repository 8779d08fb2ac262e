/* SPDX-License-Identifier: Apache-2.0 */
/* Making, looking up, editing and comparing values. Numbers by value stand in json_number.c. */
#include "json/json.h"

#include <stdlib.h>

#include "json/internal.h"

const struct json json_null_value = { .type = JSON_NULL };
const struct json json_true_value = { .type = JSON_BOOL, .boolean = true };
const struct json json_false_value = { .type = JSON_BOOL, .boolean = false };
const struct json json_empty_object = { .type = JSON_OBJECT };
const struct json json_empty_array = { .type = JSON_ARRAY };

const struct json *json_bool(bool b)
{
    return b ? &json_true_value : &json_false_value;
}

const struct json *json_string(struct arena *a, str text)
{
    struct json *v = arena_new_of(a, struct json);
    v->type = JSON_STRING;
    v->text = text;
    return v;
}

const struct json *json_array(struct arena *a, const struct json *const *items, size_t count)
{
    if (count == 0)
        return &json_empty_array;
    struct json *v = arena_new_of(a, struct json);
    const struct json **copy = arena_array_of(a, const struct json *, count);
    memcpy(copy, items, count * sizeof(*copy));
    v->type = JSON_ARRAY;
    v->count = count;
    v->items = copy;
    return v;
}

/* Equal keys stand in the order of their positions, so that the last one is the one that wins. */
static int compare_positions(const void *x, const void *y, void *members)
{
    uint32_t i = *(const uint32_t *)x, j = *(const uint32_t *)y;
    const struct json_member *m = members;
    int order = str_cmp(m[i].key, m[j].key);
    if (order)
        return order;
    return i < j ? -1 : i > j;
}

static uint32_t *make_index(struct arena *a, struct json_member *members, size_t count)
{
    uint32_t *index = arena_array_of(a, uint32_t, count);
    bool is_sorted = true;
    for (uint32_t i = 0; i < count; i++) {
        index[i] = i;
        is_sorted = is_sorted && (i == 0 || str_cmp(members[i - 1].key, members[i].key) <= 0);
    }
    if (!is_sorted)
        qsort_r(index, count, sizeof(*index), compare_positions, members);
    return index;
}

/* Marks the losers among equal keys by a NULL value; true when there were any. */
static bool mark_duplicates(struct json_member *members, const uint32_t *index, size_t count,
                            json__on_duplicate_fn *on_duplicate, void *self)
{
    bool found = false;
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && str_eq(members[index[i]].key, members[index[end]].key); end++)
            ;
        if (end == i + 1)
            continue;
        found = true;
        members[index[i]].value = members[index[end - 1]].value;
        for (size_t j = i + 1; j < end; j++)
            members[index[j]].value = NULL;
        if (on_duplicate)
            on_duplicate(self, members[index[i]].key);
    }
    return found;
}

static bool mark_duplicates_of_few(struct json_member *members, size_t count, json__on_duplicate_fn *on_duplicate,
                                   void *self)
{
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        bool is_told = !members[i].value;
        for (size_t j = i + 1; j < count && members[i].value; j++) {
            if (!members[j].value || !str_eq(members[i].key, members[j].key))
                continue;
            members[i].value = members[j].value;
            members[j].value = NULL;
            found = true;
            if (on_duplicate && !is_told)
                on_duplicate(self, members[i].key);
            is_told = true;
        }
    }
    return found;
}

static size_t drop_unset(struct json_member *members, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (members[i].value)
            members[kept++] = members[i];
    return kept;
}

void json__seal_object(struct arena *a, struct json *object, struct json_member *members, size_t count,
                       json__on_duplicate_fn *on_duplicate, void *self)
{
    const uint32_t *index = NULL;
    if (count <= JSON_INDEX_ABOVE) {
        if (mark_duplicates_of_few(members, count, on_duplicate, self))
            count = drop_unset(members, count);
    } else {
        index = make_index(a, members, count);
        if (mark_duplicates(members, index, count, on_duplicate, self)) {
            count = drop_unset(members, count);
            index = count > JSON_INDEX_ABOVE ? make_index(a, members, count) : NULL;
        }
    }
    *object = (struct json) { .type = JSON_OBJECT, .count = count, .members = members, .index = index };
}

const struct json *json_object(struct arena *a, const struct json_member *members, size_t count)
{
    struct json_member *copy = arena_array_of(a, struct json_member, count);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (members[i].value)
            copy[kept++] = members[i];
    if (kept == 0)
        return &json_empty_object;
    struct json *v = arena_new_of(a, struct json);
    json__seal_object(a, v, copy, kept, NULL, NULL);
    return v;
}

void json_builder_init(struct json_builder *b, struct arena *a)
{
    *b = (struct json_builder) { .arena = a };
}

void json_builder_add(struct json_builder *b, str key, const struct json *value)
{
    if (!value)
        return;
    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 8;
        struct json_member *bigger = arena_array_of(b->arena, struct json_member, b->cap);
        if (b->count)
            memcpy(bigger, b->members, b->count * sizeof(*bigger));
        b->members = bigger;
    }
    b->members[b->count++] = (struct json_member) { key, value };
}

/* The builder keeps its members, so that it can go on after a result was taken. */
const struct json *json_builder_object(struct json_builder *b)
{
    return json_object(b->arena, b->members, b->count);
}

const struct json *json_builder_array(struct json_builder *b)
{
    if (b->count == 0)
        return &json_empty_array;
    const struct json **items = arena_array_of(b->arena, const struct json *, b->count);
    for (size_t i = 0; i < b->count; i++)
        items[i] = b->members[i].value;
    struct json *v = arena_new_of(b->arena, struct json);
    v->type = JSON_ARRAY;
    v->count = b->count;
    v->items = items;
    return v;
}

ptrdiff_t json__find(const struct json *object, str key)
{
    if (!object->index) {
        for (size_t i = 0; i < object->count; i++)
            if (str_eq(object->members[i].key, key))
                return (ptrdiff_t)i;
        return -1;
    }
    size_t low = 0, high = object->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_cmp(object->members[object->index[middle]].key, key);
        if (order == 0)
            return (ptrdiff_t)object->index[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

const struct json *json_get(const struct json *object, str key)
{
    if (!json_is(object, JSON_OBJECT))
        return NULL;
    ptrdiff_t i = json__find(object, key);
    return i < 0 ? NULL : object->members[i].value;
}

const struct json *json_at(const struct json *root, const char *dotted)
{
    const struct json *v = root;
    str rest = str_from(dotted), key;
    while (v && str_next_field(&rest, '.', &key))
        v = json_get(v, key);
    return v;
}

const struct json *json_item(const struct json *array, size_t i)
{
    return json_is(array, JSON_ARRAY) && i < array->count ? array->items[i] : NULL;
}

size_t json_count(const struct json *v)
{
    return json_is(v, JSON_ARRAY) || json_is(v, JSON_OBJECT) ? v->count : 0;
}

str json_str(const struct json *v)
{
    return json_is(v, JSON_STRING) ? v->text : S("");
}

str json_str_at(const struct json *root, const char *dotted)
{
    return json_str(json_at(root, dotted));
}

bool json_bool_at(const struct json *root, const char *dotted, bool fallback)
{
    const struct json *v = json_at(root, dotted);
    return json_is(v, JSON_BOOL) ? v->boolean : fallback;
}

int64_t json_int_at(const struct json *root, const char *dotted, int64_t fallback)
{
    int64_t n;
    return json_to_int(json_at(root, dotted), &n) ? n : fallback;
}

static const struct json *replace_member(struct arena *a, const struct json *object, size_t at,
                                         const struct json *value)
{
    struct json_member *copy = arena_array_of(a, struct json_member, object->count);
    memcpy(copy, object->members, object->count * sizeof(*copy));
    copy[at].value = value;
    struct json *v = arena_new_of(a, struct json);
    *v = *object;
    v->members = copy; /* same keys, same index */
    return v;
}

const struct json *json_with(struct arena *a, const struct json *object, str key, const struct json *value)
{
    if (!json_is(object, JSON_OBJECT))
        object = &json_empty_object;
    ptrdiff_t at = json__find(object, key);
    if (at < 0 && !value)
        return object;
    if (at >= 0 && value)
        return object->members[at].value == value ? object : replace_member(a, object, (size_t)at, value);
    struct json_member *copy = arena_array_of(a, struct json_member, object->count + 1);
    size_t count = 0;
    for (size_t i = 0; i < object->count; i++)
        if ((ptrdiff_t)i != at)
            copy[count++] = object->members[i];
    if (value)
        copy[count++] = (struct json_member) { key, value };
    struct json *v = arena_new_of(a, struct json);
    json__seal_object(a, v, copy, count, NULL, NULL);
    return v;
}

static const struct json *with_path(struct arena *a, const struct json *root, str path, const struct json *value)
{
    str key, rest;
    if (!str_cut(path, '.', &key, &rest))
        return json_with(a, root, key, value);
    const struct json *child = json_get(root, key);
    if (!json_is(child, JSON_OBJECT)) {
        if (!value)
            return root; /* nothing there to remove */
        child = &json_empty_object;
    }
    return json_with(a, root, key, with_path(a, child, rest, value));
}

const struct json *json_with_at(struct arena *a, const struct json *root, const char *dotted, const struct json *value)
{
    /* The texts of new keys must live as long as the tree; dotted may be any caller's. */
    str path = value ? arena_str(a, str_from(dotted)) : str_from(dotted);
    return with_path(a, json_is(root, JSON_OBJECT) ? root : &json_empty_object, path, value);
}

static bool objects_equal(const struct json *x, const struct json *y)
{
    for (size_t i = 0; i < x->count; i++) {
        const struct json_member *m = &x->members[i];
        /* Most often the order is the same. */
        const struct json *other = str_eq(m->key, y->members[i].key) ? y->members[i].value : json_get(y, m->key);
        if (!other || !json_equal(m->value, other))
            return false;
    }
    return true;
}

bool json_equal(const struct json *x, const struct json *y)
{
    if (x == y)
        return true;
    if (!x || !y || x->type != y->type)
        return false;
    switch (x->type) {
    case JSON_NULL: return true;
    case JSON_BOOL: return x->boolean == y->boolean;
    case JSON_NUMBER: return json__numbers_equal(x->text, y->text);
    case JSON_STRING: return str_eq(x->text, y->text);
    case JSON_OBJECT: return x->count == y->count && objects_equal(x, y);
    case JSON_ARRAY:
        if (x->count != y->count)
            return false;
        for (size_t i = 0; i < x->count; i++)
            if (!json_equal(x->items[i], y->items[i]))
                return false;
        return true;
    }
    return false;
}

static const struct json *copy_object(struct arena *a, const struct json *v)
{
    struct json *copy = arena_new_of(a, struct json);
    struct json_member *members = arena_array_of(a, struct json_member, v->count);
    for (size_t i = 0; i < v->count; i++)
        members[i] = (struct json_member) { arena_str(a, v->members[i].key), json_copy(a, v->members[i].value) };
    *copy = *v;
    copy->members = members;
    if (v->index) {
        uint32_t *index = arena_array_of(a, uint32_t, v->count);
        memcpy(index, v->index, v->count * sizeof(*index));
        copy->index = index;
    }
    return copy;
}

const struct json *json_copy(struct arena *a, const struct json *v)
{
    if (!v)
        return NULL;
    switch (v->type) {
    case JSON_NULL: return &json_null_value;
    case JSON_BOOL: return json_bool(v->boolean);
    case JSON_OBJECT: return copy_object(a, v);
    case JSON_NUMBER:
    case JSON_STRING: {
        struct json *copy = arena_new_of(a, struct json);
        copy->type = v->type;
        copy->text = arena_str(a, v->text);
        return copy;
    }
    case JSON_ARRAY: {
        const struct json **items = arena_array_of(a, const struct json *, v->count);
        for (size_t i = 0; i < v->count; i++)
            items[i] = json_copy(a, v->items[i]);
        struct json *copy = arena_new_of(a, struct json);
        *copy = *v;
        copy->items = items;
        return copy;
    }
    }
    return NULL;
}
