/* SPDX-License-Identifier: Apache-2.0 */
/* From argv to the caller's struct by the table. The texts made from the table stand in cli_help.c and
 * cli_completion.c. */
#include "base/cli.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/duration.h"
#include "base/fs.h"
#include "cli_pages.h"

/* Longer names are compared up to here when the nearest one is looked for. */
#define NAME_MAX_BYTES 63u

struct parse {
    struct arena *arena;
    const struct cli_program *program;
    struct cli_call *call;
    bool *was_given;
    char *const *next; /* argument to look at */
    char **arguments;
};

static int fail_at(const struct cli_option *o, struct error *err, const char *value, const char *reason)
{
    return error_set(err, ERRC_INVALID, "flag \"--%s\": \"%s\" is %s", o->name, value, reason);
}

static void *field_of(const struct parse *p, const struct cli_option *o)
{
    return (char *)p->call->target + o->offset;
}

static int fail_range(const struct cli_option *o, struct error *err, const char *value)
{
    char low[DURATION_TEXT_MAX];
    char high[DURATION_TEXT_MAX];
    if (o->type == CLI_DURATION) {
        str from = duration_format(o->min, low);
        str to = duration_format(o->max, high);
        return error_set(err, ERRC_INVALID, "flag \"--%s\": \"%s\" is not within %.*s and %.*s", o->name, value,
                         STR_ARG(from), STR_ARG(to));
    }
    return error_set(err, ERRC_INVALID, "flag \"--%s\": \"%s\" is not within %lld and %lld", o->name, value,
                     (long long)o->min, (long long)o->max);
}

static int set_number(const struct parse *p, const struct cli_option *o, const char *value, struct error *err)
{
    int64_t number;
    bool is_read = o->type == CLI_INT ? str_to_i64(str_from(value), &number) : duration_parse(str_from(value), &number);
    if (!is_read)
        return fail_at(o, err, value, o->type == CLI_INT ? "not a whole number" : "not a duration such as \"1m30s\"");
    if ((o->min != 0 || o->max != 0) && (number < o->min || number > o->max))
        return fail_range(o, err, value);
    memcpy(field_of(p, o), &number, sizeof(number));
    return 0;
}

static int set_bool(const struct parse *p, const struct cli_option *o, const char *value, struct error *err)
{
    bool is_true = strcmp(value, "true") == 0;
    if (!is_true && strcmp(value, "false") != 0)
        return fail_at(o, err, value, "neither \"true\" nor \"false\"");
    memcpy(field_of(p, o), &is_true, sizeof(is_true));
    return 0;
}

static int check_choice(const struct parse *p, const struct cli_option *o, str value, struct error *err)
{
    if (!o->choices)
        return 0;
    STRBUF_AUTO known = STRBUF_INIT(ERROR_TEXT_MAX);
    for (size_t i = 0; o->choices[i]; i++) {
        if (str_eq_z(value, o->choices[i]))
            return 0;
        strbuf_addf(&known, "%s\"%s\"", i ? ", " : "", o->choices[i]);
    }
    str reason = arena_printf(p->arena, "none of %.*s", STR_ARG(strbuf_str(&known)));
    return fail_at(o, err, arena_z(p->arena, value), reason.ptr);
}

static int set_text(const struct parse *p, const struct cli_option *o, const char *value, struct error *err)
{
    int r = check_choice(p, o, str_from(value), err);
    if (r == 0)
        memcpy(field_of(p, o), &value, sizeof(value));
    return r;
}

/* Behind what was given before; a default is replaced. */
static int add_items(const struct parse *p, const struct cli_option *o, const char *value, struct error *err)
{
    struct cli_list list;
    memcpy(&list, field_of(p, o), sizeof(list));
    if (!p->was_given[o - p->call->command->options])
        list = (struct cli_list) { NULL, 0 };
    size_t room = list.count + 1;
    for (const char *comma = strchr(value, ','); comma; comma = strchr(comma + 1, ','))
        room++;
    str *items = arena_array_of(p->arena, str, room);
    if (list.count)
        memcpy(items, list.items, list.count * sizeof(*items));
    for (str rest = str_from(value), item; str_next_field(&rest, ',', &item);) {
        if (str_is_empty(item))
            return fail_at(o, err, value, "a list with an empty item");
        int r = check_choice(p, o, item, err);
        if (r != 0)
            return r;
        items[list.count++] = item;
    }
    list.items = items;
    memcpy(field_of(p, o), &list, sizeof(list));
    return 0;
}

static int set_value(const struct parse *p, const struct cli_option *o, const char *value, struct error *err)
{
    switch (o->type) {
    case CLI_BOOL: return set_bool(p, o, value, err);
    case CLI_INT:
    case CLI_DURATION: return set_number(p, o, value, err);
    case CLI_TEXT:
    case CLI_FILE:
    case CLI_DIR: return set_text(p, o, value, err);
    case CLI_LIST: return add_items(p, o, value, err);
    }
    return error_set(err, ERRC_INTERNAL, "flag \"--%s\" has no type", o->name);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many bytes must be put in, taken out or changed to make one of the other (Levenshtein). */
static size_t distance(str a, str b)
{
    size_t row[NAME_MAX_BYTES + 1];
    a = str_first(a, NAME_MAX_BYTES);
    b = str_first(b, NAME_MAX_BYTES);
    for (size_t k = 0; k <= b.len; k++)
        row[k] = k;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            size_t changed = diagonal + (a.ptr[i - 1] != b.ptr[k - 1]);
            diagonal = row[k];
            row[k] = smaller(changed, smaller(row[k], row[k - 1]) + 1);
        }
    }
    return row[b.len];
}

struct nearest {
    str wanted;
    const char *name;
    size_t distance;
};

static void consider(struct nearest *n, const char *name)
{
    /* What was only cut short is nearer than anything misspelt. */
    size_t d = str_has_prefix(str_from(name), n->wanted) ? 0 : distance(n->wanted, str_from(name));
    if (!n->name || d < n->distance) {
        n->name = name;
        n->distance = d;
    }
}

/* What is too far away to have been meant is not proposed. */
static bool is_near(const struct nearest *n)
{
    return n->name && (n->distance <= 2 || 3 * n->distance <= n->wanted.len);
}

static int fail_unknown_flag(const struct parse *p, str name, struct error *err)
{
    const struct cli_command *c = p->call->command;
    struct nearest n = { .wanted = name };
    consider(&n, "help");
    consider(&n, "version");
    for (size_t i = 0; i < c->option_count; i++) {
        if (!c->options[i].is_hidden)
            consider(&n, c->options[i].name);
    }
    if (str_eq_z(name, n.name)) /* --help or --version: every other flag was found */
        return error_set(err, ERRC_INVALID, "flag \"--%s\" takes no value", n.name);
    if (!is_near(&n))
        return error_set(err, ERRC_INVALID, "unknown flag \"--%.*s\"", STR_ARG(name));
    return error_set(err, ERRC_INVALID, "unknown flag \"--%.*s\"; the nearest is \"--%s\"", STR_ARG(name), n.name);
}

static int fail_unknown_command(const struct cli_program *p, const char *name, struct error *err)
{
    struct nearest n = { .wanted = str_from(name) };
    for (size_t i = 0; i < p->command_count; i++)
        consider(&n, p->commands[i].name);
    if (!is_near(&n))
        return error_set(err, ERRC_INVALID, "unknown command \"%s\"", name);
    return error_set(err, ERRC_INVALID, "unknown command \"%s\"; the nearest is \"%s\"", name, n.name);
}

static const struct cli_option *find_option(const struct cli_command *c, str name)
{
    for (size_t i = 0; i < c->option_count; i++) {
        if (str_eq_z(name, c->options[i].name))
            return &c->options[i];
    }
    return NULL;
}

/* The value of a flag that needs one: behind "=", or the next argument. */
static const char *take_value(struct parse *p, const char *equals)
{
    if (equals)
        return equals + 1;
    return *p->next ? *p->next++ : NULL;
}

static int take_option(struct parse *p, const char *argument, struct error *err)
{
    const char *equals = strchr(argument, '=');
    str name = equals ? str_of(argument + 2, (size_t)(equals - argument) - 2) : str_from(argument + 2);
    const struct cli_option *o = find_option(p->call->command, name);
    if (!o)
        return fail_unknown_flag(p, name, err);
    const char *value = o->type == CLI_BOOL ? (equals ? equals + 1 : "true") : take_value(p, equals);
    if (!value)
        return error_set(err, ERRC_INVALID, "flag \"--%s\" needs a value: %s", o->name, cli__value_name(o));
    int r = set_value(p, o, value, err);
    p->was_given[o - p->call->command->options] = true;
    return r;
}

/* The texts that are always there. True when argument asked for one; then call->output is set, or *ret_result < 0. */
static bool take_page(struct parse *p, const char *argument, int *ret_result, struct error *err)
{
    const struct cli_program *program = p->program;
    STRBUF_AUTO page = STRBUF_INIT(CLI_PAGE_BYTES);
    str name, value;
    bool has_value = str_cut(str_from(argument), '=', &name, &value);
    bool wants_completion = str_eq(name, S("--print-completion"));
    *ret_result = 0;
    if (wants_completion) {
        value = has_value ? value : str_from(*p->next);
        if (!cli__write_completion(&page, program, value))
            *ret_result = error_set(err, ERRC_INVALID, "flag \"--print-completion\" needs \"bash\" or \"zsh\"");
    } else if (has_value) {
        return false;
    } else if (str_eq(name, S("--help")) || str_eq(name, S("-h"))) {
        cli__write_help(&page, program, p->call->command);
    } else if (str_eq(name, S("--version"))) {
        strbuf_addf(&page, "%s %s\n", program->name, program->version);
    } else if (str_eq(name, S("--print-man"))) {
        cli__write_man(&page, program);
    } else {
        return false;
    }
    p->call->output = strbuf_to_arena(&page, p->arena);
    return true;
}

static int take_all(struct parse *p, struct error *err)
{
    struct cli_call *call = p->call;
    bool is_behind_flags = false;
    int r = 0;
    while (r == 0 && *p->next) {
        char *argument = *p->next++;
        if (is_behind_flags || argument[0] != '-' || argument[1] == '\0')
            p->arguments[call->argument_count++] = argument;
        else if (strcmp(argument, "--") == 0)
            is_behind_flags = true;
        else if (take_page(p, argument, &r, err))
            return r;
        else if (argument[1] != '-')
            r = error_set(err, ERRC_INVALID, "unknown flag \"%s\"; flags start with \"--\"", argument);
        else
            r = take_option(p, argument, err);
    }
    return r;
}

static int check_complete(const struct parse *p, struct error *err)
{
    const struct cli_call *call = p->call;
    const struct cli_command *c = call->command;
    if (c == &p->program->main && p->program->needs_command)
        return error_set(err, ERRC_INVALID, "a command is needed");
    for (size_t i = 0; i < c->option_count; i++) {
        if (c->options[i].is_required && !p->was_given[i])
            return error_set(err, ERRC_INVALID, "flag \"--%s\" is needed", c->options[i].name);
    }
    size_t max = c->arguments ? c->arguments_max : 0;
    if (call->argument_count > max)
        return error_set(err, ERRC_INVALID, "unexpected argument \"%s\"", call->arguments[max]);
    if (call->argument_count < c->arguments_min)
        return error_set(err, ERRC_INVALID, "an argument is missing: %s", c->arguments);
    return 0;
}

static void set_defaults(const struct parse *p)
{
    const struct cli_command *c = p->call->command;
    for (size_t i = 0; i < c->option_count; i++) {
        if (!c->options[i].default_value)
            continue;
        int r = set_value(p, &c->options[i], c->options[i].default_value, NULL);
        assert(r == 0); /* the table itself is wrong */
        (void)r;
    }
}

static const struct cli_command *find_command(const struct cli_program *p, const char *name)
{
    for (size_t i = 0; name && i < p->command_count; i++) {
        if (strcmp(name, p->commands[i].name) == 0)
            return &p->commands[i];
    }
    return NULL;
}

int cli_parse(struct arena *a, const struct cli_program *p, struct cli_call *call, struct error *err)
{
    struct parse parse = { .arena = a, .program = p, .call = call };
    size_t count = 0;
    while (call->argv[count])
        count++;
    parse.next = call->argv + (count > 0);
    call->command = find_command(p, *parse.next);
    if (call->command)
        parse.next++;
    else
        call->command = &p->main;
    parse.arguments = arena_array_of(a, char *, count + 1);
    parse.was_given = arena_array_of(a, bool, call->command->option_count);
    call->arguments = parse.arguments;
    call->argument_count = 0;
    call->output = (str) { NULL, 0 };
    const char *first = *parse.next;
    if (call->command == &p->main && first && first[0] != '-' && p->command_count && !p->main.arguments)
        return fail_unknown_command(p, first, err);
    set_defaults(&parse);
    int r = take_all(&parse, err);
    if (r == 0 && str_is_empty(call->output))
        r = check_complete(&parse, err);
    return r;
}

void cli_parse_or_exit(struct arena *a, const struct cli_program *p, struct cli_call *call)
{
    struct error err;
    if (cli_parse(a, p, call, &err) != 0) {
        bool is_sub = call->command != &p->main;
        (void)fprintf(stderr, "%s: %s\nSee \"%s%s%s --help\".\n", p->name, err.text, p->name, is_sub ? " " : "",
                      is_sub ? call->command->name : "");
        exit(2);
    }
    if (!str_is_empty(call->output))
        exit(fs_write_all(STDOUT_FILENO, call->output, NULL) == 0 ? 0 : 1);
}
