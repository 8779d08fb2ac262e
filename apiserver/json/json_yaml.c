/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML text to tree, over libyaml's events: one document, no anchors, no tags, keys become texts. The only file
 * that knows libyaml.
 */
#include <stdlib.h>
#include <yaml.h>

#include "json/internal.h"

struct reader {
    struct json__tree tree;
    yaml_parser_t yaml;
    size_t documents;
    /* Of each open mapping: what comes next is a key. */
    bool wants_key[LIMIT_JSON_DEPTH + 1];
};

static void reader_release(struct reader *r)
{
    yaml_parser_delete(&r->yaml);
    json__tree_release(&r->tree);
}

static int invalid(struct reader *r, const yaml_mark_t *mark, const char *why)
{
    r->tree.rc = error_set(r->tree.err, ERRC_INVALID, "invalid YAML at line %zu, column %zu: %s", mark->line + 1,
                           mark->column + 1, why);
    return r->tree.rc;
}

/* A value came to its end: in a mapping a key follows. */
static int value_done(struct reader *r, bool is_fine)
{
    r->wants_key[r->tree.depth] = true;
    return is_fine ? 0 : r->tree.rc;
}

static bool is_key(const struct reader *r)
{
    return r->tree.depth && r->tree.frames[r->tree.depth - 1].is_object && r->wants_key[r->tree.depth];
}

static int on_key(struct reader *r, const yaml_event_t *e, const struct json__scalar *scalar)
{
    bool is_plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (is_plain && str_eq_z(scalar->text, "<<"))
        return invalid(r, &e->start_mark, "merge keys are not supported");
    if (scalar->type == JSON_NULL)
        return invalid(r, &e->start_mark, "null is no key");
    str key = scalar->type == JSON_BOOL ? scalar->boolean ? S("true") : S("false") : scalar->text;
    r->wants_key[r->tree.depth] = false;
    return json__tree_key(&r->tree, key) ? 0 : r->tree.rc;
}

static int on_scalar(struct reader *r, const yaml_event_t *e)
{
    str text = str_of((const char *)e->data.scalar.value, e->data.scalar.length);
    struct json__scalar scalar = { .type = JSON_STRING, .text = arena_str(r->tree.arena, text) };
    if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        scalar = json__yaml_resolve(r->tree.arena, scalar.text);
    if (scalar.is_refused)
        return invalid(r, &e->start_mark, "JSON has no such number");
    if (is_key(r))
        return on_key(r, e, &scalar);
    switch (scalar.type) {
    case JSON_NULL: return value_done(r, json__tree_add(&r->tree, &json_null_value));
    case JSON_BOOL: return value_done(r, json__tree_add(&r->tree, json_bool(scalar.boolean)));
    default: return value_done(r, json__tree_text(&r->tree, scalar.type, scalar.text));
    }
}

static int on_start(struct reader *r, const yaml_event_t *e, bool is_object)
{
    if (is_key(r))
        return invalid(r, &e->start_mark, "a key must be a scalar");
    if (!json__tree_begin(&r->tree, is_object))
        return r->tree.rc;
    r->wants_key[r->tree.depth] = true;
    return 0;
}

static int refuse_properties(struct reader *r, const yaml_event_t *e, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor)
        return invalid(r, &e->start_mark, "anchors are not supported");
    return tag ? invalid(r, &e->start_mark, "tags are not supported") : 0;
}

static int on_event(struct reader *r, const yaml_event_t *e)
{
    int rc;
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return r->documents++ ? invalid(r, &e->start_mark, "only one document is allowed") : 0;
    case YAML_ALIAS_EVENT: return invalid(r, &e->start_mark, "aliases are not supported");
    case YAML_SCALAR_EVENT:
        rc = refuse_properties(r, e, e->data.scalar.anchor, e->data.scalar.tag);
        return rc ? rc : on_scalar(r, e);
    case YAML_SEQUENCE_START_EVENT:
        rc = refuse_properties(r, e, e->data.sequence_start.anchor, e->data.sequence_start.tag);
        return rc ? rc : on_start(r, e, false);
    case YAML_MAPPING_START_EVENT:
        rc = refuse_properties(r, e, e->data.mapping_start.anchor, e->data.mapping_start.tag);
        return rc ? rc : on_start(r, e, true);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return value_done(r, json__tree_end(&r->tree));
    default: return 0;
    }
}

static int read_all(struct reader *r)
{
    for (bool is_over = false; !is_over;) {
        CLEANUP(yaml_event_delete) yaml_event_t e = { 0 };
        if (!yaml_parser_parse(&r->yaml, &e)) {
            const yaml_mark_t *mark = r->yaml.problem_mark.line ? &r->yaml.problem_mark : &r->yaml.mark;
            return invalid(r, mark, r->yaml.problem ? r->yaml.problem : "cannot be read");
        }
        is_over = e.type == YAML_STREAM_END_EVENT;
        int rc = on_event(r, &e);
        if (rc)
            return rc;
    }
    return 0;
}

int json_parse_yaml(struct arena *a, str text, struct json_notes *notes, const struct json **ret, struct error *err)
{
    size_t at = json__utf8_valid_up_to(text);
    if (at < text.len)
        return error_set(err, ERRC_INVALID, "invalid YAML at byte %zu: text is not UTF-8", at);
    CLEANUP(reader_release) struct reader r;
    json__tree_init(&r.tree, a, notes, err);
    r.documents = 0;
    if (!yaml_parser_initialize(&r.yaml))
        abort(); /* out of memory */
    yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.yaml, (const unsigned char *)(text.len ? text.ptr : ""), text.len);
    int rc = read_all(&r);
    if (rc)
        return rc;
    *ret = r.tree.root ? r.tree.root : &json_null_value;
    return 0;
}
