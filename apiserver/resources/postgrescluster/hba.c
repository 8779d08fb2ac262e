/* SPDX-License-Identifier: Apache-2.0 */
/* Splits a pg_hba.conf line into fields of comma-separated tokens and checks what each may be. */
#include "resources/postgrescluster/hba.h"

#include <arpa/inet.h>

#include "base/attr.h"

#define FIELDS_MAX 32
#define TOKENS_MAX 64
/* PostgreSQL 13 to 15 cut tokens at MAX_TOKEN (256). */
#define TOKEN_MAX 255

struct token {
    str text;
    bool is_quoted;
};

struct field {
    struct token *tokens;
    size_t count, cap;
};

struct line {
    struct arena *arena;
    struct field *fields;
    size_t count;
};

/* In the order of `connections`. */
enum connection { CONN_LOCAL, CONN_HOST, CONN_SSL };

static const char *const connections[] = { "local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc" };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* One token from *rest; false at the end of the field. A token ends at a blank or a comma outside of quotes. */
static const char *read_token(struct arena *a, str *rest, struct token *ret)
{
    char *out = arena_alloc(a, (rest->len < TOKEN_MAX ? rest->len : TOKEN_MAX) + 1);
    size_t len = 0;
    size_t i = 0;
    bool in_quotes = false;
    *ret = (struct token) { .is_quoted = rest->len && rest->ptr[0] == '"' };
    for (; i < rest->len; i++) {
        char c = rest->ptr[i];
        if (!in_quotes && (is_blank(c) || c == ',' || c == '#'))
            break;
        bool is_doubled = in_quotes && c == '"' && i + 1 < rest->len && rest->ptr[i + 1] == '"';
        if (c == '"' && !is_doubled) {
            in_quotes = !in_quotes;
            continue;
        }
        i += is_doubled;
        if (len == TOKEN_MAX)
            return "a word is longer than 255 bytes";
        out[len++] = c;
    }
    if (in_quotes)
        return "a quote is not closed";
    ret->text = str_of(out, len);
    *rest = str_from_offset(*rest, i);
    return NULL;
}

static str skip_blanks(str s)
{
    while (s.len && is_blank(s.ptr[0]))
        s = str_from_offset(s, 1);
    return s;
}

static struct token *next_token(struct arena *a, struct field *f)
{
    if (f->count == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 2;
        struct token *bigger = arena_array_of(a, struct token, cap);
        if (f->count)
            memcpy(bigger, f->tokens, f->count * sizeof(*bigger));
        f->tokens = bigger;
        f->cap = cap;
    }
    return &f->tokens[f->count++];
}

/* One field: tokens joined by commas, with blanks allowed behind a comma. */
static const char *read_field(struct arena *a, str *rest, struct field *f)
{
    for (;;) {
        if (f->count == TOKENS_MAX)
            return "a list has more than 64 entries";
        struct token *t = next_token(a, f);
        const char *wrong = read_token(a, rest, t);
        if (wrong)
            return wrong;
        if (!t->text.len && !t->is_quoted)
            return "an entry of a list is empty";
        if (!t->is_quoted && t->text.ptr[0] == '@')
            return "files cannot be included";
        if (!rest->len || rest->ptr[0] != ',')
            return NULL;
        *rest = skip_blanks(str_from_offset(*rest, 1));
        if (!rest->len || rest->ptr[0] == '#')
            return "a list ends with a comma";
    }
}

static const char *read_fields(struct line *l, str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (((unsigned char)text.ptr[i] < 0x20 && text.ptr[i] != '\t') || text.ptr[i] == 0x7f)
            return "control characters and line breaks are not allowed";
    if (text.len && text.ptr[text.len - 1] == '\\')
        return "a line cannot go on after a backslash";
    for (str rest = skip_blanks(text); rest.len && rest.ptr[0] != '#'; rest = skip_blanks(rest)) {
        if (l->count == FIELDS_MAX)
            return "there are more than 32 fields";
        const char *wrong = read_field(l->arena, &rest, &l->fields[l->count]);
        if (wrong)
            return wrong;
        l->count++;
    }
    return l->count ? NULL : "there is no rule in it";
}

static int find(const char *const *names, size_t count, str word)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq_z(word, names[i]))
            return (int)i;
    return -1;
}

static const char *single(const struct line *l, size_t i, str *ret)
{
    if (i >= l->count)
        return "the line ends too early";
    if (l->fields[i].count != 1)
        return "a list stands where one word is expected";
    *ret = l->fields[i].tokens[0].text;
    return NULL;
}

/* 4 or 6, or 0 when it is no IP address. */
static int ip_version(struct arena *a, str text)
{
    unsigned char bytes[16];
    if (str_index(text, '%') >= 0)
        return 0;
    const char *z = arena_z(a, text);
    if (inet_pton(AF_INET, z, bytes) == 1)
        return 4;
    return inet_pton(AF_INET6, z, bytes) == 1 ? 6 : 0;
}

static const char *check_prefix_length(int version, str text)
{
    uint64_t bits = 0;
    return str_to_u64(text, &bits) && bits <= (version == 4 ? 32u : 128u) ? NULL : "the address has a wrong CIDR mask";
}

/* The address of a host rule, which may take a second field for the mask; *next is moved behind it. */
static const char *check_address(const struct line *l, size_t *next)
{
    str text = S("");
    const char *wrong = single(l, *next, &text);
    if (wrong)
        return wrong;
    bool is_quoted = l->fields[(*next)++].tokens[0].is_quoted;
    if (!is_quoted && (str_eq(text, S("all")) || str_eq(text, S("samehost")) || str_eq(text, S("samenet"))))
        return NULL;
    str address = text;
    str mask = S("");
    bool has_mask = str_cut(text, '/', &address, &mask);
    int version = ip_version(l->arena, address);
    if (!version && has_mask)
        return "a host name cannot have a mask, and the address is no IP address";
    if (!version)
        return str_is_empty(address) ? "the address is empty" : NULL;
    if (has_mask)
        return check_prefix_length(version, mask);
    wrong = single(l, *next, &mask);
    if (wrong || ip_version(l->arena, mask) == 0)
        return "an IP address needs a mask: 10.0.0.0/8, or 10.0.0.0 255.0.0.0";
    (*next)++;
    return ip_version(l->arena, mask) == version ? NULL : "address and mask are of different IP versions";
}

enum method {
    METHOD_TRUST,
    METHOD_REJECT,
    METHOD_MD5,
    METHOD_SCRAM,
    METHOD_PASSWORD,
    METHOD_IDENT,
    METHOD_PEER,
    METHOD_CERT,
    METHOD_GSS,
    METHOD_LDAP,
    METHOD_RADIUS,
    METHOD_PAM,
};

static const char *const methods[] = { "trust", "reject", "md5", "scram-sha-256", "password", "ident",
                                       "peer",  "cert",   "gss", "ldap",          "radius",   "pam" };

#define ON(m) (1u << (m))

/* PostgreSQL refuses an option beside a method that does not know it. */
static const struct {
    const char *name;
    unsigned methods; /* 0: any, but only with hostssl */
} options[] = {
    { "map", ON(METHOD_IDENT) | ON(METHOD_PEER) | ON(METHOD_GSS) | ON(METHOD_CERT) },
    { "clientcert", 0 },
    { "clientname", 0 },
    { "pamservice", ON(METHOD_PAM) },
    { "pam_use_hostname", ON(METHOD_PAM) },
    { "ldapurl", ON(METHOD_LDAP) },
    { "ldaptls", ON(METHOD_LDAP) },
    { "ldapscheme", ON(METHOD_LDAP) },
    { "ldapserver", ON(METHOD_LDAP) },
    { "ldapport", ON(METHOD_LDAP) },
    { "ldapbinddn", ON(METHOD_LDAP) },
    { "ldapbindpasswd", ON(METHOD_LDAP) },
    { "ldapsearchattribute", ON(METHOD_LDAP) },
    { "ldapsearchfilter", ON(METHOD_LDAP) },
    { "ldapbasedn", ON(METHOD_LDAP) },
    { "ldapprefix", ON(METHOD_LDAP) },
    { "ldapsuffix", ON(METHOD_LDAP) },
    { "krb_realm", ON(METHOD_GSS) },
    { "include_realm", ON(METHOD_GSS) },
    { "radiusservers", ON(METHOD_RADIUS) },
    { "radiusports", ON(METHOD_RADIUS) },
    { "radiussecrets", ON(METHOD_RADIUS) },
    { "radiusidentifiers", ON(METHOD_RADIUS) },
};

static const char *check_option(str option, enum connection connection, enum method method)
{
    str name = S("");
    str value = S("");
    if (!str_cut(option, '=', &name, &value))
        return "an option must be name=value";
    size_t i = 0;
    while (i < ARRAY_LEN(options) && !str_eq_z(name, options[i].name))
        i++;
    if (i == ARRAY_LEN(options))
        return "an option is unknown";
    if (options[i].methods && !(options[i].methods & ON(method)))
        return "an option does not belong to this method";
    if (options[i].methods)
        return NULL;
    if (connection != CONN_SSL)
        return "clientcert and clientname need hostssl";
    if (str_eq(name, S("clientname")))
        return str_eq(value, S("CN")) || str_eq(value, S("DN")) ? NULL : "clientname must be CN or DN";
    if (str_eq(value, S("verify-full")) || (str_eq(value, S("verify-ca")) && method != METHOD_CERT))
        return NULL;
    return method == METHOD_CERT ? "clientcert must be verify-full with cert"
                                 : "clientcert must be verify-ca or verify-full";
}

static bool has_option(const struct line *l, size_t from, const char *name)
{
    for (size_t i = from; i < l->count; i++) {
        for (size_t k = 0; k < l->fields[i].count; k++) {
            str head = S("");
            str tail = S("");
            if (str_cut(l->fields[i].tokens[k].text, '=', &head, &tail) && str_eq_z(head, name))
                return true;
        }
    }
    return false;
}

/* Rules about options that only the whole line can break. */
static const char *check_required(const struct line *l, size_t from, enum method method)
{
    if (method == METHOD_RADIUS && (!has_option(l, from, "radiusservers") || !has_option(l, from, "radiussecrets")))
        return "radius needs radiusservers and radiussecrets";
    if (method != METHOD_LDAP)
        return NULL;
    bool is_simple = has_option(l, from, "ldapprefix") || has_option(l, from, "ldapsuffix");
    bool is_search = has_option(l, from, "ldapbasedn") || has_option(l, from, "ldapurl");
    return is_simple || is_search ? NULL : "ldap needs ldapbasedn, ldapprefix or ldapsuffix";
}

static const char *check_method(const struct line *l, size_t at, enum connection connection)
{
    str word = S("");
    const char *wrong = single(l, at, &word);
    if (wrong)
        return wrong;
    int i = find(methods, ARRAY_LEN(methods), word);
    if (i < 0)
        return "the method must be one of trust, reject, md5, scram-sha-256, password, ident, peer, cert, gss, ldap, "
               "radius, pam";
    enum method method = (enum method)i;
    if (method == METHOD_PEER && connection != CONN_LOCAL)
        return "peer works for local only";
    if (method == METHOD_GSS && connection == CONN_LOCAL)
        return "gss does not work for local";
    if (method == METHOD_CERT && connection != CONN_SSL)
        return "cert needs hostssl";
    for (size_t f = at + 1; f < l->count; f++) {
        for (size_t k = 0; k < l->fields[f].count; k++) {
            wrong = check_option(l->fields[f].tokens[k].text, connection, method);
            if (wrong)
                return wrong;
        }
    }
    return check_required(l, at + 1, method);
}

const char *hba_check_line(struct arena *a, str line)
{
    struct line l = { .arena = a, .fields = arena_array_of(a, struct field, FIELDS_MAX) };
    const char *wrong = read_fields(&l, line);
    str word = S("");
    wrong = wrong ? wrong : single(&l, 0, &word);
    if (wrong)
        return wrong;
    int connection = find(connections, ARRAY_LEN(connections), word);
    if (connection < 0)
        return "it must begin with local, host, hostssl, hostnossl, hostgssenc or hostnogssenc";
    size_t next = 3; /* behind databases and users */
    if (connection != CONN_LOCAL)
        wrong = check_address(&l, &next);
    return wrong ? wrong : check_method(&l, next, (enum connection)connection);
}
