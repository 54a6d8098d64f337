/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_RESPONSE_H
#define BV_WIRE_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"
#include "util/slice.h"

/* One answer, whichever way it travels. It may leave when wait_lsn is durable (0: at once).
 * An ack is {"ack_lsn":L,"idempotent_replay":false,"registry_version":R}; the transport formats it,
 * because a run of acks is formatted cheaper than one. */
enum response_kind {
    RESPONSE_ACK,
    RESPONSE_BODY,
    RESPONSE_LATER, /* of a snapshot: the answer is asked for by its ticket (lsn) until it is there
                     */
};

struct response {
    enum response_kind kind;
    enum bv_status status; /* gives the HTTP status */
    uint16_t opcode;       /* TCP reply opcode; 0xffff for a refusal */
    uint8_t content_type;
    bool is_replay;            /* X-Beava-Idempotent-Replay: 1 */
    bool is_sync;              /* wait for a sync of wait_lsn, whatever the policy */
    uint64_t lsn;              /* RESPONSE_ACK */
    uint64_t registry_version; /* RESPONSE_ACK */
    uint64_t wait_lsn;
    struct slice body; /* RESPONSE_BODY: valid until the next dispatch */
};

#endif
