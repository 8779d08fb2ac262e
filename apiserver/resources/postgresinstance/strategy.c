/* SPDX-License-Identifier: Apache-2.0 */
/* PostgresInstance: written by the reconciler alone, so that there is nothing to check. */
#include "meta/names.h"
#include "resources/kinds.h"

const struct kind_code kind_postgresinstance = { .check_name = names_check_dns1123_subdomain };
