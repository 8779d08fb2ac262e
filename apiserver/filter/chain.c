/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of filters. Authentication has happened before: the user comes in with the request. */
#include "filter/filter.h"

static const struct filter chain[] = {
    { .name = "audit-id", .enter = filter_audit_id },
    { .name = "request-info", .enter = filter_request_info },
    { .name = "deadline", .enter = filter_deadline },
    { .name = "access-log", .leave = filter_access_log_leave },
    { .name = "metrics", .leave = filter_metrics_leave },
    { .name = "inflight", .enter = filter_inflight_enter, .leave = filter_inflight_leave },
    { .name = "authz", .enter = filter_authz },
};

bool filters_enter(struct call *c)
{
    for (size_t i = 0; i < ARRAY_LEN(chain); i++) {
        if (chain[i].enter && !chain[i].enter(c))
            return false;
        c->filters_entered = i + 1;
    }
    return true;
}

void filters_leave(struct call *c, int code, size_t bytes)
{
    for (size_t i = c->filters_entered; i > 0; i--)
        if (chain[i - 1].leave)
            chain[i - 1].leave(c, code, bytes);
}
