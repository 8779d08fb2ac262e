/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks one line of pg_hba.conf as PostgreSQL would (hba.c: parse_hba_line), so that a mistake is refused by the API
 * and does not leave a cluster with old rules, or unable to start. Stricter where a line could reach outside
 * (no includes by "@file", no continuation over lines) and where it can only be a mistake (empty entries of a list).
 */
#ifndef RESOURCES_POSTGRESCLUSTER_HBA_H
#define RESOURCES_POSTGRESCLUSTER_HBA_H

#include "base/arena.h"
#include "base/str.h"

/* NULL when fine, else what is wrong; any bytes are taken. */
const char *hba_check_line(struct arena *a, str line);

#endif
