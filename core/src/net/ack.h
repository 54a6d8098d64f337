/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_NET_ACK_H
#define BV_NET_ACK_H

#include <stddef.h>
#include <stdint.h>

#include "wire/request.h"

/* Acks become bytes in runs: everything but the last two digits of the LSN is formatted once per
 * hundred. The template is a cache that outlives a run. */

#define ACK_SIZE_MAX        288 /* HTTP, every number at 20 digits */
#define ACK_SLACK           320 /* wide stores may reach this far behind the last ack */
#define ACK_SIZE_GUESS_TCP  70  /* what an ack not yet formatted counts for in the output limit */
#define ACK_SIZE_GUESS_HTTP 190

struct ack_template {
    uint64_t hundred; /* lsn / 100 it was made for */
    uint64_t registry_version;
    enum transport transport;
    uint32_t prefix_size; /* 0: nothing made yet */
    uint32_t tail_size;
    uint8_t prefix[256];
    uint8_t tail[128];
};

/* Writes `count` acks of consecutive LSNs and returns their size. `out` has room for
 * count * ACK_SIZE_MAX + ACK_SLACK. */
size_t ack_format(uint8_t *out, struct ack_template *template, enum transport transport,
                  uint64_t first_lsn, uint32_t count, uint64_t registry_version);

/* One body, {"ack_lsn":..}: for the acks that need a head of their own. Returns its size, at most
 * 128. */
size_t ack_format_body(uint8_t *out, uint64_t lsn, bool is_replay, uint64_t registry_version);

#endif
