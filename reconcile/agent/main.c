/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres-agent: detaching, locks, threads, signals. The main thread is the process 1 of its container: it
 * reaps what is orphaned to it. Children of other threads are theirs to wait for, so it looks at its own only.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "agent/bootstrap.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "options.h"
#include "json/json_parse.h"

#define COMMANDS_MAX 64
#define TASK_THREADS 4
#define TASKS_MAX 8
#define CONFIG_MAX_BYTES (4u << 20)

/* ---- detaching ------------------------------------------------------------------------------------------------- */

/* The caller's process: waits for "ok" or a reason from the detached one. */
static NORETURN void wait_for_child(int fd)
{
    char text[512];
    size_t len = 0;
    ssize_t n;
    while (len < sizeof(text) && ((n = read(fd, text + len, sizeof(text) - len)) > 0 || (n < 0 && errno == EINTR)))
        len += n > 0 ? (size_t)n : 0;
    if (len == 2 && memcmp(text, "ok", 2) == 0)
        _exit(0);
    (void)fprintf(stderr, "postgres-agent: %.*s\n", len > 0 ? (int)len : 20, len > 0 ? text : "ended while starting");
    _exit(1);
}

/* Own session, no child of the caller. Returns in the detached process only; the descriptor takes the verdict. */
static int detach(void)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid > 0) {
        (void)close(fds[1]);
        wait_for_child(fds[0]);
    }
    (void)close(fds[0]);
    (void)setsid();
    pid = fork();
    if (pid != 0)
        _exit(pid < 0 ? 1 : 0);
    return fds[1];
}

static void redirect_output(const char *log_path)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)dup2(null_fd, 0);
    (void)dup2(log >= 0 ? log : null_fd, 1);
    (void)dup2(log >= 0 ? log : null_fd, 2);
    fs_closep(&null_fd);
    fs_closep(&log);
}

/* ---- set-up ---------------------------------------------------------------------------------------------------- */

/* One agent a folder: the pid file is locked, and inherited by nobody but a child that is about to run its program. */
static int take_pid_file(struct agent *ag, struct error *err)
{
    ag->pid_file_fd = open(ag->path.pid_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (ag->pid_file_fd < 0)
        return error_set_sys(err, errno, "opening \"%s\"", ag->path.pid_file);
    if (!lock_take_soon(ag->pid_file_fd))
        return error_set(err, ERRC_CONFLICT, "another agent runs in \"%s\"", ag->path.dir);
    char text[32];
    (void)snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(ag->pid_file_fd, 0) != 0)
        return error_set_sys(err, errno, "writing \"%s\"", ag->path.pid_file);
    return fs_write_all(ag->pid_file_fd, str_from(text), err);
}

static int take_locks(struct agent *ag, struct error *err)
{
    int r = take_pid_file(ag, err);
    if (r != 0)
        return r;
    ag->lock_fd = open(ag->path.lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (ag->lock_fd < 0)
        return error_set_sys(err, errno, "opening \"%s\"", ag->path.lock);
    return postgres_take_lock(ag, err);
}

static int load_config(struct agent *ag, struct error *err)
{
    struct arena *a = arena_new();
    const struct json *v = NULL;
    str text;
    int r = fs_read(a, ag->path.config, CONFIG_MAX_BYTES, &text, err);
    if (r == 0)
        r = json_parse(a, text, NULL, &v, err);
    if (r == 0)
        r = agent_config_from_json(a, v, &ag->config, err);
    if (r != 0) {
        arena_free(a);
        return r == ERRC_NOT_FOUND ? 0 : error_wrap(err, r, "\"%s\"", ag->path.config);
    }
    ag->config_arena = a;
    ag->has_config = true;
    atomic_store(&ag->port, ag->config.port);
    return 0;
}

/* The state, with this incarnation in it before anybody hears of it. */
static int load_state(struct agent *ag, struct error *err)
{
    bool found;
    int r = state_read(ag, &ag->durable, &found, err);
    if (r != 0)
        return r;
    memcpy(ag->previous_incarnation, ag->durable.incarnation, sizeof(ag->previous_incarnation));
    /* Data whose promises are lost counts for nothing until it was copied anew (rule 47). */
    if (!found && fs_exists(ag->path.pgdata))
        ag->durable.usable = false;
    /* The configuration is written first: between the two writes its term is the higher one. */
    if (ag->has_config && ag->config.term > ag->durable.term) {
        ag->durable.term = ag->config.term;
        ag->durable.granted = false;
        ag->durable.granted_timeline = 0;
    }
    char uuid[37];
    rand_uuid(uuid);
    memcpy(ag->incarnation, uuid, sizeof(uuid));
    return state_write(ag, &ag->durable, err);
}

static int set_up(struct agent *ag, struct error *err)
{
    int r = take_locks(ag, err);
    if (r == 0)
        r = load_config(ag, err);
    if (r == 0)
        r = load_state(ag, err);
    if (r != 0)
        return r;
    (void)control_refresh(ag, NULL); /* whoever needs it tries again */
    ag->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ag->probe_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ag->commands = queue_new(COMMANDS_MAX);
    ag->tasks = pool_new("task", TASK_THREADS, TASKS_MAX, err);
    if (ag->wake_fd < 0 || ag->probe_fd < 0 || !ag->tasks)
        return error_set(err, ERRC_UNAVAILABLE, "no threads or descriptors");
    list_init(&ag->streams);
    board_say(ag, AGENT_STARTING, "%s", "");
    return agent_http_start(ag, err);
}

static struct agent *agent_new(void)
{
    struct agent *ag = mem_new_of(struct agent);
    ag->arena = arena_new();
    (void)pthread_mutex_init(&ag->lock, NULL);
    (void)pthread_mutex_init(&ag->pgbackrest_lock, NULL);
    ag->pm.pid_fd = ag->lock_fd = ag->pid_file_fd = ag->wake_fd = ag->probe_fd = -1;
    return ag;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static void reap_orphans(void)
{
    while (waitpid(-1, NULL, WNOHANG | __WNOTHREAD) > 0)
        continue;
}

static void order_shutdown(struct agent *ag)
{
    struct command *c = mem_new_of(struct command);
    c->is_shutdown = true;
    if (!queue_push(ag->commands, c))
        mem_free(c); /* full: the sender of the signal has to repeat it */
    agent_wake(ag);
}

/* Until the worker has ended: it writes into `ended`. */
static void serve_signals(struct agent *ag, int signals, int ended)
{
    struct pollfd fds[] = { { .fd = signals, .events = POLLIN }, { .fd = ended, .events = POLLIN } };
    while (fds[1].revents == 0) {
        (void)poll(fds, ARRAY_LEN(fds), -1);
        struct signalfd_siginfo info;
        while (fds[0].revents && read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
            if (info.ssi_signo != SIGCHLD)
                order_shutdown(ag);
        reap_orphans();
    }
}

struct worker {
    struct agent *ag;
    int ended;
};

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    (void)supervisor_main(w->ag);
    uint64_t one = 1;
    (void)!write(w->ended, &one, sizeof(one));
    return NULL;
}

static int live(struct agent *ag, int signals, struct error *err)
{
    pthread_t worker, prober;
    struct worker w = { .ag = ag, .ended = eventfd(0, EFD_CLOEXEC) };
    int r = thread_start(&prober, "probes", probes_main, ag, err);
    if (r == 0)
        r = thread_start(&worker, "worker", run_worker, &w, err);
    if (r != 0)
        return r;
    serve_signals(ag, signals, w.ended);
    (void)pthread_join(worker, NULL);
    atomic_store(&ag->is_ending, true);
    agent_probe_now(ag);
    (void)pthread_join(prober, NULL);
    struct http_server *server = atomic_load(&ag->server);
    http_server_drain(server);
    /* Answers under way get their moment; then it ends. */
    int64_t deadline_ns = deadline_in_ms(500);
    while (http_server_active_requests(server) > 0 && !deadline_has_passed(deadline_ns))
        (void)poll(NULL, 0, 5);
    atomic_store(&ag->server, NULL);
    http_server_free(server);
    return 0;
}

static int block_signals(void)
{
    sigset_t set;
    /* Ignored by whoever started us, it would be so here too, and no child could ever be waited for. */
    const struct sigaction standard = { .sa_handler = SIG_DFL };
    (void)sigaction(SIGCHLD, &standard, NULL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGQUIT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGPIPE);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)sigdelset(&set, SIGHUP);
    (void)sigdelset(&set, SIGPIPE);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run(const char *dir, bool foreground)
{
    struct error err = { 0 };
    struct agent *ag = agent_new();
    int verdict = foreground ? -1 : detach();
    int signals = block_signals();
    (void)umask(077);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    int r = geteuid() == 0 ? error_set(&err, ERRC_DENIED, "PostgreSQL does not run as root: start it as another user")
                           : bootstrap_read(ag, dir, &err);
    if (r == 0 && !foreground)
        redirect_output(ag->path.agent_log);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    if (r == 0)
        r = set_up(ag, &err);
    if (r != 0) {
        log_error("not started", LOG_ERROR(&err));
        if (verdict >= 0)
            (void)!write(verdict, err.text, strlen(err.text));
        return 1;
    }
    if (verdict >= 0)
        (void)!write(verdict, "ok", 2);
    fs_closep(&verdict);
    log_info("ready", LOG_STR("instance", ag->boot.instance), LOG_STR("host", ag->boot.host),
             LOG_INT("port", http_server_port(atomic_load(&ag->server))), LOG_Z("incarnation", ag->incarnation));
    r = live(ag, signals, &err);
    if (r != 0)
        log_error("ended", LOG_ERROR(&err));
    (void)unlink(ag->path.pid_file);
    /* Tasks that still run (a backup whose server is gone) are not waited for: their processes end by themselves. */
    return r == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    (void)argc;
    struct arena *a = arena_new();
    struct agent_options options;
    agent_options_parse(a, argv, &options);
    /* Not exit(): a task thread may be in the middle of something. */
    int code = run(options.data_dir, options.is_foreground);
    (void)fflush(NULL);
    arena_free(a);
    _exit(code);
}
