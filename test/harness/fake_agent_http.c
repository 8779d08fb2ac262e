/* SPDX-License-Identifier: Apache-2.0 */
/* The agents' servers, and the platform that launches them. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/rand.h"
#include "harness/fake_agent_internal.h"
#include "json/json_parse.h"
#include "json/json_write.h"

struct stream {
    struct fake_agent *agent;
    struct http_stream *http;
    struct list link;
};

static void on_close(void *self)
{
    struct stream *s = self;
    list_remove(&s->link);
    mem_free(s);
}

/* Loop thread. Each line goes to every stream; a cut agent says nothing. */
static void send_status(struct fake_agent *ag)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    pthread_mutex_lock(&ag->fleet->lock);
    bool is_cut = ag->is_cut;
    if (!ag->is_lagging || !ag->line_arena) {
        const struct agent_status status = fake__status(ag, a);
        arena_free(ag->line_arena);
        ag->line_arena = arena_new();
        ag->line = json_text(ag->line_arena, agent_status_to_json(a, &status));
    }
    str text = arena_str(a, ag->line);
    ag->is_changed = false;
    ag->sent_ns = clock_monotonic_ns();
    pthread_mutex_unlock(&ag->fleet->lock);
    CLEANUP(blob_unrefp) struct blob *line = blob_new(arena_printf(a, "%.*s\n", STR_ARG(text)));
    LIST_FOREACH (&ag->streams, it)
        if (!is_cut)
            (void)http_stream_send(LIST_ENTRY(it, struct stream, link)->http, line);
}

static void on_tick(void *arg)
{
    struct fake_agent *ag = arg;
    (void)http_timer_start(ag->loop, FAKE_TICK_MS, on_tick, ag);
    pthread_mutex_lock(&ag->fleet->lock);
    fake__settle(ag->fleet);
    bool due = ag->is_changed || clock_monotonic_ns() - ag->sent_ns > FAKE_HEARTBEAT_MS * NS_PER_MS;
    pthread_mutex_unlock(&ag->fleet->lock);
    if (due)
        send_status(ag);
}

static void respond(struct http_request *req, struct http_deferred *d, int code, const struct json *body)
{
    static const struct http_header type[] = { { S_INIT("content-type"), S_INIT("application/json") } };
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct http_response res = {
        .status = code, .headers = type, .header_count = ARRAY_LEN(type), .body = json_text(a, body)
    };
    if (d)
        http_deferred_respond(d, &res);
    else
        http_respond(req, &res);
}

static void carry_out(struct fake_agent *ag, struct http_request *req, struct http_deferred *d, int instead)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct json *body, *answer = NULL;
    struct error err;
    int code = 400;
    if (json_parse(a, req->body, NULL, &body, &err) == 0) {
        pthread_mutex_lock(&ag->fleet->lock);
        code = fake__command(ag, a, req->path, body, &answer);
        pthread_mutex_unlock(&ag->fleet->lock);
    }
    respond(req, d, instead ? instead : code, answer ? answer : &json_empty_object);
    if (!str_eq(req->path, S("/v1/exchange")))
        send_status(ag);
}

struct late {
    struct fake_agent *agent;
    struct http_deferred *deferred;
    struct http_timer *timer; /* NULL: it is never answered */
    struct list link;
};

static void late_end(struct late *l)
{
    list_remove(&l->link);
    mem_free(l);
}

static void on_late(void *arg)
{
    struct late *l = arg;
    carry_out(l->agent, http_deferred_request(l->deferred), l->deferred, 0);
    late_end(l);
}

/* The answer comes later; delay 0: never. */
static void be_late(struct fake_agent *ag, struct http_request *req, int delay_ms)
{
    struct late *l = mem_new_of(struct late);
    *l = (struct late) { .agent = ag, .deferred = http_defer(req) };
    if (delay_ms)
        l->timer = http_timer_start(req->loop, delay_ms, on_late, l);
    list_add_tail(&ag->late, &l->link);
}

/* Loop thread, before the server ends. */
static void drop_late(void *arg)
{
    struct fake_agent *ag = arg;
    LIST_FOREACH (&ag->late, it) {
        struct late *l = LIST_ENTRY(it, struct late, link);
        if (l->timer)
            http_timer_cancel(l->timer);
        respond(NULL, l->deferred, 503, &json_empty_object);
        late_end(l);
    }
    pthread_mutex_lock(&ag->fleet->lock);
    ag->has_dropped_late = true;
    pthread_cond_broadcast(&ag->fleet->changed);
    pthread_mutex_unlock(&ag->fleet->lock);
}

static void handle(void *self, struct http_request *req)
{
    struct fake_agent *ag = self;
    static const struct http_stream_ops ops = { .on_close = on_close };
    if (!str_eq(req->peer->common_name, S(AGENT_LEADER_CN)) || req->peer->verified_by != 1) {
        respond(req, NULL, 403, &json_empty_object);
        return;
    }
    if (str_eq(req->path, S("/v1/stream"))) {
        struct stream *s = mem_new_of(struct stream);
        s->agent = ag;
        list_add_tail(&ag->streams, &s->link);
        const struct http_response head = { .status = 200 };
        s->http = http_stream_begin(req, &head, &ops, s);
        send_status(ag);
        return;
    }
    struct fake_agent_fault fault;
    pthread_mutex_lock(&ag->fleet->lock);
    bool is_faulty = fake__take_fault(ag, req->path, &fault), is_cut = ag->is_cut;
    pthread_mutex_unlock(&ag->fleet->lock);
    if (is_cut || (is_faulty && fault.code == 0 && fault.delay_ms == 0))
        be_late(ag, req, 0);
    else if (is_faulty && fault.delay_ms)
        be_late(ag, req, fault.delay_ms);
    else if (is_faulty && !fault.is_late)
        respond(req, NULL, fault.code, &json_empty_object);
    else
        carry_out(ag, req, NULL, is_faulty ? fault.code : 0);
}

static int serve(struct fake_agent *ag, const struct platform_identity *identity, struct error *err)
{
    const struct http_server_options options = {
        .bind_address = S("127.0.0.1"),
        .port = (uint16_t)ag->port,
        .max_connections = 1000,
        .tls = { .certificate_pem = identity->certificate_pem,
                 .private_key_pem = identity->private_key_pem,
                 .client_cas_pem = { identity->ca_pem },
                 .client_ca_count = 1,
                 .require_client_certificate = true },
        .handler = handle,
        .self = ag,
    };
    list_init(&ag->streams);
    list_init(&ag->late);
    struct http_server *server;
    int r = http_server_start(&options, &server, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&ag->fleet->lock);
    ag->server = server;
    ag->loop = http_server_loop(server, 0);
    ag->is_alive = true;
    ag->has_dropped_late = false;
    (void)snprintf(ag->incarnation, sizeof(ag->incarnation), "%016llx", (unsigned long long)rand_u64());
    ag->launches++;
    pthread_mutex_unlock(&ag->fleet->lock);
    (void)http_loop_post(ag->loop, on_tick, ag);
    return 0;
}

static void end(struct fake_agent *ag)
{
    pthread_mutex_lock(&ag->fleet->lock);
    struct http_server *server = TAKE(ag->server);
    if (server && http_loop_post(ag->loop, drop_late, ag))
        while (!ag->has_dropped_late)
            pthread_cond_wait(&ag->fleet->changed, &ag->fleet->lock);
    pthread_mutex_unlock(&ag->fleet->lock);
    http_server_free(server);
    pthread_mutex_lock(&ag->fleet->lock);
    ag->is_alive = ag->must_end = ag->is_running = ag->is_writable = ag->is_streaming = ag->is_frozen = false;
    ag->is_crashed = ag->is_failed = ag->was_ordered_down = false;
    ag->may_write_term = ag->down_until_ns = 0;
    ag->message[0] = ag->progress[0] = '\0';
    ag->task = NULL;
    fake__settle(ag->fleet);
    pthread_cond_broadcast(&ag->fleet->changed);
    pthread_mutex_unlock(&ag->fleet->lock);
}

/* ---- the platform ---------------------------------------------------------------------------------------------- */

static int free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(at);
    FD_AUTO fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        abort();
    return ntohs(at.sin_port);
}

static bool is_taken(int port, const struct placement *taken, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (taken[i].agent_port == port)
            return true;
    return false;
}

static int place(void *self, struct arena *a, const struct platform_instance *in, const struct placement *taken,
                 size_t taken_count, struct placement *ret, struct error *err)
{
    struct fake_fleet *f = self;
    (void)a;
    (void)in;
    (void)err;
    int port = 0;
    for (size_t i = 0; port == 0 || is_taken(port, taken, taken_count); i++)
        port = f->has_few_places ? f->few[i] : free_port();
    *ret = (struct placement) { .host = S("127.0.0.1"), .port = port, .agent_port = port };
    return 0;
}

void fake_fleet_use_few_places(struct fake_fleet *f)
{
    f->has_few_places = true;
    for (size_t i = 0; i < ARRAY_LEN(f->few); i++)
        f->few[i] = free_port();
}

/* The machine's entry of the instance, made when it is new. With the lock held. */
static struct fake_agent *entry_of(struct fake_fleet *f, const struct platform_instance *in)
{
    for (size_t i = 0; i < f->count; i++)
        if (str_eq_z(in->name, f->agents[i]->name) && str_eq_z(in->cluster_uid, f->agents[i]->cluster_uid))
            return f->agents[i];
    if (f->count == FAKE_AGENTS_MAX)
        abort();
    struct fake_agent *ag = mem_new_of(struct fake_agent);
    ag->fleet = f;
    (void)snprintf(ag->name, sizeof(ag->name), "%.*s", STR_ARG(in->name));
    (void)snprintf(ag->cluster_uid, sizeof(ag->cluster_uid), "%.*s", STR_ARG(in->cluster_uid));
    f->agents[f->count++] = ag;
    return ag;
}

static int launch(void *self, const struct platform_instance *in, const struct platform_identity *identity,
                  struct error *err)
{
    struct fake_fleet *f = self;
    int r = 0;
    pthread_mutex_lock(&f->lock);
    struct fake_agent *ag = entry_of(f, in);
    ag->exists = true;
    ag->port = (int)in->at.agent_port;
    if (ag->stays_dead) {
        r = error_set(err, ERRC_INTERNAL, "it does not start");
    } else if (!ag->is_alive) {
        struct launching l = { .identity = identity };
        ag->launching = &l;
        pthread_cond_broadcast(&f->changed);
        while (!l.is_done)
            pthread_cond_wait(&f->changed, &f->lock);
        r = l.result < 0 ? error_set(err, ERRC_INTERNAL, "%s", l.error.text) : 0;
    }
    pthread_mutex_unlock(&f->lock);
    return r;
}

static int state(void *self, const struct platform_instance *in, enum platform_state *ret, struct error *err)
{
    struct fake_fleet *f = self;
    (void)err;
    pthread_mutex_lock(&f->lock);
    struct fake_agent *ag = entry_of(f, in);
    *ret = ag->is_alive ? PLATFORM_LIVE : ag->exists ? PLATFORM_DEAD : PLATFORM_ABSENT;
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int remove_instance(void *self, const struct platform_instance *in, bool remove_data, struct error *err)
{
    struct fake_fleet *f = self;
    pthread_mutex_lock(&f->lock);
    struct fake_agent *ag = entry_of(f, in);
    bool is_alive = ag->is_alive;
    if (is_alive) {
        ag->must_end = true; /* by force */
        pthread_cond_broadcast(&f->changed);
    } else if (remove_data) {
        ag->exists = ag->has_data = false;
        ag->commit_count = 0;
    }
    pthread_mutex_unlock(&f->lock);
    return is_alive ? error_set(err, ERRC_UNAVAILABLE, "it is still ending") : 0;
}

static int publish_ca(void *self, struct arena *a, const struct platform_instance *cluster, str ca_pem, str *ret_path,
                      struct error *err)
{
    (void)self;
    (void)a;
    (void)cluster;
    (void)ca_pem;
    (void)err;
    *ret_path = S("/fake/ca.crt");
    return 0;
}

static int repository_path(void *self, struct arena *a, const struct platform_instance *cluster, str repository,
                           str wanted, str *ret_path, struct error *err)
{
    (void)self;
    (void)cluster;
    (void)err;
    *ret_path = wanted.len ? wanted : arena_printf(a, "/fake/backups/%.*s", STR_ARG(repository));
    return 0;
}

static int forget_cluster(void *self, const struct platform_instance *cluster, bool remove_data, struct error *err)
{
    (void)self;
    (void)cluster;
    (void)remove_data;
    (void)err;
    return 0;
}

static void platform_free(void *self)
{
    (void)self;
}

struct platform fake_fleet_platform(struct fake_fleet *f)
{
    static const struct platform_ops ops = { .name = "fake",
                                             .place = place,
                                             .launch = launch,
                                             .state = state,
                                             .remove = remove_instance,
                                             .publish_ca = publish_ca,
                                             .repository_path = repository_path,
                                             .forget_cluster = forget_cluster,
                                             .free = platform_free };
    return (struct platform) { .ops = &ops, .self = f };
}

/* ---- the fleet ------------------------------------------------------------------------------------------------- */

/* Starts what shall start and ends what shall end. False: there was nothing to do. With the lock, given up meanwhile.
 */
static bool keep_one(struct fake_fleet *f, struct fake_agent *ag)
{
    if ((ag->must_end || f->is_stopping) && ag->server) {
        pthread_mutex_unlock(&f->lock);
        end(ag);
        pthread_mutex_lock(&f->lock);
        return true;
    }
    struct launching *l = ag->launching;
    if (!l)
        return false;
    ag->launching = NULL;
    pthread_mutex_unlock(&f->lock);
    int r = serve(ag, l->identity, &l->error);
    pthread_mutex_lock(&f->lock);
    l->result = r;
    l->is_done = true;
    pthread_cond_broadcast(&f->changed);
    return true;
}

/* One thread starts and ends all servers: libh2o keeps sockets in memory of the thread that made them, so that thread
 * must live as long as they do. */
static void *keep(void *arg)
{
    struct fake_fleet *f = arg;
    pthread_mutex_lock(&f->lock);
    for (;;) {
        bool any = false;
        for (size_t i = 0; i < f->count; i++)
            any |= keep_one(f, f->agents[i]);
        if (!any && f->is_stopping)
            break;
        if (!any)
            pthread_cond_wait(&f->changed, &f->lock);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

struct fake_fleet *fake_fleet_new(void)
{
    struct fake_fleet *f = mem_new_of(struct fake_fleet);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    if (pthread_create(&f->keeper, NULL, keep, f) != 0)
        abort();
    return f;
}

void fake_fleet_free(struct fake_fleet *f)
{
    pthread_mutex_lock(&f->lock);
    f->is_stopping = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->keeper, NULL);
    for (size_t i = 0; i < f->count; i++) {
        struct fake_agent *ag = f->agents[i];
        arena_free(ag->config_arena);
        arena_free(ag->task_arena);
        arena_free(ag->line_arena);
        mem_free(ag);
    }
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
}
