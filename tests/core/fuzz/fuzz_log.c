/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a segment through the whole recovery: it may refuse, cut or deliver, never crash, and
 * what it delivers has dense LSNs. With bit 0 of the first byte set, checksums along the chain of
 * records are made right first, so that the fuzzer gets past them; bits 2 to 5 are a snapshot's
 * LSN. */
#include "../durability/memory_os.h"

#include "durability/recovery.h"
#include "durability/segment.h"
#include "durability/survey.h"
#include "util/assert.h"
#include "util/bytes.h"
#include "util/crc.h"
#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum bv_status
check_record(const struct record_header *header, struct slice body, void *context,
             struct bv_error *err)
{
    uint64_t *next_lsn = context;
    uint32_t sum = 0;

    BV_ASSERT(header->first_lsn == *next_lsn);
    BV_ASSERT(header->count > 0);
    for (size_t i = 0; i < body.size; i++) {
        sum += body.data[i]; /* every byte is readable */
    }
    *next_lsn += header->count;
    return sum == UINT32_MAX ? BV_CORRUPT : BV_OK;
}

static void
mend_checksums(uint8_t *bytes, size_t size)
{
    struct segment_header header = {.segment_number = 1, .first_lsn = 1, .salt = 2};

    if (size < SEGMENT_PAGE_SIZE) {
        return;
    }
    segment_header_encode(bytes, &header);
    for (size_t at = SEGMENT_PAGE_SIZE; at + RECORD_HEADER_SIZE <= size;) {
        uint32_t length = load_le32(bytes + at);
        if (length < RECORD_HEADER_SIZE || length > size - at) {
            at = (at / SEGMENT_PAGE_SIZE + 1) * SEGMENT_PAGE_SIZE;
            continue;
        }
        store_le32(bytes + at + 4, crc32c(0, bytes + at + 8, length - 8));
        at += record_padded_size(length);
    }
}

/* What somebody who only looks finds in the same bytes. */
struct looked {
    uint64_t after_lsn;
    uint64_t next_lsn; /* 0: any */
    uint64_t missing;  /* the last LSN that is */
    bool is_blocked;   /* by what no walk passes */
};

static enum bv_status
look_at_record(void *context, const struct record_header *header, struct slice body,
               struct bv_error *err)
{
    struct looked *looked = context;

    BV_ASSERT(looked->next_lsn == 0 || header->first_lsn == looked->next_lsn);
    looked->next_lsn = header->first_lsn + header->count;
    looked->is_blocked |=
        header->first_lsn <= looked->after_lsn && looked->next_lsn > looked->after_lsn + 1;
    return BV_OK;
}

static enum bv_status
look_at_range(void *context, const struct survey_range *range, struct bv_error *err)
{
    struct looked *looked = context;

    BV_ASSERT(looked->next_lsn == 0 || range->first_lsn == looked->next_lsn);
    BV_ASSERT(range->last_lsn >= range->first_lsn);
    looked->next_lsn = range->last_lsn + 1;
    looked->missing = range->last_lsn;
    return BV_OK;
}

static enum bv_status
look_at_finding(void *context, const struct survey_finding *finding, struct bv_error *err)
{
    ((struct looked *)context)->is_blocked |=
        finding->kind == SURVEY_HEADER || finding->kind == SURVEY_BACKWARDS;
    return BV_OK;
}

/* A survey says whether the recovery will go through. */
static void
compare(const struct looked *looked, enum bv_status surveyed, const struct survey_result *log,
        enum bv_status recovered, const struct recovery_result *result, uint64_t after_lsn)
{
    if (surveyed != BV_OK) {
        return; /* of a later version, in a place where recovery may not come */
    }
    bool goes =
        !looked->is_blocked && looked->missing <= after_lsn && log->first_lsn <= after_lsn + 1;
    BV_ASSERT(goes == (recovered == BV_OK));
    if (goes) {
        uint64_t last_lsn = log->next_lsn > after_lsn ? log->next_lsn - 1 : after_lsn;
        BV_ASSERT(result->last_lsn == last_lsn);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char path[] = "/d/segment-0000000000000001.log";
    struct wal_directory directory = {.path = "/d"};
    struct memory_os memory;
    struct recovery_result result;
    struct bv_error err = {0};
    uint64_t next_lsn = 1;
    uint64_t after_lsn = 0;

    if (size == 0) {
        return 0;
    }
    log_configure(LOG_ERROR + 1, LOG_FORMAT_JSON);
    memory_os_init(&memory);
    memory_put(&memory, path, data + 1, size - 1);
    if ((data[0] & 1) != 0) {
        mend_checksums(memory_find(&memory, path)->data, size - 1);
    }
    after_lsn = data[0] >> 2 & 15;
    next_lsn = after_lsn + 1;
    directory.os = &memory.os;
    directory.accept_data_loss = (data[0] & 2) != 0;
    struct looked looked = {.after_lsn = after_lsn};
    struct survey_result log;
    const struct survey_sink sink = {look_at_record, look_at_range, look_at_finding, &looked};
    enum bv_status surveyed = survey_log(&log, &memory.os, "/d", after_lsn, &sink, &err);
    enum bv_status status =
        recovery_run(&result, &directory, after_lsn, check_record, &next_lsn, &err);
    if (!directory.accept_data_loss) {
        compare(&looked, surveyed, &log, status, &result, after_lsn);
    }
    if (status == BV_OK) {
        /* What it left behind reads back the same, with nothing more to cut. */
        uint64_t again = after_lsn + 1;
        uint64_t last_lsn = result.last_lsn;

        BV_ASSERT(last_lsn == next_lsn - 1);
        status = recovery_run(&result, &directory, after_lsn, check_record, &again, &err);
        BV_ASSERT(status == BV_OK);
        BV_ASSERT(result.last_lsn == last_lsn);
        BV_ASSERT(result.cut_bytes == 0);
    }
    memory_os_deinit(&memory);
    return 0;
}
