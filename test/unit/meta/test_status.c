/* SPDX-License-Identifier: Apache-2.0 */
/* Status documents byte by byte: clients and people depend on their texts. */
#include "meta/status.h"

#include "meta/gvk.h"
#include "meta_test.h"

#define GROUP S("postgres.example.io")
#define RESOURCE S("postgresclusters")

Test(status, every_reason_has_its_code)
{
    static const struct {
        enum status_reason reason;
        const char *name;
        int code;
    } table[] = {
        { STATUS_BAD_REQUEST, "BadRequest", 400 },
        { STATUS_UNAUTHORIZED, "Unauthorized", 401 },
        { STATUS_FORBIDDEN, "Forbidden", 403 },
        { STATUS_NOT_FOUND, "NotFound", 404 },
        { STATUS_METHOD_NOT_ALLOWED, "MethodNotAllowed", 405 },
        { STATUS_NOT_ACCEPTABLE, "NotAcceptable", 406 },
        { STATUS_ALREADY_EXISTS, "AlreadyExists", 409 },
        { STATUS_CONFLICT, "Conflict", 409 },
        { STATUS_EXPIRED, "Expired", 410 },
        { STATUS_REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", 413 },
        { STATUS_UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", 415 },
        { STATUS_INVALID, "Invalid", 422 },
        { STATUS_TOO_MANY_REQUESTS, "TooManyRequests", 429 },
        { STATUS_INTERNAL_ERROR, "InternalError", 500 },
        { STATUS_SERVER_TIMEOUT, "ServerTimeout", 500 },
        { STATUS_SERVICE_UNAVAILABLE, "ServiceUnavailable", 503 },
        { STATUS_TIMEOUT, "Timeout", 504 },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        cr_expect_eq(status_code_of(table[i].reason), table[i].code, "%s", table[i].name);
        cr_expect_str_eq(status_reason_name(table[i].reason), table[i].name);
    }
}

Test(status, not_found_reads_as_in_kubernetes)
{
    ARENA_AUTO(a);
    assert_text(a, status_to_json(a, status_not_found(a, GROUP, RESOURCE, S("pg1"))),
                "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
                "\"message\":\"postgresclusters.postgres.example.io \\\"pg1\\\" not found\",\"reason\":\"NotFound\","
                "\"details\":{\"name\":\"pg1\",\"group\":\"postgres.example.io\",\"kind\":\"postgresclusters\"},"
                "\"code\":404}");
    expect_str(status_not_found(a, S(""), S("secrets"), S("s"))->message, "secrets \"s\" not found");
}

Test(status, texts_name_resource_and_object)
{
    ARENA_AUTO(a);
    expect_str(status_already_exists(a, GROUP, RESOURCE, S("pg1"))->message,
               "postgresclusters.postgres.example.io \"pg1\" already exists");
    struct status *conflict = status_conflict(a, GROUP, RESOURCE, S("pg1"), S("the object has been modified"));
    expect_str(conflict->message, "Operation cannot be fulfilled on postgresclusters.postgres.example.io \"pg1\": "
                                  "the object has been modified");
    cr_assert_eq(conflict->code, 409);
    expect_str(status_forbidden(a, GROUP, RESOURCE, S("pg1"), S("no"))->message,
               "postgresclusters.postgres.example.io \"pg1\" is forbidden: no");
    expect_str(status_forbidden(a, GROUP, RESOURCE, S(""), S("no"))->message,
               "postgresclusters.postgres.example.io is forbidden: no");
    expect_str(status_forbidden(a, S(""), S(""), S(""), S("no"))->message, "forbidden: no");
}

Test(status, details_are_left_out_when_empty)
{
    ARENA_AUTO(a);
    assert_text(a, status_to_json(a, status_new(a, STATUS_UNAUTHORIZED, "Unauthorized")),
                "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
                "\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401}");
}

Test(status, causes_retry_and_continue_are_written)
{
    ARENA_AUTO(a);
    struct status *s = status_new(a, STATUS_TIMEOUT, "Timeout: %s", "x");
    s->retry_after_seconds = 1;
    s->continue_token = S("tok");
    s->uid = S("u1");
    status_add_cause(a, s, S("ResourceVersionTooLarge"), S(""), S("Too large resource version"));
    status_add_cause(a, s, S("FieldValueInvalid"), S("spec.x"), S("m"));
    assert_text(a, status_to_json(a, s),
                "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{\"continue\":\"tok\"},\"status\":\"Failure\","
                "\"message\":\"Timeout: x\",\"reason\":\"Timeout\",\"details\":{\"uid\":\"u1\",\"causes\":["
                "{\"reason\":\"ResourceVersionTooLarge\",\"message\":\"Too large resource version\"},"
                "{\"reason\":\"FieldValueInvalid\",\"message\":\"m\",\"field\":\"spec.x\"}],"
                "\"retryAfterSeconds\":1},\"code\":504}");
}

Test(status, success_names_what_was_deleted)
{
    ARENA_AUTO(a);
    assert_text(a, status_success(a, GROUP, RESOURCE, S("pg1"), S("u1")),
                "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Success\",\"details\":"
                "{\"name\":\"pg1\",\"group\":\"postgres.example.io\",\"kind\":\"postgresclusters\",\"uid\":\"u1\"}}");
}

Test(status, reads_back_what_it_wrote)
{
    ARENA_AUTO(a);
    for (int r = STATUS_BAD_REQUEST; r <= STATUS_TIMEOUT; r++) {
        struct status *s = status_new(a, (enum status_reason)r, "reason %d", r);
        s->name = S("n");
        s->retry_after_seconds = r;
        status_add_cause(a, s, S("R"), S("f"), S("m"));
        const struct json *v = status_to_json(a, s);
        struct status *back = status_from_json(a, v);
        cr_assert_not_null(back);
        cr_expect(json_equal(status_to_json(a, back), v), "%s", status_reason_name(s->reason));
    }
}

Test(status, reads_what_other_servers_send)
{
    ARENA_AUTO(a);
    cr_assert_null(status_from_json(a, must_parse(a, "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}")));
    cr_assert_null(status_from_json(a, must_parse(a, "[]")));
    cr_assert_null(status_from_json(a, NULL));
    struct status *s = status_from_json(
        a, must_parse(a, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"reason\":\"Gone\",\"code\":410}"));
    cr_assert_eq(s->reason, STATUS_EXPIRED);
    s = status_from_json(a, must_parse(a, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Success\"}"));
    cr_assert_eq(s->code, 200);
    s = status_from_json(a,
                         must_parse(a, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"reason\":\"Huh\",\"code\":-7}"));
    cr_assert_eq(s->code, 500);
}

Test(field_errors, bodies_read_as_in_apimachinery)
{
    static const struct {
        enum field_error_type type;
        const char *value, *detail, *expected;
    } table[] = {
        { FIELD_REQUIRED, NULL, "", "Required value" },
        { FIELD_REQUIRED, NULL, "name is needed", "Required value: name is needed" },
        { FIELD_INVALID, "-1", "must be at least 1", "Invalid value: -1: must be at least 1" },
        { FIELD_INVALID, "\"x\"", "no", "Invalid value: \"x\": no" },
        { FIELD_INVALID, "{\"a\":[1]}", "", "Invalid value: {\"a\":[1]}" },
        { FIELD_NOT_SUPPORTED, "\"c\"", "supported values: \"a\", \"b\"",
          "Unsupported value: \"c\": supported values: \"a\", \"b\"" },
        { FIELD_DUPLICATE, "\"x\"", "", "Duplicate value: \"x\"" },
        { FIELD_FORBIDDEN, NULL, "field is immutable", "Forbidden: field is immutable" },
        { FIELD_TYPE_INVALID, "true", "must be a string", "Invalid value: true: must be a string" },
        { FIELD_TOO_LONG, "\"xxxx\"", "may not be more than 3 bytes", "Too long: may not be more than 3 bytes" },
        { FIELD_TOO_MANY, "5", "must have at most 3 items", "Too many: 5: must have at most 3 items" },
        { FIELD_NOT_FOUND, "\"x\"", "", "Not found: \"x\"" },
    };
    ARENA_AUTO(a);
    struct field_errors errors;
    field_errors_init(&errors, a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct json *value = table[i].value ? must_parse(a, table[i].value) : NULL;
        field_error_add(&errors, table[i].type, S("spec.x"), value, "%s", table[i].detail);
        expect_str(errors.items[i].message, table[i].expected);
    }
}

Test(field_errors, become_one_invalid_status)
{
    ARENA_AUTO(a);
    struct field_errors errors;
    field_errors_init(&errors, a);
    cr_assert_null(field_errors_to_status(&errors, GROUP, S("PostgresCluster"), S("pg1")));
    field_error_add(&errors, FIELD_INVALID, S("spec.instances"), json_int(a, 0), "must be at least %d", 1);
    assert_text(a, status_to_json(a, field_errors_to_status(&errors, GROUP, S("PostgresCluster"), S("pg1"))),
                "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":"
                "\"PostgresCluster.postgres.example.io \\\"pg1\\\" is invalid: spec.instances: Invalid value: 0: "
                "must be at least 1\",\"reason\":\"Invalid\",\"details\":{\"name\":\"pg1\",\"group\":"
                "\"postgres.example.io\",\"kind\":\"PostgresCluster\",\"causes\":[{\"reason\":\"FieldValueInvalid\","
                "\"message\":\"Invalid value: 0: must be at least 1\",\"field\":\"spec.instances\"}]},\"code\":422}");
    field_error_add(&errors, FIELD_INVALID, S("spec.instances"), json_int(a, 0), "must be at least %d", 1);
    field_error_add(&errors, FIELD_REQUIRED, S(""), NULL, "%s", "");
    expect_str(
        field_errors_to_status(&errors, S(""), S("Secret"), S("s"))->message,
        "Secret \"s\" is invalid: [spec.instances: Invalid value: 0: must be at least 1, <nil>: Required value]");
}

Test(field_errors, are_capped_in_number_and_size)
{
    ARENA_AUTO(a);
    struct field_errors errors;
    field_errors_init(&errors, a);
    char *big = arena_alloc(a, 1u << 20);
    memset(big, 'x', 1u << 20);
    memcpy(big + 1023, "\xE2\x82\xAC", 3);
    for (int i = 0; i < 100; i++)
        field_error_add(&errors, FIELD_INVALID, arena_printf(a, "spec.f%d", i), json_string(a, str_of(big, 1u << 20)),
                        "%s", "too big");
    cr_assert_eq(errors.count, 64);
    cr_assert_lt(errors.items[0].message.len, 1200);
    cr_assert(str_has_suffix(errors.items[0].message, S("xxx\"\xE2\x80\xA6: too big")), "%s",
              errors.items[0].message.ptr);
    struct status *s = field_errors_to_status(&errors, GROUP, S("K"), S("n"));
    cr_assert_eq(s->cause_count, 64);
    cr_assert(str_has_suffix(s->message, S("]")));
}

Test(gvk, the_core_group_has_no_name)
{
    ARENA_AUTO(a);
    expect_str(gvk_api_version(a, GROUP, S("v1")), "postgres.example.io/v1");
    expect_str(gvk_api_version(a, S(""), S("v1")), "v1");
    expect_str(gvk_qualified_resource(a, GROUP, RESOURCE), "postgresclusters.postgres.example.io");
    expect_str(gvk_qualified_resource(a, S(""), S("secrets")), "secrets");
}
