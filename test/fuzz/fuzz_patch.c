/* SPDX-License-Identifier: Apache-2.0 */
/*
 * [document, patch]: both kinds of patches leave the document as it was and give a value that can be written;
 * a merge patch applied twice is the same as once.
 */
#include <stdlib.h>

#include "json/json_parse.h"
#include "json/json_patch.h"
#include "json/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

static void check_result(struct arena *a, const struct json *result)
{
    const struct json *again = NULL;
    check(json_parse(a, json_text(a, result), NULL, &again, NULL) == 0 && json_equal(result, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct json *both, *result;
    if (json_parse(a, str_of((const char *)data, size), NULL, &both, NULL))
        return 0;
    const struct json *document = json_item(both, 0), *patch = json_item(both, 1);
    if (!document || !patch)
        return 0;
    str before = json_text(a, document);
    struct error err;
    error_clear(&err);
    if (json_patch_apply(a, document, patch, &result, &err) == 0)
        check_result(a, result);
    else
        check(err.text[0] != '\0');
    result = json_merge_patch(a, document, patch);
    check_result(a, result);
    check(json_equal(json_merge_patch(a, result, patch), result));
    check(str_eq(json_text(a, document), before));
    return 0;
}
