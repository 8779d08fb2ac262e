/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies in Kubernetes' protobuf envelope, for the kinds of v1 that this server has: typed clients, kubectl's `create
 * namespace` and `create secret` among them, send nothing else for those. Answers are JSON, which they accept.
 */
#ifndef REQUEST_PROTOBUF_H
#define REQUEST_PROTOBUF_H

#include "base/error.h"
#include "json/json.h"

/*
 * ERRC_INVALID when malformed, ERRC_UNSUPPORTED for a kind without a table (v1 Namespace, Secret, Event and
 * DeleteOptions have one). Fields that the table does not know are passed over.
 */
int protobuf_decode(struct arena *a, str bytes, const struct json **ret, struct error *err) MUST_USE;

#endif
