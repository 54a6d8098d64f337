/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_AGG_MOMENTS_H
#define BV_AGG_MOMENTS_H

#include "agg/codec.h"
#include "agg/op.h"

/* Count, mean and spread of numbers without drift: Welford's update (Technometrics 4, 1962) and the
 * pairwise merge of Chan, Golub and LeVeque (The American Statistician 37, 1983). */
struct moments_state {
    uint64_t n;
    double mean;
    double m2; /* sum of squared distances from the mean */
};

static inline void
moments_add(struct moments_state *s, double x)
{
    const double distance = x - s->mean;

    s->n++;
    s->mean += distance / (double)s->n;
    s->m2 += distance * (x - s->mean);
}

/* a := a, then b. */
static inline void
moments_join(struct moments_state *a, const struct moments_state *b)
{
    if (b->n == 0) {
        return;
    }
    if (a->n == 0) {
        *a = *b;
        return;
    }
    const double distance = b->mean - a->mean;
    const double na = (double)a->n;
    const double nb = (double)b->n;
    const double share = nb / (na + nb); /* the only division, and no sum waits for it */

    a->m2 += b->m2 + distance * distance * (na * share);
    a->mean += distance * share;
    a->n += b->n;
}

/* Sample variance; n must be at least 2. */
static inline double
moments_variance(const struct moments_state *s)
{
    return s->m2 / (double)(s->n - 1);
}

static inline void
moments_put(struct buf *out, const struct moments_state *s)
{
    codec_put_u64(out, s->n);
    codec_put_f64(out, s->mean);
    codec_put_f64(out, s->m2);
}

static inline void
moments_take(struct moments_state *s, struct codec_reader *reader)
{
    s->n = codec_take_u64(reader);
    s->mean = codec_take_f64(reader);
    s->m2 = codec_take_f64(reader);
}

/* Of family_basic.c; its state is a moments_state. */
extern const struct agg_accumulator moments_accumulator;

#endif
