/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's secrets: its CA (`<cluster>-ca`) and the application's access (`<cluster>-app`). Nothing of them is
 * ever logged or put into a status.
 */
#include <stdio.h>

#include "base/base64.h"
#include "base/rand.h"
#include "base/strbuf.h"
#include "internal.h"

#define PASSWORD_LENGTH 32
#define PASSWORD_ALPHABET S("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789")
#define URI_MAX 8192

static str secret_name(struct arena *a, const struct cluster_runtime *c, const char *suffix)
{
    return arena_printf(a, "%s-%s", c->name, suffix);
}

static str secret_path(struct arena *a, const struct cluster_runtime *c, str name)
{
    return kube_path(a, S(""), S("secrets"), str_from(c->namespace_), name, S(""));
}

/* A decoded entry; empty when absent or no base64. */
static str entry(struct arena *a, const struct json *secret, str key)
{
    str data;
    return base64_decode(a, json_str(json_get(json_get(secret, S("data")), key)), &data) ? data : S("");
}

struct pair {
    str key, value;
};

static const struct json *secret_object(struct arena *a, const struct cluster_runtime *c, str name,
                                        const struct pair *pairs, size_t count)
{
    struct json_builder data;
    json_builder_init(&data, a);
    for (size_t i = 0; i < count; i++)
        json_builder_add(&data, pairs[i].key, json_string(a, base64_encode(a, pairs[i].value)));
    const struct json *owner = JSON_OBJECT_OF(a, JSON_MEMBER("apiVersion", json_string(a, S("postgres.example.io/v1"))),
                                              JSON_MEMBER("kind", json_string(a, S("PostgresCluster"))),
                                              JSON_MEMBER("name", json_string(a, str_from(c->name))),
                                              JSON_MEMBER("uid", json_string(a, str_from(c->uid))),
                                              JSON_MEMBER("controller", &json_true_value));
    return JSON_OBJECT_OF(
        a, JSON_MEMBER("apiVersion", json_string(a, S("v1"))), JSON_MEMBER("kind", json_string(a, S("Secret"))),
        JSON_MEMBER(
            "metadata",
            JSON_OBJECT_OF(a, JSON_MEMBER("name", json_string(a, name)),
                           JSON_MEMBER("namespace", json_string(a, str_from(c->namespace_))),
                           JSON_MEMBER("labels", JSON_OBJECT_OF(a, JSON_MEMBER("postgres.example.io/cluster",
                                                                               json_string(a, str_from(c->name))))),
                           JSON_MEMBER("ownerReferences", JSON_ARRAY_OF(a, owner)))),
        JSON_MEMBER("type", json_string(a, S("Opaque"))), JSON_MEMBER("data", json_builder_object(&data)));
}

static bool is_of_cluster(const struct cluster_runtime *c, const struct json *secret)
{
    const struct json *owners = json_at(secret, "metadata.ownerReferences");
    for (size_t i = 0; i < json_count(owners); i++)
        if (str_eq_z(json_str_at(json_item(owners, i), "uid"), c->uid))
            return true;
    return false;
}

/* The secret as it stands; *ret NULL when absent. One that belongs to somebody else is refused: it is not ours to use.
 */
static int read_secret(struct cluster_runtime *c, struct arena *a, str name, const struct json **ret, struct error *err)
{
    int r = kube_get(c->manager->client, a, secret_path(a, c, name), ret, err);
    if (r == ERRC_NOT_FOUND) {
        *ret = NULL;
        return 0;
    }
    if (r == 0 && !is_of_cluster(c, *ret))
        return error_set(err, ERRC_EXISTS,
                         "secret \"%.*s\" exists and does not belong to this cluster: rename or delete it",
                         STR_ARG(name));
    return r;
}

/* Creates it, or puts in what differs; other entries are people's own. */
static int write_secret(struct cluster_runtime *c, struct arena *a, str name, const struct json *old,
                        const struct pair *pairs, size_t count, bool *ret_is_changed, struct error *err)
{
    const struct json *wanted = secret_object(a, c, name, pairs, count), *data = json_get(wanted, S("data"));
    int r = 0;
    bool differs = false;
    for (size_t i = 0; i < count; i++)
        differs |= !json_equal(json_get(json_get(old, S("data")), pairs[i].key), json_get(data, pairs[i].key));
    if (!old)
        r = kube_create(c->manager->client, a, secret_path(a, c, S("")), wanted, NULL, err);
    else if (differs)
        r = kube_merge_patch(c->manager->client, a, secret_path(a, c, name),
                             JSON_OBJECT_OF(a, JSON_MEMBER("data", data)), NULL, err);
    *ret_is_changed = r == 0 && (!old || differs);
    return r < 0 ? error_wrap(err, r, "writing secret \"%.*s\"", STR_ARG(name)) : 0;
}

/* Makes the CA known to this process. */
static int use_ca(struct cluster_runtime *c, const struct pki_pair *ca, struct error *err)
{
    int r = pki_check_pair(ca->certificate_pem, ca->private_key_pem, err);
    if (r < 0)
        return error_wrap(err, r, "secret \"%s-ca\"", c->name);
    c->ca = (struct pki_pair) { arena_str(c->arena, ca->certificate_pem), arena_str(c->arena, ca->private_key_pem) };
    c->has_ca = true;
    return 0;
}

static struct pki_pair ca_of(struct arena *a, const struct json *secret)
{
    return (struct pki_pair) { entry(a, secret, S("ca.crt")), entry(a, secret, S("ca.key")) };
}

/* The first time: what a Secret of an earlier version has, else a new one. From then on the record has it. */
static int choose_ca(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct error *err)
{
    const struct json *secret;
    int r = read_secret(c, a, secret_name(a, c, "ca"), &secret, err);
    if (r < 0)
        return r;
    v->record.ca = ca_of(a, secret);
    if (!secret || pki_check_pair(v->record.ca.certificate_pem, v->record.ca.private_key_pem, NULL) < 0)
        r = pki_make_ca(a, arena_printf(a, "%s/%s", c->namespace_, c->name), 0, &v->record.ca, err);
    return r == 0 ? record__save(c->manager, a, &v->record, err) : r;
}

/* What keeps a Secret from being as it should be is told (status), but stops nothing: the record has what is needed. */
static void note_problem(struct cluster_runtime *c, int result, const struct error *why)
{
    (void)snprintf(c->secret_problem, sizeof(c->secret_problem), "%s", result < 0 ? why->text : "");
}

/* The CA of the record counts, since agents trust it: a Secret that was deleted or changed is put right. */
static int ensure_ca(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct error *err)
{
    bool is_first = v->record.ca.certificate_pem.len == 0;
    int r = is_first ? choose_ca(c, a, v, err) : 0;
    if (r == 0 && !c->has_ca)
        r = use_ca(c, &v->record.ca, err);
    if (r < 0)
        return r;
    const struct pair pairs[] = { { S("ca.crt"), c->ca.certificate_pem }, { S("ca.key"), c->ca.private_key_pem } };
    str name = secret_name(a, c, "ca");
    const struct json *secret;
    struct error why;
    bool is_changed = false;
    r = read_secret(c, a, name, &secret, &why);
    if (r == 0)
        r = write_secret(c, a, name, secret, pairs, ARRAY_LEN(pairs), &is_changed, &why);
    note_problem(c, r, &why);
    if (r == 0 && is_changed && !is_first)
        events_emit(c->manager->events, v->object, true, "SecretRestored",
                    "secret \"%.*s\" had been %s: it is as before, since the instances trust this CA", STR_ARG(name),
                    secret ? "changed" : "deleted");
    return r == ERRC_CANCELLED ? error_set(err, ERRC_CANCELLED, "%s", why.text) : 0;
}

int secrets__find_ca(struct cluster_runtime *c, struct arena *a, const struct record *record, struct error *err)
{
    const struct json *secret = NULL;
    if (c->has_ca)
        return 0;
    if (record->ca.certificate_pem.len)
        return use_ca(c, &record->ca, err);
    int r = read_secret(c, a, secret_name(a, c, "ca"), &secret, err);
    if (r == ERRC_EXISTS || (r == 0 && !secret))
        return 0; /* not ours, or gone already */
    const struct pki_pair stored = ca_of(a, secret);
    return r == 0 ? use_ca(c, &stored, err) : r;
}

int secrets__remove(struct cluster_runtime *c, struct arena *a, struct error *err)
{
    static const char *const suffixes[] = { "app", "ca" };
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        str name = secret_name(a, c, suffixes[i]);
        const struct json *secret;
        int r = read_secret(c, a, name, &secret, err);
        if (r == 0 && secret)
            r = kube_delete(c->manager->client, a, secret_path(a, c, name), json_str_at(secret, "metadata.uid"), err);
        if (r < 0 && r != ERRC_EXISTS) /* somebody else's stays */
            return error_wrap(err, r, "deleting secret \"%.*s\"", STR_ARG(name));
    }
    return 0;
}

/* ---- the application's access --------------------------------------------------------------------------------- */

/* RFC 3986: everything but unreserved characters is coded. */
static str coded(struct arena *a, str text)
{
    STRBUF_AUTO b = STRBUF_INIT(URI_MAX);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char ch = (unsigned char)text.ptr[i];
        bool is_plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '-' ||
                        ch == '.' || ch == '_' || ch == '~';
        if (is_plain)
            strbuf_add_char(&b, (char)ch);
        else
            strbuf_addf(&b, "%%%02X", (unsigned)ch);
    }
    return strbuf_to_arena(&b, a);
}

/* The same with its slashes left readable: they mean nothing in a query. */
static str coded_path(struct arena *a, str path)
{
    STRBUF_AUTO b = STRBUF_INIT(URI_MAX);
    str rest = path, part;
    for (size_t n = 0; str_next_field(&rest, '/', &part); n++)
        strbuf_addf(&b, "%s%.*s", n ? "/" : "", STR_ARG(coded(a, part)));
    return strbuf_to_arena(&b, a);
}

/* A field of a .pgpass line. */
static str escaped(struct arena *a, str text)
{
    STRBUF_AUTO b = STRBUF_INIT(URI_MAX);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == ':' || text.ptr[i] == '\\')
            strbuf_add_char(&b, '\\');
        strbuf_add_char(&b, text.ptr[i]);
    }
    return strbuf_to_arena(&b, a);
}

static str uri_of(struct arena *a, const struct cluster_runtime *c, const struct cluster_view *v, bool is_jdbc)
{
    STRBUF_AUTO b = STRBUF_INIT(URI_MAX);
    str user = coded(a, v->spec.owner), password = coded(a, c->app_password);
    if (is_jdbc)
        strbuf_add(&b, S("jdbc:postgresql://"));
    else
        strbuf_addf(&b, "postgresql://%.*s:%.*s@", STR_ARG(user), STR_ARG(password));
    for (size_t i = 0, n = 0; i < v->record.instance_count; i++)
        if (!v->record.instances[i].is_removing)
            strbuf_addf(&b, "%s%.*s:%d", n++ ? "," : "", STR_ARG(v->record.instances[i].at.host),
                        (int)v->record.instances[i].at.port);
    strbuf_addf(&b, "/%.*s?%s&sslmode=verify-full&sslrootcert=%.*s", STR_ARG(coded(a, v->spec.database)),
                is_jdbc ? "targetServerType=primary" : "target_session_attrs=read-write",
                STR_ARG(coded_path(a, c->ca_path)));
    if (is_jdbc)
        strbuf_addf(&b, "&user=%.*s&password=%.*s", STR_ARG(user), STR_ARG(password));
    return strbuf_to_arena(&b, a);
}

/* "host,host" or "port,port", as libpq takes lists. */
static str list_of(struct arena *a, const struct cluster_view *v, bool ports)
{
    STRBUF_AUTO b = STRBUF_INIT(URI_MAX);
    for (size_t i = 0, n = 0; i < v->record.instance_count; i++) {
        const struct placement *at = &v->record.instances[i].at;
        if (v->record.instances[i].is_removing)
            continue;
        if (ports)
            strbuf_addf(&b, "%s%d", n++ ? "," : "", (int)at->port);
        else
            strbuf_addf(&b, "%s%.*s", n++ ? "," : "", STR_ARG(at->host));
    }
    return strbuf_to_arena(&b, a);
}

/* One that people put into the Secret is taken over; where there is none the old one stays, so that clients go on. */
static int choose_password(struct cluster_runtime *c, struct arena *a, struct cluster_view *v,
                           const struct json *secret, struct error *err)
{
    str password = secret ? entry(a, secret, S("password")) : S("");
    if (password.len == 0)
        password =
            v->record.app_password.len ? v->record.app_password : rand_text(a, PASSWORD_LENGTH, PASSWORD_ALPHABET);
    if (!str_eq(password, c->app_password))
        c->app_password = arena_str(c->arena, password);
    if (str_eq(password, v->record.app_password))
        return 0;
    v->record.app_password = password;
    return record__save(c->manager, a, &v->record, err);
}

static int write_app(struct cluster_runtime *c, struct arena *a, const struct cluster_view *v,
                     const struct json *secret, struct error *err)
{
    const struct pair pairs[] = {
        { S("username"), v->spec.owner },
        { S("password"), c->app_password },
        { S("dbname"), v->spec.database },
        { S("host"), list_of(a, v, false) },
        { S("port"), list_of(a, v, true) },
        { S("uri"), uri_of(a, c, v, false) },
        { S("jdbc-uri"), uri_of(a, c, v, true) },
        { S("pgpass"), arena_printf(a, "*:*:%.*s:%.*s:%.*s\n", STR_ARG(escaped(a, v->spec.database)),
                                    STR_ARG(escaped(a, v->spec.owner)), STR_ARG(escaped(a, c->app_password))) },
        { S("ca.crt"), c->ca.certificate_pem },
    };
    bool is_changed;
    return write_secret(c, a, secret_name(a, c, "app"), secret, pairs, ARRAY_LEN(pairs), &is_changed, err);
}

static int ensure_app(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct error *err)
{
    str name = secret_name(a, c, "app");
    bool is_first = v->record.app_password.len == 0;
    const struct json *secret;
    struct error why;
    int r = read_secret(c, a, name, &secret, &why);
    if (r < 0 && is_first)
        return error_set(err, (enum err)r, "%s", why.text);
    int chosen = choose_password(c, a, v, r == 0 ? secret : NULL, err);
    if (chosen < 0)
        return chosen;
    if (r == 0)
        r = write_app(c, a, v, secret, &why);
    if (c->secret_problem[0] == '\0')
        note_problem(c, r, &why);
    if (r == 0 && !secret && !is_first)
        events_emit(c->manager->events, v->object, true, "SecretRestored",
                    "secret \"%.*s\" had been deleted: it is there again, with the same password", STR_ARG(name));
    return r == ERRC_CANCELLED ? error_set(err, ERRC_CANCELLED, "%s", why.text) : 0;
}

int secrets__ensure(struct cluster_runtime *c, struct arena *a, struct cluster_view *v, struct error *err)
{
    int r = ensure_ca(c, a, v, err);
    if (r < 0)
        return r;
    if (!c->has_secrets) {
        const struct platform *p = &c->manager->platform;
        const struct platform_instance cluster = runtime__platform(c, NULL);
        str path;
        r = p->ops->publish_ca(p->self, a, &cluster, c->ca.certificate_pem, &path, err);
        if (r < 0)
            return r;
        c->ca_path = arena_str(c->arena, path);
        c->has_secrets = true;
    }
    return ensure_app(c, a, v, err);
}
