/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files, descriptors that close themselves, folders. Blocking: never on a loop thread. */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/str.h"

struct arena;

/* Closes *fd when it is >= 0 and sets it to -1. */
void fs_closep(int *fd);
#define FD_AUTO CLEANUP(fs_closep) int

/* ERRC_NOT_FOUND when absent, ERRC_TOO_LARGE above max bytes. */
int fs_read(struct arena *a, const char *path, size_t max, str *ret_data, struct error *err) MUST_USE;

/*
 * Replaces the file atomically and durably: temporary file in the same folder, write, fsync, rename,
 * fsync of the folder. After a crash either the old or the new content is there.
 */
int fs_write_atomic(const char *path, str data, mode_t mode, struct error *err) MUST_USE;

/* Creates the folder and its parents; an existing folder is success and keeps its mode. */
int fs_mkdir_all(const char *path, mode_t mode, struct error *err) MUST_USE;
/* Removes a file or a whole tree without following symbolic links; absent is success. */
int fs_remove_all(const char *path, struct error *err) MUST_USE;
bool fs_exists(const char *path);
/* fsync of a folder, so that a rename or unlink in it survives a power cut. */
int fs_sync_dir(const char *path, struct error *err) MUST_USE;
/* Writes all of it, through EINTR and short writes. */
int fs_write_all(int fd, str data, struct error *err) MUST_USE;

#endif
