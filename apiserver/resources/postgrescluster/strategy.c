/* SPDX-License-Identifier: Apache-2.0 */
/* PostgresCluster: what its schema cannot say. Runs on workers; pure functions of the objects. */
#include "base/strbuf.h"

#include "meta/quantity.h"
#include "resources/kinds.h"
#include "resources/postgrescluster/guc.h"
#include "resources/postgrescluster/hba.h"
#include "resources/postgrescluster/parameters.h"

static int major_of(const struct json *object)
{
    return (int)json_int_at(object, "spec.postgresVersion", 0);
}

static const struct json *prepare_create(struct arena *a, const struct resource *r, const struct json *object)
{
    int newest = environment_newest_major(r->environment);
    bool is_given = json_at(object, "spec.postgresVersion") != NULL;
    if (is_given || !newest || !json_is(json_get(object, S("spec")), JSON_OBJECT))
        return object;
    return json_with_at(a, object, "spec.postgresVersion", json_int(a, newest));
}

/* Leaving out what was chosen once means the same choice. */
static const struct json *prepare_update(struct arena *a, const struct resource *r, const struct json *object,
                                         const struct json *old)
{
    (void)r;
    const struct json *version = json_at(old, "spec.postgresVersion");
    if (!version || json_at(object, "spec.postgresVersion") || !json_is(json_get(object, S("spec")), JSON_OBJECT))
        return object;
    return json_with_at(a, object, "spec.postgresVersion", version);
}

static void validate_storage(const struct json *object, struct field_errors *errors)
{
    const struct json *size = json_at(object, "spec.storage.size");
    int64_t bytes = 0;
    if (json_is(size, JSON_STRING) && quantity_to_int(size->text, &bytes) && bytes <= 0)
        field_error_add(errors, FIELD_INVALID, S("spec.storage.size"), size, "must be more than 0");
    else if (json_is(size, JSON_STRING) && quantity_is_valid(size->text) && !quantity_to_int(size->text, &bytes))
        field_error_add(errors, FIELD_INVALID, S("spec.storage.size"), size, "must be less than 8Ei");
}

static void validate_synchronous(const struct json *object, struct field_errors *errors)
{
    const struct json *number = json_at(object, "spec.postgresql.synchronous.number");
    int64_t wanted = 0;
    int64_t instances = json_int_at(object, "spec.instances", 1);
    if (json_to_int(number, &wanted) && instances < wanted + 1)
        field_error_add(errors, FIELD_INVALID, S("spec.postgresql.synchronous.number"), number,
                        "must be less than spec.instances (%lld): each of these standbys is an instance besides the "
                        "primary",
                        (long long)instances);
}

static void validate_hba(const struct json *object, struct field_errors *errors)
{
    const struct json *lines = json_at(object, "spec.postgresql.pgHBA");
    if (!json_is(lines, JSON_ARRAY))
        return;
    for (size_t i = 0; i < lines->count; i++) {
        const char *wrong = NULL;
        if (json_is(lines->items[i], JSON_STRING) && lines->items[i]->text.len)
            wrong = hba_check_line(errors->arena, lines->items[i]->text);
        if (wrong)
            field_error_add(errors, FIELD_INVALID, arena_printf(errors->arena, "spec.postgresql.pgHBA[%zu]", i),
                            lines->items[i], "%s", wrong);
    }
}

/* A path such as /backup/../etc would say something else than it seems to. */
static bool has_dot_segment(str path)
{
    str rest = path;
    for (str one; str_next_field(&rest, '/', &one);)
        if (str_eq(one, S(".")) || str_eq(one, S("..")))
            return true;
    return false;
}

static void validate_repositories(const struct json *object, struct field_errors *errors)
{
    const struct json *list = json_at(object, "spec.backup.repositories");
    for (size_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++) {
        const struct json *path = json_at(list->items[i], "volume.path");
        if (!json_is(path, JSON_STRING))
            continue;
        bool is_bad = has_dot_segment(path->text) || str_is_all_of(path->text, S("/"));
        for (size_t k = 0; k < path->text.len; k++)
            is_bad = is_bad || (unsigned char)path->text.ptr[k] < 0x20;
        if (is_bad)
            field_error_add(errors, FIELD_INVALID,
                            arena_printf(errors->arena, "spec.backup.repositories[%zu].volume.path", i), path,
                            "must be the path of a folder without '.' and '..' in it");
    }
}

static void validate(const struct resource *r, const struct json *object, struct field_errors *errors)
{
    (void)r;
    validate_storage(object, errors);
    validate_synchronous(object, errors);
    struct parameters parameters = {
        .major = major_of(object),
        .instances = (int)json_int_at(object, "spec.instances", 1),
        .parameters = json_at(object, "spec.postgresql.parameters"),
    };
    parameters_validate(&parameters, errors);
    validate_hba(object, errors);
    validate_repositories(object, errors);
}

static void validate_create(const struct resource *r, const struct json *object, struct field_errors *errors)
{
    const struct environment *e = r->environment;
    const struct json *version = json_at(object, "spec.postgresVersion");
    if (!e->postgres_major_count) {
        field_error_add(errors, FIELD_INVALID, S("spec.postgresVersion"), version, "no PostgreSQL is installed here");
        return;
    }
    if (!json_is(version, JSON_NUMBER) || environment_has_major(e, major_of(object)))
        return;
    STRBUF_AUTO text = STRBUF_INIT(512);
    for (size_t i = 0; i < e->postgres_major_count; i++)
        strbuf_addf(&text, "%s%d", i ? ", " : "", e->postgres_majors[i]);
    field_error_add(errors, FIELD_NOT_SUPPORTED, S("spec.postgresVersion"), version, "supported values: %s", text.ptr);
}

/* A repository keeps its folder under its name: backups in the old one would be lost silently. */
static void check_repositories(const struct json *object, const struct json *old, struct field_errors *errors)
{
    const struct json *list = json_at(object, "spec.backup.repositories");
    const struct json *before = json_at(old, "spec.backup.repositories");
    for (size_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++) {
        for (size_t k = 0; json_is(before, JSON_ARRAY) && k < before->count; k++) {
            if (!str_eq(json_str_at(list->items[i], "name"), json_str_at(before->items[k], "name")))
                continue;
            str field = arena_printf(errors->arena, "spec.backup.repositories[%zu].volume.path", i);
            kind_check_immutable(errors, field, json_at(list->items[i], "volume.path"),
                                 json_at(before->items[k], "volume.path"));
        }
    }
}

static void validate_update(const struct resource *r, const struct json *object, const struct json *old,
                            struct field_errors *errors)
{
    (void)r;
    kind_check_immutable(errors, S("spec.postgresVersion"), json_at(object, "spec.postgresVersion"),
                         json_at(old, "spec.postgresVersion"));
    kind_check_immutable(errors, S("spec.bootstrap"), json_at(object, "spec.bootstrap"),
                         json_at(old, "spec.bootstrap"));
    check_repositories(object, old, errors);
    str size = json_str_at(object, "spec.storage.size");
    str size_before = json_str_at(old, "spec.storage.size");
    int64_t bytes = 0;
    int64_t bytes_before = 0;
    if (quantity_to_int(size, &bytes) && quantity_to_int(size_before, &bytes_before) && bytes < bytes_before)
        field_error_add(errors, FIELD_FORBIDDEN, S("spec.storage.size"), NULL,
                        "a volume can grow, never shrink: it is %.*s", STR_ARG(size_before));
}

static bool waits_for_standbys(str synchronous_commit)
{
    return !str_eq_nocase(synchronous_commit, S("off")) && !str_eq_nocase(synchronous_commit, S("local"));
}

static void warn(struct arena *a, const struct resource *r, const struct json *object, const struct json *old,
                 struct json_notes *warnings)
{
    (void)r;
    const struct json *parameters = json_at(object, "spec.postgresql.parameters");
    if (old && json_equal(json_get(object, S("spec")), json_get(old, S("spec"))))
        return;
    if (json_count(parameters) && !guc_has_table(major_of(object)))
        json_notes_add(a, warnings,
                       arena_printf(a,
                                    "spec.postgresql.parameters: not checked, the parameters of PostgreSQL %d are "
                                    "not known to this server",
                                    major_of(object)));
    str commit = json_str(json_get(parameters, S("synchronous_commit")));
    if (commit.len && json_at(object, "spec.postgresql.synchronous") && !waits_for_standbys(commit))
        json_notes_add(a, warnings,
                       S("spec.postgresql.parameters[synchronous_commit]: commits do not wait for the standbys that "
                         "spec.postgresql.synchronous asks for"));
}

static struct status *check_delete(struct arena *a, const struct resource *r, const struct json *object)
{
    if (!json_bool_at(object, "spec.deletionProtection", false))
        return NULL;
    return status_forbidden(a, r->group, r->plural, json_str_at(object, "metadata.name"),
                            S("spec.deletionProtection is true: set it to false first"));
}

static const struct resource_strategy strategy = {
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .validate = validate,
    .validate_create = validate_create,
    .validate_update = validate_update,
    .warn = warn,
    .check_delete = check_delete,
};

/* An action names instances of its own cluster. */
static void check_instance(const struct json *cluster, const struct json *body, const char *field,
                           struct field_errors *errors)
{
    const struct json *target = json_get(body, str_from(field));
    str prefix = arena_printf(errors->arena, "%.*s-", STR_ARG(json_str_at(cluster, "metadata.name")));
    uint64_t serial = 0;
    if (!json_is(target, JSON_STRING) || str_is_empty(target->text))
        return;
    if (!str_has_prefix(target->text, prefix) || !str_to_u64(str_from_offset(target->text, prefix.len), &serial))
        field_error_add(errors, FIELD_INVALID, str_from(field), target, "must be an instance of this cluster: %.*sN",
                        STR_ARG(prefix));
}

static void validate_target(const struct json *cluster, const struct json *body, struct field_errors *errors)
{
    check_instance(cluster, body, "target", errors);
}

static void validate_restart(const struct json *cluster, const struct json *body, struct field_errors *errors)
{
    check_instance(cluster, body, "instance", errors);
}

static void validate_backup(const struct json *cluster, const struct json *body, struct field_errors *errors)
{
    const struct json *list = json_at(cluster, "spec.backup.repositories");
    const struct json *wanted = json_get(body, S("repository"));
    if (!json_is(wanted, JSON_STRING) || str_is_empty(wanted->text))
        return;
    for (size_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        if (str_eq(json_str_at(list->items[i], "name"), wanted->text))
            return;
    field_error_add(errors, FIELD_NOT_FOUND, S("repository"), wanted, "%s", "");
}

const struct kind_code kind_postgrescluster = {
    .strategy = &strategy,
    .check_name = kind_check_cluster_name,
    .actions = { { "failover", validate_target },
                 { "switchover", validate_target },
                 { "backup", validate_backup },
                 { "restart", validate_restart } },
};
