/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line from one table: parsing, --help, the man page and shell completion all read the same
 * `struct cli_option` array, so that they cannot disagree. Values go into a struct of the caller.
 *
 *     struct options { const char *data_dir; int64_t port; };
 *     static const struct cli_option options[] = {
 *         { .name = "data-dir", CLI_DIR_AT(struct options, data_dir), .value = "DIR", .is_required = true,
 *           .help = "Folder of the store, certificates and instances." },
 *         { .name = "secure-port", CLI_INT_AT(struct options, port), .value = "PORT", .min = 1, .max = 65535,
 *           .default_value = "6443", .help = "Port that serves TLS." },
 *     };
 *
 * Forms: --flag=value, --flag value, and for booleans --flag or --flag=false. `--` ends the flags. When a
 * flag is given twice the last one counts; lists add up. Values are visible to every user of the machine
 * in the process list: no flag may take a secret.
 *
 * Always there: --help, -h, --version; hidden: --print-man (scdoc source) and --print-completion bash|zsh.
 * One thread, at start.
 */
#ifndef BASE_CLI_H
#define BASE_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/str.h"

struct arena;

enum cli_type {
    CLI_BOOL,     /* bool */
    CLI_INT,      /* int64_t */
    CLI_DURATION, /* int64_t, nanoseconds; written as base/duration.h says */
    CLI_TEXT,     /* const char *, into argv; NULL when neither given nor defaulted */
    CLI_FILE,     /* the same; completed as a file name */
    CLI_DIR,      /* the same; completed as a folder */
    CLI_LIST,     /* struct cli_list; separated by commas, "" is the empty list */
};

struct cli_list {
    const str *items; /* in the arena */
    size_t count;
};

struct cli_option {
    const char *name; /* without -- */
    enum cli_type type;
    size_t offset;              /* of the field in the target; set both by CLI_…_AT */
    const char *value;          /* what stands for the value in texts: "PORT"; NULL: "VALUE" */
    const char *help;           /* sentences; lines are wrapped by us */
    const char *default_value;  /* read as if it had been given; NULL: the field stays as it is */
    int64_t min, max;           /* CLI_INT, CLI_DURATION (ns); both 0: no limits */
    const char *const *choices; /* NULL-terminated: the only values of CLI_TEXT, or items of CLI_LIST */
    const char *group;          /* heading in help; options of one group stand together in the table */
    bool is_required;
    bool is_hidden; /* not in help, man page and completion */
};

/* Two members of struct cli_option at once, checked against the field's type. */
#define CLI__AT(kind, ctype, target, field)                                                                            \
    .type = kind,                                                                                                      \
    .offset = offsetof(target, field) + 0 * sizeof(struct {                                                            \
                                            _Static_assert(_Generic(((target *)0)->field, ctype : 1, default : 0),     \
                                                           "the field must be a " #ctype);                             \
                                            int unused;                                                                \
                                        })
#define CLI_BOOL_AT(target, field) CLI__AT(CLI_BOOL, bool, target, field)
#define CLI_INT_AT(target, field) CLI__AT(CLI_INT, int64_t, target, field)
#define CLI_DURATION_AT(target, field) CLI__AT(CLI_DURATION, int64_t, target, field)
#define CLI_TEXT_AT(target, field) CLI__AT(CLI_TEXT, const char *, target, field)
#define CLI_FILE_AT(target, field) CLI__AT(CLI_FILE, const char *, target, field)
#define CLI_DIR_AT(target, field) CLI__AT(CLI_DIR, const char *, target, field)
#define CLI_LIST_AT(target, field) CLI__AT(CLI_LIST, struct cli_list, target, field)

struct cli_command {
    const char *name;        /* of a subcommand: the first argument; NULL for the program itself */
    const char *summary;     /* one line without a full stop */
    const char *description; /* paragraphs separated by an empty line, or NULL */
    const char *arguments;   /* "FILE…": what stands behind the flags, for texts; NULL: nothing may */
    size_t arguments_min;
    size_t arguments_max;
    const struct cli_option *options;
    size_t option_count;
};

struct cli_program {
    const char *name;
    const char *version;
    int man_section;
    struct cli_command main;            /* what runs without a subcommand */
    bool needs_command;                 /* there is nothing to run without one */
    const struct cli_command *commands; /* each with its own table, into the same target */
    size_t command_count;
};

struct cli_call {
    /* In */
    char *const *argv; /* as main() got it; must outlive the target */
    void *target;      /* set to zero by the caller */
    /* Out */
    const struct cli_command *command; /* &program->main, or one of program->commands */
    char *const *arguments;            /* NULL-terminated */
    size_t argument_count;
    str output; /* not empty: a text was asked for (--help …); write it and exit with 0, the target is not complete */
};

/* ERRC_INVALID with a text for the user. */
int cli_parse(struct arena *a, const struct cli_program *p, struct cli_call *call, struct error *err) MUST_USE;

/* For main(): writes what was asked for to standard output and exits with 0, or an error to standard error and with 2.
 */
void cli_parse_or_exit(struct arena *a, const struct cli_program *p, struct cli_call *call);

#endif
