/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_UTIL_LOG_H
#define BV_UTIL_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* Log lines on stdout: one flat JSON object (or logfmt) per line, `timestamp`, `level`, `message`,
 * `kind`, the line's own fields, `target`. A line that stdout does not take at once is dropped and
 * counted in the next one that it takes: no thread ever waits for a log. Any thread. */
enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARN, LOG_ERROR };
enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

struct log_field {
    const char *name;
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT } kind;
    const char *text;
    int64_t number;
};

#define LOG_TEXT(n, v) ((struct log_field){(n), LOG_FIELD_TEXT, (v), 0})
#define LOG_INT(n, v)  ((struct log_field){(n), LOG_FIELD_INT, NULL, (int64_t)(v)})

/* Until it is called nothing is printed but log_line_always: in process, stdout is the caller's. */
void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/* kind and target may be NULL. Fields: log_line(LOG_WARN, "wal.failed", "beava.wal", "...",
 * (struct log_field[]){LOG_TEXT("path", p), LOG_INT("errno", e)}, 2). With `always` the line is
 * printed whatever the configured level (launchers parse it). */
void log_line(enum log_level level, const char *kind, const char *target, const char *message,
              const struct log_field *fields, unsigned field_count);
void log_line_always(enum log_level level, const char *kind, const char *target,
                     const char *message, const struct log_field *fields, unsigned field_count);

#endif
