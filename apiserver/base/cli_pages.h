/* SPDX-License-Identifier: Apache-2.0 */
/* The texts made from the tables of base/cli.h. Internal to base. */
#ifndef BASE_CLI_PAGES_H
#define BASE_CLI_PAGES_H

#include "base/cli.h"
#include "base/strbuf.h"

#define CLI_PAGE_BYTES (1u << 20)

void cli__write_help(struct strbuf *out, const struct cli_program *p, const struct cli_command *c);
/* scdoc(5) source. */
void cli__write_man(struct strbuf *out, const struct cli_program *p);
/* False when the shell is not known. */
bool cli__write_completion(struct strbuf *out, const struct cli_program *p, str shell);

static inline const char *cli__value_name(const struct cli_option *o)
{
    return o->value ? o->value : "VALUE";
}

static inline bool cli__has_default(const struct cli_option *o)
{
    /* Of a boolean it goes without saying. */
    return o->default_value && o->type != CLI_BOOL;
}

/* The flags that every command has. */
#define CLI_HELP_TEXT "Show this text."
#define CLI_VERSION_TEXT "Show the version."

#endif
