/* SPDX-License-Identifier: Apache-2.0 */
/* Looks up parameters in the embedded tables and reads values exactly as PostgreSQL's guc.c does. */
#include "resources/postgrescluster/guc.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "base/attr.h"
#include "resources/kinds.h"

/* Longer numbers are refused unread. */
#define NUMBER_MAX 128
#define UNIT_MAX 3

/* "guc/15.tsv", without the cost of printf: it is asked for every parameter of every write. */
static str table_of(int major)
{
    char name[] = "guc/00.tsv";
    if (major < 10 || major > 99)
        return S("");
    name[4] = (char)('0' + major / 10);
    name[5] = (char)('0' + major % 10);
    return embedded_find(kind_files, str_from(name));
}

bool guc_has_table(int major)
{
    return table_of(major).len > 0;
}

static int compare_nocase(str a, str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < len; i++) {
        int x = tolower((unsigned char)a.ptr[i]);
        int y = tolower((unsigned char)b.ptr[i]);
        if (x != y)
            return x - y;
    }
    return (a.len > b.len) - (a.len < b.len);
}

static str line_at(str table, size_t start)
{
    str rest = str_from_offset(table, start);
    ptrdiff_t end = str_index(rest, '\n');
    return end < 0 ? rest : str_first(rest, (size_t)end);
}

static bool read_line(str line, struct guc *ret)
{
    static const char *const types[] = { "bool", "integer", "real", "string", "enum" };
    str f[7] = { { NULL, 0 } };
    for (size_t i = 0; i < ARRAY_LEN(f); i++)
        (void)str_cut(line, '\t', &f[i], &line);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!str_eq_z(f[1], types[i]))
            continue;
        *ret = (struct guc) { f[0], (enum guc_type)i, f[2], f[3], f[4], f[5], f[6] };
        return true;
    }
    return false;
}

/* The lines are sorted by lower-case name: bisects over bytes, so that nothing has to be prepared or kept. */
bool guc_find(int major, str name, struct guc *ret)
{
    str table = table_of(major);
    size_t lo = 0;
    while (lo < table.len && table.ptr[lo] == '#')
        lo += line_at(table, lo).len + 1;
    size_t hi = table.len;
    while (lo < hi) {
        size_t middle = (hi - lo) / 2;
        size_t start = lo + (size_t)(str_rindex(str_of(table.ptr + lo, middle), '\n') + 1);
        str line = line_at(table, start);
        int order = compare_nocase(name, str_first(line, (size_t)str_index(line, '\t')));
        if (order == 0)
            return read_line(line, ret);
        if (order < 0)
            hi = start;
        else
            lo = start + line.len + 1;
    }
    return false;
}

bool guc_is_qualified_name(str name)
{
    bool is_start = true;
    bool has_dot = false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c == '.') {
            if (is_start)
                return false;
            is_start = has_dot = true;
            continue;
        }
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && (is_start || c < '0' || c > '9'))
            return false;
        is_start = false;
    }
    return has_dot && !is_start;
}

struct unit {
    const char *base, *name;
    double multiplier;
};

/* Per base unit from large to small: a fraction is rounded to whole units of the next smaller one. */
static const struct unit units[] = {
    { "B", "TB", 1024.0 * 1024.0 * 1024.0 * 1024.0 },
    { "B", "GB", 1024.0 * 1024.0 * 1024.0 },
    { "B", "MB", 1024.0 * 1024.0 },
    { "B", "kB", 1024.0 },
    { "B", "B", 1.0 },
    { "kB", "TB", 1024.0 * 1024.0 * 1024.0 },
    { "kB", "GB", 1024.0 * 1024.0 },
    { "kB", "MB", 1024.0 },
    { "kB", "kB", 1.0 },
    { "kB", "B", 1.0 / 1024.0 },
    { "MB", "TB", 1024.0 * 1024.0 },
    { "MB", "GB", 1024.0 },
    { "MB", "MB", 1.0 },
    { "MB", "kB", 1.0 / 1024.0 },
    { "MB", "B", 1.0 / (1024.0 * 1024.0) },
    { "8kB", "TB", 1024.0 * 1024.0 * 1024.0 / 8.0 },
    { "8kB", "GB", 1024.0 * 1024.0 / 8.0 },
    { "8kB", "MB", 1024.0 / 8.0 },
    { "8kB", "kB", 1.0 / 8.0 },
    { "8kB", "B", 1.0 / 8192.0 },
    { "ms", "d", 1000.0 * 60 * 60 * 24 },
    { "ms", "h", 1000.0 * 60 * 60 },
    { "ms", "min", 1000.0 * 60 },
    { "ms", "s", 1000.0 },
    { "ms", "ms", 1.0 },
    { "ms", "us", 1.0 / 1000 },
    { "s", "d", 60.0 * 60 * 24 },
    { "s", "h", 60.0 * 60 },
    { "s", "min", 60.0 },
    { "s", "s", 1.0 },
    { "s", "ms", 1.0 / 1000 },
    { "s", "us", 1.0 / (1000 * 1000) },
    { "min", "d", 60.0 * 24 },
    { "min", "h", 60.0 },
    { "min", "min", 1.0 },
    { "min", "s", 1.0 / 60 },
    { "min", "ms", 1.0 / (1000 * 60) },
    { "min", "us", 1.0 / (1000 * 1000 * 60.0) },
    { NULL, NULL, 0 },
};

static bool convert(const struct guc *g, const char *name, double *value)
{
    for (const struct unit *u = units; u->base; u++) {
        if (!str_eq_z(g->unit, u->base) || strcmp(name, u->name) != 0)
            continue;
        double v = *value * u->multiplier;
        if (u[1].base && strcmp(u[1].base, u->base) == 0)
            v = rint(v / u[1].multiplier) * u[1].multiplier;
        *value = v;
        return true;
    }
    return false;
}

static bool is_space(char c)
{
    return isspace((unsigned char)c) != 0;
}

/* "  kB " behind a number. */
static bool read_unit(const struct guc *g, const char *p, double *value)
{
    while (is_space(*p))
        p++;
    if (!*p)
        return true;
    if (!g->unit.len)
        return false;
    char name[UNIT_MAX + 1] = "";
    for (size_t i = 0; i < UNIT_MAX && *p && !is_space(*p); i++)
        name[i] = *p++;
    while (is_space(*p))
        p++;
    return !*p && convert(g, name, value);
}

/* strtol first, with octal and hexadecimal numbers, then strtod; for real parameters strtod alone. */
static bool read_number(const struct guc *g, str text, double *ret)
{
    char z[NUMBER_MAX];
    if (text.len >= sizeof(z) || str_index(text, '\0') >= 0)
        return false;
    memcpy(z, text.len ? text.ptr : "", text.len);
    z[text.len] = '\0';
    char *end = z;
    double value = 0;
    errno = 0;
    if (g->type == GUC_INTEGER)
        value = (double)strtol(z, &end, 0);
    if (g->type == GUC_REAL || *end == '.' || *end == 'e' || *end == 'E' || errno == ERANGE) {
        errno = 0;
        value = strtod(z, &end);
    }
    if (end == z || errno == ERANGE || isnan(value) || !read_unit(g, end, &value))
        return false;
    *ret = value;
    return true;
}

static double bound(const struct guc *g, str text)
{
    char z[NUMBER_MAX];
    size_t len = text.len < sizeof(z) ? text.len : sizeof(z) - 1;
    memcpy(z, text.ptr, len);
    z[len] = '\0';
    return g->type == GUC_INTEGER ? (double)strtol(z, NULL, 10) : strtod(z, NULL);
}

static bool is_in_range(const struct guc *g, double value)
{
    return value >= bound(g, g->minimum) && value <= bound(g, g->maximum);
}

bool guc_read_integer(const struct guc *g, str value, int *ret)
{
    double number = 0;
    if (g->type != GUC_INTEGER || !read_number(g, value, &number))
        return false;
    number = rint(number);
    if (number > INT_MAX || number < INT_MIN || !is_in_range(g, number))
        return false;
    *ret = (int)number;
    return true;
}

static bool is_prefix_of(str value, const char *word)
{
    return value.len && value.len <= strlen(word) && strncasecmp(value.ptr, word, value.len) == 0;
}

/* parse_bool: unique prefixes of true, false, yes, no; on, of, off; 1, 0. */
static bool is_bool(str value)
{
    if (is_prefix_of(value, "true") || is_prefix_of(value, "false") || is_prefix_of(value, "yes") ||
        is_prefix_of(value, "no"))
        return true;
    if (value.len >= 2 && (is_prefix_of(value, "on") || is_prefix_of(value, "off")))
        return true;
    return str_eq(value, S("1")) || str_eq(value, S("0"));
}

static bool is_in_values(const struct guc *g, str value)
{
    str rest = g->values;
    for (str one; str_next_field(&rest, ',', &one);)
        if (str_eq_nocase(one, value))
            return true;
    return false;
}

static str describe_number(struct arena *a, const struct guc *g, const char *what)
{
    str range = arena_printf(a, "must be %s from %.*s%.*s to %.*s%.*s", what, STR_ARG(g->minimum), STR_ARG(g->unit),
                             STR_ARG(g->maximum), STR_ARG(g->unit));
    if (!g->unit.len)
        return range;
    /* The unit "8kB" counts pages: shown as a number of them. */
    if (str_eq(g->unit, S("8kB")))
        range = arena_printf(a, "must be %s from %.*s to %.*s pages of 8kB", what, STR_ARG(g->minimum),
                             STR_ARG(g->maximum));
    bool is_time = str_eq(g->unit, S("ms")) || str_eq(g->unit, S("s")) || str_eq(g->unit, S("min"));
    return arena_printf(a, "%.*s; units are %s", STR_ARG(range),
                        is_time ? "us, ms, s, min, h and d" : "B, kB, MB, GB and TB");
}

static bool is_valid(const struct guc *g, str value)
{
    int n = 0;
    double d = 0;
    switch (g->type) {
    case GUC_BOOL: return is_bool(value);
    case GUC_INTEGER: return guc_read_integer(g, value, &n);
    case GUC_REAL: return read_number(g, value, &d) && is_in_range(g, d);
    case GUC_ENUM: return is_in_values(g, value);
    default: return true;
    }
}

bool guc_check_value(struct arena *a, const struct guc *g, str value, str *ret_why)
{
    if (is_valid(g, value))
        return true;
    if (g->type == GUC_BOOL)
        *ret_why = S("must be on or off");
    else if (g->type == GUC_ENUM)
        *ret_why = arena_printf(a, "must be one of: %.*s", STR_ARG(g->values));
    else
        *ret_why = describe_number(a, g, g->type == GUC_INTEGER ? "a whole number" : "a number");
    return false;
}
