/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"

/* Control S: what the host does to a thread that only looks at the clock.
 *
 *   beava-load-spin [seconds [cores]]     default 2 s, on cores 0 and 1
 *
 * One loop per core, all at once. A gap between two looks at the clock that a server could not have
 * caused is the host's or the kernel's: whoever blames a pause on the server subtracts these first.
 * One JSON line for each core. */
#define CORE_COUNT_MAX 64u
/* Two looks are some 30 ns apart; what is shorter than this is no stall. */
#define STALL_NS  20000u
#define LIMIT_NS  300000u
#define SECONDS   2.0
#define CORES     2u
#define LONGEST_S 1e9

struct spinner {
    pthread_t thread;
    unsigned core;
    uint64_t end_ns;
    bool is_pinned;
    uint64_t looks;
    uint64_t stalls;      /* above STALL_NS */
    uint64_t long_stalls; /* above LIMIT_NS */
    uint64_t stalled_ns;  /* in all stalls */
    struct histogram gaps;
};

static uint64_t
clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *
spin(void *argument)
{
    struct spinner *spinner = argument;
    cpu_set_t set;
    uint64_t before_ns = clock_ns();

    CPU_ZERO(&set);
    CPU_SET(spinner->core, &set);
    spinner->is_pinned = pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
    while (before_ns < spinner->end_ns) {
        const uint64_t now_ns = clock_ns();
        const uint64_t gap_ns = now_ns - before_ns;

        histogram_add(&spinner->gaps, gap_ns, 1);
        spinner->looks++;
        spinner->stalls += gap_ns > STALL_NS;
        spinner->long_stalls += gap_ns > LIMIT_NS;
        spinner->stalled_ns += gap_ns > STALL_NS ? gap_ns : 0;
        before_ns = now_ns;
    }
    return NULL;
}

static void
report(const struct spinner *spinner, double seconds)
{
    printf("{\"core\":%u,\"pinned\":%s,\"seconds\":%g,\"looks\":%" PRIu64 ",\"stalls\":%" PRIu64
           ",\"stalls_above_300us\":%" PRIu64 ",\"stalled_share\":%.5f"
           ",\"p50\":%.3f,\"p9999\":%.3f,\"p999999\":%.3f,\"max\":%.3f}\n",
           spinner->core, spinner->is_pinned ? "true" : "false", seconds, spinner->looks,
           spinner->stalls, spinner->long_stalls, (double)spinner->stalled_ns / (seconds * 1e9),
           (double)histogram_quantile_ns(&spinner->gaps, 0.5) / 1e3,
           (double)histogram_quantile_ns(&spinner->gaps, 0.9999) / 1e3,
           (double)histogram_quantile_ns(&spinner->gaps, 0.999999) / 1e3,
           (double)spinner->gaps.ns_max / 1e3);
}

int
main(int argc, char **argv)
{
    const double seconds = argc > 1 ? strtod(argv[1], NULL) : SECONDS;
    const unsigned cores = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : CORES;
    struct spinner *spinners = NULL;
    unsigned started = 0;

    if (argc > 3 || !(seconds > 0.0 && seconds < LONGEST_S) || cores == 0 ||
        cores > CORE_COUNT_MAX) {
        fputs("beava-load-spin [seconds [cores]]\n", stderr);
        return 2;
    }
    spinners = calloc(cores, sizeof *spinners);
    for (; spinners != NULL && started < cores; started++) {
        struct spinner *spinner = &spinners[started];

        spinner->core = started;
        spinner->end_ns = clock_ns() + (uint64_t)(seconds * 1e9);
        if (pthread_create(&spinner->thread, NULL, spin, spinner) != 0) {
            break;
        }
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(spinners[i].thread, NULL);
        report(&spinners[i], seconds);
    }
    free(spinners);
    return started == cores ? 0 : 1;
}
