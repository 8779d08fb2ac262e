/* SPDX-License-Identifier: Apache-2.0 */
/* Namespace: Active until it is deleted; emptying it is the handlers' work. */
#include "meta/names.h"
#include "resources/kinds.h"

static const struct json *prepare_create(struct arena *a, const struct resource *r, const struct json *object)
{
    (void)r;
    return json_with_at(a, object, "status.phase", json_string(a, S("Active")));
}

static const struct resource_strategy strategy = { .prepare_create = prepare_create };

const struct kind_code kind_namespace = { .strategy = &strategy, .check_name = names_check_dns1123_label };
