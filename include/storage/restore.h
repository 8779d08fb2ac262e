/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store files as a whole, for the commands `snapshot` and `restore`. Blocking, any thread, any process: a snapshot may
 * be taken while a server writes.
 */
#ifndef STORAGE_RESTORE_H
#define STORAGE_RESTORE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

/* The file behind a URL of storage_open; ERRC_UNSUPPORTED when there is none. */
int storage_file_of(struct arena *a, str url, const char **ret_path, struct error *err) MUST_USE;

/*
 * A consistent copy of the store at path `from`, durable when this returns, as one plain file that only its owner can
 * read. ERRC_EXISTS when `to` is there already, ERRC_INVALID when `from` is no store.
 */
int storage_snapshot(const char *from, const char *to, struct error *err) MUST_USE;

/*
 * Makes a store at path `to`, which must not exist, from a snapshot, after a full check of it. The new store tells that
 * it was restored (one more than the snapshot in `restored` of its identity), has forgotten its history, and goes on
 * 1,000,000,000 revisions later: what was given out after the snapshot is not given again, and every client that saw
 * such a revision is told to list anew (etcd's `--bump-revision --mark-compacted` does the same, with the same number).
 */
int storage_restore(const char *from, const char *to, struct error *err) MUST_USE;

#endif
