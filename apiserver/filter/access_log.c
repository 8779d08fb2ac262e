/* SPDX-License-Identifier: Apache-2.0 */
/* One line per request at level debug. Never headers or bodies: they hold credentials and Secrets. */
#include "base/clock.h"
#include "base/log.h"
#include "filter/filter.h"

void filter_access_log_leave(struct call *c, int code, size_t bytes)
{
    log_debug("request", LOG_STR("audit_id", c->audit_id), LOG_STR("method", c->req->method),
              LOG_STR("path", c->req->path), LOG_STR("verb", c->info.verb_text), LOG_STR("user", c->req->user->name),
              LOG_STR("remote", c->req->remote_address), LOG_INT("code", code), LOG_INT("bytes", bytes),
              LOG_INT("micros", (clock_monotonic_ns() - c->req->received_ns) / 1000));
}
