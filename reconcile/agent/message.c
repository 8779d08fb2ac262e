/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages between leader and agent as JSON and back, driven by one table per struct; and LSNs as text. Both
 * programs link it, so it needs base and json only.
 */
#include "agent/message.h"

#include <stddef.h>

enum field_type { FIELD_INT, FIELD_BOOL, FIELD_STR, FIELD_DOUBLE, FIELD_JSON };

struct field {
    str name;
    enum field_type type;
    size_t offset;
};

#define FIELD(type, kind, member)                                                                                      \
    {                                                                                                                  \
        S_INIT(#member), kind, offsetof(struct type, member)                                                           \
    }

static const struct field status_fields[] = {
    FIELD(agent_status, FIELD_INT, protocol),
    FIELD(agent_status, FIELD_INT, nonce),
    FIELD(agent_status, FIELD_STR, incarnation),
    FIELD(agent_status, FIELD_STR, previous_incarnation),
    FIELD(agent_status, FIELD_STR, instance),
    FIELD(agent_status, FIELD_STR, cluster_uid),
    FIELD(agent_status, FIELD_INT, term),
    FIELD(agent_status, FIELD_STR, granted_to),
    FIELD(agent_status, FIELD_STR, phase),
    FIELD(agent_status, FIELD_STR, message),
    FIELD(agent_status, FIELD_STR, progress),
    FIELD(agent_status, FIELD_INT, config_version),
    FIELD(agent_status, FIELD_INT, loaded_version),
    FIELD(agent_status, FIELD_BOOL, postgres_running),
    FIELD(agent_status, FIELD_BOOL, in_recovery),
    FIELD(agent_status, FIELD_BOOL, usable),
    FIELD(agent_status, FIELD_STR, system_identifier),
    FIELD(agent_status, FIELD_INT, timeline),
    FIELD(agent_status, FIELD_INT, wal_term),
    FIELD(agent_status, FIELD_STR, lsn),
    FIELD(agent_status, FIELD_STR, flush_lsn),
    FIELD(agent_status, FIELD_STR, replay_lsn),
    FIELD(agent_status, FIELD_BOOL, streaming),
    FIELD(agent_status, FIELD_BOOL, frozen),
    FIELD(agent_status, FIELD_DOUBLE, lag_seconds),
    FIELD(agent_status, FIELD_INT, sessions),
    FIELD(agent_status, FIELD_INT, started_at_s),
    FIELD(agent_status, FIELD_STR, postgres_version),
    FIELD(agent_status, FIELD_STR, postmaster),
    FIELD(agent_status, FIELD_INT, failed_starts),
    FIELD(agent_status, FIELD_INT, recovery_bytes),
    FIELD(agent_status, FIELD_BOOL, pending_restart),
    FIELD(agent_status, FIELD_STR, pending_restart_names),
    FIELD(agent_status, FIELD_BOOL, restart_primary_first),
    FIELD(agent_status, FIELD_BOOL, restart_standbys_first),
    FIELD(agent_status, FIELD_STR, pending_elsewhere_names),
    FIELD(agent_status, FIELD_STR, config_error),
    FIELD(agent_status, FIELD_BOOL, write_probe_ok),
    FIELD(agent_status, FIELD_BOOL, health_ok),
    FIELD(agent_status, FIELD_STR, health_error),
    FIELD(agent_status, FIELD_STR, archive_error),
    FIELD(agent_status, FIELD_STR, not_replicated),
    FIELD(agent_status, FIELD_INT, data_used_bytes),
    FIELD(agent_status, FIELD_INT, data_free_bytes),
    FIELD(agent_status, FIELD_JSON, replication),
    FIELD(agent_status, FIELD_STR, last_restart_id),
    FIELD(agent_status, FIELD_JSON, task),
};

static const struct field report_fields[] = {
    FIELD(agent_report, FIELD_INT, term),        FIELD(agent_report, FIELD_BOOL, stopped),
    FIELD(agent_report, FIELD_BOOL, frozen),     FIELD(agent_report, FIELD_BOOL, usable),
    FIELD(agent_report, FIELD_INT, wal_term),    FIELD(agent_report, FIELD_INT, timeline),
    FIELD(agent_report, FIELD_STR, flush_lsn),   FIELD(agent_report, FIELD_BOOL, clean_shutdown),
    FIELD(agent_report, FIELD_STR, incarnation), FIELD(agent_report, FIELD_STR, system_identifier),
};

static const struct field config_fields[] = {
    FIELD(agent_config, FIELD_INT, protocol),
    FIELD(agent_config, FIELD_INT, version),
    FIELD(agent_config, FIELD_INT, term),
    FIELD(agent_config, FIELD_INT, timeline),
    FIELD(agent_config, FIELD_STR, cluster_uid),
    FIELD(agent_config, FIELD_STR, cluster_name),
    { S_INIT("namespace"), FIELD_STR, offsetof(struct agent_config, namespace_) },
    FIELD(agent_config, FIELD_STR, instance),
    FIELD(agent_config, FIELD_STR, host),
    FIELD(agent_config, FIELD_INT, port),
    FIELD(agent_config, FIELD_INT, postgres_major),
    FIELD(agent_config, FIELD_STR, primary),
    FIELD(agent_config, FIELD_JSON, members),
    FIELD(agent_config, FIELD_JSON, peers),
    FIELD(agent_config, FIELD_STR, system_identifier),
    FIELD(agent_config, FIELD_BOOL, may_initialize),
    FIELD(agent_config, FIELD_JSON, initdb),
    FIELD(agent_config, FIELD_JSON, parameters),
    FIELD(agent_config, FIELD_JSON, hba),
    FIELD(agent_config, FIELD_STR, synchronous_standby_names),
    FIELD(agent_config, FIELD_JSON, slots),
    FIELD(agent_config, FIELD_JSON, repositories),
    FIELD(agent_config, FIELD_STR, app_user),
    FIELD(agent_config, FIELD_STR, app_password),
    FIELD(agent_config, FIELD_STR, app_database),
    FIELD(agent_config, FIELD_STR, certificate_pem),
    FIELD(agent_config, FIELD_STR, private_key_pem),
    FIELD(agent_config, FIELD_STR, ca_pem),
    FIELD(agent_config, FIELD_STR, stopped_reason),
    FIELD(agent_config, FIELD_BOOL, data_checksums),
    FIELD(agent_config, FIELD_INT, crash_grace_ms),
};

const char *agent_phase_name(enum agent_phase p)
{
    switch (p) {
    case AGENT_STARTING: return "starting";
    case AGENT_INITIALIZING: return "initializing";
    case AGENT_COPYING: return "copying";
    case AGENT_REWINDING: return "rewinding";
    case AGENT_RUNNING: return "running";
    case AGENT_STOPPED: return "stopped";
    case AGENT_CRASHED: return "crashed";
    case AGENT_FAILED: return "failed";
    }
    return "failed";
}

/* NULL leaves the member out: zero, false and empty mean unknown, and the other side reads them so. */
static const struct json *value_of(struct arena *a, const struct field *f, const char *base)
{
    const char *at = base + f->offset;
    switch (f->type) {
    case FIELD_INT: {
        int64_t n = *(const int64_t *)(const void *)at;
        return n != 0 ? json_int(a, n) : NULL;
    }
    case FIELD_BOOL: return *(const bool *)(const void *)at ? &json_true_value : NULL;
    case FIELD_STR: {
        str s = *(const str *)(const void *)at;
        return s.len > 0 ? json_string(a, s) : NULL;
    }
    case FIELD_DOUBLE: {
        double n = *(const double *)(const void *)at;
        return n > 0 || n < 0 ? json_double(a, n) : NULL;
    }
    case FIELD_JSON: return *(const struct json *const *)(const void *)at;
    }
    return NULL;
}

static const struct json *to_json(struct arena *a, const struct field *fields, size_t count, const void *base)
{
    struct json_builder b;
    json_builder_init(&b, a);
    for (size_t i = 0; i < count; i++)
        json_builder_add(&b, fields[i].name, value_of(a, &fields[i], base));
    return json_builder_object(&b);
}

/* False when the value has the wrong type. */
static bool set_value(const struct field *f, const struct json *v, char *base)
{
    void *at = base + f->offset;
    switch (f->type) {
    case FIELD_INT: return json_to_int(v, at);
    case FIELD_BOOL: *(bool *)at = v->boolean; return v->type == JSON_BOOL;
    case FIELD_STR: *(str *)at = json_str(v); return v->type == JSON_STRING;
    case FIELD_DOUBLE: return json_to_double(v, at);
    case FIELD_JSON: *(const struct json **)at = v; return true;
    }
    return false;
}

static int from_json(const struct field *fields, size_t count, const struct json *v, void *base, struct error *err)
{
    if (!json_is(v, JSON_OBJECT))
        return error_set(err, ERRC_INVALID, "message: must be an object");
    for (size_t i = 0; i < count; i++) {
        const struct json *member = json_get(v, fields[i].name);
        if (!member || member->type == JSON_NULL)
            continue;
        if (!set_value(&fields[i], member, base))
            return error_set(err, ERRC_INVALID, "message: field \"%.*s\" has the wrong type", STR_ARG(fields[i].name));
    }
    return 0;
}

const struct json *agent_status_to_json(struct arena *a, const struct agent_status *s)
{
    return to_json(a, status_fields, ARRAY_LEN(status_fields), s);
}

int agent_status_from_json(struct arena *a, const struct json *v, struct agent_status *ret, struct error *err)
{
    (void)a; /* texts and trees stay where v has them */
    *ret = (struct agent_status) { 0 };
    return from_json(status_fields, ARRAY_LEN(status_fields), v, ret, err);
}

const struct json *agent_report_to_json(struct arena *a, const struct agent_report *r)
{
    return to_json(a, report_fields, ARRAY_LEN(report_fields), r);
}

int agent_report_from_json(struct arena *a, const struct json *v, struct agent_report *ret, struct error *err)
{
    (void)a;
    *ret = (struct agent_report) { 0 };
    return from_json(report_fields, ARRAY_LEN(report_fields), v, ret, err);
}

const struct json *agent_config_to_json(struct arena *a, const struct agent_config *c)
{
    return to_json(a, config_fields, ARRAY_LEN(config_fields), c);
}

int agent_config_from_json(struct arena *a, const struct json *v, struct agent_config *ret, struct error *err)
{
    (void)a;
    *ret = (struct agent_config) { 0 };
    return from_json(config_fields, ARRAY_LEN(config_fields), v, ret, err);
}

/* ---- positions ----------------------------------------------------------------------------------------------- */

static bool parse_hex32(str s, uint64_t *ret)
{
    uint64_t n = 0;
    if (s.len == 0 || s.len > 8)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            digit = (unsigned)((c | 32) - 'a') + 10;
        else
            return false;
        n = n << 4 | digit;
    }
    *ret = n;
    return true;
}

bool lsn_parse(str text, uint64_t *ret)
{
    str high_text, low_text;
    uint64_t high, low;
    if (!str_cut(text, '/', &high_text, &low_text) || !parse_hex32(high_text, &high) || !parse_hex32(low_text, &low))
        return false;
    *ret = high << 32 | low;
    return true;
}

str lsn_format(struct arena *a, uint64_t lsn)
{
    return arena_printf(a, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
}
