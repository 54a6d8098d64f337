/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_WAL_INTERNAL_H
#define BV_DURABILITY_WAL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "durability/segment.h"
#include "durability/wal.h"

/* The log's two halves: wal.c is the producer's, wal_writer.c the writer thread's. Each field below
 * says who writes it. Positions count bytes since the start and never wrap (2^64 bytes). */

/* A closed group, laid out in the ring as it will lie in the file. */
struct wal_group {
    uint64_t from; /* ring positions, whole pages */
    uint64_t to;
    uint64_t first_lsn;
    uint64_t last_lsn;
    uint64_t first_time_ms;
    uint64_t last_time_ms;
    uint32_t first_registry_version;
    uint32_t last_registry_version;
};

struct wal {
    /* constant */
    uint8_t *ring;
    uint64_t ring_size; /* a power of two, whole pages */
    struct os *os;
    const char *directory;
    uint64_t segment_bytes;
    uint64_t sync_interval_ns;
    uint64_t sync_bytes;
    uint64_t mark_delay_ns;
    bool is_always; /* policy */
    bool want_direct;
    int event_fd;
    pthread_t thread;

    /* producer only */
    _Alignas(64) uint64_t head; /* where the next byte goes */
    uint64_t ended;             /* end of the last whole record */
    uint64_t record_start;
    uint64_t next_lsn;
    uint64_t freed_seen;
    bool is_group_open;
    bool is_record_open;
    uint32_t group_records;
    struct wal_group gathering;
    struct record_header record;

    /* producer to writer */
    _Alignas(64) struct wal_group group; /* written before `handed` */
    _Atomic uint64_t handed;             /* release: the group up to here is the writer's */
    _Atomic uint32_t bell;               /* changed before each wake of the writer */
    _Atomic bool stopping;               /* release; with the bell */
    _Atomic uint64_t sync_wanted;        /* release; with the bell */
    _Atomic bool is_waiting;             /* seq_cst: the producer sleeps on `progress` */
    _Atomic bool uses_arm, is_armed;     /* seq_cst */

    /* writer to producer and to any thread */
    _Alignas(64) _Atomic uint64_t freed; /* release: ring bytes below are the producer's again */
    _Atomic uint64_t written_lsn;        /* seq_cst, before `progress` */
    _Atomic uint64_t durable_lsn;        /* seq_cst, only after the sync that covers it returned */
    _Atomic bool failed;                 /* seq_cst, after `failure` */
    _Atomic uint32_t progress;           /* seq_cst: changes whenever one of these does */
    _Atomic uint64_t groups, bytes, syncs, marks, segments;
    struct bv_error failure;

    /* writer only (and whoever opens or closes, while there is no thread) */
    _Alignas(64) struct segment segment;
    uint64_t marked_lsn; /* durable according to the last mark or segment header */
    uint64_t last_lsn;   /* written */
    uint64_t last_time_ms;
    uint32_t last_registry_version;
    uint64_t unsynced_bytes;
    uint64_t unsynced_since_ns;
    uint64_t last_group_ns;
    bool is_disk_full; /* preparing space found none: not tried again in this segment */
    uint8_t *mark_page;
};

/* Opens the next segment; used at the start and at each rotation. */
enum bv_status wal_segment_next(struct wal *wal, uint64_t number, uint64_t first_lsn,
                                struct bv_error *err);
void *wal_writer_run(void *wal);

#endif
