/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a request may take, and what its client is told after that: a disk that hangs must not keep clients hanging,
 * too. The request itself goes on, for nobody can take a write back that the disk may already have.
 */
#include "base/clock.h"
#include "filter/filter.h"
#include "request/url.h"
#include "json/json_write.h"

/* As WithRequestDeadline of k8s.io/apiserver: `timeout` can only shorten what the server allows; 0 asks for nothing. */
bool filter_deadline(struct call *c)
{
    int64_t allowed = c->api->options.request_timeout_ms * NS_PER_MS, asked = 0;
    str text = query_get(&c->query, S("timeout"));
    if (!str_is_empty(text) && !url_parse_duration(text, &asked)) {
        call_fail(c,
                  status_new(c->arena, STATUS_BAD_REQUEST, "invalid timeout \"%.*s\": must be a duration such as 30s",
                             STR_ARG(str_first(text, 64))));
        return false;
    }
    if (c->info.verb != REQUEST_WATCH)
        c->req->deadline_ns = c->req->received_ns + (asked > 0 && asked < allowed ? asked : allowed);
    return true;
}

static bool may_change(const struct call *c)
{
    bool is_read = c->info.verb == REQUEST_GET || c->info.verb == REQUEST_LIST;
    return !is_read && !query_has(&c->query, S("dryRun"));
}

/* No retryAfterSeconds: clients would send a change again that may have happened. */
static struct status *overdue_status(struct arena *a, const struct call *c)
{
    static const str in_doubt =
        S_INIT("; the change may or may not have been made: read the object before trying again");
    struct status *s =
        status_new(a, STATUS_TIMEOUT, "Timeout: request did not complete within the allotted timeout%.*s",
                   STR_ARG(may_change(c) ? in_doubt : S("")));
    if (c->resource) {
        s->group = c->resource->group;
        s->kind = c->resource->plural;
        s->name = c->info.name;
    }
    return s;
}

/* Another thread works on the call: what the filters found out is all that may be looked at. */
void api_overdue(const struct api_request *req, struct arena *a, struct api_answer *ret)
{
    struct call *c = req->call;
    const struct status *s = overdue_status(a, c);
    struct api_header *headers = arena_array_of(a, struct api_header, 2);
    headers[0] = (struct api_header) { S("audit-id"), c->audit_id };
    headers[1] = (struct api_header) { S("cache-control"), S("no-cache, private") };
    *ret = (struct api_answer) {
        .code = s->code,
        .content_type = S("application/json"),
        .headers = headers,
        .header_count = 2,
        .body = json_text(a, status_to_json(a, s)),
    };
    atomic_store(&c->is_overdue, true);
    filter_metrics_terminated(c, s->code);
}
