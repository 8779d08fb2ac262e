/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per event on standard error: fixed text, data in fields; JSON, or `key=value` on a terminal.
 *
 *     log_info("watch closed", LOG_STR("resource", r), LOG_INT("rv", rv));
 *
 * Any thread. Never blocks for long: a line is one write(2). Secrets have no field constructor on purpose.
 * Only main, filters, workers and reconcile steps log; libraries return errors.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

struct log_field {
    const char *key;
    enum { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_BOOL } type;
    str text;
    int64_t number;
};

#define LOG_STR(k, s) ((struct log_field) { .key = (k), .type = LOG_FIELD_STR, .text = (s) })
#define LOG_Z(k, z) ((struct log_field) { .key = (k), .type = LOG_FIELD_STR, .text = str_from(z) })
#define LOG_INT(k, n) ((struct log_field) { .key = (k), .type = LOG_FIELD_INT, .number = (int64_t)(n) })
#define LOG_BOOL(k, b) ((struct log_field) { .key = (k), .type = LOG_FIELD_BOOL, .number = (b) })
#define LOG_ERROR(e) ((struct log_field) { .key = "error", .type = LOG_FIELD_STR, .text = str_from((e)->text) })

/* Before any other thread starts. */
void log_setup(enum log_level level, enum log_format format);
bool log_is_on(enum log_level level);
void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t count);

#define log_at(level, event, ...)                                                                                      \
    do {                                                                                                               \
        if (log_is_on(level)) {                                                                                        \
            const struct log_field fields_[] = { { .key = NULL }, ##__VA_ARGS__ };                                     \
            log_write(level, event, fields_ + 1, ARRAY_LEN(fields_) - 1);                                              \
        }                                                                                                              \
    } while (0)
#define log_error(event, ...) log_at(LOG_LEVEL_ERROR, event, ##__VA_ARGS__)
#define log_warn(event, ...) log_at(LOG_LEVEL_WARN, event, ##__VA_ARGS__)
#define log_info(event, ...) log_at(LOG_LEVEL_INFO, event, ##__VA_ARGS__)
#define log_debug(event, ...) log_at(LOG_LEVEL_DEBUG, event, ##__VA_ARGS__)

#endif
