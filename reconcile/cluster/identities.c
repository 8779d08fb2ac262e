/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates that are made from a cluster's CA: the leader's, with which it commands agents, and each instance's,
 * with which agent and PostgreSQL serve and standbys connect. They are kept in this process alone, are renewed when a
 * third of their time is left, and take effect without an interruption: links and agents use the new one from the next
 * connection on, PostgreSQL by a reload.
 */
#include "base/clock.h"
#include "base/log.h"
#include "internal.h"

static int64_t now_s(void)
{
    return clock_realtime_ns() / NS_PER_S;
}

/* Not in time either when the clock was set back to before it was made. */
static bool is_due(const struct identity *i)
{
    return i->arena && (now_s() >= i->renew_s || now_s() < i->from_s);
}

/* When to renew what was issued just now. One that ends with its CA stays: a new one would not last longer. */
static int note_times(const struct cluster_runtime *c, struct identity *i, struct error *err)
{
    struct pki_certificate own, ca;
    int r = pki_parse(i->arena, i->pair.certificate_pem, &own, err);
    if (r == 0)
        r = pki_parse(i->arena, c->ca.certificate_pem, &ca, err);
    if (r < 0)
        return r;
    i->from_s = own.not_before_s;
    i->renew_s = own.not_after_s < ca.not_after_s ? own.not_after_s - (own.not_after_s - now_s()) / 3 : INT64_MAX;
    return 0;
}

static int issue(const struct cluster_runtime *c, struct pki_request request, struct identity *ret, struct error *err)
{
    struct identity next = { .arena = arena_new() };
    request.seconds = c->manager->certificate_s;
    int r = pki_issue(next.arena, &c->ca, &request, &next.pair, err);
    if (r == 0)
        r = note_times(c, &next, err);
    if (r < 0) {
        arena_free(next.arena);
        return error_wrap(err, r, "certificate of \"%.*s\"", STR_ARG(request.common_name));
    }
    arena_free(ret->arena);
    *ret = next;
    return 0;
}

static int issue_leader(struct cluster_runtime *c, struct error *err)
{
    bool is_first = !c->leader.arena;
    int r = issue(c, (struct pki_request) { .common_name = S(AGENT_LEADER_CN), .is_client = true }, &c->leader, err);
    if (r < 0 || is_first)
        return r;
    size_t pos = 0;
    str name;
    void *value;
    while (map_next(c->instances, &pos, &name, &value)) {
        struct instance_runtime *i = value;
        if (i->link)
            link_set_identity(i->link, c->leader.pair.certificate_pem, c->leader.pair.private_key_pem);
    }
    log_info("leader's certificate renewed", LOG_Z("cluster", c->key));
    return 0;
}

int identities__renew(struct cluster_runtime *c, struct error *err)
{
    int r = !c->leader.arena || is_due(&c->leader) ? issue_leader(c, err) : 0;
    size_t pos = 0;
    str name;
    void *value;
    while (r == 0 && map_next(c->instances, &pos, &name, &value)) {
        struct identity *i = &((struct instance_runtime *)value)->identity;
        if (!is_due(i))
            continue;
        arena_free(i->arena); /* the next one is made when the configuration is */
        *i = (struct identity) { .arena = NULL };
        log_info("certificate is renewed", LOG_Z("cluster", c->key), LOG_STR("instance", name));
    }
    return r;
}

int identities__instance(struct cluster_runtime *c, const struct record_instance *in, struct pki_pair *ret,
                         struct error *err)
{
    struct instance_runtime *i = runtime__instance(c, in->name);
    const struct pki_request request = { .common_name = in->name,
                                         .dns_names = &in->name,
                                         .dns_count = 1,
                                         .ip_addresses = &in->at.host,
                                         .ip_count = 1,
                                         .is_server = true,
                                         .is_client = true };
    int r = i->identity.arena ? 0 : issue(c, request, &i->identity, err);
    if (r == 0)
        *ret = i->identity.pair;
    return r;
}
