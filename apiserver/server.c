/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the server together. What is made last is ended first; each member that is NULL was not made, so a start that
 * fails half-way ends like a stop.
 */
#include "server.h"

#include <arpa/inet.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "apiserver/inprocess.h"
#include "apiserver/pages.h"
#include "apiserver/resources.h"
#include "apiserver/serve.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/reload.h"
#include "reconcile/manager.h"
#include "standalone.h"

#define RELOAD_EVERY_TICKS 5
#define RENEW_EVERY_TICKS 3600

struct server {
    const struct options *options;
    struct arena *arena;
    struct environment environment;
    struct standalone_files files;
    struct store *store, *live; /* live: virtual kinds, in memory */
    struct resource **resources;
    struct resource_registry registry;
    struct pages *pages;
    struct api *api;
    struct auth *auth;
    struct serve *serve;
    struct http_server *http;
    struct http_reload *reload;
    struct inprocess *inprocess;
    struct platform platform;
    struct manager *manager;
    atomic_bool is_ready, is_stopping;
    uint64_t ticks;
};

/* ---- health -------------------------------------------------------------------------------------------------- */

static bool store_is_ok(void *self)
{
    const struct server *s = self;
    return store_health(s->store, NULL) == 0;
}

static bool is_not_stopping(void *self)
{
    const struct server *s = self;
    return !atomic_load(&s->is_stopping);
}

static bool reconciler_is_ok(void *self)
{
    const struct server *s = self;
    return atomic_load(&s->is_ready) && manager_has_synced(s->manager);
}

/* ---- storage and kinds --------------------------------------------------------------------------------------- */

/* Whoever reads the log must see that time went back here once. */
static int report_restored(struct server *s, struct error *err)
{
    str id;
    uint64_t restored;
    int r = store_identity(s->store, s->arena, &id, &restored, err);
    if (r == 0 && restored > 0)
        log_info("store was restored from a snapshot", LOG_STR("store", id), LOG_INT("times", (int64_t)restored));
    return r;
}

static int open_stores(struct server *s, struct error *err)
{
    const struct options *o = s->options;
    str url = o->storage ? str_from(o->storage) : arena_printf(s->arena, "sqlite:%s/store.db", o->data_dir);
    const struct store_options stored = { .url = url };
    int r = store_open(&stored, &s->store, err);
    if (r == 0)
        r = report_restored(s, err);
    if (r < 0)
        return r;
    /* Live objects are born with the process; their versions start with the time, so that they never go back. */
    const struct store_options live = {
        .url = arena_printf(s->arena, "memory:?first=%lld", (long long)(clock_realtime_ns() / 1000)),
        .compact_keep = 1024,
        .event_window = 1024,
    };
    return store_open(&live, &s->live, err);
}

static int load_kinds(struct server *s, struct error *err)
{
    environment_scan(s->arena, NULL, &s->environment);
    const struct resources_options options = { .environment = &s->environment,
                                               .has_core_kinds = s->options->is_standalone };
    int r = resources_load(s->arena, &options, &s->resources, &s->registry.count, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < s->registry.count; i++)
        s->resources[i]->store = s->resources[i]->is_virtual ? s->live : s->store;
    s->registry.resources = (const struct resource *const *)s->resources;
    return 0;
}

static int make_api(struct server *s, struct error *err)
{
    const struct options *o = s->options;
    const struct health_check checks[] = {
        { .name = "store", .pages = HEALTH_READYZ, .is_ok = store_is_ok, .self = s },
        { .name = "reconciler", .pages = HEALTH_READYZ, .is_ok = reconciler_is_ok, .self = s },
        { .name = "shutdown", .pages = HEALTH_READYZ, .is_ok = is_not_stopping, .self = s },
    };
    const struct pages_options pages = { .registry = &s->registry, .checks = checks, .check_count = ARRAY_LEN(checks) };
    s->pages = pages_new(&pages);
    const struct api_options api = { .registry = &s->registry,
                                     .pages = s->pages,
                                     .max_requests_inflight = (size_t)o->max_requests_inflight,
                                     .max_mutating_requests_inflight = (size_t)o->max_mutating_requests_inflight,
                                     .request_timeout_ms = o->request_timeout_ns / NS_PER_MS,
                                     .min_request_timeout_ms = o->min_request_timeout_ns / NS_PER_MS };
    return api_new(&api, &s->api, err);
}

/* ---- HTTP ---------------------------------------------------------------------------------------------------- */

static int start_http(struct server *s, struct error *err)
{
    const struct options *o = s->options;
    int r = auth_new(o->token_auth_file, &s->auth, err);
    if (r < 0)
        return r;
    const struct serve_options serve = { .api = s->api, .auth = s->auth, .client_ca_mask = o->client_ca_file ? 3 : 1 };
    s->serve = serve_new(&serve);
    const struct http_reload_files files = {
        .certificate = o->tls_cert_file ? o->tls_cert_file : s->files.server_cert,
        .private_key = o->tls_cert_file ? o->tls_private_key_file : s->files.server_key,
        .client_cas = { s->files.ca_cert, o->client_ca_file },
        .client_ca_count = o->client_ca_file ? 2 : 1,
    };
    r = http_reload_new(&files, &s->reload, err);
    if (r < 0)
        return r;
    const struct http_server_options http = { .bind_address = str_from(o->bind_address),
                                              .port = (uint16_t)o->secure_port,
                                              .loops = (size_t)o->http_loops,
                                              .tls = *http_reload_tls(s->reload),
                                              .handler = serve_handle,
                                              .word_refusal = serve_word_refusal,
                                              .self = s->serve };
    r = http_server_start(&http, &s->http, err);
    return r == ERRC_INVALID
               ? error_wrap(err, r, "serving with %s, %s and client CAs %s%s%s", files.certificate, files.private_key,
                            s->files.ca_cert, o->client_ca_file ? ", " : "", o->client_ca_file ? o->client_ca_file : "")
               : r;
}

/* ---- the reconciler ------------------------------------------------------------------------------------------ */

/* postgres-agent stands beside this program unless --agent-program says otherwise. */
static str agent_program(struct server *s)
{
    if (s->options->agent_program)
        return str_from(s->options->agent_program);
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
    str path = str_of(self, n > 0 ? (size_t)n : 0);
    return arena_printf(s->arena, "%.*s/postgres-agent",
                        STR_ARG(str_first(path, (size_t)(str_rindex(path, '/') > 0 ? str_rindex(path, '/') : 0))));
}

static int start_reconciler(struct server *s, struct error *err)
{
    const struct options *o = s->options;
    int r = inprocess_new(s->api, &s->inprocess, err);
    if (r < 0)
        return r;
    const struct manager_options options = { .client = inprocess_client(s->inprocess),
                                             .platform = s->platform,
                                             .workers = (size_t)o->concurrent_cluster_syncs,
                                             .certificate_s = o->cluster_signing_duration_ns / NS_PER_S,
                                             .runs_clusters = options_runs_controller(o, S("clusters")),
                                             .runs_backups = options_runs_controller(o, S("backups")) };
    r = manager_start(&options, &s->manager, err);
    if (r == 0)
        api_set_actions(s->api, manager_actions(s->manager));
    return r;
}

static int prepare(struct server *s, struct error *err)
{
    const struct options *o = s->options;
    char path[PATH_MAX];
    int r = standalone_prepare(s->arena, str_from(o->data_dir), str_from(o->bind_address), &s->files, err);
    if (r < 0)
        return r;
    if (!realpath(o->data_dir, path))
        return error_set(err, ERRC_NOT_FOUND, "data folder %s cannot be resolved", o->data_dir);
    if (!options_runs_controller(o, S("clusters")))
        return 0;
    const struct platform_local_options local = { .data_dir = arena_str(s->arena, str_from(path)),
                                                  .agent_program = agent_program(s),
                                                  .launcher = str_from(o->local_launcher),
                                                  .address_range = str_from(o->local_address_range),
                                                  .run_as = str_from(o->instance_user) };
    return platform_local_new(&local, &s->platform, err);
}

int server_check_options(const struct options *o, struct error *err)
{
    if (!o->is_standalone)
        return error_set(err, ERRC_INVALID,
                         "--standalone is needed: running behind a Kubernetes API server is not built yet");
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, o->bind_address, address) != 1 && inet_pton(AF_INET6, o->bind_address, address) != 1)
        return error_set(err, ERRC_INVALID, "--bind-address: \"%s\" is not an IP address", o->bind_address);
    if (!o->tls_cert_file != !o->tls_private_key_file)
        return error_set(err, ERRC_INVALID, "--tls-cert-file and --tls-private-key-file go together");
    return 0;
}

int server_start(const struct options *options, struct server **ret, struct error *err)
{
    int64_t began = clock_monotonic_ns();
    int r = 0;
    struct server *s = mem_new_of(struct server);
    s->options = options;
    s->arena = arena_new();
    static int (*const steps[])(struct server *, struct error *) = { prepare,  open_stores, load_kinds,
                                                                     make_api, start_http,  start_reconciler };
    for (size_t i = 0; i < ARRAY_LEN(steps) && r == 0; i++)
        r = steps[i](s, err);
    if (r == 0)
        r = standalone_write_kubeconfig(s->arena, &s->files, str_from(options->bind_address), http_server_port(s->http),
                                        err);
    if (r < 0) {
        server_stop(s);
        return r;
    }
    atomic_store(&s->is_ready, true);
    log_info(
        "ready",
        LOG_STR("url", arena_printf(s->arena, "https://%s:%d", options->bind_address, (int)http_server_port(s->http))),
        LOG_Z("kubeconfig", s->files.kubeconfig), LOG_INT("start_ms", (clock_monotonic_ns() - began) / NS_PER_MS));
    *ret = s;
    return 0;
}

void server_tick(struct server *s)
{
    s->ticks++;
    struct error err;
    bool changed = false;
    if (s->ticks % RENEW_EVERY_TICKS == 0) {
        CLEANUP(arena_freep) struct arena *a = arena_new();
        if (standalone_renew(a, str_from(s->options->data_dir), str_from(s->options->bind_address), &changed, &err) < 0)
            log_error("serving certificate not renewed", LOG_ERROR(&err));
    }
    if (s->ticks % RELOAD_EVERY_TICKS)
        return;
    if (http_reload_check(s->reload, s->http, &changed, &err) < 0)
        log_error("changed certificates are not used", LOG_ERROR(&err));
    else if (changed)
        log_info("certificates reloaded");
}

/* Waits for a count to fall to 0; bounded. */
static void wait_for_none(struct server *s, size_t (*count)(struct http_server *), int64_t deadline_ns)
{
    while (count(s->http) > 0 && !deadline_has_passed(deadline_ns))
        (void)poll(NULL, 0, 5);
}

static void drain(struct server *s)
{
    const struct options *o = s->options;
    atomic_store(&s->is_stopping, true);
    if (o->shutdown_delay_ns > 0)
        (void)poll(NULL, 0, (int)(o->shutdown_delay_ns / NS_PER_MS));
    http_server_drain(s->http);
    int64_t deadline = clock_monotonic_ns() + o->shutdown_timeout_ns;
    wait_for_none(s, http_server_active_requests, deadline);
    api_end_watches(s->api);
    wait_for_none(s, http_server_active_streams, deadline_in_ms(2000));
}

void server_stop(struct server *s)
{
    if (!s)
        return;
    if (s->http)
        drain(s);
    if (s->api)
        api_set_actions(s->api, NULL);
    manager_stop(s->manager);
    http_server_free(s->http);
    inprocess_free(s->inprocess);
    http_reload_free(s->reload);
    api_free(s->api);
    serve_free(s->serve);
    auth_free(s->auth);
    pages_free(s->pages);
    store_close(s->live);
    store_close(s->store);
    if (s->platform.ops)
        s->platform.ops->free(s->platform.self);
    arena_free(s->arena);
    mem_free(s);
}
