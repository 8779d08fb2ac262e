/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes through the JSON parser; what it takes must survive each way of writing it, and copying. */
#include <stdlib.h>

#include "base/limits.h"
#include "json/json_parse.h"
#include "json/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

static const struct json *read_back(struct arena *a, str text)
{
    const struct json *v = NULL;
    check(json_parse(a, text, NULL, &v, NULL) == 0);
    return v;
}

/* Every number can be asked; what is an int64 reads back as itself. */
static void ask_numbers(struct arena *a, const struct json *v, size_t depth)
{
    check(depth <= LIMIT_JSON_DEPTH);
    int64_t n;
    double d;
    if (json_to_int(v, &n))
        check(json_equal(json_int(a, n), v));
    if (json_to_double(v, &d)) {
        double again;
        check(json_to_double(json_double(a, d), &again) && again == d);
    }
    for (size_t i = 0; i < json_count(v); i++) {
        if (v->type == JSON_OBJECT)
            check(json_get(v, v->members[i].key) == v->members[i].value);
        ask_numbers(a, v->type == JSON_OBJECT ? v->members[i].value : v->items[i], depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct json_notes notes = { 0 };
    const struct json *v = NULL;
    struct error err;
    error_clear(&err);
    if (json_parse(a, str_of((const char *)data, size), &notes, &v, &err)) {
        check(err.text[0] != '\0');
        return 0;
    }
    ask_numbers(a, v, 0);
    str text = json_text(a, v);
    const struct json *again = read_back(a, text);
    check(json_equal(v, again) && str_eq(json_text(a, again), text));
    check(str_eq(json_text(a, json_copy(a, v)), text));
    STRBUF_AUTO pretty = STRBUF_INIT(64u << 20);
    json_write_pretty(&pretty, v);
    check(json_equal(v, read_back(a, strbuf_str(&pretty))));
    return 0;
}
