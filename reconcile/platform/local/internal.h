/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the local platform. */
#ifndef RECONCILE_PLATFORM_LOCAL_INTERNAL_H
#define RECONCILE_PLATFORM_LOCAL_INTERNAL_H

#include <sys/types.h>

#include "base/arena.h"
#include "reconcile/platform.h"

struct local {
    struct arena *arena; /* the texts below */
    str data_dir, agent_program, launcher;
    uint32_t range_first; /* host order */
    uint32_t range_count;
    bool has_user; /* started as root: drop to uid/gid */
    uid_t uid;
    gid_t gid;
};

/* "<data_dir>/instances/<namespace>/<cluster>.<uid>/<name>", NUL-terminated; without a name: the cluster's folder. */
char *local__folder(const struct local *l, struct arena *a, const struct platform_instance *instance);
/* Creates a folder (one level) with mode, owned by the user that instances run as. */
int local__make_folder(const struct local *l, const char *path, mode_t mode, struct error *err) MUST_USE;

int local__place(void *self, struct arena *a, const struct platform_instance *instance, const struct placement *taken,
                 size_t taken_count, struct placement *ret, struct error *err) MUST_USE;
int local__launch(void *self, const struct platform_instance *instance, const struct platform_identity *identity,
                  struct error *err) MUST_USE;
int local__state(void *self, const struct platform_instance *instance, enum platform_state *ret, struct error *err)
    MUST_USE;
int local__remove(void *self, const struct platform_instance *instance, bool remove_data, struct error *err) MUST_USE;

#endif
