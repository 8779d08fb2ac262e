/* SPDX-License-Identifier: Apache-2.0 */
/* What goes over the wire of a watch: one line of JSON per event. */
#include "base/limits.h"
#include "base/strbuf.h"
#include "handlers/watch.h"
#include "meta/gvk.h"
#include "json/json_write.h"

static str type_name(enum watch_event_type type)
{
    static const str names[] = {
        [WATCH_ADDED] = S_INIT("ADDED"), [WATCH_MODIFIED] = S_INIT("MODIFIED"), [WATCH_DELETED] = S_INIT("DELETED")
    };
    return names[type];
}

struct arena *frame_cache_arena(struct frame_cache *cache)
{
    if (!cache->arena)
        cache->arena = arena_new();
    return cache->arena;
}

void frame_cache_clear(struct frame_cache *cache)
{
    for (size_t i = 0; i < cache->count; i++)
        (void)blob_unref(cache->variants[i].frame);
    arena_free(cache->arena);
    *cache = (struct frame_cache) { 0 };
}

static bool is_plain(const struct api_watch *w)
{
    return w->form.transform == TRANSFORM_NONE;
}

/* An object's tree as this watch wants it. */
static const struct json *transform(struct arena *a, const struct api_watch *w, const struct json *tree,
                                    bool with_columns)
{
    if (w->form.transform == TRANSFORM_NONE)
        return tree;
    if (w->form.transform != TRANSFORM_TABLE)
        return partial_tree(a, w->form.is_v1beta1, tree);
    const struct table_form form = { .resource = w->fanout->resource,
                                     .is_v1beta1 = w->form.is_v1beta1,
                                     .include = w->form.include };
    const struct json *metadata =
        JSON_OBJECT_OF(a, JSON_MEMBER("resourceVersion", json_at(tree, "metadata.resourceVersion")));
    return table_form_tree(a, &form, &tree, 1, with_columns, metadata);
}

static void write_frame(struct strbuf *b, str type, const struct json *tree)
{
    strbuf_addf(b, "{\"type\":\"%.*s\",\"object\":", STR_ARG(type));
    json_write(b, tree);
    strbuf_add(b, S("}\n"));
}

static struct blob *frame_of_tree(str type, const struct json *tree)
{
    STRBUF_AUTO b = STRBUF_INIT(LIMIT_LIST_BYTES);
    write_frame(&b, type, tree);
    return blob_new(strbuf_str(&b));
}

static struct blob *frame_of_bytes(str type, str bytes)
{
    static const str head = S_INIT("{\"type\":\""), middle = S_INIT("\",\"object\":"), tail = S_INIT("}\n");
    struct blob *b = blob_new_size(head.len + type.len + middle.len + bytes.len + tail.len);
    char *p = mempcpy(b->bytes, head.ptr, head.len);
    p = mempcpy(p, type.ptr, type.len);
    p = mempcpy(p, middle.ptr, middle.len);
    p = mempcpy(p, bytes.ptr, bytes.len);
    p = mempcpy(p, tail.ptr, tail.len);
    *p = '\0';
    return b;
}

static struct blob *make(struct frame_cache *cache, const struct api_watch *w, enum watch_event_type type, bool old,
                         bool with_columns)
{
    struct watch_event *e = cache->event;
    /* Not selected any more: the state before, as of this change. */
    CLEANUP(object_unrefp) struct object *before = old ? object_with_version(e->old_object, e->revision) : NULL;
    const struct object *o = old ? before : e->object;
    if (is_plain(w))
        return frame_of_bytes(type_name(type), o->bytes);
    struct arena *a = frame_cache_arena(cache);
    return frame_of_tree(type_name(type), transform(a, w, object_parse(a, o), with_columns));
}

struct blob *frame_of_event(struct frame_cache *cache, const struct api_watch *w, enum watch_event_type type, bool old)
{
    if (is_plain(w) && type == cache->event->type)
        return blob_ref(watch_event_frame(cache->event));
    bool with_columns = w->form.transform == TRANSFORM_TABLE && !w->has_columns;
    unsigned key = (unsigned)type | (unsigned)w->form.transform << 4 | (unsigned)w->form.include << 8 |
                   (w->form.is_v1beta1 ? 1u << 12 : 0) | (with_columns ? 1u << 13 : 0);
    for (size_t i = 0; i < cache->count; i++)
        if (cache->variants[i].key == key)
            return blob_ref(cache->variants[i].frame);
    struct blob *frame = make(cache, w, type, old, with_columns);
    if (cache->count < FRAME_VARIANTS_MAX) {
        cache->variants[cache->count].key = key;
        cache->variants[cache->count++].frame = blob_ref(frame);
    }
    return frame;
}

struct blob *frame_of_objects(const struct api_watch *w, struct object *const *objects, size_t count, bool with_columns)
{
    CLEANUP(arena_freep) struct arena *a = is_plain(w) ? NULL : arena_new();
    STRBUF_AUTO b = STRBUF_INIT(LIMIT_LIST_BYTES);
    for (size_t i = 0; i < count; i++) {
        size_t before = b.len;
        if (is_plain(w)) {
            strbuf_add(&b, S("{\"type\":\"ADDED\",\"object\":"));
            strbuf_add(&b, objects[i]->bytes);
            strbuf_add(&b, S("}\n"));
        } else {
            write_frame(&b, S("ADDED"), transform(a, w, object_parse(a, objects[i]), with_columns && i == 0));
        }
        fanout_count_sent(w->fanout, b.len - before);
    }
    return blob_new(strbuf_str(&b));
}

struct blob *frame_of_bookmark(const struct api_watch *w, rv version, bool is_end_mark)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct resource *r = w->fanout->resource;
    const struct json *annotations =
        is_end_mark ? JSON_OBJECT_OF(a, JSON_MEMBER("k8s.io/initial-events-end", json_string(a, S("true")))) : NULL;
    const struct json *metadata = JSON_OBJECT_OF(
        a, JSON_MEMBER("resourceVersion", json_string(a, arena_printf(a, "%llu", (unsigned long long)version))),
        JSON_MEMBER("creationTimestamp", &json_null_value), JSON_MEMBER("annotations", annotations));
    const struct json *tree =
        JSON_OBJECT_OF(a, JSON_MEMBER("kind", json_string(a, r->kind)),
                       JSON_MEMBER("apiVersion", json_string(a, gvk_api_version(a, r->group, r->version))),
                       JSON_MEMBER("metadata", metadata));
    return frame_of_tree(S("BOOKMARK"), transform(a, w, tree, false));
}

struct blob *frame_of_error(const struct status *status)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    return frame_of_tree(S("ERROR"), status_to_json(a, status));
}
