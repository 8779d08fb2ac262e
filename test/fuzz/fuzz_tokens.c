/* SPDX-License-Identifier: Apache-2.0 */
/* The token file: every entry that is given out has a token and a user. */
#include <assert.h>

#include "auth/token_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_entry(void *self, const struct token_entry *entry)
{
    (void)self;
    assert(!str_is_empty(entry->token) && !str_is_empty(entry->user.name));
    for (size_t i = 0; i < entry->user.group_count; i++)
        assert(!str_is_empty(entry->user.groups[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct error err;
    int r = token_file_parse(a, str_of((const char *)data, size), on_entry, NULL, &err);
    assert(r == 0 || r == ERRC_INVALID);
    return 0;
}
