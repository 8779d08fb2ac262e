/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the PostgreSQL majors of this machine. */
#include "apiserver/environment.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"

#define MAJORS_MAX 64

static int compare_ints(const void *x, const void *y)
{
    int a = *(const int *)x;
    int b = *(const int *)y;
    return (a > b) - (a < b);
}

static void close_dirp(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

void environment_scan(struct arena *a, const char *root, struct environment *ret)
{
    const char *folder = root ? root : "/usr/lib/postgresql";
    int *majors = arena_array_of(a, int, MAJORS_MAX);
    size_t count = 0;
    CLEANUP(close_dirp) DIR *dir = opendir(folder);
    for (struct dirent *d = NULL; dir && count < MAJORS_MAX && (d = readdir(dir));) {
        uint64_t major = 0;
        str path = arena_printf(a, "%s/%s/bin/postgres", folder, d->d_name);
        if (str_to_u64(str_from(d->d_name), &major) && major >= 10 && major < 100 && d->d_name[0] != '0' &&
            access(path.ptr, X_OK) == 0)
            majors[count++] = (int)major;
    }
    qsort(majors, count, sizeof(*majors), compare_ints);
    *ret = (struct environment) { majors, count };
}

bool environment_has_major(const struct environment *e, int major)
{
    for (size_t i = 0; i < e->postgres_major_count; i++)
        if (e->postgres_majors[i] == major)
            return true;
    return false;
}

int environment_newest_major(const struct environment *e)
{
    return e->postgres_major_count ? e->postgres_majors[e->postgres_major_count - 1] : 0;
}
