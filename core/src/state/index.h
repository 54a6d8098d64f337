/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_STATE_INDEX_H
#define BV_STATE_INDEX_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#include "state/page.h"
#include "util/error.h"

/* hash -> refs of blocks: extendible hashing over segments of 8 KiB (engine.md 4). It keeps 16 bits
 * of each hash and asks its owner for the whole one when a segment is split.
 *
 *   directory   u32 ref of segment [2^depth]     by the top `depth` bits of the hash
 *   segment     128 buckets                      home bucket by bits 0..6
 *   bucket      64 bytes, 10 places              tag by bits 16..31
 *
 * Lookup is inline: the owner walks candidates with index_probe and compares keys itself. */

#define INDEX_PLACES        10u
#define INDEX_BUCKETS       128u
#define INDEX_PROBE_MAX     16u /* buckets looked at, from home on */
#define INDEX_DEPTH_MAX     24u
#define INDEX_SEGMENT_BYTES 8192u

struct index_bucket {
    uint16_t tag[INDEX_PLACES];
    uint32_t ref[INDEX_PLACES]; /* 0 below fill: a tombstone */
    uint8_t fill;
    uint8_t tombstones;
    uint16_t note; /* speaks of the segment: see index.c */
};

_Static_assert(sizeof(struct index_bucket) == 64, "one cache line");
_Static_assert(sizeof(struct index_bucket) * INDEX_BUCKETS == INDEX_SEGMENT_BYTES, "engine.md 4");

/* The whole hash of the block's key. */
typedef uint64_t (*index_hash_of)(const void *owner, uint32_t ref);

struct index {
    uint8_t *base;       /* of the pages */
    uint32_t *directory; /* reserved for INDEX_DEPTH_MAX, doubled in place */
    unsigned depth;
    uint32_t key_offset; /* in a block; where a split prefetches */
    struct pages *pages;
    index_hash_of hash_of;
    const void *owner;
    uint64_t count;
    uint64_t segment_count;
    uint64_t split_count;
    uint64_t early_split_count; /* of a segment less than 60% full */
    uint64_t warmed;            /* entries of the directory touched so far */
};

enum bv_status index_init(struct index *index, struct pages *pages, index_hash_of hash_of,
                          const void *owner, struct bv_error *err);
void index_deinit(struct index *index); /* accepts all zero; frees the segments */
uint64_t index_bytes(const struct index *index);

/* False when memory is spent; the index is then as it was. The hash's key must not be there. */
bool index_insert(struct index *index, uint64_t hash, uint32_t ref);
/* Segments for about so many entries, in an index that never had one: on the way there hardly any
 * splits. False when memory is spent; the index is then as it was. */
bool index_presize(struct index *index, uint64_t count);
/* The entry must be there. */
void index_remove(struct index *index, uint64_t hash, uint32_t ref);
void index_replace(struct index *index, uint64_t hash, uint32_t old_ref, uint32_t new_ref);

/* ---- lookup ---- */

static inline struct index_bucket *
index_segment(const struct index *index, uint64_t hash)
{
    /* Two shifts, because a shift by 64 is undefined. An entry of 0 leads to page 0, whose bytes
     * are always zero: an empty segment for whoever only looks. */
    const uint32_t ref = index->directory[(hash >> 1) >> (63 - index->depth)];

    return (struct index_bucket *)(void *)(index->base + (size_t)ref * PAGE_UNIT_BYTES);
}

struct index_probe {
    const struct index_bucket *segment;
    const struct index_bucket *bucket;
    uint32_t matches; /* bit 2 * place: this place has the tag and was not given out yet */
    uint32_t bucket_index;
    uint32_t distance;
    uint16_t tag;
};

static inline uint32_t
index_match(const struct index_bucket *bucket, uint16_t tag)
{
    /* 32 bytes: ten tags, and refs that the mask takes away again. */
    const __m256i line = _mm256_load_si256((const __m256i *)(const void *)bucket);
    const __m256i equal = _mm256_cmpeq_epi16(line, _mm256_set1_epi16((short)tag));
    const uint32_t filled = (1u << (2 * bucket->fill)) - 1;

    return (uint32_t)_mm256_movemask_epi8(equal) & 0x55555555u & filled;
}

static inline void
index_probe_begin(struct index_probe *probe, const struct index *index, uint64_t hash)
{
    probe->segment = index_segment(index, hash);
    probe->bucket_index = (uint32_t)hash & (INDEX_BUCKETS - 1);
    probe->bucket = &probe->segment[probe->bucket_index];
    probe->tag = (uint16_t)(hash >> 16);
    probe->distance = 0;
    probe->matches = index_match(probe->bucket, probe->tag);
}

/* The next candidate, 0 when there is none. */
static inline uint32_t
index_probe_next(struct index_probe *probe)
{
    for (;;) {
        while (probe->matches != 0) {
            const uint32_t place = (uint32_t)__builtin_ctz(probe->matches) / 2;

            probe->matches &= probe->matches - 1;
            if (probe->bucket->ref[place] != 0) {
                return probe->bucket->ref[place];
            }
        }
        /* Entries pass a bucket only when it is full, and a full one stays so until the segment
         * is made anew. */
        if (probe->bucket->fill < INDEX_PLACES || ++probe->distance == INDEX_PROBE_MAX) {
            return 0;
        }
        probe->bucket_index = (probe->bucket_index + 1) & (INDEX_BUCKETS - 1);
        probe->bucket = &probe->segment[probe->bucket_index];
        probe->matches = index_match(probe->bucket, probe->tag);
    }
}

#endif
