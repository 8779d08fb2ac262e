/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First byte: JSON, YAML or protobuf; the rest is the body. What decodes must be writable and the same when read
 * again.
 */
#include <assert.h>

#include "request/body.h"
#include "json/json_parse.h"
#include "json/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const str types[] = { S_INIT("application/json"), S_INIT("application/yaml; charset=utf-8"),
                                 S_INIT("application/vnd.kubernetes.protobuf") };
    if (size == 0)
        return 0;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct body_source source = { .bytes = str_of((const char *)data + 1, size - 1),
                                        .content_type = types[data[0] % ARRAY_LEN(types)] };
    struct json_notes notes = { 0 };
    const struct json *tree, *again;
    struct status *fail = body_decode(a, &source, &notes, &tree);
    assert(!fail || fail->code >= 400);
    if (!fail && tree) {
        assert(json_parse(a, json_text(a, tree), NULL, &again, NULL) == 0);
        assert(json_equal(tree, again));
    }
    return 0;
}
