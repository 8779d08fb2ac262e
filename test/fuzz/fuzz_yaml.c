/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes through the YAML parser, and any JSON value through the YAML writer: both must come back the same. */
#include <stdlib.h>

#include "json/json_parse.h"
#include "json/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

static void check_round_trips(struct arena *a, const struct json *v)
{
    STRBUF_AUTO yaml = STRBUF_INIT(64u << 20);
    json_write_yaml(&yaml, v);
    const struct json *again = NULL;
    check(json_parse_yaml(a, strbuf_str(&yaml), NULL, &again, NULL) == 0 && json_equal(v, again));
    check(json_parse(a, json_text(a, v), NULL, &again, NULL) == 0 && json_equal(v, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str text = { (const char *)data, size };
    struct json_notes notes = { 0 };
    const struct json *v = NULL;
    struct error err;
    error_clear(&err);
    if (json_parse_yaml(a, text, &notes, &v, &err) == 0)
        check_round_trips(a, v);
    else
        check(err.text[0] != '\0');
    if (json_parse(a, text, NULL, &v, NULL) == 0)
        check_round_trips(a, v);
    return 0;
}
