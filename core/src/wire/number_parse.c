/* SPDX-License-Identifier: Apache-2.0 */
/* Text to numbers: the nearest double, and nothing but the nearest.
 *
 * Enters:  a slice that should be one number or one duration.
 * Leaves:  its value, or false.
 * Owner:   any thread; the only state is the "C" locale, opened once.
 *
 * Three ways to a double, each falling through to the next when it cannot be sure:
 *   (1) at most 2^53 and |exponent| <= 22: digits and power are both exact, one operation rounds;
 *   (2) up to 19 digits: the true value lies between two products with neighbouring 128-bit
 *       powers (number_powers.h). When both ends round to one double, so does all between them.
 *       This is the idea of D. Lemire, "Number Parsing at a Gigabyte per Second" (2021), with the
 *       interval made explicit instead of his case analysis;
 *   (3) strtod in the "C" locale, on a copy of bounded size.
 */
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/assert.h"
#include "wire/number.h"
#include "wire/number_powers.h"

#define FRACTION_BITS   52
#define DIGITS_MAX      19        /* always fit a u64 */
#define EXPONENT_MAX    (1 << 30) /* explicit exponents are clamped; texts are far shorter */
#define SLOW_DIGITS_MAX 800       /* a tie between two doubles has at most 767 digits */
#define SLOW_CLAMP      5000      /* with 801 digits, beyond this all is 0 or infinite */
#define MS_PER_SECOND   1000u
#define MS_PER_MINUTE   60000u
#define MS_PER_HOUR     3600000u
#define MS_PER_DAY      86400000u

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

/* value = (-1)^is_negative * digits * 10^exponent, a little more when is_cut */
struct decimal {
    bool is_negative;
    bool is_cut; /* non-zero digits after the 19th were left out */
    int count;   /* significant digits in `digits` */
    uint64_t digits;
    int64_t exponent;
    const uint8_t *mantissa; /* the text between sign and exponent */
    const uint8_t *mantissa_end;
    int64_t explicit_exponent;
};

static bool
is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static const uint8_t *
scan_digits(struct decimal *d, const uint8_t *p, const uint8_t *end, bool is_fraction)
{
    for (; p != end && is_digit(*p); p++) {
        if (d->count == DIGITS_MAX) {
            d->is_cut |= *p != '0';
            d->exponent += !is_fraction;
            continue;
        }
        d->digits = d->digits * 10 + (*p - '0');
        d->count += d->digits != 0;
        d->exponent -= is_fraction;
    }
    return p;
}

static bool
scan_exponent(struct decimal *d, const uint8_t *p, const uint8_t *end)
{
    bool is_negative = false;
    int64_t exponent = 0;

    if (p != end && (*p == '+' || *p == '-')) {
        is_negative = *p++ == '-';
    }
    if (p == end) {
        return false;
    }
    for (; p != end; p++) {
        if (!is_digit(*p)) {
            return false;
        }
        if (exponent < EXPONENT_MAX) {
            exponent = exponent * 10 + (*p - '0');
        }
    }
    d->explicit_exponent = is_negative ? -exponent : exponent;
    d->exponent += d->explicit_exponent;
    return true;
}

/* is_wide: also `+1`, `01`, `1.` and `.5`. */
static bool
scan(struct decimal *d, const uint8_t *p, const uint8_t *end, bool is_wide)
{
    const uint8_t *begin = p;

    d->mantissa = p;
    p = scan_digits(d, p, end, false);
    size_t whole_size = (size_t)(p - begin);
    size_t fraction_size = 0;

    if (!is_wide && (whole_size == 0 || (whole_size > 1 && *begin == '0'))) {
        return false;
    }
    if (p != end && *p == '.') {
        begin = ++p;
        p = scan_digits(d, p, end, true);
        fraction_size = (size_t)(p - begin);
        if (!is_wide && fraction_size == 0) {
            return false;
        }
    }
    if (whole_size + fraction_size == 0) {
        return false;
    }
    d->mantissa_end = p;
    if (p == end) {
        return true;
    }
    return (*p == 'e' || *p == 'E') && scan_exponent(d, p + 1, end);
}

/* The double nearest to the 192-bit product (high, low) * 2^(exponent - 191); 0 when it is not a
 * normal one. */
static uint64_t
round_product(unsigned __int128 high, uint64_t low, int exponent)
{
    if (high >> 127 == 0) {
        high <<= 1;
        high |= low >> 63;
        low <<= 1;
        exponent--;
    }
    const unsigned drop = 127 - FRACTION_BITS;
    uint64_t mantissa = (uint64_t)(high >> drop);
    unsigned __int128 rest = high & (((unsigned __int128)1 << drop) - 1);
    unsigned __int128 half = (unsigned __int128)1 << (drop - 1);

    if (rest > half || (rest == half && (low != 0 || (mantissa & 1) != 0))) {
        mantissa++;
        if (mantissa >> (FRACTION_BITS + 1) != 0) {
            mantissa >>= 1;
            exponent++;
        }
    }
    if (exponent < -1022 || exponent > 1023) {
        return 0;
    }
    return (uint64_t)(exponent + 1023) << FRACTION_BITS |
           (mantissa & (((uint64_t)1 << FRACTION_BITS) - 1));
}

static bool
multiply(double *out, uint64_t digits, int exponent)
{
    unsigned shift = (unsigned)__builtin_clzll(digits);
    uint64_t factor = digits << shift;
    struct number_power power = number_power_of_ten(exponent);
    unsigned __int128 below = (unsigned __int128)factor * power.low;
    unsigned __int128 high = (unsigned __int128)factor * power.high + (uint64_t)(below >> 64);
    uint64_t low = (uint64_t)below;
    /* digits * power = (high, low) * 2^-shift * 2^(log2 - 127); 191 + ... moves the point up. */
    int top = number_log2_of_ten(exponent) - 127 - (int)shift + 191;
    uint64_t bits = round_product(high, low, top);

    if (bits == 0) {
        return false;
    }
    if (exponent < 0 || exponent > NUMBER_POWER_EXACT_LAST) {
        uint64_t lower_low = low - factor;
        unsigned __int128 lower_high = high - (low < factor);

        if (round_product(lower_high, lower_low, top) != bits) {
            return false;
        }
    }
    memcpy(out, &bits, sizeof bits);
    return true;
}

bool
number_from_decimal(double *out, bool is_negative, uint64_t digits, int exponent)
{
    static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double v = 0.0;

    if (digits <= (uint64_t)1 << 53 && exponent >= -22 && exponent <= 22) {
        v = exponent < 0 ? (double)digits / exact[-exponent] : (double)digits * exact[exponent];
    } else if (digits != 0) {
        if (exponent < NUMBER_POWER_FIRST || exponent > NUMBER_POWER_LAST ||
            !multiply(&v, digits, exponent)) {
            return false;
        }
    }
    *out = is_negative ? -v : v;
    return true;
}

static void
open_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    BV_ASSERT(c_locale != (locale_t)0); /* a static object in the C library */
}

/* strtod on d.ddd..e+XX with at most 801 digits; a last '1' stands for all that were cut. */
static double
parse_slowly(const struct decimal *d)
{
    char text[SLOW_DIGITS_MAX + 32];
    size_t size = 0;
    int64_t exponent = d->explicit_exponent;
    bool is_fraction = false;
    bool is_cut = false;

    for (const uint8_t *p = d->mantissa; p != d->mantissa_end; p++) {
        if (*p == '.') {
            is_fraction = true;
        } else if (size == SLOW_DIGITS_MAX) {
            is_cut |= *p != '0';
            exponent += !is_fraction;
        } else {
            if (size != 0 || *p != '0') {
                text[size++] = (char)*p;
            }
            exponent -= is_fraction;
        }
    }
    if (is_cut) {
        text[size++] = '1';
        exponent--;
    }
    if (size == 0) {
        text[size++] = '0';
    }
    exponent = exponent > SLOW_CLAMP ? SLOW_CLAMP : exponent < -SLOW_CLAMP ? -SLOW_CLAMP : exponent;
    snprintf(text + size, sizeof text - size, "e%d", (int)exponent);
    pthread_once(&c_locale_once, open_c_locale);
    return strtod_l(text, NULL, c_locale);
}

static bool
parse_word(double *out, const uint8_t *p, size_t size)
{
    const char *text = (const char *)p;

    if ((size == 3 && strncasecmp(text, "inf", 3) == 0) ||
        (size == 8 && strncasecmp(text, "infinity", 8) == 0)) {
        *out = __builtin_inf();
        return true;
    }
    if (size == 3 && strncasecmp(text, "nan", 3) == 0) {
        *out = __builtin_nan("");
        return true;
    }
    return false;
}

bool
number_parse_f64(double *out, struct slice text, bool allow_words)
{
    struct decimal d = {0};
    const uint8_t *p = text.data;
    const uint8_t *end = p + text.size;

    if (p != end && (*p == '-' || (allow_words && *p == '+'))) {
        d.is_negative = *p++ == '-';
    }
    if (p == end) {
        return false;
    }
    if (!scan(&d, p, end, allow_words)) {
        if (!allow_words || !parse_word(out, p, (size_t)(end - p))) {
            return false;
        }
        *out = d.is_negative ? -*out : *out;
        return true;
    }
    if (d.digits == 0) {
        *out = d.is_negative ? -0.0 : 0.0;
        return true;
    }
    if (!d.is_cut && d.exponent >= NUMBER_POWER_FIRST && d.exponent <= NUMBER_POWER_LAST &&
        number_from_decimal(out, d.is_negative, d.digits, (int)d.exponent)) {
        return true;
    }
    *out = parse_slowly(&d);
    *out = d.is_negative ? -*out : *out;
    return true;
}

bool
number_parse_i64(int64_t *out, struct slice text)
{
    const uint8_t *p = text.data;
    const uint8_t *end = p + text.size;
    bool is_negative = false;
    uint64_t v = 0;

    if (p != end && (*p == '-' || *p == '+')) {
        is_negative = *p++ == '-';
    }
    if (p == end) {
        return false;
    }
    for (; p != end; p++) {
        if (!is_digit(*p) || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v)) {
            return false;
        }
    }
    if (v > (uint64_t)INT64_MAX + is_negative) {
        return false;
    }
    *out = (int64_t)(is_negative ? -v : v);
    return true;
}

bool
number_parse_duration(uint64_t *out_ms, bool *is_forever, struct slice text)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"ms", 1},
                 {"s", MS_PER_SECOND},
                 {"m", MS_PER_MINUTE},
                 {"h", MS_PER_HOUR},
                 {"d", MS_PER_DAY}};
    uint64_t v = 0;
    size_t i = 0;

    *is_forever = slice_equal(text, slice_text("forever"));
    if (*is_forever) {
        *out_ms = 0;
        return true;
    }
    for (; i < text.size && is_digit(text.data[i]); i++) {
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text.data[i] - '0'), &v)) {
            return false;
        }
    }
    if (i == 0 || v == 0) {
        return false;
    }
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        if (slice_equal(slice_of(text.data + i, text.size - i), slice_text(units[u].name))) {
            return !__builtin_mul_overflow(v, units[u].ms, out_ms);
        }
    }
    return false;
}
