/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of this server: reads the embedded schema.yaml of each into a struct resource. Everything lives in the
 * arena that is given and is immutable once the stores are set; any thread may read it.
 */
#ifndef APISERVER_RESOURCES_H
#define APISERVER_RESOURCES_H

#include "apiserver/environment.h"
#include "apiserver/resource.h"

struct resources_options {
    const struct environment *environment; /* outlives the resources */
    bool has_core_kinds;                   /* standalone: namespaces, secrets and events of v1 */
};

/*
 * The resources are the caller's to complete: each `store` is NULL until he sets it. Fails only when an embedded
 * schema.yaml is wrong, which the tests exclude.
 */
int resources_load(struct arena *a, const struct resources_options *options, struct resource ***ret, size_t *ret_count,
                   struct error *err) MUST_USE;

#endif
