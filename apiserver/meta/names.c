/* SPDX-License-Identifier: Apache-2.0 */
/* Rules for names, and names made for generateName. */
#include "meta/names.h"

#include "base/rand.h"
#include "base/strbuf.h"

#define SUBDOMAIN_MAX 253
#define LABEL_MAX 63
/* k8s.io/apiserver pkg/storage/names: 63 minus the suffix. */
#define GENERATED_PREFIX_MAX 58
#define GENERATED_SUFFIX 5

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"
#define ALNUM LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* Made of `inside` alone, with one of `ends` at both ends. */
static bool is_made_of(str s, str inside, str ends)
{
    return s.len > 0 && str_is_all_of(s, inside) && str_index(ends, s.ptr[0]) >= 0 &&
           str_index(ends, s.ptr[s.len - 1]) >= 0;
}

/* Lower-case letters, digits and '-', with no '-' at either end. */
static bool is_label(str s)
{
    return is_made_of(s, S(LOWER "-"), S(LOWER));
}

const char *names_check_dns1123_label(str s)
{
    if (s.len > LABEL_MAX)
        return "must be no more than 63 characters";
    if (!is_label(s))
        return "must consist of lower case letters, digits or '-', and start and end with a letter or digit "
               "(RFC 1123 label, such as 'my-name')";
    return NULL;
}

const char *names_check_dns1123_subdomain(str s)
{
    if (s.len > SUBDOMAIN_MAX)
        return "must be no more than 253 characters";
    str rest = s, part;
    bool is_fine = s.len > 0 && s.ptr[s.len - 1] != '.';
    while (is_fine && str_next_field(&rest, '.', &part))
        is_fine = is_label(part);
    if (!is_fine)
        return "must consist of lower case letters, digits, '-' or '.', and start and end with a letter or digit "
               "(RFC 1123 subdomain, such as 'example.com')";
    return NULL;
}

const char *names_check_dns1035_label(str s)
{
    if (s.len > LABEL_MAX)
        return "must be no more than 63 characters";
    if (!is_label(s) || (s.ptr[0] >= '0' && s.ptr[0] <= '9'))
        return "must consist of lower case letters, digits or '-', start with a letter, and end with a letter or "
               "digit (RFC 1035 label, such as 'my-name')";
    return NULL;
}

/* Letters, digits, '-', '_' and '.', with a letter or digit at both ends. */
static bool is_name_part(str s)
{
    return is_made_of(s, S(ALNUM "-_."), S(ALNUM));
}

const char *names_check_qualified(str s)
{
    str prefix = S(""), name = s;
    if (str_index(s, '/') >= 0) {
        (void)str_cut(s, '/', &prefix, &name);
        if (names_check_dns1123_subdomain(prefix))
            return "the part before the '/' must be a DNS subdomain, such as 'example.com'";
    }
    if (name.len > LABEL_MAX)
        return "the name must be no more than 63 characters";
    if (!is_name_part(name))
        return "must consist of letters, digits, '-', '_' or '.', and start and end with a letter or digit, with an "
               "optional DNS subdomain and '/' before it (such as 'example.com/MyName')";
    return NULL;
}

const char *names_check_label_value(str s)
{
    if (s.len > LABEL_MAX)
        return "must be no more than 63 characters";
    if (s.len && !is_name_part(s))
        return "must be empty or consist of letters, digits, '-', '_' or '.', and start and end with a letter or digit "
               "(such as 'MyValue')";
    return NULL;
}

const char *names_check_path_segment(str s)
{
    if (str_eq_z(s, ".") || str_eq_z(s, ".."))
        return "may not be '.' or '..'";
    if (str_index(s, '/') >= 0 || str_index(s, '%') >= 0)
        return "may not contain '/' or '%'";
    return NULL;
}

str names_generate(struct arena *a, str prefix)
{
    /* No vowels and no lookalikes, so that no words come out. */
    str suffix = rand_text(a, GENERATED_SUFFIX, S("bcdfghjklmnpqrstvwxz2456789"));
    STRBUF_AUTO name = STRBUF_INIT(GENERATED_PREFIX_MAX + GENERATED_SUFFIX);
    strbuf_add(&name, str_first(prefix, GENERATED_PREFIX_MAX));
    strbuf_add(&name, suffix);
    return strbuf_to_arena(&name, a);
}
