/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a process whose state can no longer be trusted.
 *
 * Enters:  the text and place of a broken assertion.
 * Leaves:  one line on stderr and a core dump; nothing returns.
 * Owner:   any thread.
 */
#include <stdio.h>
#include <stdlib.h>

#include "util/assert.h"

_Noreturn void
bv_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "beava: assertion failed: %s (%s:%d)\n", expression, file, line);
    abort();
}
