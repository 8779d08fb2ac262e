/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what a client sent to what may be stored: identity, unknown fields, defaults, validation. The order is that of
 * k8s.io/apiserver's registry: decode, default, prepare, validate.
 */
#include "base/strbuf.h"
#include "handlers/internal.h"
#include "meta/gvk.h"

#define NOTES_TEXT_MAX 8192

/* A missing or empty value is filled, another type or value refused. */
static struct status *check_constant(struct arena *a, const struct json *sent, str key, str expected, const char *what)
{
    const struct json *v = json_get(sent, key);
    if (!v || v->type == JSON_NULL)
        return NULL;
    if (v->type != JSON_STRING)
        return status_new(a, STATUS_BAD_REQUEST, "the object provided is unrecognized: %.*s: must be a string",
                          STR_ARG(key));
    if (str_is_empty(v->text) || str_eq(v->text, expected))
        return NULL;
    return status_new(a, STATUS_BAD_REQUEST, "the %s in the data (%.*s) does not match the expected %s (%.*s)", what,
                      STR_ARG(str_first(v->text, 253)), what, STR_ARG(expected));
}

/* What the decoder noticed: refused, sent back as warnings, or ignored. */
struct status *notes_judge(struct call *c, str kind, str version, const struct json_notes *notes,
                           enum field_validation how)
{
    if (notes->count == 0 || how == FIELD_VALIDATION_IGNORE)
        return NULL;
    if (how == FIELD_VALIDATION_WARN) {
        for (size_t i = 0; i < notes->count; i++)
            call_warn(c, notes->texts[i]);
        return NULL;
    }
    STRBUF_AUTO text = STRBUF_INIT(NOTES_TEXT_MAX);
    for (size_t i = 0; i < notes->count; i++) {
        strbuf_add(&text, i > 0 ? S(", ") : S(""));
        strbuf_add(&text, notes->texts[i]);
    }
    return status_new(c->arena, STATUS_BAD_REQUEST,
                      "%.*s in version \"%.*s\" cannot be handled as a %.*s: strict decoding error: %.*s",
                      STR_ARG(kind), STR_ARG(version), STR_ARG(kind), STR_ARG(strbuf_str(&text)));
}

struct status *draft_read(struct call *c, const struct json *sent, const struct write_options *options,
                          struct json_notes *notes, struct draft *ret)
{
    struct arena *a = c->arena;
    const struct resource *r = c->resource;
    if (!sent)
        return status_new(a, STATUS_BAD_REQUEST, "the body of the request is empty, but must be a %.*s",
                          STR_ARG(r->kind));
    if (sent->type != JSON_OBJECT)
        return status_new(a, STATUS_BAD_REQUEST, "the object provided is unrecognized: must be an object");
    struct status *fail =
        check_constant(a, sent, S("apiVersion"), gvk_api_version(a, r->group, r->version), "API version");
    if (!fail)
        fail = check_constant(a, sent, S("kind"), r->kind, "kind");
    if (!fail)
        fail = metadata_read(a, sent, notes, &ret->metadata);
    if (fail)
        return fail;
    ret->body = schema_prune(a, r->schema, sent, notes);
    return notes_judge(c, r->kind, r->version, notes, options->field_validation);
}

static bool is_head(str key)
{
    return str_eq(key, S("apiVersion")) || str_eq(key, S("kind")) || str_eq(key, S("metadata"));
}

const struct json *draft_tree(struct arena *a, const struct resource *r, const struct draft *d)
{
    struct json_builder b;
    json_builder_init(&b, a);
    json_builder_add(&b, S("apiVersion"), json_string(a, gvk_api_version(a, r->group, r->version)));
    json_builder_add(&b, S("kind"), json_string(a, r->kind));
    json_builder_add(&b, S("metadata"), metadata_tree(a, &d->metadata));
    for (size_t i = 0; i < json_count(d->body); i++)
        if (!is_head(d->body->members[i].key))
            json_builder_add(&b, d->body->members[i].key, d->body->members[i].value);
    return json_builder_object(&b);
}

static const struct json *apply_strategy(struct arena *a, const struct resource *r, const struct json *tree,
                                         const struct json *old)
{
    const struct resource_strategy *s = r->strategy;
    if (s && !old && s->prepare_create)
        return s->prepare_create(a, r, tree);
    if (s && old && s->prepare_update)
        return s->prepare_update(a, r, tree, old);
    return tree;
}

static void validate_by_strategy(const struct resource *r, const struct json *tree, const struct json *old,
                                 struct field_errors *errors)
{
    const struct resource_strategy *s = r->strategy;
    if (s && s->validate)
        s->validate(r, tree, errors);
    if (s && !old && s->validate_create)
        s->validate_create(r, tree, errors);
    if (s && old && s->validate_update)
        s->validate_update(r, tree, old, errors);
}

static void warn_by_strategy(struct call *c, const struct json *tree, const struct json *old)
{
    const struct resource_strategy *s = c->resource->strategy;
    if (!s || !s->warn)
        return;
    struct json_notes warnings = { 0 };
    s->warn(c->arena, c->resource, tree, old, &warnings);
    for (size_t i = 0; i < warnings.count; i++)
        call_warn(c, warnings.texts[i]);
}

struct status *draft_finish(struct call *c, struct draft *d, const struct json *old, bool is_status,
                            const struct json **ret)
{
    struct arena *a = c->arena;
    const struct resource *r = c->resource;
    const struct json *tree = schema_default(a, r->schema, draft_tree(a, r, d));
    if (!is_status)
        tree = apply_strategy(a, r, tree, old);

    struct field_errors errors;
    field_errors_init(&errors, a);
    metadata_validate(r, &d->metadata, &errors);
    schema_validate(r->schema, (str) { 0 }, tree, &errors);
    if (!is_status)
        validate_by_strategy(r, tree, old, &errors);
    struct status *fail = field_errors_to_status(&errors, r->group, r->kind, json_str(d->metadata.fields[META_NAME]));
    if (fail)
        return fail;
    if (!is_status)
        warn_by_strategy(c, tree, old);
    *ret = tree;
    return NULL;
}
