/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps agent.log and postgres.log small. PostgreSQL writes into a descriptor that it inherited and never opens again
 * (a pipe through us would stop it when we hang, and its own collector would be one more process to end), so the file
 * stays: its head is copied to NAME.1 and cut off where it lies. All writers append, so they go on at the new end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#define EVERY_MS 5000
#define GENERATIONS 3
#define COPY_BYTES 65536

static void shift_generations(const char *path)
{
    char from[4096], to[4096];
    for (int n = GENERATIONS; n > 1; n--) {
        (void)snprintf(from, sizeof(from), "%s.%d", path, n - 1);
        (void)snprintf(to, sizeof(to), "%s.%d", path, n);
        (void)rename(from, to); /* not there yet, at first */
    }
}

/* Bytes [*at, end) of the log, or up to its end; *at moves on. */
static int copy_part(int from, int to, off_t *at, off_t end, struct error *err)
{
    char buffer[COPY_BYTES];
    while (*at < end) {
        size_t want = end - *at < (off_t)sizeof(buffer) ? (size_t)(end - *at) : sizeof(buffer);
        ssize_t n = pread(from, buffer, want, *at);
        if (n < 0)
            return error_set_sys(err, errno, "reading a log");
        if (n == 0)
            return 0;
        int r = fs_write_all(to, str_of(buffer, (size_t)n), err);
        if (r != 0)
            return r;
        *at += n;
    }
    return 0;
}

/* Where the file system can take a head away, no line is lost. Else what comes between copy and cut is. */
static int cut_head(int fd, int to, off_t head, off_t *ret_cut, struct error *err)
{
    *ret_cut = head;
    if (fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, head) == 0)
        return 0;
    if (to >= 0)
        (void)copy_part(fd, to, ret_cut, INT64_MAX, NULL); /* a full disk keeps no log from being cut */
    return ftruncate(fd, 0) == 0 ? 0 : error_set_sys(err, errno, "cutting a log");
}

int logs_rotate(const char *path, int64_t max_bytes, int64_t *ret_cut, struct error *err)
{
    struct stat st;
    struct statvfs v;
    *ret_cut = 0;
    FD_AUTO fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_set_sys(err, errno, "opening \"%s\"", path);
    if (fstat(fd, &st) != 0 || fstatvfs(fd, &v) != 0)
        return error_set_sys(err, errno, "looking at \"%s\"", path);
    /* Whole blocks can be taken away, and never all of them. */
    off_t block = v.f_bsize > 0 ? (off_t)v.f_bsize : 4096, head = (st.st_size - 1) / block * block, cut;
    if (st.st_size <= max_bytes || head <= 0)
        return 0;
    shift_generations(path);
    char first[4096];
    (void)snprintf(first, sizeof(first), "%s.1", path);
    FD_AUTO to = open(first, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    off_t most = 2 * max_bytes, at = head > most ? head - most : 0; /* of a flood only the end */
    struct error why;
    if (to >= 0 && copy_part(fd, to, &at, head, &why) != 0)
        log_warn("an old log is not kept whole", LOG_ERROR(&why));
    int r = cut_head(fd, to, head, &cut, err);
    if (r == 0)
        *ret_cut = cut;
    return r;
}

static void rotate_all(void *self)
{
    struct agent *ag = self;
    struct error err;
    int64_t max = ag->boot.log_max_bytes > 0 ? ag->boot.log_max_bytes : AGENT_LOG_MAX_BYTES, cut;
    if (logs_rotate(ag->path.agent_log, max, &cut, &err) != 0)
        log_warn("agent.log is not rotated", LOG_ERROR(&err));
    if (logs_rotate(ag->path.postgres_log, max, &cut, &err) != 0)
        log_warn("postgres.log is not rotated", LOG_ERROR(&err));
    else
        atomic_fetch_add(&ag->log_cut, cut);
    archive_find_words(ag);
    atomic_store(&ag->is_rotating, false);
}

void logs_look(struct agent *ag)
{
    if (!deadline_has_passed(ag->logs_ns) || atomic_exchange(&ag->is_rotating, true))
        return;
    ag->logs_ns = deadline_in_ms(EVERY_MS);
    if (!pool_run(ag->tasks, rotate_all, ag))
        atomic_store(&ag->is_rotating, false); /* busy: the next look tries again */
}
