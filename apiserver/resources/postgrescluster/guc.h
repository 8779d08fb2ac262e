/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL's configuration parameters as each major knows them: which exist, and which values they take. The tables
 * in guc/ were written by guc/extract from real servers. Values are read as PostgreSQL reads them (guc.c:
 * parse_and_validate_value), units included. No state; any thread.
 */
#ifndef RESOURCES_POSTGRESCLUSTER_GUC_H
#define RESOURCES_POSTGRESCLUSTER_GUC_H

#include "base/arena.h"
#include "base/str.h"

enum guc_type { GUC_BOOL, GUC_INTEGER, GUC_REAL, GUC_STRING, GUC_ENUM };

struct guc {
    str name; /* as PostgreSQL writes it: "DateStyle" */
    enum guc_type type;
    str minimum, maximum; /* numbers in the base unit */
    str values;           /* of an enum, separated by commas; hidden ones included */
    str unit;             /* base unit: "8kB", "ms"; empty: takes no unit */
    str context;          /* "postmaster", "sighup", "internal" … */
};

bool guc_has_table(int major);
/* Names compare without case, as in PostgreSQL. */
bool guc_find(int major, str name, struct guc *ret);
/*
 * A custom name such as "auto_explain.log_min_duration"; PostgreSQL takes any, extensions check them when loaded. It
 * would also take "$", which no extension uses and the agent does not write.
 */
bool guc_is_qualified_name(str name);

/* True when PostgreSQL takes the value; else *ret_why is what it must be. */
bool guc_check_value(struct arena *a, const struct guc *g, str value, str *ret_why);
/* The value of an integer in its base unit; false when guc_check_value would refuse it. */
bool guc_read_integer(const struct guc *g, str value, int *ret);

#endif
