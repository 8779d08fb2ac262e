/* SPDX-License-Identifier: Apache-2.0 */
/* Files and folders as wholes. Each descriptor is close-on-exec: children must not inherit any. */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/strbuf.h"

#define TREE_DEPTH_MAX 128
/* Passes over a folder that somebody else still writes to, before it is an error. */
#define EMPTY_TRIES 3

void fs_closep(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* Up to max + 1 bytes, so that a longer file shows. */
static int read_to_end(int fd, struct strbuf *b)
{
    for (;;) {
        size_t room = b->max - b->len < 65536 ? b->max - b->len : 65536;
        if (room == 0)
            return 0;
        char *to = strbuf_reserve(b, room);
        ssize_t n = read(fd, to, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : 0;
        strbuf_grow(b, (size_t)n);
    }
}

int fs_read(struct arena *a, const char *path, size_t max, str *ret_data, struct error *err)
{
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_set_sys(err, errno, "opening \"%s\"", path);
    STRBUF_AUTO data = STRBUF_INIT(max < SIZE_MAX ? max + 1 : max);
    int sys = read_to_end(fd, &data);
    if (sys != 0)
        return error_set_sys(err, sys, "reading \"%s\"", path);
    if (data.len > max)
        return error_set(err, ERRC_TOO_LARGE, "file \"%s\" is longer than %zu bytes", path, max);
    *ret_data = strbuf_to_arena(&data, a);
    return 0;
}

int fs_write_all(int fd, str data, struct error *err)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.ptr, data.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_sys(err, errno, "writing %zu bytes", data.len);
        data = str_from_offset(data, (size_t)n);
    }
    return 0;
}

static int fill_file(int fd, str data, mode_t mode, struct error *err)
{
    /* mkostemp makes 0600: the mode widens before the name is visible, and the umask has no say. */
    if (fchmod(fd, mode) != 0)
        return error_set_sys(err, errno, "setting the mode");
    int r = fs_write_all(fd, data, err);
    if (r != 0)
        return r;
    if (fsync(fd) != 0)
        return error_set_sys(err, errno, "syncing");
    return 0;
}

static int sync_parent(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return fs_sync_dir(".", err);
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
    return fs_sync_dir(folder, err);
}

int fs_write_atomic(const char *path, str data, mode_t mode, struct error *err)
{
    char temporary[PATH_MAX];
    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.tmp.XXXXXX", path) >= sizeof(temporary))
        return error_set_sys(err, ENAMETOOLONG, "writing \"%s\"", path);
    FD_AUTO fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return error_set_sys(err, errno, "writing \"%s\"", path);
    int r = fill_file(fd, data, mode, err);
    if (r == 0 && rename(temporary, path) != 0)
        r = error_set_sys(err, errno, "renaming");
    if (r != 0) {
        (void)unlink(temporary);
        return error_wrap(err, r, "writing \"%s\"", path);
    }
    return sync_parent(path, err);
}

static int make_dir(const char *path, mode_t mode, struct error *err)
{
    struct stat st;
    if (mkdir(path, mode) == 0)
        return 0;
    int sys = errno;
    if (sys == EEXIST && stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return 0;
        sys = ENOTDIR;
    }
    return error_set_sys(err, sys, "making folder \"%s\"", path);
}

int fs_mkdir_all(const char *path, mode_t mode, struct error *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof(part))
        return error_set_sys(err, ENAMETOOLONG, "making folder \"%s\"", path);
    memcpy(part, path, len + 1);
    for (char *slash = strchr(part + (part[0] == '/'), '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int r = make_dir(part, mode, err);
        *slash = '/';
        if (r != 0)
            return r;
    }
    return make_dir(part, mode, err);
}

static int remove_at(int parent, const char *name, int depth);

static void close_dirp(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

/* An errno, or 0. */
static int empty_dir(int parent, const char *name, int depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : errno;
    CLEANUP(close_dirp) DIR *dir = fdopendir(fd);
    if (!dir) {
        int sys = errno;
        (void)close(fd);
        return sys;
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry)
            return errno;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int sys = remove_at(dirfd(dir), entry->d_name, depth + 1);
        if (sys != 0)
            return sys;
    }
}

static int remove_at(int parent, const char *name, int depth)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    /* Linux says EISDIR for a folder; EPERM is what POSIX asks for. */
    if (errno != EISDIR && errno != EPERM)
        return errno;
    if (depth >= TREE_DEPTH_MAX)
        return ELOOP;
    int sys = 0;
    for (int i = 0; i < EMPTY_TRIES; i++) {
        sys = empty_dir(parent, name, depth);
        if (sys != 0)
            return sys;
        if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return 0;
        sys = errno;
        if (sys != ENOTEMPTY && sys != EEXIST)
            break;
    }
    return sys;
}

int fs_remove_all(const char *path, struct error *err)
{
    int sys = remove_at(AT_FDCWD, path, 0);
    return sys == 0 ? 0 : error_set_sys(err, sys, "removing \"%s\"", path);
}

bool fs_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

int fs_sync_dir(const char *path, struct error *err)
{
    FD_AUTO fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_sys(err, errno, "opening folder \"%s\"", path);
    if (fsync(fd) != 0)
        return error_set_sys(err, errno, "syncing folder \"%s\"", path);
    return 0;
}
