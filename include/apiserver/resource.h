/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the generic handlers need to know of a kind: its names, verbs, schema, table, subresources and the rules that a
 * schema cannot say. A kind is one folder under apiserver/resources/ with a schema.yaml and a strategy.c.
 */
#ifndef APISERVER_RESOURCE_H
#define APISERVER_RESOURCE_H

#include "apiserver/environment.h"
#include "meta/object.h"
#include "meta/status.h"
#include "schema/schema.h"
#include "storage/store.h"
#include "json/json.h"

enum api_verb {
    VERB_GET = 1 << 0,
    VERB_LIST = 1 << 1,
    VERB_WATCH = 1 << 2,
    VERB_CREATE = 1 << 3,
    VERB_UPDATE = 1 << 4,
    VERB_PATCH = 1 << 5,
    VERB_DELETE = 1 << 6,
    VERB_DELETE_COLLECTION = 1 << 7,
};
#define VERBS_READ (VERB_GET | VERB_LIST | VERB_WATCH)
#define VERBS_ALL 0xffu

struct resource_column {
    str name, type, format, description;
    int priority;
    const char *path; /* dotted path into the object; type "date" gives the timestamp; NULL with cell */
    /* Instead of path when a value must be computed: a JSON scalar, or NULL for "". */
    const struct json *(*cell)(struct arena *a, const struct json *object);
};

/* POST <resource>/<name>/<action>: decoded by `request_schema`, carried out by the action backend. */
struct resource_action {
    str name;          /* "failover" */
    str request_kind;  /* "FailoverRequest" */
    str response_kind; /* "FailoverResult" */
    const struct schema *request_schema;
    const struct json *response_document; /* openAPIV3Schema, for OpenAPI */
    /* Rules beyond the schema; may be NULL. */
    void (*validate)(const struct json *cluster, const struct json *body, struct field_errors *errors);
};

struct resource;

/*
 * Each may be NULL. Trees are immutable: prepare gives the new one back. Order in a write: prune, default, prepare_*,
 * schema_validate, validate, validate_create or validate_update (all of them tolerate what the schema refused). Writes
 * to /status are checked against the schema alone: their spec is the stored one.
 */
struct resource_strategy {
    /* Fills what the schema's defaults cannot, after status was dropped. */
    const struct json *(*prepare_create)(struct arena *a, const struct resource *r, const struct json *object);
    /* The same for a write over an existing object: also keeps what may be left out but not changed. */
    const struct json *(*prepare_update)(struct arena *a, const struct resource *r, const struct json *object,
                                         const struct json *old);
    void (*validate)(const struct resource *r, const struct json *object, struct field_errors *errors);
    /* What must hold only once, such as that the PostgreSQL version is installed here; `validate` runs as well. */
    void (*validate_create)(const struct resource *r, const struct json *object, struct field_errors *errors);
    /* Immutability and transitions; `validate` runs as well. */
    void (*validate_update)(const struct resource *r, const struct json *object, const struct json *old,
                            struct field_errors *errors);
    /* Texts for Warning headers; old is NULL on create. Only for objects that were found valid. */
    void (*warn)(struct arena *a, const struct resource *r, const struct json *object, const struct json *old,
                 struct json_notes *warnings);
    /* NULL: may go. Else the refusal (deletionProtection: 403). */
    struct status *(*check_delete)(struct arena *a, const struct resource *r, const struct json *object);
};

struct resource {
    str group, version, plural, singular, kind, list_kind;
    const str *short_names;
    size_t short_name_count;
    const str *categories;
    size_t category_count;
    bool is_namespaced;
    bool is_virtual;         /* never on disk: its store is in memory */
    bool is_internal;        /* 404 for everybody but the server itself; not in discovery */
    unsigned verbs;          /* what users get: discovery lists these */
    unsigned internal_verbs; /* what the server itself may do; includes verbs */
    const struct schema *schema;
    const struct resource_column *columns;
    size_t column_count;
    bool has_status;                 /* /status, and status is ignored on the main resource */
    const char *scale_spec_path;     /* "spec.instances"; NULL: no /scale */
    const char *scale_status_path;   /* "status.instances" */
    const char *scale_selector_path; /* "status.selector" */
    const struct resource_action *actions;
    size_t action_count;
    const char *(*check_name)(str name); /* meta/names.h */
    /* Dotted paths that field selectors may name beside metadata.name and metadata.namespace ("involvedObject.uid"). */
    const char *const *selectable_fields;
    size_t selectable_field_count;
    const struct resource_strategy *strategy;
    const struct environment *environment; /* for the strategy */
    const struct json *document;           /* the whole schema.yaml */
    struct store *store;                   /* set by who assembles the server */
};

/* Key of an object in the store; name empty: the prefix of the namespace, both empty: of the resource. */
str resource_key(struct arena *a, const struct resource *r, str ns, str name);

struct resource_registry {
    const struct resource *const *resources;
    size_t count;
};

#endif
