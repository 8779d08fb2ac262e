/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out the steps of a plan. All edits of the record in one pass are one compare-and-swap; after it the pass ends
 * and the next one looks at the new facts, so no step ever works on a view that is out of date.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "internal.h"
#include "json/json_write.h"

#define COMMAND_DEADLINE_MS 5000
#define RETRY_FIRST_MS 200
#define RETRY_MAX_MS 2000

/* Placements of every instance of every cluster: addresses are not given twice. */
static int all_placements(struct manager *m, struct arena *a, struct placement **ret, size_t *ret_count,
                          struct error *err)
{
    const struct kube_request req = { .method = "GET",
                                      .path = kube_path(a, S("internal.postgres.example.io"), S("clusterrecords"),
                                                        S(""), S(""), S("")),
                                      .deadline_ns = deadline_in_ms(COMMAND_DEADLINE_MS) };
    struct kube_response res;
    int r = kube_call(m->client, a, &req, &res, err);
    if (r < 0)
        return error_wrap(err, r, "listing term records");
    const struct json *items = json_get(res.body, S("items"));
    size_t cap = 0;
    for (size_t i = 0; i < json_count(items); i++)
        cap += json_count(json_at(json_item(items, i), "spec.instances"));
    *ret = arena_array_of(a, struct placement, cap);
    *ret_count = 0;
    for (size_t i = 0; i < json_count(items); i++) {
        struct record record;
        if (record_from_json(a, json_item(items, i), &record, NULL) < 0)
            continue;
        for (size_t k = 0; k < record.instance_count; k++)
            (*ret)[(*ret_count)++] = record.instances[k].at;
    }
    return 0;
}

/* Adds one instance to r (not yet saved), on a free place. */
static int add_instance(struct cluster_runtime *c, struct arena *a, struct record *r, struct error *err)
{
    struct placement *taken = NULL;
    size_t count = 0;
    int result = all_placements(c->manager, a, &taken, &count, err);
    if (result < 0)
        return result;
    /* Those that this very pass placed are not in the store yet. */
    struct placement *all = arena_array_of(a, struct placement, count + r->instance_count);
    for (size_t i = 0; i < count; i++)
        all[i] = taken[i];
    for (size_t i = 0; i < r->instance_count; i++)
        all[count++] = r->instances[i].at;
    struct record_instance in = { .serial = r->next_serial };
    in.name = arena_printf(a, "%s-%lld", c->name, (long long)in.serial);
    const struct platform_instance p = runtime__platform(c, &in);
    result = c->manager->platform.ops->place(c->manager->platform.self, a, &p, all, count, &in.at, err);
    if (result < 0)
        return result;
    r->next_serial++;
    record_add_instance(a, r, in);
    return 0;
}

/* With m->placing held. */
static int create_placed(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct error *err)
{
    struct record r = { .uid = v->uid,
                        .namespace_ = v->namespace_,
                        .cluster = v->name,
                        .term = 1,
                        .version = 1,
                        .tli = 1,
                        .mode = S(RECORD_MODE_LEADER),
                        .next_serial = 1,
                        .postgres_major = v->spec.postgres_major };
    for (int64_t i = 0; i < v->spec.instances; i++) {
        int result = add_instance(c, a, &r, err);
        if (result < 0)
            return result;
    }
    r.primary = r.old = r.instances[0].name;
    r.members = &r.instances[0].name;
    r.member_count = 1;
    /* Nothing was acknowledged yet, and without standbys nothing will be. */
    struct record_sync sync = { .term = r.term, .primary = r.primary, .wait = v->spec.sync_number };
    if (v->spec.is_sync_required && sync.wait > 0) {
        r.sync = &sync;
        r.sync_count = 1;
    }
    int result = record__save(c->manager, a, &r, err);
    if (result == 0)
        log_info("cluster created", LOG_Z("cluster", c->key), LOG_INT("instances", v->spec.instances));
    return result;
}

static int create_record(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct error *err)
{
    pthread_mutex_lock(&c->manager->placing);
    int r = create_placed(c, a, v, err);
    pthread_mutex_unlock(&c->manager->placing);
    return r;
}

static int launch(struct cluster_runtime *c, const struct cluster_view *v, str name, struct error *err)
{
    const struct record_instance *in = record_instance_of(&v->record, name);
    struct instance_runtime *i = runtime__instance(c, name);
    i->launched_ns = clock_monotonic_ns();
    struct pki_pair pair;
    int r = identities__instance(c, in, &pair, err);
    if (r < 0)
        return r;
    const struct platform_instance p = runtime__platform(c, in);
    const struct platform_identity identity = { .ca_pem = c->ca.certificate_pem,
                                                .certificate_pem = pair.certificate_pem,
                                                .private_key_pem = pair.private_key_pem };
    struct error why;
    r = c->manager->platform.ops->launch(c->manager->platform.self, &p, &identity, &why);
    if (r < 0) {
        (void)error_wrap(&why, r, "launching instance \"%.*s\"", STR_ARG(name));
        memcpy(i->launch_error, why.text, sizeof(why.text));
        return error_set(err, (enum err)r, "%s", why.text);
    }
    i->launch_error[0] = '\0';
    if (v->record.is_initialized && record_has_member(&v->record, name) &&
        view_instance(v, name)->platform != PLATFORM_LIVE)
        events_emit(c->manager->events, v->object, true, "InstanceLaunched",
                    "%.*s: nothing of it ran any more, its agent is started again", STR_ARG(name));
    return 0;
}

static int restart(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v, const struct step *s,
                   struct error *err)
{
    struct instance_runtime *i = runtime__instance(c, s->instance);
    const struct json *body = JSON_OBJECT_OF(
        a, JSON_MEMBER("protocol", json_int(a, AGENT_PROTOCOL)), JSON_MEMBER("term", json_int(a, v->record.term)),
        JSON_MEMBER("id", json_string(a, s->restart_id)), JSON_MEMBER("postmaster", json_string(a, s->postmaster)));
    log_info("restarting PostgreSQL", LOG_Z("cluster", c->key), LOG_STR("instance", s->instance),
             LOG_STR("reason", s->reason));
    return act__refusal(link_command(i->link, a, "/v1/restart", body, deadline_in_ms(COMMAND_DEADLINE_MS), NULL, err));
}

/* Steps that only edit the record. False: this one is something else. */
static bool edit_record(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, const struct step *s,
                        int *ret_result, struct error *err)
{
    struct record *r = &v->record;
    *ret_result = 0;
    switch (s->kind) {
    case STEP_ADD_INSTANCE: *ret_result = add_instance(c, a, r, err); return true;
    case STEP_SET_INITIALIZED:
        r->is_initialized = true;
        r->system_identifier = view_instance(v, s->instance)->link.status.system_identifier;
        return true;
    case STEP_ADMIT_MEMBER: record_add_member(a, r, s->instance); return true;
    case STEP_SET_SYNC: record_push_sync(a, r, s->sync); return true;
    case STEP_FORGET_SYNC: record_forget_old_sync(a, r); return true;
    case STEP_FORGET_RESTART: r->restart_id = r->restart_instance = S(""); return true;
    case STEP_MARK_REMOVING: record_set_removing(a, r, s->instance, true); return true;
    case STEP_DROP_MEMBER: record_remove_member(a, r, s->instance); return true;
    default: return false;
    }
}

/* All edits of the plan in one write. An instance that finds no place keeps no other edit back. With m->placing held
 * when one is added. */
static int edit_all(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, const struct plan *p,
                    bool *ret_is_edited, struct error *err)
{
    int first = 0;
    const struct record before = v->record;
    *ret_is_edited = false;
    for (size_t i = 0; i < p->count; i++) {
        int result;
        struct error one;
        bool is_edit = edit_record(c, a, v, &p->steps[i], &result, &one);
        if (is_edit && result < 0 && first == 0) {
            first = result;
            if (err)
                *err = one;
        }
        *ret_is_edited |= is_edit && result == 0;
    }
    if (!*ret_is_edited)
        return first;
    struct error one;
    int result = record__save(c->manager, a, &v->record, &one);
    if (result < 0)
        v->record = before;
    if (result < 0 && err)
        *err = one;
    return result < 0 ? result : first;
}

/* *ret_is_outdated: what the instances say is not about their newest configuration any more. */
static int effect(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, const struct step *s,
                  bool *ret_is_outdated, struct error *err)
{
    switch (s->kind) {
    case STEP_CREATE_RECORD: return create_record(c, a, v, err);
    case STEP_LAUNCH: return launch(c, v, s->instance, err);
    case STEP_BEGIN_CHANGE: return change__begin(c, a, v, s, err);
    case STEP_CONTINUE_CHANGE: return change__continue(c, a, v, err);
    case STEP_PROMOTE: return change__promote(c, a, v, err);
    case STEP_CONFIGURE: return config__send_all(c, a, v, ret_is_outdated, err);
    case STEP_RESTART: return restart(c, a, v, s, err);
    case STEP_REMOVE: return remove__instance(c, a, v, s->instance, err);
    default: return error_set(err, ERRC_INTERNAL, "step %d has no effect", (int)s->kind);
    }
}

/* A change of primary that waits (for a proof, an answer) is tried again less often the longer it waits, but sooner
 * than the queue would, since nobody can write meanwhile. */
static int64_t retry_ms(const struct cluster_runtime *c)
{
    int64_t waited_ms = c->change_began_ns ? (clock_monotonic_ns() - c->change_began_ns) / NS_PER_MS : 0;
    int64_t ms = waited_ms / 10;
    return ms < RETRY_FIRST_MS ? RETRY_FIRST_MS : ms > RETRY_MAX_MS ? RETRY_MAX_MS : ms;
}

int act__steps(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, const struct plan *p,
               struct error *err)
{
    bool is_edited, is_placing = false, is_outdated = false;
    for (size_t i = 0; i < p->count; i++)
        is_placing |= p->steps[i].kind == STEP_ADD_INSTANCE;
    if (is_placing)
        pthread_mutex_lock(&c->manager->placing);
    int first = edit_all(c, a, v, p, &is_edited, err);
    if (is_placing)
        pthread_mutex_unlock(&c->manager->placing);
    if (is_edited) {
        workqueue_add(c->manager->queue, str_from(c->key));
        return first;
    }
    for (size_t i = 0; i < p->count; i++) {
        struct error one;
        enum step_kind kind = p->steps[i].kind;
        if (kind == STEP_ADD_INSTANCE)
            continue; /* found no place */
        if (kind == STEP_RESTART && is_outdated)
            continue; /* the next pass knows more */
        int result = effect(c, a, v, &p->steps[i], &is_outdated, &one);
        if (result < 0 && first == 0) {
            first = result;
            if (err)
                *err = one;
        }
        if (kind == STEP_CREATE_RECORD || kind == STEP_BEGIN_CHANGE || kind == STEP_CONTINUE_CHANGE) {
            if (result == 0 || kind != STEP_CREATE_RECORD) /* nobody waits for that: the queue's own retry does */
                workqueue_add_after(c->manager->queue, str_from(c->key), result < 0 ? retry_ms(c) : 0);
            break; /* the record changed under the view */
        }
        if (kind == STEP_REMOVE)
            break; /* the same; one at a time */
    }
    return first;
}
