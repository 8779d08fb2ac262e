/* SPDX-License-Identifier: Apache-2.0 */
/* --help for people at a terminal, and the man page as scdoc source. */
#include "cli_pages.h"

#define HELP_WIDTH 80u
#define HELP_INDENT 8u

static void add_spaces(struct strbuf *out, size_t n)
{
    strbuf_addf(out, "%*s", (int)n, "");
}

/* The words of text in lines of at most HELP_WIDTH, each indented. An empty line in text starts a new paragraph. */
static void add_wrapped(struct strbuf *out, str text, size_t indent)
{
    size_t column = 0;
    for (str rest = text, line; str_next_field(&rest, '\n', &line);) {
        if (str_is_empty(line)) {
            strbuf_add(out, column ? S("\n\n") : S("\n"));
            column = 0;
        }
        for (str words = line, word; str_next_field(&words, ' ', &word);) {
            if (str_is_empty(word))
                continue;
            if (column && column + 1 + word.len > HELP_WIDTH) {
                strbuf_add_char(out, '\n');
                column = 0;
            }
            if (column)
                strbuf_add_char(out, ' ');
            else
                add_spaces(out, indent);
            strbuf_add(out, word);
            column = (column ? column + 1 : indent) + word.len;
        }
    }
    if (column)
        strbuf_add_char(out, '\n');
}

/* " One of a, b. Default: a." */
static void add_facts(struct strbuf *out, const struct cli_option *o)
{
    for (size_t i = 0; o->choices && o->choices[i]; i++)
        strbuf_addf(out, "%s%s", i ? ", " : o->type == CLI_LIST ? " Any of " : " One of ", o->choices[i]);
    if (o->choices)
        strbuf_add_char(out, '.');
    if (o->is_required)
        strbuf_add(out, S(" Needed."));
    if (cli__has_default(o))
        strbuf_addf(out, " Default: %s.", o->default_value[0] ? o->default_value : "none");
}

static void add_help_option(struct strbuf *out, const struct cli_option *o)
{
    STRBUF_AUTO text = STRBUF_INIT(CLI_PAGE_BYTES);
    bool is_on = o->default_value && o->type == CLI_BOOL && strcmp(o->default_value, "true") == 0;
    strbuf_addf(out, "    --%s", o->name);
    if (o->type != CLI_BOOL)
        strbuf_addf(out, " %s", cli__value_name(o));
    else if (is_on)
        strbuf_add(out, S("=false"));
    strbuf_add_char(out, '\n');
    strbuf_addf(&text, "%s", o->help);
    add_facts(&text, o);
    add_wrapped(out, strbuf_str(&text), HELP_INDENT);
}

static void add_usage(struct strbuf *out, const struct cli_program *p, const struct cli_command *c)
{
    bool is_main = c == &p->main;
    strbuf_addf(out, "Usage: %s%s%s", p->name, is_main ? "" : " ", is_main ? "" : c->name);
    if (is_main && p->command_count)
        strbuf_add(out, p->needs_command ? S(" COMMAND") : S(" [COMMAND]"));
    strbuf_add(out, S(" [FLAG\xe2\x80\xa6]"));
    if (c->arguments)
        strbuf_addf(out, c->arguments_min ? " %s" : " [%s]", c->arguments);
    strbuf_addf(out, "\n\n%s.\n", c->summary);
}

static bool is_same_group(const struct cli_option *a, const struct cli_option *b)
{
    return a && str_eq(str_from(a->group), str_from(b->group));
}

void cli__write_help(struct strbuf *out, const struct cli_program *p, const struct cli_command *c)
{
    add_usage(out, p, c);
    if (c->description) {
        strbuf_add_char(out, '\n');
        add_wrapped(out, str_from(c->description), 0);
    }
    if (c == &p->main && p->command_count) {
        strbuf_add(out, S("\nCommands:\n"));
        for (size_t i = 0; i < p->command_count; i++)
            strbuf_addf(out, "    %-12s %s\n", p->commands[i].name, p->commands[i].summary);
    }
    const struct cli_option *last = NULL;
    for (size_t i = 0; i < c->option_count; i++) {
        const struct cli_option *o = &c->options[i];
        if (o->is_hidden)
            continue;
        if (!is_same_group(last, o))
            strbuf_addf(out, "\n%s:\n", o->group ? o->group : "Flags");
        add_help_option(out, o);
        last = o;
    }
    strbuf_add(
        out, S("\nAlways:\n    --help, -h\n        " CLI_HELP_TEXT "\n    --version\n        " CLI_VERSION_TEXT "\n"));
}

/* A backslash before whatever scdoc could take for a mark, anywhere or at the start of a line. */
static void add_man_text(struct strbuf *out, str text)
{
    bool is_line_start = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (str_index(S("\\*_"), c) >= 0 || (is_line_start && str_index(S("#-|[].;`~"), c) >= 0) ||
            (c == '+' && i + 1 < text.len && text.ptr[i + 1] == '+'))
            strbuf_add_char(out, '\\');
        strbuf_add_char(out, c);
        is_line_start = c == '\n';
    }
}

static void add_man_option(struct strbuf *out, const struct cli_option *o)
{
    STRBUF_AUTO text = STRBUF_INIT(CLI_PAGE_BYTES);
    strbuf_add(out, S("*--"));
    add_man_text(out, str_from(o->name));
    strbuf_add_char(out, '*');
    if (o->type != CLI_BOOL) {
        strbuf_add(out, S(" _"));
        add_man_text(out, str_from(cli__value_name(o)));
        strbuf_add_char(out, '_');
    }
    strbuf_addf(&text, "%s", o->help);
    add_facts(&text, o);
    strbuf_add(out, S("\n\t"));
    add_man_text(out, strbuf_str(&text));
    strbuf_add(out, S("\n\n"));
}

static void add_man_options(struct strbuf *out, const struct cli_command *c, const char *mark)
{
    const struct cli_option *last = NULL;
    for (size_t i = 0; i < c->option_count; i++) {
        const struct cli_option *o = &c->options[i];
        if (o->is_hidden)
            continue;
        if (o->group && !is_same_group(last, o))
            strbuf_addf(out, "%s %s\n\n", mark, o->group);
        add_man_option(out, o);
        last = o;
    }
}

static void add_man_synopsis(struct strbuf *out, const struct cli_program *p, const struct cli_command *c)
{
    bool is_main = c == &p->main;
    strbuf_addf(out, "*%s*", p->name);
    if (!is_main)
        strbuf_addf(out, " *%s*", c->name);
    strbuf_add(out, S(" [_FLAG_...]"));
    if (c->arguments)
        strbuf_addf(out, c->arguments_min ? " _%s_" : " [_%s_]", c->arguments);
    strbuf_add_char(out, '\n');
}

static void add_man_command(struct strbuf *out, const struct cli_program *p, const struct cli_command *c)
{
    strbuf_addf(out, "# COMMAND %s\n\n", c->name);
    add_man_synopsis(out, p, c);
    strbuf_add_char(out, '\n');
    add_man_text(out, str_from(c->summary));
    strbuf_add(out, S(".\n\n"));
    if (c->description) {
        add_man_text(out, str_from(c->description));
        strbuf_add(out, S("\n\n"));
    }
    add_man_options(out, c, "##");
}

void cli__write_man(struct strbuf *out, const struct cli_program *p)
{
    const struct cli_command *c = &p->main;
    strbuf_addf(out, "%s(%d) \"%s %s\"\n\n# NAME\n\n%s - ", p->name, p->man_section, p->name, p->version, p->name);
    add_man_text(out, str_from(c->summary));
    strbuf_add(out, S("\n\n# SYNOPSIS\n\n"));
    if (!p->needs_command)
        add_man_synopsis(out, p, c);
    for (size_t i = 0; i < p->command_count; i++) {
        strbuf_add(out, i || !p->needs_command ? S("\n") : S(""));
        add_man_synopsis(out, p, &p->commands[i]);
    }
    if (c->description) {
        strbuf_add(out, S("\n# DESCRIPTION\n\n"));
        add_man_text(out, str_from(c->description));
        strbuf_add_char(out, '\n');
    }
    strbuf_add(out, S("\n# FLAGS\n\n"));
    add_man_options(out, c, "##");
    strbuf_add(out, S("*--help*, *-h*\n\t" CLI_HELP_TEXT "\n\n*--version*\n\t" CLI_VERSION_TEXT "\n\n"));
    for (size_t i = 0; i < p->command_count; i++)
        add_man_command(out, p, &p->commands[i]);
    strbuf_add(out, S("# EXIT STATUS\n\n0 on success, 2 when the command line is wrong, 1 on any other failure.\n"));
}
