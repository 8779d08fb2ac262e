/* SPDX-License-Identifier: Apache-2.0 */
/* Faults at the one border that matters to the store: its driver. */
#include "harness/storage_faulty.h"

#include <pthread.h>

#include "base/mem.h"

struct faulty {
    struct storage super;
    struct storage *inner;
    struct storage_faulty_plan *plan;
};

/* Shared by all plans: held writes are rare, and a woken one looks at its own plan. */
static pthread_mutex_t hold_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_released = PTHREAD_COND_INITIALIZER;

void storage_faulty_release(struct storage_faulty_plan *plan)
{
    (void)pthread_mutex_lock(&hold_mutex);
    atomic_store(&plan->holds_writes, false);
    (void)pthread_cond_broadcast(&is_released);
    (void)pthread_mutex_unlock(&hold_mutex);
}

static void wait_while_held(struct storage_faulty_plan *plan)
{
    (void)pthread_mutex_lock(&hold_mutex);
    while (atomic_load(&plan->holds_writes))
        (void)pthread_cond_wait(&is_released, &hold_mutex);
    (void)pthread_mutex_unlock(&hold_mutex);
}

/* 0, or the planned failure. */
static int next_fault(struct storage_faulty_plan *plan, atomic_int *left, struct error *err)
{
    int n = atomic_load(left);
    if (n == 0)
        return 0;
    if (n > 0)
        (void)atomic_fetch_sub(left, 1);
    enum err code = atomic_load(&plan->fail_code);
    return error_set(err, code != ERRC_OK ? code : ERRC_UNAVAILABLE, "planned fault");
}

static int faulty_write(struct storage *s, struct storage_write *writes, size_t count, struct error *err)
{
    struct faulty *f = (struct faulty *)s;
    wait_while_held(f->plan);
    (void)atomic_fetch_add(count > 0 ? &f->plan->batches : &f->plan->probes, 1);
    if (count > atomic_load(&f->plan->largest_batch))
        atomic_store(&f->plan->largest_batch, count);
    int r = next_fault(f->plan, &f->plan->fail_writes, err);
    return r == 0 ? f->inner->ops->write(f->inner, writes, count, err) : r;
}

static int faulty_get(struct storage *s, struct arena *a, str key, rv at, struct storage_row *ret, struct error *err)
{
    struct faulty *f = (struct faulty *)s;
    int r = next_fault(f->plan, &f->plan->fail_reads, err);
    return r == 0 ? f->inner->ops->get(f->inner, a, key, at, ret, err) : r;
}

static int faulty_list(struct storage *s, struct arena *a, str prefix, str start_after, size_t limit, rv at,
                       struct storage_list_result *ret, struct error *err)
{
    struct faulty *f = (struct faulty *)s;
    int r = next_fault(f->plan, &f->plan->fail_reads, err);
    return r == 0 ? f->inner->ops->list(f->inner, a, prefix, start_after, limit, at, ret, err) : r;
}

static int faulty_changes(struct storage *s, struct arena *a, rv after, size_t limit, struct storage_event **ret_events,
                          size_t *ret_count, struct error *err)
{
    struct faulty *f = (struct faulty *)s;
    int r = next_fault(f->plan, &f->plan->fail_reads, err);
    return r == 0 ? f->inner->ops->changes(f->inner, a, after, limit, ret_events, ret_count, err) : r;
}

static int faulty_revision(struct storage *s, rv *ret_current, rv *ret_oldest, struct error *err)
{
    struct faulty *f = (struct faulty *)s;
    return f->inner->ops->revision(f->inner, ret_current, ret_oldest, err);
}

static int faulty_compact(struct storage *s, rv keep_from, rv *ret_oldest, struct error *err)
{
    struct faulty *f = (struct faulty *)s;
    (void)atomic_fetch_add(&f->plan->compactions, 1);
    int r = next_fault(f->plan, &f->plan->fail_compactions, err);
    return r == 0 ? f->inner->ops->compact(f->inner, keep_from, ret_oldest, err) : r;
}

static int faulty_snapshot(struct storage *s, const char *path, struct error *err)
{
    struct faulty *f = (struct faulty *)s;
    return f->inner->ops->snapshot(f->inner, path, err);
}

static int faulty_identity(struct storage *s, struct arena *a, str *ret_id, uint64_t *ret_restored, struct error *err)
{
    struct faulty *f = (struct faulty *)s;
    return f->inner->ops->identity(f->inner, a, ret_id, ret_restored, err);
}

static int faulty_health(struct storage *s, struct error *err)
{
    struct faulty *f = (struct faulty *)s;
    return f->inner->ops->health(f->inner, err);
}

static void faulty_close(struct storage *s)
{
    struct faulty *f = (struct faulty *)s;
    storage_close(f->inner);
    mem_free(f);
}

static const struct storage_ops faulty_ops = {
    .name = "faulty",
    .is_durable = false,
    .write = faulty_write,
    .get = faulty_get,
    .list = faulty_list,
    .changes = faulty_changes,
    .revision = faulty_revision,
    .compact = faulty_compact,
    .snapshot = faulty_snapshot,
    .identity = faulty_identity,
    .health = faulty_health,
    .close = faulty_close,
};

struct storage *storage_faulty_new(struct storage *inner, struct storage_faulty_plan *plan)
{
    struct faulty *f = mem_new_of(struct faulty);
    f->super.ops = &faulty_ops;
    f->inner = inner;
    f->plan = plan;
    return &f->super;
}
