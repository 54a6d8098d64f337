/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BEAVA_LOAD_DRIVE_H
#define BEAVA_LOAD_DRIVE_H

#include "histogram.h"
#include "options.h"
#include "pool.h"
#include "protocol.h"

/* The run itself: one thread, one epoll set, all connections.
 *
 * Enters:  encoded frames, a server's address.
 * Leaves:  counts and two histograms.
 * Owner:   the caller.
 *
 * Invariants
 *   (1) pushed - acked - errors is what is still in flight; after a good run it is 0.
 *   (2) Closed loop: at most depth in flight per connection; a push's latency runs from just before
 *       its write.
 *   (3) Open loop: the n-th push is due at start + n / rate whatever the server does; its latency
 *       runs from then, so a stall is charged to every push that it delays. */
struct drive_result {
    uint64_t requested;
    uint64_t pushed;
    uint64_t acked;
    uint64_t push_errors;
    uint64_t reads;
    uint64_t read_errors;
    uint64_t elapsed_ns;    /* start to the last ack */
    uint64_t send_drain_ns; /* first write to the last write */
    uint64_t cpu_ns;        /* what this process spent meanwhile */
    uint64_t late_ns_max;   /* open loop: longest from due to handed over */
    uint64_t lsn_first;     /* smallest and largest log position of an ack */
    uint64_t lsn_last;
    struct histogram push;
    struct histogram read;
    char error[SCAN_ERROR_SIZE]; /* of the first reply that was no ack */
};

/* False when connections could not be opened, broke, or did not drain; stderr says which. */
bool drive_run(struct drive_result *out, const struct options *options, const struct pool *pushes,
               const struct pool *reads);

#endif
