/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing and validation of options, worded as apimachinery words them. Nothing here looks at a resource. */
#include "request/options.h"

#define META_GROUP S("meta.k8s.io")
#define MANAGER_MAX 128

static struct status *bad_request(struct arena *a, const struct error *err)
{
    return status_new(a, STATUS_BAD_REQUEST, "%s", err->text);
}

struct status *resource_version_parse(struct arena *a, str text, rv *ret)
{
    if (str_to_u64(text, ret))
        return NULL;
    return status_new(a, STATUS_BAD_REQUEST, "invalid resource version \"%.*s\"", STR_ARG(str_first(text, 64)));
}

static void match_error(struct field_errors *errors, enum field_error_type type, str value, const char *text)
{
    const struct json *shown = type == FIELD_NOT_SUPPORTED ? json_string(errors->arena, value) : NULL;
    field_error_add(errors, type, S("resourceVersionMatch"), shown, "%s", text);
}

static void check_watch(const struct query *q, str match, struct field_errors *errors)
{
    bool is_not_older = str_eq(match, S("NotOlderThan"));
    bool sends_initial = query_has(q, S("sendInitialEvents"));
    if (sends_initial && !is_not_older)
        match_error(errors, FIELD_FORBIDDEN, match,
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    if (str_is_empty(match))
        return;
    if (!sends_initial)
        match_error(errors, FIELD_FORBIDDEN, match,
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    if (!is_not_older)
        match_error(errors, FIELD_NOT_SUPPORTED, match, "supported values: \"NotOlderThan\"");
    if (!str_is_empty(query_get(q, S("continue"))))
        match_error(errors, FIELD_FORBIDDEN, match, "resourceVersionMatch is forbidden when continue is provided");
}

static void check_list(const struct query *q, str match, struct field_errors *errors)
{
    bool is_exact = str_eq(match, S("Exact"));
    if (query_has(q, S("sendInitialEvents")))
        field_error_add(errors, FIELD_FORBIDDEN, S("sendInitialEvents"), NULL,
                        "sendInitialEvents is forbidden for list");
    if (str_is_empty(match))
        return;
    str version = query_get(q, S("resourceVersion"));
    if (str_is_empty(version))
        match_error(errors, FIELD_FORBIDDEN, match,
                    "resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (!str_is_empty(query_get(q, S("continue"))))
        match_error(errors, FIELD_FORBIDDEN, match, "resourceVersionMatch is forbidden when continue is provided");
    if (!is_exact && !str_eq(match, S("NotOlderThan")))
        match_error(errors, FIELD_NOT_SUPPORTED, match, "supported values: \"Exact\", \"NotOlderThan\", \"\"");
    if (is_exact && str_eq(version, S("0")))
        match_error(errors, FIELD_FORBIDDEN, match,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
}

static struct status *parse_numbers(struct arena *a, const struct query *q, struct list_options *ret)
{
    struct error err;
    if (query_int(q, S("limit"), &ret->limit, &err) < 0 ||
        query_int(q, S("timeoutSeconds"), &ret->timeout_seconds, &err) < 0)
        return bad_request(a, &err);
    if (ret->limit < 0)
        return status_new(a, STATUS_BAD_REQUEST, "invalid limit: must not be negative");
    if (ret->timeout_seconds < 0)
        return status_new(a, STATUS_BAD_REQUEST, "invalid timeoutSeconds: must not be negative");
    return NULL;
}

struct status *list_options_parse(struct arena *a, const struct query *q, bool is_watch, struct list_options *ret)
{
    *ret = (struct list_options) { .continue_token = query_get(q, S("continue")) };
    struct error err;
    if (selector_parse_labels(a, query_get(q, S("labelSelector")), &ret->labels, &err) < 0 ||
        selector_parse_fields(a, query_get(q, S("fieldSelector")), &ret->fields, &err) < 0)
        return bad_request(a, &err);
    struct status *fail = parse_numbers(a, q, ret);
    if (fail)
        return fail;

    struct field_errors errors;
    field_errors_init(&errors, a);
    str match = query_get(q, S("resourceVersionMatch"));
    if (is_watch)
        check_watch(q, match, &errors);
    else
        check_list(q, match, &errors);
    fail = field_errors_to_status(&errors, META_GROUP, S("ListOptions"), (str) { 0 });
    if (fail)
        return fail;

    str version = query_get(q, S("resourceVersion"));
    ret->has_version = !str_is_empty(version);
    if (ret->has_version && (fail = resource_version_parse(a, version, &ret->version)))
        return fail;
    if (str_eq(match, S("Exact")))
        ret->match = MATCH_EXACT;
    else if (!str_is_empty(match))
        ret->match = MATCH_NOT_OLDER_THAN;
    ret->allow_bookmarks = query_bool(q, S("allowWatchBookmarks"));
    ret->send_initial_events = is_watch && query_bool(q, S("sendInitialEvents"));
    ret->refuses_initial_events = is_watch && query_has(q, S("sendInitialEvents")) && !ret->send_initial_events;
    return NULL;
}

static void check_dry_run(str value, struct field_errors *errors, bool *ret)
{
    if (str_eq(value, S("All")))
        *ret = true;
    else
        field_error_add(errors, FIELD_NOT_SUPPORTED, S("dryRun"), json_string(errors->arena, value),
                        "supported values: \"All\"");
}

static void check_manager(str manager, struct field_errors *errors)
{
    if (manager.len > MANAGER_MAX)
        field_error_add(errors, FIELD_TOO_LONG, S("fieldManager"), NULL, "may not be more than %d bytes", MANAGER_MAX);
    for (size_t i = 0; i < manager.len; i++)
        if ((unsigned char)manager.ptr[i] < 0x20 || manager.ptr[i] == 0x7f) {
            field_error_add(errors, FIELD_INVALID, S("fieldManager"), json_string(errors->arena, manager),
                            "should only contain printable characters");
            return;
        }
}

struct status *write_options_parse(struct arena *a, const struct query *q, str kind, struct write_options *ret)
{
    *ret = (struct write_options) { 0 };
    struct field_errors errors;
    field_errors_init(&errors, a);
    for (size_t i = 0; i < q->count; i++)
        if (str_eq(q->params[i].key, S("dryRun")))
            check_dry_run(q->params[i].value, &errors, &ret->is_dry_run);
    check_manager(query_get(q, S("fieldManager")), &errors);

    str validation = query_get(q, S("fieldValidation"));
    if (str_eq(validation, S("Ignore")))
        ret->field_validation = FIELD_VALIDATION_IGNORE;
    else if (str_eq(validation, S("Strict")))
        ret->field_validation = FIELD_VALIDATION_STRICT;
    else if (!str_is_empty(validation) && !str_eq(validation, S("Warn")))
        field_error_add(&errors, FIELD_NOT_SUPPORTED, S("fieldValidation"), json_string(a, validation),
                        "supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"");
    if (str_eq(kind, S("PatchOptions")) && query_has(q, S("force")))
        field_error_add(&errors, FIELD_FORBIDDEN, S("force"), NULL, "may not be specified for non-apply patch");
    return field_errors_to_status(&errors, META_GROUP, kind, (str) { 0 });
}

static bool parse_propagation(str text, enum propagation *ret)
{
    if (str_is_empty(text))
        *ret = PROPAGATION_UNSET;
    else if (str_eq(text, S("Orphan")))
        *ret = PROPAGATION_ORPHAN;
    else if (str_eq(text, S("Background")))
        *ret = PROPAGATION_BACKGROUND;
    else if (str_eq(text, S("Foreground")))
        *ret = PROPAGATION_FOREGROUND;
    else
        return false;
    return true;
}

static void take_propagation(str policy, const bool *orphan, struct field_errors *errors, struct delete_options *ret)
{
    if (!parse_propagation(policy, &ret->propagation))
        field_error_add(errors, FIELD_NOT_SUPPORTED, S("propagationPolicy"), json_string(errors->arena, policy),
                        "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"");
    if (!orphan)
        return;
    if (!str_is_empty(policy))
        field_error_add(errors, FIELD_INVALID, S("propagationPolicy"), json_string(errors->arena, policy),
                        "orphanDependents and deletionPropagation cannot be both set");
    else
        ret->propagation = *orphan ? PROPAGATION_ORPHAN : PROPAGATION_BACKGROUND;
}

static struct status *delete_from_query(struct arena *a, const struct query *q, struct field_errors *errors,
                                        struct delete_options *ret)
{
    struct error err;
    int64_t grace = 0; /* there is no graceful deletion: only its syntax counts */
    if (query_int(q, S("gracePeriodSeconds"), &grace, &err) < 0)
        return bad_request(a, &err);
    for (size_t i = 0; i < q->count; i++)
        if (str_eq(q->params[i].key, S("dryRun")))
            check_dry_run(q->params[i].value, errors, &ret->is_dry_run);
    bool orphan = query_bool(q, S("orphanDependents"));
    bool has_orphan = query_has(q, S("orphanDependents"));
    take_propagation(query_get(q, S("propagationPolicy")), has_orphan ? &orphan : NULL, errors, ret);
    return NULL;
}

static bool is_absent_or(const struct json *v, enum json_type type)
{
    return !v || v->type == JSON_NULL || v->type == type;
}

/* Types first: an options body of the wrong shape is a bad request, as for any decoder. */
static struct status *check_delete_body(struct arena *a, const struct json *body)
{
    static const struct {
        const char *path;
        enum json_type type;
    } fields[] = {
        { "gracePeriodSeconds", JSON_NUMBER },
        { "propagationPolicy", JSON_STRING },
        { "orphanDependents", JSON_BOOL },
        { "dryRun", JSON_ARRAY },
        { "preconditions", JSON_OBJECT },
        { "preconditions.uid", JSON_STRING },
        { "preconditions.resourceVersion", JSON_STRING },
        { "ignoreStoreReadErrorWithClusterBreakingPotential", JSON_BOOL },
    };
    if (!json_is(body, JSON_OBJECT))
        return status_new(a, STATUS_BAD_REQUEST, "invalid DeleteOptions: must be an object");
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (!is_absent_or(json_at(body, fields[i].path), fields[i].type))
            return status_new(a, STATUS_BAD_REQUEST, "invalid DeleteOptions: %s has the wrong type", fields[i].path);
    str kind = json_str_at(body, "kind");
    if (!str_is_empty(kind) && !str_eq(kind, S("DeleteOptions")))
        return status_new(a, STATUS_BAD_REQUEST, "the body must be DeleteOptions, not \"%.*s\"",
                          STR_ARG(str_first(kind, 64)));
    return NULL;
}

static struct status *delete_from_body(struct arena *a, const struct json *body, struct field_errors *errors,
                                       struct delete_options *ret)
{
    struct status *fail = check_delete_body(a, body);
    if (fail)
        return fail;
    const struct json *dry_run = json_get(body, S("dryRun"));
    for (size_t i = 0; i < json_count(dry_run); i++)
        check_dry_run(json_str(json_item(dry_run, i)), errors, &ret->is_dry_run);
    const struct json *orphan = json_get(body, S("orphanDependents"));
    take_propagation(json_str_at(body, "propagationPolicy"), json_is(orphan, JSON_BOOL) ? &orphan->boolean : NULL,
                     errors, ret);
    if (json_bool_at(body, "ignoreStoreReadErrorWithClusterBreakingPotential", false))
        field_error_add(errors, FIELD_FORBIDDEN, S("ignoreStoreReadErrorWithClusterBreakingPotential"), NULL,
                        "not supported by this server");
    ret->uid = json_str_at(body, "preconditions.uid");
    str version = json_str_at(body, "preconditions.resourceVersion");
    ret->has_version = !str_is_empty(version);
    return ret->has_version ? resource_version_parse(a, version, &ret->version) : NULL;
}

struct status *delete_options_parse(struct arena *a, const struct query *q, const struct json *body,
                                    struct delete_options *ret)
{
    *ret = (struct delete_options) { 0 };
    struct field_errors errors;
    field_errors_init(&errors, a);
    struct status *fail = body ? delete_from_body(a, body, &errors, ret) : delete_from_query(a, q, &errors, ret);
    return fail ? fail : field_errors_to_status(&errors, META_GROUP, S("DeleteOptions"), (str) { 0 });
}
