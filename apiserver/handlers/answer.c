/* SPDX-License-Identifier: Apache-2.0 */
/* One object as the client asked for it: its stored bytes where that is all, else by way of the tree. */
#include "handlers/internal.h"

/* Above it, even a copy is work for a worker. */
#define CHEAP_BYTES (64u << 10)

static bool is_plain(const struct call *c)
{
    return c->rep.transform == TRANSFORM_NONE && c->rep.format == MEDIA_JSON && !c->rep.is_pretty;
}

bool answer_is_cheap(const struct call *c, const struct object *o)
{
    return is_plain(c) && o->bytes.len <= CHEAP_BYTES;
}

void answer_object(struct call *c, int code, const struct object *o)
{
    if (is_plain(c))
        call_answer_json(c, code, o->bytes);
    else
        answer_object_tree(c, code, object_parse(c->arena, o));
}

void answer_object_tree(struct call *c, int code, const struct json *tree)
{
    switch (c->rep.transform) {
    case TRANSFORM_TABLE: {
        const struct json *version = json_at(tree, "metadata.resourceVersion");
        const struct json *metadata = JSON_OBJECT_OF(c->arena, JSON_MEMBER("resourceVersion", version));
        tree = table_tree(c, &tree, 1, true, metadata);
        break;
    }
    case TRANSFORM_PARTIAL:
    case TRANSFORM_PARTIAL_LIST: tree = partial_tree(c->arena, c->rep.is_v1beta1, tree); break;
    case TRANSFORM_NONE: break;
    }
    call_answer_tree(c, code, tree);
}

const struct json *list_meta_tree(struct arena *a, const struct list_meta *meta)
{
    struct json_builder b;
    json_builder_init(&b, a);
    json_builder_add(&b, S("resourceVersion"),
                     json_string(a, arena_printf(a, "%llu", (unsigned long long)meta->version)));
    if (!str_is_empty(meta->continue_token))
        json_builder_add(&b, S("continue"), json_string(a, meta->continue_token));
    if (meta->has_remaining)
        json_builder_add(&b, S("remainingItemCount"), json_int(a, (int64_t)meta->remaining));
    return json_builder_object(&b);
}
