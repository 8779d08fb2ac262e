/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of a store: a revisioned log of objects. Every write gets the next revision of one counter for all keys;
 * an object's resourceVersion is the revision of its last write. Revisions never go back and are never given twice, not
 * after a crash and not after a restore.
 *
 * Drivers are synchronous and thread-safe; they are called on workers, never on a loop thread. One contract suite
 * (test/contract/) runs on every driver.
 *
 * Keys are "/<group>/<resource>/<namespace>/<name>" ("/<group>/<resource>/<name>" when cluster-scoped), ordered
 * bytewise.
 *
 * A new store is at revision 1 and its first write gets 2: 0 means "none" or "any" to Kubernetes.
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "meta/object.h"

struct storage;

enum storage_write_kind { STORAGE_PUT, STORAGE_DELETE };
enum storage_expect {
    STORAGE_EXPECT_ABSENT,   /* else ERRC_EXISTS */
    STORAGE_EXPECT_REVISION, /* the key's last write has revision `revision`; else ERRC_CONFLICT, absent: ERRC_NOT_FOUND
                              */
};

struct storage_write {
    enum storage_write_kind kind;
    enum storage_expect expect;
    rv revision;
    str key;
    str value; /* STORAGE_PUT: object without resourceVersion; ≤ LIMIT_OBJECT_BYTES */

    /* Of store_write; drivers do not look at them. */
    struct object *object; /* STORAGE_PUT: an object of version 0 instead of the value, which are its bytes then */
    int64_t deadline_ns;   /* CLOCK_MONOTONIC; a write not begun by then is not made: ERRC_TIMEOUT. 0: none */

    /* Filled by the driver. */
    int result; /* 0 or enum err: this write's own; others of the batch are not touched by it */
    rv new_revision;
    struct error error;
};

struct storage_row {
    str key;
    str value;
    rv create_revision;
    rv mod_revision;
};

struct storage_event {
    rv revision;
    bool is_delete;
    bool is_create;
    str key;
    str value;     /* is_delete: the last value */
    str old_value; /* empty when is_create */
    rv old_revision;
};

struct storage_list_result {
    struct storage_row *rows;
    size_t count;
    rv revision;        /* of the snapshot that was read */
    bool has_more;      /* rows behind the last one exist */
    uint64_t remaining; /* how many, when has_more */
};

struct storage_ops {
    const char *name;
    bool is_durable;

    /*
     * Applies a batch in order in one transaction. When it returns 0, each write's `result` says how it went, and every
     * successful one is durable. When it returns an error nothing was written (ERRC_UNAVAILABLE: try later, for
     * example a full disk), except ERRC_INTERNAL with `in_doubt` text — drivers over a network only.
     * count = 0 probes: it makes something small durable, and so says whether writes work again.
     */
    int (*write)(struct storage *s, struct storage_write *writes, size_t count, struct error *err);

    /* ERRC_NOT_FOUND. at = 0: newest. ERRC_TOO_OLD when `at` was compacted; ERRC_INVALID when it lies in the future. */
    int (*get)(struct storage *s, struct arena *a, str key, rv at, struct storage_row *ret, struct error *err);

    /* Keys with `prefix` that sort behind `start_after` (empty: from the first), at most `limit` (0: all). */
    int (*list)(struct storage *s, struct arena *a, str prefix, str start_after, size_t limit, rv at,
                struct storage_list_result *ret, struct error *err);

    /* Events with revision > after, in order, at most limit. ERRC_TOO_OLD when some of them were compacted. */
    int (*changes)(struct storage *s, struct arena *a, rv after, size_t limit, struct storage_event **ret_events,
                   size_t *ret_count, struct error *err);

    /* The newest revision, and the oldest one at which get/list/changes still work. */
    int (*revision)(struct storage *s, rv *ret_current, rv *ret_oldest, struct error *err);

    /*
     * Forgets a piece of the history below `keep_from` (values replaced or deleted before it), small enough to fit
     * between two batches of writes. *ret_oldest is how far it got: call again until it is keep_from. A keep_from that
     * was reached before does nothing; ERRC_INVALID when it lies in the future.
     */
    int (*compact)(struct storage *s, rv keep_from, rv *ret_oldest, struct error *err);

    /* A consistent copy into a new file (ERRC_EXISTS), while writes go on. ERRC_UNSUPPORTED for memory. */
    int (*snapshot)(struct storage *s, const char *path, struct error *err);

    /* Ids for status and safety: of this store, and how often it was restored ("restored" 0: never). */
    int (*identity)(struct storage *s, struct arena *a, str *ret_id, uint64_t *ret_restored, struct error *err);

    /* What the driver found wrong on its own, for example in its integrity check in the background; 0: nothing. */
    int (*health)(struct storage *s, struct error *err);

    void (*close)(struct storage *s);
};

/* First member of every driver's struct. */
struct storage {
    const struct storage_ops *ops;
};

/*
 * "memory:" or "memory:?first=<revision>" (of the first write, >= 2), "sqlite:<path>" or "sqlite:<path>?max_pages=<n>"
 * (the file stops growing there as if the disk were full). Creates what is missing. Refuses, with the text of what to
 * do, a file that is open already (ERRC_UNAVAILABLE), one that is no store or of a newer schema (ERRC_INVALID), and a
 * damaged one (ERRC_INTERNAL).
 */
int storage_open(str url, struct storage **ret, struct error *err) MUST_USE;
/* Closes and frees; NULL is allowed. */
void storage_close(struct storage *s);

#endif
