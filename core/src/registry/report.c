/* SPDX-License-Identifier: Apache-2.0 */
/* The findings about one payload.
 *
 * Enters:  paths and sentences, from every judge of this room.
 * Leaves:  two bounded lists, in the order in which the findings came.
 * Owner:   one registration; one thread.
 *
 * A finding that finds no memory sets is_out_of_memory instead: the registration then ends with
 * BV_NO_MEMORY, so no judge has to look at the result of a report.
 */
#include "registry/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/assert.h"
#include "util/utf8.h"

void
report_init(struct report *report, struct arena *arena)
{
    *report = (struct report){.arena = arena};
}

void
report_path(struct report *report, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(report->scratch.path, sizeof report->scratch.path, format, args);
    va_end(args);
}

void
report_path_append(struct report *report, const char *format, ...)
{
    size_t size = strlen(report->scratch.path);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(report->scratch.path + size, sizeof report->scratch.path - size, format, args);
    va_end(args);
}

void
report_hint(struct report *report, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(report->scratch.hint, sizeof report->scratch.hint, format, args);
    va_end(args);
}

static struct slice
keep_text(struct report *report, const char *text)
{
    /* What vsnprintf cut may end within a character, which would make the reply invalid UTF-8. */
    size_t size = utf8_cut(slice_text(text), strlen(text));

    if (size == 0) {
        return slice_of("", 0);
    }
    const void *copy = arena_copy(report->arena, text, size);

    if (copy == NULL) {
        report->is_out_of_memory = true;
        return slice_of("", 0);
    }
    return slice_of(copy, size);
}

static void
keep(struct report *report, struct finding **list, size_t *count, enum bv_status status,
     const char *detail)
{
    if (*list == NULL) {
        *list = arena_alloc(report->arena, REPORT_FINDINGS_MAX * sizeof **list);
        report->is_out_of_memory |= *list == NULL;
    }
    if (*list != NULL && *count < REPORT_FINDINGS_MAX) {
        (*list)[(*count)++] = (struct finding){
            .status = status,
            .detail = detail,
            .path = keep_text(report, report->scratch.path),
            .message = keep_text(report, report->scratch.message),
            .hint = keep_text(report, report->scratch.hint),
        };
    }
    report->scratch.path[0] = '\0';
    report->scratch.hint[0] = '\0';
}

void
report_error(struct report *report, enum bv_status status, const char *detail, const char *format,
             ...)
{
    va_list args;

    BV_ASSERT(status != BV_OK);
    va_start(args, format);
    (void)vsnprintf(report->scratch.message, sizeof report->scratch.message, format, args);
    va_end(args);
    keep(report, &report->errors, &report->error_count, status, detail);
}

void
report_warning(struct report *report, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(report->scratch.message, sizeof report->scratch.message, format, args);
    va_end(args);
    report->scratch.hint[0] = '\0';
    keep(report, &report->warnings, &report->warning_count, BV_OK, NULL);
}

void
report_first(const struct report *report, struct bv_error *err)
{
    BV_ASSERT(report->error_count > 0);
    const struct finding *first = &report->errors[0];

    bv_error_set(err, first->status, "%.*s", (int)first->message.size,
                 (const char *)first->message.data);
    if (first->path.size != 0) {
        bv_error_path(err, "%.*s", (int)first->path.size, (const char *)first->path.data);
    }
    if (first->hint.size != 0) {
        bv_error_hint(err, "%.*s", (int)first->hint.size, (const char *)first->hint.data);
    }
}
