/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube_transport_ops over api_serve. A call runs on its caller's thread and waits for the answer; a call whose deadline
 * passed leaves its memory to whoever answers it. Watches run on the home thread.
 */
#include "inprocess.h"

#include <assert.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/thread.h"
#include "json/json_parse.h"
#include "json/json_write.h"

struct task {
    struct list link;
    void (*fn)(void *arg);
    void *arg;
    int64_t due_ns; /* timers */
};

struct inprocess {
    struct api *api;
    struct api_home *home;
    struct kube_client *client;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct list tasks;  /* under the lock */
    struct list timers; /* home thread */
    bool is_ending;     /* under the lock */
};

static const str user_groups[] = { S_INIT("system:masters"), S_INIT("system:authenticated") };
static const struct api_user internal_user = {
    .name = S_INIT("system:apiserver"),
    .groups = user_groups,
    .group_count = ARRAY_LEN(user_groups),
    .is_internal = true,
};

/* ---- the home thread ----------------------------------------------------------------------------------------------
 */

static bool home_post(void *self, void (*fn)(void *arg), void *arg)
{
    struct inprocess *p = self;
    struct task *t = mem_new_of(struct task);
    t->fn = fn;
    t->arg = arg;
    pthread_mutex_lock(&p->lock);
    bool is_open = !p->is_ending;
    if (is_open)
        list_add_tail(&p->tasks, &t->link);
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->lock);
    if (!is_open)
        mem_free(t);
    return is_open;
}

static void *timer_start(void *self, int64_t ms, void (*fn)(void *arg), void *arg)
{
    struct inprocess *p = self;
    struct task *t = mem_new_of(struct task);
    t->fn = fn;
    t->arg = arg;
    t->due_ns = deadline_in_ms(ms);
    list_add_tail(&p->timers, &t->link);
    return t;
}

static void timer_cancel(void *self UNUSED, void *timer)
{
    struct task *t = timer;
    list_remove(&t->link);
    mem_free(t);
}

static const struct api_home_ops home_ops = { .post = home_post,
                                              .timer_start = timer_start,
                                              .timer_cancel = timer_cancel };

static int64_t next_due(struct inprocess *p)
{
    int64_t due = INT64_MAX;
    LIST_FOREACH (&p->timers, it) {
        struct task *t = LIST_ENTRY(it, struct task, link);
        due = t->due_ns < due ? t->due_ns : due;
    }
    return due;
}

/* The first timer that is due, taken out; a timer may start or cancel others. */
static struct task *take_due(struct inprocess *p)
{
    int64_t now = clock_monotonic_ns();
    LIST_FOREACH (&p->timers, it) {
        struct task *t = LIST_ENTRY(it, struct task, link);
        if (t->due_ns > now)
            continue;
        list_remove(&t->link);
        return t;
    }
    return NULL;
}

static struct task *wait_for_task(struct inprocess *p, bool *ret_is_ending)
{
    struct task *t = NULL;
    int64_t due = next_due(p);
    pthread_mutex_lock(&p->lock);
    while (list_is_empty(&p->tasks) && !p->is_ending && !deadline_has_passed(due)) {
        struct timespec at = clock_to_timespec(due);
        if (due == INT64_MAX)
            pthread_cond_wait(&p->changed, &p->lock);
        else
            pthread_cond_timedwait(&p->changed, &p->lock, &at);
    }
    if (!list_is_empty(&p->tasks)) {
        t = LIST_ENTRY(p->tasks.next, struct task, link);
        list_remove(&t->link);
    }
    *ret_is_ending = p->is_ending;
    pthread_mutex_unlock(&p->lock);
    return t;
}

static void *run_home(void *arg)
{
    struct inprocess *p = arg;
    for (bool is_ending = false;;) {
        struct task *t = wait_for_task(p, &is_ending);
        if (!t && is_ending)
            return NULL;
        if (!t)
            t = take_due(p);
        if (!t)
            continue;
        t->fn(t->arg);
        mem_free(t);
    }
}

/* ---- calls ----------------------------------------------------------------------------------------------------------
 */

struct pending {
    struct api_request req;
    struct arena *arena;
    atomic_uint refs; /* the caller and the answer */
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
    int code;
    struct blob *body;
};

static void pending_unref(struct pending *x)
{
    if (atomic_fetch_sub(&x->refs, 1) > 1)
        return;
    (void)blob_unref(x->body);
    pthread_cond_destroy(&x->done);
    pthread_mutex_destroy(&x->lock);
    arena_free(x->arena);
    mem_free(x);
}
DEFINE_CLEANUP(struct pending *, pending_unref, pending_unrefp);

/* The whole body in one buffer; takes over the answer's references. */
static struct blob *gather(const struct api_answer *answer)
{
    size_t len = answer->body.len;
    for (size_t i = 0; i < answer->blob_count; i++)
        len += answer->blobs[i]->len;
    if (answer->body.len == 0 && answer->blob_count == 1)
        return answer->blobs[0];
    struct blob *b = blob_new_size(len);
    char *p = b->bytes;
    if (answer->body.len > 0)
        p = mempcpy(p, answer->body.ptr, answer->body.len);
    for (size_t i = 0; i < answer->blob_count; i++) {
        p = mempcpy(p, answer->blobs[i]->bytes, answer->blobs[i]->len);
        (void)blob_unref(answer->blobs[i]);
    }
    *p = '\0';
    return b;
}

static void on_answer(struct api_request *req, const struct api_answer *answer)
{
    struct pending *x = req->transport;
    struct blob *body = gather(answer);
    pthread_mutex_lock(&x->lock);
    x->code = answer->code;
    x->body = body;
    x->is_done = true;
    pthread_cond_signal(&x->done);
    pthread_mutex_unlock(&x->lock);
    pending_unref(x);
}

static const struct api_header *make_headers(struct arena *a, const struct kube_request *request, size_t *ret_count)
{
    struct api_header *headers = arena_array_of(a, struct api_header, 2);
    headers[0] = (struct api_header) { S("accept"), S("application/json") };
    headers[1] = (struct api_header) { S("content-type"), str_is_empty(request->content_type)
                                                              ? S("application/json")
                                                              : arena_str(a, request->content_type) };
    *ret_count = 2;
    return headers;
}

static struct pending *pending_new(struct inprocess *p, const struct kube_request *request)
{
    struct pending *x = mem_new_of(struct pending);
    struct arena *a = x->arena = arena_new();
    atomic_init(&x->refs, 2);
    pthread_mutex_init(&x->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&x->done, &attr);
    pthread_condattr_destroy(&attr);
    x->req = (struct api_request) {
        .method = arena_str(a, str_from(request->method)),
        .path = arena_str(a, request->path),
        .query = arena_str(a, request->query),
        .body = request->body ? json_text(a, request->body) : (str) { 0 },
        .user = &internal_user,
        .arena = a,
        .received_ns = clock_monotonic_ns(),
        .home = p->home,
        .on_answer = on_answer,
        .transport = x,
    };
    x->req.headers = make_headers(a, request, &x->req.header_count);
    return x;
}

static bool wait_done(struct pending *x, int64_t deadline_ns)
{
    struct timespec at = clock_to_timespec(deadline_ns);
    pthread_mutex_lock(&x->lock);
    while (!x->is_done && !deadline_has_passed(deadline_ns))
        pthread_cond_timedwait(&x->done, &x->lock, &at);
    bool is_done = x->is_done;
    pthread_mutex_unlock(&x->lock);
    return is_done;
}

static int call(void *self, struct arena *a, const struct kube_request *request, struct kube_response *ret,
                struct error *err)
{
    struct inprocess *p = self;
    CLEANUP(pending_unrefp) struct pending *x = pending_new(p, request);
    api_serve(p->api, &x->req);
    if (!wait_done(x, request->deadline_ns))
        return error_set(err, ERRC_TIMEOUT, "%s %.*s: no answer in time", request->method, STR_ARG(request->path));
    ret->code = x->code;
    if (x->body->len == 0)
        return 0;
    int r = json_parse(a, blob_str(x->body), NULL, &ret->body, err);
    return error_wrap(err, r, "answer to %s %.*s", request->method, STR_ARG(request->path));
}

/* ---- watches
 * ---------------------------------------------------------------------------------------------------------- */

struct inprocess_watch {
    struct kube_watch base;
    struct inprocess *transport;
    const struct kube_watch_ops *ops;
    void *self;
    struct arena *arena;
    struct api_request req;
    struct api_watch *watch; /* home thread; NULL before it began and after it ended */
    bool is_told;            /* on_end was called; home thread */
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    bool is_stopped;
};

static void tell_end(struct inprocess_watch *w, const struct error *err)
{
    if (w->is_told)
        return;
    w->is_told = true;
    w->ops->on_end(w->self, err);
}

static void tell_status(struct inprocess_watch *w, str text)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct json *tree;
    struct error err = { 0 };
    if (json_parse(a, text, NULL, &tree, &err) == 0) {
        bool is_too_old = json_int_at(tree, "code", 0) == 410;
        (void)error_set(&err, is_too_old ? ERRC_TOO_OLD : ERRC_UNAVAILABLE, "%.*s",
                        STR_ARG(json_str_at(tree, "message")));
    }
    tell_end(w, &err);
}

/* {"type":"…","object":…} without the line's end: written by ourselves, so its form is known. */
static void on_line(struct inprocess_watch *w, str line)
{
    static const str head = S_INIT("{\"type\":\""), middle = S_INIT("\",\"object\":");
    static const struct {
        str name;
        enum kube_event_type type;
    } types[] = {
        { S_INIT("ADDED"), KUBE_ADDED },
        { S_INIT("MODIFIED"), KUBE_MODIFIED },
        { S_INIT("DELETED"), KUBE_DELETED },
        { S_INIT("BOOKMARK"), KUBE_BOOKMARK },
    };
    assert(str_has_prefix(line, head));
    str rest = str_from_offset(line, head.len);
    ptrdiff_t quote = str_index(rest, '"');
    assert(quote > 0);
    str name = str_first(rest, (size_t)quote), object = str_from_offset(rest, (size_t)quote + middle.len);
    object = str_first(object, object.len - 1);
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_eq(types[i].name, name)) {
            w->ops->on_event(w->self, types[i].type, object);
            return;
        }
    tell_status(w, object); /* ERROR */
}

static size_t stream_send(void *self, struct blob *frame)
{
    struct inprocess_watch *w = self;
    for (str rest = blob_str(frame), line; str_next_field(&rest, '\n', &line);)
        if (!str_is_empty(line) && !w->is_told)
            on_line(w, line);
    return 0;
}

static void stream_end(void *self, bool is_error UNUSED)
{
    struct inprocess_watch *w = self;
    api_watch_closed(TAKE(w->watch));
    tell_end(w, NULL);
}

static const struct api_stream_ops stream_ops = { .send = stream_send, .end = stream_end };

static void *on_stream(struct api_request *req, const struct api_answer *head UNUSED, struct api_watch *watch,
                       const struct api_stream_ops **ret_ops)
{
    struct inprocess_watch *w = req->transport;
    w->watch = watch;
    *ret_ops = &stream_ops;
    return w;
}

static void on_refused(struct api_request *req, const struct api_answer *answer)
{
    struct blob *body = gather(answer);
    tell_status(req->transport, blob_str(body));
    (void)blob_unref(body);
}

static void begin_watch(void *arg)
{
    struct inprocess_watch *w = arg;
    api_serve(w->transport->api, &w->req);
}

static int watch_start(void *self, str collection_path, str resource_version, const struct kube_watch_ops *ops,
                       void *ops_self, struct kube_watch **ret, struct error *err)
{
    static const struct api_header headers[] = { { S_INIT("accept"), S_INIT("application/json") } };
    struct inprocess *p = self;
    struct inprocess_watch *w = mem_new_of(struct inprocess_watch);
    struct arena *a = w->arena = arena_new();
    w->transport = p;
    w->ops = ops;
    w->self = ops_self;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->stopped, NULL);
    w->req = (struct api_request) {
        .method = S("GET"),
        .path = arena_str(a, collection_path),
        .query = arena_printf(a, "watch=true&allowWatchBookmarks=true&resourceVersion=%.*s", STR_ARG(resource_version)),
        .headers = headers,
        .header_count = ARRAY_LEN(headers),
        .user = &internal_user,
        .arena = a,
        .received_ns = clock_monotonic_ns(),
        .home = p->home,
        .on_answer = on_refused,
        .on_stream = on_stream,
        .transport = w,
    };
    *ret = &w->base;
    if (home_post(p, begin_watch, w))
        return 0;
    arena_free(w->arena);
    mem_free(w);
    *ret = NULL;
    return error_set(err, ERRC_UNAVAILABLE, "the server is shutting down");
}

static void stop_on_home(void *arg)
{
    struct inprocess_watch *w = arg;
    w->is_told = true; /* nobody is to be told any more */
    if (w->watch)
        api_watch_closed(TAKE(w->watch));
    pthread_mutex_lock(&w->lock);
    w->is_stopped = true;
    pthread_cond_signal(&w->stopped);
    pthread_mutex_unlock(&w->lock);
}

static void watch_stop(struct kube_watch *base)
{
    struct inprocess_watch *w = CONTAINER_OF(base, struct inprocess_watch, base);
    bool is_posted = home_post(w->transport, stop_on_home, w);
    assert(is_posted); /* watches are stopped before their transport */
    pthread_mutex_lock(&w->lock);
    while (is_posted && !w->is_stopped)
        pthread_cond_wait(&w->stopped, &w->lock);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_destroy(&w->stopped);
    pthread_mutex_destroy(&w->lock);
    arena_free(w->arena);
    mem_free(w);
}

static const struct kube_transport_ops transport_ops = { .call = call,
                                                         .watch_start = watch_start,
                                                         .watch_stop = watch_stop };

/* ---- life
 * ---------------------------------------------------------------------------------------------------------------- */

int inprocess_new(struct api *api, struct inprocess **ret, struct error *err)
{
    struct inprocess *p = mem_new_of(struct inprocess);
    p->api = api;
    list_init(&p->tasks);
    list_init(&p->timers);
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &attr);
    pthread_condattr_destroy(&attr);
    int r = thread_start(&p->thread, "api-inprocess", run_home, p, err);
    if (r < 0) {
        pthread_cond_destroy(&p->changed);
        pthread_mutex_destroy(&p->lock);
        mem_free(p);
        return r;
    }
    p->home = api_home_new(api, &home_ops, p);
    p->client = kube_client_new(&transport_ops, p);
    *ret = p;
    return 0;
}

struct kube_client *inprocess_client(struct inprocess *p)
{
    return p->client;
}

void inprocess_free(struct inprocess *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_ending = true;
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    LIST_FOREACH (&p->timers, it) {
        timer_cancel(p, LIST_ENTRY(it, struct task, link));
    }
    kube_client_free(p->client);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}
