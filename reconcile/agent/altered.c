/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ALTER SYSTEM writes postgresql.auto.conf, which wins over postgresql.conf. People may use it for their own settings;
 * what the agent must be sure of (addresses, TLS, replication, archive, whom a commit waits for) is taken out of it
 * again: before a start from the file, else by ALTER SYSTEM RESET as soon as the prober sees it.
 */
#include <stdio.h>

#include "agent.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/strbuf.h"

#define AUTO_MAX_BYTES (1 << 20)
#define NAMES_MAX 4096

bool conf_owns(str text, str name)
{
    bool is_own = false;
    for (str rest = text, line; str_next_field(&rest, '\n', &line);) {
        str key, value;
        is_own |= str_eq(line, S(CONF_OWN_LINE));
        if (is_own && str_cut(line, '=', &key, &value) && str_eq_nocase(str_trim(key), name))
            return true;
    }
    return false;
}

str altered_without_own(struct arena *a, str file, str text, str *ret_taken)
{
    STRBUF_AUTO kept = STRBUF_INIT(AUTO_MAX_BYTES + 1);
    STRBUF_AUTO taken = STRBUF_INIT(NAMES_MAX);
    for (str rest = file, line; str_next_field(&rest, '\n', &line);) {
        str key, value;
        bool is_own = str_cut(line, '=', &key, &value) && conf_owns(text, str_trim(key));
        if (is_own)
            strbuf_addf(&taken, "%s%.*s", taken.len ? "," : "", STR_ARG(str_trim(key)));
        else if (line.len || rest.len)
            strbuf_addf(&kept, "%.*s\n", STR_ARG(line));
    }
    *ret_taken = strbuf_to_arena(&taken, a);
    return strbuf_to_arena(&kept, a);
}

/* What was written for PostgreSQL last; it is the worker that writes. */
static str written_text(struct agent *ag, struct arena *a)
{
    pthread_mutex_lock(&ag->lock);
    str text = arena_str(a, ag->board.written);
    pthread_mutex_unlock(&ag->lock);
    return text;
}

int altered_clean(struct agent *ag, struct error *err)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    const char *path = arena_printf(a, "%s/postgresql.auto.conf", ag->path.pgdata).ptr;
    str file, taken;
    struct error why;
    int r = fs_read(a, path, AUTO_MAX_BYTES, &file, &why);
    if (r != 0) {
        /* The prober undoes it later, if PostgreSQL can start with it. */
        if (r != ERRC_NOT_FOUND)
            log_warn("not looked for ALTER SYSTEM of what the agent sets", LOG_ERROR(&why));
        return 0;
    }
    str kept = altered_without_own(a, file, written_text(ag, a), &taken);
    if (taken.len == 0)
        return 0;
    log_warn("ALTER SYSTEM of what the agent sets is undone", LOG_STR("names", taken));
    return fs_write_atomic(path, kept, 0600, err);
}

static bool reset(struct pg *c, str text, str name, int64_t deadline_ns)
{
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct pg_rows rows;
    struct error err;
    if (!conf_owns(text, name))
        return false;
    str sql = arena_printf(a, "ALTER SYSTEM RESET %.*s", STR_ARG(pg_identifier(c, a, name)));
    if (pg_query(c, a, sql.ptr, NULL, deadline_ns, &rows, &err) != 0) {
        log_warn("ALTER SYSTEM is not undone", LOG_STR("name", name), LOG_ERROR(&err));
        return false;
    }
    log_warn("ALTER SYSTEM of what the agent sets is undone", LOG_STR("names", name));
    return true;
}

void altered_reset(struct agent *ag, struct pg *c, str waiting, str altered, int64_t deadline_ns)
{
    if (waiting.len == 0 && altered.len == 0)
        return;
    CLEANUP(arena_freep) struct arena *a = arena_new();
    struct pg_rows rows;
    str text = written_text(ag, a), name, value;
    bool is_any = false;
    for (str rest = waiting, item; str_next_field(&rest, '\n', &item);)
        if (item.len > 0 && item.ptr[0] != '-' && (str_cut(item, '=', &name, &value)))
            is_any |= reset(c, text, name, deadline_ns);
    for (str rest = altered; str_next_field(&rest, '\n', &name);)
        is_any |= reset(c, text, name, deadline_ns);
    if (is_any && pg_query(c, a, "SELECT pg_reload_conf()", NULL, deadline_ns, &rows, NULL) != 0)
        log_warn("PostgreSQL was not told to reload");
}
