/* SPDX-License-Identifier: Apache-2.0 */
/* The store and the verbs; one dispatcher thread delivers what watches wait for. */
#include "harness/fake_kube.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/strbuf.h"
#include "harness/wait.h"
#include "json/json_parse.h"
#include "json/json_patch.h"
#include "json/json_write.h"

#define FAULTS_MAX 16

struct event { /* one change, for ever */
    enum kube_event_type type;
    uint64_t revision;
    str path, text; /* in the kube's arena */
};

struct watch {
    struct kube_watch base;
    struct fake_kube *kube;
    struct list link;
    char *collection;
    size_t next; /* event that is delivered next */
    bool has_bookmark, is_busy, must_end, has_ended;
    enum err end_code;
    const struct kube_watch_ops *ops;
    void *self;
};

struct call { /* for counting */
    const char *method;
    char path[200];
};

struct fake_kube {
    struct kube_client *client;
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t changed;
    pthread_t dispatcher;
    bool is_stopping;
    atomic_int heals;
    struct arena *arena;
    struct map *objects; /* path → text as a str* in the arena */
    uint64_t revision, compacted;
    struct event *events;
    size_t event_count, event_cap;
    struct list watches;
    struct fake_kube_fault faults[FAULTS_MAX];
    size_t fault_count;
    struct call *calls;
    size_t call_count, call_cap;
};

static void die(const char *what, str text)
{
    (void)fprintf(stderr, "fake_kube: %s: %.*s\n", what, STR_ARG(text));
    abort();
}

/* ---- paths ---------------------------------------------------------------------------------------------------- */

struct target {
    str prefix; /* "/apis/g/v1" */
    str ns, resource, name, sub;
};

static str next_part(str *rest)
{
    str head, tail;
    (void)str_cut(*rest, '/', &head, &tail);
    *rest = tail;
    return head;
}

static struct target target_of(str path)
{
    struct target t = { 0 };
    str rest = str_from_offset(path, 1);
    bool is_core = str_eq(next_part(&rest), S("api"));
    if (!is_core)
        (void)next_part(&rest);
    (void)next_part(&rest);
    t.prefix = rest.len ? str_first(path, (size_t)(rest.ptr - path.ptr) - 1) : path;
    str part = next_part(&rest);
    if (str_eq(part, S("namespaces")) && str_index(rest, '/') >= 0) {
        t.ns = next_part(&rest);
        part = next_part(&rest);
    }
    t.resource = part;
    t.name = next_part(&rest);
    t.sub = rest;
    return t;
}

static str object_path(struct arena *a, const struct target *t, str ns, str name)
{
    if (ns.len)
        return arena_printf(a, "%.*s/namespaces/%.*s/%.*s/%.*s", STR_ARG(t->prefix), STR_ARG(ns), STR_ARG(t->resource),
                            STR_ARG(name));
    return arena_printf(a, "%.*s/%.*s/%.*s", STR_ARG(t->prefix), STR_ARG(t->resource), STR_ARG(name));
}

static bool is_in(str collection, str path)
{
    struct target c = target_of(collection), o = target_of(path);
    return str_eq(c.prefix, o.prefix) && str_eq(c.resource, o.resource) && (c.ns.len == 0 || str_eq(c.ns, o.ns));
}

static bool has_status_subresource(str resource)
{
    return str_eq(resource, S("postgresclusters")) || str_eq(resource, S("postgresbackups"));
}

/* ---- objects (under the lock) --------------------------------------------------------------------------------- */

static const struct json *parse(struct arena *a, str text)
{
    const struct json *v;
    struct error err;
    if (json_parse(a, text, NULL, &v, &err) < 0)
        die(err.text, text);
    return v;
}

static const struct json *stored(struct fake_kube *k, struct arena *a, str path)
{
    const str *text = map_get(k->objects, path);
    return text ? parse(a, *text) : NULL;
}

static void add_event(struct fake_kube *k, enum kube_event_type type, str path, str text)
{
    if (k->event_count == k->event_cap) {
        k->event_cap = k->event_cap ? k->event_cap * 2 : 64;
        k->events = mem_realloc(k->events, k->event_cap * sizeof(*k->events));
    }
    k->events[k->event_count++] = (struct event) { type, k->revision, arena_str(k->arena, path), text };
    pthread_cond_broadcast(&k->changed);
}

/* Stores it under the next revision; without finalizers and with a deletion time it goes at once. */
static const struct json *store(struct fake_kube *k, struct arena *a, str path, const struct json *object)
{
    bool is_gone = json_str_at(object, "metadata.deletionTimestamp").len > 0 &&
                   json_count(json_at(object, "metadata.finalizers")) == 0;
    bool is_new = !map_get(k->objects, path);
    str version = arena_printf(a, "%llu", (unsigned long long)++k->revision);
    object = json_with_at(a, object, "metadata.resourceVersion", json_string(a, version));
    str *text = arena_new_of(k->arena, str);
    *text = arena_str(k->arena, json_text(a, object));
    if (is_gone)
        (void)map_remove(k->objects, path);
    else
        (void)map_put(k->objects, path, text);
    add_event(k, is_gone ? KUBE_DELETED : is_new ? KUBE_ADDED : KUBE_MODIFIED, path, *text);
    return object;
}

static void erase(struct fake_kube *k, struct arena *a, str path, const struct json *old)
{
    str version = arena_printf(a, "%llu", (unsigned long long)++k->revision);
    old = json_with_at(a, old, "metadata.resourceVersion", json_string(a, version));
    (void)map_remove(k->objects, path);
    add_event(k, KUBE_DELETED, path, arena_str(k->arena, json_text(a, old)));
}

/* ---- verbs (under the lock) ----------------------------------------------------------------------------------- */

static int fail(struct arena *a, struct kube_response *ret, enum status_reason reason, str path)
{
    struct status *s = status_new(a, reason, "%.*s: %s", STR_ARG(path), status_reason_name(reason));
    *ret = (struct kube_response) { .code = s->code, .status = s, .body = status_to_json(a, s) };
    return 0;
}

static int answer(struct kube_response *ret, int code, const struct json *body)
{
    *ret = (struct kube_response) { .code = code, .body = body };
    return 0;
}

/* "labelSelector=some.group%2Fkey%3Dvalue" is all that it knows; an empty query selects everything. */
static bool is_selected(str query, const struct json *object)
{
    if (query.len == 0)
        return true;
    STRBUF_AUTO text = STRBUF_INIT(1024);
    for (size_t i = 0; i < query.len; i++) {
        bool is_coded = query.ptr[i] == '%' && i + 2 < query.len;
        strbuf_add_char(&text, !is_coded ? query.ptr[i] : query.ptr[i + 2] == 'F' ? '/' : '=');
        i += is_coded ? 2 : 0;
    }
    str head, selector, key, value;
    if (!str_cut(strbuf_str(&text), '=', &head, &selector) || !str_eq(head, S("labelSelector")) ||
        !str_cut(selector, '=', &key, &value))
        die("query", query);
    return str_eq(json_str(json_get(json_at(object, "metadata.labels"), key)), value);
}

static int do_list(struct fake_kube *k, struct arena *a, str collection, str query, struct kube_response *ret)
{
    struct json_builder items;
    json_builder_init(&items, a);
    str path;
    void *value;
    for (size_t i = 0; map_next(k->objects, &i, &path, &value);)
        if (is_in(collection, path)) {
            const struct json *object = parse(a, *(str *)value);
            if (is_selected(query, object))
                json_builder_add(&items, S(""), object);
        }
    str version = arena_printf(a, "%llu", (unsigned long long)k->revision);
    return answer(ret, 200,
                  JSON_OBJECT_OF(a, JSON_MEMBER("kind", json_string(a, S("List"))),
                                 JSON_MEMBER("metadata", JSON_OBJECT_OF(a, JSON_MEMBER("resourceVersion",
                                                                                       json_string(a, version)))),
                                 JSON_MEMBER("items", json_builder_array(&items))));
}

static int do_create(struct fake_kube *k, struct arena *a, const struct target *t, const struct json *body,
                     struct kube_response *ret)
{
    str name = json_str_at(body, "metadata.name");
    str path = object_path(a, t, t->ns, name);
    if (map_get(k->objects, path))
        return fail(a, ret, STATUS_ALREADY_EXISTS, path);
    char uid[37];
    rand_uuid(uid);
    if (json_str_at(body, "metadata.uid").len == 0)
        body = json_with_at(a, body, "metadata.uid", json_string(a, arena_str(a, str_from(uid))));
    body = json_with_at(a, body, "metadata.generation", json_int(a, 1));
    body = json_with_at(a, body, "metadata.creationTimestamp", json_string(a, S("2026-01-01T00:00:00Z")));
    return answer(ret, 201, store(k, a, path, body));
}

/* The new state of `old` after a PUT or PATCH that gave `wanted`; NULL when a precondition fails. */
static const struct json *updated(struct arena *a, const struct target *t, const struct json *old,
                                  const struct json *wanted)
{
    str version = json_str_at(wanted, "metadata.resourceVersion"), uid = json_str_at(wanted, "metadata.uid");
    if ((version.len && !str_eq(version, json_str_at(old, "metadata.resourceVersion"))) ||
        (uid.len && !str_eq(uid, json_str_at(old, "metadata.uid"))))
        return NULL;
    if (str_eq(t->sub, S("status")))
        return json_with(a, old, S("status"), json_get(wanted, S("status")));
    if (has_status_subresource(t->resource))
        wanted = json_with(a, wanted, S("status"), json_get(old, S("status")));
    static const char *const kept[] = { "metadata.uid", "metadata.creationTimestamp", "metadata.deletionTimestamp",
                                        "metadata.resourceVersion" };
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        wanted = json_with_at(a, wanted, kept[i], json_at(old, kept[i]));
    int64_t generation = json_int_at(old, "metadata.generation", 1);
    if (!json_equal(json_get(old, S("spec")), json_get(wanted, S("spec"))))
        generation++;
    return json_with_at(a, wanted, "metadata.generation", json_int(a, generation));
}

static int do_update(struct fake_kube *k, struct arena *a, const struct target *t, const struct kube_request *q,
                     struct kube_response *ret)
{
    str path = object_path(a, t, t->ns, t->name);
    const struct json *old = stored(k, a, path);
    if (!old)
        return fail(a, ret, STATUS_NOT_FOUND, path);
    const struct json *wanted = q->body;
    if (strcmp(q->method, "PATCH") == 0) {
        wanted = json_merge_patch(a, old, q->body);
        if (json_str_at(q->body, "metadata.resourceVersion").len == 0)
            wanted = json_with_at(a, wanted, "metadata.resourceVersion", NULL);
    }
    const struct json *next = updated(a, t, old, wanted);
    if (!next)
        return fail(a, ret, STATUS_CONFLICT, path);
    if (json_equal(next, old))
        return answer(ret, 200, old);
    return answer(ret, 200, store(k, a, path, next));
}

static int do_delete(struct fake_kube *k, struct arena *a, const struct target *t, const struct json *body,
                     struct kube_response *ret)
{
    str path = object_path(a, t, t->ns, t->name);
    const struct json *old = stored(k, a, path);
    str uid = json_str_at(body, "preconditions.uid");
    if (!old)
        return fail(a, ret, STATUS_NOT_FOUND, path);
    if (uid.len && !str_eq(uid, json_str_at(old, "metadata.uid")))
        return fail(a, ret, STATUS_CONFLICT, path);
    if (json_count(json_at(old, "metadata.finalizers")) == 0)
        erase(k, a, path, old);
    else if (json_str_at(old, "metadata.deletionTimestamp").len == 0)
        old = store(k, a, path,
                    json_with_at(a, old, "metadata.deletionTimestamp", json_string(a, S("2026-01-01T00:00:01Z"))));
    return answer(ret, 200, old);
}

static int carry_out(struct fake_kube *k, struct arena *a, const struct kube_request *q, struct kube_response *ret)
{
    struct target t = target_of(q->path);
    if (strcmp(q->method, "GET") == 0 && t.name.len == 0)
        return do_list(k, a, q->path, q->query, ret);
    if (strcmp(q->method, "GET") == 0) {
        const struct json *object = stored(k, a, object_path(a, &t, t.ns, t.name));
        return object ? answer(ret, 200, object) : fail(a, ret, STATUS_NOT_FOUND, q->path);
    }
    if (strcmp(q->method, "POST") == 0)
        return do_create(k, a, &t, q->body, ret);
    if (strcmp(q->method, "PUT") == 0 || strcmp(q->method, "PATCH") == 0)
        return do_update(k, a, &t, q, ret);
    return do_delete(k, a, &t, q->body, ret);
}

/* ---- failures ------------------------------------------------------------------------------------------------- */

static bool matches(const char *pattern, str text)
{
    return !pattern || str_find(text, str_from(pattern)) >= 0;
}

/* Notes the call, and takes the first fault that is meant for it. */
static bool take_fault(struct fake_kube *k, const char *method, str path, struct fake_kube_fault *ret)
{
    if (k->call_count == k->call_cap) {
        k->call_cap = k->call_cap ? k->call_cap * 2 : 256;
        k->calls = mem_realloc(k->calls, k->call_cap * sizeof(*k->calls));
    }
    struct call *c = &k->calls[k->call_count++];
    c->method = method;
    (void)snprintf(c->path, sizeof(c->path), "%.*s", STR_ARG(path));
    for (size_t i = 0; i < k->fault_count; i++) {
        struct fake_kube_fault *f = &k->faults[i];
        if (!matches(f->method, str_from(method)) || !matches(f->path, path))
            continue;
        *ret = *f;
        if (f->times && --f->times == 0)
            *f = k->faults[--k->fault_count];
        return true;
    }
    return false;
}

/* False when the deadline passed meanwhile. fake_kube_heal ends it early. */
static bool be_late(struct fake_kube *k, int ms, int64_t deadline_ns)
{
    int64_t until = deadline_in_ms(ms);
    int heals = atomic_load(&k->heals);
    while (!deadline_has_passed(until) && atomic_load(&k->heals) == heals) {
        if (deadline_ns && deadline_has_passed(deadline_ns))
            return false;
        wait_a_little();
    }
    return true;
}

static enum status_reason reason_of(int code)
{
    switch (code) {
    case 403: return STATUS_FORBIDDEN;
    case 404: return STATUS_NOT_FOUND;
    case 409: return STATUS_CONFLICT;
    case 410: return STATUS_EXPIRED;
    case 422: return STATUS_INVALID;
    case 503: return STATUS_SERVICE_UNAVAILABLE;
    default: return STATUS_INTERNAL_ERROR;
    }
}

static int call(void *self, struct arena *a, const struct kube_request *q, struct kube_response *ret, struct error *err)
{
    struct fake_kube *k = self;
    struct fake_kube_fault fault = { 0 };
    pthread_mutex_lock(&k->lock);
    bool is_faulty = take_fault(k, q->method, q->path, &fault);
    pthread_mutex_unlock(&k->lock);
    if (is_faulty && fault.delay_ms && !be_late(k, fault.delay_ms, q->deadline_ns))
        return error_set(err, ERRC_TIMEOUT, "no answer in time");
    bool is_only_late = is_faulty && fault.delay_ms && fault.code == 0 && !fault.is_late;
    if (!is_faulty || fault.is_late || is_only_late) {
        pthread_mutex_lock(&k->lock);
        int r = carry_out(k, a, q, ret);
        pthread_mutex_unlock(&k->lock);
        if (!is_faulty || is_only_late)
            return r;
    }
    if (fault.code)
        return fail(a, ret, reason_of(fault.code), q->path);
    return error_set(err, ERRC_UNAVAILABLE, "the server is gone");
}

/* ---- watches -------------------------------------------------------------------------------------------------- */

/* What the watch gets next; the lock is given up meanwhile. False: nothing. */
static bool deliver_one(struct fake_kube *k, struct watch *w)
{
    struct event e = { .type = KUBE_BOOKMARK };
    bool found = false;
    while (!found && !w->must_end && w->next < k->event_count) {
        e = k->events[w->next++];
        found = is_in(str_from(w->collection), e.path);
    }
    bool is_end = !found && w->must_end && !w->has_ended;
    char bookmark[80];
    if (!found && !w->must_end && w->has_bookmark) { /* a bookmark speaks for all before it: never past an end */
        (void)snprintf(bookmark, sizeof(bookmark), "{\"metadata\":{\"resourceVersion\":\"%llu\"}}",
                       (unsigned long long)k->revision);
        e = (struct event) { .type = KUBE_BOOKMARK, .text = str_from(bookmark) };
        w->has_bookmark = false;
        found = true;
    }
    if (!found && !is_end)
        return false;
    w->is_busy = true;
    w->has_ended |= is_end;
    enum err code = w->end_code;
    pthread_mutex_unlock(&k->lock);
    struct error err;
    if (code)
        (void)error_set(&err, code, "watch ended by the test");
    if (is_end)
        w->ops->on_end(w->self, code ? &err : NULL);
    else
        w->ops->on_event(w->self, e.type, e.text);
    pthread_mutex_lock(&k->lock);
    w->is_busy = false;
    pthread_cond_broadcast(&k->changed);
    return true;
}

static void *dispatch(void *arg)
{
    struct fake_kube *k = arg;
    pthread_mutex_lock(&k->lock);
    while (!k->is_stopping) {
        bool any = false;
        LIST_FOREACH (&k->watches, it) {
            any = deliver_one(k, LIST_ENTRY(it, struct watch, link));
            if (any)
                break; /* the list may have changed */
        }
        if (!any)
            pthread_cond_wait(&k->changed, &k->lock);
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

static int watch_start(void *self, str collection, str version, const struct kube_watch_ops *ops, void *ops_self,
                       struct kube_watch **ret, struct error *err)
{
    struct fake_kube *k = self;
    uint64_t from;
    if (!str_to_u64(version, &from))
        die("watch from version", version);
    struct fake_kube_fault fault = { 0 };
    pthread_mutex_lock(&k->lock);
    bool is_faulty = take_fault(k, "WATCH", collection, &fault);
    if (is_faulty && fault.code == 0) {
        pthread_mutex_unlock(&k->lock);
        return error_set(err, ERRC_UNAVAILABLE, "the server is gone");
    }
    struct watch *w = mem_new_of(struct watch);
    w->kube = k;
    w->collection = mem_alloc(collection.len + 1);
    memcpy(w->collection, collection.ptr, collection.len);
    w->ops = ops;
    w->self = ops_self;
    while (w->next < k->event_count && k->events[w->next].revision <= from)
        w->next++;
    if (from < k->compacted || is_faulty) {
        w->must_end = true;
        w->end_code = from < k->compacted || fault.code == 410 ? ERRC_TOO_OLD : ERRC_UNAVAILABLE;
    }
    list_add_tail(&k->watches, &w->link);
    *ret = &w->base;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
    return 0;
}

static void watch_stop(struct kube_watch *base)
{
    struct watch *w = (struct watch *)base;
    struct fake_kube *k = w->kube;
    pthread_mutex_lock(&k->lock);
    while (w->is_busy)
        pthread_cond_wait(&k->changed, &k->lock);
    list_remove(&w->link);
    pthread_mutex_unlock(&k->lock);
    mem_free(w->collection);
    mem_free(w);
}

/* ---- for the test --------------------------------------------------------------------------------------------- */

struct fake_kube *fake_kube_new(void)
{
    static const struct kube_transport_ops ops = { .call = call, .watch_start = watch_start, .watch_stop = watch_stop };
    struct fake_kube *k = mem_new_of(struct fake_kube);
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->changed, NULL);
    list_init(&k->watches);
    k->arena = arena_new();
    k->objects = map_new();
    k->revision = 100;
    k->client = kube_client_new(&ops, k);
    if (pthread_create(&k->dispatcher, NULL, dispatch, k) != 0)
        die("thread", S(""));
    return k;
}

void fake_kube_free(struct fake_kube *k)
{
    pthread_mutex_lock(&k->lock);
    k->is_stopping = true;
    if (!list_is_empty(&k->watches))
        die("watches are open", S(""));
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
    pthread_join(k->dispatcher, NULL);
    kube_client_free(k->client);
    map_free(k->objects, NULL);
    mem_free(k->events);
    mem_free(k->calls);
    arena_free(k->arena);
    pthread_cond_destroy(&k->changed);
    pthread_mutex_destroy(&k->lock);
    mem_free(k);
}

struct kube_client *fake_kube_client(struct fake_kube *k)
{
    return k->client;
}

void fake_kube_put(struct fake_kube *k, const char *path, const char *text)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct target t = target_of(str_from(path));
    const struct json *object = parse(a, str_from(text));
    object = json_with_at(a, object, "metadata.name", json_string(a, t.name));
    if (t.ns.len)
        object = json_with_at(a, object, "metadata.namespace", json_string(a, t.ns));
    pthread_mutex_lock(&k->lock);
    struct kube_response res;
    const struct json *old = stored(k, a, str_from(path));
    if (old) {
        object = json_with_at(a, object, "metadata.uid", json_at(old, "metadata.uid"));
        if (!json_at(object, "metadata.finalizers"))
            object = json_with_at(a, object, "metadata.finalizers", json_at(old, "metadata.finalizers"));
        const struct kube_request q = { .method = "PUT", .path = str_from(path), .body = object };
        (void)do_update(k, a, &t, &q, &res);
    } else {
        (void)do_create(k, a, &t, object, &res);
    }
    pthread_mutex_unlock(&k->lock);
}

void fake_kube_delete(struct fake_kube *k, const char *path)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct target t = target_of(str_from(path));
    struct kube_response res;
    pthread_mutex_lock(&k->lock);
    (void)do_delete(k, a, &t, NULL, &res);
    pthread_mutex_unlock(&k->lock);
}

const struct json *fake_kube_get(struct fake_kube *k, struct arena *a, const char *path)
{
    pthread_mutex_lock(&k->lock);
    const struct json *object = stored(k, a, str_from(path));
    pthread_mutex_unlock(&k->lock);
    return object;
}

size_t fake_kube_list(struct fake_kube *k, struct arena *a, const char *collection_path, const struct json ***ret)
{
    struct kube_response res;
    pthread_mutex_lock(&k->lock);
    (void)do_list(k, a, str_from(collection_path), S(""), &res);
    pthread_mutex_unlock(&k->lock);
    const struct json *items = json_get(res.body, S("items"));
    *ret = arena_array_of(a, const struct json *, json_count(items));
    for (size_t i = 0; i < json_count(items); i++)
        (*ret)[i] = json_item(items, i);
    return json_count(items);
}

size_t fake_kube_count(struct fake_kube *k, const char *collection_path)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct json **list;
    return fake_kube_list(k, a, collection_path, &list);
}

str fake_kube_dump(struct fake_kube *k, struct arena *a)
{
    STRBUF_AUTO b = STRBUF_INIT(64 << 20);
    pthread_mutex_lock(&k->lock);
    str path;
    void *value;
    for (size_t i = 0; map_next(k->objects, &i, &path, &value);)
        strbuf_addf(&b, "%.*s %.*s\n", STR_ARG(path), STR_ARG(*(str *)value));
    pthread_mutex_unlock(&k->lock);
    return strbuf_to_arena(&b, a);
}

void fake_kube_fail(struct fake_kube *k, const struct fake_kube_fault *fault)
{
    pthread_mutex_lock(&k->lock);
    if (k->fault_count == FAULTS_MAX)
        die("faults", S("too many"));
    k->faults[k->fault_count++] = *fault;
    pthread_mutex_unlock(&k->lock);
}

void fake_kube_heal(struct fake_kube *k)
{
    pthread_mutex_lock(&k->lock);
    k->fault_count = 0;
    atomic_fetch_add(&k->heals, 1);
    pthread_mutex_unlock(&k->lock);
}

void fake_kube_end_watches(struct fake_kube *k, enum err code)
{
    pthread_mutex_lock(&k->lock);
    LIST_FOREACH (&k->watches, it) {
        struct watch *w = LIST_ENTRY(it, struct watch, link);
        w->must_end = true;
        w->end_code = code;
    }
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

void fake_kube_compact(struct fake_kube *k)
{
    pthread_mutex_lock(&k->lock);
    k->compacted = k->revision;
    pthread_mutex_unlock(&k->lock);
}

void fake_kube_bookmark(struct fake_kube *k)
{
    pthread_mutex_lock(&k->lock);
    LIST_FOREACH (&k->watches, it)
        LIST_ENTRY(it, struct watch, link)->has_bookmark = true;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

size_t fake_kube_calls(struct fake_kube *k, const char *method, const char *path_part)
{
    size_t n = 0;
    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < k->call_count; i++)
        n += strcmp(k->calls[i].method, method) == 0 && matches(path_part, str_from(k->calls[i].path));
    pthread_mutex_unlock(&k->lock);
    return n;
}

size_t fake_kube_open_watches(struct fake_kube *k)
{
    size_t n = 0;
    pthread_mutex_lock(&k->lock);
    LIST_FOREACH (&k->watches, it)
        n += !LIST_ENTRY(it, struct watch, link)->must_end;
    pthread_mutex_unlock(&k->lock);
    return n;
}

uint64_t fake_kube_revision(struct fake_kube *k)
{
    pthread_mutex_lock(&k->lock);
    uint64_t revision = k->revision;
    pthread_mutex_unlock(&k->lock);
    return revision;
}
