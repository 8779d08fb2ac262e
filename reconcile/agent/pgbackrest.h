/* SPDX-License-Identifier: Apache-2.0 */
/* pgBackRest as a child: what backups and the archive share. */
#ifndef RECONCILE_AGENT_PGBACKREST_H
#define RECONCILE_AGENT_PGBACKREST_H

#include "agent.h"

struct backrest_call {
    struct agent *ag;
    const char *stanza;
    const char *const *args; /* after --config and --stanza */
    int64_t ms;
    void (*on_line)(void *self, str line); /* of its standard error; may be NULL */
    void *self;
};

/* To its end, on a thread of ag->tasks. An error carries pgBackRest's own first one. ret_out may be NULL. */
int backrest_run(struct arena *a, const struct backrest_call *call, str *ret_out, struct error *err) MUST_USE;
/* The name under which the configuration has it. */
void backrest_stanza(struct agent *ag, char *ret, size_t size);

#endif
