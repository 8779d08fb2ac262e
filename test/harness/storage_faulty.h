/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver around another one that fails, waits or lies when a test says so. Any thread may change the plan while the
 * store works.
 */
#ifndef TEST_HARNESS_STORAGE_FAULTY_H
#define TEST_HARNESS_STORAGE_FAULTY_H

#include <stdatomic.h>

#include "storage/storage.h"

struct storage_faulty_plan {
    atomic_int fail_writes;      /* so many next batches fail with fail_code; -1: all */
    atomic_int fail_reads;       /* get, list, changes */
    atomic_int fail_compactions; /* … */
    _Atomic enum err fail_code;  /* ERRC_OK: ERRC_UNAVAILABLE */
    atomic_bool holds_writes;    /* a batch waits until this is false */
    atomic_size_t batches;       /* that reached the driver */
    atomic_size_t largest_batch; /* writes */
    atomic_size_t probes;        /* batches without a write */
    atomic_size_t compactions;   /* steps */
};

/* Owns inner; plan must outlive it. */
struct storage *storage_faulty_new(struct storage *inner, struct storage_faulty_plan *plan);
/* Lets the batch that holds_writes stopped, and all others, go. */
void storage_faulty_release(struct storage_faulty_plan *plan);

#endif
