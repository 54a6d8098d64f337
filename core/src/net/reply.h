/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_NET_REPLY_H
#define BV_NET_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/ack.h"
#include "util/assert.h"
#include "util/buf.h"

/* What a connection owes its peer, strictly in the order of the requests.
 *
 * Enters:  acks, which stay numbers until they leave, and replies in bytes; each with the LSN it
 *          has to wait for.
 * Leaves:  bytes, up to the first reply that may not leave yet.
 * Owner:   one connection.
 *
 * Invariants
 *   (1) Order of entering is order of leaving.
 *   (2) Consecutive acks of one registry version are one entry, however many they are. */

/* How far the log has come. */
struct reply_marks {
    uint64_t acked_lsn;
    uint64_t synced_lsn;
    bool is_failed; /* the log cannot be written: what waits is refused instead */
};

struct reply {
    uint64_t lsn;    /* acks: of the first; bytes: to wait for, 0 = nothing */
    uint64_t extent; /* acks: registry version; bytes: how many are left */
    uint32_t count;  /* acks; 0: bytes */
    bool is_sync;    /* waits for the sync, whatever the policy */
    bool is_started; /* bytes of it have left */
    bool is_later;   /* nothing is known of it yet but its ticket (lsn) */
};

#define REPLY_INLINE_COUNT 2

struct reply_queue {
    struct reply *ring; /* capacity is a power of two */
    uint32_t head;
    uint32_t count;
    uint32_t capacity;
    uint32_t ack_size_guess;
    struct buf bytes; /* of the byte replies; what lies before bytes_head has left */
    size_t bytes_head;
    size_t size;    /* of all that waits here, acks guessed */
    bool is_failed; /* no memory: the connection is lost */
    struct reply first[REPLY_INLINE_COUNT];
};

void reply_queue_init(struct reply_queue *queue, uint32_t ack_size_guess);
void reply_queue_deinit(struct reply_queue *queue);

struct reply *reply_append(struct reply_queue *queue);

static inline struct reply *
reply_last(struct reply_queue *queue)
{
    return queue->count == 0
               ? NULL
               : &queue->ring[(queue->head + queue->count - 1) & (queue->capacity - 1)];
}

static inline void
reply_push_ack(struct reply_queue *queue, uint64_t lsn, uint64_t registry_version, bool is_sync)
{
    struct reply *last = reply_last(queue);

    queue->size += queue->ack_size_guess;
    if (BV_LIKELY(last != NULL) && last->count != 0 && last->lsn + last->count == lsn &&
        last->extent == registry_version && last->is_sync == is_sync &&
        BV_LIKELY(last->count != UINT32_MAX)) {
        last->count++;
        return;
    }
    last = reply_append(queue);
    if (last != NULL) {
        *last = (struct reply){lsn, registry_version, 1, is_sync, false, false};
    }
}

/* The last `size` bytes of queue->bytes, just appended by the caller, are the next reply (or the
 * continuation of one with the same conditions). */
void reply_push_bytes(struct reply_queue *queue, size_t size, uint64_t wait_lsn, bool is_sync);

/* A reply that is asked for when its turn has come. */
void reply_push_later(struct reply_queue *queue, uint64_t ticket);

/* The next reply in order, NULL when there is none. */
static inline struct reply *
reply_first(struct reply_queue *queue)
{
    return queue->count == 0 ? NULL : &queue->ring[queue->head];
}

/* How much of it may leave: acks of a run, or 1 for bytes; 0: not yet. */
uint32_t reply_ready_count(const struct reply *reply, const struct reply_marks *marks);
/* Its remaining bytes; valid until the queue changes. */
static inline const uint8_t *
reply_bytes(const struct reply_queue *queue)
{
    return queue->bytes.data + queue->bytes_head;
}
/* Takes `count` acks, or all bytes, off the front. */
void reply_take(struct reply_queue *queue, uint32_t count);
/* Takes the first `size` bytes of the byte reply in front, which has more. */
void reply_take_bytes(struct reply_queue *queue, size_t size);

#endif
