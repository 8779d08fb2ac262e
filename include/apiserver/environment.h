/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine offers to the kinds' rules: found once at start by whoever assembles the server, never changed
 * afterwards. Any thread.
 */
#ifndef APISERVER_ENVIRONMENT_H
#define APISERVER_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

struct environment {
    const int *postgres_majors; /* ascending: PostgreSQL majors whose binaries are installed */
    size_t postgres_major_count;
};

/* Looks for <root>/<major>/bin/postgres (Debian's layout); root NULL: /usr/lib/postgresql. Nothing found is no error.
 */
void environment_scan(struct arena *a, const char *root, struct environment *ret);
bool environment_has_major(const struct environment *e, int major);
/* 0 when none is installed. */
int environment_newest_major(const struct environment *e);

#endif
