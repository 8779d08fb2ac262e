/* SPDX-License-Identifier: Apache-2.0 */
/* Namespace: Active until it is deleted; emptying it is the handlers' work. The one that clients assume to be there
 * stays. */
#include "meta/names.h"
#include "resources/kinds.h"

static const struct json *prepare_create(struct arena *a, const struct resource *r, const struct json *object)
{
    (void)r;
    return json_with_at(a, object, "status.phase", json_string(a, S("Active")));
}

/* As k8s.io/apiserver's NamespaceLifecycle refuses it. */
static struct status *check_delete(struct arena *a, const struct resource *r, const struct json *object)
{
    str name = json_str_at(object, "metadata.name");
    if (!str_eq(name, S("default")))
        return NULL;
    return status_forbidden(a, r->group, r->plural, name, S("this namespace may not be deleted"));
}

static const struct resource_strategy strategy = { .prepare_create = prepare_create, .check_delete = check_delete };

const struct kind_code kind_namespace = { .strategy = &strategy, .check_name = names_check_dns1123_label };
