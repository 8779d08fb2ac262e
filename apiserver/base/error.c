/* SPDX-License-Identifier: Apache-2.0 */
/* Filling errors, and the one mapping from errno to codes. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Through a copy, because the arguments may point into err->text. */
static void fill(struct error *err, enum err code, int sys, const char text[static ERROR_TEXT_MAX])
{
    err->code = code;
    err->sys = sys;
    memcpy(err->text, text, strnlen(text, ERROR_TEXT_MAX - 1) + 1);
}

/* Adds as much as fits; snprintf would warn that it may cut, which is what we want. */
static void append(char text[static ERROR_TEXT_MAX], const char *more)
{
    size_t at = strnlen(text, ERROR_TEXT_MAX - 1);
    size_t len = strnlen(more, ERROR_TEXT_MAX - 1 - at);
    memcpy(text + at, more, len);
    text[at + len] = '\0';
}

int error_set(struct error *err, enum err code, const char *fmt, ...)
{
    if (!err)
        return (int)code;
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fill(err, code, 0, text);
    return (int)code;
}

static enum err code_of(int sys)
{
    switch (sys) {
    case ENOENT: return ERRC_NOT_FOUND;
    case EEXIST: return ERRC_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case ECONNREFUSED: return ERRC_UNAVAILABLE;
    case EACCES:
    case EPERM:
    case EROFS: return ERRC_DENIED;
    case ETIMEDOUT: return ERRC_TIMEOUT;
    default: return ERRC_INTERNAL;
    }
}

int error_set_sys(struct error *err, int sys, const char *fmt, ...)
{
    enum err code = code_of(sys);
    if (!err)
        return (int)code;
    char text[ERROR_TEXT_MAX];
    char buffer[128];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    const char *reason = strerror_r(sys, buffer, sizeof(buffer));
    /* The reason matters more than the end of a long name. */
    size_t room = sizeof(text) - strlen(": ") - strnlen(reason, sizeof(buffer));
    if (strnlen(text, sizeof(text)) >= room)
        text[room - 1] = '\0';
    append(text, ": ");
    append(text, reason);
    fill(err, code, sys, text);
    return (int)code;
}

int error_wrap(struct error *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    append(text, ": ");
    append(text, err->text);
    fill(err, (enum err)code, err->sys, text);
    return code;
}

void error_clear(struct error *err)
{
    if (!err)
        return;
    err->code = ERRC_OK;
    err->sys = 0;
    err->text[0] = '\0';
}

const char *error_code_name(int code)
{
    static const char *const names[] = {
        [-ERRC_OK] = "ok",
        [-ERRC_NOT_FOUND] = "not found",
        [-ERRC_EXISTS] = "exists",
        [-ERRC_CONFLICT] = "conflict",
        [-ERRC_INVALID] = "invalid",
        [-ERRC_TOO_OLD] = "too old",
        [-ERRC_TIMEOUT] = "timeout",
        [-ERRC_UNAVAILABLE] = "unavailable",
        [-ERRC_DENIED] = "denied",
        [-ERRC_TOO_LARGE] = "too large",
        [-ERRC_INTERNAL] = "internal",
        [-ERRC_CANCELLED] = "cancelled",
        [-ERRC_UNSUPPORTED] = "unsupported",
    };
    if (code > 0 || code <= -(int)ARRAY_LEN(names))
        return "unknown";
    return names[-code];
}
