/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event recorder: one thread writes what a bounded queue holds. The same event right after itself raises its count.
 * With others in between it is told again, since the order is the story; but a few times only in ten minutes, then its
 * count rises, so that a loop of failures stays a few lines.
 */
#include "reconcile/events.h"

#include <stdarg.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/rand.h"
#include "base/thread.h"
#include "meta/rfc3339.h"
#include "reconcile/text.h"

#define QUEUE_MAX 1024
#define SAME_WITHIN_NS (600 * NS_PER_S)
#define REMEMBERED_MAX 512
#define TOLD_AGAIN_MAX 8
#define STOP_WITHIN_MS 2000
#define CALL_MS 2000 /* an event is not worth a longer wait, and the end must not take one */

struct pending {
    struct arena *arena;
    const struct json *about;
    bool is_warning;
    str reason, message;
    int64_t at_ns; /* realtime */
};

struct written { /* of the last ten minutes */
    char *path;
    int64_t count, at_ns;
    int64_t told;     /* how often as an event of its own */
    int64_t sequence; /* of the newest time */
};

struct events {
    struct kube_client *client;
    char *component;
    struct queue *queue;
    struct map *recent; /* "uid/reason/message" → struct written; the writer's, as the next */
    int64_t sequence;   /* of the newest event written */
    pthread_t thread;
    bool has_thread;
    _Atomic int64_t stop_by_ns; /* set before the queue is closed */
};

static void written_free(void *p)
{
    struct written *w = p;
    mem_free(w->path);
    mem_free(w);
}

static const struct json *event_object(struct arena *a, const struct events *e, const struct pending *p, str name)
{
    const struct json *m = json_get(p->about, S("metadata"));
    str ns = json_str(json_get(m, S("namespace")));
    const struct json *time = json_string(a, rfc3339_seconds(a, p->at_ns));
    return JSON_OBJECT_OF(
        a, JSON_MEMBER("apiVersion", json_string(a, S("v1"))), JSON_MEMBER("kind", json_string(a, S("Event"))),
        JSON_MEMBER("metadata", JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, name)),
                                               JSON_MEMBER("namespace", json_string(a, ns)))),
        JSON_MEMBER("involvedObject", JSON_OBJECT_OF(a, JSON_MEMBER("apiVersion", json_get(p->about, S("apiVersion"))),
                                                     JSON_MEMBER("kind", json_get(p->about, S("kind"))),
                                                     JSON_MEMBER("namespace", json_string(a, ns)),
                                                     JSON_MEMBER("name", json_get(m, S("name"))),
                                                     JSON_MEMBER("uid", json_get(m, S("uid"))))),
        JSON_MEMBER("reason", json_string(a, p->reason)), JSON_MEMBER("message", json_string(a, p->message)),
        JSON_MEMBER("type", json_string(a, p->is_warning ? S("Warning") : S("Normal"))),
        JSON_MEMBER("count", json_int(a, 1)), JSON_MEMBER("firstTimestamp", time), JSON_MEMBER("lastTimestamp", time),
        JSON_MEMBER("source", JSON_OBJECT_OF(a, JSON_MEMBER("component", json_string(a, str_from(e->component))))),
        JSON_MEMBER("reportingComponent", json_string(a, str_from(e->component))));
}

static int call(struct events *e, struct arena *a, const char *method, str path, const struct json *body,
                struct error *err)
{
    const struct kube_request request = { .method = method,
                                          .path = path,
                                          .content_type =
                                              strcmp(method, "PATCH") == 0 ? S("application/merge-patch+json") : S(""),
                                          .body = body,
                                          .deadline_ns = deadline_in_ms(CALL_MS) };
    struct kube_response response;
    return kube_call(e->client, a, &request, &response, err);
}

static void write_event(struct events *e, struct pending *p)
{
    struct arena *a = p->arena;
    const struct json *m = json_get(p->about, S("metadata"));
    str uid = json_str(json_get(m, S("uid"))), ns = json_str(json_get(m, S("namespace")));
    str key = arena_printf(a, "%.*s/%.*s/%.*s", STR_ARG(uid), STR_ARG(p->reason), STR_ARG(p->message));
    struct written *w = map_get(e->recent, key);
    struct error err;
    bool is_recent = w && p->at_ns - w->at_ns < SAME_WITHIN_NS;
    if (is_recent && (w->sequence == e->sequence || w->told >= TOLD_AGAIN_MAX)) {
        const struct json *patch =
            JSON_OBJECT_OF(a, JSON_MEMBER("count", json_int(a, w->count + 1)),
                           JSON_MEMBER("lastTimestamp", json_string(a, rfc3339_seconds(a, p->at_ns))));
        int r = call(e, a, "PATCH", str_from(w->path), patch, &err);
        if (r == 0) {
            w->count++;
            w->at_ns = p->at_ns;
            w->sequence = ++e->sequence;
            return;
        }
        if (r != ERRC_NOT_FOUND) {
            log_warn("event not written", LOG_STR("reason", p->reason), LOG_ERROR(&err));
            return;
        }
    }
    str name =
        arena_printf(a, "%.*s.%016llx", STR_ARG(json_str(json_get(m, S("name")))), (unsigned long long)rand_u64());
    if (call(e, a, "POST", kube_path(a, S(""), S("events"), ns, S(""), S("")), event_object(a, e, p, name), &err) < 0) {
        log_warn("event not written", LOG_STR("reason", p->reason), LOG_ERROR(&err));
        return;
    }
    int64_t told = is_recent ? w->told : 0; /* w may go now */
    if (map_count(e->recent) >= REMEMBERED_MAX) {
        map_free(e->recent, written_free);
        e->recent = map_new();
    }
    struct written *fresh = mem_new_of(struct written);
    fresh->path = mem_strdup(kube_path(a, S(""), S("events"), ns, name, S("")).ptr);
    fresh->count = 1;
    fresh->at_ns = p->at_ns;
    fresh->told = told + 1;
    fresh->sequence = ++e->sequence;
    struct written *old = map_put(e->recent, key, fresh);
    if (old)
        written_free(old);
}

static void *run(void *arg)
{
    struct events *e = arg;
    struct pending *p;
    while ((p = queue_pop(e->queue, INT64_MAX))) {
        if (e->stop_by_ns == 0 || !deadline_has_passed(e->stop_by_ns))
            write_event(e, p);
        arena_free(p->arena);
    }
    return NULL;
}

int events_new(struct kube_client *client, const char *component, struct events **ret, struct error *err)
{
    struct events *e = mem_new_of(struct events);
    e->client = client;
    e->component = mem_strdup(component);
    e->queue = queue_new(QUEUE_MAX);
    e->recent = map_new();
    int r = thread_start(&e->thread, "events", run, e, err);
    e->has_thread = r == 0;
    if (r < 0) {
        events_free(e);
        return r;
    }
    *ret = e;
    return 0;
}

void events_free(struct events *e)
{
    if (!e)
        return;
    e->stop_by_ns = deadline_in_ms(STOP_WITHIN_MS);
    queue_close(e->queue);
    if (e->has_thread)
        pthread_join(e->thread, NULL);
    queue_free(e->queue);
    map_free(e->recent, written_free);
    mem_free(e->component);
    mem_free(e);
}

void events_emit(struct events *e, const struct json *about, bool is_warning, const char *reason, const char *fmt, ...)
{
    struct arena *a = arena_new();
    struct pending *p = arena_new_of(a, struct pending);
    p->arena = a;
    p->about = JSON_OBJECT_OF(a, JSON_MEMBER("apiVersion", json_copy(a, json_get(about, S("apiVersion")))),
                              JSON_MEMBER("kind", json_copy(a, json_get(about, S("kind")))),
                              JSON_MEMBER("metadata", json_copy(a, json_get(about, S("metadata")))));
    p->is_warning = is_warning;
    p->reason = arena_str(a, str_from(reason));
    va_list args;
    va_start(args, fmt);
    p->message = text_one_line(a, arena_vprintf(a, fmt, args));
    va_end(args);
    p->at_ns = clock_realtime_ns();
    if (!queue_push(e->queue, p)) {
        log_warn("event dropped: too many wait", LOG_STR("reason", p->reason));
        arena_free(a);
    }
}
