/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why PostgreSQL ended, by its own log of this run. Most FATALs are of sessions that were refused and say nothing about
 * it: what counts is what the postmaster wrote about itself or about the process whose end became its own, and that
 * process' own words.
 */
#include <stdio.h>

#include "agent.h"

struct words {
    struct arena *arena;
    pid_t postmaster;
    str ended; /* "startup process (PID 12) exited with exit code 1", the newest */
    str cause; /* that one, once the postmaster drew its conclusion from it */
    str own;   /* its own FATAL or PANIC */
    str panic; /* anybody's */
};

/* "… [12] …" */
static bool is_by(str line, pid_t pid)
{
    char mark[32];
    ptrdiff_t at = str_index(line, '[');
    (void)snprintf(mark, sizeof(mark), "[%d] ", (int)pid);
    return at >= 0 && str_has_prefix(str_from_offset(line, (size_t)at), str_from(mark));
}

/* What stands behind the level; false: the line is of another level. */
static bool take(str line, const char *level, str *ret)
{
    ptrdiff_t at = str_find(line, str_from(level));
    if (at < 0)
        return false;
    *ret = str_trim(str_from_offset(line, (size_t)at + strlen(level)));
    return true;
}

static bool is_end_of_process(str text)
{
    return str_find(text, S("(PID ")) >= 0 &&
           (str_find(text, S(") exited with ")) >= 0 || str_find(text, S(") was terminated by ")) >= 0);
}

static bool is_conclusion(str text)
{
    return str_has_prefix(text, S("terminating any other active server processes")) ||
           str_has_prefix(text, S("aborting startup due to startup process failure"));
}

static void look_at(struct words *w, str line)
{
    str text;
    if (take(line, "PANIC:", &text))
        w->panic = text;
    if (!is_by(line, w->postmaster))
        return;
    if (take(line, "PANIC:", &text) || take(line, "FATAL:", &text))
        w->own = text;
    else if (!take(line, "LOG:", &text))
        return;
    else if (is_end_of_process(text))
        w->ended = text;
    else if (is_conclusion(text) && w->cause.len == 0)
        w->cause = w->ended;
}

/* The newest FATAL or PANIC of the process in "… (PID 12) …". */
static str words_of(str log, str ended)
{
    int pid = 0;
    str found = S(""), text;
    ptrdiff_t at = str_find(ended, S("(PID "));
    for (str rest = str_from_offset(ended, (size_t)at + strlen("(PID "));
         rest.len > 0 && rest.ptr[0] >= '0' && rest.ptr[0] <= '9' && pid < 100000000; rest = str_from_offset(rest, 1))
        pid = pid * 10 + (rest.ptr[0] - '0');
    for (str rest = log, line; str_next_field(&rest, '\n', &line);)
        if (is_by(line, pid) && (take(line, "FATAL:", &text) || take(line, "PANIC:", &text)))
            found = text;
    return found;
}

str postgres_last_words(struct arena *a, str log, pid_t postmaster)
{
    struct words w = { .arena = a, .postmaster = postmaster };
    for (str rest = log, line; str_next_field(&rest, '\n', &line);)
        look_at(&w, line);
    if (w.own.len > 0)
        return w.own;
    if (w.cause.len == 0)
        return w.panic;
    str more = words_of(log, w.cause);
    return more.len > 0 ? arena_printf(a, "%.*s: %.*s", STR_ARG(w.cause), STR_ARG(more)) : w.cause;
}
