/* SPDX-License-Identifier: Apache-2.0 */
/* What waits for a restart, and in which order instances may have it: from what was written and what PostgreSQL says.
 */
#include <stdio.h>

#include "harness/check.h"
#include "reconcile/agent/agent.h"

/* In the order of conf_limit_names: max_connections first, max_worker_processes second. */
static const bool none[CONF_LIMITS], holds_connections[CONF_LIMITS] = { true };

static struct pending pending(const char *waiting, const char *started, const char *written, bool is_standby,
                              const bool *held)
{
    const struct pending_input in = { .waiting = str_from(waiting),
                                      .started = str_from(started),
                                      .written = str_from(written),
                                      .is_standby = is_standby,
                                      .held = held };
    struct pending p;
    pending_of(&in, &p);
    return p;
}

Test(agent_loaded, nothing_waits_when_postgresql_says_so)
{
    struct pending p = pending("", "a = '1'\n", "a = '2'\n", false, none);
    cr_expect(!p.needs_restart && !p.primary_first && !p.standbys_first);
    cr_expect_str_eq(p.names, "");
}

Test(agent_loaded, a_parameter_that_the_configuration_changed_since_the_start_needs_a_restart)
{
    struct pending p = pending("shared_buffers=2048\nwal_level=", "shared_buffers = '16MB'\n",
                               "shared_buffers = '20MB'\nwal_level = 'logical'\n", true, none);
    cr_expect(p.needs_restart && !p.primary_first && !p.standbys_first);
    cr_expect_str_eq(p.names, "shared_buffers,wal_level");
    cr_expect_str_eq(p.elsewhere_names, "");
}

Test(agent_loaded, what_the_configuration_did_not_change_waits_elsewhere)
{
    /* ALTER SYSTEM, or a value on the command line: another start with the same file changes nothing of ours. */
    struct pending p = pending("shared_buffers=2048\nmax_connections=40", "shared_buffers = '16MB'\n",
                               "shared_buffers = '16MB'\n", false, none);
    cr_expect(!p.needs_restart && !p.primary_first);
    cr_expect_str_eq(p.elsewhere_names, "shared_buffers,max_connections");
    cr_expect_str_eq(p.names, "");
}

Test(agent_loaded, what_only_the_configuration_spoke_of_and_took_back_does_not_wait)
{
    struct pending p = pending("-shared_buffers=2048\n-max_connections=40", "max_connections = '40'\n",
                               "max_connections = '50'\n", false, none);
    cr_expect(p.needs_restart);
    cr_expect_str_eq(p.names, "max_connections");
    cr_expect_str_eq(p.elsewhere_names, "");
}

Test(agent_altered, only_lines_that_set_what_is_the_agents_own_are_taken_out)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    str text = S("work_mem = '4MB'\n" CONF_OWN_LINE "\nport = 5432\nssl = 'on'\n"), taken;
    cr_expect(conf_owns(text, S("PORT")) && !conf_owns(text, S("work_mem")) && !conf_owns(text, S("")));
    CHECK_STR(altered_without_own(a, S("# a comment\nwork_mem = '9MB'\nPort = '1'\nssl='off'\n"), text, &taken),
              "# a comment\nwork_mem = '9MB'\n");
    CHECK_STR(taken, "Port,ssl");
    CHECK_STR(altered_without_own(a, S("# a = b\n\nx.y = '1'"), text, &taken), "# a = b\n\nx.y = '1'\n");
    CHECK_STR(taken, "");
}

Test(agent_loaded, the_last_line_of_a_name_counts_in_any_case)
{
    struct pending p = pending("max_connections=40", "max_connections = '50'\nMax_Connections = 40\n",
                               "max_connections = '50'\nmax_connections = 60\n", true, none);
    cr_expect(p.needs_restart && p.standbys_first);
}

Test(agent_loaded, a_limit_that_rises_takes_standbys_first_and_one_that_falls_the_primary)
{
    struct pending p =
        pending("max_connections=40", "max_connections = '40'\n", "max_connections = '0x64'\n", false, none);
    cr_expect(p.standbys_first && !p.primary_first, "0x64 is 100");
    p = pending("max_connections=40", "max_connections = '40'\n", "max_connections = '010'\n", false, none);
    cr_expect(p.primary_first && !p.standbys_first, "010 is 8");
    /* A standby that may fall has seen its primary fall. */
    p = pending("max_connections=40", "max_connections = '40'\n", "max_connections = '30'\n", true, none);
    cr_expect(p.needs_restart && !p.primary_first && !p.standbys_first);
}

Test(agent_loaded, a_limit_that_the_wal_still_demands_waits_for_the_primary)
{
    /* The file keeps 55 for now, so PostgreSQL itself says nothing of it. */
    struct pending p = pending("", "max_connections = 55\n", "max_connections = '45'\nmax_connections = 55\n", true,
                               holds_connections);
    cr_expect(p.needs_restart && p.primary_first && !p.standbys_first);
    cr_expect_str_eq(p.names, "max_connections");
    p = pending("max_worker_processes=8", "", "max_worker_processes = '16'\nmax_connections = 55\n", true,
                holds_connections);
    cr_expect(p.primary_first && p.standbys_first, "and another one rises");
}

Test(agent_loaded, an_endless_list_of_names_is_cut_at_a_name)
{
    char waiting[2000] = "", written[4000] = "";
    for (int i = 0; i < 60; i++) {
        (void)snprintf(waiting + strlen(waiting), sizeof(waiting) - strlen(waiting), "parameter_%03d=\n", i);
        (void)snprintf(written + strlen(written), sizeof(written) - strlen(written), "parameter_%03d = 'x'\n", i);
    }
    struct pending p = pending(waiting, "", written, false, none);
    cr_expect(p.needs_restart);
    cr_expect_lt(strlen(p.names), sizeof(p.names));
    cr_expect_eq((strlen(p.names) + 1) % strlen("parameter_000,"), 0);
}

Test(agent_loaded, whole_numbers_are_read_as_postgresql_reads_them)
{
    static const struct {
        const char *text;
        bool is_valid;
        int64_t value;
    } rows[] = { { "100", true, 100 },   { " 100 ", true, 100 }, { "1e2", true, 100 },
                 { "0x64", true, 100 },  { "0144", true, 100 },  { "010", true, 8 },
                 { "100.4", true, 100 }, { "99.6", true, 100 },  { "-1", true, -1 },
                 { "+7", true, 7 },      { ".6e1", true, 6 },    { "", false, 0 },
                 { "many", false, 0 },   { "08", false, 0 },     { "100kB", false, 0 },
                 { "1 0", false, 0 },    { "1e99", false, 0 },   { "99999999999999999999", false, 0 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t n = 0;
        cr_expect_eq(conf_integer(str_from(rows[i].text), &n), rows[i].is_valid, "%s", rows[i].text);
        if (rows[i].is_valid)
            cr_expect_eq(n, rows[i].value, "%s: %lld", rows[i].text, (long long)n);
    }
}
