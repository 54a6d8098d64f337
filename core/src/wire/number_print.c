/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers to text: the shortest digits that read back as the same double.
 *
 * Enters:  a double or a 64-bit integer.
 * Leaves:  its canonical text (operators.md 8.1 and 5.3), no NUL.
 * Owner:   nobody; pure functions.
 *
 * The digits come from R. Giulietti, "The Schubfach way to render doubles" (2021): scale the ends
 * of the interval that rounds to v by a power of ten from a table of 126+ bits, rounding to odd so
 * that comparisons with the scaled values stay exact; then at most one multiple of ten, else one of
 * two neighbours, lies inside. One multiplication by 128 bits per end, no loop, no fallback.
 * Integers below 2^53 skip it: neighbouring doubles lie at most 1 apart there, so no shorter text
 * than the integer itself can be nearer to v than to another double.
 */
#include <math.h>
#include <string.h>

#include "util/assert.h"
#include "wire/number.h"
#include "wire/number_powers.h"

#define FRACTION_BITS 52
#define EXPONENT_BIAS 1075 /* 1023 + FRACTION_BITS: v = c * 2^q with an integer c */
#define DIGITS_MAX    20
#define POINT_MIN     (-4) /* plain decimal for POINT_MIN <= point <= POINT_MAX */
#define POINT_MAX     16

/* v = digits * 10^exponent */
struct decimal {
    uint64_t digits;
    int exponent;
};

static const char digit_pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233"
    "34353637383940414243444546474849505152535455565758596061626364656667"
    "6869707172737475767778798081828384858687888990919293949596979899";

_Static_assert(sizeof digit_pairs == 201, "a hundred pairs");

static size_t
count_digits(uint64_t v)
{
    static const uint64_t powers[DIGITS_MAX] = {
        0,
        10,
        100,
        1000,
        10000,
        100000,
        1000000,
        10000000,
        100000000,
        1000000000,
        10000000000,
        100000000000,
        1000000000000,
        10000000000000,
        100000000000000,
        1000000000000000,
        10000000000000000,
        100000000000000000,
        1000000000000000000,
        10000000000000000000u,
    };
    unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
    unsigned guess = bits * 1233 >> 12; /* floor(bits * log10(2)) */

    return guess + (v >= powers[guess]);
}

size_t
number_u64(char *out, uint64_t v)
{
    size_t size = v == 0 ? 1 : count_digits(v);
    char *p = out + size;

    while (v >= 100) {
        p -= 2;
        memcpy(p, digit_pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        memcpy(p - 2, digit_pairs + v * 2, 2);
    } else {
        p[-1] = (char)('0' + v);
    }
    return size;
}

size_t
number_i64(char *out, int64_t v)
{
    if (v >= 0) {
        return number_u64(out, (uint64_t)v);
    }
    out[0] = '-';
    return 1 + number_u64(out + 1, -(uint64_t)v);
}

/* floor(factor * power / 2^128), its last bit set when anything was cut off ("round to odd"). The
 * power is rounded up, so a product within one unit of an integer counts as that integer. */
static uint64_t
scale_to_odd(struct number_power power, uint64_t factor)
{
    unsigned __int128 low = (unsigned __int128)power.low * factor;
    unsigned __int128 high = (unsigned __int128)power.high * factor + (uint64_t)(low >> 64);

    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* v finite and positive. */
static struct decimal
shortest(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    uint64_t fraction = bits & (((uint64_t)1 << FRACTION_BITS) - 1);
    int biased = (int)(bits >> FRACTION_BITS);
    uint64_t c = biased == 0 ? fraction : fraction | (uint64_t)1 << FRACTION_BITS;
    int q = (biased == 0 ? 1 : biased) - EXPONENT_BIAS;
    /* Below a power of two the neighbour is half as far away. */
    uint64_t is_lower_closer = fraction == 0 && biased > 1;
    /* k = floor(log10(width of the interval)): 1262611 / 2^22 is log10(2), 524031 / 2^22 is
     * log10(4/3). */
    int k = (q * 1262611 - (is_lower_closer ? 524031 : 0)) >> 22;
    int h = q + number_log2_of_ten(-k) + 1;
    struct number_power power = number_power_of_ten(-k);

    BV_DEBUG_ASSERT(h >= 1 && h <= 4);
    /* Quarters of a unit of 10^k: the ends of the interval and v itself. An end belongs to the
     * interval when c is even, because ties round to even. */
    uint64_t is_odd = c & 1;
    uint64_t lower = scale_to_odd(power, (4 * c - 2 + is_lower_closer) << h) + is_odd;
    uint64_t middle = scale_to_odd(power, 4 * c << h);
    uint64_t upper = scale_to_odd(power, (4 * c + 2) << h) - is_odd;
    uint64_t s = middle / 4;

    if (s >= 10) {
        uint64_t tens = s / 10 * 40; /* in quarters */
        bool is_down_inside = lower <= tens;
        bool is_up_inside = tens + 40 <= upper;

        if (is_down_inside != is_up_inside) {
            return (struct decimal){s / 10 + is_up_inside, k + 1};
        }
    }
    bool is_down_inside = lower <= 4 * s;
    bool is_up_inside = 4 * s + 4 <= upper;

    if (is_down_inside != is_up_inside) {
        return (struct decimal){s + is_up_inside, k};
    }
    uint64_t half = 4 * s + 2;
    bool rounds_up = middle > half || (middle == half && (s & 1) != 0);

    return (struct decimal){s + rounds_up, k};
}

static struct decimal
strip_zeros(struct decimal v)
{
    if (v.digits % 100000000 == 0) {
        v.digits /= 100000000;
        v.exponent += 8;
    }
    while (v.digits % 100 == 0) {
        v.digits /= 100;
        v.exponent += 2;
    }
    if (v.digits % 10 == 0) {
        v.digits /= 10;
        v.exponent += 1;
    }
    return v;
}

/* value = 0.<digits> * 10^point, written without an exponent. */
static size_t
write_plain(char *out, const char *digits, int count, int point, bool has_fraction)
{
    char *p = out;

    if (point <= 0) {
        memcpy(p, "0.", 2);
        memset(p + 2, '0', (size_t)-point);
        memcpy(p + 2 - point, digits, (size_t)count);
        return (size_t)(2 - point + count);
    }
    if (point < count) {
        memcpy(p, digits, (size_t)point);
        p[point] = '.';
        memcpy(p + point + 1, digits + point, (size_t)(count - point));
        return (size_t)count + 1;
    }
    memcpy(p, digits, (size_t)count);
    memset(p + count, '0', (size_t)(point - count));
    p += point;
    if (has_fraction) {
        memcpy(p, ".0", 2);
        p += 2;
    }
    return (size_t)(p - out);
}

static size_t
write_exponent(char *out, const char *digits, int count, int point)
{
    char *p = out;
    int exponent = point - 1;

    *p++ = digits[0];
    if (count > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, (size_t)(count - 1));
        p += count - 1;
    }
    *p++ = 'e';
    *p++ = exponent < 0 ? '-' : '+';
    p += number_u64(p, (uint64_t)(exponent < 0 ? -exponent : exponent));
    return (size_t)(p - out);
}

static size_t
write_special(char *out, double v)
{
    const char *text = isnan(v) ? "NaN" : v > 0 ? "inf" : "-inf";
    size_t size = strlen(text);

    memcpy(out, text, size);
    return size;
}

static size_t
write_f64(char *out, double v, bool is_canonical)
{
    char digits[DIGITS_MAX];
    char *p = out;

    if (!isfinite(v)) {
        return write_special(out, v);
    }
    if (signbit(v)) {
        *p++ = '-';
        v = -v;
    }
    if (v < 9007199254740992.0 && v == (double)(int64_t)v) {
        p += number_u64(p, (uint64_t)v);
        if (is_canonical) {
            memcpy(p, ".0", 2);
            p += 2;
        }
        return (size_t)(p - out);
    }
    struct decimal decimal = strip_zeros(shortest(v));
    int count = (int)number_u64(digits, decimal.digits);
    int point = count + decimal.exponent;

    if (is_canonical && (point < POINT_MIN || point > POINT_MAX)) {
        p += write_exponent(p, digits, count, point);
    } else {
        p += write_plain(p, digits, count, point, is_canonical);
    }
    BV_ASSERT(p - out <= NUMBER_TEXT_MAX);
    return (size_t)(p - out);
}

size_t
number_f64(char *out, double v)
{
    return write_f64(out, v, true);
}

size_t
number_f64_plain(char *out, double v)
{
    return write_f64(out, v, false);
}
