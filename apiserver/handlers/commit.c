/* SPDX-License-Identifier: Apache-2.0 */
/* One write on behalf of a call: no thread waits for the disk, the answer leaves from the store's writer. */
#include "base/limits.h"
#include "handlers/internal.h"

static void on_written(void *self, int result, struct object *object, const struct error *err)
{
    struct commit *m = self;
    m->on_done(m, result, object, err);
}

void commit_start(struct commit *m)
{
    struct call *c = m->call;
    struct error err;
    int r = 0;
    CLEANUP(object_unrefp) struct object *object = NULL;
    if (m->write.kind == STORAGE_PUT) {
        m->write.object = object = object_from_tree(m->tree, 0);
        if (object->bytes.len > LIMIT_OBJECT_BYTES)
            r = error_set(&err, ERRC_TOO_LARGE, "Request entity too large: the object is larger than %u bytes",
                          LIMIT_OBJECT_BYTES);
    }
    m->write.deadline_ns = c->req->deadline_ns;
    if (r == 0)
        r = store_write(c->resource->store, &m->write, on_written, m, &err);
    if (r < 0)
        m->on_done(m, r, NULL, &err);
}

static void answer_on_worker(struct call *c)
{
    struct commit *m = c->next_self;
    answer_object(c, m->code, m->object);
}

static void release_object(void *object)
{
    (void)object_unref(object);
}

void commit_answer(struct commit *m, int code, struct object *object)
{
    struct call *c = m->call;
    if (answer_is_cheap(c, object)) {
        answer_object(c, code, object);
        return;
    }
    m->code = code;
    m->object = object_ref(object);
    arena_on_release(c->arena, release_object, m->object);
    c->next_self = m;
    call_on_worker(c, answer_on_worker);
}
