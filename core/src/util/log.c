/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines on stdout that nobody ever waits for.
 *
 * Enters:  a level, a message and fields, from any thread.
 * Leaves:  one line of at most PIPE_BUF bytes in one write, or one more in the dropped count.
 * Owner:   any thread; `writer_lock` orders the writes, `level`, `format` and `dropped` are
 * atomics.
 *
 * Invariants
 *   (1) No caller blocks: poll() says whether stdout has room for PIPE_BUF bytes (which is what
 *       POLLOUT means for a pipe) and the lock keeps our other threads from taking that room in
 *       between. O_NONBLOCK is not set, because a flag of an inherited pipe is shared with the
 *       parent and would outlive us.
 *   (2) Every line is valid on its own: a field that does not fit is left out whole, a long text is
 *       cut on a UTF-8 boundary, stray bytes become '?'.
 *   (3) lines written + lines counted as dropped = lines asked for.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util/assert.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/utf8.h"

#define LINE_SIZE_MAX   PIPE_BUF
#define LINE_TAIL_SIZE  64   /* kept for "dropped", the closing brace and the newline */
#define TEXT_SIZE_MAX   1024 /* of one field, before escapes */
#define LOCK_TRIES_MAX  1000 /* a writer holds the lock for one poll and one write */
#define ESCAPE_SIZE_MAX 6    /* \u001f */

_Static_assert(LINE_SIZE_MAX >= 4096, "a line has room for its fields");

struct line {
    char text[LINE_SIZE_MAX];
    size_t size;
    size_t limit;
    enum log_format format;
    bool is_full; /* what was appended last did not fit */
};

/* Above every level until a program says where its lines go: a library prints nothing. */
static atomic_int configured_level = LOG_ERROR + 1;
static atomic_int configured_format = LOG_FORMAT_JSON;
static atomic_ullong dropped_count;
static pthread_mutex_t writer_lock = PTHREAD_MUTEX_INITIALIZER;

static const char *const level_names[] = {"TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR"};

void
log_configure(enum log_level level, enum log_format format)
{
    atomic_store_explicit(&configured_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&configured_format, (int)format, memory_order_relaxed);
}

bool
log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&configured_level, memory_order_relaxed);
}

static void
append(struct line *line, const void *data, size_t size)
{
    if (line->is_full || size > line->limit - line->size) {
        line->is_full = true;
        return;
    }
    memcpy(line->text + line->size, data, size);
    line->size += size;
}

static void
append_escaped(struct line *line, uint8_t byte)
{
    static const char shorts[] = "btn.fr"; /* \b is 8, \r is 13; 11 has no short form */
    char escape[ESCAPE_SIZE_MAX + 1];

    if (byte == '"' || byte == '\\') {
        snprintf(escape, sizeof escape, "\\%c", byte);
    } else if (byte >= 8 && byte <= 13 && byte != 11) {
        snprintf(escape, sizeof escape, "\\%c", shorts[byte - 8]);
    } else {
        snprintf(escape, sizeof escape, "\\u%04x", byte);
    }
    append(line, escape, strlen(escape));
}

static void
append_quoted(struct line *line, struct slice text)
{
    size_t size = utf8_cut(text, TEXT_SIZE_MAX);
    size_t i = 0;

    append(line, "\"", 1);
    while (i < size) {
        size_t sequence = utf8_sequence(text.data + i, size - i);

        if (sequence == 0) {
            append(line, "?", 1);
            i++;
        } else if (text.data[i] < 0x20 || text.data[i] == '"' || text.data[i] == '\\') {
            append_escaped(line, text.data[i]);
            i++;
        } else {
            append(line, text.data + i, sequence);
            i += sequence;
        }
    }
    append(line, "\"", 1);
}

/* A logfmt value may stand bare when nothing in it could end it. */
static bool
is_bare(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];

        if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '=' || byte == '\\') {
            return false;
        }
    }
    return text.size > 0 && text.size <= TEXT_SIZE_MAX;
}

static void
append_name(struct line *line, const char *name)
{
    if (line->format == LOG_FORMAT_JSON) {
        append(line, line->size == 0 ? "{" : ",", 1);
        append_quoted(line, slice_text(name));
        append(line, ":", 1);
    } else {
        append(line, " ", line->size == 0 ? 0 : 1);
        append(line, name, strlen(name));
        append(line, "=", 1);
    }
}

/* All or nothing: a field that does not fit leaves no trace. */
static void
append_text_field(struct line *line, const char *name, const char *value)
{
    struct slice text = slice_text(value == NULL ? "" : value);
    size_t begin = line->size;

    append_name(line, name);
    if (line->format == LOG_FORMAT_TEXT && is_bare(text)) {
        append(line, text.data, text.size);
    } else {
        append_quoted(line, text);
    }
    if (line->is_full) {
        line->size = begin;
        line->is_full = false;
    }
}

static void
append_number_field(struct line *line, const char *name, long long value)
{
    char digits[24];
    size_t begin = line->size;
    int size = snprintf(digits, sizeof digits, "%lld", value);

    append_name(line, name);
    append(line, digits, (size_t)size);
    if (line->is_full) {
        line->size = begin;
        line->is_full = false;
    }
}

static void
append_timestamp(struct line *line)
{
    uint64_t now_us = clock_wall_us();
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm utc;
    char text[40];

    gmtime_r(&seconds, &utc);
    size_t size = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);

    snprintf(text + size, sizeof text - size, ".%06uZ", (unsigned)(now_us % 1000000));
    append_text_field(line, "timestamp", text);
}

static void
compose(struct line *line, enum log_level level, const char *kind, const char *target,
        const char *message, const struct log_field *fields, unsigned field_count)
{
    append_timestamp(line);
    append_text_field(line, "level", level_names[level]);
    append_text_field(line, "message", message);
    if (kind != NULL) {
        append_text_field(line, "kind", kind);
    }
    for (unsigned i = 0; i < field_count; i++) {
        if (fields[i].kind == LOG_FIELD_TEXT) {
            append_text_field(line, fields[i].name, fields[i].text);
        } else {
            append_number_field(line, fields[i].name, fields[i].number);
        }
    }
    if (target != NULL) {
        append_text_field(line, "target", target);
    }
}

static void
append_end(struct line *line)
{
    if (line->format == LOG_FORMAT_JSON) {
        append(line, "}", 1);
    }
    append(line, "\n", 1);
}

/* Under writer_lock. False when stdout has no room now. */
static bool
write_line(struct line *line)
{
    struct pollfd ready = {.fd = STDOUT_FILENO, .events = POLLOUT};
    unsigned long long dropped = atomic_load_explicit(&dropped_count, memory_order_relaxed);

    if (poll(&ready, 1, 0) != 1 || ready.revents != POLLOUT) {
        return false; /* full, closed, or its reader is gone */
    }
    line->limit = LINE_SIZE_MAX;
    if (dropped != 0) {
        append_number_field(line, "dropped", (long long)dropped);
    }
    append_end(line);
    BV_ASSERT(!line->is_full); /* LINE_TAIL_SIZE was kept for this */
    ssize_t written = write(STDOUT_FILENO, line->text, line->size);

    if (written <= 0) {
        return false;
    }
    atomic_fetch_sub_explicit(&dropped_count, dropped, memory_order_relaxed);
    return true;
}

static bool
lock_writer(void)
{
    for (int i = 0; i < LOCK_TRIES_MAX; i++) {
        if (pthread_mutex_trylock(&writer_lock) == 0) {
            return true;
        }
        __builtin_ia32_pause();
    }
    return false;
}

void
log_line_always(enum log_level level, const char *kind, const char *target, const char *message,
                const struct log_field *fields, unsigned field_count)
{
    struct line line; /* not zeroed: 4 KiB of text per line */
    bool is_written = false;
    int saved_errno = errno;

    BV_ASSERT(level >= LOG_TRACE && level <= LOG_ERROR);
    line.size = 0;
    line.limit = LINE_SIZE_MAX - LINE_TAIL_SIZE;
    line.is_full = false;
    line.format = atomic_load_explicit(&configured_format, memory_order_relaxed);
    compose(&line, level, kind, target, message, fields, field_count);
    if (lock_writer()) {
        is_written = write_line(&line);
        pthread_mutex_unlock(&writer_lock);
    }
    if (!is_written) {
        atomic_fetch_add_explicit(&dropped_count, 1, memory_order_relaxed);
    }
    errno = saved_errno;
}

void
log_line(enum log_level level, const char *kind, const char *target, const char *message,
         const struct log_field *fields, unsigned field_count)
{
    if (log_enabled(level)) {
        log_line_always(level, kind, target, message, fields, field_count);
    }
}
