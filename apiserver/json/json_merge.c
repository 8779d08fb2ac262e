/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 7386 merge patch: objects are merged member by member, null removes, anything else replaces. */
#include "json/json_patch.h"

const struct json *json_merge_patch(struct arena *a, const struct json *target, const struct json *patch)
{
    if (!json_is(patch, JSON_OBJECT))
        return patch;
    if (!json_is(target, JSON_OBJECT))
        target = &json_empty_object;
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < target->count; i++) {
        const struct json_member *m = &target->members[i];
        const struct json *change = json_get(patch, m->key);
        if (!change)
            json_builder_add(&b, m->key, m->value);
        else if (change->type != JSON_NULL)
            json_builder_add(&b, m->key, json_merge_patch(a, m->value, change));
    }
    for (size_t i = 0; i < patch->count; i++) {
        const struct json_member *m = &patch->members[i];
        if (m->value->type != JSON_NULL && !json_get(target, m->key))
            json_builder_add(&b, m->key, json_merge_patch(a, NULL, m->value));
    }
    return json_builder_object(&b);
}
