/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers around struct resource that every user of kinds shares. */
#include "apiserver/resource.h"

#include "meta/names.h"
#include "resources/kinds.h"

static char *add(char *p, str s)
{
    *p++ = '/';
    return s.len > 0 ? mempcpy(p, s.ptr, s.len) : p;
}

/* Made for every request: no printf. */
str resource_key(struct arena *a, const struct resource *r, str ns, str name)
{
    str group = r->group.len ? r->group : S("core");
    size_t max = group.len + r->plural.len + ns.len + name.len + 4;
    char *text = arena_alloc(a, max + 1), *p = add(add(text, group), r->plural);
    if (!r->is_namespaced)
        p = add(p, name);
    else if (str_is_empty(ns))
        p = add(p, (str) { 0 });
    else
        p = add(add(p, ns), name);
    return str_of(text, (size_t)(p - text));
}

void kind_check_immutable(struct field_errors *errors, str field, const struct json *value, const struct json *old)
{
    const struct json *now = value ? value : &json_null_value;
    const struct json *before = old ? old : &json_null_value;
    if (!json_equal(now, before))
        field_error_add(errors, FIELD_INVALID, field, now, "field is immutable");
}

#define CLUSTER_NAME_MAX 40

const char *kind_check_cluster_name(str name)
{
    if (name.len > CLUSTER_NAME_MAX)
        return "must be no more than 40 characters: names of instances, replication slots and services are made from "
               "it";
    return names_check_dns1035_label(name);
}
