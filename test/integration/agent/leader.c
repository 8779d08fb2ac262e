/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's side of the bed: streams, heartbeats, configurations, commands. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fs.h"
#include "bed.h"
#include "harness/check.h"
#include "json/json_parse.h"
#include "json/json_write.h"

static void on_line(void *self, str line)
{
    struct instance *i = self;
    struct arena *a = arena_new();
    const struct json *v = NULL;
    struct agent_status s;
    if (json_parse(a, line, NULL, &v, NULL) != 0 || agent_status_from_json(a, v, &s, NULL) != 0) {
        arena_free(a);
        return;
    }
    pthread_mutex_lock(&i->lock);
    arena_free(i->status_arena);
    i->status_arena = a;
    i->status = s;
    i->heard_ns = clock_monotonic_ns();
    i->heard_count++;
    i->is_answered = false;
    if (i->crashed_ns == 0 && is_crashed(&s))
        i->crashed_ns = i->heard_ns;
    pthread_mutex_unlock(&i->lock);
}

static void on_end(void *self, int code, const struct error *err)
{
    struct instance *i = self;
    (void)code;
    (void)err;
    pthread_mutex_lock(&i->lock);
    i->stream_ended = true;
    pthread_mutex_unlock(&i->lock);
}

static struct http_client_tls tls_of(struct instance *i)
{
    return (struct http_client_tls) { .ca_pem = i->bed->ca.certificate_pem,
                                      .certificate_pem = i->bed->leader.certificate_pem,
                                      .private_key_pem = i->bed->leader.private_key_pem,
                                      .server_name = str_from(i->name) };
}

void instance_connect(struct instance *i)
{
    static const struct http_client_stream_ops ops = { .on_line = on_line, .on_end = on_end };
    struct error err = { 0 };
    if (i->stream)
        http_client_stream_close(i->stream);
    i->stream_ended = false;
    const struct http_client_tls tls = tls_of(i);
    const struct http_client_request q = {
        .method = "GET",
        .url = arena_printf(i->bed->arena, "https://%s:%d/v1/stream", i->host, i->agent_port),
        .tls = &tls,
    };
    CHECK_OK(http_client_stream_open(i->bed->client, &q, 3000, &ops, i, &i->stream, &err), err);
}

int instance_command(struct instance *i, const char *path, const struct json *body, const struct json **ret)
{
    struct arena *a = i->bed->arena;
    const struct http_client_tls tls = tls_of(i);
    const struct http_client_request q = {
        .method = "POST",
        .url = arena_printf(a, "https://%s:%d%s", i->host, i->agent_port, path),
        .content_type = S("application/json"),
        .body = json_text(a, body),
        .tls = &tls,
        .deadline_ns = deadline_in_ms(PATIENCE_MS),
    };
    struct http_client_response res = { 0 };
    struct error err = { 0 };
    if (http_client_call(i->bed->client, a, &q, &res, &err) != 0)
        return 0;
    const struct json *v = NULL;
    if (json_parse(a, res.body, NULL, &v, NULL) == 0 && ret)
        *ret = v;
    return res.code;
}

static const struct json *word(struct instance *i)
{
    struct bed *b = i->bed;
    struct arena *a = b->arena;
    bool is_primary = strcmp(b->primary, i->name) == 0;
    return JSON_OBJECT_OF(a, JSON_MEMBER("protocol", json_int(a, AGENT_PROTOCOL)),
                          JSON_MEMBER("nonce", json_int(a, i->status.nonce)), JSON_MEMBER("term", json_int(a, b->term)),
                          JSON_MEMBER("grant", json_bool(is_primary)),
                          JSON_MEMBER("mayStart", json_bool(is_primary && b->may_start)));
}

/* Answers new heartbeats of every instance, as the leader's link does. */
static void answer_all(struct bed *b)
{
    for (size_t n = 0; n < b->count; n++) {
        struct instance *i = &b->instances[n];
        pthread_mutex_lock(&i->lock);
        bool is_due = i->heard_ns != 0 && !i->is_answered && i->pid != 0;
        i->is_answered = true;
        const struct json *body = is_due && !b->is_silent ? word(i) : NULL;
        pthread_mutex_unlock(&i->lock);
        if (body)
            (void)instance_command(i, "/v1/exchange", body, NULL);
    }
}

struct agent_status instance_status(struct instance *i)
{
    struct arena *a = i->bed->arena;
    struct agent_status s = { 0 };
    pthread_mutex_lock(&i->lock);
    const struct json *v = json_copy(a, agent_status_to_json(a, &i->status));
    pthread_mutex_unlock(&i->lock);
    cr_assert(agent_status_from_json(a, v, &s, NULL) == 0);
    return s;
}

bool instance_becomes(struct instance *i, status_fn is_so, int64_t ms)
{
    int64_t deadline_ns = deadline_in_ms(ms);
    for (;;) {
        pthread_mutex_lock(&i->lock);
        bool done = i->heard_ns != 0 && is_so(&i->status);
        pthread_mutex_unlock(&i->lock);
        if (done || deadline_has_passed(deadline_ns))
            return done;
        answer_all(i->bed);
        (void)poll(NULL, 0, 2);
    }
}

void instance_wait(struct instance *i, const char *what, status_fn is_so)
{
    if (instance_becomes(i, is_so, PATIENCE_MS))
        return;
    struct agent_status s = instance_status(i);
    cr_assert(false, "%s is not %s: %.*s", i->name, what,
              STR_ARG(json_text(i->bed->arena, agent_status_to_json(i->bed->arena, &s))));
}

bool is_running_primary(const struct agent_status *s)
{
    return str_eq(s->phase, S("running")) && s->postgres_running && !s->in_recovery && s->granted_to.len > 0 &&
           s->health_ok;
}

bool is_streaming_standby(const struct agent_status *s)
{
    return str_eq(s->phase, S("running")) && s->in_recovery && s->streaming && s->usable;
}

bool is_crashed(const struct agent_status *s)
{
    return str_eq(s->phase, S("crashed"));
}

static int64_t crash_told_ns(struct instance *i)
{
    pthread_mutex_lock(&i->lock);
    int64_t ns = i->crashed_ns;
    pthread_mutex_unlock(&i->lock);
    return ns;
}

int64_t instance_crash(struct instance *i)
{
    pthread_mutex_lock(&i->lock);
    i->crashed_ns = 0;
    pthread_mutex_unlock(&i->lock);
    int64_t began_ns = clock_monotonic_ns();
    cr_assert(kill(instance_postmaster(i), SIGKILL) == 0);
    cr_assert(BECOMES(crash_told_ns(i) != 0), "%s never says that it crashed", i->name);
    return (crash_told_ns(i) - began_ns) / NS_PER_MS;
}

bool is_stopped(const struct agent_status *s)
{
    return str_eq(s->phase, S("stopped")) && !s->postgres_running;
}

/* ---- commands ------------------------------------------------------------------------------------------------ */

static const struct json *peers_json(struct bed *b)
{
    struct json_builder list;
    struct arena *a = b->arena;
    json_builder_init(&list, a);
    for (size_t n = 0; n < b->count; n++)
        json_builder_add(&list, S(""),
                         JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, str_from(b->instances[n].name))),
                                        JSON_MEMBER("host", json_string(a, str_from(b->instances[n].host))),
                                        JSON_MEMBER("port", json_int(a, b->instances[n].port))));
    return json_builder_array(&list);
}

static const struct json *others_json(struct instance *i)
{
    struct json_builder list;
    struct arena *a = i->bed->arena;
    json_builder_init(&list, a);
    for (size_t n = 0; n < i->bed->count; n++)
        if (&i->bed->instances[n] != i)
            json_builder_add(&list, S(""), json_string(a, str_from(i->bed->instances[n].name)));
    return json_builder_array(&list);
}

void instance_configure(struct instance *i)
{
    struct bed *b = i->bed;
    struct arena *a = b->arena;
    const struct pki_pair pair = instance_identity(i);
    struct agent_config c = {
        .protocol = AGENT_PROTOCOL,
        .version = ++i->config_version,
        .term = b->term,
        .timeline = b->timeline,
        .cluster_uid = S("11111111-2222-4333-8444-555555555555"),
        .cluster_name = S("pg"),
        .namespace_ = S("default"),
        .instance = str_from(i->name),
        .host = str_from(i->host),
        .port = i->port,
        .postgres_major = 15,
        .primary = str_from(b->primary),
        .peers = peers_json(b),
        .may_initialize = !b->is_initialized && strcmp(b->primary, i->name) == 0,
        .initdb = &json_empty_object,
        .parameters = b->parameters ? b->parameters : &json_empty_object,
        .hba = &json_empty_array,
        .synchronous_standby_names = str_from(b->sync_names),
        .slots = others_json(i),
        .repositories = b->repositories ? b->repositories : &json_empty_array,
        .app_user = S("app"),
        .app_password = S("it's \\ secret"),
        .app_database = S("app"),
        .certificate_pem = pair.certificate_pem,
        .private_key_pem = pair.private_key_pem,
        .ca_pem = b->ca.certificate_pem,
        .data_checksums = true,
        .crash_grace_ms = b->crash_grace_ms,
    };
    const struct json *answer = NULL;
    int code = instance_command(i, "/v1/configure", agent_config_to_json(a, &c), &answer);
    cr_assert(code == 200, "%s: configure: %d %.*s", i->name, code, STR_ARG(json_str_at(answer, "message")));
}

void bed_configure_all(struct bed *b)
{
    for (size_t n = 0; n < b->count; n++)
        if (b->instances[n].pid != 0)
            instance_configure(&b->instances[n]);
}

struct agent_report instance_prepare(struct instance *i, const char *want)
{
    struct arena *a = i->bed->arena;
    const struct json *answer = NULL;
    struct agent_report report = { 0 };
    int code = instance_command(i, "/v1/prepare",
                                JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, i->bed->term)),
                                               JSON_MEMBER("want", json_string(a, str_from(want)))),
                                &answer);
    cr_assert(code == 200, "%s: prepare: %d %.*s", i->name, code, STR_ARG(json_str_at(answer, "message")));
    cr_assert(agent_report_from_json(a, answer, &report, NULL) == 0);
    return report;
}

void instance_promote(struct instance *i, int64_t timeline)
{
    struct arena *a = i->bed->arena;
    const struct json *answer = NULL;
    i->bed->primary = i->name;
    i->bed->timeline = timeline;
    int code = instance_command(i, "/v1/promote",
                                JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, i->bed->term)),
                                               JSON_MEMBER("timeline", json_int(a, timeline))),
                                &answer);
    cr_assert(code == 200, "%s: promote: %d %.*s", i->name, code, STR_ARG(json_str_at(answer, "message")));
}

/* ---- what many tests begin with ------------------------------------------------------------------------------ */

void bed_bring_up(struct bed *b, size_t count)
{
    bed_open(b, count);
    bed_start(b);
}

void bed_start(struct bed *b)
{
    for (size_t n = 0; n < b->count; n++) {
        instance_launch(&b->instances[n]);
        instance_connect(&b->instances[n]);
    }
    bed_configure_all(b);
    instance_wait(&b->instances[0], "a running primary", is_running_primary);
    b->is_initialized = true;
    for (size_t n = 1; n < b->count; n++)
        instance_wait(&b->instances[n], "a streaming standby", is_streaming_standby);
}

void instance_relaunch(struct instance *i)
{
    i->heard_ns = 0;
    instance_launch(i);
    instance_connect(i);
}

void instance_wait_rows(struct instance *i, const char *wanted)
{
    int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
    /* Also the table comes by replication. */
    static const char sql[] = "SELECT coalesce((SELECT (xpath('/row/c/text()', query_to_xml('SELECT count(*) AS c "
                              "FROM t', false, true, '')))[1]::text WHERE to_regclass('t') IS NOT NULL), '0')";
    while (!str_eq_z(instance_sql(i, "app", sql), wanted))
        cr_assert(!deadline_has_passed(deadline_ns), "%s never has %s rows", i->name, wanted);
}

str instance_log(struct instance *i, const char *name)
{
    struct arena *a = i->bed->arena;
    struct error err = { 0 };
    str text;
    CHECK_OK(fs_read(a, arena_printf(a, "%s/%s", i->dir, name).ptr, 1u << 24, &text, &err), err);
    return text;
}

void instance_kill_all(struct instance *i)
{
    pid_t postmaster = instance_postmaster(i);
    instance_kill_agent(i);
    if (postmaster > 1)
        (void)kill(postmaster, SIGKILL);
}
