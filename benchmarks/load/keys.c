/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include <math.h>

#define MIXED_CARDINALITY 1000000u
/* Prime and larger than any cardinality: multiplying by it visits every index once. */
#define SWEEP_STEP 2654435761u
#define HEX_BITS   36u

uint64_t
keys_random(struct key_source *keys)
{
    uint64_t mixed = keys->random_state += 0x9e3779b97f4a7c15u;

    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

void
keys_init(struct key_source *keys, enum key_distribution distribution, uint64_t cardinality,
          double alpha, uint64_t seed)
{
    *keys = (struct key_source){
        .distribution = distribution,
        .cardinality = distribution == KEYS_MIXED ? MIXED_CARDINALITY : cardinality,
        .random_state = seed,
        .alpha = alpha,
    };
    if (distribution == KEYS_ZIPFIAN) {
        for (uint64_t i = 1; i <= cardinality; i++) {
            keys->zeta += 1.0 / pow((double)i, alpha);
        }
        keys->zeta_two = 1.0 + pow(0.5, alpha);
        if (alpha != 1.0) {
            keys->eta = (1.0 - pow(2.0 / (double)cardinality, 1.0 - alpha)) /
                        (1.0 - keys->zeta_two / keys->zeta);
        }
    }
}

/* The closed form of the paper; at alpha = 1 it has no value, and a log-uniform inverse that
 * starts at rank 2 takes its place. */
static uint64_t
zipfian_next(struct key_source *keys)
{
    double uniform = (double)(keys_random(keys) >> 11) * 0x1p-53;
    double scaled = uniform * keys->zeta;
    double count = (double)keys->cardinality;
    double rank;

    if (scaled < 1.0) {
        return 0;
    }
    if (scaled < keys->zeta_two) {
        return 1 % keys->cardinality;
    }
    if (keys->alpha == 1.0) {
        double start = keys->zeta_two / keys->zeta;

        rank = 2.0 * pow(count / 2.0, (uniform - start) / (1.0 - start));
    } else {
        rank = count * pow(keys->eta * uniform - keys->eta + 1.0, 1.0 / (1.0 - keys->alpha));
    }
    return rank < count ? (uint64_t)rank : keys->cardinality - 1;
}

uint64_t
keys_next(struct key_source *keys)
{
    switch (keys->distribution) {
    case KEYS_FIXED:
        return 0;
    case KEYS_ZIPFIAN:
        return zipfian_next(keys);
    case KEYS_SWEEP:
        return keys->sequence++ % keys->cardinality * SWEEP_STEP % keys->cardinality;
    case KEYS_UNIFORM:
    case KEYS_MIXED:
        break;
    }
    return keys_random(keys) % keys->cardinality;
}

/* Every step can be undone in 36 bits, so distinct indices stay distinct. */
static uint64_t
scatter(uint64_t index)
{
    const uint64_t mask = (UINT64_C(1) << HEX_BITS) - 1;

    index = (index + 1) * 0x9e3779b97f4a7c15u & mask;
    index ^= index >> 17;
    index = index * 0xbf58476d1ce4e5b9u & mask;
    return index ^ index >> 19;
}

void
keys_spell(char out[KEY_SIZE], uint64_t index, enum key_spelling spelling)
{
    if (spelling == KEYS_SCATTERED) {
        index = scatter(index);
        for (unsigned i = KEY_SIZE; i-- > 0; index >>= 4) {
            out[i] = "0123456789abcdef"[index & 15];
        }
        return;
    }
    out[0] = 'k';
    for (unsigned i = KEY_SIZE; i-- > 1; index /= 10) {
        out[i] = (char)('0' + index % 10);
    }
}
