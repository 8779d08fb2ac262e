/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of postgres-agent: one table, from which --help, the man page and shell completion come too. */
#ifndef RECONCILE_AGENT_OPTIONS_H
#define RECONCILE_AGENT_OPTIONS_H

#include "base/cli.h"

struct agent_options {
    const char *data_dir; /* into argv */
    bool is_foreground;
};

/* Parses or ends the process (help, mistakes). */
void agent_options_parse(struct arena *a, char *const *argv, struct agent_options *ret);

#endif
