/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 9110 §12.5.1 as far as clients of Kubernetes use it. Other parameters (charset, profile) do not matter. */
#include "ops/accept.h"

#include <stdbool.h>

struct clause {
    str type, as, group, version;
    int quality; /* thousandths */
};

static str unquoted(str s)
{
    s = str_trim(s);
    if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
        return str_of(s.ptr + 1, s.len - 2);
    return s;
}

/* "0.8" → 800; what is malformed counts as 1. */
static int read_quality(str s)
{
    str whole;
    str fraction;
    uint64_t n = 0;
    (void)str_cut(s, '.', &whole, &fraction);
    if (!str_eq(whole, S("0")))
        return 1000;
    int value = 0;
    for (size_t i = 0; i < 3; i++) {
        str digit = i < fraction.len ? str_of(fraction.ptr + i, 1) : S("0");
        if (!str_to_u64(digit, &n))
            return 1000;
        value = value * 10 + (int)n;
    }
    return value;
}

static struct clause read_clause(str text)
{
    struct clause c = { .quality = 1000 };
    str head;
    str rest;
    (void)str_cut(text, ';', &head, &rest);
    c.type = str_trim(head);
    for (str one; str_next_field(&rest, ';', &one);) {
        str name;
        str value;
        (void)str_cut(one, '=', &name, &value);
        name = str_trim(name);
        value = unquoted(value);
        if (str_eq_nocase(name, S("as")))
            c.as = value;
        else if (str_eq_nocase(name, S("g")))
            c.group = value;
        else if (str_eq_nocase(name, S("v")))
            c.version = value;
        else if (str_eq_nocase(name, S("q")))
            c.quality = read_quality(value);
    }
    return c;
}

static bool fits(const struct clause *c, const struct accept_offer *offer)
{
    str type;
    str subtype;
    str wanted;
    str wanted_subtype;
    (void)str_cut(offer->type, '/', &type, &subtype);
    (void)str_cut(c->type, '/', &wanted, &wanted_subtype);
    if (!str_eq(wanted, S("*")) && !str_eq_nocase(wanted, type))
        return false;
    if (!str_eq(wanted_subtype, S("*")) && !str_eq_nocase(wanted_subtype, subtype))
        return false;
    return str_eq(c->as, offer->as) && str_eq(c->group, offer->group) && str_eq(c->version, offer->version);
}

int accept_choose(str accept, const struct accept_offer *offers, size_t count)
{
    int best = -1;
    int best_quality = 0;
    if (str_is_empty(str_trim(accept)))
        return 0;
    for (str text; str_next_field(&accept, ',', &text);) {
        struct clause c = read_clause(text);
        for (size_t i = 0; i < count && c.quality > best_quality; i++) {
            if (!fits(&c, &offers[i]))
                continue;
            best = (int)i;
            best_quality = c.quality;
        }
    }
    return best;
}
