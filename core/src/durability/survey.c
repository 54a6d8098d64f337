/* SPDX-License-Identifier: Apache-2.0 */
/* A log looked at from end to end, through damage and out on the other side.
 *
 * Enters:  a directory of segments that may hold anything.
 * Leaves:  every record that checks and continues the order; findings; the LSNs that are missing.
 * Owner:   a tool (verify, salvage); one thread, no lock, every file opened for reading only.
 *
 * Invariants
 *   (1) Records and missing ranges together are dense: each LSN from the first to the last is in
 *       exactly one of them.
 *   (2) What recovery would take for a torn tail is one here, and nothing behind it is believed.
 *   (3) Behind damage only two places are believed: the next mark that names its segment's number
 *       and salt, and the record that begins where the damaged one's length says it ends, if its
 *       LSN leaves room for what that could have held. Bytes inside a client's payload are neither.
 */
#include "durability/survey.h"

#include <stdlib.h>
#include <string.h>

#include "durability/scan.h"
#include "durability/segment.h"
#include "util/bytes.h"

/* No operation takes fewer bytes of a push record's body: a frame's header. */
#define OPERATION_SIZE_MIN 7u

struct survey {
    struct os *os;
    const char *directory;
    const struct survey_sink *sink;
    struct survey_result *result;
    uint64_t *numbers;
    size_t number_count;
    struct scan scan;
    uint64_t after_lsn;
    uint64_t number; /* of the segment at hand */
    /* Where the next segment begins; 0: there is none, UINT64_MAX: its header does not check. */
    uint64_t next_first_lsn;
    bool is_last;              /* no segment follows it */
    bool is_lost;              /* nothing was found in the segment before */
    uint64_t lsn;              /* the next one expected; 0: any */
    struct survey_range range; /* missing, not yet told; first_lsn 0: none */
    /* Unreadable bytes at the end of the segment before: what they are, its successor shows. */
    struct survey_finding remains;
};

/* ---- telling ---- */

static enum bv_status
tell(const struct survey *survey, struct survey_finding finding, struct bv_error *err)
{
    if (finding.first_lsn == 0) {
        finding.first_lsn = survey->lsn;
        finding.last_lsn = survey->lsn;
    }
    return survey->sink->finding == NULL
               ? BV_OK
               : survey->sink->finding(survey->sink->context, &finding, err);
}

static enum bv_status
tell_here(const struct survey *survey, enum survey_kind kind, uint64_t offset, uint64_t bytes,
          const char *text, struct bv_error *err)
{
    return tell(survey,
                (struct survey_finding){.kind = kind,
                                        .segment = survey->number,
                                        .offset = offset,
                                        .bytes = bytes,
                                        .text = text},
                err);
}

/* The log goes on at `next`, above the LSN expected. */
static enum bv_status
open_gap(struct survey *survey, uint64_t next, struct survey_finding finding, struct bv_error *err)
{
    finding.kind = SURVEY_GAP;
    finding.first_lsn = survey->lsn;
    finding.last_lsn = next - 1;
    if (survey->range.first_lsn == 0) {
        survey->range = (struct survey_range){
            .first_lsn = survey->lsn, .version_before = survey->result->last_registry_version};
    }
    survey->range.last_lsn = next - 1;
    survey->lsn = next;
    return tell(survey, finding, err);
}

static enum bv_status
close_gap(struct survey *survey, uint32_t version_after, struct bv_error *err)
{
    struct survey_range range = survey->range;

    survey->range.first_lsn = 0;
    if (range.first_lsn == 0 || survey->sink->range == NULL) {
        return BV_OK;
    }
    range.version_after = version_after;
    return survey->sink->range(survey->sink->context, &range, err);
}

static enum bv_status
deliver(struct survey *survey, const struct record_header *header, struct slice body,
        struct bv_error *err)
{
    struct survey_result *result = survey->result;
    bool raises = header->type == RECORD_REGISTER || header->type == RECORD_RESET;
    enum bv_status status = close_gap(survey, header->registry_version - (raises ? 1 : 0), err);

    if (status == BV_OK && survey->sink->record != NULL) {
        status = survey->sink->record(survey->sink->context, header, body, err);
    }
    survey->lsn = header->first_lsn + header->count;
    result->last_time_ms = header->time_ms;
    result->last_registry_version = header->registry_version;
    result->records++;
    result->events += header->type == RECORD_PUSH ? header->count : 0;
    result->bytes += header->length;
    result->was_clean_stop = false;
    return status;
}

/* ---- groups ---- */

static uint64_t
page_up(uint64_t offset)
{
    return (offset + SEGMENT_PAGE_SIZE - 1) & ~(uint64_t)(SEGMENT_PAGE_SIZE - 1);
}

/* Zero from `offset` to the next page, or to the end of the file. */
static enum bv_status
ends_in_zeros(bool *is_zero, struct survey *survey, uint64_t offset, struct bv_error *err)
{
    struct slice data;
    enum bv_status status =
        scan_view(&data, &survey->scan, offset, (size_t)(page_up(offset) - offset), err);

    *is_zero = status == BV_OK;
    for (size_t i = 0; status == BV_OK && i < data.size; i++) {
        *is_zero = *is_zero && data.data[i] == 0;
    }
    return status;
}

/* The record at *offset does not check. If the one behind it does, and fits, *offset moves there
 * and the LSNs in between are missing. */
static enum bv_status
step_over_record(bool *stepped, struct survey *survey, uint64_t *offset, struct bv_error *err)
{
    struct record_header next;
    struct slice data;
    struct slice body;
    enum record_state state;
    enum bv_status status = scan_view(&data, &survey->scan, *offset, 4, err);

    *stepped = false;
    if (status != BV_OK || data.size < 4) {
        return status;
    }
    uint32_t length = load_le32(data.data);
    if (length < RECORD_HEADER_SIZE || length > RECORD_LENGTH_MAX) {
        return BV_OK;
    }
    uint64_t size = record_padded_size(length);
    status = scan_record(&state, &next, &body, &survey->scan, *offset + size, err);
    if (status != BV_OK || state != RECORD_VALID || next.type == RECORD_MARK ||
        next.first_lsn <= survey->lsn) {
        return status;
    }
    uint64_t room = length / OPERATION_SIZE_MIN;
    if (next.first_lsn - survey->lsn > room) {
        return BV_OK;
    }
    *stepped = true;
    status = open_gap(survey, next.first_lsn,
                      (struct survey_finding){.segment = survey->number,
                                              .offset = *offset,
                                              .bytes = size,
                                              .text = "a record does not check"},
                      err);
    *offset += size;
    return status;
}

static uint64_t
held_by_snapshot(const struct survey *survey, uint64_t lsn)
{
    return lsn > survey->after_lsn ? lsn : survey->after_lsn;
}

/* Whether what is wrong at `offset` is damage and not the end: a mark behind it names an LSN above
 * `kept` as durable, or the next segment shows that one was. */
static enum bv_status
is_followed(bool *followed, struct survey *survey, uint64_t offset, uint64_t kept,
            struct bv_error *err)
{
    enum bv_status status = BV_OK;

    *followed = survey->next_first_lsn > held_by_snapshot(survey, kept) + 1;
    for (uint64_t at = page_up(offset);
         status == BV_OK && !*followed && at < survey->scan.file_size; at += SEGMENT_PAGE_SIZE) {
        struct record_mark mark;
        bool has_mark = false;

        status = scan_mark(&has_mark, &mark, &survey->scan, at, err);
        *followed = has_mark && mark.durable_lsn > kept;
    }
    return status;
}

/* The records behind the mark at *offset; as in recovery, *offset ends on the next page when the
 * group was whole and on the place that cannot be read when it was not. */
static enum bv_status
survey_group(struct survey *survey, uint64_t *offset, struct bv_error *err)
{
    *offset += RECORD_MARK_SIZE;
    for (;;) {
        struct record_header header;
        struct slice body;
        enum record_state state;
        bool flag = false;
        enum bv_status status = scan_record(&state, &header, &body, &survey->scan, *offset, err);

        if (status != BV_OK) {
            return status;
        }
        if (state == RECORD_UNKNOWN) {
            return bv_error_set(err, BV_UNSUPPORTED_FORMAT,
                                "%s: offset %llu: a record of type %u with flags %u is of a later "
                                "version",
                                survey->scan.path, (unsigned long long)*offset, header.type,
                                header.flags);
        }
        if (state == RECORD_VALID && header.type != RECORD_MARK &&
            header.first_lsn == survey->lsn) {
            status = deliver(survey, &header, body, err);
            if (status != BV_OK) {
                return status;
            }
            *offset += record_padded_size(header.length);
            continue;
        }
        if (state == RECORD_END || *offset >= survey->scan.file_size) {
            status = ends_in_zeros(&flag, survey, *offset, err);
            if (status != BV_OK || flag) {
                *offset = flag ? page_up(*offset) : *offset;
                return status;
            }
        }
        if (*offset % SEGMENT_PAGE_SIZE == 0) {
            return BV_OK; /* the next group's business, unless nothing is there to take it up */
        }
        status = is_followed(&flag, survey, *offset, survey->lsn - 1, err);
        if (status == BV_OK && flag) {
            status = step_over_record(&flag, survey, offset, err);
        }
        if (status != BV_OK || !flag) {
            return status;
        }
    }
}

/* The segment ends here, in bytes that its successor, or that there is none, explains. */
static void
end_segment(struct survey *survey, uint64_t offset, uint64_t end)
{
    if (end > offset) {
        survey->remains = (struct survey_finding){.kind = SURVEY_REMAINS,
                                                  .segment = survey->number,
                                                  .offset = offset,
                                                  .bytes = end - offset};
    }
}

/* The group that is wanted does not begin at `offset`. *resume is where to look for one again, 0
 * when this segment holds no more. */
static enum bv_status
find_next_group(struct survey *survey, uint64_t offset, uint64_t *resume, struct bv_error *err)
{
    struct scan_rest rest;
    bool is_old_use =
        (survey->scan.header.flags & SEGMENT_FLAG_RECYCLED) != 0 && offset % SEGMENT_PAGE_SIZE == 0;
    bool followed = true;
    enum bv_status status = scan_rest(&rest, &survey->scan, offset, err);

    *resume = 0;
    if (status != BV_OK) {
        return status;
    }
    if (!rest.has_mark) {
        end_segment(survey, offset, is_old_use ? 0 : rest.nonzero_end);
        return BV_OK;
    }
    uint64_t next = rest.mark.header.first_lsn;
    uint64_t bytes = rest.mark_offset - offset;
    *resume = rest.mark_offset;
    if (survey->lsn == 0 || next == survey->lsn) {
        return tell_here(survey, SURVEY_UNREADABLE, offset, bytes,
                         "bytes do not check; no operation is missing", err);
    }
    if (next < survey->lsn || next > survey->after_lsn + 1) {
        uint64_t kept = held_by_snapshot(survey, survey->lsn - 1); /* as recovery does */
        status = is_followed(&followed, survey, offset, kept, err);
    }
    if (status != BV_OK) {
        return status;
    }
    if (!followed) {
        *resume = 0;
        end_segment(survey, offset, survey->scan.file_size);
        return BV_OK;
    }
    if (next < survey->lsn) {
        *resume += SEGMENT_PAGE_SIZE;
        return tell_here(survey, SURVEY_BACKWARDS, rest.mark_offset, 0,
                         "a group begins with an LSN that was there before", err);
    }
    return open_gap(survey, next,
                    (struct survey_finding){.segment = survey->number,
                                            .offset = offset,
                                            .bytes = bytes,
                                            .text = bytes == 0 ? "a group begins too late"
                                                               : "bytes do not check"},
                    err);
}

static enum bv_status
survey_groups(struct survey *survey, struct bv_error *err)
{
    uint64_t offset = SEGMENT_PAGE_SIZE;
    enum bv_status status = BV_OK;

    while (status == BV_OK && offset != 0) {
        struct record_mark mark = {0};
        bool has_mark = false;

        if (offset % SEGMENT_PAGE_SIZE == 0) {
            status = scan_mark(&has_mark, &mark, &survey->scan, offset, err);
        }
        if (status != BV_OK) {
            break;
        }
        if (has_mark && survey->lsn == 0) {
            survey->lsn = mark.header.first_lsn;
            survey->result->first_lsn = survey->lsn;
        }
        if (has_mark && mark.header.first_lsn == survey->lsn) {
            survey->result->was_clean_stop = (mark.header.flags & RECORD_FLAG_CLEAN_STOP) != 0;
            status = survey_group(survey, &offset, err);
        } else {
            uint64_t resume = 0;
            status = find_next_group(survey, offset, &resume, err);
            offset = resume;
        }
    }
    return status;
}

/* ---- segments ---- */

/* Where the header page is gone: the salt of the first page that reads as a mark of this number. */
static enum bv_status
find_salt(bool *found, struct survey *survey, struct bv_error *err)
{
    *found = false;
    for (uint64_t at = SEGMENT_PAGE_SIZE; at < survey->scan.file_size; at += SEGMENT_PAGE_SIZE) {
        struct record_mark mark;
        struct slice data;
        enum bv_status status = scan_view(&data, &survey->scan, at, RECORD_MARK_SIZE, err);

        if (status != BV_OK) {
            return status;
        }
        uint64_t salt = data.size < RECORD_MARK_SIZE ? 0 : load_le64(data.data + 48);
        if (record_mark_decode(&mark, data, survey->number, salt)) {
            survey->scan.header =
                (struct segment_header){.segment_number = survey->number, .salt = salt};
            *found = true;
            return BV_OK;
        }
    }
    return BV_OK;
}

/* What the end of the segment before was, now that this one's first LSN is known. */
static enum bv_status
join(struct survey *survey, bool is_next_number, struct bv_error *err)
{
    uint64_t first = survey->scan.header.first_lsn;
    struct survey_finding end = survey->remains;

    survey->remains.bytes = 0;
    if (survey->result->records == 0) {
        survey->result->last_registry_version = survey->scan.header.registry_version;
    }
    if (survey->lsn == 0) {
        survey->lsn = first;
        survey->result->first_lsn = first;
        return BV_OK;
    }
    if (first < survey->lsn) {
        return tell_here(survey, SURVEY_BACKWARDS, 0, 0,
                         "the segment begins with an LSN that was there before", err);
    }
    if (end.bytes == 0) {
        end = (struct survey_finding){.segment = survey->number};
    }
    if (first > survey->lsn) {
        end.is_at_boundary = is_next_number && !survey->is_lost;
        end.text = end.bytes == 0 ? "the segment begins with a later LSN than expected"
                                  : "the segment ends in bytes that do not check, and the next one "
                                    "begins with a later LSN";
        return open_gap(survey, first, end, err);
    }
    if (end.bytes != 0) {
        end.text = "the segment ends in bytes that do not check; no operation is missing";
        return tell(survey, end, err);
    }
    return BV_OK;
}

/* The header page that would have said what those bytes are is gone itself. */
static enum bv_status
tell_remains(struct survey *survey, struct bv_error *err)
{
    struct survey_finding end = survey->remains;

    survey->remains.bytes = 0;
    if (end.bytes == 0) {
        return BV_OK;
    }
    end.kind = SURVEY_UNREADABLE;
    end.text = "the segment ends in bytes that do not check";
    return tell(survey, end, err);
}

/* Believes the header page, or does without it. *is_usable is false when nothing in the file can be
 * told from what an earlier use left. */
static enum bv_status
read_header(bool *is_usable, struct survey *survey, bool is_next_number, struct bv_error *err)
{
    struct bv_error failure = {0};
    struct slice page;
    enum bv_status status = scan_view(&page, &survey->scan, 0, SEGMENT_PAGE_SIZE, err);

    *is_usable = false;
    if (status != BV_OK) {
        return status;
    }
    status = segment_header_decode(&survey->scan.header, page, survey->scan.path, &failure);
    if (status == BV_OK && survey->scan.header.segment_number != survey->number) {
        status = tell_remains(survey, err);
        return status != BV_OK
                   ? status
                   : tell_here(survey, SURVEY_HEADER, 0, 0,
                               "the header is another segment's; nothing in the file counts", err);
    }
    if (status == BV_OK) {
        *is_usable = true;
        return join(survey, is_next_number, err);
    }
    if (status != BV_CORRUPT) {
        if (err != NULL) {
            *err = failure;
        }
        return status;
    }
    status = tell_remains(survey, err);
    if (status == BV_OK) {
        status = find_salt(is_usable, survey, err);
    }
    if (status != BV_OK) {
        return status;
    }
    return tell_here(survey, SURVEY_HEADER, 0, SEGMENT_PAGE_SIZE,
                     *is_usable ? "the header page does not check"
                                : "the header page does not check and no group can be found",
                     err);
}

static enum bv_status
peek_next(struct survey *survey, size_t index, struct bv_error *err)
{
    char name[SEGMENT_NAME_SIZE];
    char path[OS_PATH_MAX];
    struct segment_header header;
    struct slice page;
    struct scan scan;

    survey->next_first_lsn = 0;
    if (survey->is_last) {
        return BV_OK;
    }
    segment_name(name, survey->numbers[index + 1]);
    enum bv_status status = os_path(path, survey->directory, name, err);
    if (status != BV_OK) {
        return status;
    }
    status = scan_open_read_only(&scan, survey->os, path, err);
    if (status == BV_OK) {
        status = scan_view(&page, &scan, 0, SEGMENT_PAGE_SIZE, err);
    }
    if (status == BV_OK && (scan.file_size > 0 || index + 2 < survey->number_count)) {
        bool is_whole = segment_header_decode(&header, page, path, NULL) == BV_OK &&
                        header.segment_number == survey->numbers[index + 1];
        survey->next_first_lsn = is_whole ? header.first_lsn : UINT64_MAX;
    }
    scan_close(&scan);
    return status;
}

static enum bv_status
survey_segment(struct survey *survey, size_t index, struct bv_error *err)
{
    char name[SEGMENT_NAME_SIZE];
    char path[OS_PATH_MAX];
    bool is_usable = false;
    bool is_next_number = index == 0 || survey->numbers[index] == survey->numbers[index - 1] + 1;

    survey->number = survey->numbers[index];
    survey->is_last = index + 1 == survey->number_count;
    segment_name(name, survey->number);
    enum bv_status status = os_path(path, survey->directory, name, err);
    if (status == BV_OK) {
        status = scan_open_read_only(&survey->scan, survey->os, path, err);
    }
    if (status != BV_OK || (survey->scan.file_size == 0 && survey->is_last)) {
        goto done; /* an empty last file stands for none */
    }
    survey->result->segments++;
    status = peek_next(survey, index, err);
    if (status == BV_OK && !is_next_number) {
        status = tell_here(survey, SURVEY_MISSING_SEGMENT, 0, 0,
                           "the segment before this one is missing", err);
    }
    if (status == BV_OK) {
        status = read_header(&is_usable, survey, is_next_number, err);
    }
    survey->is_lost = !is_usable;
    if (status == BV_OK && is_usable) {
        status = survey_groups(survey, err);
    }
done:
    scan_close(&survey->scan);
    return status;
}

static int
compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static enum bv_status
list_segments(struct survey *survey, struct bv_error *err)
{
    struct os_names names = {0};
    enum bv_status status = os_list(&names, survey->os, survey->directory, err);

    if (status != BV_OK) {
        goto done;
    }
    survey->numbers = calloc(names.count + 1, sizeof *survey->numbers);
    if (survey->numbers == NULL) {
        status = bv_error_set(err, BV_NO_MEMORY, "no memory to list %s", survey->directory);
        goto done;
    }
    for (size_t i = 0; i < names.count; i++) {
        if (segment_name_parse(&survey->numbers[survey->number_count], names.names[i])) {
            survey->number_count++;
        }
    }
    if (survey->number_count > 1) {
        qsort(survey->numbers, survey->number_count, sizeof *survey->numbers, compare_numbers);
    }
done:
    os_names_deinit(&names);
    return status;
}

enum bv_status
survey_log(struct survey_result *out, struct os *os, const char *directory, uint64_t after_lsn,
           const struct survey_sink *sink, struct bv_error *err)
{
    struct survey survey = {
        .os = os, .directory = directory, .sink = sink, .result = out, .after_lsn = after_lsn};

    memset(out, 0, sizeof *out);
    survey.scan.fd = -1;
    enum bv_status status = list_segments(&survey, err);
    for (size_t i = 0; status == BV_OK && i < survey.number_count; i++) {
        status = survey_segment(&survey, i, err);
    }
    if (status == BV_OK && survey.remains.bytes != 0) {
        struct survey_finding tail = survey.remains;
        tail.kind = SURVEY_TORN_TAIL;
        tail.text = "the log ends inside a group";
        out->torn_bytes = tail.bytes;
        status = tell(&survey, tail, err);
    }
    if (status == BV_OK) {
        status = close_gap(&survey, 0, err);
    }
    out->next_lsn = survey.lsn;
    free(survey.numbers);
    return status;
}
