/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of its own for each test, removed at the end of its scope. For tests only. */
#ifndef HARNESS_TEMP_DIR_H
#define HARNESS_TEMP_DIR_H

#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/fs.h"

struct temp_dir {
    char path[64];
};

static inline struct temp_dir temp_dir_make(void)
{
    struct temp_dir d = { "/tmp/postgres-apiserver-test.XXXXXX" };
    if (!mkdtemp(d.path))
        abort();
    return d;
}

static inline void temp_dir_release(struct temp_dir *d)
{
    if (fs_remove_all(d->path, NULL) != 0)
        (void)fprintf(stderr, "left behind: %s\n", d->path);
}

/* TEMP_DIR(d); then d.path, or TEMP_PATH(arena, d, "name"). */
#define TEMP_DIR(name) CLEANUP(temp_dir_release) struct temp_dir name = temp_dir_make()

#define TEMP_PATH(a, d, name) (arena_printf((a), "%s/%s", (d).path, (name)).ptr)

#endif
