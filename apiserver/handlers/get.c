/* SPDX-License-Identifier: Apache-2.0 */
/* GET of one object, from the cache, on the home thread as long as that is quick. */
#include "base/clock.h"
#include "handlers/internal.h"

#define WAIT_MS 3000 /* for a revision of the future, as k8s.io/apiserver waits */
/* Parsing and transforming that much still fits between two requests. */
#define HOME_BYTES (32u << 10)

static void answer(struct call *c)
{
    struct object *o = store_get(c->resource->store, call_key(c));
    if (!o) {
        call_fail(c, call_not_found(c));
        return;
    }
    if (c->is_deferred || answer_is_cheap(c, o) || o->bytes.len <= HOME_BYTES) {
        answer_object(c, 200, o);
        (void)object_unref(o);
        return;
    }
    (void)object_unref(o);
    call_on_worker(c, answer);
}

static void wait_and_answer(struct call *c)
{
    rv wanted = *(rv *)c->next_self;
    struct error err;
    if (store_wait_revision(c->resource->store, wanted, deadline_in_ms(WAIT_MS), &err) < 0)
        call_fail(c, storage_status_too_large(c->arena, wanted, store_revision(c->resource->store)));
    else
        answer(c);
}

void handle_get(struct call *c)
{
    str text = query_get(&c->query, S("resourceVersion"));
    if (str_is_empty(text)) {
        answer(c);
        return;
    }
    rv *wanted = arena_new_of(c->arena, rv);
    struct status *fail = resource_version_parse(c->arena, text, wanted);
    if (fail) {
        call_fail(c, fail);
    } else if (*wanted <= store_revision(c->resource->store)) {
        answer(c);
    } else {
        c->next_self = wanted;
        call_on_waiter(c, wait_and_answer);
    }
}
