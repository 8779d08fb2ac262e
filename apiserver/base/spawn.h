/* SPDX-License-Identifier: Apache-2.0 */
/* What process.c needs from the file that makes the child. Internal to base. */
#ifndef BASE_SPAWN_H
#define BASE_SPAWN_H

#include "base/process.h"

struct spawn_io {
    int in;
    int out;
    int err;
};

/*
 * Starts spec with these three descriptors, which stay the caller's. own_group: the child leads a new process group.
 * When it returns 0 the program is running (exec succeeded).
 */
int process__spawn(const struct process_spec *spec, const struct spawn_io *io, bool own_group, pid_t *ret_pid,
                   struct error *err) MUST_USE;

/* The descriptor to use as standard input of spec: /dev/null, or the input in memory. */
int process__open_input(const struct process_spec *spec, int *ret_fd, struct error *err) MUST_USE;

#endif
