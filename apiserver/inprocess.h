/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API from within: the reconciler's kube_client without sockets, as the internal user. One thread of its own is the
 * home of its watches.
 */
#ifndef INPROCESS_H
#define INPROCESS_H

#include "apiserver/api.h"
#include "kube/client.h"

struct inprocess;

int inprocess_new(struct api *api, struct inprocess **ret, struct error *err) MUST_USE;
/* Lives as long as the transport. */
struct kube_client *inprocess_client(struct inprocess *p);
/* After the last watch was stopped and the last call returned; before api_free. NULL is allowed. */
void inprocess_free(struct inprocess *p);

#endif
