/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_DURABILITY_SNAPSHOT_INTERNAL_H
#define BV_DURABILITY_SNAPSHOT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "durability/snapshot.h"
#include "os/file.h"

/* The snapshot writer's two halves: snapshot_write.c is the producer's, snapshot_thread.c the
 * thread's. Each field says who writes it. Ring positions count bytes and never wrap.
 *
 *   phase    by whom
 *   IDLE     the producer (took the result), the thread (an abandoned one is cleaned up)
 *   RUNNING  the producer: a file is begun; chunks may come
 *   ABANDONED  the producer, from RUNNING: the thread cleans up
 *   PUBLISHING the thread, from RUNNING: past the point where it can be given up
 *   ENDED    the thread: the result is there
 *
 * The thread touches the ring only from RUNNING to ENDED or IDLE; the producer puts only while
 * RUNNING. So in ENDED and IDLE the ring is the producer's alone. */
enum snapshot_phase {
    SNAPSHOT_IDLE,
    SNAPSHOT_RUNNING,
    SNAPSHOT_ABANDONED,
    SNAPSHOT_PUBLISHING,
    SNAPSHOT_ENDED,
};

/* Before each body in the ring; 32 bytes, and so are the steps, so that it never wraps. */
struct snapshot_entry {
    uint64_t image_lsn;
    uint64_t size;
    uint8_t *large; /* the body, when it does not stand behind this in the ring */
    uint32_t type;
    uint32_t reserved;
};

#define SNAPSHOT_ENTRY_SIZE 32u
_Static_assert(sizeof(struct snapshot_entry) == SNAPSHOT_ENTRY_SIZE, "never wraps");

struct snapshot_writer {
    /* constant */
    struct snapshot_options options;
    struct os *os;
    const char *directory;
    uint8_t *ring;
    uint64_t ring_size; /* a power of two */
    pthread_t thread;

    /* producer only */
    _Alignas(64) uint64_t freed_seen;

    /* producer to thread */
    struct snapshot_start start;        /* written before RUNNING */
    struct snapshot_totals totals;      /* written before is_finished */
    uint64_t began_ns;                  /* written before RUNNING */
    _Alignas(64) _Atomic uint64_t head; /* release: entries below are whole */
    _Atomic bool is_finished;           /* release, after the last head */
    _Atomic uint64_t room_wanted;       /* seq_cst: bytes a put waits for, 0: none waits */
    _Atomic uint32_t bell;              /* seq_cst: changed before each wake of the thread */
    _Atomic bool stopping;              /* seq_cst, before the bell */

    /* both: see above */
    _Atomic uint32_t phase;
    _Atomic bool has_large; /* the producer sets it, the thread clears it: one at a time */

    /* thread to producer */
    _Alignas(64) _Atomic uint64_t freed; /* seq_cst: ring bytes below are the producer's again */
    _Atomic bool is_asleep;        /* seq_cst, before it looks at the bell for the last time */
    struct snapshot_result result; /* written before ENDED */
};

void *snapshot_thread_run(void *writer);
/* Drops what is in the ring. Whoever owns it in this phase. */
void snapshot_ring_clear(struct snapshot_writer *writer);

static inline enum snapshot_phase
snapshot_phase_of(const struct snapshot_writer *writer)
{
    return (enum snapshot_phase)atomic_load_explicit(&writer->phase, memory_order_acquire);
}

static inline bool
snapshot_phase_move(struct snapshot_writer *writer, enum snapshot_phase from,
                    enum snapshot_phase to)
{
    uint32_t expected = (uint32_t)from;

    return atomic_compare_exchange_strong(&writer->phase, &expected, (uint32_t)to);
}

/* A step in the ring for a body of this size; 0 stands for one that lies elsewhere. */
static inline uint64_t
snapshot_entry_step(uint64_t size)
{
    return SNAPSHOT_ENTRY_SIZE +
           ((size + SNAPSHOT_ENTRY_SIZE - 1) & ~(uint64_t)(SNAPSHOT_ENTRY_SIZE - 1));
}

#endif
