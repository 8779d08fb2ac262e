/* SPDX-License-Identifier: Apache-2.0 */
/* Checks spec.postgresql.parameters against what one PostgreSQL major takes. Any thread. */
#ifndef RESOURCES_POSTGRESCLUSTER_PARAMETERS_H
#define RESOURCES_POSTGRESCLUSTER_PARAMETERS_H

#include "meta/status.h"

/*
 * parameters: the object, or anything else, which says nothing. A major without a table (guc.h): names are taken as
 * they are, only the operator's own are refused.
 */
void parameters_validate(int major, const struct json *parameters, struct field_errors *errors);

#endif
