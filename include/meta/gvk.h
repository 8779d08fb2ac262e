/* SPDX-License-Identifier: Apache-2.0 */
/* Names of API things. Core group: empty group. */
#ifndef META_GVK_H
#define META_GVK_H

#include "base/arena.h"
#include "base/str.h"

#define API_GROUP "postgres.example.io"
#define API_VERSION "v1"
#define API_GROUP_VERSION API_GROUP "/" API_VERSION

/* "postgres.example.io/v1", or "v1" for the core group. */
str gvk_api_version(struct arena *a, str group, str version);
/* "postgresclusters.postgres.example.io", or "secrets". */
str gvk_qualified_resource(struct arena *a, str group, str resource);

#endif
