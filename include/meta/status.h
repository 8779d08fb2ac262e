/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metav1.Status: what a client gets when something failed, and the field errors of validation.
 * (k8s.io/apimachinery api/errors and util/validation/field define codes, reasons and texts.)
 */
#ifndef META_STATUS_H
#define META_STATUS_H

#include "json/json.h"

enum status_reason {
    STATUS_BAD_REQUEST,
    STATUS_UNAUTHORIZED,
    STATUS_FORBIDDEN,
    STATUS_NOT_FOUND,
    STATUS_METHOD_NOT_ALLOWED,
    STATUS_NOT_ACCEPTABLE,
    STATUS_ALREADY_EXISTS,
    STATUS_CONFLICT,
    STATUS_EXPIRED,
    STATUS_REQUEST_ENTITY_TOO_LARGE,
    STATUS_UNSUPPORTED_MEDIA_TYPE,
    STATUS_INVALID,
    STATUS_TOO_MANY_REQUESTS,
    STATUS_INTERNAL_ERROR,
    STATUS_SERVER_TIMEOUT,
    STATUS_SERVICE_UNAVAILABLE,
    STATUS_TIMEOUT,
};

struct status_cause {
    str reason; /* "FieldValueInvalid" */
    str message;
    str field; /* "spec.instances" */
};

struct status {
    enum status_reason reason;
    int code; /* HTTP */
    str message;
    /* details; empty strings are left out */
    str name, group, kind, uid;
    int retry_after_seconds;
    struct status_cause *causes;
    size_t cause_count;
    str continue_token; /* only with STATUS_EXPIRED of a paged list */
};

int status_code_of(enum status_reason reason);
const char *status_reason_name(enum status_reason reason);

/* All allocate in the arena; the message is formatted, code follows from the reason. */
struct status *status_new(struct arena *a, enum status_reason reason, const char *fmt, ...) PRINTF(3, 4);
/* `postgresclusters.postgres.example.io "pg1" not found` and so on, worded as apimachinery words them. */
struct status *status_not_found(struct arena *a, str group, str resource, str name);
struct status *status_already_exists(struct arena *a, str group, str resource, str name);
struct status *status_conflict(struct arena *a, str group, str resource, str name, str cause);
struct status *status_forbidden(struct arena *a, str group, str resource, str name, str why);
void status_add_cause(struct arena *a, struct status *s, str reason, str field, str message);

/* Field errors, collected during validation. */
enum field_error_type {
    FIELD_REQUIRED,
    FIELD_INVALID,
    FIELD_NOT_SUPPORTED,
    FIELD_DUPLICATE,
    FIELD_FORBIDDEN,
    FIELD_TYPE_INVALID,
    FIELD_TOO_LONG,
    FIELD_TOO_MANY,
    FIELD_NOT_FOUND,
};

struct field_error {
    enum field_error_type type;
    str field;
    str message; /* apimachinery's body: `Invalid value: -1: must be …` */
};

struct field_errors {
    struct arena *arena;
    struct field_error *items;
    size_t count, cap; /* capped at 64 */
};

void field_errors_init(struct field_errors *errors, struct arena *a);
/* value may be NULL. Bodies: `Required value: d`, `Invalid value: <json>: d`, `Unsupported value: "x": d`,
 * `Duplicate value: "x"`, `Forbidden: d`, `Too long: d`, `Too many: d`. */
void field_error_add(struct field_errors *errors, enum field_error_type type, str field, const struct json *value,
                     const char *detail_fmt, ...) PRINTF(5, 6);
/* 422 with one cause per error, or NULL when there is none. kind is the Kind ("PostgresCluster"). */
struct status *field_errors_to_status(const struct field_errors *errors, str group, str kind, str name);

const struct json *status_to_json(struct arena *a, const struct status *s);
/* The Status of a successful delete. */
const struct json *status_success(struct arena *a, str group, str resource, str name, str uid);
/* Reads a Status document (clients); NULL when it is none. */
struct status *status_from_json(struct arena *a, const struct json *v);

#endif
