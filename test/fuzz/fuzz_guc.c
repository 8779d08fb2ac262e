/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and values of parameters: the input is "<name>=<value>". A name that is found is the one that was asked for,
 * and an integer that is taken lies in the range of its parameter.
 */
#include "resources/postgrescluster/guc.h"

#include <stdlib.h>

#include "resources/postgrescluster/owned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    str name;
    str value;
    (void)str_cut(str_of((const char *)data, size), '=', &name, &value);
    struct guc g;
    str why = S("");
    int n = 0;
    (void)owned_reason(name);
    if (guc_is_qualified_name(name) && guc_find(15, name, &g))
        abort();
    if (guc_find(15, name, &g)) {
        if (!str_eq_nocase(g.name, name))
            abort();
        bool is_valid = guc_check_value(a, &g, value, &why);
        if (!is_valid && !why.len)
            abort();
        if (g.type == GUC_INTEGER && is_valid != guc_read_integer(&g, value, &n))
            abort();
    }
    arena_free(a);
    return 0;
}
