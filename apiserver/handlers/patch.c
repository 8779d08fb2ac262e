/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PATCH: JSON Patch and JSON Merge Patch. Strategic merge and apply get 415; the garbage collector relies on that code
 * to fall back to a merge patch. kubectl does not fall back for the core kinds (apply, edit and patch of a Secret): for
 * them a strategic merge patch is taken where it means the same as a merge patch.
 */
#include "base/limits.h"
#include "handlers/internal.h"
#include "json/json_parse.h"
#include "json/json_patch.h"

#define JSON_PATCH S("application/json-patch+json")
#define MERGE_PATCH S("application/merge-patch+json")
#define STRATEGIC_PATCH S("application/strategic-merge-patch+json")
#define ACCEPTED "application/json-patch+json, application/merge-patch+json"

static bool is_directive(str key)
{
    return str_has_prefix(key, S("$"));
}

/* Directives ($patch, $setElementOrder/...) and lists that are merged by key make it more than a merge patch. */
static bool is_plain_merge(const struct json *patch)
{
    const struct json *metadata = json_get(patch, S("metadata"));
    for (size_t i = 0; json_is(patch, JSON_OBJECT) && i < patch->count; i++) {
        const struct json *below = patch->members[i].value;
        if (is_directive(patch->members[i].key))
            return false;
        for (size_t k = 0; json_is(below, JSON_OBJECT) && k < below->count; k++)
            if (is_directive(below->members[k].key))
                return false;
    }
    return !json_get(metadata, S("finalizers")) && !json_get(metadata, S("ownerReferences"));
}

static bool patch_read(struct call *c, struct update *u)
{
    struct body_source body = call_body(c);
    str type = media_type_base(body.content_type);
    struct status *fail = body_check(c->arena, &body);
    u->is_json_patch = str_eq_nocase(type, JSON_PATCH);
    bool is_strategic = str_eq_nocase(type, STRATEGIC_PATCH);
    struct error err;
    int r = fail ? 0 : json_parse(c->arena, body.bytes, &u->notes, &u->sent, &err);
    if (r < 0)
        fail = status_new(c->arena, r == ERRC_TOO_LARGE ? STATUS_REQUEST_ENTITY_TOO_LARGE : STATUS_BAD_REQUEST,
                          "the patch could not be decoded: %s", err.text);
    if (!fail && is_strategic && !is_plain_merge(u->sent))
        fail = body_unsupported(c->arena, ACCEPTED);
    if (!fail && !u->is_json_patch && !json_is(u->sent, JSON_OBJECT))
        fail = status_new(c->arena, STATUS_BAD_REQUEST, "the patch could not be decoded: must be an object");
    if (!fail && u->is_json_patch && json_count(u->sent) > LIMIT_PATCH_OPERATIONS)
        fail = status_new(c->arena, STATUS_REQUEST_ENTITY_TOO_LARGE,
                          "The allowed maximum operations in a JSON patch is %d, got %zu", LIMIT_PATCH_OPERATIONS,
                          json_count(u->sent));
    if (fail)
        call_fail(c, fail);
    return !fail;
}

/* The type counts before the options: an apply patch comes with `force`. */
struct update *patch_new(struct call *c)
{
    str type = media_type_base(call_header(c, S("content-type")));
    bool is_strategic = str_eq_nocase(type, STRATEGIC_PATCH) && str_is_empty(c->resource->group);
    if (!is_strategic && !str_eq_nocase(type, JSON_PATCH) && !str_eq_nocase(type, MERGE_PATCH)) {
        call_fail(c, body_unsupported(c->arena, ACCEPTED));
        return NULL;
    }
    struct update *u = update_new(c, S("PatchOptions"));
    return u && patch_read(c, u) ? u : NULL;
}

static struct status *unprocessable(const struct call *c, const struct json *patch, const char *why)
{
    struct field_errors errors;
    field_errors_init(&errors, c->arena);
    field_error_add(&errors, FIELD_INVALID, S("patch"), patch, "%s", why);
    return field_errors_to_status(&errors, c->resource->group, c->resource->kind, c->info.name);
}

const struct json *patch_apply(struct update *u, const struct json *target, struct status **fail)
{
    struct arena *a = u->call->arena;
    if (!u->is_json_patch)
        return json_merge_patch(a, target, u->sent);
    const struct json *patched = NULL;
    struct error err;
    int r = json_patch_apply(a, target, u->sent, &patched, &err);
    if (r == 0 && json_is(patched, JSON_OBJECT))
        return patched;
    if (r == 0)
        *fail = unprocessable(u->call, patched, "the patched document must be an object");
    else if (r == ERRC_TOO_LARGE)
        *fail = status_new(a, STATUS_REQUEST_ENTITY_TOO_LARGE, "%s", err.text);
    else if (r == ERRC_INVALID)
        *fail = status_new(a, STATUS_BAD_REQUEST, "%s", err.text);
    else
        *fail = unprocessable(u->call, NULL, err.text);
    return NULL;
}

static void patch(struct call *c, bool is_status)
{
    struct update *u = patch_new(c);
    if (!u)
        return;
    u->make = patch_apply;
    u->is_status = is_status;
    u->may_be_unversioned = true;
    update_run(u);
}

static void run(struct call *c)
{
    patch(c, false);
}

static void run_status(struct call *c)
{
    patch(c, true);
}

void handle_patch(struct call *c)
{
    call_on_worker(c, run);
}

void handle_status_patch(struct call *c)
{
    call_on_worker(c, run_status);
}
