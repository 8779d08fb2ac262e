/* SPDX-License-Identifier: Apache-2.0 */
/* The status on its way out: what board.c needs of http.c. */
#ifndef RECONCILE_AGENT_HTTP_H
#define RECONCILE_AGENT_HTTP_H

#include "agent.h"
#include "base/blob.h"

/* Sends one line to every open stream; takes the reference over. Any thread; without a server it is dropped. */
void agent_http_broadcast(struct agent *ag, struct blob *line);

#endif
