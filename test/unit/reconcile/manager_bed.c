/* SPDX-License-Identifier: Apache-2.0 */
/* The bed of the manager's tests: a whole manager over a fake API and fake agents. */
#include "manager_bed.h"

#include <pthread.h>
#include <signal.h>

#include "base/mem.h"
#include "json/json_parse.h"
#include "json/json_write.h"

void bed_make(struct bed *b)
{
    memset(b, 0, sizeof(*b));
    sigset_t set; /* as main does: who writes to a connection that is gone gets EPIPE */
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    b->a = arena_new();
    b->kube = fake_kube_new();
    b->fleet = fake_fleet_new();
}

void bed_start(struct bed *b)
{
    const struct manager_options options = { .client = fake_kube_client(b->kube),
                                             .platform = fake_fleet_platform(b->fleet),
                                             .runs_clusters = true,
                                             .runs_backups = true };
    struct error e;
    CHECK_OK(manager_start(&options, &b->manager, &e), e);
}

void bed_stop(struct bed *b)
{
    manager_stop(TAKE(b->manager));
}

void bed_end(struct bed *b)
{
    manager_stop(b->manager);
    fake_fleet_free(b->fleet);
    fake_kube_free(b->kube);
    arena_free(b->a);
}

void bed_spec(struct bed *b, const char *spec)
{
    const struct json *old = bed_cluster(b);
    fake_kube_put(b->kube, BED_CLUSTER,
                  arena_printf(b->a,
                               "{\"apiVersion\":\"postgres.example.io/v1\",\"kind\":\"PostgresCluster\","
                               "\"metadata\":{\"uid\":\"%s\"},\"spec\":%s}",
                               old ? "" : "11111111-2222-3333-4444-555555555555", spec)
                      .ptr);
}

void bed_run(struct bed *b, const char *spec)
{
    bed_make(b);
    bed_spec(b, spec);
    bed_start(b);
    BED_RUNS(b);
}

const struct json *bed_cluster(struct bed *b)
{
    return fake_kube_get(b->kube, b->a, BED_CLUSTER);
}

str bed_status(struct bed *b, const char *dotted)
{
    return json_str_at(json_get(bed_cluster(b), S("status")), dotted);
}

str bed_status_text(struct bed *b)
{
    const struct json *status = json_get(bed_cluster(b), S("status"));
    return status ? json_text(b->a, status) : S("none");
}

/* Of the newest spec. */
bool bed_is_phase(struct bed *b, const char *phase)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct json *object = fake_kube_get(b->kube, a, BED_CLUSTER);
    return str_eq_z(json_str_at(object, "status.phase"), phase) &&
           json_int_at(object, "status.observedGeneration", 0) == json_int_at(object, "metadata.generation", -1);
}

struct record bed_record(struct bed *b)
{
    const struct json **list;
    struct record r;
    struct error e;
    cr_assert_eq(fake_kube_list(b->kube, b->a, BED_RECORDS, &list), 1);
    CHECK_OK(record_from_json(b->a, list[0], &r, &e), e);
    return r;
}

bool bed_has_event(struct bed *b, const char *reason, const char *part)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const struct json **list;
    size_t count = fake_kube_list(b->kube, a, BED_EVENTS, &list);
    for (size_t i = 0; i < count; i++)
        if (str_eq_z(json_str_at(list[i], "reason"), reason) &&
            str_find(json_str_at(list[i], "message"), str_from(part)) >= 0)
            return true;
    return false;
}

bool bed_is_gone(struct bed *b)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    return !fake_kube_get(b->kube, a, BED_CLUSTER);
}

struct bed_post {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct arena *arena;
    struct bed_answer answer;
    int answers;
};

static void on_done(void *self, int code, const struct json *answer, const struct status *failure)
{
    struct bed_post *p = self;
    pthread_mutex_lock(&p->lock);
    p->answers++;
    p->answer.is_done = true;
    p->answer.code = failure ? failure->code : code;
    p->answer.body = answer ? json_copy(p->arena, answer) : NULL;
    p->answer.message = arena_str(p->arena, failure ? failure->message : json_str_at(answer, "message"));
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

struct bed_post *bed_post_begin(struct bed *b, const char *action, const char *body, bool dry_run)
{
    struct bed_post *p = mem_new_of(struct bed_post);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->arena = arena_new();
    const struct json *v;
    struct error e;
    CHECK_OK(json_parse(b->a, str_from(body), NULL, &v, &e), e);
    const struct action_request request = { .resource = S("postgresclusters"),
                                            .action = str_from(action),
                                            .namespace_ = S("default"),
                                            .name = S("pg"),
                                            .object = bed_cluster(b),
                                            .body = v,
                                            .user = S("tester"),
                                            .dry_run = dry_run };
    const struct action_backend *backend = manager_actions(b->manager);
    backend->submit(backend->self, &request, on_done, p);
    return p;
}

bool bed_post_is_done(struct bed_post *p)
{
    pthread_mutex_lock(&p->lock);
    bool done = p->answer.is_done;
    pthread_mutex_unlock(&p->lock);
    return done;
}

struct bed_answer bed_post_end(struct bed *b, struct bed_post *p)
{
    cr_assert(BECOMES(bed_post_is_done(p)), "the action is never answered; status: %.*s", STR_ARG(bed_status_text(b)));
    struct bed_answer answer = p->answer;
    cr_assert_eq(p->answers, 1);
    answer.body = answer.body ? json_copy(b->a, answer.body) : NULL;
    answer.message = arena_str(b->a, answer.message);
    arena_free(p->arena);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
    return answer;
}

struct bed_answer bed_post(struct bed *b, const char *action, const char *body)
{
    return bed_post_end(b, bed_post_begin(b, action, body, false));
}
