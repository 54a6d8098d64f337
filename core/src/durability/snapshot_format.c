/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a snapshot file: header page, chunk headers, names.
 *
 * Enters:  what a header says; a page that may hold anything.
 * Leaves:  a page; a header that checks, or why it does not.
 * Owner:   nobody, there is no state; the writer's thread encodes, whoever starts decodes.
 *
 * Invariants
 *   (1) A header decodes only if every byte of its page is what the format says, zeros included.
 *   (2) A header that checks but is of another version is told apart from damage: the first wants
 *       another release, the second an older file. */
#include "durability/snapshot_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/bytes.h"
#include "util/crc.h"

void
snapshot_header_encode(uint8_t out[SNAPSHOT_PAGE_SIZE], const struct snapshot_header *header)
{
    struct snapshot_header copy = *header;

    copy.length = SNAPSHOT_PAGE_SIZE;
    copy.format_version = SNAPSHOT_FORMAT_VERSION;
    copy.flags = 0;
    copy.reserved = 0;
    memcpy(copy.magic, SNAPSHOT_MAGIC, sizeof copy.magic);
    memset(out, 0, SNAPSHOT_PAGE_SIZE);
    memcpy(out, &copy, sizeof copy);
    store_le32(out + 4, crc32c(0, out + 8, SNAPSHOT_PAGE_SIZE - 8));
}

enum bv_status
snapshot_header_decode(struct snapshot_header *out, struct slice page, const char *path,
                       struct bv_error *err)
{
    size_t magic_size = sizeof SNAPSHOT_MAGIC_0_0_6 - 1;

    if (page.size >= magic_size && memcmp(page.data, SNAPSHOT_MAGIC_0_0_6, magic_size) == 0) {
        return bv_error_set(err, BV_UNSUPPORTED_FORMAT,
                            "%s is a snapshot of release 0.0.6; this release reads format version "
                            "%u",
                            path, SNAPSHOT_FORMAT_VERSION);
    }
    if (page.size < SNAPSHOT_PAGE_SIZE) {
        return bv_error_set(err, BV_CORRUPT, "%s: offset 0: the header page is incomplete", path);
    }
    memcpy(out, page.data, sizeof *out);
    if (memcmp(out->magic, SNAPSHOT_MAGIC, sizeof out->magic) != 0 ||
        out->length != SNAPSHOT_PAGE_SIZE ||
        out->crc != crc32c(0, page.data + 8, SNAPSHOT_PAGE_SIZE - 8)) {
        return bv_error_set(err, BV_CORRUPT, "%s: offset 0: the header page does not check", path);
    }
    if (out->format_version != SNAPSHOT_FORMAT_VERSION || out->flags != 0 || out->reserved != 0) {
        return bv_error_set(err, BV_UNSUPPORTED_FORMAT,
                            "%s has format version %" PRIu32 " (flags %" PRIu32
                            "); this release reads version %u",
                            path, out->format_version, out->flags, SNAPSHOT_FORMAT_VERSION);
    }
    for (size_t i = sizeof *out; i < SNAPSHOT_PAGE_SIZE; i++) {
        if (page.data[i] != 0) {
            return bv_error_set(err, BV_CORRUPT, "%s: offset %zu: the header page is not zero here",
                                path, i);
        }
    }
    return BV_OK;
}

void
snapshot_chunk_seal(struct snapshot_chunk *chunk, struct slice first, struct slice second)
{
    chunk->length = (uint32_t)(sizeof *chunk + first.size + second.size);
    uint32_t crc = crc32c(0, (const uint8_t *)chunk + 8, sizeof *chunk - 8);
    crc = crc32c(crc, first.data, first.size);
    chunk->crc = second.size == 0 ? crc : crc32c(crc, second.data, second.size);
}

void
snapshot_name(char out[SNAPSHOT_NAME_SIZE], uint64_t start_lsn)
{
    (void)snprintf(out, SNAPSHOT_NAME_SIZE, "snapshot-%016" PRIx64 ".bvs", start_lsn);
}

bool
snapshot_name_parse(uint64_t *out_lsn, const char *name)
{
    static const char prefix[] = "snapshot-";
    static const char suffix[] = ".bvs";
    const size_t digits = sizeof prefix - 1;
    uint64_t lsn = 0;

    if (strlen(name) != digits + 16 + sizeof suffix - 1 || strncmp(name, prefix, digits) != 0 ||
        strcmp(name + digits + 16, suffix) != 0) {
        return false;
    }
    for (size_t i = digits; i < digits + 16; i++) {
        char c = name[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && !(c >= 'a' && c <= 'f')) {
            return false;
        }
        lsn = lsn << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    *out_lsn = lsn;
    return true;
}
