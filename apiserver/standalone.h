/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First start without Kubernetes: a CA, a serving certificate, an administrator's certificate and kubeconfig under the
 * data folder. Later starts use what is there and renew what is about to end. Blocking; before the server listens.
 */
#ifndef APISERVER_STANDALONE_H
#define APISERVER_STANDALONE_H

#include "base/arena.h"
#include "base/error.h"

struct standalone_files { /* paths, NUL-terminated, in the arena */
    const char *ca_cert, *server_cert, *server_key, *admin_cert, *admin_key, *kubeconfig;
};

/* Creates the data folder (mode 0711: instances of another user pass through it) and the certificates. */
int standalone_prepare(struct arena *a, str data_dir, str bind_address, struct standalone_files *ret, struct error *err)
    MUST_USE;

/* Renews the serving certificate when less than a third of its life is left; *ret_changed says so. */
int standalone_renew(struct arena *a, str data_dir, str bind_address, bool *ret_changed, struct error *err) MUST_USE;

/* Writes admin.kubeconfig for the address that is really served. */
int standalone_write_kubeconfig(struct arena *a, const struct standalone_files *files, str bind_address, uint16_t port,
                                struct error *err) MUST_USE;

#endif
