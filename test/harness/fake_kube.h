/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Kubernetes API in memory behind kube_transport_ops: objects with resourceVersions, conflicts, finalizers, the
 * status subresource, watches with a history that can be cut; and calls that fail or are late as a test says. It
 * validates nothing. Any thread. For tests only.
 */
#ifndef HARNESS_FAKE_KUBE_H
#define HARNESS_FAKE_KUBE_H

#include "kube/client.h"

struct fake_kube;

struct fake_kube *fake_kube_new(void);
/* After every watch was stopped. */
void fake_kube_free(struct fake_kube *k);
struct kube_client *fake_kube_client(struct fake_kube *k);

/* ---- the world changes by another hand ------------------------------------------------------------------------ */

/* Puts the object there as if somebody else had written it (creates or replaces); *text is JSON. Fails the test when it
 * is none. */
void fake_kube_put(struct fake_kube *k, const char *path, const char *text);
void fake_kube_delete(struct fake_kube *k, const char *path);
/* NULL when absent. */
const struct json *fake_kube_get(struct fake_kube *k, struct arena *a, const char *path);
size_t fake_kube_count(struct fake_kube *k, const char *collection_path);
/* Objects of the collection in no order. */
size_t fake_kube_list(struct fake_kube *k, struct arena *a, const char *collection_path, const struct json ***ret);
/* All objects as one text: to look for what must not be there. */
str fake_kube_dump(struct fake_kube *k, struct arena *a);

/* ---- failures ------------------------------------------------------------------------------------------------- */

struct fake_kube_fault {
    const char *method; /* "PUT", "WATCH"; NULL: any */
    const char *path;   /* part of the path; NULL: any */
    int times;          /* so many calls, then it is over; 0: until fake_kube_heal */
    int code;           /* HTTP code of the answer; 0: no answer at all (ERRC_UNAVAILABLE) */
    int delay_ms; /* before anything else; at most until fake_kube_heal or the call's deadline (then ERRC_TIMEOUT) */
    bool is_late; /* the call is carried out, only the answer is lost */
};
void fake_kube_fail(struct fake_kube *k, const struct fake_kube_fault *fault);
void fake_kube_heal(struct fake_kube *k);

/* Ends all watches: cleanly, or with the code (ERRC_TOO_OLD, …). */
void fake_kube_end_watches(struct fake_kube *k, enum err code);
/* Forgets the history: a watch from an older version gets ERRC_TOO_OLD. */
void fake_kube_compact(struct fake_kube *k);
/* Sends a BOOKMARK of the newest version to all watches. */
void fake_kube_bookmark(struct fake_kube *k);

/* ---- what was asked ------------------------------------------------------------------------------------------- */

/* How many calls (watches: "WATCH") there were. Writes that failed by a fault count too. */
size_t fake_kube_calls(struct fake_kube *k, const char *method, const char *path_part);
size_t fake_kube_open_watches(struct fake_kube *k);
uint64_t fake_kube_revision(struct fake_kube *k);

#endif
