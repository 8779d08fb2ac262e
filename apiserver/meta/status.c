/* SPDX-License-Identifier: Apache-2.0 */
/* metav1.Status: its reasons and codes, its texts, and its JSON both ways. */
#include "meta/status.h"

#include <stdarg.h>

#include "meta/gvk.h"

#define CAUSES_MAX 64

static const struct {
    const char *name;
    int code;
} reasons[] = {
    [STATUS_BAD_REQUEST] = { "BadRequest", 400 },
    [STATUS_UNAUTHORIZED] = { "Unauthorized", 401 },
    [STATUS_FORBIDDEN] = { "Forbidden", 403 },
    [STATUS_NOT_FOUND] = { "NotFound", 404 },
    [STATUS_METHOD_NOT_ALLOWED] = { "MethodNotAllowed", 405 },
    [STATUS_NOT_ACCEPTABLE] = { "NotAcceptable", 406 },
    [STATUS_ALREADY_EXISTS] = { "AlreadyExists", 409 },
    [STATUS_CONFLICT] = { "Conflict", 409 },
    [STATUS_EXPIRED] = { "Expired", 410 },
    [STATUS_REQUEST_ENTITY_TOO_LARGE] = { "RequestEntityTooLarge", 413 },
    [STATUS_UNSUPPORTED_MEDIA_TYPE] = { "UnsupportedMediaType", 415 },
    [STATUS_INVALID] = { "Invalid", 422 },
    [STATUS_TOO_MANY_REQUESTS] = { "TooManyRequests", 429 },
    [STATUS_INTERNAL_ERROR] = { "InternalError", 500 },
    [STATUS_SERVER_TIMEOUT] = { "ServerTimeout", 500 },
    [STATUS_SERVICE_UNAVAILABLE] = { "ServiceUnavailable", 503 },
    [STATUS_TIMEOUT] = { "Timeout", 504 },
};

int status_code_of(enum status_reason reason)
{
    return reasons[reason].code;
}

const char *status_reason_name(enum status_reason reason)
{
    return reasons[reason].name;
}

struct status *status_new(struct arena *a, enum status_reason reason, const char *fmt, ...)
{
    struct status *s = arena_new_of(a, struct status);
    s->reason = reason;
    s->code = status_code_of(reason);
    va_list args;
    va_start(args, fmt);
    s->message = arena_vprintf(a, fmt, args);
    va_end(args);
    return s;
}

static struct status *with_details(struct arena *a, struct status *s, str group, str kind, str name)
{
    s->group = arena_str(a, group);
    s->kind = arena_str(a, kind);
    s->name = arena_str(a, name);
    return s;
}

struct status *status_not_found(struct arena *a, str group, str resource, str name)
{
    str what = gvk_qualified_resource(a, group, resource);
    struct status *s = status_new(a, STATUS_NOT_FOUND, "%.*s \"%.*s\" not found", STR_ARG(what), STR_ARG(name));
    return with_details(a, s, group, resource, name);
}

struct status *status_already_exists(struct arena *a, str group, str resource, str name)
{
    str what = gvk_qualified_resource(a, group, resource);
    struct status *s =
        status_new(a, STATUS_ALREADY_EXISTS, "%.*s \"%.*s\" already exists", STR_ARG(what), STR_ARG(name));
    return with_details(a, s, group, resource, name);
}

struct status *status_conflict(struct arena *a, str group, str resource, str name, str cause)
{
    str what = gvk_qualified_resource(a, group, resource);
    struct status *s = status_new(a, STATUS_CONFLICT, "Operation cannot be fulfilled on %.*s \"%.*s\": %.*s",
                                  STR_ARG(what), STR_ARG(name), STR_ARG(cause));
    return with_details(a, s, group, resource, name);
}

struct status *status_forbidden(struct arena *a, str group, str resource, str name, str why)
{
    str what = gvk_qualified_resource(a, group, resource);
    struct status *s;
    if (what.len == 0)
        s = status_new(a, STATUS_FORBIDDEN, "forbidden: %.*s", STR_ARG(why));
    else if (name.len == 0)
        s = status_new(a, STATUS_FORBIDDEN, "%.*s is forbidden: %.*s", STR_ARG(what), STR_ARG(why));
    else
        s = status_new(a, STATUS_FORBIDDEN, "%.*s \"%.*s\" is forbidden: %.*s", STR_ARG(what), STR_ARG(name),
                       STR_ARG(why));
    return with_details(a, s, group, resource, name);
}

void status_add_cause(struct arena *a, struct status *s, str reason, str field, str message)
{
    if (s->cause_count == CAUSES_MAX)
        return;
    struct status_cause *causes = arena_array_of(a, struct status_cause, s->cause_count + 1);
    if (s->cause_count)
        memcpy(causes, s->causes, s->cause_count * sizeof(*causes));
    causes[s->cause_count++] = (struct status_cause) { .reason = arena_str(a, reason),
                                                       .message = arena_str(a, message),
                                                       .field = arena_str(a, field) };
    s->causes = causes;
}

static const struct json *text_or_null(struct arena *a, str text)
{
    return text.len ? json_string(a, text) : NULL;
}

static const struct json *causes_to_json(struct arena *a, const struct status *s)
{
    if (s->cause_count == 0)
        return NULL;
    struct json_builder causes;
    json_builder_init(&causes, a);
    for (size_t i = 0; i < s->cause_count; i++) {
        const struct status_cause *c = &s->causes[i];
        json_builder_add(&causes, S(""),
                         JSON_OBJECT_OF(a, JSON_MEMBER("reason", text_or_null(a, c->reason)),
                                        JSON_MEMBER("message", text_or_null(a, c->message)),
                                        JSON_MEMBER("field", text_or_null(a, c->field))));
    }
    return json_builder_array(&causes);
}

static const struct json *details_to_json(struct arena *a, const struct status *s)
{
    int retry = s->retry_after_seconds;
    const struct json *details =
        JSON_OBJECT_OF(a, JSON_MEMBER("name", text_or_null(a, s->name)),
                       JSON_MEMBER("group", text_or_null(a, s->group)), JSON_MEMBER("kind", text_or_null(a, s->kind)),
                       JSON_MEMBER("uid", text_or_null(a, s->uid)), JSON_MEMBER("causes", causes_to_json(a, s)),
                       JSON_MEMBER("retryAfterSeconds", retry > 0 ? json_int(a, retry) : NULL));
    return json_count(details) ? details : NULL;
}

const struct json *status_to_json(struct arena *a, const struct status *s)
{
    const struct json *token = text_or_null(a, s->continue_token);
    return JSON_OBJECT_OF(
        a, JSON_MEMBER("kind", json_string(a, S("Status"))), JSON_MEMBER("apiVersion", json_string(a, S("v1"))),
        JSON_MEMBER("metadata", JSON_OBJECT_OF(a, JSON_MEMBER("continue", token))),
        JSON_MEMBER("status", json_string(a, S("Failure"))), JSON_MEMBER("message", text_or_null(a, s->message)),
        JSON_MEMBER("reason", json_string(a, str_from(status_reason_name(s->reason)))),
        JSON_MEMBER("details", details_to_json(a, s)), JSON_MEMBER("code", json_int(a, s->code)));
}

const struct json *status_success(struct arena *a, str group, str resource, str name, str uid)
{
    const struct json *details =
        JSON_OBJECT_OF(a, JSON_MEMBER("name", text_or_null(a, name)), JSON_MEMBER("group", text_or_null(a, group)),
                       JSON_MEMBER("kind", text_or_null(a, resource)), JSON_MEMBER("uid", text_or_null(a, uid)));
    return JSON_OBJECT_OF(a, JSON_MEMBER("kind", json_string(a, S("Status"))),
                          JSON_MEMBER("apiVersion", json_string(a, S("v1"))),
                          JSON_MEMBER("metadata", &json_empty_object),
                          JSON_MEMBER("status", json_string(a, S("Success"))), JSON_MEMBER("details", details));
}

/* An unknown reason (another server's) is judged by its code. */
static enum status_reason reason_from(str name, int code)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (str_eq_z(name, reasons[i].name))
            return (enum status_reason)i;
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].code == code)
            return (enum status_reason)i;
    return STATUS_INTERNAL_ERROR;
}

static int small_int_at(const struct json *v, const char *dotted, int fallback)
{
    int64_t n = json_int_at(v, dotted, fallback);
    return n >= 0 && n <= 1000000 ? (int)n : fallback;
}

struct status *status_from_json(struct arena *a, const struct json *v)
{
    if (!str_eq_z(json_str_at(v, "kind"), "Status") || !str_eq_z(json_str_at(v, "apiVersion"), "v1"))
        return NULL;
    struct status *s = arena_new_of(a, struct status);
    s->code = small_int_at(v, "code", 0);
    s->reason = reason_from(json_str_at(v, "reason"), s->code);
    if (s->code == 0)
        s->code = str_eq_z(json_str_at(v, "status"), "Success") ? 200 : status_code_of(s->reason);
    s->message = arena_str(a, json_str_at(v, "message"));
    s->uid = arena_str(a, json_str_at(v, "details.uid"));
    s->continue_token = arena_str(a, json_str_at(v, "metadata.continue"));
    s->retry_after_seconds = small_int_at(v, "details.retryAfterSeconds", 0);
    const struct json *causes = json_at(v, "details.causes");
    for (size_t i = 0; i < json_count(causes); i++) {
        const struct json *c = json_item(causes, i);
        status_add_cause(a, s, json_str_at(c, "reason"), json_str_at(c, "field"), json_str_at(c, "message"));
    }
    return with_details(a, s, json_str_at(v, "details.group"), json_str_at(v, "details.kind"),
                        json_str_at(v, "details.name"));
}
