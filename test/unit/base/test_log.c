/* SPDX-License-Identifier: Apache-2.0 */
/* What really arrives on standard error. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/arena.h"
#include "harness/check.h"

/* Standard error goes into a pipe; read_line gives what one write put there. */
static int read_end;

static void redirect(enum log_level level, enum log_format format)
{
    int fds[2];
    cr_assert_eq(pipe2(fds, O_CLOEXEC | O_DIRECT), 0); /* packets: one read is one write */
    cr_assert_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    cr_assert_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    read_end = fds[0];
    log_setup(level, format);
}

static str read_packet(void)
{
    static char buffer[16384];
    ssize_t n = read(read_end, buffer, sizeof(buffer));
    return str_of(buffer, n < 0 ? 0 : (size_t)n);
}

/* Without the time stamp, whose form is checked on the way. */
static str read_json(void)
{
    str line = read_packet();
    cr_assert(str_has_prefix(line, S("{\"time\":\"2")), "%.*s", STR_ARG(line));
    cr_assert_eq(line.ptr[28], '.');
    cr_assert_eq(line.ptr[35], 'Z');
    cr_assert(str_has_suffix(line, S("}\n")));
    return str_trim(str_from_offset(line, 38));
}

Test(log, a_line_is_one_json_object_with_its_fields)
{
    redirect(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    struct error e;
    error_set(&e, ERRC_INVALID, "no \"x\"");
    log_info("watch closed", LOG_Z("resource", "pods"), LOG_INT("rv", -7), LOG_BOOL("clean", true), LOG_ERROR(&e));
    CHECK_STR(read_json(), "\"level\":\"info\",\"msg\":\"watch closed\",\"resource\":\"pods\",\"rv\":-7,\"clean\":true,"
                           "\"error\":\"no \\\"x\\\"\"}");
    log_error("plain");
    CHECK_STR(read_json(), "\"level\":\"error\",\"msg\":\"plain\"}");
}

Test(log, levels_above_the_chosen_one_write_nothing)
{
    redirect(LOG_LEVEL_WARN, LOG_FORMAT_JSON);
    log_info("no");
    log_debug("no");
    cr_assert_eq(read_packet().len, 0);
    cr_assert(log_is_on(LOG_LEVEL_ERROR) && log_is_on(LOG_LEVEL_WARN) && !log_is_on(LOG_LEVEL_INFO));
    log_warn("yes");
    CHECK_HAS(read_json(), "yes");
}

Test(log, control_bytes_and_broken_utf8_are_escaped)
{
    redirect(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info("x", LOG_STR("t", S("\0\x1f\n\r\t\\\"\x7f")), LOG_STR("u", S("\xc3\xa4\xff\xed\xa0\x80\xc2\x9b")));
    CHECK_STR(read_json(), "\"level\":\"info\",\"msg\":\"x\",\"t\":\"\\u0000\\u001f\\n\\r\\t\\\\\\\"\\u007f\","
                           "\"u\":\"\xc3\xa4\\ufffd\\ufffd\\ufffd\\ufffd\\u009b\"}");
}

Test(log, a_long_line_is_one_write_of_at_most_8_kib_and_still_json)
{
    redirect(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    CLEANUP(arena_freep) struct arena *a = arena_new();
    for (size_t len = 7900; len < 8300; len++) {
        char *text = arena_alloc(a, len);
        memset(text, len % 2 ? 'x' : '\n', len);
        log_info("long", LOG_STR("text", str_of(text, len)), LOG_INT("after", 1));
        /* A pipe cuts packets at 4096 bytes. */
        char line[3 * 4096];
        size_t got = 0;
        for (ssize_t n; got < sizeof(line) && (n = read(read_end, line + got, sizeof(line) - got)) > 0;)
            got += (size_t)n;
        str s = str_of(line, got);
        cr_assert_leq(got, 8192);
        bool is_whole = str_has_suffix(s, S("\",\"after\":1}\n"));
        cr_assert(is_whole || str_has_suffix(s, S("\",\"truncated\":true}\n")), "length %zu", len);
        if (len > 8192)
            cr_assert_not(is_whole);
        cr_assert_eq(str_index(s, '\n'), (ptrdiff_t)got - 1);
    }
}

Test(log, many_fields_beyond_the_limit_are_left_out_whole)
{
    redirect(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    struct log_field fields[1000];
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        fields[i] = i % 2 ? LOG_INT("number", INT64_MIN) : LOG_Z("text", "t\"\"");
    log_write(LOG_LEVEL_INFO, "many", fields, ARRAY_LEN(fields));
    char line[3 * 4096];
    size_t got = 0;
    for (ssize_t n; (n = read(read_end, line + got, sizeof(line) - got)) > 0;)
        got += (size_t)n;
    str s = str_of(line, got);
    cr_assert_leq(got, 8192);
    cr_assert(str_has_suffix(s, S(",\"truncated\":true}\n")));
    cr_assert(str_has_suffix(str_first(s, got - strlen(",\"truncated\":true}\n")), S("-9223372036854775808")) ||
              str_has_suffix(str_first(s, got - strlen(",\"truncated\":true}\n")), S("\"t\\\"\\\"\"")));
}

Test(log, text_form_quotes_what_needs_it)
{
    redirect(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_debug("started up", LOG_Z("name", "demo"), LOG_Z("path", "a b"), LOG_Z("eq", "a=b"), LOG_Z("none", ""),
              LOG_Z("esc", "\x1b[31m"), LOG_INT("n", 3), LOG_BOOL("ok", false));
    str line = read_packet();
    CHECK_STR(str_from_offset(line, 27), " debug \"started up\" name=demo path=\"a b\" eq=\"a=b\" none=\"\" "
                                         "esc=\"\\u001b[31m\" n=3 ok=false\n");
}

Test(log, a_closed_standard_error_is_survived_and_errno_is_kept)
{
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    cr_assert_eq(close(STDERR_FILENO), 0);
    errno = EXDEV;
    log_info("into the void");
    cr_assert_eq(errno, EXDEV);
}
