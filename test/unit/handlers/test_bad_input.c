/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client must not do, as one table: the exact Status, and a store that did not change. Every case runs against
 * a server with one cluster `pg1` and must leave it serving.
 */
#include <stdio.h>

#include "base/limits.h"
#include "test/harness/api_env.h"
#include "test/harness/check.h"
#include "json/json_write.h"

#define C ENV_CLUSTERS
#define OK_SPEC "\"spec\":{\"storage\":{\"size\":\"1Gi\"}}"
#define NAMED(name, rest) "{\"metadata\":{\"name\":\"" name "\"}," rest "}"
#define META(members) "{\"metadata\":{\"name\":\"x\"," members "}," OK_SPEC "}"
#define MERGE "application/merge-patch+json"
#define JSON_PATCH "application/json-patch+json"
#define RESOURCE "postgresclusters.postgres.example.io"
#define UNRECOGNIZED "the object provided is unrecognized: "
#define LIST_INVALID "ListOptions.meta.k8s.io \"\" is invalid: "
#define NOT_PATH "the server could not find the requested resource"

TestSuite(bad_input, .timeout = 120);

struct bad {
    const char *what;
    struct env_request request;
    int code;
    const char *reason;
    const char *message;                     /* ending in "…": only the beginning counts */
    const char *cause_field, *cause_message; /* of the first cause, or NULL */
};

#define POST(to, text)                                                                                                 \
    {                                                                                                                  \
        .method = "POST", .target = to, .body = text, .content_type = "application/json"                               \
    }
#define POST_AS(type, to, text)                                                                                        \
    {                                                                                                                  \
        .method = "POST", .target = to, .body = text, .content_type = type                                             \
    }
#define PUT(to, text)                                                                                                  \
    {                                                                                                                  \
        .method = "PUT", .target = to, .body = text, .content_type = "application/json"                                \
    }
#define PATCH(type, to, text)                                                                                          \
    {                                                                                                                  \
        .method = "PATCH", .target = to, .body = text, .content_type = type                                            \
    }
#define GET(to)                                                                                                        \
    {                                                                                                                  \
        .target = to                                                                                                   \
    }
#define DELETE(to, text)                                                                                               \
    {                                                                                                                  \
        .method = "DELETE", .target = to, .body = text                                                                 \
    }

/* Most cases have no causes. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
static const struct bad cases[] = {
    /* ---- decoding ---- */
    { "truncated JSON", POST(C, "{\"metadata\":"), 400, "BadRequest",
      "the body of the request could not be decoded: …" },
    { "text behind the value", POST(C, NAMED("x", OK_SPEC) " x"), 400, "BadRequest",
      "the body of the request could not be decoded: …" },
    { "no body", POST(C, ""), 400, "BadRequest", "the body of the request is empty, but must be a PostgresCluster" },
    { "an array instead of an object", POST(C, "[]"), 400, "BadRequest", UNRECOGNIZED "must be an object" },
    { "null instead of an object", POST(C, "null"), 400, "BadRequest", UNRECOGNIZED "must be an object" },
    { "broken YAML", POST_AS("application/yaml", C, "a: [1"), 400, "BadRequest",
      "the body of the request could not be decoded: …" },
    { "YAML anchors", POST_AS("application/yaml", C, "a: &x 1\nb: *x\n"), 400, "BadRequest",
      "the body of the request could not be decoded: …" },
    { "invalid UTF-8", POST(C, "{\"metadata\":{\"name\":\"\xff\"}}"), 400, "BadRequest",
      "the body of the request could not be decoded: …" },
    { "a form", POST_AS("application/x-www-form-urlencoded", C, "a=b"), 415, "UnsupportedMediaType",
      "the body of the request was in an unknown format - accepted media types include: application/json, "
      "application/yaml" },
    { "protobuf", POST_AS("application/vnd.kubernetes.protobuf", C, "k8s"), 415, "UnsupportedMediaType",
      "the body of the request was in an unknown format - accepted media types include: application/json, "
      "application/yaml" },
    { "a compressed body",
      { .method = "POST", .target = C, .body = "x", .headers = { { "content-encoding", "gzip" } } },
      415,
      "UnsupportedMediaType",
      "the body of the request must not be encoded, but Content-Encoding is \"gzip\"" },
    { "a body above the limit",
      { .method = "POST", .target = C, .body_too_large = true },
      413,
      "RequestEntityTooLarge",
      "Request entity too large: limit is 3145728" },
    /* ---- identity ---- */
    { "another kind", POST(C, "{\"kind\":\"Pod\"}"), 400, "BadRequest",
      "the kind in the data (Pod) does not match the expected kind (PostgresCluster)" },
    { "another version", POST(C, "{\"apiVersion\":\"postgres.example.io/v2\"}"), 400, "BadRequest",
      "the API version in the data (postgres.example.io/v2) does not match the expected API version "
      "(postgres.example.io/v1)" },
    { "a number as kind", POST(C, "{\"kind\":1}"), 400, "BadRequest", UNRECOGNIZED "kind: must be a string" },
    { "another namespace", POST(C, META("\"namespace\":\"other\"")), 400, "BadRequest",
      "the namespace of the provided object does not match the namespace sent on the request" },
    { "a resourceVersion on create", POST(C, META("\"resourceVersion\":\"5\"")), 400, "BadRequest",
      "resourceVersion should not be set on objects to be created" },
    { "no name", POST(C, "{" OK_SPEC "}"), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"\" is invalid: metadata.name: Required value: name or generateName is "
      "required",
      "metadata.name", "Required value: name or generateName is required" },
    { "a name in capitals", POST(C, NAMED("Pg", OK_SPEC)), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"Pg\" is invalid: metadata.name: Invalid value: \"Pg\": …", "metadata.name",
      "Invalid value: \"Pg\": …" },
    { "a name that exists", POST(C, NAMED("pg1", OK_SPEC)), 409, "AlreadyExists", RESOURCE " \"pg1\" already exists" },
    { "a namespace that does not exist", POST(ENV_GROUP "/namespaces/none/postgresclusters", NAMED("x", OK_SPEC)), 404,
      "NotFound", "namespaces \"none\" not found" },
    /* ---- metadata ---- */
    { "metadata as text", POST(C, "{\"metadata\":\"x\"}"), 400, "BadRequest",
      UNRECOGNIZED "metadata: must be an object" },
    { "a number as label", POST(C, META("\"labels\":{\"a\":1}")), 400, "BadRequest",
      UNRECOGNIZED "metadata.labels: must be a map of strings" },
    { "a bad label key", POST(C, META("\"labels\":{\"-a\":\"b\"}")), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"x\" is invalid: metadata.labels: Invalid value: \"-a\": …",
      "metadata.labels", "Invalid value: \"-a\": …" },
    { "a bad label value", POST(C, META("\"labels\":{\"a\":\"b c\"}")), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"x\" is invalid: metadata.labels: Invalid value: \"b c\": …",
      "metadata.labels", "Invalid value: \"b c\": …" },
    { "an owner without uid",
      POST(C, META("\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"A\",\"name\":\"a\"}]")), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"x\" is invalid: metadata.ownerReferences[0].uid: Required value: must "
      "not be empty",
      "metadata.ownerReferences[0].uid", "Required value: must not be empty" },
    { "two controllers",
      POST(C, META("\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"A\",\"name\":\"a\",\"uid\":\"1\","
                   "\"controller\":true},{\"apiVersion\":\"v1\",\"kind\":\"A\",\"name\":\"b\",\"uid\":\"2\","
                   "\"controller\":true}]")),
      422, "Invalid", "PostgresCluster.postgres.example.io \"x\" is invalid: metadata.ownerReferences: …",
      "metadata.ownerReferences", "…" },
    { "a finalizer with spaces", POST(C, META("\"finalizers\":[\"a b\"]")), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"x\" is invalid: metadata.finalizers: Invalid value: \"a b\": …",
      "metadata.finalizers", "Invalid value: \"a b\": …" },
    { "an unknown field of metadata, strictly", POST(C "?fieldValidation=Strict", META("\"foo\":1")), 400, "BadRequest",
      "PostgresCluster in version \"v1\" cannot be handled as a PostgresCluster: strict decoding error: unknown field "
      "\"metadata.foo\"" },
    /* ---- fields ---- */
    { "an unknown field, strictly",
      POST(C "?fieldValidation=Strict", NAMED("x", "\"spec\":{\"storage\":{\"size\":\"1Gi\"},\"foo\":1}")), 400,
      "BadRequest",
      "PostgresCluster in version \"v1\" cannot be handled as a PostgresCluster: strict decoding error: unknown field "
      "\"spec.foo\"" },
    { "a duplicate field, strictly",
      POST(C "?fieldValidation=Strict",
           NAMED("x", "\"spec\":{\"instances\":1,\"instances\":2,\"storage\":{\"size\":\"1Gi\"}}")),
      400, "BadRequest",
      "PostgresCluster in version \"v1\" cannot be handled as a PostgresCluster: strict decoding error: duplicate "
      "field "
      "\"spec.instances\"" },
    { "no spec", POST(C, "{\"metadata\":{\"name\":\"x\"}}"), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"x\" is invalid: …", "spec", "Required value…" },
    { "a text as number", POST(C, NAMED("x", "\"spec\":{\"instances\":\"3\",\"storage\":{\"size\":\"1Gi\"}}")), 422,
      "Invalid", "PostgresCluster.postgres.example.io \"x\" is invalid: spec.instances: Invalid value: …",
      "spec.instances", "Invalid value: …" },
    { "no instances", POST(C, NAMED("x", "\"spec\":{\"instances\":0,\"storage\":{\"size\":\"1Gi\"}}")), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"x\" is invalid: spec.instances: Invalid value: 0: …", "spec.instances",
      "Invalid value: 0: …" },
    { "a size that is none", POST(C, NAMED("x", "\"spec\":{\"storage\":{\"size\":\"big\"}}")), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"x\" is invalid: spec.storage.size: Invalid value: \"big\": …",
      "spec.storage.size", "Invalid value: \"big\": …" },
    { "a policy that is none",
      POST(C, NAMED("x", "\"spec\":{\"storage\":{\"size\":\"1Gi\",\"reclaimPolicy\":\"Burn\"}}")), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"x\" is invalid: spec.storage.reclaimPolicy: Unsupported value: \"Burn\": "
      "…",
      "spec.storage.reclaimPolicy", "Unsupported value: \"Burn\": …" },
    { "a parameter that does not exist",
      POST(C, NAMED("x", "\"spec\":{\"storage\":{\"size\":\"1Gi\"},\"postgresql\":{\"parameters\":{\"nope\":\"1\"}}}")),
      422, "Invalid", "PostgresCluster.postgres.example.io \"x\" is invalid: spec.postgresql.parameters[nope]: …",
      "spec.postgresql.parameters[nope]", "…" },
    { "a quorum that cannot be met",
      POST(C, NAMED("x", "\"spec\":{\"instances\":1,\"storage\":{\"size\":\"1Gi\"},\"postgresql\":{\"synchronous\":{"
                         "\"number\":3,\"dataDurability\":\"required\"}}}")),
      422, "Invalid", "PostgresCluster.postgres.example.io \"x\" is invalid: spec.postgresql.synchronous.number: …",
      "spec.postgresql.synchronous.number", "…" },
    { "a PostgreSQL major that is not installed",
      POST(C, NAMED("x", "\"spec\":{\"postgresVersion\":13,\"storage\":{\"size\":\"1Gi\"}}")), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"x\" is invalid: spec.postgresVersion: …", "spec.postgresVersion", "…" },
    /* ---- options ---- */
    { "an unknown dryRun", POST(C "?dryRun=Some", NAMED("x", OK_SPEC)), 422, "Invalid",
      "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"Some\": supported values: \"All\"",
      "dryRun", "Unsupported value: \"Some\": supported values: \"All\"" },
    { "an unknown fieldValidation", POST(C "?fieldValidation=Maybe", NAMED("x", OK_SPEC)), 422, "Invalid",
      "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Maybe\": …", "fieldValidation",
      "…" },
    { "a timeout that is none", GET(C "?timeout=soon"), 400, "BadRequest",
      "invalid timeout \"soon\": must be a duration such as 30s" },
    { "a broken escape in the query", GET(C "?labelSelector=%zz"), 400, "BadRequest",
      "invalid URL escape in the query" },
    { "a label selector that is none", GET(C "?labelSelector=a%20b%20c"), 400, "BadRequest", "…" },
    { "an unknown field selector", GET(C "?fieldSelector=status.phase=Running"), 400, "BadRequest",
      "\"status.phase\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"" },
    { "a limit that is none", GET(C "?limit=many"), 400, "BadRequest",
      "invalid value \"many\" of query parameter limit: must be a number" },
    { "a negative limit", GET(C "?limit=-1"), 400, "BadRequest", "invalid limit: must not be negative" },
    { "a resourceVersion that is none", GET(C "?resourceVersion=abc"), 400, "BadRequest",
      "invalid resource version \"abc\"" },
    { "a negative resourceVersion", GET(C "?resourceVersion=-1"), 400, "BadRequest",
      "invalid resource version \"-1\"" },
    { "a match without resourceVersion", GET(C "?resourceVersionMatch=Exact"), 422, "Invalid",
      LIST_INVALID "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is "
                   "provided",
      "resourceVersionMatch", "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided" },
    { "exactly version 0", GET(C "?resourceVersionMatch=Exact&resourceVersion=0"), 422, "Invalid",
      LIST_INVALID "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion "
                   "\"0\"",
      "resourceVersionMatch", "…" },
    { "an unknown match", GET(C "?resourceVersionMatch=About&resourceVersion=1"), 422, "Invalid",
      LIST_INVALID "resourceVersionMatch: Unsupported value: \"About\": supported values: \"Exact\", \"NotOlderThan\", "
                   "\"\"",
      "resourceVersionMatch", "…" },
    { "initial events of a list", GET(C "?sendInitialEvents=true"), 422, "Invalid",
      LIST_INVALID "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list", "sendInitialEvents",
      "Forbidden: sendInitialEvents is forbidden for list" },
    { "initial events without a match", GET(C "?watch=1&sendInitialEvents=true"), 422, "Invalid",
      LIST_INVALID "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
                   "NotOlderThan",
      "resourceVersionMatch", "…" },
    { "a match of a plain watch", GET(C "?watch=1&resourceVersion=1&resourceVersionMatch=NotOlderThan"), 422, "Invalid",
      LIST_INVALID "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless "
                   "sendInitialEvents is provided",
      "resourceVersionMatch", "…" },
    { "a continue token that is none", GET(C "?continue=%21"), 400, "BadRequest",
      "continue key is not valid: not base64url" },
    { "a continue token of another shape", GET(C "?continue=e30"), 400, "BadRequest",
      "continue key is not valid: server does not recognize this encoded version" },
    { "continue and resourceVersion", GET(C "?continue=e30&resourceVersion=5"), 400, "BadRequest",
      "specifying resource version is not allowed when using continue" },
    { "a Table that includes nonsense",
      { .target = C "?includeObject=All", .accept = "application/json;as=Table;v=v1;g=meta.k8s.io" },
      400,
      "BadRequest",
      "invalid includeObject: must be None, Metadata or Object" },
    /* ---- paths and methods ---- */
    { "an unknown group", GET("/apis/example.com/v1/things"), 404, "NotFound", NOT_PATH },
    { "an unknown version", GET("/apis/postgres.example.io/v9/postgresclusters"), 404, "NotFound", NOT_PATH },
    { "an unknown resource", GET(ENV_GROUP "/namespaces/default/postgreses"), 404, "NotFound", NOT_PATH },
    { "an internal resource", GET("/apis/internal.postgres.example.io/v1/clusterrecords"), 404, "NotFound", NOT_PATH },
    { "an unknown subresource", GET(C "/pg1/nonsense"), 404, "NotFound", NOT_PATH },
    { "something behind a subresource", GET(C "/pg1/status/more"), 404, "NotFound", NOT_PATH },
    { "a namespaced object without namespace", GET(ENV_GROUP "/postgresclusters/pg1"), 404, "NotFound", NOT_PATH },
    { "dots in the path", GET(C "/.."), 400, "BadRequest", "invalid path segment \"..\": …" },
    { "an escaped slash", GET(C "/a%2fb"), 400, "BadRequest", "invalid path segment \"a/b\": …" },
    { "an escaped NUL", GET(C "/a%00b"), 400, "BadRequest", "invalid URL escape in the path" },
    { "an empty segment", GET("/apis//v1/x/y"), 400, "BadRequest", "invalid path segment \"\": must not be empty" },
    { "a path without slash", GET("apis"), 400, "BadRequest", "the path must begin with a slash" },
    { "POST on an object", POST(C "/pg1", "{}"), 405, "MethodNotAllowed",
      "create is not supported on resources of kind \"" RESOURCE "\"" },
    { "PUT on a collection", PUT(C, "{}"), 405, "MethodNotAllowed",
      "update is not supported on resources of kind \"" RESOURCE "\"" },
    { "POST in all namespaces", POST(ENV_GROUP "/postgresclusters", NAMED("x", OK_SPEC)), 405, "MethodNotAllowed",
      "create is not supported on resources of kind \"" RESOURCE "\"" },
    { "an invented method",
      { .method = "BREW", .target = C "/pg1" },
      405,
      "MethodNotAllowed",
      "BREW is not supported on resources of kind \"" RESOURCE "\"" },
    { "writing a live view", POST(ENV_GROUP "/namespaces/default/postgresinstances", NAMED("x", "\"spec\":{}")), 405,
      "MethodNotAllowed", "create is not supported on resources of kind \"postgresinstances.postgres.example.io\"" },
    { "POST on a page", POST("/version", ""), 405, "MethodNotAllowed",
      "the server does not allow this method on the requested resource" },
    { "only protobuf accepted",
      { .target = C, .accept = "application/vnd.kubernetes.protobuf" },
      406,
      "NotAcceptable",
      "only the following media types are accepted: application/json, application/yaml" },
    { "a list as a single PartialObjectMetadata",
      { .target = C, .accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" },
      406,
      "NotAcceptable",
      "only the following media types are accepted: application/json, application/yaml" },
    { "a watch as YAML",
      { .target = C "?watch=1", .accept = "application/yaml" },
      406,
      "NotAcceptable",
      "only the following media types are accepted: application/json" },
    /* ---- updates ---- */
    { "an update without name", PUT(C "/pg1", "{" OK_SPEC "}"), 400, "BadRequest",
      "the name of the object (pg1 based on URL) was undeterminable: name must be provided" },
    { "an update of another name", PUT(C "/pg1", NAMED("pg2", OK_SPEC)), 400, "BadRequest",
      "the name of the object (pg2) does not match the name on the URL (pg1)" },
    { "an update without resourceVersion", PUT(C "/pg1", NAMED("pg1", OK_SPEC)), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"pg1\" is invalid: metadata.resourceVersion: Invalid value: 0: must be "
      "specified for an update",
      "metadata.resourceVersion", "Invalid value: 0: must be specified for an update" },
    { "an update of an old state",
      PUT(C "/pg1", "{\"metadata\":{\"name\":\"pg1\",\"resourceVersion\":\"1\"}," OK_SPEC "}"), 409, "Conflict",
      "Operation cannot be fulfilled on " RESOURCE
      " \"pg1\": the object has been modified; please apply your changes to "
      "the latest version and try again" },
    { "an update of nothing", PUT(C "/none", NAMED("none", OK_SPEC)), 404, "NotFound", RESOURCE " \"none\" not found" },
    { "an apply patch", PATCH("application/apply-patch+yaml", C "/pg1", "a: b"), 415, "UnsupportedMediaType",
      "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, "
      "application/merge-patch+json" },
    { "a strategic merge patch", PATCH("application/strategic-merge-patch+json", C "/pg1", "{}"), 415,
      "UnsupportedMediaType", "the body of the request was in an unknown format - …" },
    { "a patch that is no JSON", PATCH(MERGE, C "/pg1", "{"), 400, "BadRequest", "the patch could not be decoded: …" },
    { "a merge patch that is an array", PATCH(MERGE, C "/pg1", "[]"), 400, "BadRequest",
      "the patch could not be decoded: must be an object" },
    { "a JSON patch that is an object", PATCH(JSON_PATCH, C "/pg1", "{}"), 400, "BadRequest", "…" },
    { "a JSON patch of a missing path", PATCH(JSON_PATCH, C "/pg1", "[{\"op\":\"remove\",\"path\":\"/spec/none\"}]"),
      422, "Invalid", "…", "patch", "…" },
    { "a JSON patch whose test fails",
      PATCH(JSON_PATCH, C "/pg1", "[{\"op\":\"test\",\"path\":\"/spec/instances\",\"value\":7}]"), 422, "Invalid", "…",
      "patch", "…" },
    { "a patch of the name", PATCH(MERGE, C "/pg1", "{\"metadata\":{\"name\":\"x\"}}"), 400, "BadRequest",
      "the name of the object (x) does not match the name on the URL (pg1)" },
    { "a patch of the uid", PATCH(MERGE, C "/pg1", "{\"metadata\":{\"uid\":\"x\"}}"), 409, "Conflict",
      "Operation cannot be fulfilled on " RESOURCE
      " \"pg1\": Precondition failed: UID in precondition: x, UID in object "
      "meta: …" },
    { "a patch of an old state",
      PATCH(MERGE, C "/pg1", "{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{\"instances\":3}}"), 409, "Conflict",
      "Operation cannot be fulfilled on " RESOURCE " \"pg1\": the object has been modified; …" },
    { "a patch of nothing", PATCH(MERGE, C "/none", "{}"), 404, "NotFound", RESOURCE " \"none\" not found" },
    { "force without apply", PATCH(MERGE, C "/pg1?force=true", "{}"), 422, "Invalid",
      "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch", "force",
      "Forbidden: may not be specified for non-apply patch" },
    { "shrinking storage", PATCH(MERGE, C "/pg1", "{\"spec\":{\"storage\":{\"size\":\"1Mi\"}}}"), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"pg1\" is invalid: spec.storage.size: …", "spec.storage.size", "…" },
    { "scaling below zero", PATCH(MERGE, C "/pg1/scale", "{\"spec\":{\"replicas\":-1}}"), 422, "Invalid",
      "Scale.autoscaling \"pg1\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0",
      "spec.replicas", "Invalid value: -1: must be greater than or equal to 0" },
    { "scaling to zero", PATCH(MERGE, C "/pg1/scale", "{\"spec\":{\"replicas\":0}}"), 422, "Invalid",
      "PostgresCluster.postgres.example.io \"pg1\" is invalid: spec.instances: …", "spec.instances", "…" },
    { "a Scale of another kind", PUT(C "/pg1/scale", "{\"kind\":\"PostgresCluster\"}"), 400, "BadRequest",
      "the body of the request must be an autoscaling/v1 Scale" },
    /* ---- deletes ---- */
    { "a delete of nothing", DELETE(C "/none", ""), 404, "NotFound", RESOURCE " \"none\" not found" },
    { "a delete of another uid", DELETE(C "/pg1", "{\"preconditions\":{\"uid\":\"x\"}}"), 409, "Conflict",
      "Operation cannot be fulfilled on " RESOURCE
      " \"pg1\": Precondition failed: UID in precondition: x, UID in object "
      "meta: …" },
    { "a delete of an old state", DELETE(C "/pg1", "{\"preconditions\":{\"resourceVersion\":\"1\"}}"), 409, "Conflict",
      "Operation cannot be fulfilled on " RESOURCE " \"pg1\": Precondition failed: ResourceVersion in precondition: 1, "
      "ResourceVersion in object meta: …" },
    { "an unknown propagation policy", DELETE(C "/pg1?propagationPolicy=Sideways", ""), 422, "Invalid",
      "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Sideways\": …",
      "propagationPolicy", "…" },
    { "both ways to orphan", DELETE(C "/pg1", "{\"orphanDependents\":true,\"propagationPolicy\":\"Orphan\"}"), 422,
      "Invalid",
      "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": orphanDependents and "
      "deletionPropagation cannot be both set",
      "propagationPolicy", "…" },
    { "options of the wrong type", DELETE(C "/pg1", "{\"gracePeriodSeconds\":\"soon\"}"), 400, "BadRequest",
      "invalid DeleteOptions: gracePeriodSeconds has the wrong type" },
    { "options of another kind", DELETE(C "/pg1", "{\"kind\":\"Pod\"}"), 400, "BadRequest",
      "the body must be DeleteOptions, not \"Pod\"" },
    /* ---- who ---- */
    { "a write by a viewer",
      { .method = "POST", .target = C, .body = NAMED("x", OK_SPEC), .user = &env_viewer },
      403,
      "Forbidden",
      RESOURCE " is forbidden: User \"vera\" cannot create resource \"postgresclusters\" in API group "
               "\"postgres.example.io\" in the namespace \"default\"" },
    { "Secrets by a viewer",
      { .target = "/api/v1/namespaces/default/secrets", .user = &env_viewer },
      403,
      "Forbidden",
      "secrets is forbidden: User \"vera\" cannot list resource \"secrets\" in API group \"\" in the namespace "
      "\"default\"" },
    { "an action by a viewer",
      { .method = "POST", .target = C "/pg1/failover", .body = "{}", .user = &env_viewer },
      403,
      "Forbidden",
      RESOURCE " \"pg1\" is forbidden: User \"vera\" cannot create resource \"postgresclusters/failover\" in API group "
               "\"postgres.example.io\" in the namespace \"default\"" },
    { "anything by a nobody",
      { .target = C "/pg1", .user = &env_nobody },
      403,
      "Forbidden",
      RESOURCE " \"pg1\" is forbidden: User \"norbert\" cannot get resource \"postgresclusters\" in API group "
               "\"postgres.example.io\" in the namespace \"default\"" },
    { "all namespaces by a nobody",
      { .target = ENV_GROUP "/postgresclusters", .user = &env_nobody },
      403,
      "Forbidden",
      RESOURCE " is forbidden: User \"norbert\" cannot list resource \"postgresclusters\" in API group "
               "\"postgres.example.io\" at the cluster scope" },
    { "discovery without a name",
      { .target = "/apis", .user = &env_anonymous },
      403,
      "Forbidden",
      "forbidden: User \"system:anonymous\" cannot get path \"/apis\"" },
    { "metrics by a nobody",
      { .target = "/metrics", .user = &env_nobody },
      403,
      "Forbidden",
      "forbidden: User \"norbert\" cannot get path \"/metrics\"" },
    /* ---- actions ---- */
    { "an action on nothing", POST(C "/none/failover", "{}"), 404, "NotFound", RESOURCE " \"none\" not found" },
    { "an action of another kind", POST(C "/pg1/failover", "{\"kind\":\"BackupRequest\"}"), 400, "BadRequest",
      "the kind in the data (BackupRequest) does not match the expected kind (FailoverRequest)" },
    { "an action with an array", POST(C "/pg1/failover", "[]"), 400, "BadRequest",
      "the body of the request must be a FailoverRequest" },
    { "an action with a wrong type", POST(C "/pg1/failover", "{\"force\":\"yes\"}"), 422, "Invalid",
      "FailoverRequest.postgres.example.io \"pg1\" is invalid: force: Invalid value: …", "force", "…" },
    { "an action while nobody can carry it out", POST(C "/pg1/failover", "{}"), 503, "ServiceUnavailable",
      "no controller that could carry out \"failover\" is running" },
    { "GET of an action", GET(C "/pg1/failover"), 405, "MethodNotAllowed",
      "get is not supported on resources of kind \"" RESOURCE "\"" },
};

static bool text_fits(str got, const char *wanted)
{
    str w = str_from(wanted);
    if (str_has_suffix(w, S("…")))
        return str_has_prefix(got, str_first(w, w.len - strlen("…")));
    return str_eq(got, w);
}

static size_t check_case(struct env *env, const struct bad *b)
{
    rv before = env_revision(env);
    struct env_answer a = env_call(env, &b->request);
    const struct json *cause = json_item(json_at(a.json, "details.causes"), 0);
    bool fits = a.code == b->code && json_int_at(a.json, "code", 0) == b->code &&
                str_eq_z(env_text(&a, "kind"), "Status") && str_eq_z(env_text(&a, "status"), "Failure") &&
                str_eq_z(env_text(&a, "reason"), b->reason) && text_fits(env_text(&a, "message"), b->message);
    if (b->cause_field)
        fits = fits && str_eq_z(json_str_at(cause, "field"), b->cause_field) &&
               text_fits(json_str_at(cause, "message"), b->cause_message);
    if (b->code == 405)
        fits = fits && !str_is_empty(env_header(&a, "allow"));
    if (!fits)
        (void)fprintf(stderr, "%s: %d %.*s\n", b->what, a.code, STR_ARG(a.body));
    if (env_revision(env) != before)
        (void)fprintf(stderr, "%s: the store changed\n", b->what);
    return !fits || env_revision(env) != before;
}

Test(bad_input, each_case_gives_its_status_and_changes_nothing)
{
    struct env *env = env_new(NULL);
    (void)env_cluster(env, "pg1");
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        wrong += check_case(env, &cases[i]);
    struct env_answer a = env_get(env, C "/pg1");
    cr_expect_eq(a.code, 200, "the server does not serve any more");
    cr_expect_eq(wrong, 0, "%zu of %zu cases", wrong, ARRAY_LEN(cases));
    cr_expect_geq(ARRAY_LEN(cases), 60);
    env_free(env);
}

static str nested(struct arena *a, size_t depth)
{
    char *text = arena_alloc(a, 2 * depth + 1);
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    return str_of(text, 2 * depth);
}

Test(bad_input, deep_and_wide_documents_are_refused)
{
    struct env *env = env_new(NULL);
    rv before = env_revision(env);
    struct env_request r = { .method = "POST", .target = C, .raw = nested(env->arena, LIMIT_JSON_DEPTH + 2) };
    struct env_answer a = env_call(env, &r);
    cr_expect(a.code == 400 || a.code == 413, "depth gives %d", a.code);
    r.content_type = "application/yaml";
    a = env_call(env, &r);
    cr_expect(a.code == 400 || a.code == 413, "depth of YAML gives %d", a.code);

    size_t n = LIMIT_JSON_VALUES + 10;
    char *text = arena_alloc(env->arena, 2 * n + 2);
    for (size_t i = 0; i < n; i++)
        memcpy(text + 1 + 2 * i, "1,", 2);
    text[0] = '[';
    text[2 * n] = ']';
    r = (struct env_request) { .method = "POST", .target = C, .raw = str_of(text, 2 * n + 1) };
    a = env_call(env, &r);
    cr_expect_eq(a.code, 413);
    cr_expect_eq(env_revision(env), before);
    env_free(env);
}

Test(bad_input, objects_and_annotations_have_a_size)
{
    struct env *env = env_new(NULL);
    rv before = env_revision(env);
    size_t n = LIMIT_ANNOTATIONS_BYTES;
    char *big = arena_alloc(env->arena, n + 1);
    memset(big, 'x', n);
    str body = arena_printf(env->arena, META("\"annotations\":{\"a\":\"%s\"}"), big);
    struct env_answer a = env_call(env, &(struct env_request) { .method = "POST", .target = C, .raw = body });
    cr_expect_eq(a.code, 422);
    CHECK_STR(json_str_at(json_item(json_at(a.json, "details.causes"), 0), "message"),
              "Too long: may not be more than 262144 bytes");

    n = LIMIT_OBJECT_BYTES;
    big = arena_alloc(env->arena, n + 1);
    memset(big, 'A', n);
    body = arena_printf(env->arena, "{\"metadata\":{\"name\":\"e\"},\"involvedObject\":{},\"message\":\"%s\"}", big);
    a = env_call(
        env, &(struct env_request) { .method = "POST", .target = "/api/v1/namespaces/default/events", .raw = body });
    cr_expect_eq(a.code, 413);
    cr_expect_eq(env_revision(env), before);
    env_free(env);
}
