/* SPDX-License-Identifier: Apache-2.0 */
/* JSON events, decoded by expectation.
 *
 * Enters:  a bare event object, and how many bytes may follow it.
 * Leaves:  the same slots as the generic way, or "not mine" (false).
 * Owner:   the apply thread: schemas learn the order of fields and the blanks here.
 *
 * Invariants
 *   (1) Between two fields, and at the start of every value, `p < end`: so a literal, a number of
 *       at most 19 digits and the first 32 bytes of a string stay within ROW_SLACK of the end.
 *   (2) A value is believed only when the byte behind it, a comma or a brace, is before `end`.
 *   (3) Whatever is refused here is refused or accepted by the generic way; nothing is reported.
 *
 * The literal between two values, `,"amount":`, is the predicted unit: one 32-byte compare. It
 * comes in two styles, without blanks and as Python writes it; other blanks cost a look-up per
 * field.
 */
#include <math.h>

#include "util/assert.h"
#include "util/bytes.h"
#include "wire/json.h"
#include "wire/number.h"
#include "wire/row_check.h"
#include "wire/row_predict.h"
#include "wire/row_skip.h"

#define VALUE_DEPTH_MAX 125
#define DIGITS_MAX      19 /* 10^19 - 1 fits a u64 */
#define EXACT_MAX       (UINT64_C(1) << 53)

/* Powers of ten that are doubles exactly: a quotient of an exact integer by one of them is rounded
 * once, hence correctly. */
static const double POWERS[] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,
    1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
};

_Static_assert(sizeof POWERS / sizeof POWERS[0] > DIGITS_MAX, "a power for every fraction");

/* What stays the same over one event. */
struct reader {
    const uint8_t *end;
    struct arena *arena;
    unsigned flags;
};

/* Strings. */

/* Bytes that end the fast part of a string: quote, backslash, raw control character. */
static inline uint32_t
stop_bytes(__m256i bytes)
{
    __m256i quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"'));
    __m256i backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\'));
    __m256i control =
        _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, _mm256_set1_epi8(0x1f)), _mm256_set1_epi8(0x1f));

    return (uint32_t)_mm256_movemask_epi8(
        _mm256_or_si256(control, _mm256_or_si256(quote, backslash)));
}

/* A value that the general parser and the general check take: strings with escapes, arrays,
 * objects. */
static const uint8_t *
read_other(struct value *out, const uint8_t *p, const struct reader *reader)
{
    const uint8_t *end = json_skip_value(p, reader->end);
    enum bv_status status =
        json_parse(out, slice_of(p, (size_t)(end - p)), VALUE_DEPTH_MAX, reader->arena, NULL);

    if (status != BV_OK || row_value_check(out, reader->flags) != BV_OK) {
        return NULL;
    }
    return end;
}

/* Strings that are long, or not plain ASCII, or have escapes; `text` is behind the quote. */
static __attribute__((noinline)) const uint8_t *
read_string_slowly(struct value *out, const uint8_t *text, const struct reader *reader)
{
    bool is_strict = (reader->flags & ROW_STRICT_CONTROL_CHARACTERS) != 0;
    bool is_clean = true;
    const uint8_t *p = text;

    while (p < reader->end) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)p);
        uint32_t stop = stop_bytes(bytes);
        uint32_t unclean = row_unclean_bytes(bytes);

        if (stop == 0) {
            is_clean = is_clean && unclean == 0;
            p += 32;
            continue;
        }
        is_clean = is_clean && (unclean & ((stop & -stop) - 1)) == 0;
        p += __builtin_ctz(stop);
        break;
    }
    if (p >= reader->end || (*p != '"' && *p != '\\')) {
        return NULL;
    }
    if (*p == '\\') {
        return read_other(out, text - 1, reader);
    }
    *out = value_str(slice_of(text, (size_t)(p - text)));
    if (!is_clean && row_text_check(value_slice(out), is_strict) != ROW_TEXT_CLEAN) {
        return NULL;
    }
    return p + 1;
}

static inline const uint8_t *
read_string(struct value *out, const uint8_t *text, const struct reader *reader)
{
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)text);
    __m256i quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"'));
    __m256i backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\'));
    uint32_t ends = (uint32_t)_mm256_movemask_epi8(quote);
    uint32_t bad = (uint32_t)_mm256_movemask_epi8(backslash) | row_unclean_bytes(bytes);

    /* The bytes in front of the first quote: all of them when there is none. */
    if (BV_UNLIKELY(ends == 0 || ((ends - 1) & ~ends & bad) != 0)) {
        return read_string_slowly(out, text, reader);
    }
    uint32_t size = (uint32_t)__builtin_ctz(ends);

    row_slot_set(out, (uintptr_t)text, size, VALUE_STR);
    return text + size + 1;
}

/* Numbers. */

static inline bool
is_digit(uint8_t byte)
{
    return (uint8_t)(byte - '0') <= 9;
}

/* Numbers with an exponent, with more digits than a double has, beyond 64 bits. */
static __attribute__((noinline)) const uint8_t *
read_number_slowly(struct value *out, const uint8_t *start, const struct reader *reader)
{
    const uint8_t *p = start;
    struct slice text;
    int64_t integer = 0;
    double number = 0;

    while (p < reader->end && (is_digit(*p) || (*p != 0 && strchr("+-.eE", *p) != NULL))) {
        p++;
    }
    text = slice_of(start, (size_t)(p - start));
    if (!number_parse_f64(&number, text, false) || !isfinite(number) || number == 0 ||
        number_parse_i64(&integer, text)) {
        return NULL; /* zeros have signs and integers a kind: not here */
    }
    *out = value_f64(number);
    return p;
}

/* Appends the decimal digits at p, at most eight, to *number; their count as the result. No branch
 * depends on the count, because the lengths of numbers cannot be guessed. */
static inline uint32_t
read_digits_block(uint64_t *number, const uint8_t *p)
{
    static const uint64_t SCALES[] = {1,      10,      100,      1000,     10000,
                                      100000, 1000000, 10000000, 100000000};
    const uint64_t lows = 0x7f7f7f7f7f7f7f7fu;
    uint64_t digits = load_le64(p) ^ 0x3030303030303030u; /* digits become 0 to 9, others not */
    uint64_t others = (((digits & lows) + 0x7676767676767676u) | digits) & ~lows;
    uint32_t count = others == 0 ? 8 : (uint32_t)__builtin_ctzll(others) / 8;

    if (count == 0) {
        return 0;
    }
    /* Right-aligned with zeros in front; then pairs, then fours, then all eight. */
    digits <<= 64 - 8 * count;
    digits = digits * 10 + (digits >> 8);
    digits = (((digits & 0x000000ff000000ffu) * (100 + (UINT64_C(1000000) << 32))) +
              ((digits >> 16 & 0x000000ff000000ffu) * (1 + (UINT64_C(10000) << 32)))) >>
             32;
    *number = *number * SCALES[count] + digits;
    return count;
}

/* Three blocks are more digits than any number that is not for read_number_slowly(). */
static inline const uint8_t *
read_digits(uint64_t *number, const uint8_t *p)
{
    const uint8_t *limit = p + 24;
    uint32_t count = 0;

    do {
        count = read_digits_block(number, p);
        p += count;
    } while (count == 8 && p < limit);
    return p;
}

/* `is_negative` is a constant in each call: adding a loaded sign to the address would put the load
 * in front of everything else. */
static inline __attribute__((always_inline)) const uint8_t *
read_number(struct value *out, const uint8_t *start, bool is_negative, const struct reader *reader)
{
    const uint8_t *first = is_negative ? start + 1 : start;
    uint64_t number = 0;
    const uint8_t *p = read_digits(&number, first);
    const uint8_t *point = NULL;
    size_t digit_count = (size_t)(p - first);

    if (digit_count == 0 || (*first == '0' && digit_count > 1)) {
        return NULL;
    }
    if (*p == '.') {
        point = p;
        p = read_digits(&number, p + 1);
        digit_count += (size_t)(p - point - 1);
    }
    if (BV_UNLIKELY(digit_count > DIGITS_MAX || (*p | 0x20) == 'e' || p - 1 == point)) {
        return read_number_slowly(out, start, reader);
    }
    if (BV_UNLIKELY(number == 0 && (is_negative || point != NULL))) {
        row_slot_set(out, 0, 0, VALUE_F64); /* 0.0, and also -0 (wire.md 9) */
        return p;
    }
    if (point == NULL) {
        if (BV_UNLIKELY(number > INT64_MAX)) {
            return read_number_slowly(out, start, reader);
        }
        row_slot_set(out, is_negative ? -number : number, 0, VALUE_I64);
        return p;
    }
    double magnitude = (double)(int64_t)number / POWERS[p - point - 1];
    uint64_t bits = 0;

    if (BV_UNLIKELY(number > EXACT_MAX) &&
        !number_from_decimal(&magnitude, false, number, -(int)(p - point - 1))) {
        return read_number_slowly(out, start, reader);
    }
    memcpy(&bits, &magnitude, sizeof bits);
    row_slot_set(out, bits | (uint64_t)is_negative << 63, 0, VALUE_F64);
    return p;
}

/* The value at p, its end as the result; NULL when it is not plainly well-formed. */
static inline const uint8_t *
read_value(struct value *out, const uint8_t *p, const struct reader *reader)
{
    switch (*p) {
    case '"':
        return read_string(out, p + 1, reader);
    case '0' ... '9':
        return read_number(out, p, false, reader);
    case '-':
        return read_number(out, p, true, reader);
    case 't':
        *out = value_bool(true);
        return memcmp(p, "true", 4) == 0 ? p + 4 : NULL;
    case 'f':
        *out = value_bool(false);
        return memcmp(p, "false", 5) == 0 ? p + 5 : NULL;
    case 'n':
        *out = value_null();
        return memcmp(p, "null", 4) == 0 ? p + 4 : NULL;
    case '[':
    case '{':
        return read_other(out, p, reader);
    default:
        return NULL;
    }
}

/* Objects. */

/* Behind a value (or, is_first, behind the opening brace) something else stands than expected: the
 * end of the object (*field becomes ROW_NO_FIELD, the result is behind its brace), or another name
 * (the result is its value). NULL when it is neither. */
static __attribute__((noinline)) const uint8_t *
read_name(uint32_t *field, struct row_schema *schema, const uint8_t *p, bool is_first,
          const uint8_t *end)
{
    const uint8_t *name = NULL;
    bool has_blank = false;

    p = json_skip_blanks(p, end);
    if (p < end && *p == '}') {
        *field = ROW_NO_FIELD;
        return p + 1;
    }
    if (!is_first) {
        if (p >= end || *p != ',') {
            return NULL;
        }
        p = json_skip_blanks(p + 1, end);
    }
    if (p >= end || *p != '"') {
        return NULL;
    }
    name = ++p;
    while (p < end && *p != '"' && *p != '\\') {
        p++;
    }
    if (p >= end || *p != '"') {
        return NULL;
    }
    *field = row_schema_find(schema, slice_of(name, (size_t)(p - name)));
    p = json_skip_blanks(p + 1, end);
    if (*field == ROW_NO_FIELD || p >= end || *p != ':') {
        return NULL;
    }
    p++;
    has_blank = p < end && *p == ' ';
    schema->json_style =
        has_blank ? ROW_JSON_SPACED : ROW_JSON_COMPACT; /* from the next event on */
    return json_skip_blanks(p, end);
}

/* The literal in front of the first value lacks its comma, and the blank behind it. */
static bool
first_matches(const uint8_t *p, const struct row_guess *guess, uint32_t omitted)
{
    return row_literal_matches(p, guess->literal + omitted, guess->mask >> omitted);
}

const uint8_t *
row_json_decode(struct value *slots, struct row_schema *schema, struct slice text,
                struct arena *arena)
{
    struct row_guesses *guesses = &schema->guesses[schema->json_style];
    uint32_t omitted = schema->json_style == ROW_JSON_SPACED ? 2 : 1;
    struct reader reader = {.end = text.data + text.size, .arena = arena, .flags = schema->flags};
    const uint8_t *p = text.data + 1;
    struct row_guess *fields = guesses->fields;
    uint32_t epoch = row_guesses_begin(guesses, schema->field_count);
    uint32_t slot_count = schema->slot_count;
    uint32_t seen_count = 0;
    uint32_t required_count = 0;
    uint32_t *link = &guesses->first;
    struct value ignored;

    if (text.size < 2 || text.data[0] != '{' || schema->field_count == 0) {
        return NULL;
    }
    for (;;) {
        struct row_guess *guess = &fields[*link];
        struct value *slot = &ignored;

        if (BV_LIKELY(seen_count > 0) && row_literal_matches(p, guess->literal, guess->mask)) {
            p += guess->size;
        } else if (seen_count == 0 && first_matches(p, guess, omitted)) {
            p += guess->size - omitted;
        } else if (*p == '}') {
            p++;
            break;
        } else {
            uint32_t field = 0;

            p = read_name(&field, schema, p, seen_count == 0, reader.end);
            if (p == NULL || field == ROW_NO_FIELD) {
                break;
            }
            *link = field;
            guess = &fields[field];
        }
        if (p >= reader.end || guess->epoch == epoch) {
            return NULL;
        }
        guess->epoch = epoch;
        if (BV_LIKELY(guess->index < slot_count)) {
            slot = &slots[guess->index];
        }
        p = read_value(slot, p, &reader);
        if (p == NULL || p >= reader.end || (guess->kinds >> slot->kind & 1) == 0) {
            return NULL;
        }
        seen_count++;
        required_count += guess->is_required;
        link = &guess->next;
    }
    if (p == NULL || !row_guesses_end(slots, schema, guesses, seen_count, required_count)) {
        return NULL;
    }
    return p;
}
