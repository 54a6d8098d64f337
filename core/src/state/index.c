/* SPDX-License-Identifier: Apache-2.0 */
/* Extendible hashing: grows by one segment of 8 KiB at a time, never as a whole.
 *
 * Enters:  hashes and refs, from a table.
 * Leaves:  candidates for a hash, through index_probe.
 * Owner:   one table, on the apply thread. Segments are out-of-line memory of the pages.
 *
 * Invariants
 *   (1) An entry lies at most INDEX_PROBE_MAX buckets from its home, and all buckets between are
 *       full (fill == INDEX_PLACES).
 *   (2) Only a full bucket has tombstones. A removal from any other moves its last entry up.
 *   (3) At least one bucket of a segment is not full: SPLIT_COUNT + TOMBSTONES_MAX < all places.
 *   (4) A failed insert leaves every segment as it was.
 *
 * Three notes of a segment stand in spare words of its first buckets: count, depth, tombstones.
 *
 * A bucket of whole 32-bit hashes splits without touching blocks, in 10-20 us instead of 20-50, but
 * takes 16.8 bytes per entity at its worst against 13.2. See engine.md 4 for what else lost. */
#include "state/index.h"

#include <string.h>
#include <sys/mman.h>

#include "util/assert.h"

#define NOTE_COUNT        0
#define NOTE_DEPTH        1
#define NOTE_TOMBSTONES   2
#define SEGMENT_PLACES    (INDEX_BUCKETS * INDEX_PLACES)
#define SPLIT_COUNT       1150u
#define EARLY_SPLIT_COUNT 768u  /* 60%: chance alone stays above it */
#define PRESIZED_COUNT    1000u /* on the average: few reach SPLIT_COUNT by chance */
#define TOMBSTONES_MAX    100u
#define PREFETCH_AHEAD    24u
#define DIRECTORY_BYTES   ((uint64_t)sizeof(uint32_t) << INDEX_DEPTH_MAX)
#define DIRECTORY_PAGE    (4096u / sizeof(uint32_t))

_Static_assert(SPLIT_COUNT + TOMBSTONES_MAX < SEGMENT_PLACES, "invariant 3");

static struct index_bucket *
segment_at(const struct index *index, uint32_t ref)
{
    return (struct index_bucket *)(void *)(index->base + (size_t)ref * PAGE_UNIT_BYTES);
}

static size_t
directory_place(const struct index *index, uint64_t hash)
{
    return (hash >> 1) >> (63 - index->depth);
}

/* ---- one segment ---- */

static void
segment_clear(struct index_bucket *segment, unsigned depth)
{
    memset(segment, 0, INDEX_SEGMENT_BYTES);
    segment[NOTE_DEPTH].note = (uint16_t)depth;
}

static void
bucket_set(struct index_bucket *bucket, unsigned place, uint64_t hash, uint32_t ref)
{
    bucket->tag[place] = (uint16_t)(hash >> 16);
    bucket->ref[place] = ref;
}

static unsigned
bucket_place_of(const struct index_bucket *bucket, uint32_t ref)
{
    unsigned place = 0;

    while (place < bucket->fill && bucket->ref[place] != ref) {
        place++;
    }
    return place;
}

/* False when there is no room within the probe bound. */
static bool
segment_put(struct index_bucket *segment, uint64_t hash, uint32_t ref)
{
    uint32_t at = (uint32_t)hash & (INDEX_BUCKETS - 1);

    for (unsigned i = 0; i < INDEX_PROBE_MAX; i++) {
        struct index_bucket *bucket = &segment[at];

        if (bucket->fill < INDEX_PLACES) {
            bucket_set(bucket, bucket->fill, hash, ref);
            bucket->fill++;
            segment[NOTE_COUNT].note++;
            return true;
        }
        if (bucket->tombstones != 0) {
            bucket_set(bucket, bucket_place_of(bucket, 0), hash, ref);
            bucket->tombstones--;
            segment[NOTE_TOMBSTONES].note--;
            segment[NOTE_COUNT].note++;
            return true;
        }
        at = (at + 1) & (INDEX_BUCKETS - 1);
    }
    return false;
}

/* The bucket that holds this entry, and its place there. */
static struct index_bucket *
segment_find(unsigned *place, struct index_bucket *segment, uint64_t hash, uint32_t ref)
{
    uint32_t at = (uint32_t)hash & (INDEX_BUCKETS - 1);

    for (unsigned i = 0; i < INDEX_PROBE_MAX; i++) {
        struct index_bucket *bucket = &segment[at];

        *place = bucket_place_of(bucket, ref);
        if (*place < bucket->fill) {
            return bucket;
        }
        at = (at + 1) & (INDEX_BUCKETS - 1);
    }
    return NULL;
}

/* Deals the entries of `from` into `low` and, by the hash's bit at `depth`, `high`; with `high`
 * NULL all stay in `low`. Entries come in the order in which they lie, from the start of a row of
 * full buckets: then each finds its old place free or a better one, so none can be left over. */
static void
deal(const struct index *index, const struct index_bucket *from, unsigned depth,
     struct index_bucket *low, struct index_bucket *high)
{
    uint32_t refs[SEGMENT_PLACES + PREFETCH_AHEAD] = {0}; /* behind the last: page 0, harmless */
    unsigned count = 0;
    unsigned start = 0;

    while (from[start].fill == INDEX_PLACES) {
        start++; /* invariant 3 ends it */
    }
    for (unsigned i = 1; i <= INDEX_BUCKETS; i++) {
        const struct index_bucket *bucket = &from[(start + i) & (INDEX_BUCKETS - 1)];

        for (unsigned k = 0; k < bucket->fill; k++) {
            if (bucket->ref[k] != 0) {
                refs[count++] = bucket->ref[k];
            }
        }
    }
    for (unsigned i = 0; i < count; i++) {
        const uint64_t key_at = (uint64_t)refs[i + PREFETCH_AHEAD] * PAGE_UNIT_BYTES;

        __builtin_prefetch(index->base + key_at + index->key_offset);
        const uint64_t hash = index->hash_of(index->owner, refs[i]);
        const bool is_high = high != NULL && (hash >> (63 - depth)) & 1;
        const bool is_placed = segment_put(is_high ? high : low, hash, refs[i]);

        BV_ASSERT(is_placed);
    }
}

/* ---- growing ---- */

/* Touches the part of the directory that the next doubling writes, a little at each split, so that
 * a doubling meets no page fault: splits outnumber those pages by far. */
static void
directory_warm(struct index *index)
{
    const uint64_t next_size = 2ull << index->depth;

    for (unsigned i = 0; i < 2 && index->warmed < next_size; i++) {
        if (index->warmed >= 1ull << index->depth) {
            ((volatile uint32_t *)index->directory)[index->warmed] = 0;
        }
        index->warmed += DIRECTORY_PAGE;
    }
}

/* In place, from the back. */
static void
directory_double(struct index *index)
{
    uint32_t *directory = index->directory;

    for (size_t i = (size_t)1 << index->depth; i-- > 0;) {
        const uint32_t ref = directory[i];

        directory[2 * i + 1] = ref;
        directory[2 * i] = ref;
    }
    index->depth++;
}

static uint32_t
segment_create(struct index *index, unsigned depth)
{
    const uint32_t ref = pages_alloc(index->pages, INDEX_SEGMENT_BYTES);

    if (ref != 0) {
        segment_clear(segment_at(index, ref), depth);
        index->segment_count++;
    }
    return ref;
}

static bool
segment_split(struct index *index, uint64_t hash)
{
    struct index_bucket copy[INDEX_BUCKETS];
    struct index_bucket *segment = index_segment(index, hash);
    const unsigned depth = segment[NOTE_DEPTH].note;
    uint32_t new_ref;

    if (depth == INDEX_DEPTH_MAX) {
        return false;
    }
    new_ref = segment_create(index, depth + 1);
    if (new_ref == 0) {
        return false;
    }
    memcpy(copy, segment, sizeof copy);
    segment_clear(segment, depth + 1);
    deal(index, copy, depth, segment, segment_at(index, new_ref));
    index->split_count++;
    index->early_split_count += copy[NOTE_COUNT].note < EARLY_SPLIT_COUNT;
    if (depth == index->depth) {
        directory_double(index);
    }
    directory_warm(index);
    /* The upper half of the entries that lead here now leads to the new segment. */
    const size_t shared = (size_t)1 << (index->depth - depth);
    const size_t first = directory_place(index, hash) & ~(shared - 1);

    for (size_t i = first + shared / 2; i < first + shared; i++) {
        index->directory[i] = new_ref;
    }
    return true;
}

bool
index_insert(struct index *index, uint64_t hash, uint32_t ref)
{
    BV_DEBUG_ASSERT(ref != 0);
    if (index->directory[0] == 0) {
        index->directory[0] = segment_create(index, 0);
        if (index->directory[0] == 0) {
            return false;
        }
    }
    for (;;) {
        struct index_bucket *segment = index_segment(index, hash);

        if (segment[NOTE_COUNT].note < SPLIT_COUNT && segment_put(segment, hash, ref)) {
            index->count++;
            return true;
        }
        if (!segment_split(index, hash)) {
            return false;
        }
    }
}

bool
index_presize(struct index *index, uint64_t count)
{
    unsigned depth = 0;
    size_t made = 0;

    if (index->directory[0] != 0) {
        return true;
    }
    while (depth < INDEX_DEPTH_MAX && count >> depth > PRESIZED_COUNT) {
        depth++;
    }
    for (; made < (size_t)1 << depth; made++) {
        index->directory[made] = segment_create(index, depth);
        if (index->directory[made] == 0) {
            break;
        }
    }
    if (made == (size_t)1 << depth) {
        index->depth = depth;
        index->warmed = made;
        return true;
    }
    while (made-- > 0) {
        pages_release(index->pages, index->directory[made], INDEX_SEGMENT_BYTES);
        index->directory[made] = 0;
    }
    index->segment_count = 0;
    return false;
}

/* ---- shrinking ---- */

/* Makes the segment anew without its tombstones. */
static void
segment_sweep(struct index *index, struct index_bucket *segment)
{
    struct index_bucket copy[INDEX_BUCKETS];
    const unsigned depth = segment[NOTE_DEPTH].note;

    memcpy(copy, segment, sizeof copy);
    segment_clear(segment, depth);
    deal(index, copy, depth, segment, NULL);
}

void
index_remove(struct index *index, uint64_t hash, uint32_t ref)
{
    struct index_bucket *segment = index_segment(index, hash);
    unsigned place = 0;
    struct index_bucket *bucket = segment_find(&place, segment, hash, ref);

    BV_ASSERT(bucket != NULL);
    index->count--;
    segment[NOTE_COUNT].note--;
    if (bucket->fill < INDEX_PLACES) {
        bucket->fill--;
        bucket->tag[place] = bucket->tag[bucket->fill];
        bucket->ref[place] = bucket->ref[bucket->fill];
        return;
    }
    bucket->ref[place] = 0;
    bucket->tombstones++;
    segment[NOTE_TOMBSTONES].note++;
    if (segment[NOTE_TOMBSTONES].note >= TOMBSTONES_MAX) {
        segment_sweep(index, segment);
    }
}

void
index_replace(struct index *index, uint64_t hash, uint32_t old_ref, uint32_t new_ref)
{
    unsigned place = 0;
    struct index_bucket *bucket = segment_find(&place, index_segment(index, hash), hash, old_ref);

    BV_ASSERT(bucket != NULL);
    bucket->ref[place] = new_ref;
}

/* ---- life ---- */

enum bv_status
index_init(struct index *index, struct pages *pages, index_hash_of hash_of, const void *owner,
           struct bv_error *err)
{
    void *directory = mmap(NULL, DIRECTORY_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (directory == MAP_FAILED) {
        return bv_error_set(err, BV_NO_MEMORY, "state: cannot reserve a directory of %llu bytes",
                            (unsigned long long)DIRECTORY_BYTES);
    }
    madvise(directory, DIRECTORY_BYTES, MADV_NOHUGEPAGE);
    *index = (struct index){
        .base = pages_base(pages),
        .directory = directory,
        .pages = pages,
        .hash_of = hash_of,
        .owner = owner,
    };
    return BV_OK;
}

void
index_deinit(struct index *index)
{
    if (index->directory == NULL) {
        return;
    }
    const size_t size = (size_t)1 << index->depth;

    for (size_t i = 0; i < size;) {
        const uint32_t ref = index->directory[i];

        if (ref == 0) {
            break; /* nothing was ever inserted */
        }
        i += (size_t)1 << (index->depth - segment_at(index, ref)[NOTE_DEPTH].note);
        pages_release(index->pages, ref, INDEX_SEGMENT_BYTES);
    }
    munmap(index->directory, DIRECTORY_BYTES);
    index->directory = NULL;
}

uint64_t
index_bytes(const struct index *index)
{
    return index->segment_count * INDEX_SEGMENT_BYTES +
           ((uint64_t)sizeof(uint32_t) << index->depth);
}
