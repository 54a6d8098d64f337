/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a segment through the whole recovery: it may refuse, cut or deliver, never crash, and
 * what it delivers has dense LSNs. With bit 0 of the first byte set, checksums along the chain of
 * records are made right first, so that the fuzzer gets past them; bits 2 to 5 are a snapshot's
 * LSN. */
#include "../durability/memory_os.h"

#include "durability/recovery.h"
#include "durability/segment.h"
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
    enum bv_status status =
        recovery_run(&result, &directory, after_lsn, check_record, &next_lsn, &err);
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
