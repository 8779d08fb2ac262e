/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects as caches share them: one allocation holds the struct, the labels and the bytes. Names and labels
 * are views into those bytes, because their text stands there as it is unless it needs an escape (no valid
 * name does); such a text gets a copy behind the bytes.
 */
#include "meta/object.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "json/json_parse.h"
#include "json/json_write.h"

/* Most objects fit, so that writing one seldom moves the buffer. */
#define USUAL_BYTES 2048

struct text_layout {
    str metadata; /* the bytes from where metadata starts */
    char *spare;  /* room for texts that stand in the bytes only with escapes */
};

static void add_key(struct strbuf *out, size_t position, str key)
{
    strbuf_add_char(out, position ? ',' : '{');
    json_write_string(out, key);
    strbuf_add_char(out, ':');
}

/* resourceVersion in its place, or at the end; rv 0: without it. */
static void write_metadata(struct strbuf *out, const struct json *metadata, rv resource_version)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "\"%" PRIu64 "\"", resource_version);
    str version = { text, (size_t)len };
    bool is_written = resource_version == 0;
    size_t position = 0;
    for (size_t i = 0; i < metadata->count; i++) {
        const struct json_member *m = &metadata->members[i];
        bool is_version = str_eq_z(m->key, "resourceVersion");
        if (is_version && is_written)
            continue;
        add_key(out, position++, m->key);
        if (is_version)
            strbuf_add(out, version);
        else
            json_write(out, m->value);
        is_written = is_written || is_version;
    }
    if (!is_written) {
        add_key(out, position++, S("resourceVersion"));
        strbuf_add(out, version);
    }
    strbuf_add(out, position ? S("}") : S("{}"));
}

/* Returns where metadata starts. */
static size_t write_object(struct strbuf *out, const struct json *tree, rv resource_version)
{
    size_t start = 0;
    for (size_t i = 0; i < tree->count; i++) {
        const struct json_member *m = &tree->members[i];
        add_key(out, i, m->key);
        if (str_eq_z(m->key, "metadata") && json_is(m->value, JSON_OBJECT)) {
            start = out->len;
            write_metadata(out, m->value, resource_version);
        } else {
            json_write(out, m->value);
        }
    }
    strbuf_add(out, tree->count ? S("}") : S("{}"));
    return start;
}

static bool needs_escape(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == '"' || s.ptr[i] == '\\')
            return true;
    return false;
}

static size_t spare_bytes(str s)
{
    return needs_escape(s) ? s.len : 0;
}

static size_t spare_bytes_of_all(const struct json *metadata, const struct json *labels)
{
    size_t n = spare_bytes(json_str_at(metadata, "name")) + spare_bytes(json_str_at(metadata, "namespace")) +
               spare_bytes(json_str_at(metadata, "uid"));
    for (size_t i = 0; i < json_count(labels); i++)
        n += spare_bytes(labels->members[i].key) + spare_bytes(json_str(labels->members[i].value));
    return n;
}

static str place(struct text_layout *layout, str s)
{
    if (s.len == 0)
        return S("");
    const char *found = memmem(layout->metadata.ptr, layout->metadata.len, s.ptr, s.len);
    if (found)
        return str_of(found, s.len);
    str copy = { layout->spare, s.len };
    memcpy(layout->spare, s.ptr, s.len);
    layout->spare += s.len;
    return copy;
}

static int compare_labels(const void *x, const void *y)
{
    return str_cmp(((const struct label *)x)->key, ((const struct label *)y)->key);
}

static void place_labels(struct object *o, struct label *to, struct text_layout *layout, const struct json *labels)
{
    for (size_t i = 0; i < json_count(labels); i++)
        if (json_is(labels->members[i].value, JSON_STRING))
            to[o->label_count++] =
                (struct label) { place(layout, labels->members[i].key), place(layout, labels->members[i].value->text) };
    if (o->label_count)
        qsort(to, o->label_count, sizeof(*to), compare_labels);
    o->labels = o->label_count ? to : NULL;
}

struct object *object_from_tree(const struct json *tree, rv resource_version)
{
    if (!json_is(tree, JSON_OBJECT))
        abort();
    STRBUF_AUTO out = STRBUF_INIT(LIMIT_LIST_BYTES);
    (void)strbuf_reserve(&out, USUAL_BYTES);
    size_t start = write_object(&out, tree, resource_version);
    if (out.is_full)
        abort(); /* a hundred times above what any request may bring */

    const struct json *metadata = json_get(tree, S("metadata"));
    const struct json *labels = json_get(metadata, S("labels"));
    if (!json_is(labels, JSON_OBJECT))
        labels = NULL;
    size_t labels_size = json_count(labels) * sizeof(struct label);
    struct object *o = mem_alloc(sizeof(*o) + labels_size + out.len + spare_bytes_of_all(metadata, labels));
    char *bytes = (char *)(o + 1) + labels_size;
    memcpy(bytes, out.ptr, out.len);
    struct text_layout layout = { str_of(bytes + start, out.len - start), bytes + out.len };

    atomic_init(&o->refs, 1);
    o->resource_version = resource_version;
    o->bytes = str_of(bytes, out.len);
    o->name = place(&layout, json_str_at(metadata, "name"));
    o->namespace_ = place(&layout, json_str_at(metadata, "namespace"));
    o->uid = place(&layout, json_str_at(metadata, "uid"));
    o->generation = json_int_at(metadata, "generation", 0);
    o->is_deleting = json_str_at(metadata, "deletionTimestamp").len > 0;
    o->has_finalizers = json_count(json_get(metadata, S("finalizers"))) > 0;
    place_labels(o, (struct label *)(o + 1), &layout, labels);
    return o;
}

int object_new(str stored, rv resource_version, struct object **ret, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct json *tree;
    int rc = json_parse(a, stored, NULL, &tree, err);
    if (rc)
        return error_wrap(err, rc, "stored object");
    if (json_str_at(tree, "metadata.name").len == 0)
        return error_set(err, ERRC_INVALID, "stored object has no metadata.name");
    *ret = object_from_tree(tree, resource_version);
    return 0;
}

struct object *object_ref(struct object *o)
{
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

struct object *object_unref(struct object *o)
{
    /* Release: our reads are done before another thread frees; acquire: theirs before we do. */
    if (o && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
        mem_free(o);
    return NULL;
}

const struct json *object_parse(struct arena *a, const struct object *o)
{
    const struct json *tree;
    if (json_parse(a, o->bytes, NULL, &tree, NULL))
        abort();
    return tree;
}
