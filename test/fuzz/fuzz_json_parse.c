/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as JSON: refused, or read to a value whose text reads back as the same value and as the same text. */
#include <assert.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "json/json_parse.h"
#include "json/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct json_notes notes = { 0 };
    const struct json *value = NULL;
    if (json_parse(a, (str) { (const char *)data, size }, &notes, &value, NULL) < 0)
        return 0;
    str text = json_text(a, value);
    const struct json *again = NULL;
    int r = json_parse(a, text, NULL, &again, NULL);
    assert(r == 0);
    assert(json_equal(value, again));
    assert(str_eq(text, json_text(a, again)));
    return 0;
}
