/* SPDX-License-Identifier: Apache-2.0 */
/* Rules for spec.postgresql.parameters: known, not the operator's own, and with values that PostgreSQL takes. */
#include "resources/postgrescluster/parameters.h"

#include "resources/postgrescluster/guc.h"
#include "resources/postgrescluster/owned.h"

#define FIELD "spec.postgresql.parameters"

static str field_of(struct arena *a, str name)
{
    return arena_printf(a, FIELD "[%.*s]", STR_ARG(name));
}

static bool has_control_character(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return true;
    return false;
}

static bool is_lower_case(str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z')
            return false;
    return true;
}

static void refuse(struct field_errors *errors, enum field_error_type type, const struct json_member *m, str why)
{
    field_error_add(errors, type, field_of(errors->arena, m->key), m->value, "%.*s", STR_ARG(why));
}

/* A name that this major's table should have. */
static void check_known(int major, const struct json_member *m, struct field_errors *errors)
{
    struct arena *a = errors->arena;
    struct guc g;
    str why = S("");
    str value = m->value->text;
    if (!guc_find(major, m->key, &g))
        refuse(errors, FIELD_INVALID, m, arena_printf(a, "PostgreSQL %d has no such parameter", major));
    else if (!str_eq(g.name, m->key) && !is_lower_case(m->key)) /* one spelling, for who looks it up by name */
        refuse(errors, FIELD_INVALID, m, arena_printf(a, "the parameter must be written %.*s", STR_ARG(g.name)));
    else if (str_eq(g.context, S("internal")))
        refuse(errors, FIELD_FORBIDDEN, m, S("it only shows a value and cannot be set"));
    else if (!guc_check_value(a, &g, value, &why))
        refuse(errors, FIELD_INVALID, m, why);
    else if (str_eq(g.name, S("wal_level")) && !str_eq_nocase(value, S("replica")) &&
             !str_eq_nocase(value, S("logical")))
        refuse(errors, FIELD_INVALID, m, S("must be replica or logical: standbys need it"));
}

static bool is_name(struct arena *a, str name)
{
    return guc_is_qualified_name(arena_printf(a, "x.%.*s", STR_ARG(name)));
}

static void check_one(int major, const struct json_member *m, struct field_errors *errors)
{
    const char *reason = owned_reason(m->key);
    if (reason)
        refuse(errors, FIELD_FORBIDDEN, m, str_from(reason));
    else if (!json_is(m->value, JSON_STRING))
        return; /* the schema has said so */
    else if (has_control_character(m->value->text))
        refuse(errors, FIELD_INVALID, m, S("must not hold control characters"));
    else if (guc_is_qualified_name(m->key))
        return;
    else if (guc_has_table(major))
        check_known(major, m, errors);
    else if (!is_name(errors->arena, m->key))
        refuse(errors, FIELD_INVALID, m, S("is no name of a parameter"));
}

/* Two spellings of one name would make the result depend on the order of the file. */
static void check_unique(const struct json *parameters, struct field_errors *errors)
{
    for (size_t i = 0; i < parameters->count; i++) {
        for (size_t k = 0; k < i; k++) {
            str name = parameters->members[i].key;
            if (!str_eq_nocase(name, parameters->members[k].key))
                continue;
            field_error_add(errors, FIELD_DUPLICATE, field_of(errors->arena, name), json_string(errors->arena, name),
                            "%s", "");
        }
    }
}

static int integer_of(int major, const struct json *parameters, const char *name, int fallback)
{
    struct guc g;
    int value = fallback;
    for (size_t i = 0; i < parameters->count; i++)
        if (str_eq_nocase(parameters->members[i].key, str_from(name)) && guc_find(major, str_from(name), &g))
            (void)guc_read_integer(&g, json_str(parameters->members[i].value), &value); /* else refused above */
    return value;
}

/* MAX_BACKENDS: processes that shared memory has room for; what users do not set has its default. */
#define BACKENDS_MAX 0x3ffff
/* What the agent sets for max_wal_senders and max_replication_slots unless the user says otherwise. */
#define WAL_SENDERS 32
/* Beside one for each standby: base backups of new ones, two each. */
#define SPARE_SENDERS 4

/* Every instance must be able to serve all others, since each may become the primary. */
static void check_replication(const struct parameters *p, struct field_errors *errors)
{
    static const char *const names[] = { "max_wal_senders", "max_replication_slots" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        int value = integer_of(p->major, p->parameters, names[i], WAL_SENDERS);
        if (value < p->instances + SPARE_SENDERS)
            field_error_add(errors, FIELD_INVALID, field_of(errors->arena, str_from(names[i])),
                            json_int(errors->arena, value), "must be at least spec.instances and %d more (%d)",
                            SPARE_SENDERS, p->instances + SPARE_SENDERS);
    }
}

static void check_backends(int major, const struct json *parameters, int connections, struct field_errors *errors)
{
    int others = integer_of(major, parameters, "autovacuum_max_workers", 3) + 1 +
                 integer_of(major, parameters, "max_worker_processes", 8) +
                 integer_of(major, parameters, "max_wal_senders", WAL_SENDERS);
    if (connections + others > BACKENDS_MAX)
        field_error_add(errors, FIELD_INVALID, S(FIELD "[max_connections]"), json_int(errors->arena, connections),
                        "must be at most %d beside %d background processes", BACKENDS_MAX - others, others);
}

/* What PostgreSQL refuses at start although each value is fine by itself (postmaster.c, xlog.c). */
static void check_together(int major, const struct json *parameters, struct field_errors *errors)
{
    int connections = integer_of(major, parameters, "max_connections", 100);
    int reserved = integer_of(major, parameters, "superuser_reserved_connections", 3) +
                   integer_of(major, parameters, "reserved_connections", 0);
    if (reserved >= connections)
        field_error_add(errors, FIELD_INVALID, S(FIELD "[max_connections]"), json_int(errors->arena, connections),
                        "must be more than the reserved connections (%d)", reserved);
    check_backends(major, parameters, connections, errors);
    /* Twice the size of a segment, which is always 16 MB here; in MB. */
    static const char *const sizes[] = { "min_wal_size", "max_wal_size" };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        int size = integer_of(major, parameters, sizes[i], 1024);
        if (size < 32)
            field_error_add(errors, FIELD_INVALID, field_of(errors->arena, str_from(sizes[i])),
                            json_int(errors->arena, size), "must be at least 32MB, two segments");
    }
}

/* Quadratic look-ups stay cheap: the schema bounds the number of parameters; beyond it nothing more is said. */
#define PARAMETERS_MAX 256

void parameters_validate(const struct parameters *p, struct field_errors *errors)
{
    if (!json_is(p->parameters, JSON_OBJECT) || p->parameters->count > PARAMETERS_MAX)
        return;
    for (size_t i = 0; i < p->parameters->count; i++)
        check_one(p->major, &p->parameters->members[i], errors);
    check_unique(p->parameters, errors);
    if (!guc_has_table(p->major))
        return;
    check_together(p->major, p->parameters, errors);
    check_replication(p, errors);
}
