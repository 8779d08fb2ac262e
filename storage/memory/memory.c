/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference driver: the contract of storage.h in its plainest form, for tests and for whoever writes another
 * driver. Keys stand in a sorted array; each has a chain of versions, newest first; a log of versions by revision
 * answers what changed. Nothing outlives the process.
 */
#include "storage/driver.h"

#include <pthread.h>
#include <string.h>

#include "base/blob.h"
#include "base/mem.h"
#include "base/rand.h"

struct entry;

/* What one write left behind. Owned by the chain of its entry. */
struct version {
    struct version *previous; /* of the same key; NULL: there was none, or it was compacted */
    struct entry *entry;
    rv revision;
    rv create_revision;
    bool is_delete;
    struct blob *value; /* NULL when is_delete */
};

struct entry {
    struct blob *key;
    struct version *newest; /* never NULL */
};

struct memory {
    struct storage super;
    pthread_rwlock_t lock;  /* protects all below; nothing else is locked while it is held */
    struct entry **entries; /* sorted by key */
    size_t entry_count, entry_cap;
    struct version **log; /* log[i] is the version of revision oldest + 1 + i */
    size_t log_count, log_cap;
    rv revision; /* newest */
    rv oldest;   /* history reaches back to here */
    char id[37];
};

/* ---- entries and versions ------------------------------------------------------------------------------------- */

/* Where key stands, or where it would have to be inserted. */
static size_t position_of(const struct memory *m, str key)
{
    size_t low = 0;
    size_t high = m->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_cmp(blob_str(m->entries[middle]->key), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct entry *find(const struct memory *m, str key)
{
    size_t i = position_of(m, key);
    bool is_there = i < m->entry_count && str_eq(blob_str(m->entries[i]->key), key);
    return is_there ? m->entries[i] : NULL;
}

static struct entry *find_or_add(struct memory *m, str key)
{
    struct entry *e = find(m, key);
    if (e)
        return e;
    if (m->entry_count == m->entry_cap) {
        m->entry_cap = m->entry_cap > 0 ? m->entry_cap * 2 : 64;
        m->entries = mem_realloc(m->entries, m->entry_cap * sizeof(*m->entries));
    }
    size_t i = position_of(m, key);
    memmove(m->entries + i + 1, m->entries + i, (m->entry_count - i) * sizeof(*m->entries));
    e = mem_new_of(struct entry);
    e->key = blob_new(key);
    m->entries[i] = e;
    m->entry_count++;
    return e;
}

static void free_versions(struct version *v)
{
    while (v) {
        struct version *previous = v->previous;
        (void)blob_unref(v->value);
        mem_free(v);
        v = previous;
    }
}

static void free_entry(struct entry *e)
{
    free_versions(e->newest);
    (void)blob_unref(e->key);
    mem_free(e);
}

/* The version that a reader at `at` (0: newest) sees, or NULL when the key did not exist then. */
static const struct version *visible(const struct entry *e, rv at)
{
    const struct version *v = e ? e->newest : NULL;
    while (v && at != 0 && v->revision > at)
        v = v->previous;
    return v && !v->is_delete ? v : NULL;
}

static struct storage_row row_of(const struct version *v)
{
    return (struct storage_row) {
        .key = blob_str(v->entry->key),
        .value = blob_str(v->value),
        .create_revision = v->create_revision,
        .mod_revision = v->revision,
    };
}

/* ---- the contract ---------------------------------------------------------------------------------------------- */

static void add_version(struct memory *m, struct storage_write *w, const struct version *current)
{
    struct entry *e = find_or_add(m, w->key);
    struct version *v = mem_new_of(struct version);
    *v = (struct version) {
        .previous = e->newest,
        .entry = e,
        .revision = ++m->revision,
        .create_revision = current ? current->create_revision : m->revision,
        .is_delete = w->kind == STORAGE_DELETE,
        .value = w->kind == STORAGE_PUT ? blob_new(w->value) : NULL,
    };
    e->newest = v;
    if (m->log_count == m->log_cap) {
        m->log_cap = m->log_cap > 0 ? m->log_cap * 2 : 64;
        m->log = mem_realloc(m->log, m->log_cap * sizeof(struct version *));
    }
    m->log[m->log_count++] = v;
    w->new_revision = v->revision;
}

static int apply(struct memory *m, struct storage_write *w)
{
    const struct version *current = visible(find(m, w->key), 0);
    int r = storage__check_write(w, &w->error);
    if (r == 0)
        r = storage__check_expectation(w, current ? current->revision : 0, &w->error);
    if (r == 0)
        add_version(m, w, current);
    return r;
}

static int memory_write(struct storage *s, struct storage_write *writes, size_t count, struct error *err UNUSED)
{
    struct memory *m = (struct memory *)s;
    (void)pthread_rwlock_wrlock(&m->lock);
    for (size_t i = 0; i < count; i++)
        writes[i].result = apply(m, &writes[i]);
    (void)pthread_rwlock_unlock(&m->lock);
    return 0;
}

static int get_locked(struct memory *m, struct arena *a, str key, rv at, struct storage_row *ret, struct error *err)
{
    int r = at != 0 ? storage__check_revision(at, m->oldest, m->revision, err) : 0;
    if (r != 0)
        return r;
    const struct version *v = visible(find(m, key), at);
    if (!v)
        return storage__not_found(key, err);
    *ret = row_of(v);
    ret->key = arena_str(a, ret->key);
    ret->value = arena_str(a, ret->value);
    return 0;
}

static int memory_get(struct storage *s, struct arena *a, str key, rv at, struct storage_row *ret, struct error *err)
{
    struct memory *m = (struct memory *)s;
    (void)pthread_rwlock_rdlock(&m->lock);
    int r = get_locked(m, a, key, at, ret, err);
    (void)pthread_rwlock_unlock(&m->lock);
    return r;
}

static int list_range(struct memory *m, struct storage__rows *rows, struct storage__range range, size_t limit,
                      struct storage_list_result *ret, struct error *err)
{
    for (size_t i = position_of(m, range.from); i < m->entry_count; i++) {
        if (!str_is_empty(range.end) && str_cmp(blob_str(m->entries[i]->key), range.end) >= 0)
            break;
        const struct version *v = visible(m->entries[i], ret->revision);
        if (!v)
            continue;
        if (limit > 0 && rows->count == limit) {
            ret->remaining++;
            continue;
        }
        struct storage_row row = row_of(v);
        int r = storage__rows_add(rows, &row, err);
        if (r != 0)
            return r;
    }
    ret->has_more = ret->remaining > 0;
    ret->rows = rows->items;
    ret->count = rows->count;
    return 0;
}

static int memory_list(struct storage *s, struct arena *a, str prefix, str start_after, size_t limit, rv at,
                       struct storage_list_result *ret, struct error *err)
{
    struct memory *m = (struct memory *)s;
    struct storage__rows rows = { .arena = a };
    struct storage__range range = storage__range_of(a, prefix, start_after);
    (void)pthread_rwlock_rdlock(&m->lock);
    *ret = (struct storage_list_result) { .revision = at != 0 ? at : m->revision };
    int r = storage__check_revision(ret->revision, m->oldest, m->revision, err);
    if (r == 0)
        r = list_range(m, &rows, range, limit, ret, err);
    (void)pthread_rwlock_unlock(&m->lock);
    return r;
}

static struct storage_event event_of(struct arena *a, const struct version *v)
{
    struct storage_event e = {
        .revision = v->revision,
        .is_delete = v->is_delete,
        .is_create = v->create_revision == v->revision,
        .key = arena_str(a, blob_str(v->entry->key)),
    };
    if (!e.is_create) {
        e.old_value = arena_str(a, blob_str(v->previous->value));
        e.old_revision = v->previous->revision;
    }
    e.value = v->is_delete ? e.old_value : arena_str(a, blob_str(v->value));
    return e;
}

static int memory_changes(struct storage *s, struct arena *a, rv after, size_t limit, struct storage_event **ret_events,
                          size_t *ret_count, struct error *err)
{
    struct memory *m = (struct memory *)s;
    (void)pthread_rwlock_rdlock(&m->lock);
    int r = storage__check_revision(after, m->oldest, m->revision, err);
    if (r == 0) {
        size_t count = m->revision - after;
        if (count > limit)
            count = limit;
        *ret_events = arena_array_of(a, struct storage_event, count);
        *ret_count = count;
        for (size_t i = 0; i < count; i++)
            (*ret_events)[i] = event_of(a, m->log[after - m->oldest + i]);
    }
    (void)pthread_rwlock_unlock(&m->lock);
    return r;
}

static int memory_revision(struct storage *s, rv *ret_current, rv *ret_oldest, struct error *err UNUSED)
{
    struct memory *m = (struct memory *)s;
    (void)pthread_rwlock_rdlock(&m->lock);
    *ret_current = m->revision;
    *ret_oldest = m->oldest;
    (void)pthread_rwlock_unlock(&m->lock);
    return 0;
}

/* Forgets what no reader at keep_from or later sees. */
static void trim(struct entry *e, rv keep_from)
{
    struct version **at = &e->newest;
    while (*at && (*at)->revision > keep_from)
        at = &(*at)->previous;
    struct version *seen = *at;
    if (!seen)
        return;
    struct version **rest = seen->is_delete ? at : &seen->previous;
    free_versions(*rest);
    *rest = NULL;
}

static void compact_locked(struct memory *m, rv keep_from)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->entry_count; i++) {
        trim(m->entries[i], keep_from);
        if (m->entries[i]->newest)
            m->entries[kept++] = m->entries[i];
        else
            free_entry(m->entries[i]);
    }
    m->entry_count = kept;
    size_t forgotten = keep_from - m->oldest;
    m->log_count -= forgotten;
    memmove(m->log, m->log + forgotten, m->log_count * sizeof(struct version *));
    m->oldest = keep_from;
}

static int memory_compact(struct storage *s, rv keep_from, rv *ret_oldest, struct error *err)
{
    struct memory *m = (struct memory *)s;
    (void)pthread_rwlock_wrlock(&m->lock);
    int r = keep_from > m->oldest ? storage__check_revision(keep_from, m->oldest, m->revision, err) : 0;
    if (r == 0 && keep_from > m->oldest)
        compact_locked(m, keep_from);
    *ret_oldest = m->oldest;
    (void)pthread_rwlock_unlock(&m->lock);
    return r;
}

static int memory_snapshot(struct storage *s UNUSED, const char *path UNUSED, struct error *err)
{
    return error_set(err, ERRC_UNSUPPORTED, "a store in memory cannot be copied to a file");
}

static int memory_identity(struct storage *s, struct arena *a, str *ret_id, uint64_t *ret_restored,
                           struct error *err UNUSED)
{
    struct memory *m = (struct memory *)s;
    *ret_id = arena_str(a, str_from(m->id));
    *ret_restored = 0;
    return 0;
}

static int memory_health(struct storage *s UNUSED, struct error *err UNUSED)
{
    return 0;
}

static void memory_close(struct storage *s)
{
    struct memory *m = (struct memory *)s;
    for (size_t i = 0; i < m->entry_count; i++)
        free_entry(m->entries[i]);
    (void)pthread_rwlock_destroy(&m->lock);
    mem_free(m->entries);
    mem_free(m->log);
    mem_free(m);
}

static const struct storage_ops memory_ops = {
    .name = "memory",
    .is_durable = false,
    .write = memory_write,
    .get = memory_get,
    .list = memory_list,
    .changes = memory_changes,
    .revision = memory_revision,
    .compact = memory_compact,
    .snapshot = memory_snapshot,
    .identity = memory_identity,
    .health = memory_health,
    .close = memory_close,
};

int storage__memory_open(str options, struct storage **ret, struct error *err)
{
    uint64_t first = 0;
    int r = storage__option_u64(options, S("first"), STORAGE_FIRST_REVISION + 1, &first, err);
    if (r != 0)
        return r;
    if (first <= STORAGE_FIRST_REVISION)
        return error_set(err, ERRC_INVALID, "store option \"first\": must be 2 or more");
    struct memory *m = mem_new_of(struct memory);
    m->super.ops = &memory_ops;
    m->revision = m->oldest = first - 1;
    (void)pthread_rwlock_init(&m->lock, NULL);
    rand_uuid(m->id);
    *ret = &m->super;
    return 0;
}
