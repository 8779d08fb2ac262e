/* SPDX-License-Identifier: Apache-2.0 */
/* POST <resource>/<name>/<action>: decoded and validated here, carried out by the action backend. */
#include "handlers/internal.h"
#include "meta/gvk.h"

struct action_call {
    struct call *call;
    struct object *object; /* released with the arena */
    struct action_request request;
};

static void release_object(void *object)
{
    (void)object_unref(object);
}

/* What the backend says, as a document that names its kind. One that does already (a PostgresBackup) stays as it is. */
static const struct json *name_kind(struct call *c, const struct json *answer)
{
    if (json_get(answer, S("kind")))
        return answer;
    struct json_builder b;
    json_builder_init(&b, c->arena);
    json_builder_add(&b, S("kind"), json_string(c->arena, c->action->response_kind));
    json_builder_add(&b, S("apiVersion"),
                     json_string(c->arena, gvk_api_version(c->arena, c->resource->group, c->resource->version)));
    for (size_t i = 0; i < json_count(answer); i++)
        json_builder_add(&b, answer->members[i].key, answer->members[i].value);
    return json_builder_object(&b);
}

static void on_done(void *self, int code, const struct json *answer, const struct status *failure)
{
    struct action_call *x = self;
    if (failure)
        call_fail(x->call, failure);
    else
        call_answer_tree(x->call, code, name_kind(x->call, answer));
}

static struct status *check_head(struct call *c, const struct json *body)
{
    const struct resource_action *action = c->action;
    if (!json_is(body, JSON_OBJECT))
        return status_new(c->arena, STATUS_BAD_REQUEST, "the body of the request must be a %.*s",
                          STR_ARG(action->request_kind));
    str kind = json_str_at(body, "kind"), version = json_str_at(body, "apiVersion");
    str expected = gvk_api_version(c->arena, c->resource->group, c->resource->version);
    if (!str_is_empty(kind) && !str_eq(kind, action->request_kind))
        return status_new(c->arena, STATUS_BAD_REQUEST,
                          "the kind in the data (%.*s) does not match the expected kind (%.*s)",
                          STR_ARG(str_first(kind, 253)), STR_ARG(action->request_kind));
    if (!str_is_empty(version) && !str_eq(version, expected))
        return status_new(c->arena, STATUS_BAD_REQUEST,
                          "the API version in the data (%.*s) does not match the expected API version (%.*s)",
                          STR_ARG(str_first(version, 253)), STR_ARG(expected));
    str name = json_str_at(body, "metadata.name");
    if (!str_is_empty(name) && !str_eq(name, c->info.name))
        return status_new(c->arena, STATUS_BAD_REQUEST,
                          "the name of the object (%.*s) does not match the name on the URL (%.*s)",
                          STR_ARG(str_first(name, 253)), STR_ARG(c->info.name));
    return NULL;
}

/* An action that misunderstands a field does harm: unknown ones are refused unless the client says otherwise. */
static struct status *check_notes(struct call *c, const struct json_notes *notes, enum field_validation how)
{
    for (size_t i = 0; i < notes->count; i++) {
        if (how == FIELD_VALIDATION_STRICT)
            return status_new(c->arena, STATUS_BAD_REQUEST, "strict decoding error: %.*s", STR_ARG(notes->texts[i]));
        if (how == FIELD_VALIDATION_WARN)
            call_warn(c, notes->texts[i]);
    }
    return NULL;
}

static struct status *read_body(struct action_call *x, const struct json *object)
{
    struct call *c = x->call;
    struct write_options options;
    struct status *fail = write_options_parse(c->arena, &c->query, S("CreateOptions"), &options);
    if (fail)
        return fail;
    if (!query_has(&c->query, S("fieldValidation")))
        options.field_validation = FIELD_VALIDATION_STRICT;
    c->is_dry_run = options.is_dry_run;
    struct json_notes notes = { 0 };
    struct body_source source = call_body(c);
    const struct json *body;
    fail = body_decode(c->arena, &source, &notes, &body);
    body = body ? body : &json_empty_object;
    if (!fail)
        fail = check_head(c, body);
    if (fail)
        return fail;
    body = schema_prune(c->arena, c->action->request_schema, body, &notes);
    fail = check_notes(c, &notes, options.field_validation);
    if (fail)
        return fail;
    body = schema_default(c->arena, c->action->request_schema, body);
    struct field_errors errors;
    field_errors_init(&errors, c->arena);
    schema_validate(c->action->request_schema, (str) { 0 }, body, &errors);
    if (errors.count == 0 && c->action->validate)
        c->action->validate(object, body, &errors);
    x->request.body = body;
    return field_errors_to_status(&errors, c->resource->group, c->action->request_kind, c->info.name);
}

static struct status *unavailable(struct call *c)
{
    struct status *s = status_new(c->arena, STATUS_SERVICE_UNAVAILABLE,
                                  "no controller that could carry out \"%.*s\" is running", STR_ARG(c->action->name));
    s->retry_after_seconds = 1;
    return s;
}

static void run(struct call *c)
{
    struct action_call *x = arena_new_of(c->arena, struct action_call);
    x->call = c;
    x->object = store_get(c->resource->store, call_key(c));
    if (!x->object) {
        call_fail(c, call_not_found(c));
        return;
    }
    arena_on_release(c->arena, release_object, x->object);
    const struct json *object = object_parse(c->arena, x->object);
    struct status *fail = read_body(x, object);
    const struct action_backend *backend = atomic_load(&c->api->actions);
    if (!fail && !backend)
        fail = unavailable(c);
    if (fail) {
        call_fail(c, fail);
        return;
    }
    x->request = (struct action_request) {
        .resource = c->resource->plural,
        .action = c->action->name,
        .namespace_ = call_namespace(c),
        .name = c->info.name,
        .object = object,
        .body = x->request.body,
        .user = c->req->user->name,
        .dry_run = c->is_dry_run,
    };
    backend->submit(backend->self, &x->request, on_done, x);
}

void handle_action(struct call *c)
{
    call_on_worker(c, run);
}
