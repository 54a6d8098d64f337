/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C: the checksum of every record, page image and file header.
 *
 * Enters:  bytes, and the CRC of the bytes before them.
 * Leaves:  the CRC of both.
 * Owner:   any thread; the only state is a table that is written once.
 *
 * The instruction takes 3 cycles but a new one may start each cycle, so a long input is cut into
 * three lanes that advance side by side. Joining them needs the CRC of a lane as if it were
 * followed by n zero bytes, that is crc * x^(8n) mod P: one carry-less product with the constant
 * x^(8n - 33) mod P, reduced by the CRC instruction itself, which multiplies by x^32 (and one more
 * x comes from the bit order: a 63-bit product sits one place low in a reflected 64-bit word).
 * After V. Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction"
 * (2011).
 */
#include <immintrin.h>
#include <pthread.h>

#include "util/bytes.h"
#include "util/crc.h"

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t software_table[256];
static pthread_once_t software_table_once = PTHREAD_ONCE_INIT;

static void
fill_software_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;

        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
        }
        software_table[byte] = crc;
    }
}

uint32_t
crc32c_software(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *p = data;

    pthread_once(&software_table_once, fill_software_table);
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc = crc >> 8 ^ software_table[(crc ^ p[i]) & 0xff];
    }
    return ~crc;
}

#define HARDWARE __attribute__((target("sse4.2,pclmul")))

/* How far a lane reaches, and the two constants that move a CRC over one lane and over two.
 * tests/core/util/test_crc.c holds them to the software twin. */
struct lanes {
    size_t size;
    uint32_t shift_one;
    uint32_t shift_two;
};

static const struct lanes lanes_long = {2048, 0xa51b6135u, 0x82f89c77u};
static const struct lanes lanes_middle = {256, 0xb9e02b86u, 0xdd7e3b0cu};
static const struct lanes lanes_short = {64, 0x9e4addf8u, 0x0d3b6092u};

HARDWARE static inline uint64_t
shift(uint64_t crc, uint32_t constant)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi32_si128((int)constant), 0);

    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* Consumes as many triples of lanes as fit; always_inline makes the lane size a constant. */
HARDWARE static inline __attribute__((always_inline)) const uint8_t *
run_lanes(uint64_t *crc, const uint8_t *p, const uint8_t *end, const struct lanes lanes)
{
    while ((size_t)(end - p) >= 3 * lanes.size) {
        uint64_t a = *crc;
        uint64_t b = 0;
        uint64_t c = 0;

        for (size_t i = 0; i < lanes.size; i += 8) {
            a = _mm_crc32_u64(a, load_le64(p + i));
            b = _mm_crc32_u64(b, load_le64(p + lanes.size + i));
            c = _mm_crc32_u64(c, load_le64(p + 2 * lanes.size + i));
        }
        *crc = shift(a, lanes.shift_two) ^ shift(b, lanes.shift_one) ^ c;
        p += 3 * lanes.size;
    }
    return p;
}

HARDWARE static uint32_t
crc32c_hardware(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *p = data;
    const uint8_t *end = p + size;
    uint64_t sum = ~crc;

    p = run_lanes(&sum, p, end, lanes_long);
    p = run_lanes(&sum, p, end, lanes_middle);
    p = run_lanes(&sum, p, end, lanes_short);
    while (end - p >= 8) {
        sum = _mm_crc32_u64(sum, load_le64(p));
        p += 8;
    }
    while (p != end) {
        sum = _mm_crc32_u8((uint32_t)sum, *p++);
    }
    return ~(uint32_t)sum;
}

uint32_t
crc32c(uint32_t crc, const void *data, size_t size)
{
    if (size == 0) {
        return crc; /* data may be NULL */
    }
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul")) {
        return crc32c_hardware(crc, data, size);
    }
    return crc32c_software(crc, data, size);
}
