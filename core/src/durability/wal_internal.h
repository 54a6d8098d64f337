/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_WAL_INTERNAL_H
#define BV_DURABILITY_WAL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "durability/segment.h"
#include "durability/wal.h"

/* The log's two halves: wal.c is the producer's, wal_writer.c, resume.c and space.c the writer
 * thread's; retention.c runs beside both on a third, policy os has sync.c on a fourth. Each field
 * below says who writes it. Positions count bytes since the start and never wrap (2^64 bytes). */

#define WAL_SPARES_MAX    2u /* covered segments that wait to be used again */
#define WAL_FAILURES_KEPT 8u /* texts of failures, so that a reader's stays as it is */

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

/* A file waiting to be used again: given by retention.c, taken by the writer. */
struct wal_spare {
    uint64_t size;           /* written before `number`, read before it is 0 again */
    _Atomic uint64_t number; /* 0: the place is free; release on both sides */
};

enum wal_sync_state { WAL_SYNC_IDLE, WAL_SYNC_ORDERED, WAL_SYNC_DONE };

/* An order to the sync thread (sync.c). `state` says whose the plain fields are. */
struct wal_sync {
    pthread_t thread;
    bool has_thread;
    _Atomic bool stopping;  /* release; with the bell */
    _Atomic uint32_t bell;  /* changed before each wake of the sync thread */
    _Atomic uint32_t state; /* enum wal_sync_state; release */
    struct segment segment; /* as it was when the order was given */
    uint64_t lsn;           /* everything up to here was written before */
    uint64_t took_ns;
    enum bv_status status;
    struct bv_error failure;
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
    uint64_t look_interval_ns; /* at free space, and after a failure at whether it is over */
    uint64_t wal_max_bytes;    /* 0: none */
    uint64_t min_free_bytes;   /* 0: none */
    bool is_always;            /* policy */
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
    /* wal_resume: written before `resume_wanted`, which the writer takes back at its end. */
    uint64_t resume_lsn;
    uint64_t resume_time_ms;
    uint32_t resume_registry_version;
    _Atomic bool resume_wanted;      /* seq_cst; with the bell */
    _Atomic bool is_waiting;         /* seq_cst: the producer sleeps on `progress` */
    _Atomic bool uses_arm, is_armed; /* seq_cst */

    /* writer to producer and to any thread */
    _Alignas(64) _Atomic uint64_t freed; /* release: ring bytes below are the producer's again */
    _Atomic uint64_t written_lsn;        /* seq_cst, before `progress` */
    _Atomic uint64_t durable_lsn;        /* seq_cst, only after the sync that covers it returned */
    _Atomic bool failed;                 /* seq_cst, after `failure` */
    _Atomic bool can_resume;             /* seq_cst */
    _Atomic uint32_t pressure;           /* enum wal_pressure */
    _Atomic uint32_t progress;           /* seq_cst: changes whenever one of these does */
    _Atomic uint64_t groups, bytes, syncs, marks, segments, errors, resumes;
    _Atomic(const struct bv_error *) failure; /* one of `failures` */
    struct histogram sync_times;
    _Atomic uint64_t open_bytes; /* size of the open segment's file */

    /* writer and retention.c */
    _Alignas(64) _Atomic uint64_t closed_bytes; /* of all other segments and the spares */
    struct wal_spare spares[WAL_SPARES_MAX];

    /* writer only (and whoever opens or closes, while there is no thread) */
    _Alignas(64) struct segment segment;
    uint64_t segment_number; /* of the last that was created whole */
    uint64_t marked_lsn;     /* durable according to the last mark or segment header */
    uint64_t last_lsn;       /* written */
    uint64_t last_time_ms;
    uint32_t last_registry_version;
    uint64_t unsynced_bytes; /* written since the last sync began */
    uint64_t unsynced_since_ns;
    struct wal_sync sync; /* policy os */
    uint64_t last_group_ns;
    bool is_disk_full; /* preparing space found none: not tried again in this segment */
    uint8_t *mark_page;
    struct bv_error failures[WAL_FAILURES_KEPT];
    uint64_t failure_count;
    uint64_t probe_at_ns;      /* failed: when to look again */
    uint64_t free_bytes;       /* of the file system, when last asked; UINT64_MAX: not known */
    uint64_t free_asked_bytes; /* bytes on disk at that time */
    uint64_t free_ask_at_ns;   /* when to ask again */
};

static inline void
wal_count(_Atomic uint64_t *counter, uint64_t by)
{
    /* one writer: a load and a store, no locked instruction */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

/* Opens the next segment; used at the start, at each rotation and to resume. */
enum bv_status wal_segment_next(struct wal *wal, uint64_t first_lsn, struct bv_error *err);
void *wal_writer_run(void *wal);
/* Wakes the writer. Any thread: two may ring at once. */
void wal_ring_the_bell(struct wal *wal);
/* Tells whoever sleeps on one of the LSNs. */
void wal_announce(struct wal *wal);

/* The writer: everything up to lsn is synced. */
void wal_publish_durable(struct wal *wal, uint64_t lsn);
/* A thread that takes no signals: they are the main thread's. */
enum bv_status wal_start_thread(pthread_t *out, void *(*run)(void *), struct wal *wal,
                                struct bv_error *err);

/* sync.c, the writer's; nothing is ever under way under policy always. */
enum bv_status wal_sync_open(struct wal *wal, struct bv_error *err);
void wal_sync_close(struct wal *wal);
bool wal_sync_is_under_way(const struct wal *wal);
/* Syncs what was written, from now on beside the writes. */
void wal_sync_order(struct wal *wal);
/* If the order is done (`waits`: when it is), moves the durable LSN, or returns what failed. */
enum bv_status wal_sync_take(struct wal *wal, bool waits, struct bv_error *err);
/* Waits for the order and forgets how it ended. */
void wal_sync_drop(struct wal *wal);

/* resume.c, the writer's: nothing is written or acked from here on, until wal_resume. */
void wal_fail(struct wal *wal, const struct bv_error *failure);
/* What the writer does instead of its duties while the log is failed. `is_wanted`: wal_resume was
 * called before the ring was looked at. *deadline_ns: when to look again. */
void wal_stay_failed(struct wal *wal, bool is_wanted, uint64_t *deadline_ns);

/* space.c: before the thread runs: what lies in the directory. */
enum bv_status wal_space_open(struct wal *wal, bool drop_spares, struct bv_error *err);
/* The writer, after each write and once per interval: pressure as of now. Lowers *deadline_ns. */
void wal_space_look(struct wal *wal, uint64_t now_ns, uint64_t *deadline_ns);
/* The open segment's bytes are counted with the closed ones from now on. */
void wal_space_closed(struct wal *wal);
/* Bytes the file system has left for us; UINT64_MAX when it does not say. */
uint64_t wal_space_free(const struct wal *wal);

/* retention.c: the number of a spare, now the caller's; 0: there is none. */
uint64_t wal_spare_take(struct wal *wal);
/* Whether a file of this size is worth keeping, and there is a place for it. */
bool wal_spare_wanted(const struct wal *wal, uint64_t size);
void wal_spare_give(struct wal *wal, uint64_t number, uint64_t size);

#endif
