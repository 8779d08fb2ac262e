/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all drivers do alike, so that they answer alike: checks of writes and revisions with their error texts, ranges
 * of keys, and growing results. Knows no driver.
 */
#ifndef STORAGE_DRIVER_H
#define STORAGE_DRIVER_H

#include "storage/storage.h"

/* The revision of a new store; its first write gets the next one. */
#define STORAGE_FIRST_REVISION 1

int storage__memory_open(str options, struct storage **ret, struct error *err) MUST_USE;
int storage__sqlite_open(str path, str options, struct storage **ret, struct error *err) MUST_USE;
/* The value of `name` in "a=1&b=2"; missing gives the fallback, anything else than a number or name ERRC_INVALID. */
int storage__option_u64(str options, str name, uint64_t fallback, uint64_t *ret, struct error *err) MUST_USE;

/* Whether the write is well-formed: ERRC_INVALID, ERRC_TOO_LARGE. */
int storage__check_write(const struct storage_write *w, struct error *err) MUST_USE;
/* Whether what it expects holds: revision is that of the key's last write, 0 when the key does not exist. */
int storage__check_expectation(const struct storage_write *w, rv revision, struct error *err) MUST_USE;
/* Whether history reaches `at`: ERRC_TOO_OLD, ERRC_INVALID (future). */
int storage__check_revision(rv at, rv oldest, rv current, struct error *err) MUST_USE;
int storage__not_found(str key, struct error *err);

/*
 * The keys of a list as a half-open range: from ≤ key < end; empty end: no upper bound.
 */
struct storage__range {
    str from, end;
};
struct storage__range storage__range_of(struct arena *a, str prefix, str start_after);

/* Rows of a list, growing in the arena. */
struct storage__rows {
    struct arena *arena;
    struct storage_row *items;
    size_t count, cap;
    size_t bytes;
};
/* Copies key and value into the arena. ERRC_TOO_LARGE above LIMIT_LIST_BYTES. */
int storage__rows_add(struct storage__rows *rows, const struct storage_row *row, struct error *err) MUST_USE;

#endif
