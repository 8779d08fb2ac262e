/* SPDX-License-Identifier: Apache-2.0 */
/* The table of the agent's flags. What it is to do comes from its folder and from the leader, not from here. */
#include "options.h"

static const struct cli_option agent_options[] = {
    { .name = "data-dir",
      CLI_DIR_AT(struct agent_options, data_dir),
      .value = "DIR",
      .is_required = true,
      .help = "The instance's folder: agent.json says who it is, and everything that it keeps stands there." },
    { .name = "foreground",
      CLI_BOOL_AT(struct agent_options, is_foreground),
      .help = "Stay attached; else it returns once it listens, and goes on in a session of its own." },
};

static const struct cli_program program = {
    .name = "postgres-agent",
    .version = PROJECT_VERSION,
    .man_section = 8,
    .main = { .summary = "Run one PostgreSQL instance for the leader of its cluster",
              .description =
                  "Started by postgres-apiserver, one process an instance, as the user that PostgreSQL runs as; never "
                  "root. It outlives the server that started it, and takes commands from the leader's certificate "
                  "only.\n\n"
                  "SIGTERM and SIGINT stop PostgreSQL and then the agent.",
              .options = agent_options,
              .option_count = ARRAY_LEN(agent_options) },
};

void agent_options_parse(struct arena *a, char *const *argv, struct agent_options *ret)
{
    memset(ret, 0, sizeof(*ret));
    struct cli_call call = { .argv = argv, .target = ret };
    cli_parse_or_exit(a, &program, &call);
}
