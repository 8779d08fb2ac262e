/* SPDX-License-Identifier: Apache-2.0 */
/* The code that belongs to each schema.yaml; one of these per folder, listed in registry.c. */
#ifndef RESOURCES_KINDS_H
#define RESOURCES_KINDS_H

#include "apiserver/resource.h"
#include "base/embed.h"

/* A computed table cell, named by `cell:` in schema.yaml. */
struct kind_cell {
    const char *name;
    const struct json *(*fn)(struct arena *a, const struct json *object);
};

struct kind_action {
    const char *name;
    void (*validate)(const struct json *cluster, const struct json *body, struct field_errors *errors);
};

struct kind_code {
    const struct resource_strategy *strategy; /* may be NULL */
    const char *(*check_name)(str name);
    struct kind_cell cells[4];
    struct kind_action actions[4];
};

/* Every schema.yaml, and the tables of parameters ("guc/15.tsv"). */
extern const struct embedded_file kind_files[];

extern const struct kind_code kind_postgrescluster, kind_postgresbackup, kind_postgresinstance, kind_record,
    kind_namespace, kind_secret, kind_event;

/* Adds "field is immutable" unless both are equal; a missing value counts as null. */
void kind_check_immutable(struct field_errors *errors, str field, const struct json *value, const struct json *old);

/* The name of a cluster: also the start of the names of its instances, slots and certificates. */
const char *kind_check_cluster_name(str name);

#endif
