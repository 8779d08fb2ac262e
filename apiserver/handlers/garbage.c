/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The garbage collector of a standalone server, where no kube-controller-manager does it: objects whose owners are all
 * gone are deleted, and the finalizers that a propagation policy sets (`orphan`, `foregroundDeletion`) are honoured and
 * taken away. One pass looks at everything in the cache; the store's events wake it.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "handlers/internal.h"

/* Between two passes, so that a burst of deletions costs few of them. */
#define PASS_INTERVAL_MS 200
#define RETRY_MS 2000

struct garbage {
    struct api *api;
    struct store_subscriber **subscribers;
    size_t subscriber_count;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_wanted, is_ending; /* under the lock */
};

struct owned {
    const struct resource *resource;
    struct object *object;
    const struct json *tree;
};

struct pass {
    struct garbage *garbage;
    struct arena *arena;
    struct map *uids; /* of everything that exists → anything */
    struct owned *owned;
    size_t owned_count, owned_cap;
    struct owned *deleting; /* with a finalizer of ours */
    size_t deleting_count, deleting_cap;
    struct error err;
    int result; /* the first failure: the pass is made again */
};

/* Kinds whose objects users can delete: what is owned, and what owns. */
static bool is_collected(const struct resource *r)
{
    return !r->is_virtual && !r->is_internal && (r->verbs & VERB_DELETE) != 0;
}

static void note(struct pass *p, int result)
{
    /* What changed or went meanwhile is told by an event of its own. */
    if (result < 0 && result != ERRC_CONFLICT && result != ERRC_NOT_FOUND && p->result == 0)
        p->result = result;
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

static void append(struct arena *a, struct owned **items, size_t *count, size_t *cap, const struct owned *item)
{
    if (*count == *cap) {
        *cap = *cap ? 2 * *cap : 16;
        struct owned *more = arena_array_of(a, struct owned, *cap);
        if (*count > 0)
            memcpy(more, *items, *count * sizeof(**items));
        *items = more;
    }
    (*items)[(*count)++] = *item;
}

static bool has_our_finalizer(const struct object *o)
{
    return o->is_deleting && o->has_finalizers &&
           (str_find(o->bytes, S("\"orphan\"")) >= 0 || str_find(o->bytes, S("\"foregroundDeletion\"")) >= 0);
}

static void look_at(struct pass *p, const struct resource *r)
{
    struct store_list list;
    store_list(r->store, p->arena, resource_key(p->arena, r, (str) { 0 }, (str) { 0 }), (str) { 0 }, 0, &list);
    for (size_t i = 0; i < list.count; i++) {
        struct owned item = { .resource = r, .object = list.objects[i] };
        bool is_owned = str_find(item.object->bytes, S("\"ownerReferences\"")) >= 0;
        bool is_ours = has_our_finalizer(item.object);
        if (is_owned || is_ours)
            item.tree = object_parse(p->arena, item.object);
        if (is_owned)
            append(p->arena, &p->owned, &p->owned_count, &p->owned_cap, &item);
        if (is_ours)
            append(p->arena, &p->deleting, &p->deleting_count, &p->deleting_cap, &item);
    }
}

static void note_uids(struct pass *p, const struct resource *r)
{
    struct store_list list;
    store_list(r->store, p->arena, resource_key(p->arena, r, (str) { 0 }, (str) { 0 }), (str) { 0 }, 0, &list);
    for (size_t i = 0; i < list.count; i++)
        (void)map_put(p->uids, list.objects[i]->uid, p);
}

/* Owners of kinds that are not served here are nobody's to judge. */
static bool is_known_kind(const struct pass *p, const struct json *owner)
{
    const struct resource_registry *registry = p->garbage->api->options.registry;
    for (size_t i = 0; i < registry->count; i++)
        if (str_eq(registry->resources[i]->kind, json_str_at(owner, "kind")))
            return true;
    return false;
}

static bool is_orphaned(const struct pass *p, const struct owned *item)
{
    const struct json *owners = json_at(item->tree, "metadata.ownerReferences");
    for (size_t i = 0; i < json_count(owners); i++) {
        const struct json *owner = json_item(owners, i);
        if (!is_known_kind(p, owner) || map_get(p->uids, json_str_at(owner, "uid")))
            return false;
    }
    return json_count(owners) > 0;
}

static const struct json *reference_to(const struct owned *item, str uid)
{
    const struct json *owners = json_at(item->tree, "metadata.ownerReferences");
    for (size_t i = 0; i < json_count(owners); i++)
        if (str_eq(json_str_at(json_item(owners, i), "uid"), uid))
            return json_item(owners, i);
    return NULL;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static void delete_in_background(struct pass *p, const struct owned *item)
{
    if (item->object->is_deleting)
        return;
    const struct delete_options options = { .propagation = PROPAGATION_BACKGROUND, .uid = item->object->uid };
    struct object *object = item->object;
    struct status *fail = deletion_run_many(p->arena, item->resource, &object, 1, &options);
    if (fail)
        note(p, error_set(&p->err, ERRC_UNAVAILABLE, "%.*s", STR_ARG(str_first(fail->message, 256))));
}

static void write_metadata(struct pass *p, const struct owned *item, struct metadata *m)
{
    struct arena *a = p->arena;
    m->fields[META_RESOURCE_VERSION] = NULL;
    bool is_gone = item->object->is_deleting && metadata_finalizers(m) == 0 &&
                   !namespaces_is_kind(p->garbage->api, item->resource);
    const struct json *tree = json_with(a, item->tree, S("metadata"), metadata_tree(a, m));
    CLEANUP(object_unrefp) struct object *changed = is_gone ? NULL : object_from_tree(tree, 0);
    const struct storage_write write = {
        .kind = is_gone ? STORAGE_DELETE : STORAGE_PUT,
        .expect = STORAGE_EXPECT_REVISION,
        .revision = item->object->resource_version,
        .key = resource_key(a, item->resource, item->object->namespace_, item->object->name),
        .object = changed,
    };
    note(p, store_write_wait(item->resource->store, &write, NULL, &p->err));
}

static bool read_metadata(struct pass *p, const struct owned *item, struct metadata *ret)
{
    struct json_notes ignored = { 0 };
    return metadata_read(p->arena, item->tree, &ignored, ret) == NULL;
}

static void disown(struct pass *p, const struct owned *item, str uid)
{
    struct metadata m;
    if (!read_metadata(p, item, &m))
        return;
    const struct json *old = m.fields[META_OWNER_REFERENCES];
    const struct json **kept = arena_array_of(p->arena, const struct json *, json_count(old) + 1);
    size_t n = 0;
    for (size_t i = 0; i < json_count(old); i++)
        if (!str_eq(json_str_at(json_item(old, i), "uid"), uid))
            kept[n++] = json_item(old, i);
    m.fields[META_OWNER_REFERENCES] = n > 0 ? json_array(p->arena, kept, n) : NULL;
    write_metadata(p, item, &m);
}

/* True when nothing stands in the way of the finalizer's removal any more. */
static bool settle_dependents(struct pass *p, const struct owned *owner, bool is_orphaning)
{
    bool is_clear = true;
    for (size_t i = 0; i < p->owned_count; i++) {
        const struct json *reference = reference_to(&p->owned[i], owner->object->uid);
        if (!reference)
            continue;
        if (is_orphaning) {
            disown(p, &p->owned[i], owner->object->uid);
            is_clear = false; /* looked at again, by the event of this write */
        } else {
            delete_in_background(p, &p->owned[i]);
            is_clear &= !json_bool_at(reference, "blockOwnerDeletion", false);
        }
    }
    return is_clear;
}

static void settle_owner(struct pass *p, const struct owned *owner)
{
    struct metadata m;
    if (!read_metadata(p, owner, &m))
        return;
    bool is_orphaning = metadata_has_finalizer(&m, S("orphan"));
    if (!settle_dependents(p, owner, is_orphaning))
        return;
    metadata_set_finalizer(p->arena, &m, is_orphaning ? S("orphan") : S("foregroundDeletion"), false);
    write_metadata(p, owner, &m);
}

/* ---- passes ------------------------------------------------------------------------------------------------------ */

static int run_pass(struct garbage *g)
{
    struct pass p = { .garbage = g, .arena = arena_new(), .uids = map_new() };
    const struct resource_registry *registry = g->api->options.registry;
    /* Dependents first: an owner that is not found afterwards is gone, not unborn. */
    for (size_t i = 0; i < registry->count; i++)
        if (is_collected(registry->resources[i]))
            look_at(&p, registry->resources[i]);
    for (size_t i = 0; p.owned_count > 0 && i < registry->count; i++)
        note_uids(&p, registry->resources[i]);
    for (size_t i = 0; i < p.owned_count; i++)
        if (is_orphaned(&p, &p.owned[i]))
            delete_in_background(&p, &p.owned[i]);
    for (size_t i = 0; i < p.deleting_count; i++)
        settle_owner(&p, &p.deleting[i]);
    if (p.result < 0)
        log_warn("garbage not collected yet", LOG_ERROR(&p.err));
    map_free(p.uids, NULL);
    arena_free(p.arena);
    return p.result;
}

/* Waits until a pass is wanted, and at least until `earliest`; false at the end. */
static bool wait_wanted(struct garbage *g, int64_t earliest)
{
    pthread_mutex_lock(&g->lock);
    while (!g->is_ending && (!g->is_wanted || !deadline_has_passed(earliest))) {
        struct timespec at = clock_to_timespec(earliest);
        if (g->is_wanted)
            pthread_cond_timedwait(&g->changed, &g->lock, &at);
        else
            pthread_cond_wait(&g->changed, &g->lock);
    }
    bool goes_on = !g->is_ending;
    g->is_wanted = false;
    pthread_mutex_unlock(&g->lock);
    return goes_on;
}

static void want(struct garbage *g)
{
    pthread_mutex_lock(&g->lock);
    g->is_wanted = true;
    pthread_cond_signal(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void *run(void *arg)
{
    struct garbage *g = arg;
    for (int64_t earliest = 0; wait_wanted(g, earliest);) {
        int r = run_pass(g);
        earliest = deadline_in_ms(r < 0 ? RETRY_MS : PASS_INTERVAL_MS);
        if (r < 0)
            want(g);
    }
    return NULL;
}

/* Writer thread. */
static void on_events(void *self, struct watch_event *const *events, size_t count, rv up_to UNUSED)
{
    for (size_t i = 0; i < count; i++)
        if (events[i]->type == WATCH_DELETED || has_our_finalizer(events[i]->object) ||
            (events[i]->old_object && str_find(events[i]->old_object->bytes, S("\"ownerReferences\"")) >= 0)) {
            want(self);
            return;
        }
}

/* ---- start and stop ------------------------------------------------------------------------------------------------
 */

static void release(struct garbage *g)
{
    for (size_t i = 0; i < g->subscriber_count; i++)
        store_unsubscribe(g->subscribers[i]);
    mem_free(g->subscribers);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    mem_free(g);
}

static int subscribe(struct garbage *g, const struct resource *r, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    rv from;
    str all = resource_key(a, r, (str) { 0 }, (str) { 0 });
    int result = store_subscribe(r->store, all, 0, on_events, g, &g->subscribers[g->subscriber_count], &from, err);
    g->subscriber_count += result == 0;
    return result;
}

int garbage_start(struct api *api, struct error *err)
{
    if (!api->namespace_resource)
        return 0;
    struct garbage *g = mem_new_of(struct garbage);
    g->api = api;
    g->is_wanted = true; /* what was left when the server ended */
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&g->changed, &attr);
    pthread_condattr_destroy(&attr);
    const struct resource_registry *registry = api->options.registry;
    g->subscribers = mem_array_of(struct store_subscriber *, registry->count);
    int r = 0;
    for (size_t i = 0; r == 0 && i < registry->count; i++)
        if (is_collected(registry->resources[i]))
            r = subscribe(g, registry->resources[i], err);
    if (r == 0)
        r = thread_start(&g->thread, "garbage", run, g, err);
    if (r < 0) {
        release(g);
        return r;
    }
    api->garbage = g;
    return 0;
}

void garbage_stop(struct api *api)
{
    struct garbage *g = api->garbage;
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->is_ending = true;
    pthread_cond_signal(&g->changed);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    release(g);
    api->garbage = NULL;
}
