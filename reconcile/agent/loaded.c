/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the written configuration is in force, and what of it waits for a restart. Everything that is written for
 * PostgreSQL carries a mark, a hash of it all, as a setting of its own: PostgreSQL shows the mark of what it has
 * loaded. The worker notes what it wrote and what PostgreSQL was started with, the prober what PostgreSQL says.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent.h"

#define NUMBER_MAX 64

/* As PostgreSQL reads an integer without unit: decimal, octal, hexadecimal, also 1e2 and 99.6 (guc.c: parse_int). */
bool conf_integer(str text, int64_t *ret)
{
    char z[NUMBER_MAX], *end = z;
    text = str_trim(text);
    if (text.len == 0 || text.len >= sizeof(z))
        return false;
    memcpy(z, text.ptr, text.len);
    z[text.len] = '\0';
    errno = 0;
    double value = (double)strtol(z, &end, 0);
    if (*end == '.' || *end == 'e' || *end == 'E' || errno == ERANGE)
        value = strtod(z, &end);
    if (end == z || *end != '\0' || isnan(value) || fabs(value) > INT32_MAX)
        return false;
    *ret = (int64_t)rint(value);
    return true;
}

/* Of a text that conf_text wrote: the last line of that name counts. Quotes stay. */
static str setting_of(str text, str name)
{
    str found = S("");
    for (str rest = text, line; str_next_field(&rest, '\n', &line);) {
        str key, value;
        if (str_cut(line, '=', &key, &value) && str_eq_nocase(str_trim(key), name))
            found = str_trim(value);
    }
    return found;
}

static int64_t limit_of(str text, str name)
{
    str value = setting_of(text, name);
    int64_t n = 0;
    if (value.len >= 2 && value.ptr[0] == '\'')
        value = str_of(value.ptr + 1, value.len - 2);
    return conf_integer(value, &n) ? n : -1;
}

static void add_name(char *list, size_t size, str name)
{
    size_t len = strlen(list);
    if (len + name.len + 2 < size)
        (void)snprintf(list + len, size - len, "%s%.*s", len ? "," : "", STR_ARG(name));
}

/* One that PostgreSQL says waits for a restart: "max_connections=100", with the value that runs; "-max_connections=100"
 * when nothing but our file has spoken of it. */
static void take_one(const struct pending_input *in, str item, struct pending *ret)
{
    str name, running_text;
    int64_t running = 0;
    bool is_ours_alone = item.ptr[0] == '-';
    (void)str_cut(str_from_offset(item, is_ours_alone ? 1 : 0), '=', &name, &running_text);
    /* Not because of our file, which says what it said at the start (ALTER SYSTEM?): a restart would be nobody's wish,
     * and where something else wins over our file it would not even help. */
    if (str_eq(setting_of(in->written, name), setting_of(in->started, name))) {
        if (is_ours_alone) /* what runs is what it says again: PostgreSQL does not look back */
            return;
        add_name(ret->elsewhere_names, sizeof(ret->elsewhere_names), name);
        return;
    }
    ret->needs_restart = true;
    int limit = conf_limit_index(name);
    if (limit >= 0 && conf_integer(running_text, &running)) {
        int64_t wanted = limit_of(in->written, name);
        ret->standbys_first |= wanted > running;
        ret->primary_first |= !in->is_standby && wanted < running;
    }
    if (limit < 0 || !in->held[limit]) /* else it is told below */
        add_name(ret->names, sizeof(ret->names), name);
}

void pending_of(const struct pending_input *in, struct pending *ret)
{
    *ret = (struct pending) { 0 };
    for (str rest = in->waiting, item; str_next_field(&rest, '\n', &item);)
        if (item.len > 0)
            take_one(in, item, ret);
    for (size_t i = 0; i < CONF_LIMITS; i++)
        if (in->held[i]) {
            ret->needs_restart = ret->primary_first = true;
            add_name(ret->names, sizeof(ret->names), str_from(conf_limit_names[i]));
        }
}

/* ---- the board ------------------------------------------------------------------------------------------------- */

void loaded_note_written(struct agent *ag, str text, str mark, const bool held[CONF_LIMITS])
{
    struct board *b = &ag->board;
    pthread_mutex_lock(&ag->lock);
    b->written_version = ag->config.version;
    memcpy(b->held_limits, held, sizeof(b->held_limits));
    if (!str_eq_z(mark, b->written_mark)) {
        arena_free(b->written_arena);
        b->written_arena = arena_new();
        b->written = arena_str(b->written_arena, text);
        (void)snprintf(b->written_mark, sizeof(b->written_mark), "%.*s", STR_ARG(mark));
    }
    pthread_mutex_unlock(&ag->lock);
}

void loaded_note_start(struct agent *ag)
{
    struct board *b = &ag->board;
    pthread_mutex_lock(&ag->lock);
    arena_free(b->started_arena);
    b->started_arena = arena_new();
    b->started = arena_str(b->started_arena, b->written);
    b->loaded_mark[0] = '\0';
    pthread_mutex_unlock(&ag->lock);
}

void loaded_take(struct board *b, str mark, str waiting)
{
    const struct pending_input in = { .waiting = waiting,
                                      .written = b->written,
                                      .started = b->started,
                                      .held = b->held_limits,
                                      .is_standby = b->in_recovery };
    (void)snprintf(b->loaded_mark, sizeof(b->loaded_mark), "%.*s", STR_ARG(mark));
    pending_of(&in, &b->pending);
}

bool loaded_is_all(const struct board *b)
{
    return b->written_mark[0] != '\0' && strcmp(b->written_mark, b->loaded_mark) == 0;
}
