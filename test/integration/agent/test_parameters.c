/* SPDX-License-Identifier: Apache-2.0 */
/* Changed parameters as two real agents and their PostgreSQL see them: what is in force, what waits for whom. */
#include <stdio.h>

#include "bed.h"
#include "harness/check.h"
#include "json/json_parse.h"

static const char *newest_restart; /* its id */
static int64_t newest;             /* version of the configuration that was sent last, to all */

static bool is_in_force(const struct agent_status *s)
{
    return s->loaded_version == newest && s->config_version == newest;
}

static void send_to_all(struct bed *b)
{
    bed_configure_all(b);
    newest = b->instances[0].config_version;
}

static void configure(struct bed *b, const char *parameters)
{
    struct error err = { 0 };
    CHECK_OK(json_parse(b->arena, str_from(parameters), NULL, &b->parameters, &err), err);
    send_to_all(b);
    for (size_t n = 0; n < b->count; n++)
        instance_wait(&b->instances[n], "in force", is_in_force);
}

static void bring_up(struct bed *b, size_t count, const char *parameters)
{
    bed_open(b, count);
    struct error err = { 0 };
    CHECK_OK(json_parse(b->arena, str_from(parameters), NULL, &b->parameters, &err), err);
    for (size_t n = 0; n < count; n++) {
        instance_launch(&b->instances[n]);
        instance_connect(&b->instances[n]);
    }
    send_to_all(b);
    instance_wait(&b->instances[0], "a running primary", is_running_primary);
    b->is_initialized = true;
    if (count > 1)
        instance_wait(&b->instances[1], "a streaming standby", is_streaming_standby);
    for (size_t n = 0; n < count; n++)
        instance_wait(&b->instances[n], "in force", is_in_force);
}

static void restart(struct instance *i, const char *id, str postmaster)
{
    struct arena *a = i->bed->arena;
    const struct json *body = JSON_OBJECT_OF(a, JSON_MEMBER("term", json_int(a, i->bed->term)),
                                             JSON_MEMBER("id", json_string(a, str_from(id))),
                                             JSON_MEMBER("postmaster", json_string(a, postmaster)));
    newest_restart = id;
    cr_expect(instance_command(i, "/v1/restart", body, NULL) == 200);
}

static str shown(struct instance *i, const char *name)
{
    return instance_sql(i, "postgres", arena_printf(i->bed->arena, "SHOW %s", name).ptr);
}

static bool has_restarted(const struct agent_status *s)
{
    return str_eq_z(s->last_restart_id, newest_restart) && is_in_force(s) &&
           (is_running_primary(s) || is_streaming_standby(s));
}

static bool may_fall(const struct agent_status *s)
{
    return is_in_force(s) && s->pending_restart && !s->restart_primary_first;
}

static bool waits_elsewhere(const struct agent_status *s)
{
    return str_eq(s->pending_elsewhere_names, S("shared_buffers"));
}

static bool is_refused(const struct agent_status *s)
{
    return s->config_error.len > 0;
}

static bool is_not_refused(const struct agent_status *s)
{
    return is_in_force(s) && s->config_error.len == 0;
}

Test(agent_parameters, a_version_is_in_force_when_postgresql_has_loaded_it, .timeout = BED_TEST_S)
{
    struct bed b;
    bring_up(&b, 1, "{}");
    struct instance *i = &b.instances[0];
    for (int n = 5; n < 15; n++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "{\"work_mem\":\"%dMB\"}", n);
        configure(&b, text);
        CHECK_STR(shown(i, "work_mem"), arena_printf(b.arena, "%dMB", n).ptr);
    }
    bed_close(&b);
}

Test(agent_parameters, a_limit_falls_on_a_standby_only_after_its_primary, .timeout = BED_TEST_S)
{
    struct bed b;
    bring_up(&b, 2, "{\"max_connections\":\"55\"}");
    struct instance *one = &b.instances[0], *two = &b.instances[1];
    configure(&b, "{\"max_connections\":\"0x2d\"}");
    struct agent_status primary = instance_status(one), standby = instance_status(two);
    cr_expect(primary.pending_restart && primary.restart_primary_first && !primary.restart_standbys_first);
    cr_expect(standby.pending_restart && standby.restart_primary_first && !standby.restart_standbys_first);
    cr_expect(str_eq(standby.pending_restart_names, S("max_connections")));
    /* Too early: it has to keep the limit, says so again, and is not left with it for good. */
    restart(two, "r-1", S(""));
    instance_wait(two, "restarted", has_restarted);
    CHECK_STR(shown(two, "max_connections"), "55");
    standby = instance_status(two);
    cr_expect(standby.pending_restart && standby.restart_primary_first);
    restart(one, "r-1", primary.postmaster);
    instance_wait(one, "restarted", has_restarted);
    CHECK_STR(shown(one, "max_connections"), "45");
    cr_expect(!instance_status(one).pending_restart);
    instance_wait(two, "free to fall", may_fall);
    standby = instance_status(two);
    restart(two, "r-2", standby.postmaster);
    instance_wait(two, "restarted", has_restarted);
    CHECK_STR(shown(two, "max_connections"), "45");
    cr_expect(!instance_status(two).pending_restart);
    /* An order for a start that is no more does nothing. */
    pid_t before = instance_postmaster(two);
    restart(two, "r-3", standby.postmaster);
    instance_wait(two, "streaming", is_streaming_standby);
    configure(&b, "{\"max_connections\":\"60\"}");
    cr_expect(instance_postmaster(two) == before);
    standby = instance_status(two);
    cr_expect(standby.pending_restart && standby.restart_standbys_first && !standby.restart_primary_first);
    bed_close(&b);
}

Test(agent_parameters, what_alter_system_changed_is_told_and_wants_no_restart, .timeout = BED_TEST_S)
{
    struct bed b;
    bring_up(&b, 1, "{\"shared_buffers\":\"16MB\"}");
    struct instance *i = &b.instances[0];
    (void)instance_sql(i, "postgres", "ALTER SYSTEM SET shared_buffers = '24MB'");
    (void)instance_sql(i, "postgres", "SELECT pg_reload_conf()");
    instance_wait(i, "waiting elsewhere", waits_elsewhere);
    cr_expect(!instance_status(i).pending_restart);
    /* It wins over the configuration also after a restart, which is not asked for again and again. */
    configure(&b, "{\"shared_buffers\":\"20MB\"}");
    cr_expect(instance_status(i).pending_restart, "both changed it");
    restart(i, "r-1", S(""));
    instance_wait(i, "restarted", has_restarted);
    CHECK_STR(shown(i, "shared_buffers"), "24MB");
    cr_expect(!instance_status(i).pending_restart);
    bed_close(&b);
}

Test(agent_parameters, what_postgresql_refuses_of_the_configuration_is_told, .timeout = BED_TEST_S)
{
    struct bed b;
    bring_up(&b, 1, "{}");
    struct instance *i = &b.instances[0];
    struct arena *a = b.arena;
    b.parameters = JSON_OBJECT_OF(a, JSON_MEMBER("work_mam", json_string(a, S("1MB"))));
    send_to_all(&b);
    instance_wait(i, "refused", is_refused);
    struct agent_status s = instance_status(i);
    cr_expect(!is_in_force(&s), "an unknown name keeps PostgreSQL from loading anything");
    CHECK_HAS(s.config_error, "work_mam");
    b.parameters = JSON_OBJECT_OF(a, JSON_MEMBER("log_timezone", json_string(a, S("Nowhere/At_All"))),
                                  JSON_MEMBER("work_mem", json_string(a, S("9MB"))));
    send_to_all(&b);
    instance_wait(i, "in force", is_in_force);
    instance_wait(i, "refused", is_refused);
    CHECK_HAS(instance_status(i).config_error, "log_timezone");
    CHECK_STR(shown(i, "work_mem"), "9MB");
    configure(&b, "{}");
    instance_wait(i, "fine again", is_not_refused);
    bed_close(&b);
}
