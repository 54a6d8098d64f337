/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_WIRE_ROW_SCHEMA_H
#define BV_WIRE_ROW_SCHEMA_H

#include <immintrin.h>

#include "util/arena.h"
#include "wire/row.h"

/* What a schema looks like from inside: for the row decoders of this room only. */

#define ROW_LITERAL_SIZE 32
#define ROW_NO_FIELD     UINT32_MAX
/* The mask of a name that cannot be predicted: it asks for a byte that no load has. */
#define ROW_NEVER (UINT64_C(1) << 63)

/* How a producer writes: MessagePack, JSON without blanks, JSON with ", " and ": " (what Python's
 * json module writes unless told otherwise). */
enum row_style { ROW_MSGPACK, ROW_JSON_COMPACT, ROW_JSON_SPACED, ROW_STYLE_COUNT };

/* One field as a predicted decoder meets it, in one cache line. */
struct row_guess {
    uint8_t literal[ROW_LITERAL_SIZE]; /* the bytes expected before its value */
    uint64_t mask;                     /* which of them count, or ROW_NEVER */
    uint32_t size;
    uint32_t next;  /* the field that followed it last time */
    uint32_t epoch; /* the last event that had it: finds repeated and absent fields */
    uint32_t index; /* its own */
    uint8_t kinds;  /* bit 1 << value_kind for each accepted kind */
    uint8_t is_required;
    uint8_t pad[6];
};

_Static_assert(sizeof(struct row_guess) == 64, "one cache line per field");

struct row_guesses {
    struct row_guess *fields;
    const uint8_t *prefix; /* the envelope up to the body, padded to whole literals */
    uint32_t prefix_size;  /* 0: this event name is never predicted */
    uint32_t first;        /* the field that came first last time */
    uint32_t epoch;
};

struct row_schema_field {
    struct slice name;
    enum field_type type;
    uint8_t kinds;
    bool is_optional;
};

struct row_schema {
    struct arena arena; /* everything below */
    struct slice event_name;
    struct row_schema_field *fields;
    uint32_t field_count;
    uint32_t slot_count;
    uint32_t required_count;
    unsigned flags;
    uint32_t *index; /* open addressing: field + 1, 0 = free */
    uint32_t index_mask;
    enum row_style json_style; /* of the last JSON event */
    struct row_guesses guesses[ROW_STYLE_COUNT];
};

/* The field of this name, or ROW_NO_FIELD. */
uint32_t row_schema_find(const struct row_schema *schema, struct slice name);

/* Begins an event: from here on a field is `seen` when its epoch equals the result. */
uint32_t row_guesses_begin(struct row_guesses *guesses, uint32_t field_count);

/* Ends it: absent fields become null. False when a required one is among them. */
bool row_guesses_end(struct value *slots, const struct row_schema *schema,
                     const struct row_guesses *guesses, uint32_t seen_count,
                     uint32_t required_count);

/* True when the 32 bytes at `data` begin with the guess's literal. */
static inline bool
row_literal_matches(const uint8_t *data, const uint8_t *literal, uint64_t mask)
{
    __m256i have = _mm256_loadu_si256((const __m256i *)(const void *)data);
    __m256i want = _mm256_loadu_si256((const __m256i *)(const void *)literal);
    uint64_t equal = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(have, want));

    return (~equal & mask) == 0;
}

/* True when the payload begins with the envelope. Reads less than 32 bytes past prefix_size. */
static inline bool
row_prefix_matches(const struct row_guesses *guesses, struct slice payload)
{
    uint32_t size = guesses->prefix_size;

    if (size == 0 || payload.size <= size) {
        return false;
    }
    for (uint32_t at = 0; at < size; at += ROW_LITERAL_SIZE) {
        uint32_t left = size - at;
        uint32_t mask = left >= ROW_LITERAL_SIZE ? UINT32_MAX : (1u << left) - 1;

        if (!row_literal_matches(payload.data + at, guesses->prefix + at, mask)) {
            return false;
        }
    }
    return true;
}

/* One bit per byte outside 0x20..0x7e: adding one moves 0x7f (a control character too) into the
 * negative numbers, so a single signed compare finds controls, DEL and everything not ASCII. */
static inline uint32_t
row_unclean_bytes(__m256i bytes)
{
    __m256i clean =
        _mm256_cmpgt_epi8(_mm256_add_epi8(bytes, _mm256_set1_epi8(1)), _mm256_set1_epi8(0x20));

    return ~(uint32_t)_mm256_movemask_epi8(clean);
}

#endif
