/* SPDX-License-Identifier: Apache-2.0 */
/* The reply queue: see reply.h. A connection without pending replies owns no memory here but the
 * two entries inside; a ring that has grown is given back when the queue runs empty, because ten
 * thousand idle connections must stay small. */
#include "net/reply.h"

#include <stdlib.h>

#define LATER_SIZE_GUESS 256
#define BYTES_KEPT_MAX   512 /* capacity an idle connection may keep */

void
reply_queue_init(struct reply_queue *queue, uint32_t ack_size_guess)
{
    *queue = (struct reply_queue){.capacity = REPLY_INLINE_COUNT, .ack_size_guess = ack_size_guess};
    queue->ring = queue->first;
}

void
reply_queue_deinit(struct reply_queue *queue)
{
    if (queue->ring != queue->first) {
        free(queue->ring);
    }
    buf_deinit(&queue->bytes);
    reply_queue_init(queue, queue->ack_size_guess);
}

static bool
grow(struct reply_queue *queue)
{
    uint32_t capacity = queue->capacity * 4;
    struct reply *ring = malloc((size_t)capacity * sizeof *ring);

    if (ring == NULL) {
        queue->is_failed = true;
        return false;
    }
    for (uint32_t i = 0; i < queue->count; i++) {
        ring[i] = queue->ring[(queue->head + i) & (queue->capacity - 1)];
    }
    if (queue->ring != queue->first) {
        free(queue->ring);
    }
    queue->ring = ring;
    queue->head = 0;
    queue->capacity = capacity;
    return true;
}

struct reply *
reply_append(struct reply_queue *queue)
{
    if (queue->count == queue->capacity && !grow(queue)) {
        return NULL;
    }
    queue->count++;
    return reply_last(queue);
}

void
reply_push_bytes(struct reply_queue *queue, size_t size, uint64_t wait_lsn, bool is_sync)
{
    struct reply *last = reply_last(queue);

    if (queue->bytes.failed) {
        queue->is_failed = true;
        return;
    }
    queue->size += size;
    if (last != NULL && last->count == 0 && last->lsn == wait_lsn && last->is_sync == is_sync &&
        wait_lsn == 0 && !last->is_later) {
        last->extent += size;
        return;
    }
    last = reply_append(queue);
    if (last != NULL) {
        *last = (struct reply){wait_lsn, size, 0, is_sync, false, false};
    }
}

void
reply_push_later(struct reply_queue *queue, uint64_t ticket)
{
    struct reply *last = reply_append(queue);

    queue->size += LATER_SIZE_GUESS; /* so that a client cannot ask without end */
    if (last != NULL) {
        *last = (struct reply){ticket, 0, 0, false, false, true};
    }
}

uint32_t
reply_ready_count(const struct reply *reply, const struct reply_marks *marks)
{
    uint64_t mark = reply->is_sync ? marks->synced_lsn : marks->acked_lsn;

    if (reply->is_later) {
        return 0;
    }
    if (reply->count == 0) {
        return reply->lsn <= mark || reply->is_started ? 1 : 0;
    }
    if (reply->lsn > mark) {
        return 0;
    }
    return mark - reply->lsn >= reply->count ? reply->count : (uint32_t)(mark - reply->lsn) + 1;
}

static void
release_bytes(struct reply_queue *queue)
{
    if (queue->bytes_head == queue->bytes.size) {
        queue->bytes_head = 0;
        buf_clear(&queue->bytes);
        if (queue->bytes.capacity > BYTES_KEPT_MAX && queue->count == 0) {
            buf_deinit(&queue->bytes);
        }
    } else if (queue->bytes_head > queue->bytes.size / 2 && queue->bytes_head > 4096) {
        /* A queue that never runs empty: move the rest down; each byte moves at most once per
         * time that as many have left. */
        queue->bytes.size -= queue->bytes_head;
        memmove(queue->bytes.data, queue->bytes.data + queue->bytes_head, queue->bytes.size);
        queue->bytes_head = 0;
    }
}

static void
drop_first(struct reply_queue *queue)
{
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    queue->count--;
    if (queue->count == 0) {
        queue->head = 0;
        if (queue->ring != queue->first) {
            free(queue->ring);
            queue->ring = queue->first;
            queue->capacity = REPLY_INLINE_COUNT;
        }
    }
}

void
reply_take(struct reply_queue *queue, uint32_t count)
{
    struct reply *first = reply_first(queue);

    BV_ASSERT(first != NULL);
    if (first->count == 0) {
        queue->bytes_head += first->extent;
        queue->size -= first->is_later ? LATER_SIZE_GUESS : first->extent;
        BV_ASSERT(queue->bytes_head <= queue->bytes.size);
        drop_first(queue);
        release_bytes(queue);
        return;
    }
    BV_ASSERT(count <= first->count);
    queue->size -= (size_t)count * queue->ack_size_guess;
    first->lsn += count;
    first->count -= count;
    if (first->count == 0) {
        drop_first(queue);
    }
}

void
reply_take_bytes(struct reply_queue *queue, size_t size)
{
    struct reply *first = reply_first(queue);

    BV_ASSERT(first != NULL);
    BV_ASSERT(first->count == 0);
    BV_ASSERT(size < first->extent);
    first->extent -= size;
    first->is_started = true;
    queue->bytes_head += size;
    queue->size -= size;
    release_bytes(queue);
}
