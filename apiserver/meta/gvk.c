/* SPDX-License-Identifier: Apache-2.0 */
/* Names of API things. */
#include "meta/gvk.h"

str gvk_api_version(struct arena *a, str group, str version)
{
    if (group.len == 0)
        return arena_str(a, version);
    return arena_printf(a, "%.*s/%.*s", STR_ARG(group), STR_ARG(version));
}

str gvk_qualified_resource(struct arena *a, str group, str resource)
{
    if (group.len == 0)
        return arena_str(a, resource);
    return arena_printf(a, "%.*s.%.*s", STR_ARG(resource), STR_ARG(group));
}
