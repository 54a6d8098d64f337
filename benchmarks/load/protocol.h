/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BEAVA_LOAD_PROTOCOL_H
#define BEAVA_LOAD_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

/* Replies: told apart, counted, and not kept.
 *
 * Enters:  bytes as they were received, beginning at the start of a reply.
 * Leaves:  how many replies were what they should be and how many were not; the log positions of
 *          the first and the last ack.
 * Owner:   one connection.
 *
 * Invariants
 *   (1) A reply counts when its last byte has arrived.
 *   (2) A push is acknowledged only by an ack: right opcode (or 200) and a body that begins with
 *       {"ack_lsn":. Everything else is an error, and the text of the first one is kept.
 *   (3) What scan leaves unconsumed is shorter than SCAN_CARRY_MAX. */
#define PROTOCOL_REGISTER  0x0001u
#define PROTOCOL_PUSH      0x0010u
#define PROTOCOL_READ      0x0023u
#define PROTOCOL_BATCH_GET 0x0024u

#define SCAN_CARRY_MAX  8192u
#define SCAN_ERROR_SIZE 256u

struct scan {
    enum transport transport;
    bool is_read; /* expects rows, not acks */
    bool is_skipped_good;
    uint64_t skip_size; /* of a reply too large to be carried */
    uint64_t good;
    uint64_t bad;
    uint64_t lsn_first;
    uint64_t lsn_last;
    char error[SCAN_ERROR_SIZE];
};

/* Returns the bytes consumed; SIZE_MAX when the peer does not speak the protocol. */
size_t scan_replies(struct scan *scan, const char *bytes, size_t size);

#endif
