/* SPDX-License-Identifier: Apache-2.0 */
/* Event: only its table needs code. */
#include <ctype.h>

#include "base/clock.h"
#include "meta/names.h"
#include "meta/rfc3339.h"
#include "resources/kinds.h"

/* "5m": the age of the last occurrence, as Kubernetes' own table shows it. */
static const struct json *last_seen(struct arena *a, const struct json *object)
{
    static const char *const fields[] = { "lastTimestamp", "eventTime", "firstTimestamp",
                                          "metadata.creationTimestamp" };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        int64_t ns = 0;
        str text = json_str_at(object, fields[i]);
        if (text.len && rfc3339_parse(text, &ns))
            return json_string(a, rfc3339_age(a, clock_realtime_ns() - ns));
    }
    return json_string(a, S("<unknown>"));
}

/* "postgrescluster/pg1" */
static const struct json *object_name(struct arena *a, const struct json *object)
{
    str kind = json_str_at(object, "involvedObject.kind");
    str text = arena_printf(a, "%.*s/%.*s", STR_ARG(kind), STR_ARG(json_str_at(object, "involvedObject.name")));
    char *lower = arena_z(a, text);
    for (size_t i = 0; i < kind.len && lower[i]; i++)
        lower[i] = (char)tolower((unsigned char)lower[i]);
    return json_string(a, str_from(lower));
}

const struct kind_code kind_event = {
    .check_name = names_check_dns1123_subdomain,
    .cells = { { "last-seen", last_seen }, { "object", object_name } },
};
