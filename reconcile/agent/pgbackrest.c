/* SPDX-License-Identifier: Apache-2.0 */
/* Runs pgBackRest and finds in what it prints the line that counts. */
#include "pgbackrest.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/process.h"

#define OUTPUT_MAX_BYTES (4u << 20)
#define ARGS_MAX 16

struct lines {
    const struct backrest_call *call;
    char first_error[ERROR_TEXT_MAX];
};

/* "… P00  ERROR: [050]: unable to acquire lock": what counts; the last line is often only a hint. */
static void on_line(void *self, str line)
{
    struct lines *l = self;
    ptrdiff_t at = str_find(line, S("ERROR: "));
    if (at >= 0 && l->first_error[0] == '\0')
        (void)snprintf(l->first_error, sizeof(l->first_error), "%.*s",
                       STR_ARG(str_trim(str_from_offset(line, (size_t)at + strlen("ERROR: ")))));
    if (l->call->on_line)
        l->call->on_line(l->call->self, line);
}

int backrest_run(struct arena *a, const struct backrest_call *call, str *ret_out, struct error *err)
{
    const char *argv[ARGS_MAX] = { "pgbackrest", arena_printf(a, "--config=%s", call->ag->path.pgbackrest_file).ptr,
                                   arena_printf(a, "--stanza=%s", call->stanza).ptr };
    size_t n = 3;
    for (size_t i = 0; call->args[i] && n + 1 < ARRAY_LEN(argv); i++)
        argv[n++] = call->args[i];
    const struct process_spec spec = { .argv = argv, .cwd = call->ag->path.dir, .stdout_fd = -1, .stderr_fd = -1 };
    struct process_result result;
    struct lines lines = { .call = call };
    int r = process_run(a, &spec, deadline_in_ms(call->ms), OUTPUT_MAX_BYTES, on_line, &lines, &result, err);
    if (ret_out)
        *ret_out = result.out;
    if (r == 0 || lines.first_error[0] == '\0')
        return r;
    return error_set(err, (enum err)r, "pgbackrest: %s", lines.first_error);
}

void backrest_stanza(struct agent *ag, char *ret, size_t size)
{
    (void)snprintf(ret, size, "%.*s", STR_ARG(ag->config.cluster_name));
}
