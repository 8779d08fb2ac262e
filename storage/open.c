/* SPDX-License-Identifier: Apache-2.0 */
/* From a URL to a driver: the one place that knows which drivers exist. */
#include "storage/storage.h"

#include "storage/driver.h"
#include "storage/restore.h"

int storage_open(str url, struct storage **ret, struct error *err)
{
    str scheme;
    str rest;
    str path;
    str options;
    if (!str_cut(url, ':', &scheme, &rest))
        return error_set(err, ERRC_INVALID, "store \"%.*s\": must be \"memory:\" or \"sqlite:<path>\"", STR_ARG(url));
    (void)str_cut(rest, '?', &path, &options);
    if (str_eq(scheme, S("memory")) && str_is_empty(path))
        return storage__memory_open(options, ret, err);
    if (str_eq(scheme, S("sqlite")) && !str_is_empty(path))
        return storage__sqlite_open(path, options, ret, err);
    return error_set(err, ERRC_INVALID, "store \"%.*s\": must be \"memory:\" or \"sqlite:<path>\"", STR_ARG(url));
}

int storage_file_of(struct arena *a, str url, const char **ret_path, struct error *err)
{
    str scheme;
    str rest;
    str path;
    str options;
    (void)str_cut(url, ':', &scheme, &rest);
    (void)str_cut(rest, '?', &path, &options);
    if (!str_eq(scheme, S("sqlite")) || str_is_empty(path))
        return error_set(err, ERRC_UNSUPPORTED, "store \"%.*s\" is not in a file: only \"sqlite:<path>\" is",
                         STR_ARG(url));
    *ret_path = arena_z(a, path);
    return 0;
}

void storage_close(struct storage *s)
{
    if (s)
        s->ops->close(s);
}
