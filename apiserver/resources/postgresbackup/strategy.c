/* SPDX-License-Identifier: Apache-2.0 */
/* PostgresBackup: a record of one backup; what was asked cannot be changed afterwards. */
#include "meta/names.h"
#include "resources/kinds.h"

static void validate(const struct resource *r, const struct json *object, struct field_errors *errors)
{
    (void)r;
    const struct json *cluster = json_at(object, "spec.cluster");
    if (!json_is(cluster, JSON_STRING) || str_is_empty(cluster->text))
        return;
    const char *wrong = kind_check_cluster_name(cluster->text);
    if (wrong)
        field_error_add(errors, FIELD_INVALID, S("spec.cluster"), cluster, "%s", wrong);
}

static void validate_update(const struct resource *r, const struct json *object, const struct json *old,
                            struct field_errors *errors)
{
    (void)r;
    kind_check_immutable(errors, S("spec"), json_get(object, S("spec")), json_get(old, S("spec")));
}

static const struct resource_strategy strategy = { .validate = validate, .validate_update = validate_update };

const struct kind_code kind_postgresbackup = {
    .strategy = &strategy,
    .check_name = names_check_dns1123_subdomain,
};
