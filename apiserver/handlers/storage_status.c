/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where an error of the store becomes a metav1.Status. */
#include "handlers/internal.h"

#define RETRY_SECONDS 1

static struct status *with_retry(struct status *s)
{
    s->retry_after_seconds = RETRY_SECONDS;
    return s;
}

struct status *storage_status(struct arena *a, int code, const struct error *err, const struct resource *r, str name)
{
    str group = r ? r->group : (str) { 0 }, resource = r ? r->plural : (str) { 0 };
    switch ((enum err)code) {
    case ERRC_NOT_FOUND: return status_not_found(a, group, resource, name);
    case ERRC_EXISTS: return status_already_exists(a, group, resource, name);
    case ERRC_CONFLICT:
        return status_conflict(a, group, resource, name,
                               S("the object has been modified; please apply your changes to the latest version and "
                                 "try again"));
    case ERRC_TOO_OLD: return status_new(a, STATUS_EXPIRED, "%s", err->text);
    case ERRC_TOO_LARGE: return status_new(a, STATUS_REQUEST_ENTITY_TOO_LARGE, "%s", err->text);
    /* Without retryAfterSeconds: a write that may have happened must not be repeated unseen. */
    case ERRC_TIMEOUT: return status_new(a, STATUS_TIMEOUT, "Timeout: %s", err->text);
    case ERRC_UNAVAILABLE:
    case ERRC_CANCELLED: return with_retry(status_new(a, STATUS_SERVICE_UNAVAILABLE, "%s", err->text));
    case ERRC_OK:
    case ERRC_INVALID:
    case ERRC_DENIED:
    case ERRC_INTERNAL:
    case ERRC_UNSUPPORTED: break;
    }
    return status_new(a, STATUS_INTERNAL_ERROR, "Internal error occurred: %s", err->text);
}

struct status *storage_status_too_large(struct arena *a, rv wanted, rv current)
{
    struct status *s =
        with_retry(status_new(a, STATUS_TIMEOUT, "Timeout: Too large resource version: %llu, current: %llu",
                              (unsigned long long)wanted, (unsigned long long)current));
    status_add_cause(a, s, S("ResourceVersionTooLarge"), (str) { 0 }, S("Too large resource version"));
    return s;
}
