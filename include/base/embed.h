/* SPDX-License-Identifier: Apache-2.0 */
/* Data files that the build puts into the program: apiserver/base/embed.py makes a table of them. */
#ifndef BASE_EMBED_H
#define BASE_EMBED_H

#include "base/str.h"

struct embedded_file {
    str name; /* the last two segments of its path: "secret/schema.yaml"; empty ends a table */
    str data;
};

/* Empty when there is no such file. */
static inline str embedded_find(const struct embedded_file *table, str name)
{
    while (table->name.len && !str_eq(table->name, name))
        table++;
    return table->data;
}

#endif
