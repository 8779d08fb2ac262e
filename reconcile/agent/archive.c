/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of WAL: the stanza that it is archived into, segments that a stopped primary left, and why the archiver
 * does not get on.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "pgbackrest.h"

#define STANZA_MS 120000
#define STANZA_RETRY_MS 5000
#define PUSH_MS 600000
#define WAKE_MS 3000
#define LEFTOVERS_MAX 64
#define WORDS_BYTES 16384

struct task {
    struct agent *ag;
    char stanza[256];
};

static struct task *task_new(struct agent *ag)
{
    struct task *t = mem_new_of(struct task);
    t->ag = ag;
    backrest_stanza(ag, t->stanza, sizeof(t->stanza));
    return t;
}

/* It has failed until now, and would try again in a minute; a reload wakes it. */
static void wake_archiver(struct agent *ag)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    CLEANUP(pg_closep) struct pg *c = NULL;
    struct error err;
    int64_t deadline_ns = deadline_in_ms(WAKE_MS);
    int r = pg_connect_local(ag, "postgres", deadline_ns, &c, &err);
    if (r == 0)
        r = pg_query(c, a, "SELECT pg_reload_conf()", NULL, deadline_ns, NULL, &err);
    if (r != 0)
        log_debug("the archiver is not woken", LOG_ERROR(&err));
}

/* The stanza must exist before WAL can be archived. */
static void run_stanza(void *self)
{
    struct task *t = self;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const char *args[] = { "stanza-create", NULL };
    const struct backrest_call call = { .ag = t->ag, .stanza = t->stanza, .args = args, .ms = STANZA_MS };
    struct error err;
    /* Not beside a backup, which makes the stanza itself: pgBackRest would refuse. */
    bool failed = pthread_mutex_trylock(&t->ag->pgbackrest_lock) != 0;
    if (!failed) {
        failed = backrest_run(a, &call, NULL, &err) != 0;
        pthread_mutex_unlock(&t->ag->pgbackrest_lock);
        if (failed)
            log_error("the repository cannot be prepared", LOG_ERROR(&err));
    }
    if (!failed)
        wake_archiver(t->ag);
    atomic_store(&t->ag->stanza_ns, failed ? deadline_in_ms(STANZA_RETRY_MS) : 0);
    mem_free(t);
}

void backup_retry_repositories(struct agent *ag)
{
    int64_t at_ns = atomic_load(&ag->stanza_ns);
    if (at_ns == 0 || !deadline_has_passed(at_ns))
        return;
    atomic_store(&ag->stanza_ns, deadline_in_ms(STANZA_MS)); /* not again while this one runs */
    backup_prepare_repositories(ag);
}

void backup_prepare_repositories(struct agent *ag)
{
    if (json_count(ag->config.repositories) == 0)
        return;
    struct task *t = task_new(ag);
    if (pool_run(ag->tasks, run_stanza, t))
        return;
    log_warn("the repository is not prepared: busy");
    mem_free(t);
}

/* ---- what a stopped primary left ------------------------------------------------------------------------------ */

/* "000000010000000000000002.ready" and history files; 0: nothing (more) to push. Names are copied into the arena. */
static size_t find_ready(struct agent *ag, struct arena *a, str *ret, size_t max)
{
    DIR *dir = opendir(arena_printf(a, "%s/pg_wal/archive_status", ag->path.pgdata).ptr);
    size_t n = 0;
    if (!dir)
        return 0;
    for (struct dirent *e; n < max && (e = readdir(dir));) {
        str name = str_from(e->d_name);
        if (str_has_suffix(name, S(".ready")))
            ret[n++] = arena_str(a, str_first(name, name.len - strlen(".ready")));
    }
    (void)closedir(dir);
    return n;
}

static int push_one(struct task *t, struct arena *a, str segment, struct error *err)
{
    const char *wal = arena_printf(a, "%s/pg_wal/%.*s", t->ag->path.pgdata, STR_ARG(segment)).ptr;
    const char *args[] = { "archive-push", wal, NULL };
    const struct backrest_call call = { .ag = t->ag, .stanza = t->stanza, .args = args, .ms = PUSH_MS };
    int r = backrest_run(a, &call, NULL, err);
    if (r != 0)
        return r;
    str from = arena_printf(a, "%s/pg_wal/archive_status/%.*s.ready", t->ag->path.pgdata, STR_ARG(segment));
    str to = arena_printf(a, "%s/pg_wal/archive_status/%.*s.done", t->ag->path.pgdata, STR_ARG(segment));
    if (rename(from.ptr, to.ptr) != 0 && errno != ENOENT)
        return error_set_sys(err, errno, "marking %.*s as archived", STR_ARG(segment));
    return 0;
}

static void run_leftovers(void *self)
{
    struct task *t = self;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str names[LEFTOVERS_MAX];
    size_t count = find_ready(t->ag, a, names, ARRAY_LEN(names));
    struct error err;
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = push_one(t, a, names[i], &err);
    if (r != 0)
        log_warn("WAL of the former primary is not archived yet", LOG_ERROR(&err));
    else if (count > 0)
        log_info("WAL of the former primary is archived", LOG_INT("files", count));
    atomic_store(&t->ag->is_pushing, false);
    mem_free(t);
}

void backup_push_leftovers(struct agent *ag)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str one;
    if (json_count(ag->config.repositories) == 0 || atomic_load(&ag->is_pushing) || find_ready(ag, a, &one, 1) == 0)
        return;
    atomic_store(&ag->is_pushing, true);
    struct task *t = task_new(ag);
    if (pool_run(ag->tasks, run_leftovers, t))
        return;
    atomic_store(&ag->is_pushing, false);
    mem_free(t);
}

/* ---- what keeps the archiver --------------------------------------------------------------------------------- */

/* The newest error of pgBackRest in the end of a log; archive commands print there. */
static str newest_error(str text)
{
    str found = S("");
    for (str rest = text, line; str_next_field(&rest, '\n', &line);) {
        ptrdiff_t at = str_find(line, S("ERROR: ["));
        if (at >= 0)
            found = str_trim(str_from_offset(line, (size_t)at + strlen("ERROR: ")));
    }
    return found;
}

void archive_find_words(struct agent *ag)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    char *buffer = arena_alloc(a, WORDS_BYTES);
    pthread_mutex_lock(&ag->lock);
    bool is_failing = ag->board.archive_failing[0] != '\0';
    pthread_mutex_unlock(&ag->lock);
    FD_AUTO fd = is_failing ? open(ag->path.postgres_log, O_RDONLY | O_CLOEXEC) : -1;
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    ssize_t n = fd >= 0 ? pread(fd, buffer, WORDS_BYTES, size > WORDS_BYTES ? size - WORDS_BYTES : 0) : 0;
    str words = newest_error(str_of(buffer, n > 0 ? (size_t)n : 0));
    pthread_mutex_lock(&ag->lock);
    if (words.len > 0 || !is_failing)
        (void)snprintf(ag->board.archive_words, sizeof(ag->board.archive_words), "%.*s", STR_ARG(words));
    pthread_mutex_unlock(&ag->lock);
}
