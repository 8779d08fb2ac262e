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

/* Where the parts of an object stand in its text. */
struct layout {
    size_t metadata_at;
    /* The digits of resourceVersion; without one, where it would go, and no length. 0: no metadata. */
    size_t version_at, version_len;
};

/* What texts are looked for in: metadata without its resourceVersion, which another copy has otherwise. */
struct places {
    str before, after;
    char *spare; /* room for texts that stand in the bytes only with escapes */
};

static void add_key(struct strbuf *out, size_t position, str key)
{
    strbuf_add_char(out, position ? ',' : '{');
    json_write_string(out, key);
    strbuf_add_char(out, ':');
}

static void add_version(struct strbuf *out, rv resource_version, struct layout *l)
{
    strbuf_add_char(out, '"');
    l->version_at = out->len;
    strbuf_addf(out, "%" PRIu64, resource_version);
    l->version_len = out->len - l->version_at;
    strbuf_add_char(out, '"');
}

/* resourceVersion in its place, or at the end; rv 0: without it. */
static void write_metadata(struct strbuf *out, const struct json *metadata, rv resource_version, struct layout *l)
{
    bool is_written = resource_version == 0;
    size_t position = 0;
    l->metadata_at = out->len;
    for (size_t i = 0; i < metadata->count; i++) {
        const struct json_member *m = &metadata->members[i];
        bool is_version = str_eq_z(m->key, "resourceVersion");
        if (is_version && is_written)
            continue;
        add_key(out, position++, m->key);
        if (is_version)
            add_version(out, resource_version, l);
        else
            json_write(out, m->value);
        is_written = is_written || is_version;
    }
    if (!is_written) {
        add_key(out, position++, S("resourceVersion"));
        add_version(out, resource_version, l);
    }
    if (position == 0)
        strbuf_add_char(out, '{');
    if (resource_version == 0)
        l->version_at = out->len;
    strbuf_add_char(out, '}');
}

static struct layout write_object(struct strbuf *out, const struct json *tree, rv resource_version)
{
    struct layout l = { 0 };
    for (size_t i = 0; i < tree->count; i++) {
        const struct json_member *m = &tree->members[i];
        add_key(out, i, m->key);
        if (str_eq_z(m->key, "metadata") && json_is(m->value, JSON_OBJECT))
            write_metadata(out, m->value, resource_version, &l);
        else
            json_write(out, m->value);
    }
    strbuf_add(out, tree->count ? S("}") : S("{}"));
    return l;
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

static str place(struct places *p, str s)
{
    if (s.len == 0)
        return S("");
    const char *found = memmem(p->before.ptr, p->before.len, s.ptr, s.len);
    if (!found)
        found = memmem(p->after.ptr, p->after.len, s.ptr, s.len);
    if (found)
        return str_of(found, s.len);
    str copy = { p->spare, s.len };
    memcpy(p->spare, s.ptr, s.len);
    p->spare += s.len;
    return copy;
}

static int compare_labels(const void *x, const void *y)
{
    return str_cmp(((const struct label *)x)->key, ((const struct label *)y)->key);
}

static void place_labels(struct object *o, struct label *to, struct places *places, const struct json *labels)
{
    for (size_t i = 0; i < json_count(labels); i++)
        if (json_is(labels->members[i].value, JSON_STRING))
            to[o->label_count++] =
                (struct label) { place(places, labels->members[i].key), place(places, labels->members[i].value->text) };
    if (o->label_count)
        qsort(to, o->label_count, sizeof(*to), compare_labels);
    o->labels = o->label_count ? to : NULL;
}

/* An object with room for labels, bytes and spare texts, in this order; the bytes are not filled. */
static struct object *allocate(size_t label_count, size_t bytes_len, size_t spare_len, char **ret_bytes)
{
    size_t labels_size = label_count * sizeof(struct label);
    struct object *o = mem_alloc(sizeof(*o) + labels_size + bytes_len + spare_len);
    atomic_init(&o->refs, 1);
    *ret_bytes = (char *)(o + 1) + labels_size;
    o->bytes = str_of(*ret_bytes, bytes_len);
    o->spare_len = spare_len;
    return o;
}

struct object *object_from_tree(const struct json *tree, rv resource_version)
{
    if (!json_is(tree, JSON_OBJECT))
        abort();
    STRBUF_AUTO out = STRBUF_INIT(LIMIT_LIST_BYTES);
    (void)strbuf_reserve(&out, USUAL_BYTES);
    struct layout l = write_object(&out, tree, resource_version);
    if (out.is_full)
        abort(); /* a hundred times above what any request may bring */

    const struct json *metadata = json_get(tree, S("metadata"));
    const struct json *labels = json_get(metadata, S("labels"));
    if (!json_is(labels, JSON_OBJECT))
        labels = NULL;
    char *bytes;
    struct object *o = allocate(json_count(labels), out.len, spare_bytes_of_all(metadata, labels), &bytes);
    memcpy(bytes, out.ptr, out.len);
    size_t after = l.version_at + l.version_len;
    struct places places = { .before = str_of(bytes + l.metadata_at, l.version_at - l.metadata_at),
                             .after = str_of(bytes + after, out.len - after),
                             .spare = bytes + out.len };

    o->resource_version = resource_version;
    o->version_at = l.version_at;
    o->version_len = l.version_len;
    o->name = place(&places, json_str_at(metadata, "name"));
    o->namespace_ = place(&places, json_str_at(metadata, "namespace"));
    o->uid = place(&places, json_str_at(metadata, "uid"));
    o->generation = json_int_at(metadata, "generation", 0);
    o->is_deleting = json_str_at(metadata, "deletionTimestamp").len > 0;
    o->has_finalizers = json_count(json_get(metadata, S("finalizers"))) > 0;
    place_labels(o, (struct label *)(o + 1), &places, labels);
    return o;
}

/* The text that takes the place of the old version's digits, and where in it the new ones stand. By hand: it is made
 * for every write, on the one thread that writes. */
static str version_text(const struct object *o, rv resource_version, char text[static 64], str *ret_digits)
{
    static const str field = S_INIT(",\"resourceVersion\":\"");
    char *end = text + 63, *p = end;
    do
        *--p = (char)('0' + resource_version % 10);
    while ((resource_version /= 10) > 0);
    *ret_digits = str_of(p, (size_t)(end - p));
    if (o->version_len > 0)
        return *ret_digits;
    size_t skipped = o->bytes.ptr[o->version_at - 1] == '{'; /* the first field has no comma */
    p -= field.len - skipped;
    memcpy(p, field.ptr + skipped, field.len - skipped);
    *end++ = '"';
    return str_of(p, (size_t)(end - p));
}

/* The same text in the copy; what stands behind the version has moved by the difference of the lengths. */
static str moved(str s, const struct object *from, const struct object *to)
{
    if (s.len == 0)
        return s;
    size_t at = (size_t)(s.ptr - from->bytes.ptr);
    if (at >= from->version_at)
        at = at + to->bytes.len - from->bytes.len;
    return str_of(to->bytes.ptr + at, s.len);
}

struct object *object_with_version(const struct object *o, rv resource_version)
{
    if (resource_version == 0 || o->version_at == 0) {
        CLEANUP(arena_freep) struct arena *a = arena_new();
        return object_from_tree(object_parse(a, o), resource_version);
    }
    char text[64];
    str digits, version = version_text(o, resource_version, text, &digits);
    size_t after = o->version_at + o->version_len;
    char *bytes;
    struct object *copy = allocate(o->label_count, o->bytes.len - o->version_len + version.len, o->spare_len, &bytes);
    memcpy(bytes, o->bytes.ptr, o->version_at);
    memcpy(bytes + o->version_at, version.ptr, version.len);
    memcpy(bytes + o->version_at + version.len, o->bytes.ptr + after, o->bytes.len - after + o->spare_len);

    copy->resource_version = resource_version;
    copy->version_at = o->version_at + (size_t)(digits.ptr - version.ptr);
    copy->version_len = digits.len;
    copy->name = moved(o->name, o, copy);
    copy->namespace_ = moved(o->namespace_, o, copy);
    copy->uid = moved(o->uid, o, copy);
    copy->generation = o->generation;
    copy->is_deleting = o->is_deleting;
    copy->has_finalizers = o->has_finalizers;
    struct label *labels = (struct label *)(copy + 1);
    for (size_t i = 0; i < o->label_count; i++)
        labels[i] = (struct label) { moved(o->labels[i].key, o, copy), moved(o->labels[i].value, o, copy) };
    copy->labels = o->labels ? labels : NULL;
    copy->label_count = o->label_count;
    return copy;
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
