/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Query parameters and bodies that carry options: ListOptions, Create-, Update-, Patch- and DeleteOptions
 * (apimachinery meta/v1 and its validation). Each parser gives NULL, or the Status to answer.
 */
#ifndef REQUEST_OPTIONS_H
#define REQUEST_OPTIONS_H

#include "meta/object.h"
#include "meta/selector.h"
#include "meta/status.h"
#include "request/query.h"
#include "json/json.h"

enum version_match { MATCH_UNSET, MATCH_NOT_OLDER_THAN, MATCH_EXACT };

struct list_options {
    struct selector labels;
    struct selector fields; /* operators = and != only */
    int64_t limit;          /* 0: none */
    str continue_token;
    bool has_version; /* resourceVersion was given, also as "0" */
    rv version;
    enum version_match match;
    bool allow_bookmarks;
    bool send_initial_events;
    bool refuses_initial_events; /* sendInitialEvents=false: even without a version nothing is said of what exists */
    int64_t timeout_seconds;     /* 0: unset */
};
struct status *list_options_parse(struct arena *a, const struct query *q, bool is_watch, struct list_options *ret);

enum field_validation { FIELD_VALIDATION_WARN, FIELD_VALIDATION_IGNORE, FIELD_VALIDATION_STRICT };

struct write_options {
    bool is_dry_run;
    enum field_validation field_validation;
};
/* kind: "CreateOptions", as errors name it. */
struct status *write_options_parse(struct arena *a, const struct query *q, str kind, struct write_options *ret);

enum propagation { PROPAGATION_UNSET, PROPAGATION_ORPHAN, PROPAGATION_BACKGROUND, PROPAGATION_FOREGROUND };

struct delete_options {
    bool is_dry_run;
    enum propagation propagation;
    str uid; /* preconditions; empty: none */
    bool has_version;
    rv version;
};
/* body: the decoded DeleteOptions, or NULL to take them from the query. */
struct status *delete_options_parse(struct arena *a, const struct query *q, const struct json *body,
                                    struct delete_options *ret);

/* A resourceVersion: decimal; 400 otherwise. */
struct status *resource_version_parse(struct arena *a, str text, rv *ret);

#endif
