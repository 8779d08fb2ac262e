/* SPDX-License-Identifier: Apache-2.0 */
/* Namespace: Active until it is deleted; emptying it is the handlers' work. Those that clients assume to be there
 * stay. */
#include "meta/names.h"
#include "resources/kinds.h"

/* As kube-apiserver defaults it: selectors of namespaces find each by its name. */
static const struct json *with_name_label(struct arena *a, const struct json *object)
{
    const struct json *labels = json_at(object, "metadata.labels"), *name = json_at(object, "metadata.name");
    if (!json_is(labels, JSON_OBJECT))
        labels = json_object(a, NULL, 0);
    return json_with_at(a, object, "metadata.labels", json_with(a, labels, S("kubernetes.io/metadata.name"), name));
}

static const struct json *prepare_create(struct arena *a, const struct resource *r, const struct json *object)
{
    (void)r;
    return json_with_at(a, with_name_label(a, object), "status.phase", json_string(a, S("Active")));
}

static const struct json *prepare_update(struct arena *a, const struct resource *r, const struct json *object,
                                         const struct json *old)
{
    (void)r, (void)old;
    return with_name_label(a, object);
}

/* As k8s.io/apiserver's NamespaceLifecycle refuses it. */
static struct status *check_delete(struct arena *a, const struct resource *r, const struct json *object)
{
    str name = json_str_at(object, "metadata.name");
    if (!str_eq(name, S("default")) && !str_eq(name, S("kube-system")))
        return NULL;
    return status_forbidden(a, r->group, r->plural, name, S("this namespace may not be deleted"));
}

static const struct resource_strategy strategy = { .prepare_create = prepare_create,
                                                   .prepare_update = prepare_update,
                                                   .check_delete = check_delete };

const struct kind_code kind_namespace = { .strategy = &strategy, .check_name = names_check_dns1123_label };
