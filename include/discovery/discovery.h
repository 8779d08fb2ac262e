/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documents from which clients learn which resources there are: aggregated (apidiscovery.k8s.io) and the older one
 * per group and version. Internal resources never show. Trees live in the arena. Any thread.
 */
#ifndef DISCOVERY_DISCOVERY_H
#define DISCOVERY_DISCOVERY_H

#include "apiserver/resource.h"

/* A group with its one version, as the registry has it; the core group has an empty name. */
struct discovery_group {
    str group, version;
};
/* In the order of the registry; core first. */
size_t discovery_groups(const struct resource_registry *reg, struct discovery_group *ret, size_t max);

/* APIGroupDiscoveryList of /api (is_core) or /apis; api_version "apidiscovery.k8s.io/v2" or "…/v2beta1". */
const struct json *discovery_aggregated(struct arena *a, const struct resource_registry *reg, bool is_core,
                                        str api_version);
/* /apis */
const struct json *discovery_group_list(struct arena *a, const struct resource_registry *reg);
/* /apis/<group> */
const struct json *discovery_group_document(struct arena *a, const struct discovery_group *g);
/* /apis/<group>/<version> and /api/v1 */
const struct json *discovery_resource_list(struct arena *a, const struct resource_registry *reg,
                                           const struct discovery_group *g);
/* /api */
const struct json *discovery_core_versions(struct arena *a);

#endif
