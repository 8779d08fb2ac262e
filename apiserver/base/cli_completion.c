/* SPDX-License-Identifier: Apache-2.0 */
/* Completion scripts for bash and zsh. The command is always the first argument, as in cli.c. */
#include "cli_pages.h"

/* Within single quotes of a shell; colons and brackets mean something to zsh's _arguments and _describe. */
static void add_quoted_part(struct strbuf *out, const char *text, const char *special)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\'')
            strbuf_add(out, S("'\\''"));
        else if (strchr(special, *c))
            strbuf_addf(out, "\\%c", *c);
        else
            strbuf_add_char(out, *c);
    }
}

/* A shell function's name from a program's. */
static void add_function_name(struct strbuf *out, const char *name)
{
    strbuf_add_char(out, '_');
    for (const char *c = name; *c; c++)
        strbuf_add_char(out, *c == '-' || *c == '.' ? '_' : *c);
}

static void add_bash_values(struct strbuf *out, const struct cli_command *c)
{
    for (size_t i = 0; i < c->option_count; i++) {
        const struct cli_option *o = &c->options[i];
        if (o->is_hidden || o->type == CLI_BOOL)
            continue;
        strbuf_addf(out, "    '%s --%s')\n", c->name ? c->name : "", o->name);
        if (o->choices) {
            strbuf_add(out, S("        mapfile -t COMPREPLY < <(compgen -W '"));
            for (size_t k = 0; o->choices[k]; k++) {
                strbuf_add(out, k ? S(" ") : S(""));
                add_quoted_part(out, o->choices[k], "");
            }
            strbuf_add(out, S("' -- \"$cur\")\n"));
        } else if (o->type == CLI_FILE || o->type == CLI_DIR) {
            strbuf_addf(out,
                        "        compopt -o filenames\n        mapfile -t COMPREPLY < <(compgen -%c -- \"$cur\")\n",
                        o->type == CLI_FILE ? 'f' : 'd');
        }
        strbuf_add(out, S("        return\n        ;;\n"));
    }
}

static void add_bash_words(struct strbuf *out, const struct cli_program *p, const struct cli_command *c)
{
    strbuf_addf(out, "    %s)\n        words='--help --version", c->name ? c->name : "*");
    for (size_t i = 0; i < c->option_count; i++) {
        if (!c->options[i].is_hidden)
            strbuf_addf(out, " --%s", c->options[i].name);
    }
    strbuf_add(out, S("'\n"));
    if (!c->name && p->command_count) {
        strbuf_add(out, S("        ((COMP_CWORD > 1)) || words+='"));
        for (size_t i = 0; i < p->command_count; i++)
            strbuf_addf(out, " %s", p->commands[i].name);
        strbuf_add(out, S("'\n"));
    }
    strbuf_add(out, S("        ;;\n"));
}

static void write_bash(struct strbuf *out, const struct cli_program *p)
{
    add_function_name(out, p->name);
    strbuf_add(out, S("() {\n"
                      "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command='' words=''\n"
                      "    COMPREPLY=()\n"
                      "    # Bash may cut --flag=value into three words.\n"
                      "    if [[ $cur == '=' ]]; then\n"
                      "        cur=\n"
                      "    elif [[ $prev == '=' ]]; then\n"
                      "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
                      "    fi\n"));
    if (p->command_count) {
        strbuf_add(out, S("    ((COMP_CWORD > 1)) && case ${COMP_WORDS[1]} in\n    "));
        for (size_t i = 0; i < p->command_count; i++)
            strbuf_addf(out, "%s%s", i ? " | " : "", p->commands[i].name);
        strbuf_add(out, S(") command=${COMP_WORDS[1]} ;;\n    esac\n"));
    }
    strbuf_add(out, S("    case \"$command $prev\" in\n"));
    add_bash_values(out, &p->main);
    for (size_t i = 0; i < p->command_count; i++)
        add_bash_values(out, &p->commands[i]);
    strbuf_add(out, S("    esac\n    case $command in\n"));
    for (size_t i = 0; i < p->command_count; i++)
        add_bash_words(out, p, &p->commands[i]);
    add_bash_words(out, p, &p->main);
    strbuf_add(out, S("    esac\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n\ncomplete -F "));
    add_function_name(out, p->name);
    strbuf_addf(out, " %s\n", p->name);
}

static void add_zsh_option(struct strbuf *out, const struct cli_option *o)
{
    /* The first sentence is enough here. */
    const char *stop = strstr(o->help, ". ");
    str sentence = stop ? str_of(o->help, (size_t)(stop - o->help)) : str_from(o->help);
    STRBUF_AUTO help = STRBUF_INIT(CLI_PAGE_BYTES);
    strbuf_add(&help, sentence);
    strbuf_addf(out, " \\\n            '%s--%s%s[", o->type == CLI_LIST ? "*" : "", o->name,
                o->type == CLI_BOOL ? "" : "=");
    add_quoted_part(out, help.ptr ? help.ptr : "", "[]:\\");
    strbuf_add_char(out, ']');
    if (o->type != CLI_BOOL) {
        strbuf_add_char(out, ':');
        add_quoted_part(out, cli__value_name(o), "[]:\\");
        strbuf_add_char(out, ':');
    }
    if (o->choices) {
        strbuf_add_char(out, '(');
        for (size_t i = 0; o->choices[i]; i++) {
            strbuf_add(out, i ? S(" ") : S(""));
            add_quoted_part(out, o->choices[i], "[]:\\()");
        }
        strbuf_add_char(out, ')');
    } else if (o->type == CLI_FILE || o->type == CLI_DIR) {
        strbuf_add(out, o->type == CLI_FILE ? S("_files") : S("_files -/"));
    }
    strbuf_add_char(out, '\'');
}

static void add_zsh_arguments(struct strbuf *out, const struct cli_command *c)
{
    strbuf_add(out, S("        _arguments -s '(-h --help)'{-h,--help}'[" CLI_HELP_TEXT "]' '--version[" CLI_VERSION_TEXT
                      "]'"));
    for (size_t i = 0; i < c->option_count; i++) {
        if (!c->options[i].is_hidden)
            add_zsh_option(out, &c->options[i]);
    }
    strbuf_add(out, S("\n        ;;\n"));
}

static void write_zsh(struct strbuf *out, const struct cli_program *p)
{
    strbuf_addf(out, "#compdef %s\n\n", p->name);
    add_function_name(out, p->name);
    strbuf_add(out,
               S("() {\n    local command=''\n    ((CURRENT > 2)) && command=${words[2]}\n    case $command in\n"));
    for (size_t i = 0; i < p->command_count; i++) {
        strbuf_addf(out, "    %s)\n        shift words\n        ((CURRENT--))\n", p->commands[i].name);
        add_zsh_arguments(out, &p->commands[i]);
    }
    strbuf_add(out, S("    *)\n"));
    if (p->command_count) {
        strbuf_add(out, S("        local -a commands=("));
        for (size_t i = 0; i < p->command_count; i++) {
            strbuf_addf(out, "%s'%s:", i ? " " : "", p->commands[i].name);
            add_quoted_part(out, p->commands[i].summary, "\\");
            strbuf_add_char(out, '\'');
        }
        strbuf_add(out, S(")\n        ((CURRENT == 2)) && _describe command commands\n"));
    }
    add_zsh_arguments(out, &p->main);
    strbuf_add(out, S("    esac\n}\n\n"));
    add_function_name(out, p->name);
    strbuf_add(out, S(" \"$@\"\n"));
}

bool cli__write_completion(struct strbuf *out, const struct cli_program *p, str shell)
{
    if (str_eq(shell, S("bash")))
        write_bash(out, p);
    else if (str_eq(shell, S("zsh")))
        write_zsh(out, p);
    else
        return false;
    return true;
}
