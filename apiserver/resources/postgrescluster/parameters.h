/* SPDX-License-Identifier: Apache-2.0 */
/* Checks spec.postgresql.parameters against what one PostgreSQL major takes. Any thread. */
#ifndef RESOURCES_POSTGRESCLUSTER_PARAMETERS_H
#define RESOURCES_POSTGRESCLUSTER_PARAMETERS_H

#include "meta/status.h"

struct parameters {
    int major;                     /* a major without a table (guc.h): only the operator's names are refused */
    int instances;                 /* spec.instances */
    const struct json *parameters; /* the object; anything else says nothing */
};

void parameters_validate(const struct parameters *p, struct field_errors *errors);

#endif
