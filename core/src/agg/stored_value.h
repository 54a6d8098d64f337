/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_STORED_VALUE_H
#define BV_AGG_STORED_VALUE_H

#include "agg/op.h"

/* A value of any kind kept in 16 bytes of state. Scalars and texts of up to 8 bytes lie inline;
 * longer texts, and the JSON text of lists and maps, lie out of line. All bytes zero = null. */

#define STORED_VALUE_INLINE_MAX 8

struct stored_value {
    union {
        uint64_t bits;
        int64_t i64;
        double f64;
        uint8_t text[STORED_VALUE_INLINE_MAX];
        uint32_t ref; /* size > STORED_VALUE_INLINE_MAX */
    } as;
    uint32_t size; /* bytes of a text, 0 for scalars */
    uint8_t kind;  /* enum value_kind */
    uint8_t pad[3];
};

_Static_assert(sizeof(struct stored_value) == 16, "part of the entity block's layout");

/* Replaces what is stored. False when memory is spent: the old value then stays. */
bool stored_value_set(struct stored_value *stored, const struct value *v, struct agg_heap *heap);
void stored_value_release(struct stored_value *stored, struct agg_heap *heap);

/* The value for a reply. Long texts are borrowed from the heap, lists and maps are built in the
 * arena; null when the arena is spent. */
struct value stored_value_read(const struct stored_value *stored, const struct agg_heap *heap,
                               struct arena *arena);

/* Order of operators.md 4.3 with W16: int and float by numeric value, exactly; str bytewise; false
 * before true. Anything else, and NaN, has no order. */
enum stored_order { STORED_LESS, STORED_EQUAL, STORED_GREATER, STORED_UNORDERED };

/* A stored value as an operand. Texts are borrowed from `stored` or the heap; lists and maps are
 * kept as text and have no order. */
struct value stored_value_view(const struct stored_value *stored, const struct agg_heap *heap);
enum stored_order stored_value_compare(const struct value *a, const struct value *b);

/* Without a version byte of their own: the accumulator's row has one. */
void stored_value_encode(struct buf *out, const struct stored_value *stored,
                         const struct agg_heap *heap);

struct codec_reader;

/* Sets *is_sound to false for what no encoder writes. BV_NO_MEMORY, else BV_OK. */
enum bv_status stored_value_decode(struct stored_value *stored, struct codec_reader *reader,
                                   bool *is_sound, struct agg_heap *heap, struct bv_error *err);

#endif
