/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of pg_hba.conf: what is taken holds no line break and begins with a type of connection. */
#include "resources/postgrescluster/hba.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    str line = str_of((const char *)data, size);
    const char *wrong = hba_check_line(a, line);
    if (!wrong) {
        str start = str_trim(line);
        if (str_index(line, '\n') >= 0 || str_index(line, '\r') >= 0)
            abort();
        if (start.len && start.ptr[0] == '"')
            start = str_from_offset(start, 1);
        if (!str_has_prefix(start, S("local")) && !str_has_prefix(start, S("host")) && str_index(start, '"') < 0)
            abort();
    }
    arena_free(a);
    return 0;
}
