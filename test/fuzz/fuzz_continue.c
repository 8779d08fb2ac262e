/* SPDX-License-Identifier: Apache-2.0 */
/* A continue token comes from a client: whatever it holds, the key it gives stays below its prefix. */
#include <assert.h>

#include "handlers/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct continue_token t, again;
    struct error err;
    if (continue_token_read(a, str_of((const char *)data, size), &t, &err) < 0)
        return 0;
    assert(!str_is_empty(t.start) && t.start.ptr[0] != '/' && str_find(t.start, S("..")) != 0);
    assert(continue_token_read(a, continue_token_write(a, &t), &again, &err) == 0);
    assert(again.version == t.version && str_eq(again.start, t.start));
    return 0;
}
