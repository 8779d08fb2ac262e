/* SPDX-License-Identifier: Apache-2.0 */
/* See api_env.h. */
#include "test/harness/api_env.h"

#include <stdio.h>
#include <stdlib.h>

#include "apiserver/pages.h"
#include "apiserver/resources.h"
#include "base/clock.h"
#include "base/mem.h"
#include "json/json_parse.h"

#define PATIENCE_MS 120000

struct task {
    struct list link;
    void (*fn)(void *arg);
    void *arg;
    int64_t due_ns;
};

#define USER(who, named, internal, ...)                                                                                \
    static const str groups_of_##who[] = { __VA_ARGS__ };                                                              \
    const struct api_user env_##who = {                                                                                \
        .name = S_INIT(named),                                                                                         \
        .groups = groups_of_##who,                                                                                     \
        .group_count = ARRAY_LEN(groups_of_##who),                                                                     \
        .is_internal = internal,                                                                                       \
    }
USER(admin, "admin", false, S_INIT("system:masters"), S_INIT("system:authenticated"));
USER(viewer, "vera", false, S_INIT("postgres.example.io:viewers"), S_INIT("system:authenticated"));
USER(nobody, "norbert", false, S_INIT("system:authenticated"));
USER(anonymous, "system:anonymous", false, S_INIT("system:unauthenticated"));
USER(internal, "system:apiserver", true, S_INIT("system:masters"));

static void require(bool condition, const char *what, const struct error *err)
{
    if (condition)
        return;
    (void)fprintf(stderr, "api_env: %s: %s\n", what, err ? err->text : "");
    abort();
}

/* ---- home ----------------------------------------------------------------------------------------------------------
 */

static struct task *task_new(void (*fn)(void *arg), void *arg, int64_t due_ns)
{
    struct task *t = mem_new_of(struct task);
    *t = (struct task) { .fn = fn, .arg = arg, .due_ns = due_ns };
    return t;
}

static bool home_post(void *self, void (*fn)(void *arg), void *arg)
{
    struct env *e = self;
    struct task *t = task_new(fn, arg, 0);
    pthread_mutex_lock(&e->lock);
    list_add_tail(&e->posted, &t->link);
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
    return true;
}

static void *timer_start(void *self, int64_t ms, void (*fn)(void *arg), void *arg)
{
    struct env *e = self;
    struct task *t = task_new(fn, arg, deadline_in_ms(ms));
    list_add_tail(&e->timers, &t->link);
    return t;
}

static void timer_cancel(void *self, void *timer)
{
    struct task *t = timer;
    (void)self;
    list_remove(&t->link);
    mem_free(t);
}

static const struct api_home_ops home_ops = { .post = home_post,
                                              .timer_start = timer_start,
                                              .timer_cancel = timer_cancel };

static struct task *take_posted(struct env *e, int64_t deadline_ns)
{
    struct timespec at = clock_to_timespec(deadline_ns);
    struct task *t = NULL;
    pthread_mutex_lock(&e->lock);
    while (list_is_empty(&e->posted) && !deadline_has_passed(deadline_ns))
        pthread_cond_timedwait(&e->changed, &e->lock, &at);
    if (!list_is_empty(&e->posted)) {
        t = LIST_ENTRY(e->posted.next, struct task, link);
        list_remove(&t->link);
    }
    pthread_mutex_unlock(&e->lock);
    return t;
}

static void run_task(struct task *t)
{
    t->fn(t->arg);
    mem_free(t);
}

static void run_timers(struct env *e)
{
    int64_t now = clock_monotonic_ns();
    for (bool any = true; any;) {
        any = false;
        LIST_FOREACH (&e->timers, it) {
            struct task *t = LIST_ENTRY(it, struct task, link);
            if (t->due_ns > now)
                continue;
            list_remove(&t->link);
            run_task(t);
            any = true;
            break; /* the list may have changed */
        }
    }
}

void env_pump(struct env *e, int64_t ms)
{
    int64_t deadline = deadline_in_ms(ms);
    LIST_FOREACH (&e->timers, it) {
        struct task *t = LIST_ENTRY(it, struct task, link);
        deadline = t->due_ns < deadline ? t->due_ns : deadline;
    }
    for (struct task *t; (t = take_posted(e, deadline)) != NULL; deadline = 0)
        run_task(t);
    run_timers(e);
}

/* ---- the whole
 * -------------------------------------------------------------------------------------------------------- */

static void open_stores(struct env *e, struct resource **resources, size_t count, const struct env_options *options)
{
    struct error err;
    struct store_options o = { .url = options->store_url ? str_from(options->store_url) : S("memory:"),
                               .event_window = options->event_window,
                               .compact_interval_ms = options->compact_interval_ms,
                               .compact_keep = options->compact_keep };
    struct storage *driver = NULL;
    require(storage_open(o.url, &driver, &err) == 0, "store", &err);
    if (options->faults)
        driver = storage_faulty_new(driver, options->faults);
    require(store_open_on(driver, &o, &e->store, &err) == 0, "store", &err);
    o.url = S("memory:");
    require(store_open(&o, &e->virtual_store, &err) == 0, "virtual store", &err);
    for (size_t i = 0; i < count; i++)
        resources[i]->store = resources[i]->is_virtual ? e->virtual_store : e->store;
}

struct env *env_new(const struct env_options *options)
{
    static const int majors[] = { 15 };
    static const struct environment environment = { .postgres_majors = majors, .postgres_major_count = 1 };
    static const struct env_options none;
    options = options ? options : &none;
    struct env *e = mem_new_of(struct env);
    struct error err;
    e->arena = arena_new();
    list_init(&e->posted);
    list_init(&e->timers);
    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&e->changed, &attr);
    pthread_condattr_destroy(&attr);

    struct resource **resources;
    size_t count;
    const struct resources_options kinds = { .environment = &environment, .has_core_kinds = true };
    require(resources_load(e->arena, &kinds, &resources, &count, &err) == 0, "kinds", &err);
    open_stores(e, resources, count, options);
    e->registry = (struct resource_registry) { (const struct resource *const *)resources, count };
    const struct pages_options page_options = { .registry = &e->registry };
    e->pages = pages_new(&page_options);
    const struct api_options api_options = {
        .registry = &e->registry,
        .pages = e->pages,
        .actions = options->actions,
        .bookmark_interval_ms = options->bookmark_interval_ms,
        .max_requests_inflight = options->max_requests_inflight,
        .max_mutating_requests_inflight = options->max_mutating_requests_inflight,
    };
    require(api_new(&api_options, &e->api, &err) == 0, "api", &err);
    e->home = api_home_new(e->api, &home_ops, e);
    return e;
}

void env_free(struct env *e)
{
    env_pump(e, 0);
    api_free(e->api);
    for (struct task *t; (t = take_posted(e, 0)) != NULL;)
        mem_free(t); /* what was posted for homes that have ended */
    LIST_FOREACH (&e->timers, it)
        timer_cancel(e, LIST_ENTRY(it, struct task, link));
    pages_free(e->pages);
    store_close(e->store);
    store_close(e->virtual_store);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
    arena_free(e->arena);
    mem_free(e);
}

const struct resource *env_resource(struct env *e, const char *plural)
{
    for (size_t i = 0; i < e->registry.count; i++)
        if (str_eq_z(e->registry.resources[i]->plural, plural))
            return e->registry.resources[i];
    return NULL;
}

/* ---- requests
 * ------------------------------------------------------------------------------------------------------------ */

struct flight {
    struct env *env;
    struct arena *arena; /* of the request */
    struct env_answer *answer;
    bool is_done; /* under the lock */
    void (*resume)(void *arg);
    void *resume_arg;
};

static void keep_answer(struct env *e, const struct api_answer *from, struct env_answer *to)
{
    struct arena *a = e->arena;
    size_t len = from->body.len;
    for (size_t i = 0; i < from->blob_count; i++)
        len += from->blobs[i]->len;
    char *body = arena_alloc(a, len + 1), *p = body;
    if (from->body.len > 0)
        p = mempcpy(p, from->body.ptr, from->body.len);
    for (size_t i = 0; i < from->blob_count; i++) {
        p = mempcpy(p, from->blobs[i]->bytes, from->blobs[i]->len);
        (void)blob_unref(from->blobs[i]);
    }
    struct api_header *headers = arena_array_of(a, struct api_header, from->header_count + 1);
    for (size_t i = 0; i < from->header_count; i++)
        headers[i] = (struct api_header) { arena_str(a, from->headers[i].name), arena_str(a, from->headers[i].value) };
    *to = (struct env_answer) {
        .code = from->code,
        .content_type = arena_str(a, from->content_type),
        .body = str_of(body, len),
        .headers = headers,
        .header_count = from->header_count,
    };
    if (json_parse(a, to->body, NULL, &to->json, NULL) < 0)
        to->json = NULL;
}

/* The environment's arena is shared with the caller's thread, which only waits meanwhile: the lock orders them. */
static void on_answer(struct api_request *req, const struct api_answer *answer)
{
    struct flight *f = req->transport;
    struct env *e = f->env;
    pthread_mutex_lock(&e->lock);
    keep_answer(e, answer, f->answer);
    f->is_done = true;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

static void post_home(struct api_request *req, void (*fn)(void *arg), void *arg)
{
    struct flight *f = req->transport;
    (void)home_post(f->env, fn, arg);
}

static size_t add_header(struct api_header *headers, size_t n, const char *name, const char *value)
{
    if (value)
        headers[n++] = (struct api_header) { str_from(name), str_from(value) };
    return n;
}

static void fill_request(struct env *e, struct arena *a, const struct env_request *from, struct api_request *to)
{
    struct api_header *headers = arena_array_of(a, struct api_header, 8);
    size_t n = add_header(headers, 0, "accept", from->accept);
    n = add_header(headers, n, "content-type", from->content_type);
    for (size_t i = 0; i < ARRAY_LEN(from->headers); i++)
        n = add_header(headers, n, from->headers[i].name, from->headers[i].value);
    str path, query;
    (void)str_cut(str_from(from->target), '?', &path, &query);
    *to = (struct api_request) {
        .method = str_from(from->method ? from->method : "GET"),
        .path = path,
        .query = query,
        .headers = headers,
        .header_count = n,
        .body = from->raw.ptr ? from->raw : str_from(from->body),
        .body_too_large = from->body_too_large,
        .user = from->user ? from->user : &env_admin,
        .remote_address = S("127.0.0.1"),
        .arena = a,
        .received_ns = clock_monotonic_ns(),
        .home = e->home,
        .on_answer = on_answer,
        .post_home = post_home,
    };
}

static bool is_done(struct flight *f)
{
    pthread_mutex_lock(&f->env->lock);
    bool done = f->is_done;
    pthread_mutex_unlock(&f->env->lock);
    return done;
}

struct env_answer env_call(struct env *e, const struct env_request *request)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct env_answer answer = { 0 };
    struct flight f = { .env = e, .arena = a, .answer = &answer };
    struct api_request req;
    fill_request(e, a, request, &req);
    req.transport = &f;
    api_serve(e->api, &req);
    int64_t deadline = deadline_in_ms(PATIENCE_MS);
    while (!is_done(&f)) {
        require(!deadline_has_passed(deadline), "no answer to", &(struct error) { .text = "a request" });
        env_pump(e, 5);
    }
    return answer;
}

struct env_answer env_get(struct env *e, const char *target)
{
    return env_call(e, &(struct env_request) { .target = target });
}

struct env_answer env_send(struct env *e, const char *method, const char *target, const char *body)
{
    const char *type = method[0] == 'P' && method[1] == 'A' ? "application/merge-patch+json" : "application/json";
    return env_call(e,
                    &(struct env_request) { .method = method, .target = target, .body = body, .content_type = type });
}

str env_header(const struct env_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (str_eq_z(answer->headers[i].name, name))
            return answer->headers[i].value;
    return (str) { 0 };
}

str env_text(const struct env_answer *answer, const char *path)
{
    return json_str_at(answer->json, path);
}

rv env_revision(struct env *e)
{
    return store_revision(e->store);
}

str env_cluster(struct env *e, const char *name)
{
    str body = arena_printf(e->arena,
                            "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"instances\":2,\"storage\":{\"size\":"
                            "\"1Gi\"}}}",
                            name);
    struct env_answer answer = env_send(e, "POST", ENV_CLUSTERS, body.ptr);
    require(answer.code == 201, "cluster", &(struct error) { .text = "not created" });
    return env_text(&answer, "metadata.resourceVersion");
}

/* ---- watches
 * ------------------------------------------------------------------------------------------------------------------ */

static size_t stream_send(void *self, struct blob *frame)
{
    struct env_watch *w = self;
    strbuf_add(&w->text, blob_str(frame));
    if (w->holds)
        w->backlog += frame->len;
    return w->backlog;
}

static void stream_end(void *self, bool is_error)
{
    struct env_watch *w = self;
    w->is_ended = true;
    w->is_error = is_error;
    api_watch_closed(TAKE(w->watch));
}

static const struct api_stream_ops stream_ops = { .send = stream_send, .end = stream_end };

static void *on_stream(struct api_request *req, const struct api_answer *head, struct api_watch *watch,
                       const struct api_stream_ops **ret_ops)
{
    struct env_watch *w = req->transport;
    (void)head;
    w->watch = watch;
    *ret_ops = &stream_ops;
    return w;
}

static void on_refusal(struct api_request *req, const struct api_answer *answer)
{
    struct env_watch *w = req->transport;
    pthread_mutex_lock(&w->env->lock);
    keep_answer(w->env, answer, &w->refusal);
    w->is_ended = true;
    pthread_mutex_unlock(&w->env->lock);
}

static void watch_post_home(struct api_request *req, void (*fn)(void *arg), void *arg)
{
    struct env_watch *w = req->transport;
    (void)home_post(w->env, fn, arg);
}

struct env_watch *env_watch(struct env *e, const struct env_request *request)
{
    struct env_watch *w = mem_new_of(struct env_watch);
    w->env = e;
    w->arena = arena_new();
    w->holds = request->body != NULL; /* a body on a watch: the test wants a slow client */
    strbuf_init(&w->text, 256u << 20);
    fill_request(e, w->arena, request, &w->req);
    w->req.body = (str) { 0 };
    w->req.transport = w;
    w->req.on_answer = on_refusal;
    w->req.on_stream = on_stream;
    w->req.post_home = watch_post_home;
    api_serve(e->api, &w->req);
    return w;
}

static bool next_line(struct env_watch *w, str *ret)
{
    str rest = str_from_offset(strbuf_str(&w->text), w->read_at);
    ptrdiff_t end = str_index(rest, '\n');
    if (end < 0)
        return false;
    *ret = str_first(rest, (size_t)end);
    w->read_at += (size_t)end + 1;
    return true;
}

const struct json *env_watch_next(struct env_watch *w)
{
    int64_t deadline = deadline_in_ms(PATIENCE_MS);
    const struct json *frame = NULL;
    str line;
    while (!next_line(w, &line)) {
        if (w->is_ended)
            return NULL;
        require(!deadline_has_passed(deadline), "no frame", NULL);
        env_pump(w->env, 5);
    }
    require(json_parse(w->env->arena, line, NULL, &frame, NULL) == 0, "broken frame", NULL);
    return frame;
}

bool env_watch_is_quiet(struct env_watch *w)
{
    env_pump(w->env, 0);
    return w->read_at == w->text.len;
}

void env_watch_drain(struct env_watch *w)
{
    w->backlog = 0;
    if (w->watch)
        api_watch_drained(w->watch);
}

void env_watch_close(struct env_watch *w)
{
    if (w->watch)
        api_watch_closed(TAKE(w->watch));
    strbuf_release(&w->text);
    arena_free(w->arena);
    mem_free(w);
}
