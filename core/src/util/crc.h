/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_UTIL_CRC_H
#define BV_UTIL_CRC_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), hardware where there is SSE4.2. `crc` is the value
 * of what came before, 0 at the start: crc32c(crc32c(0, a), b) == crc32c(0, ab). */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
/* The portable twin, for processors without the instruction and for tests. */
uint32_t crc32c_software(uint32_t crc, const void *data, size_t size);

#endif
