/* SPDX-License-Identifier: Apache-2.0 */
/* Which objects a list, watch or deletecollection is about: namespace, labels, fields. */
#include "base/strbuf.h"
#include "handlers/internal.h"

#define TEXT_MAX 1024

static bool is_name_field(str key)
{
    return str_eq(key, S("metadata.name")) || str_eq(key, S("metadata.namespace"));
}

static bool is_selectable(const struct resource *r, str key)
{
    for (size_t i = 0; i < r->selectable_field_count; i++)
        if (str_eq_z(key, r->selectable_fields[i]))
            return true;
    return false;
}

static struct status *unknown_field(struct arena *a, const struct resource *r, str key)
{
    STRBUF_AUTO known = STRBUF_INIT(TEXT_MAX);
    strbuf_add(&known, S("\"metadata.name\", \"metadata.namespace\""));
    for (size_t i = 0; i < r->selectable_field_count; i++)
        strbuf_addf(&known, ", \"%s\"", r->selectable_fields[i]);
    return status_new(a, STATUS_BAD_REQUEST, "\"%.*s\" is not a known field selector: only %.*s",
                      STR_ARG(str_first(key, 253)), STR_ARG(strbuf_str(&known)));
}

struct status *match_init(struct call *c, const struct list_options *options, struct match *ret)
{
    *ret = (struct match) { .namespace_ = call_namespace(c), .labels = options->labels, .fields = options->fields };
    for (size_t i = 0; i < options->fields.count; i++) {
        str key = options->fields.requirements[i].key;
        if (is_name_field(key))
            continue;
        if (!is_selectable(c->resource, key))
            return unknown_field(c->arena, c->resource, key);
        ret->needs_tree = true;
    }
    return NULL;
}

bool match_is_all(const struct match *m)
{
    return m->labels.count == 0 && m->fields.count == 0;
}

/* The text that a field selector compares: numbers and booleans as JSON writes them, absent as "". */
static str field_text(const struct json *tree, str key, char *buffer, size_t size)
{
    size_t n = key.len < size - 1 ? key.len : size - 1;
    memcpy(buffer, key.ptr, n);
    buffer[n] = '\0';
    const struct json *v = json_at(tree, buffer);
    if (json_is(v, JSON_BOOL))
        return v->boolean ? S("true") : S("false");
    return v && (v->type == JSON_STRING || v->type == JSON_NUMBER) ? v->text : (str) { 0 };
}

static bool match_field(const struct selector_requirement *q, struct arena *a, const struct object *o,
                        const struct json **tree)
{
    char path[256];
    str value;
    if (str_eq(q->key, S("metadata.name"))) {
        value = o->name;
    } else if (str_eq(q->key, S("metadata.namespace"))) {
        value = o->namespace_;
    } else {
        if (!*tree)
            *tree = object_parse(a, o);
        value = field_text(*tree, q->key, path, sizeof(path));
    }
    bool is_equal = q->value_count > 0 && str_eq(value, q->values[0]);
    return q->op == SELECTOR_NOT_EQUALS ? !is_equal : is_equal;
}

bool match_object(const struct match *m, struct arena *a, const struct object *o, const struct json **tree)
{
    if (!str_is_empty(m->namespace_) && !str_eq(m->namespace_, o->namespace_))
        return false;
    if (m->labels.count > 0 && !selector_matches(&m->labels, o->labels, o->label_count))
        return false;
    for (size_t i = 0; i < m->fields.count; i++)
        if (!match_field(&m->fields.requirements[i], a, o, tree))
            return false;
    return true;
}
