/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timeline history files: one timeline belongs to one term (rule 28). The end of recovery takes the first number above
 * its own that has no history file, so files with nothing but a comment stand on the numbers to skip.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "agent.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/strbuf.h"

#define HISTORY_MAX_BYTES (1u << 20)
/* Each skipped number costs a file and a fetch by every follower; a gap like this is a mistake. */
#define SKIP_MAX 1000

static const char *history_path(struct agent *ag, struct arena *a, int64_t timeline)
{
    return arena_printf(a, "%s/pg_wal/%08X.history", ag->path.pgdata, (unsigned)timeline).ptr;
}

bool history_is_comment(str text)
{
    for (str rest = text, line; str_next_field(&rest, '\n', &line);) {
        line = str_trim(line);
        if (line.len > 0 && line.ptr[0] != '#')
            return false;
    }
    return true;
}

bool history_fork(str text, int64_t timeline, uint64_t *ret_lsn)
{
    for (str rest = text, line; str_next_field(&rest, '\n', &line);) {
        str number, tail, lsn;
        int64_t n;
        line = str_trim(line);
        (void)str_cut(line, '\t', &number, &tail);
        (void)str_cut(tail, '\t', &lsn, &tail);
        if (str_to_i64(str_trim(number), &n) && n == timeline)
            return lsn_parse(str_trim(lsn), ret_lsn);
    }
    return false;
}

int history_skip(struct agent *ag, int64_t own, int64_t target, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    if (target <= own)
        return error_set(err, ERRC_INVALID, "timeline %lld exists here already, %lld was wanted", (long long)own,
                         (long long)target);
    if (target - own > SKIP_MAX)
        return error_set(err, ERRC_INVALID, "timeline %lld is too far from %lld", (long long)target, (long long)own);
    for (int64_t n = own + 1; n < target; n++) {
        const char *path = history_path(ag, a, n);
        if (fs_exists(path))
            continue;
        int r = fs_write_atomic(path, arena_printf(a, "# skipped: timeline %lld was given out\n", (long long)target),
                                0600, err);
        if (r != 0)
            return r;
    }
    return 0;
}

/* A real file above `own` that has it as an ancestor: the skipped numbers between are needed to find it. */
static bool is_needed(struct agent *ag, struct arena *a, const int64_t *numbers, size_t count, int64_t own)
{
    for (size_t i = 0; i < count; i++) {
        str text;
        uint64_t lsn;
        if (fs_read(a, history_path(ag, a, numbers[i]), HISTORY_MAX_BYTES, &text, NULL) == 0 &&
            history_fork(text, own, &lsn))
            return true;
    }
    return false;
}

int history_prune(struct agent *ag, int64_t own, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    int64_t *numbers = arena_array_of(a, int64_t, SKIP_MAX);
    size_t count = 0;
    DIR *dir = opendir(arena_printf(a, "%s/pg_wal", ag->path.pgdata).ptr);
    if (!dir)
        return error_set_sys(err, errno, "opening pg_wal");
    for (struct dirent *e; count < SKIP_MAX && (e = readdir(dir));) {
        unsigned timeline = 0;
        if (str_has_suffix(str_from(e->d_name), S(".history")) && sscanf(e->d_name, "%8X.", &timeline) == 1 &&
            timeline > own)
            numbers[count++] = timeline;
    }
    (void)closedir(dir);
    if (is_needed(ag, a, numbers, count, own))
        return 0;
    for (size_t i = 0; i < count; i++) {
        const char *path = history_path(ag, a, numbers[i]);
        str text;
        if (fs_read(a, path, HISTORY_MAX_BYTES, &text, NULL) != 0 || !history_is_comment(text))
            continue;
        log_info("removing the file of a skipped timeline", LOG_INT("timeline", numbers[i]));
        if (unlink(path) != 0 && errno != ENOENT)
            return error_set_sys(err, errno, "removing \"%s\"", path);
    }
    return 0;
}

/* "0000000A" + rest: a segment, its history, or the mark of one of them for the archiver. */
static int forget_in(struct agent *ag, struct arena *a, const char *folder, str prefix, struct error *err)
{
    const char *path = arena_printf(a, "%s/%s", ag->path.pgdata, folder).ptr;
    DIR *dir = opendir(path);
    if (!dir)
        return error_set_sys(err, errno, "opening \"%s\"", path);
    int r = 0;
    for (struct dirent *e; r == 0 && (e = readdir(dir));) {
        if (!str_has_prefix(str_from(e->d_name), prefix))
            continue;
        log_info("removing a file of an interrupted promotion", LOG_Z("file", e->d_name));
        if (unlinkat(dirfd(dir), e->d_name, 0) != 0 && errno != ENOENT)
            r = error_set_sys(err, errno, "removing \"%s/%s\"", path, e->d_name);
    }
    (void)closedir(dir);
    return r == 0 ? fs_sync_dir(path, err) : r;
}

int history_forget(struct agent *ag, int64_t timeline, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str prefix = arena_printf(a, "%08X", (unsigned)timeline);
    /* The marks first: one without its file would stop the archiver. */
    int r = forget_in(ag, a, "pg_wal/archive_status", prefix, err);
    return r == 0 ? forget_in(ag, a, "pg_wal", prefix, err) : r;
}
