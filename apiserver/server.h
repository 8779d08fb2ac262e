/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The complete server: storage, kinds, API, HTTP and reconciler put together, started in order and stopped in reverse.
 * Called by main's thread only.
 */
#ifndef APISERVER_SERVER_H
#define APISERVER_SERVER_H

#include "options.h"

struct server;

/* What the table of flags cannot say: flags that need each other, addresses. */
int server_check_options(const struct options *options, struct error *err) MUST_USE;
/* Returns when it listens and is ready. The options were checked. */
int server_start(const struct options *options, struct server **ret, struct error *err) MUST_USE;
/* Now and then (each second): picks up changed certificates. */
void server_tick(struct server *s);
/*
 * Graceful: readyz fails, no new connections, running requests finish (up to --shutdown-timeout), watches end cleanly,
 * the reconciler stops, the store is closed. Instances keep serving. NULL is allowed.
 */
void server_stop(struct server *s);

#endif
