/* SPDX-License-Identifier: Apache-2.0 */
/* postgres-apiserver: the command line, signals, exit codes (0 fine, 1 failed, 2 wrong usage). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "server.h"
#include "storage/restore.h"
#include "storage/storage.h"

/* A list of some thousand objects and the TLS records of it: page faults were half of its cost. */
#define KEPT_BYTES (4 << 20)

/* Blocked before the first thread starts, so that every thread inherits it: signals are taken here only. */
static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void set_up_log(const struct options *o)
{
    static const char *const levels[] = { "error", "warn", "info", "debug" };
    static const char *const formats[] = { "auto", "json", "text" };
    size_t level = LOG_LEVEL_INFO, format = LOG_FORMAT_AUTO;
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (o->log_level && !strcmp(o->log_level, levels[i]))
            level = i;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (o->log_format && !strcmp(o->log_format, formats[i]))
            format = i;
    log_setup((enum log_level)level, (enum log_format)format);
}

/* A second signal while stopping ends the process at once. */
static void end_now(int signal_number)
{
    (void)signal_number;
    _exit(1);
}

static void unblock_for_impatience(const sigset_t *set)
{
    const struct sigaction action = { .sa_handler = end_now };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigset_t only = *set;
    sigdelset(&only, SIGPIPE);
    sigdelset(&only, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
}

static int run_server(const struct options *o)
{
    struct error err;
    if (server_check_options(o, &err) < 0) {
        fprintf(stderr, "postgres-apiserver: %s\nSee \"postgres-apiserver --help\".\n", err.text);
        return 2;
    }
    sigset_t set;
    block_signals(&set);
    struct server *server;
    if (server_start(o, &server, &err) < 0) {
        log_error("server does not start", LOG_ERROR(&err));
        return 1;
    }
    for (;;) {
        const struct timespec second = { .tv_sec = 1 };
        int got = sigtimedwait(&set, NULL, &second);
        if (got == SIGTERM || got == SIGINT)
            break;
        server_tick(server);
    }
    log_info("stopping");
    unblock_for_impatience(&set);
    server_stop(server);
    log_info("stopped");
    return 0;
}

/* NULL: the error says why. */
static const char *store_path(struct arena *a, const struct options *o, struct error *err)
{
    const char *path = arena_printf(a, "%s/store.db", o->data_dir).ptr;
    return o->storage && storage_file_of(a, str_from(o->storage), &path, err) < 0 ? NULL : path;
}

static int complain(const struct error *err)
{
    fprintf(stderr, "postgres-apiserver: %s\n", err->text);
    return 1;
}

static int run_snapshot(struct arena *a, const struct options *o, const char *to)
{
    struct error err;
    const char *path = store_path(a, o, &err);
    if (!path || storage_snapshot(path, to, &err) < 0)
        return complain(&err);
    printf("snapshot of %s written to %s\n", path, to);
    return 0;
}

/* The old store steps aside, it is never overwritten. */
static int set_aside(struct arena *a, const char *path, struct error *err)
{
    str aside = arena_printf(a, "%s.before-restore-%lld", path, (long long)(clock_realtime_ns() / NS_PER_S));
    if (rename(path, aside.ptr) < 0)
        return error_set(err, ERRC_UNAVAILABLE, "moving %s to %s failed", path, aside.ptr);
    static const char *const companions[] = { "-wal", "-shm" };
    for (size_t i = 0; i < ARRAY_LEN(companions); i++)
        (void)rename(arena_printf(a, "%s%s", path, companions[i]).ptr,
                     arena_printf(a, "%.*s%s", STR_ARG(aside), companions[i]).ptr);
    printf("the old store is kept as %.*s\n", STR_ARG(aside));
    return 0;
}

static const char *folder_of(struct arena *a, const char *path)
{
    ptrdiff_t slash = str_rindex(str_from(path), '/');
    return slash < 0 ? "." : arena_z(a, str_of(path, slash > 0 ? (size_t)slash : 1));
}

static int run_restore(struct arena *a, const struct options *o, const char *from)
{
    struct error err;
    const char *path = store_path(a, o, &err);
    if (!path || fs_mkdir_all(folder_of(a, path), 0711, &err) < 0)
        return complain(&err);
    if (fs_exists(path)) {
        if (!o->is_forced) {
            fprintf(stderr, "postgres-apiserver: %s exists: --force replaces it and keeps the old file beside it\n",
                    path);
            return 1;
        }
        struct storage *probe; /* opens only when no server uses it */
        if (storage_open(arena_printf(a, "sqlite:%s", path), &probe, &err) < 0)
            return complain(&err);
        storage_close(probe);
        if (set_aside(a, path, &err) < 0)
            return complain(&err);
    }
    if (storage_restore(from, path, &err) < 0)
        return complain(&err);
    printf("restored %s from %s\n", path, from);
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct options options;
    struct cli_call call;
    options_parse(a, argv, &options, &call);
    set_up_log(&options);
    const char *command = call.command->name;
    if (!command) {
        mem_keep_freed(KEPT_BYTES);
        return run_server(&options);
    }
    if (!strcmp(command, "snapshot"))
        return run_snapshot(a, &options, call.arguments[0]);
    return run_restore(a, &options, call.arguments[0]);
}
