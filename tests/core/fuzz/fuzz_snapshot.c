/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a snapshot through its reader: it may refuse or hand over, never crash, and what it
 * hands over lies within the file and is in order. With bit 0 of the first byte set, header,
 * checksums, salts, indexes and the length of the file are made right first, so that the fuzzer
 * gets past them. */
#include "../durability/memory_os.h"

#include "durability/snapshot_format.h"
#include "util/assert.h"
#include "util/bytes.h"
#include "util/crc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t chunks;
    uint64_t bytes;
    uint64_t highest_image_lsn;
};

static enum bv_status
see_chunk(void *context, enum snapshot_chunk_type type, uint64_t image_lsn, struct slice body,
          struct bv_error *err)
{
    struct seen *seen = context;
    uint32_t sum = 0;

    BV_ASSERT((type == SNAPSHOT_REGISTRY) == (seen->chunks == 0));
    BV_ASSERT((type == SNAPSHOT_SECTIONS) == (seen->chunks == 1));
    BV_ASSERT(type != SNAPSHOT_END);
    for (size_t i = 0; i < body.size; i++) {
        sum += body.data[i]; /* every byte is readable */
    }
    seen->chunks++;
    seen->bytes += SNAPSHOT_CHUNK_SIZE + body.size;
    if (image_lsn > seen->highest_image_lsn) {
        seen->highest_image_lsn = image_lsn;
    }
    return sum == UINT32_MAX ? BV_CORRUPT : BV_OK;
}

static void
mend(uint8_t *bytes, size_t size)
{
    struct snapshot_header header = {.start_lsn = 1, .salt = 2};
    uint32_t index = 0;

    if (size < SNAPSHOT_PAGE_SIZE) {
        return;
    }
    snapshot_header_encode(bytes, &header);
    for (size_t at = SNAPSHOT_PAGE_SIZE; at + SNAPSHOT_CHUNK_SIZE <= size; index++) {
        uint32_t length = load_le32(bytes + at);
        if (length < SNAPSHOT_CHUNK_SIZE || length > size - at) {
            break;
        }
        store_le64(bytes + at + 8, header.salt);
        store_le32(bytes + at + 24, index);
        store_le32(bytes + at + 4, crc32c(0, bytes + at + 8, length - 8));
        at += snapshot_padded_size(length);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory_os memory;
    struct snapshot_info info;
    struct seen seen = {0};
    struct bv_error err = {0};

    if (size == 0) {
        return 0;
    }
    memory_os_init(&memory);
    memory_put(&memory, "/d/s", data + 1, size - 1);
    if ((data[0] & 1) != 0) {
        struct memory_file *file = memory_find(&memory, "/d/s");
        memory_resize(file, (size - 1) / SNAPSHOT_PAGE_SIZE * SNAPSHOT_PAGE_SIZE);
        mend(file->data, file->size);
    }
    enum bv_status status = snapshot_read(&info, &memory.os, "/d/s", see_chunk, &seen, &err);
    BV_ASSERT(status == BV_OK || err.message[0] != '\0');
    BV_ASSERT(seen.bytes <= size);
    if (status == BV_OK) {
        BV_ASSERT(seen.chunks == info.chunks);
        BV_ASSERT(info.highest_image_lsn >= seen.highest_image_lsn);
        BV_ASSERT(info.bytes % SNAPSHOT_PAGE_SIZE == 0);
    }
    memory_os_deinit(&memory);
    return 0;
}
