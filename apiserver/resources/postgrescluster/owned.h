/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters that users cannot set because the operator does, or because they would break what it promises. */
#ifndef RESOURCES_POSTGRESCLUSTER_OWNED_H
#define RESOURCES_POSTGRESCLUSTER_OWNED_H

#include "base/str.h"

/* Why `name` (any case) is refused, or NULL when users may set it. */
const char *owned_reason(str name);

#endif
