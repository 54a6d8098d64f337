/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_CODEC_H
#define BV_AGG_CODEC_H

#include "util/buf.h"
#include "util/bytes.h"
#include "util/error.h"

/* The snapshot form of states: a version byte, then little-endian fields. A reader that runs out of
 * bytes returns zeros and remembers it, so decoders check once at the end. */

static inline void
codec_put_u64(struct buf *out, uint64_t v)
{
    uint8_t bytes[8];

    store_le64(bytes, v);
    buf_append(out, bytes, sizeof bytes);
}

static inline void
codec_put_f64(struct buf *out, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    codec_put_u64(out, bits);
}

struct codec_reader {
    struct slice bytes;
    size_t position;
    bool is_short;
};

/* The next `size` bytes, NULL past the end. */
static inline const uint8_t *
codec_take(struct codec_reader *reader, size_t size)
{
    const uint8_t *at = reader->bytes.data + reader->position;

    if (reader->is_short || reader->bytes.size - reader->position < size) {
        reader->is_short = true;
        return NULL;
    }
    reader->position += size;
    return at;
}

static inline uint8_t
codec_take_u8(struct codec_reader *reader)
{
    const uint8_t *at = codec_take(reader, 1);

    return at == NULL ? 0 : at[0];
}

static inline uint32_t
codec_take_u32(struct codec_reader *reader)
{
    const uint8_t *at = codec_take(reader, 4);

    return at == NULL ? 0 : load_le32(at);
}

static inline uint64_t
codec_take_u64(struct codec_reader *reader)
{
    const uint8_t *at = codec_take(reader, 8);

    return at == NULL ? 0 : load_le64(at);
}

static inline double
codec_take_f64(struct codec_reader *reader)
{
    uint64_t bits = codec_take_u64(reader);
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

/* The last step of a decoder: everything was there and of a version that is known. */
static inline enum bv_status
codec_finish(const struct codec_reader *reader, size_t *consumed, const char *what, bool is_sound,
             struct bv_error *err)
{
    if (reader->is_short) {
        return bv_error_set(err, BV_CORRUPT, "state of %s ends after %zu bytes", what,
                            reader->bytes.size);
    }
    if (!is_sound) {
        return bv_error_set(err, BV_CORRUPT, "state of %s is damaged", what);
    }
    *consumed = reader->position;
    return BV_OK;
}

#endif
