/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET and DELETE of a collection. Lists are put together from the stored bytes without parsing; only Tables, partial
 * metadata, YAML and field selectors beyond name and namespace need the trees.
 */
#include "base/clock.h"
#include "base/limits.h"
#include "base/strbuf.h"
#include "handlers/internal.h"
#include "meta/gvk.h"
#include "request/gzip.h"
#include "json/json_write.h"

#define WAIT_MS 3000
#define BLOB_BYTES (256u << 10)

struct listing {
    struct call *call;
    struct list_options options;
    struct match match;
    bool is_delete;
    struct delete_options delete_options;

    str prefix;
    struct continue_token from; /* version 0: newest */
    bool is_exact;              /* at from.version, from history */

    struct object **objects; /* matched */
    size_t count;
    struct list_meta meta;
};

/* ---- which state to read --------------------------------------------------------------------------------------------
 */

static struct status *expired(struct listing *l)
{
    struct arena *a = l->call->arena;
    if (str_is_empty(l->options.continue_token))
        return status_new(a, STATUS_EXPIRED, "The resourceVersion for the provided list is too old.");
    struct status *s = status_new(
        a, STATUS_EXPIRED,
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list.");
    const struct continue_token newest = { .version = 0, .start = l->from.start };
    s->continue_token = continue_token_write(a, &newest);
    return s;
}

static struct status *choose_state(struct listing *l)
{
    struct call *c = l->call;
    const struct list_options *o = &l->options;
    struct error err;
    if (!str_is_empty(o->continue_token)) {
        if (o->has_version && o->version != 0)
            return status_new(c->arena, STATUS_BAD_REQUEST,
                              "specifying resource version is not allowed when using continue");
        if (continue_token_read(c->arena, o->continue_token, &l->from, &err) < 0)
            return status_new(c->arena, STATUS_BAD_REQUEST, "%s", err.text);
        l->is_exact = l->from.version != 0;
        return NULL;
    }
    /* With a limit and no match, a revision means exactly that one: the rule of old clients. */
    bool is_legacy_exact = o->match == MATCH_UNSET && o->limit > 0;
    l->is_exact = o->has_version && o->version != 0 && (o->match == MATCH_EXACT || is_legacy_exact);
    if (l->is_exact)
        l->from.version = o->version;
    if (o->has_version && o->version == 0)
        l->options.limit = 0; /* any state will do: all of the cache, as upstream */
    return NULL;
}

/* The state at `at` is still the newest one of this resource. */
static bool is_unchanged_since(struct listing *l, rv at)
{
    struct call *c = l->call;
    struct watch_event **events;
    size_t count;
    rv up_to;
    str all = resource_key(c->arena, c->resource, (str) { 0 }, (str) { 0 });
    return store_events_since(c->resource->store, c->arena, all, at, &events, &count, &up_to, NULL) == 0 && count == 0;
}

/* ---- collecting
 * ------------------------------------------------------------------------------------------------------- */

static void take_matching(struct listing *l, const struct store_list *from, size_t limit, size_t *ret_seen)
{
    struct arena *a = l->call->arena;
    size_t i = 0;
    for (; i < from->count && (limit == 0 || l->count < limit); i++) {
        const struct json *tree = NULL;
        if (match_object(&l->match, a, from->objects[i], &tree))
            l->objects[l->count++] = from->objects[i];
    }
    *ret_seen = i;
}

static void set_continue(struct listing *l, const struct object *last, const struct store_list *from, size_t seen)
{
    struct call *c = l->call;
    str key = resource_key(c->arena, c->resource, last->namespace_, last->name);
    const struct continue_token next = { .version = l->meta.version, .start = str_from_offset(key, l->prefix.len) };
    l->meta.continue_token = continue_token_write(c->arena, &next);
    l->meta.has_remaining = match_is_all(&l->match);
    l->meta.remaining = from->remaining + (from->count - seen);
}

/* Newest state: one look at the cache, so that the page belongs to one revision. */
static void collect_newest(struct listing *l, str start_after)
{
    struct call *c = l->call;
    size_t limit = (size_t)l->options.limit, seen;
    struct store_list list;
    store_list(c->resource->store, c->arena, l->prefix, start_after, match_is_all(&l->match) ? limit : 0, &list);
    l->count = 0;
    l->meta.version = l->is_exact ? l->from.version : list.revision;
    l->objects = arena_array_of(c->arena, struct object *, list.count + 1);
    take_matching(l, &list, limit, &seen);
    if (limit > 0 && l->count == limit && (list.has_more || seen < list.count))
        set_continue(l, list.objects[seen - 1], &list, seen);
}

/* History: page by page, since objects that do not match must not be read all at once. */
static int collect_exact(struct listing *l, str start_after, struct error *err)
{
    struct call *c = l->call;
    size_t limit = (size_t)l->options.limit, seen = 0;
    struct store_list list;
    l->meta.version = l->from.version;
    size_t cap = 0;
    do {
        int r = store_list_at(c->resource->store, c->arena, l->prefix, start_after, limit, l->from.version, &list, err);
        if (r < 0)
            return r;
        if (l->count + list.count > cap) {
            cap = 2 * (l->count + list.count);
            struct object **more = arena_array_of(c->arena, struct object *, cap);
            if (l->count > 0)
                memcpy(more, l->objects, l->count * sizeof(struct object *));
            l->objects = more;
        }
        take_matching(l, &list, limit, &seen);
        if (list.count > 0) {
            const struct object *last = list.objects[seen > 0 ? seen - 1 : 0];
            start_after = resource_key(c->arena, c->resource, last->namespace_, last->name);
        }
    } while (list.has_more && l->count < limit);
    if (limit > 0 && l->count == limit && (list.has_more || seen < list.count))
        set_continue(l, list.objects[seen - 1], &list, seen);
    return 0;
}

static struct status *collect(struct listing *l)
{
    struct call *c = l->call;
    l->prefix = resource_key(c->arena, c->resource, call_namespace(c), (str) { 0 });
    str start_after = { 0 };
    if (!str_is_empty(l->from.start))
        start_after = arena_printf(c->arena, "%.*s%.*s", STR_ARG(l->prefix), STR_ARG(l->from.start));
    bool may_be_newest = !l->is_exact || is_unchanged_since(l, l->from.version);
    if (may_be_newest)
        collect_newest(l, start_after);
    /* Asked again: a write may have come between the question and the look at the cache. */
    if (!l->is_exact || (may_be_newest && is_unchanged_since(l, l->from.version)))
        return NULL;
    l->meta = (struct list_meta) { 0 };
    l->count = 0;
    struct error err;
    int r = collect_exact(l, start_after, &err);
    if (r == ERRC_TOO_OLD)
        return expired(l);
    if (r == ERRC_INVALID)
        return storage_status_too_large(c->arena, l->from.version, store_revision(c->resource->store));
    return r < 0 ? storage_status(c->arena, r, &err, c->resource, (str) { 0 }) : NULL;
}

/* ---- answering
 * ---------------------------------------------------------------------------------------------------------- */

static const struct json **trees(struct listing *l)
{
    const struct json **out = arena_array_of(l->call->arena, const struct json *, l->count + 1);
    for (size_t i = 0; i < l->count; i++)
        out[i] = object_parse(l->call->arena, l->objects[i]);
    return out;
}

static const struct json *list_tree(struct listing *l, const struct json *metadata)
{
    struct call *c = l->call;
    const struct resource *r = c->resource;
    const struct json **items = trees(l);
    switch (c->rep.transform) {
    case TRANSFORM_TABLE: return table_tree(c, items, l->count, true, metadata);
    case TRANSFORM_PARTIAL:
    case TRANSFORM_PARTIAL_LIST: return partial_list_tree(c->arena, c->rep.is_v1beta1, items, l->count, metadata);
    case TRANSFORM_NONE: break;
    }
    return JSON_OBJECT_OF(
        c->arena, JSON_MEMBER("kind", json_string(c->arena, r->list_kind)),
        JSON_MEMBER("apiVersion", json_string(c->arena, gvk_api_version(c->arena, r->group, r->version))),
        JSON_MEMBER("metadata", metadata), JSON_MEMBER("items", json_array(c->arena, items, l->count)));
}

static str list_head(struct listing *l, const struct json *metadata)
{
    struct call *c = l->call;
    const struct resource *r = c->resource;
    STRBUF_AUTO b = STRBUF_INIT(16u << 10);
    strbuf_addf(&b, "{\"kind\":\"%.*s\",\"apiVersion\":\"%.*s\",\"metadata\":", STR_ARG(r->list_kind),
                STR_ARG(gvk_api_version(c->arena, r->group, r->version)));
    json_write(&b, metadata);
    strbuf_add(&b, S(",\"items\":["));
    return strbuf_to_arena(&b, c->arena);
}

/* head, objects with commas between, tail: in buffers that the transport can send one after the other. */
static size_t make_blobs(struct listing *l, str head, struct blob **ret)
{
    static const str tail = S_INIT("]}\n");
    size_t n = 0, i = 0;
    for (bool is_first = true, is_last = false; !is_last; is_first = false) {
        size_t len = is_first ? head.len : 0, end = i;
        while (end < l->count && (len < BLOB_BYTES || end == i))
            len += l->objects[end++]->bytes.len + 1;
        is_last = end == l->count;
        struct blob *b = blob_new_size(len + tail.len);
        char *p = b->bytes;
        if (is_first)
            p = mempcpy(p, head.ptr, head.len);
        for (; i < end; i++) {
            if (i > 0)
                *p++ = ',';
            p = mempcpy(p, l->objects[i]->bytes.ptr, l->objects[i]->bytes.len);
        }
        if (is_last)
            p = mempcpy(p, tail.ptr, tail.len);
        b->len = (size_t)(p - b->bytes);
        b->bytes[b->len] = '\0';
        ret[n++] = b;
    }
    return n;
}

static size_t total_bytes(const struct listing *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->count; i++)
        n += l->objects[i]->bytes.len + 1;
    return n;
}

static void answer_blobs(struct call *c, struct blob **blobs, size_t n, size_t total)
{
    static const struct api_header gzip_headers[] = {
        { S_INIT("content-encoding"), S_INIT("gzip") },
        { S_INIT("vary"), S_INIT("Accept-Encoding") },
    };
    bool is_packed = gzip_is_wanted(c, total);
    if (is_packed) {
        str *parts = arena_array_of(c->arena, str, n);
        for (size_t i = 0; i < n; i++)
            parts[i] = blob_str(blobs[i]);
        struct blob *packed = gzip_pack(parts, n);
        for (size_t i = 0; i < n; i++)
            (void)blob_unref(blobs[i]);
        blobs[0] = packed;
        n = 1;
    }
    call_answer(c, &(struct api_answer) {
                       .code = 200,
                       .content_type = representation_content_type(&c->rep),
                       .headers = gzip_headers,
                       .header_count = is_packed ? ARRAY_LEN(gzip_headers) : 0,
                       .blobs = blobs,
                       .blob_count = n,
                   });
}

static void answer(struct listing *l)
{
    struct call *c = l->call;
    const struct json *metadata = list_meta_tree(c->arena, &l->meta);
    if (c->rep.transform != TRANSFORM_NONE || c->rep.format != MEDIA_JSON || c->rep.is_pretty) {
        call_answer_tree(c, 200, list_tree(l, metadata));
        return;
    }
    size_t total = total_bytes(l);
    if (total > LIMIT_LIST_BYTES) {
        call_fail(c, status_new(c->arena, STATUS_REQUEST_ENTITY_TOO_LARGE,
                                "the list is larger than %u bytes: use limit and continue", LIMIT_LIST_BYTES));
        return;
    }
    struct blob **blobs = arena_array_of(c->arena, struct blob *, total / BLOB_BYTES + 2);
    size_t n = make_blobs(l, list_head(l, metadata), blobs);
    answer_blobs(c, blobs, n, total);
}

/* ---- the verbs
 * ------------------------------------------------------------------------------------------------------------ */

static void run_listing(struct listing *l)
{
    struct call *c = l->call;
    struct status *fail = collect(l);
    if (!fail && l->is_delete)
        fail = deletion_run_many(c->arena, c->resource, l->objects, l->count, &l->delete_options);
    if (fail)
        call_fail(c, fail);
    else
        answer(l);
}

static void wait_and_run(struct call *c)
{
    struct listing *l = c->next_self;
    struct store *store = c->resource->store;
    struct error err;
    if (store_wait_revision(store, l->options.version, deadline_in_ms(WAIT_MS), &err) < 0)
        call_fail(c, storage_status_too_large(c->arena, l->options.version, store_revision(store)));
    else
        run_listing(l);
}

static void begin(struct call *c, bool is_delete)
{
    struct listing *l = arena_new_of(c->arena, struct listing);
    l->call = c;
    l->is_delete = is_delete;
    struct status *fail = list_options_parse(c->arena, &c->query, false, &l->options);
    if (!fail && is_delete)
        fail = deletion_options(c, &l->delete_options);
    if (!fail)
        fail = match_init(c, &l->options, &l->match);
    if (!fail)
        fail = choose_state(l);
    if (fail) {
        call_fail(c, fail);
    } else if (l->options.has_version && l->options.version > store_revision(c->resource->store)) {
        c->next_self = l;
        call_on_waiter(c, wait_and_run);
    } else {
        run_listing(l);
    }
}

static void list(struct call *c)
{
    begin(c, false);
}

static void delete_collection(struct call *c)
{
    begin(c, true);
}

void handle_list(struct call *c)
{
    call_on_worker(c, list);
}

void handle_delete_collection(struct call *c)
{
    /* It waits for the store, and workers have lists to make. */
    call_on_waiter(c, delete_collection);
}
