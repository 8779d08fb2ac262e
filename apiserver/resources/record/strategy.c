/* SPDX-License-Identifier: Apache-2.0 */
/* ClusterRecord: internal, named by the UID of its cluster; who writes it checks it. */
#include "meta/names.h"
#include "resources/kinds.h"

const struct kind_code kind_record = { .check_name = names_check_dns1123_subdomain };
