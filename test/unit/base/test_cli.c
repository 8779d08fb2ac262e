/* SPDX-License-Identifier: Apache-2.0 */
/* One table: what it reads, what it refuses and in which words, and the texts made from it. */
#include "base/cli.h"

#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/process.h"
#include "harness/check.h"
#include "harness/temp_dir.h"

struct options {
    const char *data_dir;
    const char *log_format;
    const char *from;
    int64_t port;
    int64_t delta;
    int64_t grace_ns;
    int64_t wait_ns;
    bool standalone;
    bool profiling;
    struct cli_list controllers;
    struct cli_list features;
    const char *secret_knob;
};

static const char *const formats[] = { "json", "text", NULL };
static const char *const features[] = { "Alpha", "Beta", NULL };
static const struct cli_option main_options[] = {
    { .name = "data-dir", CLI_DIR_AT(struct options, data_dir), .value = "DIR", .help = "Folder of the store." },
    { .name = "log-format",
      CLI_TEXT_AT(struct options, log_format),
      .value = "FORMAT",
      .choices = formats,
      .default_value = "json",
      .help = "How lines look. It's one line for each event, [always] on standard error, however long it may be." },
    { .name = "standalone", CLI_BOOL_AT(struct options, standalone), .help = "Run without Kubernetes." },
    { .name = "profiling", CLI_BOOL_AT(struct options, profiling), .default_value = "true", .help = "Serve profiles." },
    { .name = "secure-port",
      CLI_INT_AT(struct options, port),
      .value = "PORT",
      .min = 1,
      .max = 65535,
      .default_value = "6443",
      .group = "Serving",
      .help = "Port that serves TLS." },
    { .name = "delta", CLI_INT_AT(struct options, delta), .group = "Serving", .help = "Any_number *at* all." },
    { .name = "grace",
      CLI_DURATION_AT(struct options, grace_ns),
      .min = NS_PER_S,
      .max = 60 * NS_PER_S,
      .default_value = "30s",
      .group = "Serving",
      .help = "How long requests may take to end." },
    { .name = "controllers",
      CLI_LIST_AT(struct options, controllers),
      .default_value = "*",
      .group = "Reconciling",
      .help = "Which run." },
    { .name = "features",
      CLI_LIST_AT(struct options, features),
      .choices = features,
      .group = "Reconciling",
      .help = "What is on." },
    { .name = "secret-knob", CLI_TEXT_AT(struct options, secret_knob), .is_hidden = true, .help = "Hidden." },
};
static const struct cli_option restore_options[] = {
    { .name = "from", CLI_FILE_AT(struct options, from), .value = "FILE", .is_required = true, .help = "The copy." },
    { .name = "wait", CLI_DURATION_AT(struct options, wait_ns), .help = "How long." },
};
static const struct cli_command commands[] = {
    { .name = "restore",
      .summary = "put a copy back",
      .arguments = "TARGET",
      .arguments_min = 1,
      .arguments_max = 2,
      .options = restore_options,
      .option_count = ARRAY_LEN(restore_options) },
    { .name = "snapshot", .summary = "copy the store: online" },
};
static const struct cli_program program = {
    .name = "test-server",
    .version = "1.2.3",
    .man_section = 8,
    .main = { .summary = "serve things",
              .description = "First paragraph.\n\nSecond paragraph, #not a heading.",
              .options = main_options,
              .option_count = ARRAY_LEN(main_options) },
    .commands = commands,
    .command_count = ARRAY_LEN(commands),
};

static struct arena *arena;
static struct options got;
static struct cli_call call;
static struct error error;

static void setup(void)
{
    arena = arena_new();
}

static void teardown(void)
{
    arena_free(arena);
}

TestSuite(cli, .init = setup, .fini = teardown);

static int parse_with(const struct cli_program *p, const char *const *arguments)
{
    size_t count = 0;
    while (arguments[count])
        count++;
    char **argv = arena_array_of(arena, char *, count + 2);
    argv[0] = arena_z(arena, str_from(p->name));
    for (size_t i = 0; i < count; i++)
        argv[i + 1] = arena_z(arena, str_from(arguments[i]));
    got = (struct options) { 0 };
    call = (struct cli_call) { .argv = argv, .target = &got };
    error_clear(&error);
    return cli_parse(arena, p, &call, &error);
}

#define PARSE(...) parse_with(&program, (const char *const[]) { __VA_ARGS__ __VA_OPT__(, ) NULL })
#define CHECK_PARSES(...) cr_assert_eq(PARSE(__VA_ARGS__), 0, "%s", error.text)
#define CHECK_REFUSES(wanted, ...)                                                                                     \
    do {                                                                                                               \
        CHECK_FAILS(PARSE(__VA_ARGS__), ERRC_INVALID);                                                                 \
        cr_assert_str_eq(error.text, wanted);                                                                          \
    } while (0)

Test(cli, without_arguments_the_defaults_stand)
{
    CHECK_PARSES();
    cr_assert_null(got.data_dir);
    cr_assert_str_eq(got.log_format, "json");
    cr_assert_eq(got.port, 6443);
    cr_assert_eq(got.delta, 0);
    cr_assert_eq(got.grace_ns, 30 * NS_PER_S);
    cr_assert(!got.standalone && got.profiling);
    cr_assert_eq(got.controllers.count, 1);
    CHECK_STR(got.controllers.items[0], "*");
    cr_assert_eq(call.command, &program.main);
    cr_assert_eq(call.argument_count, 0);
    cr_assert_null(call.arguments[0]);
    cr_assert(str_is_empty(call.output));
}

Test(cli, values_come_behind_an_equals_sign_or_as_the_next_argument)
{
    CHECK_PARSES("--data-dir=/a=b", "--secure-port", "1", "--grace=1m", "--delta", "-5", "--standalone",
                 "--profiling=false", "--log-format", "text", "--secret-knob=x");
    cr_assert_str_eq(got.data_dir, "/a=b");
    cr_assert_eq(got.port, 1);
    cr_assert_eq(got.delta, -5);
    cr_assert_eq(got.grace_ns, 60 * NS_PER_S);
    cr_assert(got.standalone && !got.profiling);
    cr_assert_str_eq(got.log_format, "text");
    cr_assert_str_eq(got.secret_knob, "x");
    CHECK_PARSES("--data-dir=", "--standalone=true");
    cr_assert_str_eq(got.data_dir, "");
    cr_assert(got.standalone);
}

Test(cli, the_last_value_counts_and_lists_add_up)
{
    CHECK_PARSES("--secure-port=1", "--secure-port=2", "--controllers=a,-b", "--controllers", "c");
    cr_assert_eq(got.port, 2);
    cr_assert_eq(got.controllers.count, 3);
    CHECK_STR(got.controllers.items[0], "a");
    CHECK_STR(got.controllers.items[1], "-b");
    CHECK_STR(got.controllers.items[2], "c");
    CHECK_PARSES("--controllers=");
    cr_assert_eq(got.controllers.count, 0, "the empty list replaces the default");
    CHECK_PARSES("--features=Beta,Alpha");
    cr_assert_eq(got.features.count, 2);
}

Test(cli, an_unknown_flag_is_named_with_the_nearest_known_one)
{
    CHECK_REFUSES("unknown flag \"--data-dri\"; the nearest is \"--data-dir\"", "--data-dri=/x");
    CHECK_REFUSES("unknown flag \"--secure_port\"; the nearest is \"--secure-port\"", "--secure_port", "5");
    CHECK_REFUSES("unknown flag \"--control\"; the nearest is \"--controllers\"", "--control");
    CHECK_REFUSES("unknown flag \"--hlep\"; the nearest is \"--help\"", "--hlep");
    CHECK_REFUSES("unknown flag \"--nonsense\"", "--nonsense");
    CHECK_REFUSES("flag \"--help\" takes no value", "--help=1");
    CHECK_REFUSES("unknown flag \"-p\"; flags start with \"--\"", "-p");
    CHECK_FAILS(PARSE("--secret-knop=1"), ERRC_INVALID);
    CHECK_HAS_NOT(str_from(error.text), "secret-knob");
}

Test(cli, an_absurdly_long_flag_is_refused_as_any_other)
{
    char name[5000];
    memset(name, 'x', sizeof(name));
    memcpy(name, "--", 2);
    name[sizeof(name) - 1] = '\0';
    CHECK_FAILS(PARSE(name), ERRC_INVALID);
}

Test(cli, wrong_values_are_refused_with_the_reason)
{
    CHECK_REFUSES("flag \"--secure-port\": \"0\" is not within 1 and 65535", "--secure-port=0");
    CHECK_REFUSES("flag \"--secure-port\": \"65536\" is not within 1 and 65535", "--secure-port=65536");
    CHECK_REFUSES("flag \"--secure-port\": \"80x\" is not a whole number", "--secure-port=80x");
    CHECK_REFUSES("flag \"--delta\": \"9223372036854775808\" is not a whole number", "--delta=9223372036854775808");
    CHECK_REFUSES("flag \"--secure-port\": \"\" is not a whole number", "--secure-port=");
    CHECK_REFUSES("flag \"--grace\": \"5\" is not a duration such as \"1m30s\"", "--grace=5");
    CHECK_REFUSES("flag \"--grace\": \"61s\" is not within 1s and 1m0s", "--grace", "61s");
    CHECK_REFUSES("flag \"--log-format\": \"xml\" is none of \"json\", \"text\"", "--log-format=xml");
    CHECK_REFUSES("flag \"--features\": \"Gamma\" is none of \"Alpha\", \"Beta\"", "--features=Alpha,Gamma");
    CHECK_REFUSES("flag \"--controllers\": \"a,,b\" is a list with an empty item", "--controllers=a,,b");
    CHECK_REFUSES("flag \"--controllers\": \"a,\" is a list with an empty item", "--controllers=a,");
    CHECK_REFUSES("flag \"--standalone\": \"yes\" is neither \"true\" nor \"false\"", "--standalone=yes");
    CHECK_REFUSES("flag \"--data-dir\" needs a value: DIR", "--data-dir");
    CHECK_REFUSES("unknown command \"fales\"", "fales");
    CHECK_REFUSES("unexpected argument \"false\"", "--standalone", "false");
}

Test(cli, the_limits_themselves_are_allowed)
{
    CHECK_PARSES("--secure-port=65535", "--grace=1s", "--delta=-9223372036854775808");
    cr_assert_eq(got.port, 65535);
    cr_assert_eq(got.delta, INT64_MIN);
    CHECK_PARSES("--secure-port=1", "--grace=60s");
}

Test(cli, a_command_has_its_own_flags_and_arguments)
{
    CHECK_PARSES("restore", "--from", "copy.db", "here", "--wait=1s", "--", "--there");
    cr_assert_str_eq(call.command->name, "restore");
    cr_assert_str_eq(got.from, "copy.db");
    cr_assert_eq(got.wait_ns, NS_PER_S);
    cr_assert_eq(call.argument_count, 2);
    cr_assert_str_eq(call.arguments[0], "here");
    cr_assert_str_eq(call.arguments[1], "--there");
    cr_assert_null(got.log_format, "the main table's defaults are not this command's");
    CHECK_REFUSES("unknown flag \"--data-dir\"", "restore", "--data-dir=x");
    CHECK_REFUSES("flag \"--from\" is needed", "restore", "x");
    CHECK_REFUSES("an argument is missing: TARGET", "restore", "--from=x");
    CHECK_REFUSES("unexpected argument \"c\"", "restore", "--from=x", "a", "b", "c");
    CHECK_REFUSES("unexpected argument \"-\"", "snapshot", "-");
    CHECK_REFUSES("unknown command \"restoer\"; the nearest is \"restore\"", "restoer", "--from=x");
}

Test(cli, a_program_that_needs_a_command_says_so)
{
    struct cli_program p = program;
    p.needs_command = true;
    CHECK_FAILS(parse_with(&p, (const char *const[]) { NULL }), ERRC_INVALID);
    cr_assert_str_eq(error.text, "a command is needed");
    cr_assert_eq(parse_with(&p, (const char *const[]) { "snapshot", NULL }), 0);
    cr_assert_eq(parse_with(&p, (const char *const[]) { "--help", NULL }), 0);
}

Test(cli, an_empty_argv_is_survived)
{
    char *argv[] = { NULL };
    call = (struct cli_call) { .argv = argv, .target = &got };
    CHECK_OK(cli_parse(arena, &program, &call, &error), error);
}

Test(cli, help_shows_every_visible_flag_with_its_facts)
{
    CHECK_PARSES("--help", "--never-looked-at");
    str text = call.output;
    CHECK_HAS(text, "Usage: test-server [COMMAND] [FLAG\xe2\x80\xa6]\n\nserve things.\n\nFirst paragraph.\n\nSecond ");
    CHECK_HAS(text, "\nCommands:\n    restore      put a copy back\n    snapshot     copy the store: online\n");
    CHECK_HAS(text, "\nServing:\n    --secure-port PORT\n        Port that serves TLS. Default: 6443.\n");
    CHECK_HAS(text, "    --standalone\n        Run without Kubernetes.\n");
    CHECK_HAS(text, "    --profiling=false\n");
    CHECK_HAS(text, "    --delta VALUE\n");
    CHECK_HAS(text, "One of json,");
    CHECK_HAS(text, "Any of Alpha, Beta.");
    CHECK_HAS(text, "Default: *.");
    CHECK_HAS(text, "--version");
    CHECK_HAS_NOT(text, "secret");
    CHECK_HAS_NOT(text, "--print");
    for (str rest = text, line; str_next_field(&rest, '\n', &line);)
        cr_assert_leq(line.len, 82, "%.*s", STR_ARG(line));
    CHECK_PARSES("restore", "-h");
    CHECK_HAS(call.output, "Usage: test-server restore [FLAG\xe2\x80\xa6] TARGET\n");
    CHECK_HAS(call.output, "        The copy. Needed.\n");
    CHECK_PARSES("--version");
    CHECK_STR(call.output, "test-server 1.2.3\n");
}

/* The program's standard output, or a skipped test where it is not installed. */
static str run(const char *const *argv, str input)
{
    struct process_result r;
    const struct process_spec spec = { .argv = argv, .input = input };
    int result = process_run(arena, &spec, deadline_in_ms(120000), 1 << 20, NULL, NULL, &r, &error);
    if (result == ERRC_NOT_FOUND)
        cr_skip_test("%s is not installed", argv[0]);
    cr_assert_eq(result, 0, "%s", error.text);
    return r.out;
}

Test(cli, the_man_page_is_scdoc_that_renders)
{
    CHECK_PARSES("--print-man");
    CHECK_HAS(call.output, "test-server(8)");
    CHECK_HAS(call.output, "*--secure-port* _PORT_\n\tPort that serves TLS. Default: 6443.\n");
    CHECK_HAS(call.output, "Any\\_number \\*at\\* all.");
    CHECK_HAS_NOT(call.output, "secret");
    str roff = run((const char *const[]) { "scdoc", NULL }, call.output);
    CHECK_HAS(roff, ".TH \"test-server\" \"8\"");
    CHECK_HAS(roff, "\\fB--controllers\\fR \\fIVALUE\\fR");
    CHECK_HAS(roff, "Any_number *at* all.");
    CHECK_HAS(roff, ".SH COMMAND restore");
}

/* What bash would offer at the end of these words. */
static str complete(const char *words)
{
    CHECK_PARSES("--print-completion", "bash");
    str script = arena_printf(arena,
                              "%.*s\nset -eu\nCOMP_WORDS=(%s)\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
                              "compopt() { :; }\n_test_server\nIFS=' '\necho \"${COMPREPLY[*]}\"\n",
                              STR_ARG(call.output), words);
    return str_trim(run((const char *const[]) { "bash", NULL }, script));
}

Test(cli, bash_completes_commands_flags_and_values)
{
    CHECK_STR(complete("test-server ''"), "--help --version --data-dir --log-format --standalone --profiling "
                                          "--secure-port --delta --grace --controllers --features restore snapshot");
    CHECK_STR(complete("test-server sn"), "snapshot");
    CHECK_STR(complete("test-server --st"), "--standalone");
    CHECK_STR(complete("test-server --standalone sn"), "");
    CHECK_STR(complete("test-server restore --"), "--help --version --from --wait");
    CHECK_STR(complete("test-server --log-format ''"), "json text");
    CHECK_STR(complete("test-server --log-format = t"), "text");
    CHECK_STR(complete("test-server --log-format ="), "json text");
    CHECK_STR(complete("test-server --secure-port 1"), "");
    CHECK_STR(complete("test-server snapshot --log-format ''"), "--help --version");
}

Test(cli, bash_completes_folders)
{
    TEMP_DIR(d);
    CHECK_OK(fs_mkdir_all(TEMP_PATH(arena, d, "sub"), 0755, &error), error);
    CHECK_OK(fs_write_atomic(TEMP_PATH(arena, d, "sub.file"), S(""), 0644, &error), error);
    str folder = arena_printf(arena, "%s/sub", d.path);
    CHECK_STR(complete(arena_printf(arena, "test-server --data-dir %s/s", d.path).ptr), folder.ptr);
    CHECK_STR(complete(arena_printf(arena, "test-server restore --from %s/sub.", d.path).ptr),
              arena_printf(arena, "%s/sub.file", d.path).ptr);
}

Test(cli, the_zsh_script_has_every_flag_quoted)
{
    CHECK_PARSES("--print-completion=zsh");
    CHECK_HAS(call.output, "#compdef test-server\n");
    CHECK_HAS(call.output, "'--log-format=[How lines look]:FORMAT:(json text)'");
    CHECK_HAS(call.output, "'--data-dir=[Folder of the store.]:DIR:_files -/'");
    CHECK_HAS(call.output, "'--standalone[Run without Kubernetes.]'");
    CHECK_HAS(call.output, "'*--controllers=[Which run.]:VALUE:'");
    CHECK_HAS(call.output, "'snapshot:copy the store: online'");
    CHECK_HAS_NOT(call.output, "secret");
    CHECK_REFUSES("flag \"--print-completion\" needs \"bash\" or \"zsh\"", "--print-completion", "fish");
    CHECK_REFUSES("flag \"--print-completion\" needs \"bash\" or \"zsh\"", "--print-completion");
}

Test(cli, a_wrong_command_line_ends_the_program_with_2, .exit_code = 2)
{
    char *argv[] = { (char[]) { "test-server" }, (char[]) { "--nope" }, NULL };
    call = (struct cli_call) { .argv = argv, .target = &got };
    cli_parse_or_exit(arena, &program, &call);
}

Test(cli, asking_for_help_ends_the_program_with_0, .exit_code = 0)
{
    char *argv[] = { (char[]) { "test-server" }, (char[]) { "--help" }, NULL };
    call = (struct cli_call) { .argv = argv, .target = &got };
    cr_assert_neq(dup2(STDERR_FILENO, STDOUT_FILENO), -1);
    cli_parse_or_exit(arena, &program, &call);
    _exit(1);
}
