/* SPDX-License-Identifier: Apache-2.0 */
/* Counted events and their one serialized frame. */
#include <string.h>

#include "base/blob.h"
#include "base/mem.h"
#include "storage/watch_cache.h"

struct watch_event *cache__event_new(enum watch_event_type type, rv revision, struct object *object,
                                     struct object *old_object)
{
    struct watch_event *e = mem_new_of(struct watch_event);
    atomic_init(&e->refs, 1);
    e->type = type;
    e->revision = revision;
    e->object = object_ref(object);
    e->old_object = old_object ? object_ref(old_object) : NULL;
    atomic_init(&e->frame, NULL);
    return e;
}

struct watch_event *watch_event_ref(struct watch_event *e)
{
    (void)atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

struct watch_event *watch_event_unref(struct watch_event *e)
{
    if (e && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1) {
        (void)object_unref(e->object);
        (void)object_unref(e->old_object);
        (void)blob_unref(atomic_load(&e->frame));
        mem_free(e);
    }
    return NULL;
}

static struct blob *make_frame(const struct watch_event *e)
{
    static const str heads[] = {
        [WATCH_ADDED] = S_INIT("{\"type\":\"ADDED\",\"object\":"),
        [WATCH_MODIFIED] = S_INIT("{\"type\":\"MODIFIED\",\"object\":"),
        [WATCH_DELETED] = S_INIT("{\"type\":\"DELETED\",\"object\":"),
    };
    str head = heads[e->type];
    str body = e->object->bytes;
    struct blob *frame = blob_new_size(head.len + body.len + 2);
    memcpy(frame->bytes, head.ptr, head.len);
    memcpy(frame->bytes + head.len, body.ptr, body.len);
    memcpy(frame->bytes + head.len + body.len, "}\n", 2);
    return frame;
}

struct blob *watch_event_frame(struct watch_event *e)
{
    struct blob *frame = atomic_load_explicit(&e->frame, memory_order_acquire);
    if (frame)
        return frame;
    struct blob *made = make_frame(e);
    /* Two threads may make it at once: the first one stays. */
    if (atomic_compare_exchange_strong(&e->frame, &frame, made))
        return made;
    (void)blob_unref(made);
    return frame;
}
