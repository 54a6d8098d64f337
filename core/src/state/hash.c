/* SPDX-License-Identifier: Apache-2.0 */
/* The secret of key hashing.
 *
 * Enters:  nothing.
 * Leaves:  192 bytes that a client cannot know, drawn once per process.
 * Owner:   struct pages.
 *
 * Invariants
 *   (1) There is no weak secret: when the kernel gives no random bytes, the start fails. */
#include "state/hash.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum bv_status
hash_secret_draw(uint8_t secret[HASH_SECRET_BYTES], struct bv_error *err)
{
    size_t done = 0;

    while (done < HASH_SECRET_BYTES) {
        ssize_t got = getrandom(secret + done, HASH_SECRET_BYTES - done, 0);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return bv_error_set(err, BV_IO, "getrandom: %s", strerror(errno));
        }
        done += (size_t)got;
    }
    return BV_OK;
}

uint64_t
hash_key_long(const uint8_t *secret, struct slice key)
{
    return XXH3_64bits_withSecret(key.data, key.size, secret, HASH_SECRET_BYTES);
}
