/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_FUZZ_CONN_H
#define BV_FUZZ_CONN_H

#include <stdlib.h>
#include <string.h>

#include "net/conn.h"
#include "wire/frame.h"

/* A connection without a socket: bytes go in through the protocol's execute function, cut into
 * pieces of any size and moved between them, as conn.c does. What the stub engine saw and what was
 * replied is folded into a digest, which must not depend on the cuts. */
struct fuzz_conn {
    struct net net;
    struct conn conn;
    uint64_t digest;
    uint64_t lsn;
};

static inline void
fuzz_fold(struct fuzz_conn *fuzz, const void *data, size_t size)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++) {
        fuzz->digest = (fuzz->digest ^ bytes[i]) * 0x100000001b3ull;
    }
    fuzz->digest = (fuzz->digest ^ size) * 0x100000001b3ull;
}

static inline void
fuzz_dispatch(void *context, const struct request *request, struct response *out)
{
    static const char body[] = "{\"n\":1}";
    struct fuzz_conn *fuzz = context;

    fuzz_fold(fuzz, &request->kind, sizeof request->kind);
    fuzz_fold(fuzz, request->payload.data, request->payload.size);
    fuzz_fold(fuzz, request->name.data, request->name.size);
    fuzz_fold(fuzz, request->key.data, request->key.size);
    fuzz_fold(fuzz, request->raw_key.data, request->raw_key.size);
    *out = (struct response){.kind = RESPONSE_BODY,
                             .opcode = FRAME_GET_RESPONSE,
                             .content_type = ENCODING_JSON,
                             .body = slice_of(body, sizeof body - 1)};
    if (request->kind == REQUEST_PUSH) {
        *out = (struct response){.kind = RESPONSE_ACK, .lsn = ++fuzz->lsn};
    }
}

static inline bool
fuzz_has_room(const void *context, size_t bytes)
{
    return true;
}

static inline uint64_t
fuzz_registry_version(const void *context)
{
    return 3;
}

static inline void
fuzz_open(struct fuzz_conn *fuzz, enum transport transport)
{
    memset(fuzz, 0, sizeof *fuzz);
    fuzz->net.options.max_frame_bytes = 4096;
    fuzz->net.options.max_body_bytes = 4096;
    fuzz->net.handler =
        (struct net_handler){fuzz, fuzz_dispatch, fuzz_has_room, fuzz_registry_version, NULL};
    TAILQ_INIT(&fuzz->net.closing.list);
    TAILQ_INIT(&fuzz->net.unfinished.list);
    arena_init(&fuzz->net.names, 4096, 1u << 20);
    fuzz->conn.net = &fuzz->net;
    fuzz->conn.transport = transport;
    fuzz->conn.is_in_flush = true;
    reply_queue_init(&fuzz->conn.replies, 70);
}

/* Everything owed, in order. */
static inline void
fuzz_fold_replies(struct fuzz_conn *fuzz)
{
    struct reply *first;

    while ((first = reply_first(&fuzz->conn.replies)) != NULL) {
        if (first->count == 0) {
            fuzz_fold(fuzz, reply_bytes(&fuzz->conn.replies), (size_t)first->extent);
        } else {
            fuzz_fold(fuzz, &first->lsn, sizeof first->lsn);
            fuzz_fold(fuzz, &first->count, sizeof first->count);
        }
        reply_take(&fuzz->conn.replies, first->count);
    }
}

static inline void
fuzz_close(struct fuzz_conn *fuzz)
{
    reply_queue_deinit(&fuzz->conn.replies);
    arena_deinit(&fuzz->net.names);
    free(fuzz->net.acked_tickets.ring);
    free(fuzz->net.synced_tickets.ring);
}

/* Feeds `data` in pieces whose sizes come from `cuts` (none: all at once). Returns the digest. */
static inline uint64_t
fuzz_run(enum transport transport, const uint8_t *data, size_t size, const uint8_t *cuts,
         size_t cut_count)
{
    static struct fuzz_conn fuzz;
    uint8_t *kept = NULL;
    size_t kept_size = 0;
    size_t at = 0;
    size_t cut = 0;
    uint64_t digest;

    fuzz_open(&fuzz, transport);
    while (at < size && fuzz.conn.state == CONN_OPEN) {
        size_t piece = cut_count == 0 ? size - at : (size_t)cuts[cut++ % cut_count] + 1;
        size_t total;
        size_t consumed;
        uint8_t *input;

        piece = piece < size - at ? piece : size - at;
        total = kept_size + piece;
        input = malloc(total + NET_ARENA_SLACK);
        if (kept_size != 0) {
            memcpy(input, kept, kept_size);
        }
        memcpy(input + kept_size, data + at, piece);
        memset(input + total, 0, NET_ARENA_SLACK);
        at += piece;
        consumed = transport == TRANSPORT_HTTP ? http_execute(&fuzz.conn, input, &total)
                                               : framed_execute(&fuzz.conn, input, total);
        BV_ASSERT(consumed <= total);
        free(kept);
        kept_size = total - consumed;
        kept = malloc(kept_size + 1);
        memcpy(kept, input + consumed, kept_size);
        free(input);
    }
    fuzz_fold(&fuzz, &fuzz.conn.state, sizeof fuzz.conn.state);
    fuzz_fold_replies(&fuzz);
    digest = fuzz.digest;
    free(kept);
    fuzz_close(&fuzz);
    return digest;
}

/* The first byte says how many of the next are cuts. */
static inline void
fuzz_both_ways(enum transport transport, const uint8_t *data, size_t size)
{
    size_t cut_count;

    if (size < 2) {
        return;
    }
    cut_count = data[0] % 16 + 1u;
    if (size < 1 + cut_count) {
        return;
    }
    uint64_t whole = fuzz_run(transport, data + 1 + cut_count, size - 1 - cut_count, data + 1, 0);
    uint64_t cut =
        fuzz_run(transport, data + 1 + cut_count, size - 1 - cut_count, data + 1, cut_count);

    /* Only an invitation to send a body depends on how much has arrived. */
    BV_ASSERT(whole == cut || memmem(data, size, "100-", 4) != NULL);
}

#endif
