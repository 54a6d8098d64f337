/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_REGISTRY_REPORT_H
#define BV_REGISTRY_REPORT_H

#include "util/arena.h"
#include "util/error.h"

/* What the judges of one payload found: errors in the order of the rules (the first is the reply's
 * code), and warnings. Texts live in the arena; client text in them is quoted (V67). */
#define REPORT_FINDINGS_MAX 100

struct finding {
    enum bv_status status; /* BV_OK: a warning */
    const char *detail;    /* static; the cause behind a broad code (V33) */
    struct slice path, message, hint;
};

struct report {
    struct arena *arena;
    struct finding *errors, *warnings; /* REPORT_FINDINGS_MAX each, made at the first finding */
    size_t error_count, warning_count; /* kept; later findings are dropped */
    bool is_out_of_memory;             /* some finding could not be kept */
    struct bv_error scratch;           /* the path, message and hint being written */
};

void report_init(struct report *report, struct arena *arena);
/* Is another error going to be kept? If not, no hint need be looked for. */
static inline bool
report_has_room(const struct report *report)
{
    return report->error_count < REPORT_FINDINGS_MAX;
}
/* The path of the next finding, printf style. */
void report_path(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void report_path_append(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The hint of the next error. */
void report_hint(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Keeps a finding under the path set before; path and hint are cleared. */
void report_error(struct report *report, enum bv_status status, const char *detail,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));
void report_warning(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The first error as an error of the ABI; the report has one. */
void report_first(const struct report *report, struct bv_error *err);

#endif
