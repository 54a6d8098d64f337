/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_STATE_HASH_H
#define BV_STATE_HASH_H

#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "util/error.h"
#include "util/slice.h"

/* The one hash of keys: XXH3, 64 bits, over a secret of the process. The secret decides the order
 * of nothing a client can see, and is never stored: an index is rebuilt, not loaded. A wyhash of
 * ten lines is 1 ns faster; we prefer the maintained library (engine.md 4). */

#define HASH_SECRET_BYTES XXH3_SECRET_DEFAULT_SIZE

_Static_assert(HASH_SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "XXH3 reads that much of it");

/* From the kernel's generator. */
enum bv_status hash_secret_draw(uint8_t secret[HASH_SECRET_BYTES], struct bv_error *err);

#define HASH_INLINE_MAX 240u /* XXH3 takes another, large, way beyond */

uint64_t hash_key_long(const uint8_t *secret, struct slice key);

static inline uint64_t
hash_key(const uint8_t *secret, struct slice key)
{
    if (key.size > HASH_INLINE_MAX) {
        return hash_key_long(secret, key);
    }
    return XXH3_64bits_withSecret(key.data, key.size, secret, HASH_SECRET_BYTES);
}

#endif
