/* SPDX-License-Identifier: Apache-2.0 */
/* Dying on command, for tests that kill a server at every place that matters.
 *
 * Enters:  the name of a place, from any thread; BEAVA_CRASH_AT, read once.
 * Leaves:  nothing; or the process, without a word.
 * Owner:   nobody.
 *
 * SIGKILL and not abort(): no handler, no buffer, no destructor may run, as in the real thing. */
#include "util/crash_point.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_once_t is_read = PTHREAD_ONCE_INIT;
static char wanted[64];
static _Atomic long passes_left;

static void
read_wanted(void)
{
    const char *text = getenv("BEAVA_CRASH_AT");

    if (text == NULL || strlen(text) >= sizeof wanted) {
        return;
    }
    strcpy(wanted, text);
    char *colon = strchr(wanted, ':');
    long passes = 1;
    if (colon != NULL) {
        *colon = '\0';
        passes = strtol(colon + 1, NULL, 10);
    }
    atomic_store(&passes_left, passes);
}

void
crash_point_pass(const char *name)
{
    (void)pthread_once(&is_read, read_wanted);
    if (strcmp(name, wanted) != 0 || atomic_fetch_sub(&passes_left, 1) != 1) {
        return;
    }
    (void)kill(getpid(), SIGKILL);
    for (;;) {
        (void)pause(); /* the other threads may be the ones that see the signal first */
    }
}
