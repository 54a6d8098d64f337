/* SPDX-License-Identifier: Apache-2.0 */
/* The rolling copy: entities into chunks, as they are at this moment.
 *
 * Enters:  pages, in order, some at a time, while pushes go on between the slices.
 * Leaves:  chunks in the snapshot writer's ring, each with the LSN at which it was copied.
 * Owner:   the apply thread, between ticks.
 *
 * Invariants
 *   (1) A chunk is filled within one slice: nothing is applied between its first and last image, so
 *       one image_lsn holds for all of it (rule 2 of engine.md 8).
 *   (2) A block does not move while a copy runs (migrate.c went before). One that is freed and made
 *       anew elsewhere began empty after S, and replay makes it again.
 *   (3) What had expired by the recorded clock is left out, entities and panes alike: a digest does
 *       not see it either. */
#include "apply/images.h"

#include "util/bytes.h"
#include "util/clock.h"

#define CHUNK_HEAD_BYTES  8u  /* u32 section, u32 count */
#define ENTITY_HEAD_BYTES 16u /* u32 image_size, u32 key_size, u64 touched_ms */
/* Between two looks at the clock: a raw image takes 30 ns, one with sketches some microseconds. */
#define RAW_BLOCKS_PER_LOOK 32u
#define BLOCKS_PER_LOOK     4u
#define BYTES_PER_LOOK      8192u
#define PAGES_PER_LOOK      1024u
#define TOUCHED_MASK        0xffffffffffffu
#define WIDE_BYTES          16u

struct slice_of_time {
    uint64_t until_ns;
    uint32_t blocks_per_look;
    uint64_t bytes_left;
    uint32_t blocks; /* since the clock was asked */
    size_t bytes;
    bool is_over;
};

/* ---- chunks ---- */

static void
seal(struct images *images)
{
    if (images->section == NULL || images->is_sealed) {
        return;
    }
    if (images->chunk_count == 0) {
        images->section = NULL; /* all had expired */
        return;
    }
    store_le32(images->chunk.data + 4, images->chunk_count);
    images->is_sealed = true;
}

/* Hands over a sealed chunk; false: no room now. */
static bool
hand_over(struct images *images)
{
    if (!images->is_sealed) {
        return true;
    }
    if (!snapshot_put(images->writer, SNAPSHOT_ENTITIES, images->chunk_lsn,
                      buf_slice(&images->chunk))) {
        return false;
    }
    buf_clear(&images->chunk);
    images->section = NULL;
    images->is_sealed = false;
    return true;
}

static bool
open_chunk(struct images *images, const struct section *section)
{
    uint8_t head[CHUNK_HEAD_BYTES] = {0};

    buf_clear(&images->chunk);
    store_le32(head, (uint32_t)(section - images->sections.list));
    buf_append(&images->chunk, head, sizeof head);
    images->section = section;
    images->chunk_count = 0;
    images->chunk_lsn = images->engine->next_lsn - 1;
    return !images->chunk.failed;
}

/* ---- one entity ---- */

static void
put_head(struct images *images, struct slice key, uint64_t touched_ms)
{
    struct buf *chunk = &images->chunk;

    if (buf_reserve(chunk, ENTITY_HEAD_BYTES + key.size)) {
        uint8_t *at = chunk->data + chunk->size;

        store_le32(at, 0);
        store_le32(at + 4, (uint32_t)key.size);
        store_le64(at + 8, touched_ms);
        memcpy(at + ENTITY_HEAD_BYTES, key.data, key.size);
        chunk->size += ENTITY_HEAD_BYTES + key.size;
    }
}

/* Appends one live block, unless it has expired. */
static void
put_block(struct images *images, const struct section *section, uint32_t ref)
{
    struct engine *engine = images->engine;
    struct buf *chunk = &images->chunk;
    const size_t at = chunk->size;
    struct table *table;

    if (section->kind == SECTION_TABLE) {
        table = section->table->table;
        const struct slice key = table_key(table, ref);

        put_head(images, key, table_touched_ms(table, ref));
        plan_image_write(chunk, &section->image, table_state(table, ref), engine->last_event_ms,
                         &engine->heap.heap);
    } else {
        table = dedupe_table(section->dedupe);
        const struct dedupe_entry *entry = table_state(table, ref);

        put_head(images, table_key(table, ref), table_touched_ms(table, ref));
        buf_append(chunk, entry, sizeof *entry);
    }
    if (!chunk->failed) {
        const size_t key_size = load_le32(chunk->data + at + 4);

        store_le32(chunk->data + at, (uint32_t)(chunk->size - at - ENTITY_HEAD_BYTES - key_size));
    }
}

static bool
has_expired(const struct images *images, const struct section *section, uint32_t ref)
{
    const struct engine *engine = images->engine;

    if (section->kind == SECTION_TABLE) {
        const struct live_table *table = section->table;

        return (table->cold_after_ms | table->expired_before_ms) != 0 &&
               table_touched_ms(table->table, ref) < idle_recorded_cutoff_ms(engine, table);
    }
    const struct dedupe_entry *entry = table_state(dedupe_table(section->dedupe), ref);

    return entry->expires_ms <= engine->last_event_ms;
}

/* ---- pages ---- */

static void
look_at_clock(struct slice_of_time *time, size_t bytes)
{
    time->bytes += bytes;
    time->bytes_left -= bytes < time->bytes_left ? bytes : time->bytes_left;
    if (time->bytes_left == 0) {
        time->is_over = true;
    } else if (++time->blocks >= time->blocks_per_look || time->bytes >= BYTES_PER_LOOK) {
        time->blocks = 0;
        time->bytes = 0;
        time->is_over = clock_monotonic_ns() >= time->until_ns;
    }
}

/* What makes an image of a block without asking anybody. */
struct plain {
    uint32_t state_size;
    uint32_t offset; /* of the image's bytes in the state */
    uint32_t size;   /* 0: ask for each block */
};

static struct plain
plain_of(const struct images *images, const struct section *section)
{
    struct plain plain = {0};

    if (section->kind == SECTION_TABLE &&
        (section->table->cold_after_ms | section->table->expired_before_ms) == 0 &&
        table_is_plain(section->table->table, &plain.state_size) &&
        images->chunk.size <= IMAGES_CHUNK_BYTES) {
        plain.size = plan_image_plain_size(&section->image, &plain.offset);
    }
    if (plain.size > IMAGES_CHUNK_BYTES / 2) {
        plain.size = 0;
    }
    return plain;
}

/* Copies at least `size` bytes: WIDE_BYTES where source and target have as many, without a call. */
static inline void
copy_wide(uint8_t *to, const uint8_t *from, uint32_t size, bool is_wide)
{
    if (is_wide && size <= WIDE_BYTES) {
        memcpy(to, from, WIDE_BYTES);
    } else {
        memcpy(to, from, size);
    }
}

/* As copy_blocks, for tables whose images are one piece of the state and none has expired: a third
 * of the time. A page of them is a few microseconds, so the clock is asked once. */
static bool
copy_plain(struct images *images, const struct plain *plain, uint32_t units,
           struct slice_of_time *time)
{
    const uint8_t *page =
        pages_base(images->engine->pages) + (size_t)images->page * PAGE_SIZE_BYTES;
    uint8_t *const begin = images->chunk.data + images->chunk.size;
    const uint8_t *end = images->chunk.data + IMAGES_CHUNK_BYTES;
    uint8_t *out = begin;
    /* The chunk's buffer has twice the room of a chunk. */
    const bool has_wide_key = plain->state_size + 8 + WIDE_BYTES <= units * PAGE_UNIT_BYTES;
    const bool has_wide_state = plain->offset + WIDE_BYTES <= units * PAGE_UNIT_BYTES;
    uint64_t map[PAGE_MAP_WORDS];
    uint32_t count = 0;
    bool is_full = false;

    pages_live_map(map, images->engine->pages, images->page);
    map[images->block / 64] &= ~0ull << (images->block % 64);
    for (uint32_t word = images->block / 64; word < PAGE_MAP_WORDS && !is_full; word++) {
        for (uint64_t bits = map[word]; bits != 0; bits &= bits - 1) {
            const uint32_t block = word * 64 + (uint32_t)__builtin_ctzll(bits);
            const uint8_t *state = page + (size_t)block * units * PAGE_UNIT_BYTES;
            const uint8_t *tail = state + plain->state_size;
            const uint32_t key_size = tail[6];

            images->block = block;
            if (ENTITY_HEAD_BYTES + key_size + plain->size > (size_t)(end - out)) {
                is_full = true;
                break;
            }
            store_le32(out, plain->size);
            store_le32(out + 4, key_size);
            store_le64(out + 8, load_le64(tail) & TOUCHED_MASK);
            copy_wide(out + ENTITY_HEAD_BYTES, tail + 8, key_size, has_wide_key);
            copy_wide(out + ENTITY_HEAD_BYTES + key_size, state + plain->offset, plain->size,
                      has_wide_state);
            out += ENTITY_HEAD_BYTES + key_size + plain->size;
            count++;
        }
    }
    images->chunk.size += (size_t)(out - begin);
    images->chunk_count += count;
    images->entities += count;
    look_at_clock(time, (size_t)(out - begin));
    if (is_full) {
        seal(images);
    }
    return !is_full;
}

/* The blocks of a page from images->block on, until the chunk is full or the time over. False when
 * the page is not at its end. */
static bool
copy_blocks(struct images *images, const struct section *section, uint32_t units,
            struct slice_of_time *time)
{
    uint64_t map[PAGE_MAP_WORDS];

    time->blocks_per_look = section->kind == SECTION_TABLE && section->table->layout->owns_memory
                                ? BLOCKS_PER_LOOK
                                : RAW_BLOCKS_PER_LOOK;
    pages_live_map(map, images->engine->pages, images->page);
    map[images->block / 64] &= ~0ull << (images->block % 64);
    for (uint32_t word = images->block / 64; word < PAGE_MAP_WORDS; word++) {
        for (uint64_t bits = map[word]; bits != 0; bits &= bits - 1) {
            const uint32_t block = word * 64 + (uint32_t)__builtin_ctzll(bits);
            const uint32_t ref = images->page * PAGE_UNITS + block * units;
            const size_t before = images->chunk.size;

            images->block = block;
            if (time->is_over) {
                return false;
            }
            if (has_expired(images, section, ref)) {
                look_at_clock(time, 0);
                continue;
            }
            put_block(images, section, ref);
            if (images->chunk.failed) {
                return false;
            }
            if (images->chunk.size > IMAGES_CHUNK_BYTES && images->chunk_count != 0) {
                images->chunk.size = before; /* into the next one */
                seal(images);
                return false;
            }
            images->chunk_count++;
            if (section->kind == SECTION_TABLE) {
                images->entities++;
            } else {
                images->dedupe_entries++;
            }
            look_at_clock(time, images->chunk.size - before);
        }
    }
    return true;
}

/* The next page, or more of it. */
static void
copy_page(struct images *images, struct slice_of_time *time)
{
    const struct page_record *record = pages_record_at(images->engine->pages, images->page);
    const struct section *section =
        record->used == 0 ? NULL : sections_of_owner(&images->sections, record->owner);

    if (section != NULL) {
        if (images->section != NULL && images->section != section) {
            seal(images);
            return;
        }
        if (images->section == NULL && !open_chunk(images, section)) {
            return;
        }
        const struct plain plain = plain_of(images, section);

        if (plain.size != 0 ? !copy_plain(images, &plain, record->block_units, time)
                            : !copy_blocks(images, section, record->block_units, time)) {
            return;
        }
    }
    images->page++;
    images->block = 0;
}

enum images_progress
images_copy(struct images *images, uint64_t until_ns, uint64_t bytes_max)
{
    struct slice_of_time time = {.until_ns = until_ns, .bytes_left = bytes_max};

    BV_ASSERT(images->engine->row_count == 0);
    for (uint32_t looked = 1; hand_over(images); looked++) {
        if (images->chunk.failed) {
            return IMAGES_NO_MEMORY;
        }
        if (images->page == images->page_end && images->section == NULL) {
            return IMAGES_DONE;
        }
        if (time.is_over && images->section == NULL) {
            return IMAGES_MORE;
        }
        if (time.is_over || images->page == images->page_end) {
            seal(images); /* (1) */
            continue;
        }
        copy_page(images, &time);
        if (looked % PAGES_PER_LOOK == 0) {
            time.is_over |= clock_monotonic_ns() >= until_ns;
        }
    }
    return IMAGES_NO_ROOM;
}

enum bv_status
images_begin(struct images *images, struct engine *engine, struct snapshot_writer *writer,
             struct bv_error *err)
{
    *images = (struct images){
        .engine = engine,
        .writer = writer,
        .page = 1,
        .page_end = pages_count(engine->pages),
    };
    buf_init(&images->chunk);
    enum bv_status status = sections_create(&images->sections, engine, err);

    if (status == BV_OK && !buf_reserve(&images->chunk, 2 * IMAGES_CHUNK_BYTES)) {
        status = bv_error_set(err, BV_NO_MEMORY, "a snapshot's buffer");
    }
    return status;
}

void
images_end(struct images *images)
{
    sections_destroy(&images->sections);
    buf_deinit(&images->chunk);
    images->section = NULL;
}
