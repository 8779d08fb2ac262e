/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Swagger document as gnostic's openapi.v2.Document in protobuf: the only form in which kubectl asks for it, to
 * check a `List` or what an older server would not check. Such clients look at definitions alone, so paths are left
 * out.
 */
#include "base/strbuf.h"
#include "internal.h"
#include "json/json_write.h"

#define DOCUMENT_MAX (16u << 20)

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

enum shape { TEXT, TEXTS, COUNT, NUMBER, FLAG, ANY, ANYS, SCHEMA_ITEM, SCHEMAS, SCHEMA_MAP, ADDITIONAL, TYPE };

/* The members of a schema: field numbers of gnostic's openapiv2/OpenAPIv2.proto. */
static const struct {
    str key;
    unsigned field;
    enum shape shape;
} fields[] = {
    { S_INIT("$ref"), 1, TEXT },
    { S_INIT("format"), 2, TEXT },
    { S_INIT("title"), 3, TEXT },
    { S_INIT("description"), 4, TEXT },
    { S_INIT("default"), 5, ANY },
    { S_INIT("multipleOf"), 6, NUMBER },
    { S_INIT("maximum"), 7, NUMBER },
    { S_INIT("exclusiveMaximum"), 8, FLAG },
    { S_INIT("minimum"), 9, NUMBER },
    { S_INIT("exclusiveMinimum"), 10, FLAG },
    { S_INIT("maxLength"), 11, COUNT },
    { S_INIT("minLength"), 12, COUNT },
    { S_INIT("pattern"), 13, TEXT },
    { S_INIT("maxItems"), 14, COUNT },
    { S_INIT("minItems"), 15, COUNT },
    { S_INIT("uniqueItems"), 16, FLAG },
    { S_INIT("maxProperties"), 17, COUNT },
    { S_INIT("minProperties"), 18, COUNT },
    { S_INIT("required"), 19, TEXTS },
    { S_INIT("enum"), 20, ANYS },
    { S_INIT("additionalProperties"), 21, ADDITIONAL },
    { S_INIT("type"), 22, TYPE },
    { S_INIT("items"), 23, SCHEMA_ITEM },
    { S_INIT("allOf"), 24, SCHEMAS },
    { S_INIT("properties"), 25, SCHEMA_MAP },
};
#define FIELD_EXTENSION 31

/* ---- the encoding ----------------------------------------------------------------------------------------------- */

static void put_varint(struct strbuf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        strbuf_add_char(b, (char)(v | 0x80));
    strbuf_add_char(b, (char)v);
}

static void put_tag(struct strbuf *b, unsigned field, enum wire wire)
{
    put_varint(b, field << 3 | wire);
}

static void put_bytes(struct strbuf *b, unsigned field, str bytes)
{
    put_tag(b, field, WIRE_BYTES);
    put_varint(b, bytes.len);
    strbuf_add(b, bytes);
}

static void put_double(struct strbuf *b, unsigned field, const struct json *value)
{
    double number = 0;
    uint64_t bits;
    (void)json_to_double(value, &number); /* the schemas are ours */
    memcpy(&bits, &number, sizeof(bits));
    put_tag(b, field, WIRE_FIXED64);
    for (unsigned i = 0; i < 8; i++)
        strbuf_add_char(b, (char)(bits >> (8 * i)));
}

static void put_integer(struct strbuf *b, unsigned field, const struct json *value)
{
    int64_t number = json_is(value, JSON_BOOL) ? value->boolean : 0;
    (void)json_to_int(value, &number);
    put_tag(b, field, WIRE_VARINT);
    put_varint(b, (uint64_t)number);
}

/* Any { string yaml = 2; }: JSON is YAML. */
static void put_any(struct strbuf *b, struct arena *a, unsigned field, const struct json *value)
{
    STRBUF_AUTO any = STRBUF_INIT(DOCUMENT_MAX);
    put_bytes(&any, 2, json_text(a, value));
    put_bytes(b, field, strbuf_str(&any));
}

/* ---- schemas ------------------------------------------------------------------------------------------------------
 */

static void put_schema(struct strbuf *b, struct arena *a, unsigned field, const struct json *schema);

/* NamedSchema { string name = 1; Schema value = 2; }, repeated as field 1. */
static void put_schema_map(struct strbuf *b, struct arena *a, unsigned field, const struct json *schemas)
{
    STRBUF_AUTO map = STRBUF_INIT(DOCUMENT_MAX);
    for (size_t i = 0; i < json_count(schemas); i++) {
        STRBUF_AUTO named = STRBUF_INIT(DOCUMENT_MAX);
        put_bytes(&named, 1, schemas->members[i].key);
        put_schema(&named, a, 2, schemas->members[i].value);
        put_bytes(&map, 1, strbuf_str(&named));
    }
    put_bytes(b, field, strbuf_str(&map));
}

/* A message whose only field is the schema, or with additionalProperties a boolean. */
static void put_wrapped(struct strbuf *b, struct arena *a, unsigned field, const struct json *value)
{
    STRBUF_AUTO item = STRBUF_INIT(DOCUMENT_MAX);
    if (json_is(value, JSON_BOOL))
        put_integer(&item, 2, value);
    else
        put_schema(&item, a, 1, value);
    put_bytes(b, field, strbuf_str(&item));
}

static void put_type(struct strbuf *b, unsigned field, const struct json *value)
{
    STRBUF_AUTO type = STRBUF_INIT(DOCUMENT_MAX);
    put_bytes(&type, 1, json_str(value));
    put_bytes(b, field, strbuf_str(&type));
}

static void put_value(struct strbuf *b, struct arena *a, size_t i, const struct json *value)
{
    unsigned field = fields[i].field;
    switch (fields[i].shape) {
    case TEXT: put_bytes(b, field, json_str(value)); break;
    case COUNT:
    case FLAG: put_integer(b, field, value); break;
    case NUMBER: put_double(b, field, value); break;
    case ANY: put_any(b, a, field, value); break;
    case SCHEMA_ITEM:
    case ADDITIONAL: put_wrapped(b, a, field, value); break;
    case SCHEMA_MAP: put_schema_map(b, a, field, value); break;
    case TYPE: put_type(b, field, value); break;
    case TEXTS:
        for (size_t k = 0; k < json_count(value); k++)
            put_bytes(b, field, json_str(value->items[k]));
        break;
    case ANYS:
        for (size_t k = 0; k < json_count(value); k++)
            put_any(b, a, field, value->items[k]);
        break;
    case SCHEMAS:
        for (size_t k = 0; k < json_count(value); k++)
            put_schema(b, a, field, value->items[k]);
        break;
    }
}

/* NamedAny { string name = 1; Any value = 2; } */
static void put_extension(struct strbuf *b, struct arena *a, str name, const struct json *value)
{
    STRBUF_AUTO named = STRBUF_INIT(DOCUMENT_MAX);
    put_bytes(&named, 1, name);
    put_any(&named, a, 2, value);
    put_bytes(b, FIELD_EXTENSION, strbuf_str(&named));
}

static void put_schema(struct strbuf *b, struct arena *a, unsigned field, const struct json *schema)
{
    STRBUF_AUTO body = STRBUF_INIT(DOCUMENT_MAX);
    for (size_t i = 0; i < json_count(schema); i++) {
        str key = schema->members[i].key;
        size_t k = 0;
        while (k < ARRAY_LEN(fields) && !str_eq(fields[k].key, key))
            k++;
        if (k < ARRAY_LEN(fields))
            put_value(&body, a, k, schema->members[i].value);
        else if (str_has_prefix(key, S("x-")))
            put_extension(&body, a, key, schema->members[i].value);
    }
    put_bytes(b, field, strbuf_str(&body));
}

str openapi_v2_protobuf(struct arena *a, const struct json *v2)
{
    STRBUF_AUTO document = STRBUF_INIT(DOCUMENT_MAX), info = STRBUF_INIT(DOCUMENT_MAX);
    put_bytes(&document, 1, json_str_at(v2, "swagger"));
    put_bytes(&info, 1, json_str_at(v2, "info.title"));
    put_bytes(&info, 2, json_str_at(v2, "info.version"));
    put_bytes(&document, 2, strbuf_str(&info));
    put_schema_map(&document, a, 9, json_get(v2, S("definitions")));
    return strbuf_to_arena(&document, a);
}
