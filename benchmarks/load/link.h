/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BEAVA_LOAD_LINK_H
#define BEAVA_LOAD_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "pool.h"
#include "protocol.h"

/* One connection: where it stands in the pool, what it has in flight, and since when.
 *
 * Enters:  a stretch of frames to send; bytes from the server.
 * Leaves:  frames on the wire, replies counted by its scan.
 * Owner:   the driver's thread.
 *
 * Invariants
 *   (1) runs holds the frames in flight in order of sending, grouped by write; their counts add up
 *       to in_flight.
 *   (2) No new frames are taken while earlier ones wait for the socket. */
struct link_run {
    uint64_t sent_ns;
    uint32_t count;
};

struct link {
    int fd;
    bool is_waiting_to_write; /* asked epoll for it */
    uint32_t in_flight;
    uint32_t depth;
    uint64_t quota; /* frames it may still send */
    uint64_t sent;
    uint64_t answered;
    uint64_t due; /* open loop: frames whose time has come */
    const struct pool *pool;
    uint64_t cursor;   /* next frame of the pool */
    uint32_t write_at; /* bytes of the pool: [write_at, write_end) wait for the socket */
    uint32_t write_end;
    struct link_run *runs; /* ring of run_mask + 1 */
    uint32_t run_mask;
    uint32_t run_head;
    uint32_t run_count;
    uint32_t carry_size;
    char *carry; /* the beginning of a reply that is not complete */
    struct scan scan;
};

/* Connects. `first` is the pool's frame it begins with. */
bool link_open(struct link *out, const struct options *options, const struct pool *pool,
               uint64_t first, uint32_t depth, bool is_read);
void link_close(struct link *link);
/* Takes up to `count` frames from the pool and writes. False when the connection broke. */
bool link_send(struct link *link, uint64_t count, uint64_t now_ns);
/* Goes on with a write that did not fit. */
bool link_flush(struct link *link);
/* Receives once and counts replies; *replies is how many came. `space` holds SCAN_CARRY_MAX +
 * space_size bytes. False when the connection broke; *is_drained when nothing more waits. */
bool link_receive(struct link *link, char *space, size_t space_size, uint64_t *replies,
                  bool *is_drained);

#endif
